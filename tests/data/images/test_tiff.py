"""TIFF of every depth, layout, compression and meaning, as tifffile writes it."""

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from aectl.config.decoding import Decoding, Remark
from aectl.data.images.decode import decode_bytes
from aectl.data.images.tiff_plain import plain_tags
from aectl.errors import ImageError

HEIGHT, WIDTH = 37, 21

DEPTHS = {
    "uint8": (np.uint8, 8),
    "uint16": (np.uint16, 16),
    "float16": (np.float16, 16),
    "float32": (np.float32, 32),
    "float64": (np.float64, 64),
}

COMPRESSIONS = (None, "lzw", "zlib", "packbits", "zstd", "lzma")

LAYOUTS = (
    {},
    {"rowsperstrip": 7},
    {"tile": (16, 16)},
    {"byteorder": ">"},
    {"byteorder": ">", "rowsperstrip": 5, "bigtiff": True},
    {"tile": (32, 16), "byteorder": ">"},
)


def written(pixels, **options):
    content = io.BytesIO()
    tifffile.imwrite(content, pixels, **options)
    return content.getvalue()


def decoded(content, channels=1, height=HEIGHT, width=WIDTH, **decoding):
    return decode_bytes(content, (channels, height, width), Decoding(**decoding))


def by_hand(pieces, tags, order="<"):
    """A TIFF of strips, or of tiles if it has their tags; tags are one number or several."""
    offsets = tuple(8 + sum(map(len, pieces[:number])) for number in range(len(pieces)))
    places, lengths = (324, 325) if 322 in tags else (273, 279)
    tags = {**tags, places: offsets, lengths: tuple(map(len, pieces))}
    entries, far, start = b"", b"", 8 + sum(map(len, pieces))
    for tag, value in sorted(tags.items()):
        numbers = value if isinstance(value, tuple) else (value,)
        kind, letter = (3, "H") if max(numbers) < 65536 else (4, "I")
        held = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        if len(held) > 4:
            place = start + 2 + 12 * len(tags) + 4 + len(far)
            held, far = struct.pack(order + "I", place), far + held
        entries += struct.pack(order + "HHI", tag, kind, len(numbers)) + held.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    count = struct.pack(order + "H", len(tags))
    return head + b"".join(pieces) + count + entries + bytes(4) + far


def packed(rows, bits):
    """Rows of values, each beginning with a byte of its own (TIFF 6.0, section 3)."""
    made = b""
    for row in rows.reshape(len(rows), -1):
        digits = "".join(f"{value:0{bits}b}" for value in row)
        digits += "0" * (-len(digits) % 8)
        made += int(digits, 2).to_bytes(len(digits) // 8, "big")
    return made


def random_values(depth, *shape):
    """Values of a depth from black to white, and their scale to 255."""
    kind, bits = DEPTHS[depth]
    chance = np.random.default_rng(bits)
    if kind in (np.float16, np.float32, np.float64):
        values = chance.random(shape)
        values.flat[:2] = 0, 1
        return values.astype(kind), 255.0
    values = chance.integers(0, 2**bits, shape)
    values.flat[:2] = 0, 2**bits - 1
    return values.astype(kind), 255 / (2**bits - 1)


def predictors(depth, compression):
    """What may be told of neighbours: nothing, or differences of integers or of floats."""
    if compression not in ("lzw", "zlib"):
        return (None,)
    return (None, 3 if depth.startswith("float") else 2)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("meaning", ["minisblack", "miniswhite"])
def test_grey_is_scaled_by_its_depth_and_turned_by_its_meaning(meaning, compression, depth):
    values, scale = random_values(depth, HEIGHT, WIDTH)
    shade = np.rint(values.astype(float) * scale)
    wanted = shade if meaning == "minisblack" else 255 - shade
    for layout in LAYOUTS:
        for predictor in predictors(depth, compression):
            content = written(
                values, photometric=meaning, compression=compression, predictor=predictor,
                **layout,
            )  # fmt: skip
            np.testing.assert_array_equal(decoded(content).pixels[0], wanted, f"{layout}")


PACKERS = {
    1: bytes,
    5: imagecodecs.lzw_encode,
    8: imagecodecs.zlib_encode,
    32773: imagecodecs.packbits_encode,
    50000: imagecodecs.zstd_encode,
}
"""Compressions by their number in TIFF."""


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 10, 12, 14])
def test_bits_that_are_packed_follow_each_other_in_either_byte_order(bits, samples):
    """tifffile writes none of these compressed, and 12 bits of big-endian files wrongly."""
    values = np.random.default_rng(bits).integers(0, 2**bits, (HEIGHT, WIDTH, samples))
    values.flat[:2] = 0, 2**bits - 1
    shade = np.rint(values * (255 / (2**bits - 1))).transpose(2, 0, 1)
    for meaning, wanted in ((2, shade),) if samples == 3 else ((0, 255 - shade), (1, shade)):
        for compression, pack in PACKERS.items():
            for order in "<>":
                pieces = [pack(packed(values[top : top + 9], bits)) for top in range(0, HEIGHT, 9)]
                tags = {256: WIDTH, 257: HEIGHT, 258: (bits,) * samples, 259: compression,
                        262: meaning, 277: samples, 278: 9}  # fmt: skip
                made = decoded(by_hand(pieces, tags, order), samples)
                np.testing.assert_array_equal(made.pixels, wanted, f"{compression} {order}")


