"""A decoder of shorter texts, which inserts tokens between those of the shorter one."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.config.shapes import END, PAD, START
from aectl.models.language import Embedding, Reader, lengths_of
from aectl.models.precision import single

NEVER = -1e4
"""The logit of copying where nothing is left to copy; finite, so that its loss is 0."""


class Shorter(NamedTuple):
    """Shorter texts that have been read. tokens: (batch, slots), PAD after the end; states: of the
    reader at each, zeros after the end, (batch, slots + 1, 2 units); ends: its last states, (batch,
    2 units); lengths: (batch,).
    """

    tokens: Tensor
    states: Tensor
    ends: Tensor
    lengths: Tensor


class Inserting(nn.Module):
    """Rebuilds texts from shorter ones whose tokens occur in them in the same order.

    At each step the next token of the shorter text is copied, with a probability, or another token
    or the END is inserted. Both follow from the state of a GRU, whose input is the token before,
    and from the state of a reader at the token that would be copied.
    """

    def __init__(self, embedding: Embedding, units: int) -> None:
        super().__init__()
        width = embedding.weight.shape[1]
        self._embedding = (embedding,)  # in a tuple, so that its weights are not registered twice
        self.reader = Reader(width, units)
        self.begin = nn.Linear(2 * units, units)
        self.gru = nn.GRU(width + 2 * units, units, batch_first=True)
        self.copy = nn.Linear(3 * units, 1)
        self.insert = nn.Linear(3 * units, width)

    def read(self, tokens: Tensor) -> Shorter:
        """tokens (batch, slots), of shorter texts."""
        lengths = lengths_of(tokens)
        states, ends = self.reader(self._embedding[0](tokens), lengths)
        states = states * (tokens != PAD)[..., None]
        return Shorter(tokens, F.pad(states, (0, 0, 0, 1)), ends, lengths)

    def forward(self, before: Tensor, shorter: Shorter, done: Tensor) -> tuple[Tensor, Tensor]:
        """Reads texts that are known. before: (batch, steps, width), the vectors of the tokens
        before each; done: (batch, steps), how many tokens are copied before each.

        Returns the logits of copying, (batch, steps), and what insertions follow from, (batch,
        steps, 3 units).
        """
        known, _ = self._read_on(before, shorter, done, self._first(shorter))
        return self._copies(known, shorter, done), known

    def inserted(self, known: Tensor) -> Tensor:
        """Logits of inserted tokens: (..., 3 units) -> (..., vocabulary)."""
        return self._embedding[0].logits(self.insert(known))

    def following(self, shorter: Shorter, done: Tensor) -> Tensor:
        """The tokens to copy after so many others, PAD after the last: (batch, steps)."""
        return F.pad(shorter.tokens, (0, 1)).gather(1, done)

    @torch.no_grad()
    def greedy(self, shorter: Shorter, length: int) -> Tensor:
        """At each step, the more probable of copying and inserting, and the most probable token to
        insert: (batch, length), PAD after the END, which follows when all are copied.
        """
        state, written = self._first(shorter), []
        token = torch.full_like(shorter.lengths, START)[:, None]
        done, ended = torch.zeros_like(token), torch.zeros_like(token, dtype=torch.bool)
        for step in range(length):
            known, state = self._read_on(self._embedding[0](token), shorter, done, state)
            left = shorter.lengths[:, None] - done
            copying = (self._copies(known, shorter, done) > 0) | (left >= length - step)
            copying = copying & (left > 0)
            logits = self.inserted(known)[..., END:]
            logits[..., 0].masked_fill_(left > 0, -math.inf)
            token = torch.where(copying, self.following(shorter, done), logits.argmax(2) + END)
            done, ended = done + copying.long(), ended | (token == END)
            written.append(token.masked_fill(ended, PAD))
        return torch.cat(written, 1)

    def _read_on(
        self, before: Tensor, shorter: Shorter, done: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        width = shorter.states.shape[2]
        context = shorter.states.gather(1, done[..., None].expand(-1, -1, width))
        out, state = self.gru(torch.cat([before, context], 2), state)
        return torch.cat([out, context], 2), state

    def _first(self, shorter: Shorter) -> Tensor:
        first: Tensor = self.begin(shorter.ends).tanh()[None]
        return first

    def _copies(self, known: Tensor, shorter: Shorter, done: Tensor) -> Tensor:
        left = done < shorter.lengths[:, None]
        return single(self.copy(known))[..., 0].masked_fill(~left, NEVER)
