"""A training set of vectors in memory, scaled as its batches are made."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from aectl.models.placing import placed
from aectl.models.scaling import Scaling, scaled
from aectl.objectives.step import Batch, Drawn
from aectl.training.loop import CPU, batches_of


@dataclass(frozen=True)
class FloatSet:
    """Vectors as a training set, whose batches are made on `device`; several sets may share them.

    vectors: (n, features), float32, NaN where a value is missing; labels: (n,) or None; rows: (m,),
    those of the vectors that are of the set. `scaling`: that of the network, if it has one.
    """

    vectors: Tensor
    labels: Tensor | None
    rows: Tensor
    device: torch.device = CPU
    scaling: Scaling | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, rows: Tensor) -> "FloatSet":
        """Some of the set, by their places in it: (k,)."""
        return dataclasses.replace(self, rows=self.rows[rows.to(self.rows.device)])

    def whole(self) -> Batch:
        """All vectors as one batch."""
        return self._batch(self.rows)

    def shuffled(
        self, size: int, generator: torch.Generator, first: int = 0, epoch: int = 0
    ) -> Iterator[Drawn]:
        """Every vector once, in a random order, from batch number `first` on."""
        order = torch.randperm(len(self), generator=generator)
        rows = self.rows[placed(order, self.rows.device)]
        here = self.vectors.device.type == self.device.type
        return batches_of(torch.split(rows, size)[first:], self._batch, here)

    def in_order(self, size: int) -> Iterator[Batch]:
        """Every vector once, in the order of the set."""
        return map(self._batch, torch.split(self.rows, size))

    def unscaled(self, size: int) -> Iterator[Tensor]:
        """Every vector once, in the order of the set, as it is in the file: (size, features)."""
        for rows in torch.split(self.rows, size):
            yield self.vectors.index_select(0, rows).to(self.device)

    @torch.no_grad()
    def _batch(self, rows: Tensor, others: int = 0) -> Batch:
        vectors = placed(self.vectors.index_select(0, rows), self.device)
        labels = None if self.labels is None else placed(self.labels[rows], self.device)
        return Batch(scaled(self.scaling, vectors), labels, others)