def over_white(colour, alpha, associated):
    """Porter & Duff 1984, section 4.1, colours and alpha from 0 to 1."""
    return (colour if associated else colour * alpha) + (1 - alpha)


EXTRAS = {
    "none": ((), ()),
    "unassociated": (("unassalpha",), ()),
    "associated": (("assocalpha",), ()),
    "unknown": (("unspecified",), (Remark.CHANNELS,)),
    "two unknown": (("unspecified",) * 2, (Remark.CHANNELS,)),
    "unknown, alpha": (("unspecified", "unassalpha"), (Remark.CHANNELS,)),
}


MEANINGS = [(meaning, extra) for meaning in ("rgb", "separated") for extra in EXTRAS] + [
    (meaning, extra)
    for meaning in ("minisblack", "miniswhite")
    for extra in ("unassociated", "associated", "unknown", "unknown, alpha")
]


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("meaning", "extra"), MEANINGS)
def test_colours_are_told_from_alpha_and_from_what_nobody_knows(meaning, extra, depth):
    kinds, remarks = EXTRAS[extra]
    colours = {"rgb": 3, "separated": 4}.get(meaning, 1)
    values, scale = random_values(depth, HEIGHT, WIDTH, colours + len(kinds))
    light = values.astype(float) * scale / 255
    colour, alpha = light[..., :colours], light[..., -1:]
    if meaning == "separated":
        colour = (1 - colour[..., :3]) * (1 - colour[..., 3:])
    elif meaning == "miniswhite":
        colour = 1 - colour
    associated = "assocalpha" in kinds
    if "alpha" in "".join(kinds):
        colour = over_white(colour, alpha, associated)
    wanted = 255 * np.minimum(colour, 1).transpose(2, 0, 1)
    for compression in (None, "zlib"):
        for layout in ({}, {"rowsperstrip": 7}, {"tile": (16, 16), "byteorder": ">"}):
            for planar in (False, True):
                content = written(
                    values.transpose(2, 0, 1) if planar else values,
                    photometric=meaning, extrasamples=kinds, compression=compression,
                    planarconfig="separate" if planar else "contig", **layout,
                )  # fmt: skip
                made = decoded(content, len(wanted))
                np.testing.assert_allclose(made.pixels, wanted, atol=2)
                assert made.remarks == remarks


