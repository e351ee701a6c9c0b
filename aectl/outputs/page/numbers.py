"""Numbers as a page has them: rounded, and null where they are not finite."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.inference.findings import UnitValues

DIGITS = 4


def rounded(values: NDArray[np.floating[Any]]) -> list[Any]:
    """Rounded numbers as nested lists; a number that is not finite is null."""
    if values.ndim > 1:
        return [rounded(row) for row in values]
    return [finite(value) for value in values.tolist()]


def finite(value: float | None) -> float | None:
    """A rounded number; None if it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def of_units(values: UnitValues) -> dict[str, Any]:
    """The values of units for a sample."""
    return {
        "counts": values.counts.tolist(),
        "low": rounded(values.low),
        "high": rounded(values.high),
        "strongest": values.strongest.tolist(),
        "values": rounded(values.values),
    }
