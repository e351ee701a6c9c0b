"""Bitmaps of Windows of every header and depth, written by hand."""

import struct

import numpy as np
import pytest

from aectl.config.decoding import Decoding
from aectl.data.images.decode import decode_bytes
from aectl.errors import ImageError

HEIGHT, WIDTH = 4, 5
RGB, RLE8, RLE4, BITFIELDS = 0, 1, 2, 3
HEADERS = {"core": 12, "info": 40, "v4": 108, "v5": 124}


def bmp(rows, depth, header="info", compression=RGB, masks=(), palette=(), down=False):
    """Rows of bytes from the top, each filled to four bytes; masks of red, green, blue, alpha."""
    size = HEADERS[header]
    filled = [row + bytes(-len(row) % 4) for row in rows]
    data = b"".join(filled if down else filled[::-1])
    if header == "core":
        head = struct.pack("<IHHHH", size, WIDTH, HEIGHT, 1, depth)
        colours = b"".join(bytes(colour[::-1]) for colour in palette)
    else:
        height = -HEIGHT if down else HEIGHT
        head = struct.pack("<IiiHHIIiiII", size, WIDTH, height, 1, depth, compression, len(data),
                           0, 0, len(palette), 0)  # fmt: skip
        head += struct.pack(f"<{len(masks)}I", *masks)
        head += bytes(max(0, size - len(head)))
        colours = b"".join(bytes([*colour[::-1], 0]) for colour in palette)
    start = 14 + len(head) + len(colours)
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + head + colours + data


def decoded(content):
    return decode_bytes(content, (3, HEIGHT, WIDTH)).pixels.transpose(1, 2, 0)


PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
COLOUR, ALPHA = PIXELS[..., :3], PIXELS[..., 3:]


@pytest.mark.parametrize(
    ("header", "down"),
    [
        (header, down)
        for header in HEADERS
        for down in (False, True)
        if (header, down) != ("core", 1)
    ],
)
def test_twenty_four_bits_are_blue_green_and_red(header, down):
    rows = [row[:, ::-1].tobytes() for row in COLOUR]
    np.testing.assert_array_equal(decoded(bmp(rows, 24, header, down=down)), COLOUR)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("depth", [1, 4, 8])