@pytest.mark.parametrize("eight", [False, True], ids=["entries of 16 bits", "entries of 8 bits"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_palette_gives_its_colours(bits, eight):
    chance = np.random.default_rng(bits)
    indices = chance.integers(0, 2**bits, (HEIGHT, WIDTH))
    colours = chance.integers(0, 256, (3, 2**bits))
    colours[:, -1] = 255
    entries = colours if eight else colours * 257
    for compression, pack in PACKERS.items():
        row = indices.astype("<u2") if bits == 16 else indices
        data = row.tobytes() if bits == 16 else packed(row, bits)
        tags = {256: WIDTH, 257: HEIGHT, 258: bits, 259: compression, 262: 3, 277: 1, 278: HEIGHT}
        content = by_hand([pack(data)], {**tags, 320: tuple(map(int, entries.flat))})
        made = decoded(content, 3)
        np.testing.assert_array_equal(made.pixels, colours[:, indices], f"{compression}")
        assert made.remarks == ()


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["unknown", "associated", "unassociated"])
@pytest.mark.parametrize("planar", [1, 2], ids=["chunky", "planar"])
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_a_palette_may_have_a_channel_more_of_which_alpha_counts(bits, planar, kind):
    """As ImageMagick writes `-type PaletteAlpha`."""
    chance = np.random.default_rng(bits)
    largest = 2**bits - 1
    values = chance.integers(0, largest + 1, (HEIGHT, WIDTH, 2))
    palette = chance.integers(0, 256, (3, 2**bits))
    palette[:, -1] = 255
    colour, alpha = palette[:, values[..., 0]] / 255, values[..., 1] / largest
    shown = over_white(colour, alpha, kind == 1) if kind else colour
    planes = [values] if planar == 1 else values.transpose(2, 0, 1)
    pieces = [x.astype("<u2").tobytes() if bits == 16 else packed(x, bits) for x in planes]
    tags = {256: WIDTH, 257: HEIGHT, 258: (bits, bits), 259: 1, 262: 3, 277: 2, 278: HEIGHT,
            284: planar, 338: kind, 320: tuple(map(int, (palette * 257).flat))}  # fmt: skip
    made = decoded(by_hand(pieces, tags), 3)
    np.testing.assert_allclose(made.pixels, 255 * np.minimum(shown, 1), atol=1)
    assert made.remarks == (() if kind else (Remark.CHANNELS,))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "jpeg"])
