"""PNM files of more than 8 bits, whose largest value (maxval) is white."""

import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aectl.config.decoding import Decoding, Remark
from aectl.data.images.levels import Levels
from aectl.errors import ImageError

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
HEADER = re.compile(rb"P([2356])" + 3 * (_GAP + rb"(\d{1,9})") + rb"\s")
"""The type of a grey or colour image, its width, its height and its maxval."""

LONGEST_HEADER = 1 << 16

LONGEST_PLAIN = 1 << 23
"""Maximum numbers of an image in plain text: each takes many bytes while it is read."""


def is_deep(content: bytes) -> bool:
    """Whether this is a PNM file of more than 8 bits."""
    header = HEADER.match(content, 0, LONGEST_HEADER)
    return header is not None and int(header[4]) > 255


def read(content: bytes, decoding: Decoding) -> tuple[Image.Image, tuple[Remark, ...]]:
    """The image of a PNM file of more than 8 bits, and the remarks on it. Raises ImageError."""
    header = HEADER.match(content, 0, LONGEST_HEADER)
    assert header is not None
    kind, width, height, maxval = map(int, header.groups())
    if maxval > 65535 or width * height == 0:
        raise ImageError("is damaged: its header has invalid numbers")
    if width * height > decoding.max_pixels:
        raise ImageError(decoding.too_large)
    colours = 1 if kind in (2, 5) else 3
    count = width * height * colours
    values = (
        _plain(content, header.end(), count) if kind < 4 else _raw(content, header.end(), count)
    )
    levels = Levels("u", 16, decoding.value_range, None if maxval == 65535 else (0, maxval))
    pixels = levels(values.reshape(height, width, colours))
    return Image.fromarray(pixels[..., 0] if colours == 1 else pixels), levels.remarks()


def _raw(content: bytes, start: int, count: int) -> NDArray[np.uint16]:
    """Values of two bytes, big-endian."""
    if len(content) < start + 2 * count:
        raise ImageError("is truncated")
    return np.frombuffer(content, ">u2", count, start)


def _plain(content: bytes, start: int, count: int) -> NDArray[np.int32]:
    """Values in decimal digits."""
    if count > LONGEST_PLAIN:
        raise ImageError(
            f"has more than {LONGEST_PLAIN:,} numbers in plain text: save it as binary PGM or PPM"
        )
    words = content[start:].split(maxsplit=count)[:count]
    if len(words) < count:
        raise ImageError("is truncated")
    if not all(map(bytes.isdigit, words)):
        raise ImageError("is damaged: it has pixels that are not numbers")
    return np.array(words, "S9").astype(np.int32)
