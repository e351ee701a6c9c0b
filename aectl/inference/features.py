"""The features that `encode` returns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.inference.results import Floats


@dataclass(frozen=True)
class Features:
    """The code, or the output of the hidden `layer`, from 1.

    `normalize`: "l2" scales each row to length 1 (a row of zeros is unchanged); `dtype`: the number
    format, float32 or float16.
    """

    layer: int | None = None
    normalize: str = "none"
    dtype: str = "float32"

    def of(self, code: Floats) -> NDArray[Any]:
        """Converts a code, (n, features), to the array that is written."""
        with np.errstate(all="ignore"):  # tables leave out rows that are not finite
            scaled = _of_length_one(code) if self.normalize == "l2" else code
            return scaled.astype(self.dtype, copy=False)


def _of_length_one(code: Floats) -> Floats:
    """Scales each row to length 1; first to a maximum of 1, so that no square overflows."""
    largest = np.abs(code).max(1, keepdims=True, initial=0)
    largest[largest == 0] = 1
    scaled = code / largest
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    found: Floats = scaled / lengths
    return found
