"""The hash of vectors and how their features vary, from one pass over them."""

import hashlib
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aectl.data.vectors.vector_file import Floats32

SAMPLED, SAMPLED_VALUES = 10_000, 1 << 26
"""Vectors, and values of them, from which standard deviations are computed, at most."""


class Survey:
    """One pass over vectors, (n, features), in blocks."""

    def __init__(self, count: int, features: int) -> None:
        most = max(1, min(SAMPLED, SAMPLED_VALUES // features))
        self._step, self._seen = -(-count // most), 0
        self._first: Floats32 | None = None
        self._some: list[Floats32] = []
        self.same = np.ones(features, bool)
        self.hash = hashlib.sha256()

    def add(self, block: Floats32) -> None:
        """Adds the next block."""
        self.hash.update(np.ascontiguousarray(block, "<f4").data)
        self._some.append(block[-self._seen % self._step :: self._step].copy())
        self._seen += len(block)
        if self._first is None:
            self._first = block[0].copy()
        if self.same.any():
            self.same &= (block == self._first).all(0)

    @cached_property
    def deviations(self) -> NDArray[np.float64]:
        """The standard deviation of each feature over some of the vectors, at equal distances; 0
        where all values are missing."""
        some = np.concatenate(self._some).astype(np.float64)
        there = np.isfinite(some)
        count = np.maximum(there.sum(0), 1)
        mean = np.where(there, some, 0).sum(0) / count
        squares = np.where(there, some - mean, 0) ** 2
        found: NDArray[np.float64] = np.sqrt(squares.sum(0) / count)
        return found
