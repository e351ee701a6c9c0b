"""Synthetic vectors: sparse non-negative combinations of directions that are known.

A word such as `synthetic:directions=512,dim=128,active=5,n=100000` names them; it gives the same
vectors each time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aectl.config.declaration import near_miss
from aectl.data.vectors.vector_file import Floats32
from aectl.errors import DataError

SYNTHETIC = "synthetic"

SPLITS = "train", "test"

MOST_VALUES = 1 << 34
"""Numbers of a set of vectors, and of its directions, at most."""

BLOCK_VALUES = 1 << 22
"""Random numbers that are drawn at a time."""


@dataclass(frozen=True)
class Synthetic:
    """The options of synthetic vectors.

    x = sum_i c_i d_i + noise * e: the `directions` d_i have `dim` features and length 1; for each
    vector, `active` of them, drawn at random, have coefficients c_i, uniform between 0 and 1; e is
    standard normal. Each split has `n` vectors. The directions depend on `seed` alone, beside their
    number and their features.
    """

    directions: int = 512
    dim: int = 128
    active: int = 5
    n: int = 100_000
    seed: int = 0
    noise: float = 0.0

    @classmethod
    def of(cls, word: str) -> "Synthetic":
        """The options in a word. Raises DataError for others."""
        kinds = {name: type(value) for name, value in vars(cls()).items()}
        found: dict[str, int | float] = {}
        for part in filter(None, word.partition(":")[2].split(",")):
            name, _, value = part.partition("=")
            if name not in kinds:
                raise DataError(
                    f"{word}: there is no {name}, only {', '.join(kinds)}{near_miss(name, kinds)}"
                )
            if name in found:
                raise DataError(f"{word}: {name} is given twice")
            try:
                found[name] = kinds[name](value)
            except ValueError:
                whole = "whole " if kinds[name] is int else ""
                raise DataError(f"{word}: {name} must be a {whole}number") from None
        made = cls(**found)  # type: ignore[arg-type]
        made._check(word)
        return made

    def _check(self, word: str) -> None:
        for name in ("directions", "dim", "active", "n"):
            if getattr(self, name) < 1:
                raise DataError(f"{word}: {name} must be at least 1")
        if self.active > self.directions:
            raise DataError(
                f"{word}: of {self.directions:,} directions, {self.active:,} cannot be active"
            )
        if self.seed < 0 or not 0 <= self.noise < np.inf:
            raise DataError(f"{word}: seed and noise must be 0 or more")
        if max(self.n, self.directions) * self.dim > MOST_VALUES:
            raise DataError(f"{word}: these are more than {MOST_VALUES:,} numbers")

    def truth(self) -> Floats32:
        """The directions: (directions, dim), each of length 1."""
        drawn = np.random.default_rng((self.seed, len(SPLITS)))
        found = drawn.standard_normal((self.directions, self.dim))
        found /= np.sqrt(np.square(found).sum(1, keepdims=True))
        return found.astype(np.float32)

    def vectors(self, split: str) -> Floats32:
        """The vectors of a split: (n, dim)."""
        drawn = np.random.default_rng((self.seed, SPLITS.index(split)))
        truth, found = self.truth(), np.zeros((self.n, self.dim), np.float32)
        rows = max(1, BLOCK_VALUES // max(self.directions, self.dim))
        for first in range(0, self.n, rows):
            block = found[first : first + rows]
            places = self._places(drawn, len(block))
            coefficients = drawn.random(places.shape, np.float32)
            for place, coefficient in zip(places.T, coefficients.T, strict=True):
                block += coefficient[:, None] * truth[place]  # BLAS would round by the machine
            if self.noise:
                block += self.noise * drawn.standard_normal(block.shape, np.float32)
        return found

    def _places(self, drawn: np.random.Generator, rows: int) -> NDArray[np.int64]:
        """The directions that are active in each row, (rows, active), in ascending order."""
        keys = drawn.random((rows, self.directions), np.float32)
        places = keys.argpartition(self.active - 1, axis=1)[:, : self.active]
        return np.sort(places, 1)
