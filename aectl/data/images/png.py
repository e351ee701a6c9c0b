"""PNG files: checksums that Pillow does not verify, and depths that it does not preserve."""

import logging
import struct
import zlib
from collections.abc import Iterator
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from aectl.config.decoding import Decoding, Remark
from aectl.data.images.channels import over_white
from aectl.data.images.levels import BLOCK, Levels, Opacity
from aectl.errors import ImageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"

NEEDED = (b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"eXIf")
"""Chunks that determine what an image shows; the last one its orientation."""

WIDTH, HEIGHT, DEPTH, COLOUR_TYPE = 16, 20, 24, 25
"""Offsets of the size, of the bits per sample and of the colour type (PNG specification, section
11.2.1)."""

GREY = 0
SAMPLES = {GREY: 1, 2: 3, 4: 2, 6: 4}
"""Samples of a pixel of 16 bits, by the colour type."""

PLAIN_MODES = {b"\x08\0\0\0\0": "L", b"\x08\2\0\0\0": "RGB"}
"""Pillow's modes of grey and RGB with 8 bits per sample, not interlaced, by the last 5 bytes of the
header's data."""

AT_ONCE = 1 << 16
"""Maximum bytes of a chunk that Pillow decodes at once."""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


END = _chunk(b"IEND", b"")

SOFTWARE = ("Software", "aectl")
"""Keyword and text of a chunk that says which program wrote a file (PNG specification, section
11.3.3.2)."""

START = SIGNATURE + b"\0\0\0\rIHDR"
BEHIND_HEADER = 33
OWN = _chunk(b"tEXt", "\0".join(SOFTWARE).encode())
OWN_BYTES = BEHIND_HEADER + len(OWN)
"""Number of bytes of a file that are needed to see whether aectl wrote it."""


def is_own(content: bytes) -> bool:
    """Whether aectl wrote a PNG: its mark is the first chunk after the header."""
    return content.startswith(OWN, BEHIND_HEADER)


def mark() -> PngInfo:
    """The text chunk that marks a PNG written by Pillow as a file of aectl."""
    info = PngInfo()
    info.add_text(*SOFTWARE)
    return info


def plain(content: bytes, max_pixels: int) -> Image.Image | None:
    """Decodes an intact file that consists of a header, one chunk of pixels in one of
    `PLAIN_MODES`, and an end. Returns None for any other file, which `sound` and `load` read or
    refuse.

    It calls Pillow's decoder directly, because Pillow's reader of chunks takes longer than decoding
    a small image.
    """
    mode = PLAIN_MODES.get(content[DEPTH : BEHIND_HEADER - 4])
    width, height = (int.from_bytes(content[place : place + 4]) for place in (WIDTH, HEIGHT))
    if not mode or not content.startswith(START) or not 0 < width * height <= max_pixels:
        return None
    first, view = BEHIND_HEADER + 8, memoryview(content)
    last = first + int.from_bytes(content[BEHIND_HEADER : BEHIND_HEADER + 4])
    if content[first - 4 : first] != b"IDAT" or not content.startswith(END, last + 4):
        return None
    chunks = view[len(SIGNATURE) : BEHIND_HEADER], view[BEHIND_HEADER : last + 4]
    if last - first > AT_ONCE or any(map(_is_damaged, chunks)):
        return None
    try:
        return Image.frombytes(mode, (width, height), view[first:last], "zip", mode)
    except Exception:  # `load` reports the reason
        return None


def sound(content: bytes) -> bytes:
    """The file without harmless flaws: damaged text chunks, colour profiles and the like, and a
    missing end. Pillow would refuse some of them, and accept some damaged pixels.

    PNG specification, section 5.3: each chunk is its length, its type, its data and their CRC-32.
    Raises ImageError if a chunk that the image needs is damaged.
    """
    view = memoryview(content)
    for _, start, end in _chunks(content):
        if end > len(content) or _is_damaged(view[start:end]):
            return _mended(content)
    return content


