"""Shares of a batch: values and gradients are those of the whole batch in one process."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F

from aectl.models.whole_batch import BatchShare, WholeBatch

SHARES = [slice(0, 3), slice(3, 4), slice(4, 9)]


class Threads:
    """An exchange between threads, one for each share."""

    def __init__(self):
        self._barrier, self._sent = threading.Barrier(len(SHARES)), [None] * len(SHARES)

    def of(self, number):
        return _Seat(self, number)

    def stacked(self, number, own):
        self._sent[number] = own
        self._barrier.wait(300)
        found = list(self._sent)
        self._barrier.wait(300)
        return found


class _Seat:
    def __init__(self, threads, number):
        self._threads, self._number = threads, number

    def stacked(self, own):
        return self._threads.stacked(self._number, own)

    def summed(self, own):
        return torch.stack(self.stacked(own)).sum(0)

    def least(self, own):
        return torch.stack(self.stacked(own)).amin(0)


def rows(seed=0, count=9, units=4, ties=False):
    x = torch.randn(
        count, units, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return x.round() if ties else x


def in_shares(compute, x):
    """The results of `compute(share, rows)` of all shares, each a loss, and the gradient of the sum
    of the losses, each times its share of the rows."""
    threads = Threads()

    def one(number):
        share = BatchShare(SHARES, number, threads.of(number))
        own = x[SHARES[number]].clone().requires_grad_()
        loss = compute(share, own)
        (loss * share.fraction).backward()
        return loss.detach(), own.grad

    with ThreadPoolExecutor(len(SHARES)) as pool:
        found = list(pool.map(one, range(len(SHARES))))
    return [loss for loss, _ in found], torch.cat([gradient for _, gradient in found])


def alone(compute, x):
    x = x.clone().requires_grad_()
    loss = compute(WholeBatch(), x)
    loss.backward()
    return loss.detach(), x.grad


WEIGHTS = torch.linspace(0.1, 2, 4, dtype=torch.float64)

OF_ALL = {
    "average": lambda batch, x: (batch.average(x.sigmoid().mean(0)) * WEIGHTS).square().sum(),
    "total of a sum": lambda batch, x: (batch.total(x.sum(0)).sin() * WEIGHTS).sum(),
    "least": lambda batch, x: (batch.least(x) * WEIGHTS).relu().sum() + batch.least(x).exp().sum(),
    "variance": lambda batch, x: (batch.var_mean(x)[0].sqrt() * WEIGHTS).sum(),
}
"""Losses that are the same in all processes."""


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", OF_ALL)
def test_a_loss_of_the_whole_batch_has_its_gradient(name, ties):
    x = rows(ties=ties)
    expected, gradient = alone(OF_ALL[name], x)
    found, gradients = in_shares(OF_ALL[name], x)
    torch.testing.assert_close(torch.stack(found), expected.expand(len(SHARES)))
    torch.testing.assert_close(gradients, gradient)


def test_values_that_are_standardised_have_the_gradients_of_the_whole_batch():
    """Their losses differ between processes, and each depends on all rows."""

    def compute(batch, x):
        variance, mean = batch.var_mean(x)
        deviation = variance.sqrt()
        return ((x - mean) / deviation).sigmoid().square().sum(1).mean()

    x = rows()
    expected, gradient = alone(compute, x)
    found, gradients = in_shares(compute, x)
    torch.testing.assert_close(sum_of(found, x), expected)
    torch.testing.assert_close(gradients, gradient)


SELECTED = {
    "of all values": lambda batch, x: batch.largest(x.flatten(), 9).view_as(x),
    "all of them": lambda batch, x: batch.largest(x.flatten(), 36).view_as(x),
    "of each column": lambda batch, x: batch.largest(x, 2),
    "gathered": lambda batch, x: x * batch.mine((batch.gathered(x) > 0.5).double()),
}


@pytest.mark.parametrize("name", SELECTED)
def test_the_largest_of_the_whole_batch_are_kept(name):
    def compute(batch, x):
        kept = SELECTED[name](batch, x)
        return (kept * kept.detach()).sum(1).mean() + batch.rows(len(x))

    x = rows()
    expected, gradient = alone(compute, x)
    found, gradients = in_shares(compute, x)
    torch.testing.assert_close(sum_of(found, x), expected)
    torch.testing.assert_close(gradients, gradient)


def sum_of(found, x):
    """The mean over all rows of means over the rows of each share."""
    parts = torch.tensor([share.stop - share.start for share in SHARES]) / len(x)
    return (torch.stack(found) * parts).sum()


def test_random_changes_are_those_of_one_process():
    x = rows().float()
    torch.manual_seed(3)
    expected = F.dropout(torch.cat([x, x]), 0.4)
    expected = expected.view(2, 9, 4)
    for number, own in enumerate(SHARES):
        share = BatchShare(SHARES, number, Threads().of(number))
        torch.manual_seed(3)
        made = share.changed(lambda rows: F.dropout(rows, 0.4), torch.cat([x[own], x[own]]))
        assert made.equal(expected[:, own].flatten(0, 1))
