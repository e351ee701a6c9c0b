"""How far apart the outputs of two programs for the same inputs are."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 20
"""Numbers that are compared at a time: codes of many units take much memory in 64 bits."""


class Agreement(NamedTuple):
    """The largest absolute `difference` of any two numbers; the same `relative` to the largest
    magnitude of those that are wanted; the root mean square of the differences, relative to that of
    those that are wanted, `relative_rms`; and `mismatches`, how many are 0 in one output alone."""

    difference: float
    relative: float
    relative_rms: float
    mismatches: int


def agreement(found: NDArray[Any], wanted: NDArray[Any]) -> Agreement:
    """That of two outputs; infinite if their shapes differ, or one has a number that is not finite
    where the other has another."""
    if found.shape != wanted.shape:
        return Agreement(np.inf, np.inf, np.inf, 0)
    difference = most = squares = usual = 0.0
    mismatches, pairs = 0, (found.reshape(-1), wanted.reshape(-1))
    for start in range(0, found.size, BLOCK):
        some, others = (one[start : start + BLOCK] for one in pairs)
        mismatches += int(np.count_nonzero((some == 0) != (others == 0)))
        apart, magnitudes = _apart(some, others)
        difference = max(difference, float(apart.max()))
        most = max(most, float(magnitudes.max()))
        squares += float(np.square(apart).sum())
        usual += float(np.square(magnitudes).sum())
    return Agreement(
        difference,
        difference / most if most else difference,
        math.sqrt(squares / usual) if usual else difference,
        mismatches,
    )


def _apart(found: NDArray[Any], wanted: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The differences of numbers, and the magnitudes of those wanted that are finite; float64."""
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    with np.errstate(invalid="ignore"):
        apart = np.abs(found.astype(np.float64) - wanted.astype(np.float64))
    apart = np.where(same, 0.0, np.where(np.isfinite(apart), apart, np.inf))
    return apart, np.abs(np.where(np.isfinite(wanted), wanted, 0).astype(np.float64))


def rows_in_batches(count: int, sizes: Sequence[int]) -> list[NDArray[np.int64]]:
    """The numbers of inputs of batches of some sizes, one after the other; where these are more
    than the `count` inputs, from the first again."""
    rows = np.arange(sum(sizes)) % count
    return np.split(rows, np.cumsum(sizes)[:-1])
