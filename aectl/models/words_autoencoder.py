"""A text autoencoder whose code is a shorter text, of words of the text in their order."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aectl.config.shapes import PAD
from aectl.models import word_chain
from aectl.models.language import (
    AttentiveWriter,
    Embedding,
    LanguageModel,
    Reader,
    lengths_of,
)
from aectl.models.text_autoencoder import ROUNDING, Rated, width_of
from aectl.models.vocabulary import Vocabulary
from aectl.models.word_chain import WordLinks


class KeptWords(NamedTuple):
    """The shorter text, (batch, length), the pieces of the kept words, PAD after the last of each;
    log_probabilities: that of its choice among all with as many words, (batch,).
    """

    text: Tensor
    log_probabilities: Tensor


class WordEncoder(nn.Module):
    """Keeps `ratio` times as many words as there are: in training a chain of words drawn with its
    probability, else the most probable one.

    A word is what stands between two spaces; its score comes from the states of a reader at its
    first piece. `begins`, (vocabulary,), is 1 for the pieces that begin a word, else 0.
    """

    begins: Tensor

    def __init__(self, embedding: Embedding, length: int, units: int, ratio: float) -> None:
        super().__init__()
        self.embedding = embedding
        self.reader = Reader(embedding.weight.shape[1], units)
        self.links = WordLinks(2 * units, units, length)
        self.ratio = ratio
        self.register_buffer("begins", torch.ones(len(embedding.weight)))

    def forward(self, tokens: Tensor, draws: int = 1) -> KeptWords:
        """tokens (batch, length) -> the words that are kept of each text, of all texts once for
        each of the draws: (draws * batch, length).
        """
        length, starts = tokens.shape[1], self._starts(tokens)
        states = self.reader(self.embedding(tokens), lengths_of(tokens))[0]
        first, there = _gathered(starts)
        of_words = states.gather(1, first[..., None].expand(-1, -1, states.shape[2]))
        links = self.links(of_words, there)
        counts = (there.sum(1) * self.ratio - ROUNDING).ceil().long().clamp(min=1)
        most = max(1, math.ceil(length * self.ratio - ROUNDING))
        reached = word_chain.totals(links, most)
        links, reached = links.repeated(draws), reached.repeat(draws, 1, 1)
        tokens, starts, counts = (
            tokens.repeat(draws, 1),
            starts.repeat(draws, 1),
            counts.repeat(draws),
        )
        with torch.no_grad():
            if self.training:
                kept = word_chain.drawn(links, reached, counts)
            else:
                kept = word_chain.best(links, counts, most)
        pieces = kept.gather(1, starts.cumsum(1) - 1) & (tokens != PAD)
        at, inside = _gathered(pieces)
        text = tokens.gather(1, at).masked_fill(~inside, PAD)
        return KeptWords(text, word_chain.log_probability(links, reached, kept))

    def _starts(self, tokens: Tensor) -> Tensor:
        """Which pieces begin a word, the first of each text in any case: (batch, length)."""
        first = torch.arange(tokens.shape[1], device=tokens.device) == 0
        return first | ((self.begins[tokens] > 0) & (tokens != PAD))


class ThroughWords(Rated):
    """One whose code is words of the text, which an attentive decoder rebuilds the text from.

    Which words are kept is learnt by the score-function gradient (Williams 1992, REINFORCE), with
    the mean cost of the other draws for the same text as its baseline (Kool et al. 2019).
    """

    def __init__(self, vocabulary: int, length: int, units: int, ratio: float) -> None:
        super().__init__()
        self.length = length
        width = width_of(units)
        self.encoder = WordEncoder(Embedding(vocabulary, width), length, units, ratio)
        self.reader = Reader(width, units)
        self.writer = AttentiveWriter(self.embedding, units)
        self.language_model = LanguageModel(vocabulary, width, units)
        self.language_model.requires_grad_(False)

    def split_words(self, vocabulary: Vocabulary) -> None:
        """Learns from a vocabulary where words begin."""
        self.encoder.begins.copy_(torch.tensor(vocabulary.begins_word(), dtype=torch.float32))

    def encode(self, tokens: Tensor, draws: int = 1) -> KeptWords:
        """tokens (batch, length) -> the shorter texts, of all texts once for each of the draws."""
        code: KeptWords = self.encoder(tokens, draws)
        return code

    def predict(self, code: KeptWords, tokens: Tensor) -> Tensor:
        """Logits of each token and of the END, given the shorter text and the tokens before it:
        (batch, length + 1, vocabulary).
        """
        logits: Tensor = self.writer(self.before(tokens), *self._read(code))
        return logits

    def likely(self, code: KeptWords) -> Tensor:
        """Logits of the language model for the shorter texts: (batch, length, vocabulary)."""
        return self.language_model.predict(code.text)

    def decode(self, code: KeptWords) -> Tensor:
        """Decodes shorter texts, token by token: (batch, length)."""
        written = self.writer.greedy(*self._read(code), self.length + 1)
        return written[:, : self.length]

    def _read(self, code: KeptWords) -> tuple[Tensor, Tensor, Tensor]:
        """The states of a reader of the shorter texts, where they are, and the last states."""
        states, ends = self.reader(self.embedding(code.text), lengths_of(code.text))
        return states, code.text != PAD, ends


def _gathered(marked: Tensor) -> tuple[Tensor, Tensor]:
    """The places that are marked in each row, in order and before all others, and which of these
    are marked: (rows, places) both.
    """
    places = torch.arange(marked.shape[1], device=marked.device)
    order = torch.where(marked, places, places + marked.shape[1]).argsort(1)
    return order, marked.gather(1, order)
