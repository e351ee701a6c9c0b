"""A text autoencoder whose code is a shorter text, of words of the text in their order."""

import math
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.config.shapes import PAD
from aectl.models.inserting import Inserting
from aectl.models.language import Embedding, LanguageModel, longest, nats_of_texts, with_end
from aectl.models.text_autoencoder import ROUNDING, TextAutoencoder, width_of
from aectl.models.vocabulary import Vocabulary
from aectl.models.word_choice import CHOICES, Choice, Chosen, Words


class KeptWords(NamedTuple):
    """The shorter text, (batch, slots), the tokens of the kept words, PAD after the last of each;
    log_probabilities: that of its choice among all with as many words, (batch,); kept: (batch,
    length), which tokens of the text are in the shorter one.
    """

    text: Tensor
    log_probabilities: Tensor
    kept: Tensor


class WordEncoder(nn.Module):
    """Keeps `ratio` times as many words as there are or, if `words` is given, at most so many.

    A word is what stands between two spaces. `begins`, (vocabulary,), is 1 for the tokens that
    begin a word, else 0.
    """

    begins: Tensor

    def __init__(
        self, embedding: Embedding, choice: Choice, ratio: float, words: int | None = None
    ) -> None:
        super().__init__()
        self.embedding, self.choice = embedding, choice
        self.ratio, self.words = ratio, words
        self.register_buffer("begins", torch.ones(len(embedding.weight)))

    def forward(self, tokens: Tensor, draws: int = 1) -> KeptWords:
        """tokens (batch, length) -> the words that are kept of each text, of all texts once for
        each of the draws: (draws * batch, length).
        """
        words = self._words(tokens)
        chosen: Chosen = self.choice(words, draws)
        tokens, of_token = tokens.repeat(draws, 1), words.of_token.repeat(draws, 1)
        kept = chosen.kept.gather(1, of_token) & (tokens != PAD)
        at, inside = _gathered(kept)
        at, inside = at[:, : longest(inside)], inside[:, : longest(inside)]
        text = tokens.gather(1, at).masked_fill(~inside, PAD)
        return KeptWords(text, chosen.log_probabilities, kept)

    def _words(self, tokens: Tensor) -> Words:
        """The words of texts; the first token of each begins one in any case."""
        first = torch.arange(tokens.shape[1], device=tokens.device) == 0
        starts = first | ((self.begins[tokens] > 0) & (tokens != PAD))
        firsts, there = _gathered(starts)
        ratio, most = self.ratio, tokens.shape[1]
        if self.words is None:
            counts = (there.sum(1) * ratio - ROUNDING).ceil().long().clamp(min=1)
            most = max(1, math.ceil(most * ratio - ROUNDING))
        else:
            counts, most = there.sum(1).clamp(max=self.words), min(most, self.words)
        return Words(tokens, firsts, there, starts.cumsum(1) - 1, counts, most)


class ThroughWords(TextAutoencoder):
    """One whose code is words of the text, which is rebuilt by inserting others between them.

    Which words are kept is learnt by the score-function gradient (Williams 1992, REINFORCE), with
    the mean cost of the other draws for the same text as its baseline (Kool et al. 2019); or they
    are those of a rule.
    """

    encoder: WordEncoder

    def __init__(
        self,
        vocabulary: int,
        length: int,
        units: int,
        choice: str = "learnt",
        ratio: float = 0.5,
        words: int | None = None,
    ) -> None:
        super().__init__()
        self.length = length
        width = width_of(units)
        embedding = Embedding(vocabulary, width)
        chosen = CHOICES[choice](embedding, length, units)
        self.encoder = WordEncoder(embedding, chosen, ratio, words)
        self.writer = Inserting(embedding, units)
        self.language_model = LanguageModel(vocabulary, width, units)
        self.language_model.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Sets training mode, but not of the language model, which only rates what is kept."""
        super().train(mode)
        self.language_model.eval()
        return self

    @property
    def choice(self) -> Choice:
        """How words are chosen."""
        return self.encoder.choice

    def split_words(self, vocabulary: Vocabulary) -> None:
        """Learns from a vocabulary where words begin."""
        self.encoder.begins.copy_(torch.tensor(vocabulary.begins_word(), dtype=torch.float32))

    def encode(self, tokens: Tensor, draws: int = 1) -> KeptWords:
        """tokens (batch, length) -> the shorter texts, of all texts once for each of the draws."""
        code: KeptWords = self.encoder(tokens, draws)
        return code

    def nats(self, code: KeptWords, tokens: Tensor) -> Tensor:
        """-log p of each text, given the shorter one and which of its tokens are in it: (batch,).

        That of copying what is kept and of inserting the rest: as a kept token could be inserted,
        too, at least as much as follows from `predict`.
        """
        ended, copied = with_end(tokens), F.pad(code.kept, (0, 1))
        copies, known = self._known(code, tokens)
        of_copies = F.binary_cross_entropy_with_logits(copies, copied.float(), reduction="none")
        at, there = _gathered(~copied & (ended != PAD))
        at, there = at[:, : longest(there)], there[:, : longest(there)]
        logits = self.writer.inserted(known.gather(1, at[..., None].expand(-1, -1, known.shape[2])))
        inserted = ended.gather(1, at).masked_fill(~there, PAD)
        return (of_copies * (ended != PAD)).sum(1) + nats_of_texts(logits, inserted)

    def predict(self, code: KeptWords, tokens: Tensor) -> Tensor:
        """Logarithms of the probabilities of each token and of the END, given the shorter text,
        which of the tokens before it are in that, and these: (batch, length + 1, vocabulary).
        """
        copies, known = self._known(code, tokens)
        inserted = self.writer.inserted(known).log_softmax(2) + F.logsigmoid(-copies)[..., None]
        shorter = self.writer.read(code.text)
        following = self.writer.following(shorter, _done(code))[..., None]
        copied = F.logsigmoid(copies)[..., None]
        both = torch.logaddexp(inserted.gather(2, following), copied)
        return inserted.scatter(2, following, both)

    def decode(self, code: KeptWords) -> Tensor:
        """Decodes shorter texts, token by token: (batch, length)."""
        return self.writer.greedy(self.writer.read(code.text), self.length)

    def _known(self, code: KeptWords, tokens: Tensor) -> tuple[Tensor, Tensor]:
        known: tuple[Tensor, Tensor] = self.writer(
            self.before(tokens), self.writer.read(code.text), _done(code)
        )
        return known


def _done(code: KeptWords) -> Tensor:
    """How many tokens of the shorter text stand before each of the text, and before its END:
    (batch, length + 1).
    """
    return F.pad(code.kept.long().cumsum(1), (1, 0))


def _gathered(marked: Tensor) -> tuple[Tensor, Tensor]:
    """The places that are marked in each row, in order and before all others, and which of these
    are marked: (rows, places) both.
    """
    places = torch.arange(marked.shape[1], device=marked.device)
    order = torch.where(marked, places, places + marked.shape[1]).argsort(1)
    return order, marked.gather(1, order)