def test_the_orientation_is_applied_once(compression, orientation):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16] = 255  # the upper left corner, as it lies in the file
    content = written(
        pixels, photometric="rgb", compression=compression,
        extratags=[(274, 3, 1, orientation, True)],
    )  # fmt: skip
    shape = (16, 32) if orientation < 5 else (32, 16)
    shown = decoded(content, 1, *shape).pixels[0] > 127
    top, left = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1),
                 8: (1, 0)}[orientation]  # fmt: skip
    wanted = np.zeros(shape, bool)
    wanted[top * shape[0] // 2 :, left * shape[1] // 2 :][: shape[0] // 2, : shape[1] // 2] = True
    np.testing.assert_array_equal(shown, wanted)


SCALES = {
    "int8": (-100, 27),
    "int16": (-1000, 3095),
    "int32": (0, 255),
    "uint32": (1000, 70000),
    "int64": (0, 100),
    "float16": (0, 255),
    "float32": (-1, 1),
    "float64": (0, 4095),
}


def on_scale(kind, low, high):
    """Values of a type, and their shades where `low` is black and `high` is white."""
    part = np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    values = low + part * (high - low)
    values = values.astype(kind) if kind.startswith("float") else np.rint(values).astype(kind)
    return values, 255 * (values.astype(float) - low) / (high - low)


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_values_without_a_white_need_a_range(compression, kind):
    values, shade = on_scale(kind, *SCALES[kind])
    content = written(values, photometric="minisblack", compression=compression)
    with pytest.raises(ImageError, match="--value-range"):
        decoded(content)
    made = decoded(content, value_range=SCALES[kind])
    np.testing.assert_allclose(made.pixels[0], shade, atol=0.51)
    colour = written(np.stack([values] * 3, -1), photometric="rgb", compression=compression)
    np.testing.assert_array_equal(
        decoded(colour, 3, value_range=SCALES[kind]).pixels, [made.pixels[0]] * 3
    )


def test_what_lies_outside_a_range_that_was_asked_for_is_cut_off():
    values = np.array([[-5, 0, 100, 200, 900]], np.int16)
    made = decoded(written(values, photometric="minisblack"), 1, 1, 5, value_range=(0, 200))
    np.testing.assert_array_equal(made.pixels[0], [[0, 0, 128, 255, 255]])


def test_a_range_leaves_files_of_eight_bits_as_they_are():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    made = decoded(written(values), 1, 16, 16, value_range=(0, 4095))
    np.testing.assert_array_equal(made.pixels[0], values)


DECLARED = {
    "MaxSampleValue": ("uint16", (0, 4095), [(281, 3, 1, 4095, True)]),
    "MinSampleValue too": ("uint16", (100, 900), [(280, 3, 1, 100, True), (281, 3, 1, 900, True)]),
    "of 65,535": ("uint16", (0, 65535), [(281, 3, 1, 65535, True)]),
    "SMaxSampleValue, int": ("int16", (-50, 50), [(340, 8, 1, -50, True), (341, 8, 1, 50, True)]),
    "SMaxSampleValue, float": ("float32", (0, 255), [(341, 11, 1, 255.0, True)]),
    "SMaxSampleValue, double": ("float64", (-2, 2), [(340, 12, 1, -2.0, True),
                                                     (341, 12, 1, 2.0, True)]),
    "SMaxSampleValue, long": ("uint32", (0, 100000), [(341, 4, 1, 100000, True)]),
}  # fmt: skip


@pytest.mark.parametrize("declared", DECLARED)
def test_the_white_that_a_file_declares_is_obeyed(declared):
    kind, (low, high), tags = DECLARED[declared]
    values, shade = on_scale(kind, low, min(high, 4000))
    shade = 255 * (values.astype(float) - low) / (high - low)
    made = decoded(written(values, photometric="minisblack", extratags=tags))
    np.testing.assert_allclose(made.pixels[0], shade, atol=0.51)
    beyond = values.copy()
    beyond.flat[5] = min(high + 1, np.iinfo(kind).max if kind[0] in "iu" else np.inf)
    if high < 65535 or kind == "uint32":
        with pytest.raises(ImageError, match="--value-range"):
            decoded(written(beyond, photometric="minisblack", extratags=tags))


@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
@pytest.mark.parametrize(
    ("highest", "remark"),
    [(0, None), (65535, None), (16384, None), (16383, Remark.DARK), (4096, Remark.DARK)],
)
def test_sixteen_bits_of_which_few_are_used_are_said(highest, remark, photometric):
    values = np.zeros((HEIGHT, WIDTH, 3), np.uint16)
    values[5, 6] = highest
    content = written(values if photometric == "rgb" else values[..., 0], photometric=photometric)
    made = decoded(content)
    assert made.remarks == (() if remark is None else (remark,))
    np.testing.assert_allclose(made.pixels[0, 5, 6], highest / 257, atol=0.51)


@pytest.mark.parametrize("highest", [1, 255, 1023, 4095])
@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_sixteen_bits_that_may_be_twelve_need_a_range(photometric, highest):
    values = np.zeros((HEIGHT, WIDTH, 3), np.uint16)
    values[5, 6] = highest
    content = written(values if photometric == "rgb" else values[..., 0], photometric=photometric)
    with pytest.raises(ImageError, match=r"--value-range 0,4095 .* --value-range 0,65535"):
        decoded(content)
    for white in (4095, 65535):
        pixels = decoded(content, value_range=(0, white)).pixels
        np.testing.assert_allclose(pixels[0, 5, 6], 255 * highest / white, atol=0.51)


EIGHT = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 5), dtype=np.uint8)
TWELVE = EIGHT[..., 0] * np.uint16(16)

