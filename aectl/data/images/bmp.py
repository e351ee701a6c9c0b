"""BMP files with masks, which state the bits of each colour in a pixel of 16 or 32 bits."""

import struct
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aectl.config.decoding import Decoding
from aectl.data.images.levels import BLOCK
from aectl.errors import ImageError

HEADER = struct.Struct("<2s8xIIiiHHI")
"""The file header, and of the image header: its size, width, height, planes, depth, compression."""

BITFIELDS, ALPHA_BITFIELDS = 3, 6
"""Compressions that mean that there are masks."""

MASKS_AT, MASKS = 54, struct.Struct("<4I")
"""Offset of the masks of red, green, blue and alpha, in every version of the header."""

ALPHA_IN_HEADER = 56
"""Minimum size of a header that has a mask of alpha."""


class _Header(NamedTuple):
    """The header; `start`: the offset of the pixels; `height` is negative if the top row is first;
    a mask of 0 is missing.
    """

    start: int
    width: int
    height: int
    depth: int
    masks: tuple[int, ...]

    @classmethod
    def of(cls, content: bytes) -> Self | None:
        """The header of a file; None if it is not a BMP with masks."""
        if len(content) < MASKS_AT + MASKS.size or not content.startswith(b"BM"):
            return None
        _, start, size, width, height, _, depth, compression = HEADER.unpack_from(content)
        if compression not in (BITFIELDS, ALPHA_BITFIELDS) or depth not in (16, 32):
            return None
        *colours, alpha = MASKS.unpack_from(content, MASKS_AT)
        has_alpha = size >= ALPHA_IN_HEADER or compression == ALPHA_BITFIELDS
        return cls(start, width, height, depth, (*colours, alpha if has_alpha else 0))


def has_masks(content: bytes) -> bool:
    """Whether this is a BMP with masks."""
    return _Header.of(content) is not None


def read(content: bytes, decoding: Decoding) -> Image.Image:
    """The image of a BMP with masks, in RGB or RGBA. An alpha of 0 in all pixels is ignored, as all
    programs do. Raises ImageError.
    """
    header = _Header.of(content)
    assert header is not None
    if header.width < 1 or header.height == 0 or header.start < MASKS_AT:
        raise ImageError("is damaged: its header has invalid numbers")
    if header.width * abs(header.height) > decoding.max_pixels:
        raise ImageError(decoding.too_large)
    pixels = _pixels(content, header)
    masks = header.masks if header.masks[3] else header.masks[:3]
    shown = np.empty((*pixels.shape, len(masks)), np.uint8)
    rows = max(1, BLOCK // header.width)
    for top in range(0, len(pixels), rows):
        for channel, mask in enumerate(masks):
            shown[top : top + rows, :, channel] = _channel(pixels[top : top + rows], mask)
    return Image.fromarray(shown if shown[..., 3:].any() else shown[..., :3])


def _pixels(content: bytes, header: _Header) -> NDArray[np.unsignedinteger]:
    """The pixels, (height, width), from the top. A row in the file has a multiple of 4 bytes."""
    bytes_each, height = header.depth // 8, abs(header.height)
    row = -(-header.width * bytes_each // 4) * 4 // bytes_each
    if len(content) < header.start + height * row * bytes_each:
        raise ImageError("is truncated")
    values = np.frombuffer(content, f"<u{bytes_each}", height * row, header.start)
    pixels = values.reshape(height, row)[:, : header.width]
    return pixels if header.height < 0 else pixels[::-1]


def _channel(pixels: NDArray[np.unsignedinteger], mask: int) -> NDArray[np.uint8]:
    """The bits of a mask, scaled to 8."""
    if not mask:
        return np.zeros(pixels.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    largest = mask >> shift
    if largest == 255 and shift % 8 == 0:  # a whole byte
        return pixels.view(np.uint8)[:, shift // 8 :: pixels.itemsize]
    scaled: NDArray[np.uint8] = np.rint((pixels >> shift & largest) * (255 / largest)).astype("u1")
    return scaled