def _mended(content: bytes) -> bytes:
    """The intact chunks of a damaged file. Raises ImageError as `sound` does."""
    view = memoryview(content)
    kept = [view[: len(SIGNATURE)]]
    for kind, start, end in _chunks(content):
        if end > len(content):
            if kind in NEEDED or not any(bytes(chunk[4:8]) == b"IDAT" for chunk in kept):
                raise ImageError("is truncated")
            kept.append(memoryview(END))
            break
        if not _is_damaged(view[start:end]):
            kept.append(view[start:end])
        elif kind in NEEDED:
            raise ImageError("is damaged: its checksum does not match its content")
    return b"".join(kept)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields the type, the start and the end of each chunk, up to IEND; in a truncated file, up to
    the first that ends behind the file."""
    kind, end = b"", len(SIGNATURE)
    while kind != b"IEND" and end <= len(content):
        start, kind = end, content[end + 4 : end + 8]
        end = start + 12 + int.from_bytes(content[start : start + 4])
        yield kind, start, end


def _is_damaged(chunk: memoryview) -> bool:
    """Whether a chunk's checksum does not match its type and data."""
    return zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big")


def load(
    content: bytes, image: Image.Image, decoding: Decoding
) -> tuple[Image.Image, tuple[Remark, ...]]:
    """The image of an intact file, whose header is `image`, and the remarks on it.

    16 bits are converted to 8 bits without transparency. Raises ImageError.
    """
    if content[DEPTH] == 16:
        return _deep(content, decoding)
    image.load()
    if content[COLOUR_TYPE] == GREY and content[DEPTH] in (2, 4) and "transparency" in image.info:
        image.info["transparency"] *= 255 // (2 ** content[DEPTH] - 1)  # Pillow scales only pixels
    return image, ()


def _deep(content: bytes, decoding: Decoding) -> tuple[Image.Image, tuple[Remark, ...]]:
    """An image of 16 bits: Pillow drops the lower 8 of colours, and ignores a transparent grey."""
    levels = Levels("u", 16, decoding.value_range)
    shown = _shown(np.atleast_3d(_values(content)), levels)
    return Image.fromarray(shown), levels.remarks()


def _values(content: bytes) -> NDArray[np.uint16]:
    """The values of an image of 16 bits, with an opacity where it has one.

    imagecodecs (2026.3.6) miscounts the references to the array that it is given, by default None,
    where it refuses a file: it is given one whose memory is freed.
    """
    from imagecodecs import png_decode

    logging.getLogger("imagecodecs").setLevel(logging.CRITICAL)  # it warns of corrected flaws
    values = np.empty(_shape_of(content), np.uint16)
    try:
        png_decode(content, out=values)
    except Exception:
        values.resize(0, refcheck=False)
        raise
    return values


def _shape_of(content: bytes) -> tuple[int, ...]:
    """The shape of the values of an image of 16 bits; a transparent colour gives an opacity more.
    Raises ImageError for a colour type that has no 16 bits."""
    width, height = (int.from_bytes(content[place : place + 4]) for place in (WIDTH, HEIGHT))
    samples = SAMPLES.get(content[COLOUR_TYPE])
    if samples is None:
        raise ImageError("has a colour type that no PNG of 16 bits has")
    before = takewhile(lambda chunk: chunk[0] != b"IDAT", _chunks(content))
    sizes = [end - start - 12 for kind, start, end in before if kind == b"tRNS"]
    if samples % 2 and 2 * samples in sizes:
        return height, width, samples + 1
    return (height, width) if samples == 1 else (height, width, samples)


def _shown(values: NDArray[np.uint16], levels: Levels) -> NDArray[np.uint8]:
    """Values, (height, width, samples), in 8 bits and over white: grey, (height, width), or RGB.

    A separate function, so that the values are freed before Pillow copies the result. Raises
    ImageError.
    """
    colours = 1 if values.shape[2] < 3 else 3
    opacity = Opacity("u", 16)
    shown = np.empty((*values.shape[:2], colours), np.uint8)
    rows = max(1, BLOCK // values.shape[1])
    for top in range(0, len(values), rows):
        part = values[top : top + rows]
        colour = levels(part[..., :colours])
        if part.shape[2] > colours:
            colour = over_white(colour, opacity(part[..., colours:]))
        shown[top : top + rows] = colour
    opacity.check()
    return shown[..., 0] if colours == 1 else shown
