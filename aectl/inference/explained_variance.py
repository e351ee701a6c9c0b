"""Explained variance: 1 - sum (x - x')^2 / sum (x - mean)^2, over inputs that come in batches."""

from collections.abc import Iterator

import torch
from torch import Tensor

EPSILON = torch.finfo(torch.float64).eps

VALUES = 1 << 22
"""Number of values of a batch that are measured at a time."""


def explained_variance(squares: Tensor | float, variation: Tensor) -> Tensor:
    """1 - squared errors / variation, of the same shape; nan where there is no variation."""
    return (1 - squares / variation).where(variation > 0, torch.nan)


class Variation:
    """sum (x - mean)^2 of each feature, over all calls of `add`, in float64."""

    def __init__(self) -> None:
        self._inputs = 0

    def add(self, inputs: Tensor) -> None:
        """inputs: (batch, features)."""
        if self._inputs == 0:
            self._origin = inputs[0].double()
            self._sums, self._squares = self._origin.new_zeros((2, len(self._origin)))
        self._inputs += len(inputs)
        for part in parts(*inputs.shape):
            # from an origin near the mean, so that no variance is a small difference of large sums
            x = inputs[:, part].double() - self._origin[part]
            self._sums[part] += x.sum(0)
            self._squares[part] += x.square().sum(0)

    @property
    def of_features(self) -> Tensor:
        """(features,); 0 where it is within the rounding errors of the sums."""
        variation = self._squares - self._sums.square() / self._inputs
        sound = variation > self._inputs * EPSILON * self._squares
        found: Tensor = variation.where(sound, 0.0)
        return found

    @property
    def total(self) -> Tensor:
        """The sum over all features."""
        return self.of_features.sum()


def parts(rows: int, columns: int) -> Iterator[slice]:
    """Slices of the columns of a matrix that need little memory as 64-bit floats."""
    at_once = max(1, VALUES // rows)
    return (slice(first, first + at_once) for first in range(0, columns, at_once))
