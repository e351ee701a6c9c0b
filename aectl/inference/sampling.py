"""Some of the inputs of a stream: at equal distances, or those with the most extreme errors."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

Take = Callable[[Any, int], T]
"""Takes one input of a batch, which a row names, out of the batch."""


class Spread(Generic[T]):
    """Keeps every `step`-th input of a stream of unknown length: at most `most`, at least half of
    that.
    """

    def __init__(self, most: int, take: Take[T]) -> None:
        self._most, self._take, self._seen = most, take, 0
        self.step = 1
        self.kept: list[T] = []

    def add(self, batch: Any) -> None:
        """Adds a batch, which has `paths`."""
        for row in range(-self._seen % self.step, len(batch.paths), self.step):
            self.kept.append(self._take(batch, row))
        self._seen += len(batch.paths)
        while len(self.kept) > self._most:
            self.kept = self.kept[::2]
            self.step *= 2


class Extremes(Generic[T]):
    """Keeps the inputs with the smallest errors, or the largest, the most extreme first."""

    def __init__(self, most: int, take: Take[T], largest: bool = False) -> None:
        self._most, self._take = most, take
        self._sign = -1 if largest else 1
        self.kept: list[T] = []
        self.errors: NDArray[np.float32] = np.empty(0, np.float32)

    def add(self, batch: Any, errors: NDArray[np.float32]) -> None:
        """Adds a batch with the error of each input."""
        both = np.concatenate([self.errors, errors])
        order = np.argsort(self._sign * both, kind="stable")[: self._most]
        before = len(self.kept)
        self.kept = [
            self.kept[n] if n < before else self._take(batch, int(n) - before) for n in order
        ]
        self.errors = both[order]
