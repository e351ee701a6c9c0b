"""Plain PNG files are decoded like the same files with another chunk, which has no effect."""

import struct
import zlib
from collections import Counter
from random import Random

import numpy as np
import pytest

from aectl.config.decoding import Decoding
from aectl.data.images.decode import decode_bytes
from aectl.errors import ImageError

SIDE = 6
SMALL = Decoding(max_pixels=1000)
EXTRA = struct.pack(">I", 4) + b"gAMA" + struct.pack(">I", 45455)
EXTRA += struct.pack(">I", zlib.crc32(EXTRA[4:]))


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(header, *chunks):
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *header))
    return start + b"".join(chunks)


def outcome(content, channels):
    """The pixels, or the message."""
    try:
        return decode_bytes(content, (channels, SIDE, SIDE), SMALL).pixels.tobytes()
    except ImageError as error:
        return str(error)


def with_extra(content):
    return content[:33] + EXTRA + content[33:]


def changed(chance):
    """A file that another program might write by mistake, with correct checksums."""
    samples = chance.choice((1, 3))
    rows = [[chance.randrange(5), *chance.randbytes(SIDE * samples)] for _ in range(SIDE)]
    header = [SIDE, SIDE, 8, samples - 1, 0, 0, 0]
    data = bytearray(value for row in rows for value in row)
    what = chance.randrange(10)
    if what == 0:  # of another size, depth or kind
        header[chance.randrange(7)] = chance.choice((0, 1, 2, 3, 5, 7, 16, 255))
    elif what == 1:  # of a filter that does not exist
        data[chance.randrange(SIDE) * len(rows[0])] = chance.choice((5, 77, 255))
    elif what == 2:
        del data[chance.randrange(len(data)) :]
    elif what == 3:
        data += chance.randbytes(chance.choice((1, 100)))
    packed = bytearray(zlib.compress(bytes(data), chance.choice((0, 6))))
    if what == 4:
        packed[chance.randrange(len(packed))] ^= 1 << chance.randrange(8)
    elif what == 5:
        del packed[chance.randrange(len(packed)) :]
    elif what == 6:
        packed += chance.randbytes(9)
    cuts = sorted(chance.randrange(len(packed) + 1) for _ in range(chance.randrange(3)))
    parts = [bytes(packed[a:b]) for a, b in zip([0, *cuts], [*cuts, len(packed)], strict=True)]
    chunks = [chunk(b"IDAT", part) for part in parts]
    if what == 7:
        kind = chance.choice((b"IHDR", b"PLTE", b"tRNS", b"tIME", b"IEND", b"acTL", b"quIt"))
        chunks.insert(chance.randrange(len(chunks) + 1), chunk(kind, chance.randbytes(6)))
    content = png(header, *chunks, chunk(b"IEND"))
    if what == 8:
        content = content[: chance.randrange(len(content) + 1)]
    elif what == 9:
        content = bytearray(content)
        content[chance.randrange(33, len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def test_a_chunk_that_changes_nothing_changes_neither_pixels_nor_messages():
    chance, kinds = Random(0), Counter()
    for number in range(3000):
        content = changed(chance)
        if len(content) < 33:
            continue
        for channels in (1, 3):
            found = outcome(content, channels)
            assert found == outcome(with_extra(content), channels), (number, content)
        kinds[type(found)] += 1
    assert min(kinds[bytes], kinds[str]) > 500


@pytest.mark.parametrize("samples", [1, 3])
def test_plain_pixels_are_those_that_were_written(samples):
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, samples), np.uint8)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
    parts = (chunk(b"IDAT", data[:10]), chunk(b"IDAT", data[10:]))
    content = png((SIDE, SIDE, 8, samples - 1, 0, 0, 0), *parts, chunk(b"IEND"))
    found = decode_bytes(content, (samples, SIDE, SIDE)).pixels
    np.testing.assert_array_equal(found, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("side", [100_000, 2**31 - 1, 2**32 - 1])
def test_a_header_of_a_huge_size_is_refused_before_there_is_room_for_it(side):
    content = png((side, side, 8, 0, 0, 0, 0), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND"))
    with pytest.raises(ImageError, match="--max-pixels"):
        decode_bytes(content, (1, SIDE, SIDE))
