"""TIFF files: reads the first page, of any depth, layout and colours, as an image of 8 bits."""

import io
import logging
import struct
from collections.abc import Iterator
from functools import cache
from itertools import count, islice
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from aectl.config.decoding import Decoding, Remark
from aectl.data.images.channels import over_white, rgb
from aectl.data.images.levels import BLOCK, Levels, Opacity
from aectl.data.images.tiff_pieces import pieces_of
from aectl.data.images.tiff_plain import (
    COMPRESSION,
    HEIGHT,
    LZW,
    PACKBITS,
    WIDTH,
    plain_pixels,
    plain_tags,
)
from aectl.data.images.tiff_samples import (
    CMYK,
    MIN_IS_WHITE,
    PALETTE,
    YCBCR,
    Samples,
    levels_of,
    opacity_of,
    palette_of,
    samples_of,
    spelt_value,
)
from aectl.errors import ImageError

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""The first bytes of TIFF and of BigTIFF files."""

BY_PILLOW = {2: 1, 3: 1, 4: 1, 6: 8, 7: 8}
"""Compressions that libtiff decodes, CCITT and JPEG, with the bits of a sample that they have."""

PAGES_LOOKED_AT = 16
"""Maximum number of pages that are searched for two that are neither preview nor mask."""

PREVIEW_OR_MASK = 1 | 4
"""Bits of NewSubfileType: a reduced copy of another page, or a mask for one."""


def is_tiff(content: bytes) -> bool:
    """Whether the content of a file has the signature of a TIFF."""
    return content.startswith(SIGNATURES)


def read(content: bytes, decoding: Decoding) -> tuple[Image.Image, tuple[Remark, ...]]:
    """The first page that is not a preview, and the remarks on it.

    The image is loaded, not yet rotated: its orientation is in its EXIF data. Raises ImageError.
    """
    try:
        return _read(content, decoding)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError("is not a sound TIFF file") from error
    except Exception as error:  # of tifffile, imagecodecs, NumPy or Pillow
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"is not a sound TIFF file: {reason}") from error


def _read(content: bytes, decoding: Decoding) -> tuple[Image.Image, tuple[Remark, ...]]:
    if plain := _plain(content, decoding):
        return plain, ()
    import tifffile

    _silence()
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page, remarks = _first_page(file)
        if page.imagewidth * page.imagelength > decoding.max_pixels:
            raise ImageError(decoding.too_large)
        if page.bitspersample != BY_PILLOW.get(page.compression, page.bitspersample):
            raise ImageError(
                f"is compressed by {spelt_value(page.compression)} with {page.bitspersample} bits a"
                " sample, which is not read: save it uncompressed, or with LZW or Deflate"
            )
        if page.compression in BY_PILLOW or (page.photometric == YCBCR and page.bitspersample == 8):
            return _by_pillow(content, page.index, decoding), remarks
        image, more = _by_tifffile(content, page, decoding)
    _describe(image, page)
    return image, (*remarks, *more)


@cache
def _silence() -> None:
    """Turns off the libraries' warnings of flaws that they correct; cached to save time."""
    for library in ("tifffile", "imagecodecs"):
        logging.getLogger(library).setLevel(logging.CRITICAL)


def _first_page(file: "TiffFile") -> tuple["TiffPage", tuple[Remark, ...]]:
    """The first page that is neither preview nor mask, and whether there are further ones."""
    found = islice(_pages(file), PAGES_LOOKED_AT)
    pages = list(islice((x for x in found if not x.subfiletype & PREVIEW_OR_MASK), 2))
    stacked = file.is_imagej and (file.imagej_metadata or {}).get("images", 1) > 1
    remarks = (Remark.PAGES,) if len(pages) > 1 or stacked else ()
    return pages[0] if pages else file.pages.first, remarks


def _pages(file: "TiffFile") -> Iterator["TiffPage"]:
    """The pages before the first damaged one."""
    yield file.pages.first
    for number in count(1):
        try:
            page = file.pages[number]
        except Exception:
            return
        yield cast("TiffPage", page)


