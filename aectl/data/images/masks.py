"""Masks of defects in images, in the layout of MVTec AD: the mask of test/DEFECT/NAME.png is
ground_truth/DEFECT/NAME_mask.png; normal images, test/good/NAME.png, have none.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aectl.data.images.decode import decode
from aectl.errors import DataError, ImageError

GOOD, TRUTH = "good", "ground_truth"

WHITE = 128
"""The least grey of an anomalous pixel."""

Mask = NDArray[np.bool_]


def mask_of(path: str | Path, label: str, sides: tuple[int, int]) -> Mask | None:
    """The anomalous pixels of an image, (height, width), resized as the image is: those of which
    at least half is marked, or, where these are none, those of which most is; no pixels where the
    label is `good`. None for a defective image without a mask.

    Raises DataError for a mask that cannot be read, or in which nothing is marked.
    """
    if label == GOOD:
        return np.zeros(sides, np.bool_)
    path = Path(path).absolute()
    file = path.parent.parent.parent / TRUTH / path.parent.name / f"{path.stem}_mask.png"
    if not file.exists():
        return None
    try:
        grey = decode(file, (1, *sides))[0]
    except ImageError as error:
        raise DataError(f"{file}: {error}") from error
    if not grey.any():
        raise DataError(f"{file}: nothing is marked in this mask")
    marked: Mask = grey >= min(WHITE, grey.max())
    return marked