REFUSED = {
    "five channels": (EIGHT, {"photometric": "minisblack", "planarconfig": "contig"}, "5 channels"),
    "CIELab": (EIGHT[..., :3], {"photometric": "cielab"}, "CIELAB"),
    "JPEG of 12 bits": (TWELVE, {"compression": "jpeg", "compressionargs": {"bitspersample": 12}},
                        "JPEG with 1[26] bits a sample"),
    "JPEG of 12 bits in colour": (np.stack([TWELVE] * 3, -1), {
        "photometric": "rgb", "compression": "jpeg", "compressionargs": {"bitspersample": 12},
    }, "JPEG with 1[26] bits a sample"),
    "lossless JPEG of 16 bits": (TWELVE, {
        "compression": "jpeg", "compressionargs": {"lossless": True},
    }, "JPEG with 1[26] bits a sample"),
    "a sensor's mosaic": (EIGHT[..., 0], {"photometric": "cfa"}, "CFA"),
    "inks": (EIGHT[..., :4], {"photometric": "separated", "extratags": [(332, 3, 1, 2, True)]},
             "SEPARATED"),
    "JPEG XL": (EIGHT[..., :3], {"photometric": "rgb", "compression": "jpegxl"},
                "JPEGXL.*: save it"),
    "complex": (EIGHT[..., 0].astype(np.complex64), {"photometric": "minisblack"}, "real numbers"),
    "nan": (np.full((HEIGHT, WIDTH), np.nan, np.float32), {}, "not finite numbers"),
    "infinity": (np.full((HEIGHT, WIDTH), np.inf, np.float32), {}, "not finite numbers"),
    "alpha of 32 bits": (EIGHT[..., :4].astype(np.int32), {"photometric": "rgb",
                         "extrasamples": ["unassalpha"]}, "alpha channel of 32-bit"),
    "alpha of floats to 255": (EIGHT[..., :4].astype(np.float32), {"photometric": "rgb",
                               "extrasamples": ["unassalpha"]}, "alpha channel from .*: convert"),
    "alpha of 12 bits in 16": (EIGHT[..., :4] * np.uint16(16), {"photometric": "rgb",
                               "extrasamples": ["unassalpha"]}, "alpha.* above 4080: convert"),
    "associated alpha of 12 bits in 16": (EIGHT[..., :2] * np.uint16(16), {
        "photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["assocalpha"],
    }, "alpha.* above 4080: convert"),
    "a volume": (EIGHT[None, None, ..., 0].repeat(16, 1), {"photometric": "minisblack",
                 "volumetric": True, "tile": (16, 16, 16)}, "volume"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_one_meaning_is_refused_by_name(case):
    pixels, options, reason = REFUSED[case]
    with pytest.raises(ImageError, match=reason):
        decoded(written(pixels, **options), 3, value_range=(0, 255))


PLAIN = {256: WIDTH, 257: HEIGHT, 258: 8, 259: 1, 262: 1, 277: 1, 278: HEIGHT}


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({262: None}, "PhotometricInterpretation"),
        ({258: (5, 6, 5), 277: 3, 262: 2}, "kind that is not read"),
        ({277: 2}, "truncated"),
        ({257: 2 * HEIGHT, 278: 2 * HEIGHT}, "truncated"),
        ({256: 30000, 257: 30000, 278: 30000}, "--max-pixels"),
        ({259: 5, 256: 50000, 257: 1500, 258: (8,) * 4, 262: 5, 277: 4, 278: 1500}, "smaller ones"),
        ({256: 1, 257: 600000, 278: 1}, "larger ones"),
        ({257: 0}, "no pixels"),
        ({262: 3}, "palette"),
        ({278: 5}, "truncated"),
    ],
)
def test_a_tiff_that_lies_is_refused(tags, reason):
    tags = {tag: value for tag, value in {**PLAIN, **tags}.items() if value is not None}
    with pytest.raises(ImageError, match=reason):
        decoded(by_hand([EIGHT[..., 0].tobytes()], tags))


PLAIN_RGB = {**PLAIN, 258: (8, 8, 8), 262: 2, 277: 3}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("tags", [PLAIN, PLAIN_RGB], ids=["grey", "RGB"])
@pytest.mark.parametrize("rows", [HEIGHT, 7])
@pytest.mark.parametrize("compression", [1, 8])
def test_the_strips_of_a_plain_page_are_its_pixels(order, tags, rows, compression):
    pixels = EIGHT[..., : tags[277]]
    strips = [pixels[top : top + rows].tobytes() for top in range(0, HEIGHT, rows)]
    if compression == 8:
        strips = [zlib.compress(strip) for strip in strips]
    content = by_hand(strips, {**tags, 259: compression, 278: rows}, order)
    read = decoded(content, tags[277]).pixels
    np.testing.assert_array_equal(read, pixels.transpose(2, 0, 1))


def test_strips_may_lie_in_any_order():
    pixels, rows = EIGHT[:36, :, 0], 18
    strips = [pixels[rows:].tobytes(), pixels[:rows].tobytes()]
    content = by_hand(strips, {**PLAIN, 257: 36, 278: rows})
    places = struct.pack("<2H", 8, 8 + len(strips[0]))
    assert content.count(places) == 1
    content = content.replace(places, places[2:] + places[:2]) + bytes(1000)
    np.testing.assert_array_equal(decoded(content, height=36).pixels[0], pixels)