def _plain(content: bytes, decoding: Decoding) -> Image.Image | None:
    """The image of a simple file, which is read faster without tifffile; None of any other."""
    try:
        tags = plain_tags(content)
    except struct.error:  # of a truncated directory, of which tifffile reads what is there
        return None
    if tags is None:
        return None
    if tags[COMPRESSION][0] in (LZW, PACKBITS):
        return _by_pillow(content, 0, decoding)  # in half the time
    if tags[WIDTH][0] * tags[HEIGHT][0] > decoding.max_pixels:
        raise ImageError(decoding.too_large)
    pixels = plain_pixels(content, tags)
    if pixels is None:
        return None
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _by_pillow(content: bytes, number: int, decoding: Decoding) -> Image.Image:
    """Decodes a page of 8 bits by libtiff, in colours that Pillow supports."""
    from PIL import TiffImagePlugin  # here, because at the top every worker would load it

    TiffImagePlugin.READ_LIBTIFF = True  # Pillow itself knows no subsampled colours
    image = Image.open(io.BytesIO(content), formats=["TIFF"])
    image.seek(number)
    if image.width * image.height > decoding.max_pixels:
        raise ImageError(decoding.too_large)
    image.load()
    return image


def _by_tifffile(
    content: bytes, page: "TiffPage", decoding: Decoding
) -> tuple[Image.Image, tuple[Remark, ...]]:
    samples = samples_of(page)
    levels = levels_of(page, decoding)
    opacity = None if samples.alpha is None else opacity_of(page)
    palette = palette_of(page) if page.photometric == PALETTE else None
    read = levels if palette is None else None
    channels = _channels(content, page, samples, read, opacity)
    if opacity:
        opacity.check()
    shown = _shown(channels, page, samples, palette)
    remarks = (*samples.remarks, *(() if palette is not None else levels.remarks()))
    return Image.fromarray(shown), remarks


def _channels(
    content: bytes,
    page: "TiffPage",
    samples: "Samples",
    levels: Levels | None,
    opacity: Opacity | None,
) -> NDArray[Any]:
    """Colours, then alpha if any: (height, width, channels); unscaled if `levels` is None."""
    colours, alpha = samples.colours, samples.alpha
    kept = page.imagelength, page.imagewidth, colours + (opacity is not None)
    pixels = np.empty(kept, np.uint16 if levels is None else np.uint8)
    for values, row, column, first in pieces_of(content, page):
        into = pixels[row : row + values.shape[0], column : column + values.shape[1]]
        last = min(colours, first + values.shape[2])
        if first < last:
            part = values[..., : last - first]
            into[..., first:last] = part if levels is None else levels(part)
        if opacity and alpha is not None and first <= alpha < first + values.shape[2]:
            into[..., -1] = opacity(values[..., alpha - first])
    return pixels


def _shown(
    pixels: NDArray[Any],
    page: "TiffPage",
    samples: Samples,
    palette: NDArray[np.uint8] | None,
) -> NDArray[np.uint8]:
    """The image in grey, (height, width), or RGB, with transparency laid over white."""
    grey = samples.colours == 1 and palette is None
    if samples.alpha is None and page.photometric not in (MIN_IS_WHITE, PALETTE, CMYK):
        return pixels[..., 0] if grey else pixels
    shown = np.empty((*pixels.shape[:2], 1 if grey else 3), np.uint8)
    rows = max(1, BLOCK // pixels.shape[1])
    for top in range(0, len(pixels), rows):
        part = pixels[top : top + rows]
        colour = part[..., : samples.colours]
        if palette is not None:
            colour = palette[part[..., 0]]
        elif page.photometric == MIN_IS_WHITE:
            colour = 255 - colour
        elif page.photometric == CMYK:
            colour = rgb(colour)
        if samples.alpha is not None:
            colour = over_white(colour, part[..., -1:], samples.associated)
        shown[top : top + rows] = colour
    return shown[..., 0] if grey else shown


def _describe(image: Image.Image, page: "TiffPage") -> None:
    """Stores the orientation, or the XMP that may hold it, where Pillow looks for them."""
    orientation, xmp = page.tags.valueof(274), page.tags.valueof(700)
    if orientation is not None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        image.info["exif"] = exif.tobytes()
    elif isinstance(xmp, bytes):
        image.info["xmp"] = xmp
