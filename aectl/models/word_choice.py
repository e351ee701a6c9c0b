"""How the words that are kept of a text are chosen: learnt, or by a rule, for comparison."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aectl.config.shapes import PAD
from aectl.models import word_chain
from aectl.models.language import Embedding, Reader, lengths_of
from aectl.models.whole_batch import whole
from aectl.models.word_chain import WordLinks

HASHED = 1_000_003
"""Pseudo-random numbers are integers below this prime."""


class Words(NamedTuple):
    """The words of a batch of texts: what stands between two spaces.

    tokens: (batch, length); firsts: (batch, words), the index of the first token of each word;
    there: (batch, words), which of them are words; of_token: (batch, length), the number of the
    word that each token belongs to; counts: (batch,), how many words are to be kept of each text,
    at most `most`.
    """

    tokens: Tensor
    firsts: Tensor
    there: Tensor
    of_token: Tensor
    counts: Tensor
    most: int


class Chosen(NamedTuple):
    """kept: (draws * batch, words), True for the words of a choice; log_probabilities: (draws *
    batch,), of each choice among all with as many words.
    """

    kept: Tensor
    log_probabilities: Tensor


class Choice(nn.Module):
    """Chooses words of texts; `learnt`: whether by scores that training improves."""

    learnt = False

    def forward(self, words: Words, draws: int) -> Chosen:
        """Chooses `counts` words of each text, once for each of the draws."""
        kept = torch.cat([self._kept(words) for _ in range(draws)])
        return Chosen(kept, torch.zeros(kept.shape[0], device=kept.device))

    def _kept(self, words: Words) -> Tensor:
        scores = self.scores(words).masked_fill(~words.there, -math.inf)
        rank = scores.argsort(dim=1, descending=True, stable=True).argsort(1)
        return rank < words.counts[:, None]

    def scores(self, words: Words) -> Tensor:
        """The words with the largest scores are kept: (batch, words)."""
        raise NotImplementedError


class FirstWords(Choice):
    """Keeps the first words."""

    def scores(self, words: Words) -> Tensor:
        """Falls from word to word."""
        return -words.firsts.float()


class RandomWords(Choice):
    """Keeps random words: in training others each time, at inference always the same of a text."""

    def scores(self, words: Words) -> Tensor:
        """Random numbers; at inference, pseudo-random ones that follow from text and place."""
        if self.training:
            return whole().changed(torch.rand_like, words.there.float())
        places = torch.arange(1, words.tokens.shape[1] + 1, device=words.tokens.device)
        mixed = (words.tokens * 7919 + places * 104_729) * (words.tokens != PAD)
        return ((mixed.gather(1, words.firsts) + mixed.sum(1, True)) * 48_271 % HASHED).float()


class RarestWords(Choice):
    """Keeps the words of the highest inverse document frequency, log(N / n) with N lines, n of them
    with the token (Spärck Jones 1972); that of a word is the sum of its tokens'.

    idf: (vocabulary,).
    """

    idf: Tensor

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.register_buffer("idf", torch.zeros(vocabulary))

    def learn(self, lines_with: Tensor, lines: int) -> None:
        """Sets `idf` from the number of lines with each token, (vocabulary,), and of all lines."""
        self.idf.copy_((lines / lines_with.clamp(min=1)).log())

    def scores(self, words: Words) -> Tensor:
        """The inverse document frequency."""
        of_tokens = self.idf[words.tokens] * (words.tokens != PAD)
        scores = torch.zeros_like(words.there, dtype=of_tokens.dtype)
        return scores.scatter_add(1, words.of_token, of_tokens)


class LearntChoice(Choice):
    """Keeps a chain of words: in training drawn with its probability, else the most probable one.

    The score of a word and of a step between two comes from the states of a reader at their first
    tokens.
    """

    learnt = True

    def __init__(self, embedding: Embedding, length: int, units: int) -> None:
        super().__init__()
        self._embedding = (embedding,)  # in a tuple, so that its weights are not registered twice
        self.reader = Reader(embedding.weight.shape[1], units)
        self.links = WordLinks(2 * units, units, length)

    def forward(self, words: Words, draws: int) -> Chosen:
        """Chooses `counts` words of each text, once for each of the draws."""
        embedded = self._embedding[0](words.tokens)
        states = self.reader(embedded, lengths_of(words.tokens))[0]
        of_words = states.gather(1, words.firsts[..., None].expand(-1, -1, states.shape[2]))
        links = self.links(of_words, words.there)
        reached = word_chain.totals(links, words.most)
        links, reached = links.repeated(draws), reached.repeat(draws, 1, 1)
        counts = words.counts.repeat(draws)
        with torch.no_grad():
            if self.training:
                kept = word_chain.drawn(links, reached, counts)
            else:
                kept = word_chain.best(links, counts, words.most)
        return Chosen(kept, word_chain.log_probability(links, reached, kept))


CHOICES: dict[str, Callable[[Embedding, int, int], Choice]] = {
    "learnt": LearntChoice,
    "first": lambda *_: FirstWords(),
    "random": lambda *_: RandomWords(),
    "idf": lambda embedding, *_: RarestWords(len(embedding.weight)),
}
"""The choices of words by name, for the vectors of tokens, the maximum length of texts in tokens,
and a number of recurrent units.
"""
