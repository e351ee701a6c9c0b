"""TIFF files: reads the first page, of any depth, layout and colours, as an image of 8 bits."""

import io
import logging
import math
import struct
from collections.abc import Iterator
from functools import cache
from itertools import count, islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from aectl.config.decoding import Decoding, Remark
from aectl.data.images.channels import over_white, rgb
from aectl.data.images.levels import BLOCK, Levels
from aectl.errors import ImageError

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""The first bytes of TIFF and of BigTIFF files."""

COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4}
"""Samples of a colour, by PhotometricInterpretation: white is 0, black is 0, RGB, palette, CMYK."""

BITS, COMPRESSION = 258, 259

MIN_IS_WHITE, PALETTE, CMYK, YCBCR = 0, 3, 5, 6
ASSOCIATED, UNASSOCIATED = 1, 2
"""ExtraSamples of an alpha channel, with colours multiplied by it, and without."""

UNCOMPRESSED = 1
LZW_PACKBITS = (5, 32773)

UNPACKED = {UNCOMPRESSED, 5, 8, 32773, 32946, 34925, 34926, 50000, 50013}
"""Compressions whose decoders never exceed the output size they are given: none, LZW, Deflate,
PackBits, LZMA and Zstandard."""

BY_PILLOW = {2: 1, 3: 1, 4: 1, 6: 8, 7: 8}
"""Compressions that libtiff decodes, CCITT and JPEG, with the bits of a sample that they have."""

MOST_PIECES = 1 << 18
LARGEST_PIECE = 1 << 28
"""Maximum number of strips or tiles of an image, and maximum bytes of one."""

PAGES_LOOKED_AT = 16
"""Maximum number of pages that are searched for two that are neither preview nor mask."""

PREVIEW_OR_MASK = 1 | 4
"""Bits of NewSubfileType: a reduced copy of another page, or a mask for one."""

BLACK_ABOVE = 255
"""A palette without a larger entry has 8 bits, by writers that ignored that the format has 16."""


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
    if _is_plain(content):
        return _by_pillow(content, 0, decoding), ()
    import tifffile

    _silence()
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page, remarks = _first_page(file)
        if page.imagewidth * page.imagelength > decoding.max_pixels:
            raise ImageError(decoding.too_large)
        if page.bitspersample != BY_PILLOW.get(page.compression, page.bitspersample):
            raise ImageError(
                f"is compressed by {_name(page.compression)} with {page.bitspersample} bits a"
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


def _is_plain(content: bytes) -> bool:
    """Whether this is a single page of 8 bits, grey or RGB, in LZW or PackBits, and nothing more:
    libtiff decodes these in half the time.

    TIFF 6.0, section 2: a directory is the number of its entries, each of them a tag, a type, a
    count and a value of 4 bytes or its offset, and the offset of the next directory.
    """
    if not content.startswith(SIGNATURES[:2]):
        return False
    order = "<" if content.startswith(b"II") else ">"
    start = struct.unpack_from(order + "I", content, 4)[0]
    entries = struct.unpack_from(order + "H", content, start)[0]
    tags, end = {}, start + 2 + 12 * entries
    for place in range(start + 2, end, 12):
        tag, kind, many = struct.unpack_from(order + "HHI", content, place)
        value, lies_at = (struct.unpack_from(order + x, content, place + 8)[0] for x in "HI")
        tags[tag] = value if kind == 3 else lies_at
        if tag == COMPRESSION and value not in LZW_PACKBITS:
            return False  # before the tags behind it are read
        if tag == BITS and many == 3:
            tags[tag] = set(struct.unpack_from(order + "3H", content, lies_at)) == {8} and 8
    return (
        (tags.get(262), tags.get(277)) in ((1, 1), (2, 3))
        and tags.get(BITS) == 8
        and tags.get(COMPRESSION) in LZW_PACKBITS
        and tags.get(284, 1) == 1
        and not {254, 255, 338, 339}.intersection(tags)
        and struct.unpack_from(order + "I", content, end)[0] == 0
    )


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
    samples = _samples(page)
    levels = _levels(page, decoding)
    opacity = None if samples.alpha is None else _opacity(page)
    palette = _palette(page) if page.photometric == PALETTE else None
    read = levels if palette is None else None
    shown = _shown(_channels(content, page, samples, read, opacity), page, samples, palette)
    remarks = (*samples.remarks, *(() if palette is not None else levels.remarks()))
    return Image.fromarray(shown), remarks


def _channels(
    content: bytes,
    page: "TiffPage",
    samples: "Samples",
    levels: Levels | None,
    opacity: Levels | None,
) -> NDArray[Any]:
    """Colours, then alpha if any: (height, width, channels); unscaled if `levels` is None."""
    colours, alpha = samples.colours, samples.alpha
    kept = page.imagelength, page.imagewidth, colours + (opacity is not None)
    pixels = np.empty(kept, np.uint16 if levels is None else np.uint8)
    for values, row, column, first in _pieces(content, page):
        into = pixels[row : row + values.shape[0], column : column + values.shape[1]]
        last = min(colours, first + values.shape[2])
        if first < last:
            part = values[..., : last - first]
            into[..., first:last] = part if levels is None else levels(part)
        if opacity and alpha is not None and first <= alpha < first + values.shape[2]:
            into[..., -1] = opacity(values[..., alpha - first])
    return pixels


class Samples(NamedTuple):
    """The channels of a page: the number of colours, the index of alpha, whether the colours are
    multiplied by alpha, and the remarks on other channels."""

    colours: int
    alpha: int | None
    associated: bool
    remarks: tuple[Remark, ...]


def _samples(page: "TiffPage") -> Samples:
    """Raises ImageError if the file does not define the meaning of its channels."""
    count, colours = page.samplesperpixel, COLOURS.get(page.photometric)
    if 262 not in page.tags:
        raise ImageError("does not say what its values mean: it has no PhotometricInterpretation")
    if colours is None or (page.photometric == CMYK and page.tags.valueof(332, default=1) != 1):
        raise ImageError(
            f"has colours of a kind that is not read ({_name(page.photometric)}): {CONVERT}"
        )
    if page.imagedepth > 1:
        raise ImageError("is a volume of several layers, not an image")
    extra = tuple(map(int, page.extrasamples)) + (0,) * (count - colours)
    extra = extra[: max(0, count - colours)]
    alpha = next((i for i, kind in enumerate(extra) if kind in (ASSOCIATED, UNASSOCIATED)), None)
    unknown = len(extra) - (alpha is not None)
    if count < colours or (colours == 1 and unknown > 1) or (page.photometric == PALETTE and extra):
        raise ImageError(f"has {count} channels, and does not say which are colours: {CONVERT}")
    remarks = (Remark.CHANNELS,) if unknown else ()
    if alpha is None:
        return Samples(colours, None, False, remarks)
    return Samples(colours, colours + alpha, extra[alpha] == ASSOCIATED, remarks)


CONVERT = "convert it to grey or RGB"


def _name(value: object) -> str:
    return str(getattr(value, "name", value))


def _levels(page: "TiffPage", decoding: Decoding) -> Levels:
    """The conversion of a page's colours to 8 bits. Raises ImageError."""
    return Levels(_dtype(page).kind, page.bitspersample, decoding.value_range, _declared(page))


