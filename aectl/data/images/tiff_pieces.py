"""The strips and tiles of a TIFF page, decompressed within limits."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aectl.data.images.tiff_samples import dtype_of, spelt_value
from aectl.errors import ImageError

if TYPE_CHECKING:
    from tifffile import TiffPage

UNCOMPRESSED = 1

UNPACKED = {UNCOMPRESSED, 5, 8, 32773, 32946, 34925, 34926, 50000, 50013}
"""Compressions whose decoders never exceed the output size they are given: none, LZW, Deflate,
PackBits, LZMA and Zstandard."""

MOST_PIECES = 1 << 18
LARGEST_PIECE = 1 << 28
"""Maximum number of strips or tiles of an image, and maximum bytes of one."""


def pieces_of(content: bytes, page: "TiffPage") -> Iterator[tuple[NDArray[Any], int, int, int]]:
    """The values of each strip or tile, (rows, columns, samples), and its first row, column and
    sample. Raises ImageError if some are missing, or would take too much memory.
    """
    if page.compression not in UNPACKED:
        raise ImageError(
            f"is compressed in a way that is not read ({spelt_value(page.compression)}): save it"
            " uncompressed, or with LZW or Deflate"
        )
    if min(page.shaped) < 1:
        raise ImageError("has no pixels")
    pieces = math.prod(page.chunked)
    if pieces > MOST_PIECES:
        raise ImageError(
            f"is cut into more than {MOST_PIECES:,} strips or tiles: save it with larger ones"
        )
    if page.tags.valueof(273 if 273 in page.tags else 324) is None or pieces > len(
        page.dataoffsets
    ):
        raise ImageError("is truncated: it does not say where all of its pixels are")
    if page.is_final:
        yield from _planes(content, page)
        return
    if math.prod(page.chunks) * dtype_of(page).itemsize > LARGEST_PIECE:
        raise ImageError(
            f"has strips or tiles of more than {LARGEST_PIECE:,} bytes: save it with smaller ones"
        )
    if sum(min(count, len(content)) for count in page.databytecounts) > 8 * len(content):
        raise ImageError("is damaged: its strips or tiles overlap")
    for values, (sample, _, row, column, _), _ in _segments(page):
        if values is None:
            raise ImageError("is truncated: there are no data for some of its pixels")
        rows, columns = page.imagelength - row, page.imagewidth - column
        yield values[0, :rows, :columns], row, column, sample


def _segments(page: "TiffPage") -> Iterator[Any]:
    """The strips or tiles of a page as tifffile decodes them: values, place in the image, shape.

    They are decompressed here, because tifffile refuses a strip with more data than its pixels,
    such as a padded last strip; libtiff, which most programs use, does not.
    """
    from imagecodecs import bitorder_decode
    from tifffile import TIFF

    reversed_bits, decompress = page.fillorder == 2, None
    if page.compression != UNCOMPRESSED:
        decompress = TIFF.DECOMPRESSORS[page.compression]
    page.compression = page.fillorder = 1  # what is left for tifffile to decode
    size = math.prod(page.chunks) * dtype_of(page).itemsize
    stated = size // page.chunks[0] * int(page.tags.valueof(278, default=0))
    limit = min(LARGEST_PIECE, max(2 * size, stated))
    found: Any = page.parent.filehandle.read_segments(
        page.dataoffsets, page.databytecounts, length=math.prod(page.chunked), sort=False
    )
    for data, index in found:
        if data is not None and reversed_bits:
            data = bitorder_decode(data)
        if data is not None and decompress:
            try:
                data = decompress(data, out=size)
            except Exception:
                data = decompress(data, out=limit)
        yield page.decode(data, index, _fullsize=page.is_tiled)


def _planes(content: bytes, page: "TiffPage") -> Iterator[tuple[NDArray[Any], int, int, int]]:
    """The values of an uncompressed page, whose strips follow each other in the file."""
    dtype = dtype_of(page).newbyteorder(page.parent.byteorder)
    if min(sum(page.databytecounts), len(content) - page.dataoffsets[0]) < page.nbytes:
        raise ImageError("is truncated")
    values = np.frombuffer(content, dtype, page.size, page.dataoffsets[0]).reshape(page.shaped)
    for sample, plane in enumerate(values):
        yield plane[0], 0, 0, sample
