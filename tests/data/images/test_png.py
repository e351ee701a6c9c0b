"""PNG of every depth and colour type, written by hand; and what damage costs."""

import struct
import sys
import zlib

import numpy as np
import pytest

from aectl.config.decoding import Decoding, Remark
from aectl.data.images.decode import decode_bytes
from aectl.errors import ImageError

HEIGHT, WIDTH = 6, 7
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}


def chunk(kind, data=b""):
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def rows_of(values, depth):
    """Rows that are not filtered, each with a byte of its own to begin with."""
    made = b""
    for row in values.reshape(len(values), -1):
        digits = "".join(f"{value:0{depth}b}" for value in row)
        digits += "0" * (-len(digits) % 8)
        made += b"\0" + int(digits, 2).to_bytes(len(digits) // 8, "big")
    return made


PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
          (1, 0, 2, 1))  # fmt: skip
"""Adam7: the first row and column of each pass, and the steps (PNG specification, section 8.2)."""


def png(values, depth, colour=GREY, before=b"", interlaced=False):
    """Values, (height, width[, samples]), with chunks `before` the pixels."""
    header = struct.pack(
        ">IIBBBBB", values.shape[1], values.shape[0], depth, colour, 0, 0, interlaced
    )
    parts = [values[r::down, c::right] for r, c, down, right in PASSES] if interlaced else [values]
    data = b"".join(rows_of(part, depth) for part in parts if part.size)
    pixels = chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + pixels + chunk(b"IEND")


def decoded(content, channels=1, **decoding):
    return decode_bytes(content, (channels, HEIGHT, WIDTH), Decoding(**decoding))


def values_of(depth, colour):
    values = np.random.default_rng(depth).integers(0, 2**depth, (HEIGHT, WIDTH, SAMPLES[colour]))
    values.flat[:2] = 0, 2**depth - 1
    return values


DEPTHS = [(GREY, depth) for depth in (1, 2, 4, 8, 16)] + [
    (colour, depth) for colour in (RGB, GREY_ALPHA, RGB_ALPHA) for depth in (8, 16)
]
BESIDE = {
    "nothing": b"",
    "gAMA": chunk(b"gAMA", struct.pack(">I", 100000)),
    "sBIT": chunk(b"sBIT", bytes([1])),
}


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize(("colour", "depth"), DEPTHS)
def test_every_depth_and_colour_type_is_scaled(colour, depth, beside, interlaced):
    values = values_of(depth, colour)
    bits = BESIDE[beside] if beside != "sBIT" else chunk(b"sBIT", bytes([1]) * SAMPLES[colour])
    part = values / (2**depth - 1)
    if colour in (GREY_ALPHA, RGB_ALPHA):
        part = part[..., :-1] * part[..., -1:] + 1 - part[..., -1:]
    made = decoded(png(values, depth, colour, bits, interlaced), part.shape[2])
    np.testing.assert_allclose(made.pixels, 255 * part.transpose(2, 0, 1), atol=1.6)
    assert made.remarks == ()


@pytest.mark.parametrize("which", [0, 1, -1])
@pytest.mark.parametrize(("colour", "depth"), [x for x in DEPTHS if x[0] in (GREY, RGB)])
def test_the_colour_that_is_transparent_shows_white(colour, depth, which):
    """tRNS holds two bytes of each sample, whatever the depth (PNG, section 11.3.2.1)."""
    values = values_of(depth, colour)
    clear = values.reshape(-1, values.shape[2])[which]
    tRNS = chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear))
    shade = np.where((values == clear).all(-1, keepdims=True), 255, 255 * values / (2**depth - 1))
    made = decoded(png(values, depth, colour, tRNS), values.shape[2])
    np.testing.assert_allclose(made.pixels, shade.transpose(2, 0, 1), atol=0.51)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("interlaced", [False, True])
def test_a_palette_with_transparent_entries_shows_its_colours(depth, interlaced):
    values = values_of(depth, PALETTE)
    entries = np.random.default_rng(1).integers(0, 256, (2**depth, 4))
    before = chunk(b"PLTE", entries[:, :3].astype(np.uint8).tobytes())
    before += chunk(b"tRNS", entries[:, 3].astype(np.uint8).tobytes())
    alpha = entries[:, 3:] / 255
    shade = (entries[:, :3] * alpha + 255 * (1 - alpha))[values[..., 0]].transpose(2, 0, 1)
    made = decoded(png(values, depth, PALETTE, before, interlaced), 3)
    np.testing.assert_allclose(made.pixels, shade, atol=1)