def _dtype(page: "TiffPage") -> np.dtype[Any]:
    """The type of a page's values. Raises ImageError."""
    if page.dtype is None or not isinstance(page.bitspersample, int):
        raise ImageError(f"has values of a kind that is not read: {CONVERT}")
    return page.dtype


def _declared(page: "TiffPage") -> tuple[float, float] | None:
    """The values of black and white: SMinSampleValue and SMaxSampleValue, or MinSampleValue and
    MaxSampleValue. If only the maximum is given, black is 0.
    """
    for lowest, highest in ((340, 341), (280, 281)):
        if highest in page.tags:
            low = np.min(page.tags.valueof(lowest, default=0))
            return float(low), float(np.max(page.tags.valueof(highest)))
    return None


def _opacity(page: "TiffPage") -> Levels:
    """The conversion of an alpha channel to 8 bits: opaque is 1 in floats, else the largest number.

    Raises ImageError for signed integers, and integers of more than 16 bits.
    """
    kind, bits = _dtype(page).kind, page.bitspersample
    if kind != "f" and (kind == "i" or bits > 16):
        raise ImageError(f"has an alpha channel of {bits}-bit integers: {CONVERT}")
    return Levels(kind, bits, asked=(0, 1 if kind == "f" else 2**bits - 1))


def _palette(page: "TiffPage") -> NDArray[np.uint8]:
    """The colours of a palette: (entries, 3)."""
    entries = page.colormap
    if (
        entries is None
        or _dtype(page).kind not in "bu"
        or entries.shape != (3, 2**page.bitspersample)
    ):
        raise ImageError("is damaged: its palette is missing, or of another size than it says")
    return (entries if entries.max() <= BLACK_ABOVE else entries >> 8).astype(np.uint8).T


def _pieces(content: bytes, page: "TiffPage") -> Iterator[tuple[NDArray[Any], int, int, int]]:
    """The values of each strip or tile, (rows, columns, samples), and its first row, column and
    sample. Raises ImageError if some are missing, or would take too much memory.
    """
    if page.compression not in UNPACKED:
        raise ImageError(f"is compressed in a way that is not read ({_name(page.compression)})")
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
    if math.prod(page.chunks) * _dtype(page).itemsize > LARGEST_PIECE:
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
    size = math.prod(page.chunks) * _dtype(page).itemsize
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
    dtype = _dtype(page).newbyteorder(page.parent.byteorder)
    if min(sum(page.databytecounts), len(content) - page.dataoffsets[0]) < page.nbytes:
        raise ImageError("is truncated")
    values = np.frombuffer(content, dtype, page.size, page.dataoffsets[0]).reshape(page.shaped)
    for sample, plane in enumerate(values):
        yield plane[0], 0, 0, sample


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
