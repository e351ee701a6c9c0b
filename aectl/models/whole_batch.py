"""The whole batch of a training step, of which a process may have but some rows.

Rules and losses that look at more than one input of a batch ask `whole()`. In one process its
functions give back what they take.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class WholeBatch:
    """A batch all of whose rows are here."""

    def rows(self, own: int) -> int:
        """The number of rows of the whole batch, of which `own` are here."""
        return own

    def total(self, own: Tensor) -> Tensor:
        """The sum of a tensor that each process has; it has a gradient."""
        return own

    def average(self, own: Tensor) -> Tensor:
        """The mean over the whole batch, from that over the rows that are here."""
        return own

    def var_mean(self, own: Tensor) -> tuple[Tensor, Tensor]:
        """The variance and the mean of each column of the whole batch: (batch, n) -> (n,) both."""
        return torch.var_mean(own, 0, correction=0)

    def gathered(self, own: Tensor) -> Tensor:
        """The rows of the whole batch, from those that are here, without a gradient."""
        return own

    def mine(self, rows: Tensor) -> Tensor:
        """The rows that are here, of those of the whole batch."""
        return rows

    def changed(self, change: Callable[[Tensor], Tensor], own: Tensor) -> Tensor:
        """The rows after a random change, with the random numbers that one process would draw."""
        return change(own)

    def least(self, own: Tensor) -> Tensor:
        """The smallest value of each column of the whole batch: (batch, n) -> (n,)."""
        return own.amin(0)

    def nth_largest(self, own: Tensor, count: int) -> Tensor:
        """The smallest of the `count` largest values of the whole batch, without a gradient."""
        return own.detach().topk(count, 0).values[-1]

    def largest(self, own: Tensor, count: int) -> Tensor:
        """Keeps the `count` largest values of the whole batch, or of each of its columns; others
        become 0. `own`: (m,) or (batch, n), the values that are here.
        """
        return largest(own, count, 0)


class Exchange(Protocol):
    """Exchanges tensors of one shape between processes; none has a gradient."""

    def summed(self, own: Tensor) -> Tensor:
        """The sum of those of all processes."""

    def least(self, own: Tensor) -> Tensor:
        """The smallest values of those of all processes."""

    def stacked(self, own: Tensor) -> list[Tensor]:
        """Those of all processes, in their order."""


class BatchShare(WholeBatch):
    """A batch of which rows `shares[number]` are here, and others in other processes."""

    def __init__(self, shares: list[slice], number: int, exchange: Exchange) -> None:
        self._shares, self._own, self._exchange = shares, shares[number], exchange
        self._rows: int = shares[-1].stop
        self.fraction = _length(self._own) / self._rows

    def rows(self, own: int) -> int:
        """The number of rows of the whole batch."""
        return self._rows

    def total(self, own: Tensor) -> Tensor:
        """The sum over all processes."""
        found: Tensor = _Sum.apply(own, self._exchange)
        return found

    def average(self, own: Tensor) -> Tensor:
        """The mean over the whole batch: that of each process counts with its number of rows."""
        return self.total(own * self.fraction)

    def var_mean(self, own: Tensor) -> tuple[Tensor, Tensor]:
        """The variance around the mean of all rows."""
        mean = self.average(own.mean(0))
        return self.average((own - mean).square().mean(0)), mean

    def gathered(self, own: Tensor) -> Tensor:
        """The rows of all processes; each sends as many, of which the last may be empty."""
        most = max(map(_length, self._shares))
        sent = own.new_zeros(most, *own.shape[1:])
        sent[: len(own)] = own.detach()
        found = self._exchange.stacked(sent)
        rows = zip(found, self._shares, strict=True)
        return torch.cat([one[: _length(share)] for one, share in rows])

    def mine(self, rows: Tensor) -> Tensor:
        """The rows of this process."""
        return rows[self._own]

    def changed(self, change: Callable[[Tensor], Tensor], own: Tensor) -> Tensor:
        """Changes a batch with zeros for the rows that are not here. `own` may hold its rows
        several times, one copy of all after another."""
        times, length = len(own) // _length(self._own), _length(self._own)
        whole = own.new_zeros(times, self._rows, *own.shape[1:])
        whole[:, self._own] = own.view(times, length, *own.shape[1:])
        made = change(whole.flatten(0, 1))
        return made.view(times, self._rows, *made.shape[1:])[:, self._own].flatten(0, 1)

    def least(self, own: Tensor) -> Tensor:
        """Its gradient is shared by all rows that have the smallest value, as with `amin`."""
        least = self._exchange.least(own.detach().amin(0))
        if not own.requires_grad:
            return least
        at = own == least
        count = self._exchange.summed(at.sum(0).to(own.dtype))
        return self.total(own.where(at, 0.0).sum(0) / count)

    def nth_largest(self, own: Tensor, count: int) -> Tensor:
        """It is among the `count` largest of some process."""
        found = own.detach().topk(min(count, len(own)), 0).values
        sent = own.new_full((count, *own.shape[1:]), -torch.inf)
        sent[: len(found)] = found
        return torch.cat(self._exchange.stacked(sent)).topk(count, 0).values[-1]

    def largest(self, own: Tensor, count: int) -> Tensor:
        """Keeps what is not below the smallest of the `count` largest values."""
        return own.where(own >= self.nth_largest(own, count), 0.0)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; the gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, exchange: Exchange) -> Tensor:
        ctx.exchange = exchange
        return exchange.summed(own)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Sum.apply(gradient, ctx.exchange), None


_NOW = [WholeBatch()]


def whole() -> WholeBatch:
    """The whole batch of the current step."""
    return _NOW[-1]


@contextlib.contextmanager
def within(batch: WholeBatch) -> Iterator[None]:
    """Makes a batch that of the steps in the block."""
    _NOW.append(batch)
    try:
        yield
    finally:
        _NOW.pop()


class Dropout(nn.Dropout):
    """Dropout as in torch (Srivastava et al. 2014), of the rows of the whole batch."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ...) -> the same."""
        return whole().changed(super().forward, x) if self.training and self.p else x


def largest(code: Tensor, count: int, dim: int) -> Tensor:
    """Keeps the `count` largest values along a dimension; all others become 0."""
    if count >= code.shape[dim]:
        return code
    found = code.topk(count, dim, sorted=False)
    return torch.zeros_like(code).scatter(dim, found.indices, found.values)


def _length(rows: slice) -> int:
    found: int = rows.stop - rows.start
    return found
