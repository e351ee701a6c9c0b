"""JPEG files with a depth other than 8 bits per sample, such as the 12 bits of medical images."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aectl.config.decoding import Decoding, Remark
from aectl.data.images.channels import rgb
from aectl.data.images.jpeg import Mended, with_bits
from aectl.data.images.levels import BLOCK, Levels
from aectl.errors import ImageError


def read(found: Mended, decoding: Decoding) -> tuple[Image.Image, tuple[Remark, ...]]:
    """The image in 8 bits of grey or RGB, before EXIF rotation, and the remarks on it.

    White is the largest number of that depth. Raises ImageError if that is in doubt, or if a
    lossless file has larger numbers, which its decoder does not clip.
    """
    levels = Levels("u", found.bits, decoding.value_range)
    shown = _shown(_values(found), levels)
    return Image.fromarray(shown), levels.remarks()


def _values(found: Mended) -> NDArray[np.unsignedinteger]:
    """The values of a file: (height, width, components). Raises ImageError as `read` does."""
    from imagecodecs import jpeg8_decode  # here, because at the top every worker would load it

    values: NDArray[np.unsignedinteger] = np.atleast_3d(
        jpeg8_decode(with_bits(found.content, found.bits))
    )
    largest = 2**found.bits - 1
    if values.max() <= largest:
        return values
    if not found.truncated:
        raise ImageError(f"is damaged: it has values of more than {found.bits} bits")
    return values.clip(None, largest, out=values)


def _shown(values: NDArray[np.unsignedinteger], levels: Levels) -> NDArray[np.uint8]:
    """Values, (height, width, components), in 8 bits: grey, (height, width), or RGB.

    Of four components, each is 255 minus the ink, as Pillow takes those of 8 bits.
    """
    shown = np.empty((*values.shape[:2], 1 if values.shape[2] == 1 else 3), np.uint8)
    rows = max(1, BLOCK // values.shape[1])
    for top in range(0, len(values), rows):
        colour = levels(values[top : top + rows])
        shown[top : top + rows] = rgb(255 - colour) if values.shape[2] == 4 else colour
    return shown[..., 0] if shown.shape[2] == 1 else shown