@pytest.mark.parametrize("colour", [GREY, RGB, GREY_ALPHA, RGB_ALPHA])
def test_a_range_is_of_the_colours_of_sixteen_bits(colour):
    values = values_of(12, colour)
    if colour in (GREY_ALPHA, RGB_ALPHA):
        values[..., -1] = 65535
    with pytest.raises(ImageError, match="--value-range 0,4095"):
        decoded(png(values, 16, colour))
    colours = values[..., : SAMPLES[colour] - (colour in (GREY_ALPHA, RGB_ALPHA))]
    made = decoded(png(values, 16, colour), colours.shape[2], value_range=(0, 4095))
    np.testing.assert_allclose(made.pixels, (colours / 4095 * 255).transpose(2, 0, 1), atol=0.51)


@pytest.mark.parametrize("colour", [GREY_ALPHA, RGB_ALPHA])
@pytest.mark.parametrize("range_given", [None, (0, 4095), (0, 65535)])
def test_alpha_of_sixteen_bits_that_looks_like_twelve_is_refused(colour, range_given):
    """As white, so opaque may be 4,095; by 65,535, the image would be all but invisible."""
    with pytest.raises(ImageError, match=r"alpha channel of 16 bits, .* above \d+: convert"):
        decoded(png(values_of(12, colour), 16, colour), value_range=range_given)
    clear = values_of(16, colour)
    clear[..., -1] = 0
    assert (decoded(png(clear, 16, colour)).pixels == 255).all()


def test_a_range_leaves_eight_bits_as_they_are():
    values = values_of(8, GREY)
    made = decoded(png(values, 8), value_range=(0, 4095))
    np.testing.assert_array_equal(made.pixels, values.transpose(2, 0, 1))


def test_sixteen_bits_that_are_dark_are_said():
    assert decoded(png(values_of(14, GREY), 16)).remarks == (Remark.DARK,)


@pytest.mark.parametrize("missing", [1, 8, 12])
def test_a_file_without_its_end_has_all_its_pixels(missing):
    values = values_of(8, RGB)
    made = decoded(png(values, 8, RGB)[:-missing], 3)
    np.testing.assert_array_equal(made.pixels, values.transpose(2, 0, 1))


@pytest.mark.parametrize("missing", [13, 30, 100])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_file_without_some_of_its_pixels_is_refused(depth, missing):
    with pytest.raises(ImageError, match="truncated"):
        decoded(png(values_of(depth, RGB), depth, RGB)[:-missing])


@pytest.mark.parametrize("end", [chunk(b"IEND"), b""])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_file_that_ends_between_its_chunks_is_refused_if_pixels_are_missing(depth, end):
    content = png(values_of(depth, RGB), depth, RGB)
    data = content[content.index(b"IDAT") + 4 : content.rindex(b"IEND") - 8]
    cut = content[: content.index(b"IDAT") - 4] + chunk(b"IDAT", data[: len(data) // 2])
    with pytest.raises(ImageError):
        decoded(cut + end)


HARMLESS = {b"tEXt": True, b"iCCP": True, b"tIME": True, b"tRNS": False, b"eXIf": False}
"""Chunks, and whether an image is seen in the same way without them."""


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("kind", HARMLESS)
def test_a_damaged_chunk_costs_an_image_only_where_it_says_how_it_is_seen(kind, depth):
    values = values_of(depth, GREY)
    damaged = bytearray(chunk(kind, b"abcdef"))
    damaged[10] ^= 1
    content = png(values, depth, before=bytes(damaged))
    if HARMLESS[kind]:
        shade = 255 * values / (2**depth - 1)
        np.testing.assert_allclose(decoded(content).pixels, shade.transpose(2, 0, 1), atol=0.51)
    else:
        with pytest.raises(ImageError, match="checksum"):
            decoded(content)


def resident_bytes():
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.parametrize("before", [b"", chunk(b"tRNS", b"\0\7")], ids=["opaque", "tRNS"])
@pytest.mark.parametrize("data", [zlib.compress(b"\0"), b"no data", zlib.compress(b"\7" * 300)],
                         ids=["short", "not zlib", "filter"])  # fmt: skip
def test_refused_files_of_16_bits_cost_neither_references_nor_memory(data, before):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 400, 300, 16, GREY, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", data) + chunk(b"IEND")
    for count in (100, 1000):
        references, memory = sys.getrefcount(None), resident_bytes()
        for _ in range(count):
            with pytest.raises(ImageError):
                decoded(content)
    assert abs(sys.getrefcount(None) - references) < 100
    assert resident_bytes() - memory < 1000 * 240_000 / 4
