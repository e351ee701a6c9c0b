"""TIFF files of the simplest kind: a single page of 8 bits, grey or RGB.

tifffile, which reads all kinds, takes several times as long as the pixels of a small image need.
"""

import math
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
OFFSETS, CHANNELS, ROWS, BYTES, PLANES = 273, 277, 278, 279, 284

UNCOMPRESSED, LZW, DEFLATE, OLD_DEFLATE, PACKBITS = 1, 5, 8, 32946, 32773

NOT_PLAIN = {254, 255, 338, 339}
"""Tags of previews and masks, of alpha, and of values that are not unsigned integers."""

USUAL = {
    WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, CHANNELS, ROWS, BYTES, 282, 283,
    PLANES, 296, 305, 306,
}  # fmt: skip
"""Tags with which strips hold the pixels as they are shown, without predictor or orientation."""

LAYOUTS = {3: "H", 4: "I"}
"""The types of whole numbers of 16 and of 32 bits."""

MOST_TAGS, MOST_NUMBERS = 64, 1 << 16
"""Maximum number of tags, and of values of one, that are read here: a file may repeat them."""

Tags = dict[int, tuple[int, ...]]


def plain_tags(content: bytes) -> Tags | None:
    """The tags of a single page of 8 bits, grey or RGB, in strips; None of another file.

    Values that are not whole numbers, or too many, are left out. TIFF 6.0, section 2: a directory
    is the number of its entries, each of them a tag, a type, a count and a value of 4 bytes or its
    offset, and the offset of the next directory.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None:
        return None
    start = struct.unpack_from(order + "I", content, 4)[0]
    entries = struct.unpack_from(order + "H", content, start)[0]
    if entries > MOST_TAGS:
        return None
    end = start + 2 + 12 * entries
    following = struct.unpack_from(order + "I", content, end)[0]
    tags: Tags = {}
    for tag, kind, many, value in struct.iter_unpack(order + "HHI4s", content[start + 2 : end]):
        known = kind in LAYOUTS and many <= MOST_NUMBERS
        layout = f"{order}{many}{LAYOUTS[kind]}" if known else ""
        if struct.calcsize(layout) <= len(value):
            tags[tag] = struct.unpack_from(layout, value)
        else:
            tags[tag] = struct.unpack_from(layout, content, struct.unpack(order + "I", value)[0])
    tags.setdefault(CHANNELS, (1,))
    colours = tags.get(PHOTOMETRIC), tags[CHANNELS], tags.get(BITS)
    plain = (
        colours in (((1,), (1,), (8,)), ((2,), (3,), (8, 8, 8)))
        and all(tags.get(tag) for tag in (WIDTH, HEIGHT, COMPRESSION, OFFSETS, ROWS, BYTES))
        and tags.get(PLANES, (1,)) == (1,)
        and not NOT_PLAIN.intersection(tags)
        and following == 0
    )
    return tags if plain else None


def plain_pixels(content: bytes, tags: Tags) -> NDArray[np.uint8] | None:
    """The pixels, (height, width, channels), if they are complete and not compressed, or are a
    strip compressed by Deflate; else None.
    """
    shape = tags[HEIGHT][0], tags[WIDTH][0], tags[CHANNELS][0]
    offsets, lengths, size = tags[OFFSETS], tags[BYTES], math.prod(shape)
    compression, rows = tags[COMPRESSION][0], tags[ROWS][0]
    strips = math.ceil(shape[0] / max(1, rows))
    if not USUAL.issuperset(tags) or size == 0 or not strips == len(offsets) == len(lengths):
        return None
    if compression == UNCOMPRESSED and _adjacent(offsets, lengths) and sum(lengths) == size:
        data = content[offsets[0] : offsets[0] + size]
    elif compression in (DEFLATE, OLD_DEFLATE) and strips == 1:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(content[offsets[0] : offsets[0] + lengths[0]], size + 1)
        if not unpacker.eof:
            return None
    else:
        return None
    return np.frombuffer(data, np.uint8).reshape(shape) if len(data) == size else None


def _adjacent(offsets: tuple[int, ...], lengths: tuple[int, ...]) -> bool:
    """Whether each strip begins at the end of the one before."""
    ends = (offset + length for offset, length in zip(offsets, lengths, strict=True))
    return all(map(int.__eq__, ends, offsets[1:]))
