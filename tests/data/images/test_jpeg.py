"""JPEGs with flaws beside the data of their image, with damaged data, and cut short."""

import io
import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
from imagecodecs import jpeg8_encode, jpegls_encode
from PIL import Image, ImageFile

from aectl.config.decoding import Decoding, Remark
from aectl.data.images.decode import decode, decode_bytes, native_shape, shape_in_header
from aectl.errors import ImageError

CASES = Path(__file__).parents[4] / "shared" / "cases" / "images"
SHAPE = (3, 66, 90)
SOS, DHT = b"\xff\xda", b"\xff\xc4"
ICC = b"ICC_PROFILE\0"
KEEP = Decoding(truncated="keep")


def scene(mode="RGB"):
    """A picture with smooth and with noisy parts."""
    chance = np.random.default_rng(5)
    y, x = np.mgrid[0 : SHAPE[1], 0 : SHAPE[2]]
    pixels = np.stack([2.8 * x, 3.8 * y, 255 - 1.4 * (x + y)], -1)
    pixels[20:50, 30:70] += chance.normal(0, 40, (30, 40, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode)


def written(mode="RGB", **options):
    content = io.BytesIO()
    scene(mode).save(content, "JPEG", **options)
    return content.getvalue()


KINDS = {
    "baseline": {},
    "grey": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
    "optimised": {"subsampling": 0, "optimize": True, "quality": 95},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "stored as RGB": {"keep_rgb": True},
    "with a profile": {"icc_profile": bytes(range(256)) * 300},
}
SOUND = {name: written(**options) for name, options in KINDS.items()}


def segment(marker, content):
    return bytes([255, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def segments(data):
    """Where each segment up to the first scan begins."""
    at = 2
    while True:
        yield at
        if data[at : at + 2] == SOS:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def before_segment(number, inserted):
    def flawed(data):
        *_, at = itertools.islice(segments(data), number + 1)
        return data[:at] + inserted + data[at:]

    return flawed


def before_end(inserted):
    return lambda data: data[:-2] + inserted + data[-2:]


def without_end(inserted=b""):
    return lambda data: data[:-2] + inserted


def after_end(inserted):
    return lambda data: data + inserted


def before_last(marker, inserted):
    """In front of the last segment of a kind, behind the entropy-coded data of a scan before."""

    def flawed(data):
        at = data.rfind(marker)
        return data[:at] + inserted + data[at:] if at > data.index(SOS) else data

    return flawed


def in_scan_header(*selection):
    """Another spectral selection and approximation; a sequential scan has one possible."""

    def flawed(data):
        at = data.index(SOS)
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        return data[: end - 3] + bytes(selection) + data[end:]

    return flawed


def version_of_jfif(*version):
    def flawed(data):
        at = data.find(b"JFIF\0")
        return data if at < 0 else data[: at + 5] + bytes(version) + data[at + 7 :]

    return flawed


def both(*flaws):
    def flawed(data):
        for flaw in flaws:
            data = flaw(data)
        return data

    return flawed


SCAN_HEADERS = {
    f"scan header {values}": in_scan_header(*values)
    for values in [(0, 0, 0), (0, 5, 0), (1, 63, 0), (0, 63, 0x11), (63, 0, 255)]
}
VERSIONS = {
    f"JFIF {one}.{two:02}": version_of_jfif(one, two) for one, two in [(2, 1), (0, 0), (3, 9)]
}
PROFILES = {
    f"profile {number}": before_segment(1, segment(0xE2, content))
    for number, content in enumerate(
        [ICC, ICC + b"\1", ICC + b"\0\1abc", ICC + b"\1\0abc", ICC + b"\1\3abc", ICC + b"\5\2abc"]
    )
}
SEGMENTS = {
    f"segment {number}": before_segment(1, content)
    for number, content in enumerate(
        [
            segment(0xE0, b"JFIF"),
            segment(0xEE, b"Adobe\0"),
            segment(0xED, b"Photoshop 3.0\x008BIM\1\2"),
            segment(0xE1, b"Exif\0\0" + b"\xff" * 30),
            segment(0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff"),
            segment(0xFE, b""),
            b"\xff\xe7\0\0",
        ]
    )
}
STRAY = {"zero": b"\0", "text": b"hello world", "zeros": bytes(3000), "escaped": b"\xff\0"}
BETWEEN = {
    f"{name} before segment {number}": before_segment(number, stray)
    for name, stray in STRAY.items()
    for number in range(7)
}
AT_THE_END = {
    f"{name} {where.__name__}": where(stray)
    for where in (before_end, without_end, after_end)
    for name, stray in {
        "zero": b"\0", "4 zeros": bytes(4), "100 zeros": bytes(100), "5000 zeros": bytes(5000),
        "text": b"Samsung 1234", "long text": b"The quick brown fox. " * 50, "fill": b"\xff" * 20,
        "lines": b"\r\n" * 8,
    }.items()
}  # fmt: skip
OTHER_ENDS = {
    "no end": without_end(),
    "another image after the end": after_end(SOUND["grey"]),
    "another image instead of an end": without_end(SOUND["grey"]),
}
BETWEEN_SCANS = {
    f"{name} before a later {what}": before_last(marker, stray)
    for what, marker in {"table": DHT, "scan": SOS, "restart": b"\xff\xd1"}.items()
    for name, stray in {"zeros": bytes(100), "text": b"Samsung 1234"}.items()
}
TOGETHER = {
    "all together": both(
        version_of_jfif(2, 1), before_segment(2, bytes(20)), before_segment(1, segment(0xE2, ICC)),
        before_segment(0, b"text"), before_end(b"some more text"),
    ),
    "all but the end": both(
        version_of_jfif(2, 1), before_segment(3, b"text"), without_end(bytes(30))
    ),
}  # fmt: skip
FLAWS = (
    VERSIONS | PROFILES | SEGMENTS | BETWEEN | AT_THE_END | OTHER_ENDS | BETWEEN_SCANS | TOGETHER
)


@pytest.fixture(scope="module")
def pixels():
    """What the sound files show."""
    return {kind: decode_bytes(data, SHAPE).pixels for kind, data in SOUND.items()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("flaw", FLAWS)
def test_flaws_beside_the_data_leave_the_pixels_as_they_are(pixels, flaw):
    for kind, data in SOUND.items():
        read = decode_bytes(FLAWS[flaw](data), SHAPE)
        assert np.array_equal(read.pixels, pixels[kind]), kind
        assert read.remarks == ()


@pytest.mark.parametrize("flaw", SCAN_HEADERS)
def test_a_sequential_scan_is_read_whatever_selection_its_header_names(pixels, flaw):
    for kind in KINDS.keys() - {"progressive"}:
        read = decode_bytes(SCAN_HEADERS[flaw](SOUND[kind]), SHAPE).pixels
        assert np.array_equal(read, pixels[kind]), kind


@pytest.mark.parametrize("kind", KINDS)
def test_sound_files_are_what_pillow_makes_of_them(kind):
    with Image.open(io.BytesIO(SOUND[kind])) as image:
        wanted = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    difference = decode_bytes(SOUND[kind], SHAPE).pixels.astype(int) - wanted
    assert np.abs(difference).max() <= 4


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder of odd files is not here")
def test_photographs_with_flaws_have_the_pixels_of_the_sound_one():
    sound = decode(CASES / "photo_ok.jpg", (3, 375, 500))
    flawed = [path for path in CASES.glob("photo_*.jpg") if path.name != "photo_ok.jpg"]
    assert len(flawed) >= 3
    for path in flawed:
        np.testing.assert_array_equal(decode(path, (3, 375, 500)), sound)
        assert native_shape(path) == (3, 375, 500)


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder of odd files is not here")
def test_odd_jpegs_show_what_they_were_made_of():
    expected = np.load(CASES / "expected.npz")
    names = [name for name in expected.files if name.endswith(".jpg")]
    assert len(names) >= 20
    for name in set(names) - {"heic_named.jpg"}:
        read = decode(CASES / name, (3, 16, 16)).astype(float)
        assert np.abs(read - expected[name]).mean() <= 2, name


def damaged(data, seed, flips):
    """Some bits of the entropy-coded data turned around."""
    data, chance = bytearray(data), np.random.default_rng(seed)
    for bit in chance.integers(8 * (data.index(SOS) + 14), 8 * (len(data) - 2), flips):
        data[bit // 8] ^= 1 << (bit % 8)
    return bytes(data)


def is_sound_to_libjpeg(data, kind):
    """Whether libjpeg finds nothing to warn of."""
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(data, "CMYK" if kind == "cmyk" else "RGB", strict=True)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_what_libjpeg_warns_of_in_damaged_data_stays_refused(kind):
    """But for one in hundreds: behind data that end early, codes may look like zeros or text."""
    refused = accepted = 0
    for seed in range(150):
        data = damaged(SOUND[kind], seed, (1, 2, 5, 40)[seed % 4])
        if is_sound_to_libjpeg(data, kind):
            continue
        try:
            decode_bytes(data, SHAPE)
        except ImageError:
            refused += 1
        else:
            accepted += 1
    assert refused > 30
    assert accepted <= 2


@pytest.mark.parametrize("kind", ["baseline", "cmyk", "restarts"])
def test_damage_is_not_hidden_by_flaws_beside_it(kind):
    damages = [damaged(SOUND[kind], seed, 40) for seed in range(30)]
    damages = [data for data in damages if not is_sound_to_libjpeg(data, kind)]
    assert len(damages) > 15
    for data in damages:
        with pytest.raises(ImageError):
            decode_bytes(TOGETHER["all together"](data), SHAPE)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_before_the_end_may_be_data_and_is_refused(kind):
    noise = np.random.default_rng(3).integers(0, 255, 40, np.uint8).tobytes()
    with pytest.raises(ImageError, match="extraneous"):
        decode_bytes(before_end(noise)(SOUND[kind]), SHAPE)


@pytest.mark.parametrize("decoding", [Decoding(), KEEP])
@pytest.mark.parametrize("kind", KINDS)
def test_a_hole_in_the_data_is_no_end(kind, decoding):
    data = SOUND[kind]
    half = (data.index(SOS) + len(data)) // 2
    with pytest.raises(ImageError, match="Corrupt JPEG data"):
        decode_bytes(data[:half] + data[-2:], SHAPE, decoding)


def with_sides(data, height, width):
    at = next(at for at in segments(data) if data[at + 1] in range(0xC0, 0xC3))
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


@pytest.mark.parametrize("kind", KINDS)
def test_a_height_that_follows_the_first_scan_is_the_height(pixels, kind):
    """T.81, B.2.5, of files that a scanner wrote before it knew the height."""
    data = with_sides(SOUND[kind], 0, SHAPE[2])
    start = data.index(SOS) + 4
    end = min(at for at in (data.find(DHT, start), data.find(SOS, start), len(data) - 2) if at > 0)
    whole = data[:end] + segment(0xDC, struct.pack(">H", SHAPE[1])) + data[end:]
    np.testing.assert_array_equal(decode_bytes(whole, SHAPE).pixels, pixels[kind])
    assert shape_in_header(whole) == shape_in_header(SOUND[kind])
    with pytest.raises(ImageError, match="no height"):
        decode_bytes(data, SHAPE)


def distance(one, other):
    return np.abs(one.astype(int) - other).mean()


def pillow_makes_of(data, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_cut_short_is_refused_or_kept_with_what_there_is(kind, monkeypatch):
    """Where the header of a later scan is cut, Pillow loses the scans before it."""
    data, whole = SOUND[kind], decode_bytes(SOUND[kind], SHAPE).pixels
    start = data.index(SOS) + 16
    for cut in np.linspace(start, len(data) - 3, 60).astype(int):
        with pytest.raises(ImageError, match=r"truncated.*--truncated keep"):
            decode_bytes(data[:cut], SHAPE)
        kept = decode_bytes(data[:cut], SHAPE, KEEP)
        assert kept.remarks == (Remark.TRUNCATED,)
        pillow = pillow_makes_of(data[:cut], monkeypatch)
        alike = np.abs(kept.pixels.astype(int) - pillow).max() <= 4
        assert alike or distance(kept.pixels, whole) < distance(pillow, whole)


@pytest.mark.parametrize("length", [1000, 20_000])
@pytest.mark.parametrize("kind", KINDS)
def test_zeros_in_the_place_of_the_rest_are_no_pixels(kind, length, monkeypatch):
    data = SOUND[kind]
    half = (data.index(SOS) + len(data)) // 2
    with pytest.raises(ImageError, match="--truncated keep"):
        decode_bytes(data[:half] + bytes(length), SHAPE)
    kept = decode_bytes(data[:half] + bytes(length), SHAPE, KEEP)
    difference = kept.pixels.astype(int) - pillow_makes_of(data[:half], monkeypatch)
    assert np.abs(difference).max() <= 4


def test_a_jpeg_cut_before_its_image_is_refused():
    data = SOUND["baseline"]
    for cut in (2, 3, 20, 200, data.index(SOS) + 4):
        with pytest.raises(ImageError):
            decode_bytes(data[:cut], SHAPE, KEEP)


def flat(factors, bits=8, scans=1):
    """A grey image of 50x40 pixels, all 0 before the shift of T.81, A.3.1, each with its sampling
    factors (horizontal, vertical).
    """
    across, down = (max(one[n] for one in factors) for n in (0, 1))
    numbers = range(1, len(factors) + 1)
    described = zip(numbers, factors, strict=True)
    head = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
    head += segment(
        0xC0 if scans == 1 else 0xC2,
        bytes([bits, 0, 40, 0, 50, len(factors)])
        + b"".join(bytes([number, 16 * h + v, 0]) for number, (h, v) in described),
    )
    for table in (0, 16):  # each of one code, 0: no difference, and the end of the block
        head += segment(0xC4, bytes([table, 1, *[0] * 15, 0]))
    blocks = -(-50 // (8 * across)) * -(-40 // (8 * down)) * sum(h * v for h, v in factors)
    size = -(-2 * blocks // 8)
    code = (2 ** (8 * size - 2 * blocks) - 1).to_bytes(size, "big")
    scan = bytes([len(factors), *(byte for number in numbers for byte in (number, 0))])
    return head + segment(0xDA, scan + b"\0\x3f\0") + code + b"\xff\xd9"


@pytest.mark.parametrize(
    "factors",
    [
        [(1, 1)] * 3, [(2, 1), (1, 1), (1, 1)], [(1, 2), (1, 1), (1, 1)], [(2, 2), (1, 1), (1, 1)],
        [(4, 1), (1, 1), (1, 1)], [(1, 4), (1, 1), (1, 1)], [(2, 2), (2, 1), (2, 1)],
    ],
)  # fmt: skip
def test_every_usual_sampling_of_colour_is_read(factors):
    assert (decode_bytes(flat(factors), (3, 20, 25)).pixels == 128).all()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (flat([(4, 2), (1, 1), (1, 1)]), "4:2:0"),
        (flat([(2, 1), (2, 1), (1, 1)]), "4:2:0"),
        (flat([(1, 1)] * 2), "2 components"),
        (flat([(1, 1)] * 5), "5 components"),
        (flat([(1, 1)], bits=10), "10 bits"),
        (flat([(1, 1)], bits=16), "16 bits"),
        pytest.param(jpegls_encode(np.zeros((40, 50), np.uint8)), "JPEG-LS", id="JPEG-LS"),
        (
            SOUND["progressive"][:-2] + segment(0xDA, b"\1\1\0\0\0\0") * 501 + b"\xff\xd9",
            "save it as baseline",
        ),
    ],
)
def test_jpegs_that_are_not_read_are_refused_by_name(content, named):
    with pytest.raises(ImageError, match=named):
        decode_bytes(content, SHAPE)


@pytest.mark.parametrize("side", [8, 16, 32])
@pytest.mark.parametrize("subsampling", ["444", "440", "422", "420", "411"])
def test_the_colour_of_a_reduced_image_is_that_of_the_whole(subsampling, side):
    """libjpeg reduces colour of half the samples as much as that of all, but in 4:2:0."""
    colours = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    smooth = Image.fromarray(colours).resize((8 * side, 8 * side), Image.Resampling.BICUBIC)
    content = jpeg8_encode(np.asarray(smooth), level=95, subsampling=subsampling)
    with Image.open(io.BytesIO(content)) as image:
        small = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
        wanted = np.asarray(small).transpose(2, 0, 1)
    assert distance(decode_bytes(content, (3, side, side)).pixels, wanted) < 6


def deep_scene(bits, components):
    """The scene in another depth: (height, width), or (height, width, components)."""
    chance = np.random.default_rng(5)
    y, x = np.mgrid[0 : SHAPE[1], 0 : SHAPE[2]]
    light = np.stack([x / 180 + y / 132, 1 - x / 90, y / 66, (x + y) / 400][:components], -1)
    light[20:50, 30:70] += chance.normal(0, 0.1, (30, 40, 1))
    values = np.rint(light.clip(0, 1) * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)
    values[0, 0], values[-1, -1] = 0, 2**bits - 1
    return values[..., 0] if components == 1 else values


CMYK = {"components": 4, "colorspace": "CMYK", "outcolorspace": "YCCK"}
DEEP = {
    "grey": {},
    "colour": {"components": 3, "subsampling": "444"},
    "4:2:0": {"components": 3, "subsampling": "420"},
    "optimised": {"components": 3, "subsampling": "444", "optimize": True},
    "stored as RGB": {"components": 3, "outcolorspace": "RGB"},
    "cmyk": CMYK,
    "lossless": {"lossless": True},
    "lossless colour": {"components": 3, "lossless": True},
}


def deep(kind, bits=12):
    """A file of a kind, and its pixels."""
    options = {**DEEP[kind]}
    values = deep_scene(bits, options.pop("components", 1))
    level = None if "lossless" in options else 99
    return jpeg8_encode(values, level=level, bitspersample=bits, **options), values


@pytest.mark.parametrize("kind", DEEP)
def test_twelve_bits_show_what_eight_do(kind):
    with Image.open(io.BytesIO(deep(kind, 8)[0])) as image:
        wanted = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    read = decode_bytes(deep(kind)[0], SHAPE)
    assert np.abs(read.pixels.astype(int) - wanted).max() <= 5
    assert read.remarks == ()


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("bits", range(2, 17))
def test_lossless_files_of_every_depth_have_their_pixels_to_the_last_bit(bits, components):
    kind = "lossless" if components == 1 else "lossless colour"
    content, values = deep(kind, bits)
    wanted = np.rint(np.atleast_3d(values) * (255 / (2**bits - 1))).transpose(2, 0, 1)
    read = decode_bytes(content, (components, *SHAPE[1:]))
    np.testing.assert_array_equal(read.pixels, wanted)


@pytest.mark.parametrize("kind", ["lossless", "lossless colour"])
@pytest.mark.parametrize("side", [1, 8, 28])
def test_a_lossless_file_larger_than_the_shape_is_reduced(side, kind):
    """libjpeg has no reduced scales of these: its output once went beyond the memory for it."""
    content, values = deep(kind, 8)
    for _ in range(20):
        read = decode_bytes(content, (3, side, side)).pixels
    wanted = Image.fromarray(values).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(read, np.asarray(wanted).transpose(2, 0, 1))
    flawed = before_end(b"Samsung 1234")(content)
    np.testing.assert_array_equal(decode_bytes(flawed, (3, side, side)).pixels, read)


def test_a_range_says_what_is_white_in_twelve_bits():
    content, values = deep("lossless")
    read = decode_bytes(content, (1, *SHAPE[1:]), Decoding(value_range=(1000, 2000)))
    wanted = np.rint(255 * ((values.astype(float) - 1000) / 1000).clip(0, 1))
    np.testing.assert_array_equal(read.pixels[0], wanted)


@pytest.mark.parametrize("flaw", FLAWS)
def test_flaws_beside_twelve_bits_leave_the_pixels_as_they_are(flaw):
    for kind in ("grey", "colour"):
        content, _ = deep(kind)
        sound = decode_bytes(content, SHAPE).pixels
        np.testing.assert_array_equal(decode_bytes(FLAWS[flaw](content), SHAPE).pixels, sound)


def test_a_bit_that_makes_no_code_is_damage_in_twelve_bits():
    """The table has one code, 0: a 1 in its place is none (T.81, F.2.2.3)."""
    content = flat([(1, 1)], bits=12)
    assert (decode_bytes(content, (1, 40, 50)).pixels == 128).all()
    start = content.index(SOS) + 10
    for bit in range(2 * 35):
        changed = bytearray(content)
        changed[start + bit // 8] ^= 128 >> bit % 8
        with pytest.raises(ImageError, match="Corrupt JPEG data"):
            decode_bytes(bytes(changed), (1, 40, 50))


@pytest.mark.parametrize("kind", DEEP)
def test_damage_to_twelve_bits_is_told(kind):
    """Of eight bits, the same damage is told in 54 to 60 files of 60."""
    content, told = deep(kind)[0], 0
    for seed in range(60):
        try:
            decode_bytes(damaged(content, seed, 40), SHAPE)
        except ImageError:
            told += 1
    assert told >= 54


@pytest.mark.parametrize("kind", DEEP)
def test_twelve_bits_cut_short_are_refused_or_kept_with_what_there_is(kind):
    content, _ = deep(kind)
    whole = decode_bytes(content, SHAPE).pixels
    start = content.index(SOS) + 16
    cut = content[: start + (len(content) - start) * 2 // 3]
    with pytest.raises(ImageError, match=r"truncated.*--truncated keep"):
        decode_bytes(cut, SHAPE)
    kept = decode_bytes(cut, SHAPE, KEEP)
    assert kept.remarks == (Remark.TRUNCATED,)
    np.testing.assert_array_equal(kept.pixels[:, : SHAPE[1] // 3], whole[:, : SHAPE[1] // 3])


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_twelve_bits_are_turned_as_exif_says(tmp_path, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    content = before_segment(1, segment(0xE1, exif.tobytes()))(deep("grey")[0])
    turned = {1: 0, 3: 2, 6: 3}[orientation]
    wanted = np.rot90(decode_bytes(deep("grey")[0], (1, *SHAPE[1:])).pixels[0], turned)
    (tmp_path / "a.jpg").write_bytes(content)
    assert shape_in_header(tmp_path / "a.jpg") == (1, *wanted.shape)
    np.testing.assert_array_equal(decode_bytes(content, (1, *wanted.shape)).pixels[0], wanted)