@pytest.mark.parametrize("tags", [PLAIN, PLAIN_RGB], ids=["grey", "RGB"])
def test_a_strip_whose_checksum_does_not_match_is_refused(tags):
    strip = zlib.compress(EIGHT[..., : tags[277]].tobytes())
    for damaged in (strip[:-1] + bytes([strip[-1] ^ 1]), strip[:-4]):
        with pytest.raises(ImageError, match="not a sound TIFF"):
            decoded(by_hand([damaged], {**tags, 259: 8}), tags[277])


def test_a_plain_page_has_one_channel_if_it_does_not_say_how_many():
    tags = {tag: value for tag, value in PLAIN.items() if tag != 277}
    content = by_hand([EIGHT[..., 0].tobytes()], tags)
    np.testing.assert_array_equal(decoded(content).pixels[0], EIGHT[..., 0])
    assert plain_tags(content) is not None  # it is read the fast way


def test_a_plain_page_of_too_many_pixels_is_refused():
    content = by_hand([EIGHT[..., 0].tobytes()], PLAIN)
    with pytest.raises(ImageError, match="--max-pixels"):
        decoded(content, max_pixels=HEIGHT * WIDTH - 1)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_strip_that_is_cut_short_is_refused(compression):
    whole = written(EIGHT[..., 0], compression=compression, rowsperstrip=HEIGHT)
    with tifffile.TiffFile(io.BytesIO(whole)) as file:
        page = file.pages.first
        start, length = page.dataoffsets[0], page.databytecounts[0]
    assert (decoded(whole).pixels[0] == EIGHT[..., 0]).all()
    tags = {**PLAIN, 259: {None: 1, "lzw": 5, "zlib": 8, "packbits": 32773, "zstd": 50000,
                           "lzma": 34925}[compression]}  # fmt: skip
    for part in (0, length // 2, length * 9 // 10):
        with pytest.raises(ImageError):
            decoded(by_hand([whole[start : start + part]], tags))


PACKED = PACKERS | {32946: imagecodecs.zlib_encode, 34925: imagecodecs.lzma_encode}
ROWS, TILE = 10, (16, 32)
SURPLUS = {
    "a full last strip": lambda row, missing, last: bytes([7]) * row * missing,
    "a byte": lambda row, missing, last: b"\7",
    "a row in each": lambda row, missing, last: bytes([7]) * row,
    "as much again": lambda row, missing, last: last,
}
"""Bytes behind a strip or tile: of a row's length, the rows that it lacks, and its content."""


def cut(planes, tiled):
    """Strips or tiles of each plane, (planes, rows, columns, samples), and the rows they lack."""
    for plane in planes:
        for top in range(0, HEIGHT, TILE[0] if tiled else ROWS):
            if not tiled:
                strip = plane[top : top + ROWS]
                yield strip, ROWS - len(strip)
                continue
            for left in range(0, WIDTH, TILE[1]):
                tile = np.zeros((*TILE, plane.shape[2]), plane.dtype)
                part = plane[top : top + TILE[0], left : left + TILE[1]]
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile, 0


@pytest.mark.parametrize("surplus", SURPLUS)
@pytest.mark.parametrize("planar", [False, True], ids=["chunky", "planar"])
@pytest.mark.parametrize("tiled", [False, True], ids=["strips", "tiles"])
@pytest.mark.parametrize("compression", PACKED)
def test_what_a_strip_or_tile_holds_beyond_its_pixels_is_ignored(
    compression, tiled, planar, surplus
):
    """As libtiff does, which Pillow uses for what is compressed and not planar."""
    for kind, order in ((np.dtype("u1"), "<"), (np.dtype(">u2"), ">")):
        top = np.iinfo(kind).max
        values = np.random.default_rng(0).integers(
            0, top, (HEIGHT, WIDTH, 3), kind.newbyteorder("=")
        )
        values = values.astype(kind)
        planes = values.transpose(2, 0, 1)[..., None] if planar else values[None]
        pieces = []
        for part, missing in cut(planes, tiled):
            content, row = part.tobytes(), part[0].nbytes
            if missing or surplus != "a full last strip":
                content += SURPLUS[surplus](row, missing, content)
            pieces.append(PACKED[compression](content))
        bits = (8 * kind.itemsize,) * 3
        tags = {256: WIDTH, 257: HEIGHT, 258: bits, 259: compression, 262: 2, 277: 3,
                284: 2 if planar else 1}  # fmt: skip
        tags |= {322: TILE[1], 323: TILE[0]} if tiled else {278: ROWS}
        content = by_hand(pieces, tags, order)
        wanted = np.rint(values * (255 / top)).transpose(2, 0, 1)
        np.testing.assert_array_equal(decoded(content, 3).pixels, wanted)
        if kind.itemsize == 1 and not planar and compression != 1:
            with Image.open(io.BytesIO(content)) as image:
                np.testing.assert_array_equal(np.asarray(image).transpose(2, 0, 1), wanted)


@pytest.mark.parametrize("rows", [HEIGHT, 64, 2**32 - 1])
@pytest.mark.parametrize("compression", PACKED)
def test_one_strip_may_be_longer_than_the_image(compression, rows):
    values = np.random.default_rng(0).integers(0, 2**16, (HEIGHT, WIDTH), np.uint16)
    strip = values.tobytes() + bytes([7]) * (64 - HEIGHT) * values[0].nbytes
    tags = {**PLAIN, 258: 16, 259: compression, 278: rows}
    made = decoded(by_hand([PACKED[compression](strip)], tags))
    np.testing.assert_array_equal(made.pixels[0], np.rint(values / 257.0))


@pytest.mark.parametrize("compression", [8, 50000])
def test_a_strip_that_expands_to_far_more_than_the_image_is_refused(compression):
    bomb = PACKED[compression](bytes(1 << 22))
    with pytest.raises(ImageError, match="not a sound TIFF"):
        decoded(by_hand([bomb], {**PLAIN, 258: 16, 259: compression}))


PAGES = {
    "one": ({}, ()),
    "two": ({"more": [{}]}, (Remark.PAGES,)),
    "a preview": ({"more": [{"subfiletype": 1}]}, ()),
    "a mask": ({"more": [{"subfiletype": 4}]}, ()),
    "a preview and another": ({"more": [{"subfiletype": 1}, {}]}, (Remark.PAGES,)),
    "a preview first": ({"first": [{"subfiletype": 1}]}, ()),
}


@pytest.mark.parametrize("pages", PAGES)
@pytest.mark.parametrize("compression", [None, "jpeg"])
def test_pages_that_are_left_aside_are_said(compression, pages):
    described, remarks = PAGES[pages]
    content = io.BytesIO()
    shown = np.full((16, 32), 200, np.uint8)
    with tifffile.TiffWriter(content) as writer:
        for options in described.get("first", ()):
            writer.write(shown // 9, compression=compression, metadata=None, **options)
        writer.write(shown, compression=compression, metadata=None)
        for options in described.get("more", ()):
            mask = options == {"subfiletype": 4}
            page, how = (shown > 9, None) if mask else (shown // 9, compression)
            writer.write(page, compression=how, metadata=None, **options)
    made = decoded(content.getvalue(), 1, 16, 32)
    np.testing.assert_allclose(made.pixels, 200, atol=2)
    assert made.remarks == remarks


STACKS = {
    "ImageJ": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "OME": {"ome": True, "metadata": {"axes": "ZYX"}},
    "tifffile": {"photometric": "minisblack"},
}


@pytest.mark.parametrize("program", STACKS)
def test_the_slices_of_a_stack_are_said(program):
    stack = np.full((3, 8, 8), 7, np.uint8)
    made = decoded(written(stack, **STACKS[program]), 1, 8, 8)
    assert (made.pixels == 7).all()
    assert made.remarks == (Remark.PAGES,)


def test_the_slices_of_a_stack_with_one_directory_are_said():
    """So ImageJ writes what has more than 4 GiB: the further slices follow the first."""
    text = b"ImageJ=1.53\nimages=3\nslices=3\n\0"
    slices = bytes([7]) * 64 + bytes([8]) * 64 + bytes([9]) * 64
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1, 278: 8}
    content = by_hand([slices], {**tags, 270: tuple(text)})
    content = content.replace(struct.pack("<HHI", 270, 3, len(text)),
                              struct.pack("<HHI", 270, 2, len(text)))  # fmt: skip
    wide = struct.pack(f"<{len(text)}H", *text)
    content = content.replace(wide, text + bytes(len(text)))
    made = decoded(content, 1, 8, 8)
    assert (made.pixels == 7).all()
    assert made.remarks == (Remark.PAGES,)
