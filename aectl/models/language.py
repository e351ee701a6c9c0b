"""Recurrent networks that read and write text: components of the text autoencoders.

A text is a row of tokens, (length,), int64, padded with `PAD` after its end; padding does not
change any result.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.config.shapes import END, PAD, START
from aectl.models.precision import single
from aectl.models.whole_batch import Dropout

DROPOUT = 0.3
"""Fraction of the embeddings' values that are dropped when a language model is trained."""


def drawn_normal(*shape: int, over: float = 1.0) -> Tensor:
    """A tensor drawn from the standard normal distribution, divided by `over`."""
    return torch.empty(shape).normal_().div_(over)


class Embedding(nn.Module):
    """The vectors of all tokens, the rows of `weight`, (vocabulary, width), which are used both to
    read tokens and to predict them (Press & Wolf 2017, tied weights).
    """

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(drawn_normal(vocabulary, width, over=math.sqrt(width)))
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (...) -> (..., width)."""
        return F.embedding(tokens, self.weight)

    def before(self, tokens: Tensor) -> Tensor:
        """The vectors of the tokens before each of tokens (batch, length): (batch, length, width),
        that of START first.
        """
        start = self.weight[START].expand(tokens.shape[0], 1, -1)
        return torch.cat([start, self(tokens[:, :-1])], 1)

    def logits(self, predicted: Tensor) -> Tensor:
        """predicted (..., width) -> (..., vocabulary)."""
        return single(F.linear(predicted, self.weight, self.bias))


class Reader(nn.Module):
    """Two GRUs that read a text, one from each end (Schuster & Paliwal 1997)."""

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.onwards = nn.GRU(width, units, batch_first=True)
        self.backwards = nn.GRU(width, units, batch_first=True)

    def forward(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """embedded (batch, length, width), lengths (batch,) -> the states of both at each token,
        (batch, length, 2 units), and their last states, (batch, 2 units).
        """
        onward = self.onwards(embedded)[0]
        backward = self.backwards(_turned(embedded, lengths))[0]
        last = (lengths - 1)[:, None, None].expand(-1, 1, onward.shape[2])
        ends = torch.cat([onward.gather(1, last), backward.gather(1, last)], 2)[:, 0]
        return torch.cat([onward, _turned(backward, lengths)], 2), ends


class Writer(nn.Module):
    """A GRU that predicts a text token by token, from the tokens before and a context.

    The context, (batch, steps, context), is a vector for each token that is predicted, and an input
    of the GRU and of the prediction; the first state of the GRU is computed from `start`, (batch,
    context).
    """

    def __init__(self, embedding: Embedding, context: int, units: int) -> None:
        super().__init__()
        width = embedding.weight.shape[1]
        self._embedding = (embedding,)  # in a tuple, so that its weights are not registered twice
        self.begin = nn.Linear(context, units) if context else None
        self.gru = nn.GRU(width + context, units, batch_first=True)
        self.predict = nn.Linear(units + context, width)

    def forward(self, before: Tensor, context: Tensor | None, start: Tensor | None) -> Tensor:
        """before (batch, steps, width), the vectors of the tokens before each -> logits (batch,
        steps, vocabulary).
        """
        known = before if context is None else torch.cat([before, context], 2)
        return self._logits(self.gru(known, self._first(start))[0], context)

    @torch.no_grad()
    def greedy(self, context: Tensor, start: Tensor) -> Tensor:
        """The most probable token at each step -> (batch, steps), PAD after the end."""
        state, written = self._first(start), []
        tokens = torch.full((start.shape[0], 1), START, device=start.device)
        ended = tokens == END
        for step in range(context.shape[1]):
            here = context[:, step : step + 1]
            out, state = self.gru(torch.cat([self._embedding[0](tokens), here], 2), state)
            tokens = self._logits(out, here)[..., END:].argmax(2) + END
            ended = ended | (tokens == END)
            written.append(tokens.masked_fill(ended, PAD))
        return torch.cat(written, 1)

    def _first(self, start: Tensor | None) -> Tensor | None:
        if start is None or self.begin is None:
            return None
        first: Tensor = self.begin(start).tanh()[None]
        return first

    def _logits(self, out: Tensor, context: Tensor | None) -> Tensor:
        known = out if context is None else torch.cat([out, context], 2)
        return self._embedding[0].logits(self.predict(known))


class LanguageModel(nn.Module):
    """A GRU that predicts each token of a text from the tokens before it."""

    def __init__(self, vocabulary: int, width: int, units: int) -> None:
        super().__init__()
        self.embedding = Embedding(vocabulary, width)
        self.dropout = Dropout(DROPOUT)
        self.writer = Writer(self.embedding, 0, units)

    def predict(self, tokens: Tensor) -> Tensor:
        """tokens (batch, length) -> logits of each token, given those before it: (batch, length,
        vocabulary).
        """
        before = self.dropout(self.embedding.before(tokens))
        logits: Tensor = self.writer(before, None, None)
        return logits

    def nats(self, tokens: Tensor) -> Tensor:
        """-log p of each text and of its END, in nats; tokens (batch, length) -> (batch,)."""
        ended = with_end(tokens)
        if not self.training:  # in training, a batch has the width of its longest text
            ended = ended[:, : longest(ended != PAD)]
        return nats_of_texts(self.predict(ended), ended)


def with_end(tokens: Tensor) -> Tensor:
    """tokens (batch, length) -> (batch, length + 1), END after the last of each."""
    longer = F.pad(tokens, (0, 1), value=PAD)
    return longer.scatter(1, lengths_of(tokens)[:, None], END)


def lengths_of(tokens: Tensor) -> Tensor:
    """tokens (batch, length) -> how many are not PAD: (batch,)."""
    return (tokens != PAD).sum(1)


def longest(there: Tensor) -> int:
    """How many columns have all values that are True, which come first in each row, (batch,
    columns); where to know it is to wait for a device, and in an exported program, all.
    """
    known = there.is_cpu and not torch.compiler.is_exporting()
    return int(there.sum(1).max()) if known else there.shape[1]


def nats_of_texts(logits: Tensor, tokens: Tensor) -> Tensor:
    """-log p of each text, in nats, summed over the tokens that are not PAD: (batch,).

    logits: (batch, length, vocabulary), tokens: (batch, length).
    """
    if torch.compiler.is_exporting():  # ONNX has no cross-entropy with any number of texts
        found = logits.log_softmax(2).gather(2, tokens[..., None])[..., 0]
        return -found.masked_fill(tokens == PAD, 0).sum(1)
    nats = F.cross_entropy(
        logits.flatten(0, 1), tokens.flatten(), ignore_index=PAD, reduction="none"
    )
    return nats.view_as(tokens).sum(1)


def _turned(rows: Tensor, lengths: Tensor) -> Tensor:
    """Reverses each row up to its length; the padding after it stays in place."""
    places = torch.arange(rows.shape[1], device=rows.device)[None]
    source = torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
    return rows.gather(1, source[..., None].expand_as(rows))
