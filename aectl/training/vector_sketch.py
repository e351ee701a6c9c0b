"""The size of a training on vectors."""

from dataclasses import dataclass

import torch

from aectl.objectives.step import Batch
from aectl.training.memory_sketch import MemorySketch
from aectl.training.scale import Change, Sketch


@dataclass(frozen=True)
class VectorSketch(MemorySketch):
    """A training on vectors."""

    def batch(self, count: int) -> Batch:
        """Vectors, and labels for a classifier."""
        vectors = torch.empty(count, self.architecture.vector.features)
        labels = torch.empty(count, dtype=torch.int64) if self.architecture.classes else None
        return Batch(vectors, labels)

    def resized(self) -> Change:
        """None that makes anything smaller: vectors have the features that they have."""

        def same(_: int) -> tuple[Sketch, str]:
            return self, ""

        return Change(1, same)
