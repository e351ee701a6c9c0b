"""How far apart the outputs of two programs for the same inputs are."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


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
    mismatches = int(np.count_nonzero((found == 0) != (wanted == 0)))
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    with np.errstate(invalid="ignore"):
        apart = np.abs(found.astype(np.float64) - wanted.astype(np.float64))
    apart = np.where(same, 0.0, np.where(np.isfinite(apart), apart, np.inf))
    magnitudes = np.abs(np.where(np.isfinite(wanted), wanted, 0).astype(np.float64))
    difference, most = float(apart.max(initial=0.0)), float(magnitudes.max(initial=0.0))
    squares, usual = np.square(apart).sum(), np.square(magnitudes).sum()
    return Agreement(
        difference,
        difference / most if most else difference,
        float(np.sqrt(squares / usual)) if usual else difference,
        mismatches,
    )


def rows_in_batches(count: int, sizes: Sequence[int]) -> list[NDArray[np.int64]]:
    """The numbers of inputs of batches of some sizes, one after the other; where these are more
    than the `count` inputs, from the first again."""
    rows = np.arange(sum(sizes)) % count
    return np.split(rows, np.cumsum(sizes)[:-1])
