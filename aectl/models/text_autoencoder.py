"""A text autoencoder whose code is a vector, and what all text autoencoders have in common."""

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from aectl.config.shapes import PAD
from aectl.models.codes import Code
from aectl.models.language import (
    Embedding,
    Reader,
    Writer,
    drawn_normal,
    lengths_of,
    with_end,
)

ROUNDING = 1e-4
"""Tolerance for a product that may exceed its exact whole number by rounding."""


class VectorEncoder(nn.Module):
    """preactivation = sum_t p_t * (W s_t) / sqrt(length) + b; code = `code`(preactivation).

    s_t is the state of the reader at token t, and p_t a learnt vector for each position, multiplied
    element by element: it binds the token to its position, so that both can be recovered from the
    sum (Gayler 1998, multiplicative binding). The last state of the reader alone would have to
    represent all tokens.
    """

    def __init__(
        self, embedding: Embedding, length: int, units: int, code_size: int, code: Code
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.reader = Reader(embedding.weight.shape[1], units)
        self.to_code = nn.Linear(2 * units, code_size)
        self.places = nn.Parameter(drawn_normal(length, code_size))
        self.code = code
        self.code_size = code_size

    def preactivation(self, tokens: Tensor) -> Tensor:
        """tokens (batch, length) -> (batch, code_size), before the activation."""
        return self.bound(tokens).sum(1) / math.sqrt(len(self.places)) + self.to_code.bias

    def bound(self, tokens: Tensor) -> Tensor:
        """tokens (batch, length) -> what each of them adds to the sum: (batch, length,
        code_size).
        """
        states = self.reader(self.embedding(tokens), lengths_of(tokens))[0]
        bound = F.linear(states, self.to_code.weight) * self.places[: tokens.shape[1]]
        return bound * (tokens != PAD)[..., None]

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (batch, length) -> code (batch, code_size)."""
        code: Tensor = self.code(self.preactivation(tokens))
        return code


class TextAutoencoder(nn.Module):
    """An encoder of text, which holds the vectors of all tokens, and whatever decodes its code."""

    encoder: Any

    one_at_a_time = False
    """Whether inputs are processed one by one at inference, because more would need much memory."""

    @property
    def embedding(self) -> Embedding:
        """The vectors of all tokens."""
        embedding: Embedding = self.encoder.embedding
        return embedding

    def before(self, tokens: Tensor) -> Tensor:
        """The vectors of the tokens before each of a text and before its END, for tokens (batch,
        length): (batch, length + 1, width).
        """
        return self.embedding.before(with_end(tokens))


class ThroughVector(TextAutoencoder):
    """A text autoencoder whose code is a vector.

    The context of the writer at step t is q_t * code, q_t a learnt vector for each position,
    multiplied element by element: it recovers what the encoder bound to that position.
    """

    encoder: VectorEncoder

    def __init__(
        self, vocabulary: int, length: int, units: int, code_size: int, code: Code
    ) -> None:
        super().__init__()
        self.length = length
        embedding = Embedding(vocabulary, width_of(units))
        self.encoder = VectorEncoder(embedding, length, units, code_size, code)
        self.places = nn.Parameter(drawn_normal(length + 1, code_size))
        self.writer = Writer(embedding, code_size, units)

    @property
    def code_size(self) -> int:
        """The number of units of the code."""
        return self.encoder.code_size

    @property
    def active_above(self) -> float | None:
        """The value above which a unit of the code is active; None: if it is not 0."""
        return self.encoder.code.active_above

    def encode(self, tokens: Tensor) -> Tensor:
        """tokens (batch, length) -> code (batch, code_size)."""
        code: Tensor = self.encoder(tokens)
        return code

    def predict(self, code: Tensor, tokens: Tensor) -> Tensor:
        """Logits of each token and of the END, given the code and the tokens before it: (batch,
        length + 1, vocabulary).
        """
        before = self.before(tokens)
        logits: Tensor = self.writer(before, self._context(code, before.shape[1]), code)
        return logits

    def decode(self, code: Tensor) -> Tensor:
        """code (batch, code_size) -> decoded text, token by token, (batch, length)."""
        written = self.writer.greedy(self._context(code, self.length + 1), code)
        return written[:, : self.length]

    def _context(self, code: Tensor, steps: int) -> Tensor:
        return code[:, None] * self.places[:steps]


def width_of(units: int) -> int:
    """The width of the vectors of tokens."""
    return max(1, units // 2)
