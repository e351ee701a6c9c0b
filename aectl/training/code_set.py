"""A training set of codes that another network computes once: vectors, or maps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from aectl.models.placing import placed
from aectl.objectives.step import Batch, Drawn
from aectl.training import distributed
from aectl.training.loop import MemorySet, batches_of

FEW = 20
"""Images that are encoded between two reports of progress, where each is encoded alone."""


@dataclass(frozen=True)
class CodeSet:
    """Codes, (n, ...), with their labels, (n,), or without, as a training set."""

    codes: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def shuffled(
        self, size: int, generator: torch.Generator, first: int = 0, epoch: int = 0
    ) -> Iterator[Drawn]:
        """Every code once, in a random order, from batch number `first` on."""
        order = torch.randperm(len(self), generator=generator)
        if size >= len(self) and self.labels is not None:
            # their order has no effect, and a copy takes as much memory again
            codes, others = distributed.mine(self.codes)
            return iter([Batch(codes, distributed.mine(self.labels)[0], others)][first:])
        rows = placed(order, self.codes.device)
        return batches_of(torch.split(rows, size)[first:], self._batch, here=True)

    def in_order(self, size: int) -> Iterator[Batch]:
        """Every code once, in the order of the set."""
        slices = (slice(start, start + size) for start in range(0, len(self), size))
        return map(self._batch, slices)

    def spaced(self, count: int) -> "CodeSet":
        """Every n-th code, at most `count`, in the same memory."""
        step = slice(None, None, max(1, -(-len(self) // count)))
        batch = self._batch(step)
        return CodeSet(batch.inputs, batch.labels)

    def _batch(self, rows: Tensor | slice, others: int = 0) -> Batch:
        labels = None if self.labels is None else self.labels[rows]
        return Batch(self.codes[rows], labels, others)


def fill(
    codes: Tensor, images: MemorySet, encode: Callable[[Tensor], Tensor], size: int
) -> Iterator[int]:
    """Computes the codes of images, (n, ...), `size` images at a time; yields how many are new."""
    batches = images.in_order(size) if len(images) else ()
    for rows, batch in zip(torch.split(codes, size), batches, strict=False):
        with torch.no_grad():
            rows.copy_(encode(batch.inputs))
        yield len(rows)