def test_a_palette_gives_its_colours(depth, header):
    values = np.random.default_rng(1).integers(0, 2**depth, (HEIGHT, WIDTH))
    palette = np.random.default_rng(2).integers(0, 256, (2**depth, 3))
    rows = []
    for row in values:
        digits = "".join(f"{value:0{depth}b}" for value in row)
        digits += "0" * (-len(digits) % 8)
        rows.append(int(digits, 2).to_bytes(len(digits) // 8, "big"))
    made = decoded(bmp(rows, depth, header, palette=palette.tolist()))
    np.testing.assert_array_equal(made, palette[values])


@pytest.mark.parametrize("header", ["info", "v4", "v5"])
@pytest.mark.parametrize(
    ("bits", "masks", "compression"),
    [
        ((5, 5, 5), (), RGB),
        ((5, 5, 5), (0x7C00, 0x3E0, 0x1F), BITFIELDS),
        ((5, 6, 5), (0xF800, 0x7E0, 0x1F), BITFIELDS),
    ],
)
def test_sixteen_bits_are_scaled_to_eight(bits, masks, compression, header):
    red, green, blue = (
        COLOUR[..., channel].astype(int) >> (8 - bits[channel]) for channel in range(3)
    )
    words = red << (bits[1] + bits[2]) | green << bits[2] | blue
    rows = [row.astype("<u2").tobytes() for row in words]
    largest = np.array([2**count - 1 for count in bits])
    wanted = np.stack([red, green, blue], -1) * 255 / largest
    made = decoded(bmp(rows, 16, header, compression, masks))
    np.testing.assert_allclose(made, wanted, atol=1)


WORDS = {
    "4444": (0xF00, 0xF0, 0xF, 0xF000),
    "1555": (0x7C00, 0x3E0, 0x1F, 0x8000),
    "444, blue first": (0xF, 0xF0, 0xF00, 0),
    "565, blue first": (0x1F, 0x7E0, 0xF800, 0),
    "332": (0xE0, 0x1C, 0x3, 0),
    "no blue": (0xFF00, 0xFF, 0, 0),
    "1010102": (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000),
    "of the upper bytes": (0xFF000000, 0xFF0000, 0xFF00, 0),
    "alpha in the lowest byte": (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
    "one of 12 bits": (0xFFF00000, 0xFF000, 0xFFF, 0),
}
"""Masks of red, green, blue and alpha; 0: there is none."""


@pytest.mark.parametrize(
    ("header", "compression"), [("info", 3), ("info", 6), ("v4", BITFIELDS), ("v5", BITFIELDS)]
)
@pytest.mark.parametrize("alpha", ["zero", "opaque", "real"])
@pytest.mark.parametrize("name", WORDS)
def test_each_mask_gives_its_bits(name, alpha, header, compression):
    """The rows of 16 bits have 2 bytes more than their 5 pixels."""
    masks = [np.uint32(mask) for mask in WORDS[name]]
    dtype = "<u4" if max(masks) > 0xFFFF else "<u2"
    values = np.random.default_rng(0).integers(0, 2**32, (HEIGHT, WIDTH)).astype(np.uint32)
    values |= masks[3] if alpha == "opaque" else np.uint32(0)
    values &= ~masks[3] if alpha == "zero" else np.uint32(2**32 - 1)
    light = [(values & mask) / max(1, mask) for mask in masks]  # lower bits than its own are 0
    wanted = 255 * np.stack(light[:3], -1)
    if alpha == "real" and masks[3] and (compression, header) != (3, "info"):
        wanted = wanted * light[3][..., None] + 255 * (1 - light[3][..., None])
    given = masks[: 3 if (compression, header) == (3, "info") else 4]
    rows = [row.astype(dtype).tobytes() for row in values]
    content = bmp(rows, 8 * np.dtype(dtype).itemsize, header, compression, given)
    np.testing.assert_allclose(decoded(content), wanted, atol=1.01)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (18, 1 << 20, "truncated"), (22, 9, "truncated"), (18, -5, "invalid numbers"),
        (22, 0, "invalid numbers"), (10, 5000, "truncated"), (10, 0, "invalid numbers"),
    ],
)  # fmt: skip
def test_a_file_whose_header_lies_is_refused(place, value, reason):
    content = bytearray(bmp([bytes(4 * WIDTH)] * HEIGHT, 32, "v4", BITFIELDS, ARGB))
    struct.pack_into("<i", content, place, value)
    with pytest.raises(ImageError, match=reason):
        decode_bytes(bytes(content), (3, HEIGHT, WIDTH))


def test_max_pixels_counts_for_masks():
    content = bmp([bytes(4 * WIDTH)] * HEIGHT, 32, "v4", BITFIELDS, ARGB)
    with pytest.raises(ImageError, match="--max-pixels"):
        decode_bytes(content, (3, 1, 1), Decoding(max_pixels=HEIGHT * WIDTH - 1))


ARGB = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


ABGR = (0xFF, 0xFF00, 0xFF0000, 0xFF000000)


@pytest.mark.parametrize(
    ("header", "masks"),
    [("info", ()), ("info", ARGB[:3])]
    + [(header, masks) for header in ("v4", "v5") for masks in ((), ARGB[:3], ARGB, ABGR)],
)
@pytest.mark.parametrize("kind", ["zero", "opaque", "real"])
def test_alpha_counts_where_a_mask_names_it_and_it_is_not_zero_throughout(kind, masks, header):
    alpha = {"zero": ALPHA * 0, "opaque": ALPHA * 0 + 255, "real": ALPHA}[kind]
    order = [0, 1, 2] if masks == ABGR else [2, 1, 0]
    rows = [row.tobytes() for row in np.concatenate([COLOUR[..., order], alpha], -1)]
    content = bmp(rows, 32, header, BITFIELDS if masks else RGB, masks)
    wanted = COLOUR.astype(float)
    if len(masks) == 4 and kind == "real":
        part = alpha / 255
        wanted = wanted * part + 255 * (1 - part)
    np.testing.assert_allclose(decoded(content), wanted, atol=1)


@pytest.mark.parametrize("depth", [4, 8])
def test_run_lengths_are_undone(depth):
    """Pairs of a count and a value; 0 and a count before values as they are; 0, 0 ends a row."""
    palette = np.random.default_rng(2).integers(0, 256, (2**depth, 3))
    values = np.array([[1, 1, 1, 1, 1], [2, 3, 4, 5, 6], [7, 7, 8, 8, 8], [9, 9, 9, 9, 9]])
    if depth == 8:
        rows = [b"\x05\x01", b"\0\x05\2\3\4\5\6\0", b"\2\7\3\x08", b"\5\x09"]
    else:
        rows = [b"\x05\x11", b"\0\x05\x23\x45\x60\0", b"\2\x77\3\x88", b"\5\x99"]
    data = b"\0\0".join(rows[::-1]) + b"\0\1"
    whole = bmp([], depth, compression=RLE8 if depth == 8 else RLE4, palette=palette.tolist())
    np.testing.assert_array_equal(decoded(whole + data), palette[values])
