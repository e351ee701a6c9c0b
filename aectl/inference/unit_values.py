"""The values of units for a sample of inputs: histograms, and the inputs with the largest."""

import numpy as np
from numpy.typing import NDArray

from aectl.inference.findings import AnyFloats, UnitValues
from aectl.inference.results import Floats

BINS = 24


def values_of(responses: Floats, most: int) -> UnitValues:
    """A histogram of the values of each unit, and the `most` inputs with its largest ones.

    responses: (n, units).
    """
    counts, low, high = histograms(responses)
    order = np.argsort(-responses, axis=0, kind="stable")[:most].T
    values = np.take_along_axis(responses.T, order, axis=1).astype(np.float64)
    strongest = np.where(values > responses.min(0)[:, None], order, -1)
    return UnitValues(counts, low, high, strongest, values)


def histograms(responses: Floats) -> tuple[NDArray[np.int64], AnyFloats, AnyFloats]:
    """A histogram of the values of each unit other than 0, (units, BINS), and its ends, (units,).

    responses: (n, units).
    """
    responses = responses.astype(np.float64)  # in which no difference overflows
    there = np.where(responses == 0, np.nan, responses)
    nothing = ~(responses != 0).any(0)
    there[:, nothing] = 0
    low, high = np.nanmin(there, 0), np.nanmax(there, 0)
    width = np.where(high > low, high - low, 1)
    bins = np.nan_to_num((there - low) / width * BINS).astype(np.int64).clip(0, BINS - 1)
    of_unit = np.arange(responses.shape[1]) * BINS
    counted = (bins + of_unit)[responses != 0]
    counts = np.bincount(counted, minlength=responses.shape[1] * BINS).reshape(-1, BINS)
    return counts, low, high
