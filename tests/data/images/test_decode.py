"""Decoding one image file, whatever its format, orientation, depth or damage."""

import io
import os
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from aectl.config.decoding import Decoding
from aectl.data.images import levels, tiff, upright
from aectl.data.images import png as png_files
from aectl.data.images.decode import SUFFIXES, decode, decode_bytes, native_shape
from aectl.data.images.pixels import fit_all
from aectl.errors import ImageError

UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).T,
    8: np.rot90,
}
"""How an image is shown, by the value of EXIF's orientation (CIPA DC-008, section 4.6.4)."""

ORIENTATION = 274
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def saved(path, pixels, **options):
    Image.fromarray(np.asarray(pixels)).save(path, **options)
    return path


def flat(mode, colour, size=(8, 8)):
    return Image.new(mode, size, colour)


def turned(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_exif_orientation_is_applied(tmp_path, ending, orientation):
    stored = noise(3, 5)
    path = tmp_path / f"turned.{ending}"
    lossless = {"lossless": True} if ending == "webp" else {}
    saved(path, np.stack([stored] * 3, -1), exif=turned(orientation), **lossless)
    wanted = UPRIGHT[orientation](stored)
    assert native_shape(path) == (3, *wanted.shape)
    np.testing.assert_array_equal(decode(path, (3, *wanted.shape)), [wanted] * 3)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_of_a_jpeg_is_applied(tmp_path, orientation):
    stored = np.kron(np.array([[0, 80, 160], [240, 40, 120]], np.uint8), np.ones((16, 16)))
    path = saved(tmp_path / "turned.jpg", stored.astype(np.uint8), exif=turned(orientation))
    wanted = UPRIGHT[orientation](stored)
    assert native_shape(path) == (1, *wanted.shape)
    np.testing.assert_allclose(decode(path, (1, *wanted.shape))[0], wanted, atol=3)


@pytest.mark.parametrize("exif", [b"garbage", b"II*\0\xff\xff\xff\x7f", b""])
@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_damaged_exif_does_not_cost_the_image(tmp_path, ending, exif):
    path = tmp_path / f"a.{ending}"
    saved(path, np.full((8, 8, 3), 200, np.uint8), exif=b"Exif\0\0" + exif)
    assert native_shape(path) == (3, 8, 8)
    np.testing.assert_allclose(decode(path, (3, 8, 8)), 200, atol=3)


SIXTEEN = np.array([[0, 128, 129, 256, 257], [12345, 30000, 32768, 65407, 65535]], np.uint16)


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, ending):
    path = tmp_path / f"deep.{ending}"
    if ending == "pgm":
        path.write_bytes(b"P5\n5 2\n65535\n" + SIXTEEN.astype(">u2").tobytes())
    else:
        saved(path, SIXTEEN)
    assert native_shape(path) == (1, 2, 5)
    np.testing.assert_array_equal(decode(path, (1, 2, 5))[0], np.round(SIXTEEN / 257))


def test_sixteen_bits_become_colour_in_equal_channels(tmp_path):
    path = saved(tmp_path / "deep.png", SIXTEEN)
    np.testing.assert_array_equal(decode(path, (3, 2, 5)), [np.round(SIXTEEN / 257)] * 3)


def test_one_bit_becomes_black_and_white(tmp_path):
    bits = noise(5, 9) > 127
    path = saved(tmp_path / "bits.png", bits)
    assert native_shape(path) == (1, 5, 9)
    np.testing.assert_array_equal(decode(path, (1, 5, 9))[0], bits * 255)


def palette_image():
    image = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8), "P")
    image.putpalette([*RED, *GREEN, *BLUE])
    return image


def test_palette_becomes_its_colours(tmp_path):
    palette_image().save(tmp_path / "a.png")
    assert native_shape(tmp_path / "a.png") == (3, 2, 2)
    shown = decode(tmp_path / "a.png", (3, 2, 2)).transpose(1, 2, 0)
    np.testing.assert_array_equal(shown, [[RED, GREEN], [BLUE, RED]])


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_a_transparent_palette_entry_shows_white(tmp_path, ending):
    palette_image().save(tmp_path / f"a.{ending}", transparency=1)
    shown = decode(tmp_path / f"a.{ending}", (3, 2, 2)).transpose(1, 2, 0)
    np.testing.assert_array_equal(shown, [[RED, (255, 255, 255)], [BLUE, RED]])


def test_a_transparent_colour_of_an_rgb_png_shows_white(tmp_path):
    image = Image.fromarray(np.array([[RED, GREEN]], np.uint8))
    image.save(tmp_path / "a.png", transparency=GREEN)
    shown = decode(tmp_path / "a.png", (3, 1, 2)).transpose(1, 2, 0)
    np.testing.assert_array_equal(shown, [[RED, (255, 255, 255)]])


def over_white(colour, alpha):
    return (colour * alpha + 255.0 * (255 - alpha)) / 255


@pytest.mark.parametrize("ending", ["png", "webp", "tif"])
def test_transparent_pixels_show_white(tmp_path, ending):
    pixels = noise(6, 7, 4)
    pixels[0, :, 3], pixels[1, :, 3] = 0, 255
    lossless = {"lossless": True, "exact": True} if ending == "webp" else {}
    path = saved(tmp_path / f"a.{ending}", pixels, **lossless)
    colour, alpha = pixels[..., :3].astype(float), pixels[..., 3:].astype(float)
    shown = decode(path, (3, 6, 7)).transpose(1, 2, 0)
    np.testing.assert_allclose(shown, over_white(colour, alpha), atol=1)
    assert (shown[0] == 255).all()
    np.testing.assert_array_equal(shown[1], pixels[1, :, :3])


def test_grey_with_alpha_shows_white_where_it_is_transparent(tmp_path):
    grey, alpha = noise(4, 5).astype(float), noise(5, 4).T.astype(float)
    image = Image.merge("LA", [Image.fromarray(x.astype(np.uint8)) for x in (grey, alpha)])
    image.save(tmp_path / "a.png")
    assert native_shape(tmp_path / "a.png") == (1, 4, 5)
    shown = decode(tmp_path / "a.png", (1, 4, 5))[0]
    np.testing.assert_allclose(shown, over_white(grey, alpha), atol=1)


@pytest.mark.parametrize(
    "ink", [(0, 0, 0, 0), (255, 0, 0, 0), (0, 200, 100, 0), (0, 0, 0, 180), (90, 40, 0, 60)]
)
@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_cmyk_becomes_rgb(tmp_path, ending, ink):
    flat("CMYK", ink).save(tmp_path / f"a.{ending}")
    cyan, magenta, yellow, black = ink
    wanted = [(255 - part) * (255 - black) / 255 for part in (cyan, magenta, yellow)]
    assert native_shape(tmp_path / f"a.{ending}") == (3, 8, 8)
    shown = decode(tmp_path / f"a.{ending}", (3, 8, 8))
    np.testing.assert_allclose(shown[:, 4, 4], wanted, atol=3)


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif"])
def test_an_animation_gives_its_first_frame(tmp_path, ending):
    frames = [flat("RGB", colour) for colour in (GREEN, RED, BLUE)]
    path = tmp_path / f"a.{ending}"
    lossless = {"lossless": True} if ending == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **lossless)
    with Image.open(path) as image:
        assert image.n_frames == 3
    np.testing.assert_array_equal(decode(path, (3, 8, 8))[:, 3, 3], GREEN)


def test_floats_from_zero_to_one_are_scaled(tmp_path):
    values = np.array([[0, 0.2, 0.25], [0.75, 0.999, 1]], np.float32)
    path = saved(tmp_path / "a.tif", values)
    assert native_shape(path) == (1, 2, 3)
    np.testing.assert_array_equal(decode(path, (1, 2, 3))[0], [[0, 51, 64], [191, 255, 255]])


def test_colour_becomes_grey_by_its_luma(tmp_path):
    pixels = noise(5, 6, 3)
    path = saved(tmp_path / "a.png", pixels)
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(decode(path, (1, 5, 6))[0], luma, atol=1)


def test_grey_becomes_colour_in_equal_channels(tmp_path):
    pixels = noise(5, 6)
    path = saved(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(decode(path, (3, 5, 6)), [pixels] * 3)


@pytest.mark.parametrize("shape", [(1, 5, 9), (3, 5, 9)])
def test_an_image_of_the_wanted_size_keeps_its_pixels(tmp_path, shape):
    pixels = noise(*shape)
    path = saved(tmp_path / "a.png", pixels[0] if shape[0] == 1 else pixels.transpose(1, 2, 0))
    shown = decode(path, shape)
    assert (shown.dtype, shown.shape) == (np.uint8, shape)
    np.testing.assert_array_equal(shown, pixels)


def triangle(length, size):
    """Weights (size, length): a triangle about each new pixel, two of the wider pixels wide."""
    ratio = length / size
    reach = max(ratio, 1)
    centres = (np.arange(size)[:, None] + 0.5) * ratio
    weights = np.clip(1 - np.abs(np.arange(length) + 0.5 - centres) / reach, 0, None)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("shape", [(1, 7, 9), (1, 8, 8), (1, 20, 14), (1, 40, 50), (3, 6, 31)])
def test_resizing_averages_under_a_triangle(tmp_path, shape):
    channels, height, width = shape
    pixels = noise(20, 28) if channels == 1 else noise(20, 28, 3)
    path = saved(tmp_path / "a.png", pixels)
    planes = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    wanted = triangle(20, height) @ planes.astype(float) @ triangle(28, width).T
    np.testing.assert_allclose(decode(path, shape), wanted, atol=1.01)


def test_enlarging_blends_two_pixels_linearly(tmp_path):
    path = saved(tmp_path / "a.png", np.array([[0, 200]], np.uint8))
    assert decode(path, (1, 1, 4)).tolist() == [[[0, 50, 150, 200]]]


def test_a_fine_checkerboard_shrinks_to_mid_grey(tmp_path):
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    path = saved(tmp_path / "a.png", board)
    np.testing.assert_allclose(decode(path, (1, 16, 16)), 127.5, atol=2)


def test_images_of_a_dataset_are_fitted_as_files_are(tmp_path):
    pixels = noise(4, 3, 12, 10)
    paths = [saved(tmp_path / f"{n}.png", x.transpose(1, 2, 0)) for n, x in enumerate(pixels)]
    fitted = fit_all(pixels, (1, 5, 6))
    np.testing.assert_array_equal(fitted, [decode(path, (1, 5, 6)) for path in paths])


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_known_ending_is_read(tmp_path, suffix):
    grey = suffix in (".pbm", ".pgm")
    image = flat("L", 255) if grey else flat("RGB", (250, 120, 20))
    if suffix == ".pbm":
        image = image.convert("1")
    path = tmp_path / f"a{suffix}"
    image.save(path, "BMP" if suffix == ".dib" else None)
    assert native_shape(path)[1:] == (8, 8)
    wanted = (255, 255, 255) if grey else (250, 120, 20)
    np.testing.assert_allclose(decode(path, (3, 8, 8))[:, 4, 4], wanted, atol=6)


def bytes_of(file_format):
    held = io.BytesIO()
    Image.fromarray(noise(64, 64, 3)).save(held, file_format)
    return held.getvalue()


def png(width, height, depth, kind, data):
    """A PNG file of a depth and a colour type, with its rows as they are before compression."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def png_header(width, height):
    """A grey PNG file that claims a size, with almost no data."""
    return png(width, height, 8, 0, bytes(1000))


def write(data):
    return lambda path: path.write_bytes(data)


def write_floats(values):
    return lambda path: Image.fromarray(np.array([values], np.float32)).save(path, "TIFF")


BAD_FILES = {
    "jpeg cut short": (write(bytes_of("JPEG")[:2000]), "Premature end|truncated"),
    "png cut short": (write(bytes_of("PNG")[:2000]), "truncated"),
    "webp cut short": (write(bytes_of("WEBP")[:2000]), ""),
    "tiff cut short": (write(bytes_of("TIFF")[:2000]), ""),
    "text": (write(b"this is no picture\n"), "not an image"),
    "empty": (write(b""), "is empty"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "missing": (lambda path: None, "No such file"),
    "dangling link": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "bomb": (write(png_header(60_000, 60_000)), "pixels"),
    "large bomb": (write(png_header(10_000, 10_000)), "pixels"),
    "not a number": (write_floats([0.5, np.nan]), "not finite numbers"),
    "infinite": (write_floats([0.5, np.inf]), "not finite numbers"),
    "above one": (write_floats([0.5, 200]), "from 0.5 to 200, .* --value-range"),
    "below zero": (write_floats([-0.5, 1]), "from -0.5 to 1, .* --value-range"),
}


@pytest.mark.parametrize(("make", "word"), BAD_FILES.values(), ids=BAD_FILES)
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_bad_file_is_refused_in_one_line(tmp_path, make, word, name):
    make(tmp_path / name)
    with pytest.raises(ImageError) as refused:
        decode(tmp_path / name, (1, 8, 8))
    reason = str(refused.value)
    assert re.search(word, reason)
    assert len(reason.splitlines()) == 1


@pytest.mark.parametrize("kept", [16, 25, 40, 100, 1000, 2000])
@pytest.mark.parametrize(
    "file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM"]
)
def test_a_file_that_ends_too_early_is_not_said_to_be_in_another_format(file_format, kept):
    with pytest.raises(ImageError, match=r"(?i:truncated)|damaged|not a sound TIFF"):
        decode_bytes(bytes_of(file_format)[:kept], (1, 8, 8))


@pytest.mark.parametrize("name", ["jpeg cut short", "text", "empty", "folder", "missing", "bomb"])
def test_the_shape_of_a_bad_file_is_refused_in_one_line(tmp_path, name):
    make, word = BAD_FILES[name]
    make(tmp_path / "a.png")
    with pytest.raises(ImageError, match=word) as refused:
        native_shape(tmp_path / "a.png")
    assert len(str(refused.value).splitlines()) == 1


def scene(width, height):
    """A picture of smooth shades, in which left, right, top, bottom and the colours all differ."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 255 * x / (width - 1), 255 * y / (height - 1)
    return np.stack([red, green, 255 - (red + green) / 2], -1).round().astype(np.uint8)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("size", [(640, 480), (200, 500), (37, 29), (1600, 100)])
@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 20, 60), (3, 90, 40)])
def test_a_jpeg_decoded_small_shows_what_the_whole_one_shows(tmp_path, size, shape, orientation):
    stored = scene(*size)
    saved(tmp_path / "a.jpg", stored, exif=turned(orientation), quality=95)
    upright = UPRIGHT[orientation](stored) if orientation > 1 else stored
    wanted = Image.fromarray(np.ascontiguousarray(upright))
    wanted = wanted.convert("RGB" if shape[0] == 3 else "L")
    wanted = np.asarray(wanted.resize(shape[:0:-1], Image.Resampling.BILINEAR), np.int64)
    found = decode(tmp_path / "a.jpg", shape).astype(np.int64)
    assert found.shape == shape
    difference = found - (wanted.transpose(2, 0, 1) if shape[0] == 3 else wanted[None])
    assert np.abs(difference).max() <= 12
    assert np.abs(difference).mean() <= 3


def flipped(data, start, bits):
    """The data with so many bits turned around, at random, from a byte on."""
    data, chance = bytearray(data), np.random.default_rng(0)
    for bit in chance.integers(8 * start, 8 * (len(data) - 50), bits):
        data[bit // 8] ^= 1 << (bit % 8)
    return bytes(data)


def noise_bytes(format, **options):
    written = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (200, 200), np.uint8)
    Image.fromarray(pixels).save(written, format, **options)
    return written.getvalue()


def test_a_corrupt_jpeg_is_refused_and_not_guessed(tmp_path):
    (tmp_path / "a.jpg").write_bytes(flipped(noise_bytes("JPEG"), 700, 40))
    Image.open(tmp_path / "a.jpg").load()  # Pillow makes pixels up
    with pytest.raises(ImageError, match="Corrupt JPEG data"):
        decode(tmp_path / "a.jpg", (1, 28, 28))


@pytest.mark.parametrize("place", [0.1, 0.5, 0.99])
def test_every_bit_of_a_png_counts(tmp_path, place):
    data = bytearray(noise_bytes("PNG"))
    data[int(33 + place * (len(data) - 33 - 12))] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageError):
        decode(tmp_path / "a.png", (1, 28, 28))


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero", "/dev/null"):
        with pytest.raises(ImageError, match="is not a file"):
            decode(path, (1, 8, 8))


@pytest.mark.parametrize("format", ["EPS", "TGA", "ICO", "SGI"])
def test_formats_that_hold_no_photos_are_not_tried(tmp_path, format):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png", format)
    with pytest.raises(ImageError, match="not an image"):
        decode(tmp_path / "a.png", (1, 8, 8))


def stored_so_that_it_shows(upright, orientation):
    """What a camera, turned so, would have stored."""
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    return np.ascontiguousarray(UPRIGHT[undo](upright))


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(
    ("shape", "block"),
    [
        ((1, 40, 80), (16, 2)),  # height allows 1/8 and width no more than 4/8
        ((1, 80, 40), (2, 16)),
        ((1, 30, 50), (4, 8)),
        ((1, 50, 30), (8, 4)),
        ((1, 24, 24), (2, 2)),
        ((1, 24, 24), (8, 1)),
    ],
)
def test_a_jpeg_is_decoded_at_a_scale_that_covers_the_shape(tmp_path, shape, block, orientation):
    """Each pixel of the shape is a block of the image: a scale too small would blur them.

    Blocks at half the width or half the height, enlarged again, are off by 50 in the mean.
    """
    values = noise(*shape[1:])
    upright = np.kron(values, np.ones(block, np.uint8))
    stored = stored_so_that_it_shows(upright, orientation)
    saved(tmp_path / "a.jpg", stored, exif=turned(orientation), quality=98)
    shown = decode(tmp_path / "a.jpg", shape)[0].astype(float)
    assert np.abs(shown - values).mean() < 32


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_at_an_eighth_is_the_mean_of_its_blocks(tmp_path, orientation, channels):
    """The DC coefficient of 8x8 pixels is 8 times their mean (ITU-T T.81, section A.3.3)."""
    upright = noise(8 * 12, 8 * 20) // 2 + noise(12, 20).repeat(8, 0).repeat(8, 1) // 2
    stored = stored_so_that_it_shows(upright, orientation)
    saved(tmp_path / "a.jpg", stored, exif=turned(orientation), quality=98)
    means = upright.reshape(12, 8, 20, 8).mean((1, 3))
    shown = decode(tmp_path / "a.jpg", (channels, 12, 20))
    np.testing.assert_allclose(shown, [means] * channels, atol=1.01)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpegs_of_all_kinds_keep_their_colours(tmp_path, progressive, subsampling):
    pixels = scene(96, 64)
    path = saved(
        tmp_path / "a.jpg", pixels, quality=95, progressive=progressive, subsampling=subsampling
    )
    shown = decode(path, (3, 64, 96)).transpose(1, 2, 0).astype(int)
    assert np.abs(shown - pixels).max() <= 12


def test_of_a_jpeg_with_several_pictures_the_first_is_taken(tmp_path):
    """As telephones write them (CIPA DC-007)."""
    first, second = scene(60, 40), 255 - scene(60, 40)
    path = saved(tmp_path / "a.jpg", first, format="MPO", save_all=True,
                 append_images=[Image.fromarray(second)], quality=95)  # fmt: skip
    with Image.open(path) as image:
        assert image.n_frames == 2
    assert np.abs(decode(path, (3, 40, 60)).transpose(1, 2, 0).astype(int) - first).max() <= 12


@pytest.mark.parametrize("ending", ["png", "jpg", "gif"])
def test_what_stands_after_an_image_does_not_matter(tmp_path, ending):
    path = saved(tmp_path / f"a.{ending}", np.full((8, 8), 90, np.uint8))
    with open(path, "ab") as file:
        file.write(b"what a camera appends" * 50)
    np.testing.assert_allclose(decode(path, (1, 8, 8)), 90, atol=1)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_of_an_avif_is_applied(tmp_path, orientation):
    stored = np.kron(
        np.array([[0, 80, 160], [240, 40, 120]], np.uint8), np.ones((16, 16), np.uint8)
    )
    path = saved(tmp_path / "a.avif", np.stack([stored] * 3, -1), exif=turned(orientation))
    wanted = UPRIGHT[orientation](stored)
    assert native_shape(path) == (3, *wanted.shape)
    shown = decode(path, (3, *wanted.shape))
    assert np.abs(shown.astype(int) - wanted).mean() <= 3


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    b' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
    b' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def test_an_orientation_that_stands_twice_in_a_tiff_is_applied_once(tmp_path):
    """Programs that edit photos write it as tag 274 and once more within the XMP of tag 700."""
    stored = noise(3, 5)
    saved(tmp_path / "a.tif", stored, tiffinfo={ORIENTATION: 6, 700: XMP})
    wanted = UPRIGHT[6](stored)
    assert native_shape(tmp_path / "a.tif") == (1, 5, 3)
    np.testing.assert_array_equal(decode(tmp_path / "a.tif", (1, 5, 3))[0], wanted)


def test_an_orientation_that_stands_in_xmp_alone_is_applied(tmp_path):
    stored = np.kron(
        np.array([[0, 80, 160], [240, 40, 120]], np.uint8), np.ones((16, 16), np.uint8)
    )
    saved(tmp_path / "a.jpg", stored, xmp=XMP, quality=95)
    np.testing.assert_allclose(
        decode(tmp_path / "a.jpg", (1, 48, 32))[0], UPRIGHT[6](stored), atol=3
    )


PLAIN = {
    "pbm": b"P4\n# a note\n9 2\n" + bytes([0b10110000, 0b10000000, 0b00001111, 0]),
    "pgm": b"P5 9 2 255\n" + bytes(range(0, 180, 10)),
    "ppm": b"P6 3 2 255\n" + bytes(range(0, 180, 10)),
    "ppm as text": b"P3\n3 2\n255\n" + b" ".join(b"%d" % value for value in range(0, 180, 10)),
}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        # of a bitmap 1 is black (pbm(5)); each row begins with a new byte
        ("pbm", [[[0, 255, 0, 0, 255, 255, 255, 255, 0], [255, 255, 255, 255, 0, 0, 0, 0, 255]]]),
        ("pgm", np.arange(0, 180, 10).reshape(1, 2, 9)),
        ("ppm", np.arange(0, 180, 10).reshape(2, 3, 3).transpose(2, 0, 1)),
        ("ppm as text", np.arange(0, 180, 10).reshape(2, 3, 3).transpose(2, 0, 1)),
    ],
)
def test_plain_formats_are_read_as_they_are_written_by_hand(tmp_path, name, wanted):
    (tmp_path / "a.pnm").write_bytes(PLAIN[name])
    wanted = np.array(wanted)
    assert native_shape(tmp_path / "a.pnm") == wanted.shape
    np.testing.assert_array_equal(decode(tmp_path / "a.pnm", wanted.shape), wanted)


def test_a_bitmap_of_windows_is_read_as_it_is_written_by_hand(tmp_path):
    """Rows from the bottom up, blue first, each row filled to four bytes (BITMAPINFOHEADER)."""
    pixels = noise(4, 3, 3)
    rows = b"".join(row[:, ::-1].tobytes() + b"\0" * 3 for row in pixels[::-1])
    header = struct.pack("<IiiHHIIiiII", 40, 3, 4, 1, 24, 0, len(rows), 0, 0, 0, 0)
    start = struct.pack("<2sIHHI", b"BM", 54 + len(rows), 0, 0, 54)
    (tmp_path / "a.bmp").write_bytes(start + header + rows)
    np.testing.assert_array_equal(decode(tmp_path / "a.bmp", (3, 4, 3)).transpose(1, 2, 0), pixels)


@pytest.mark.parametrize(("kind", "parts"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_a_png_of_sixteen_bits_is_scaled_in_every_colour_type(tmp_path, kind, parts):
    """Colour types 0 grey, 2 RGB, 4 and 6 the same with alpha (PNG, section 11.2.2)."""
    deep = np.random.default_rng(0).integers(0, 65536, (4, 5, parts)).astype(np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)  # 0: not filtered
    (tmp_path / "a.png").write_bytes(png(5, 4, 16, kind, rows))
    values = deep.astype(float) / 65535
    if parts in (2, 4):
        alpha = values[..., -1:]
        values = values[..., :-1] * alpha + (1 - alpha)
    wanted = np.broadcast_to(255 * values, (4, 5, 3))
    shown = decode(tmp_path / "a.png", (3, 4, 5)).transpose(1, 2, 0)
    np.testing.assert_allclose(shown, wanted, atol=1.6)


def test_a_tiff_of_sixteen_bits_in_the_other_order_of_bytes_is_the_same(tmp_path):
    image = Image.frombytes("I;16B", (5, 2), SIXTEEN.astype(">u2").tobytes())
    image.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(decode(tmp_path / "a.tif", (1, 2, 5))[0], np.round(SIXTEEN / 257))


def test_each_entry_of_a_palette_may_be_transparent_in_part(tmp_path):
    palette_image().save(tmp_path / "a.png", transparency=bytes([255, 0, 51]))
    shown = decode(tmp_path / "a.png", (3, 2, 2)).transpose(1, 2, 0)
    blue = (204, 204, 255)  # a fifth of it: 255 - 51 of white show through
    np.testing.assert_array_equal(shown, [[RED, (255, 255, 255)], [blue, RED]])


@pytest.mark.parametrize(
    ("holds", "named"), [("PNG", "a.jpg"), ("JPEG", "a.png"), ("GIF", "a.tif")]
)
def test_a_file_is_what_it_holds_and_not_what_it_is_called(tmp_path, holds, named):
    pixels = scene(32, 24)[..., 0]
    saved(tmp_path / named, pixels, format=holds)
    shown = decode(tmp_path / named, (1, 24, 32))[0].astype(int)
    assert np.abs(shown - pixels).max() <= (8 if holds == "JPEG" else 0)


KINDS_OF_JPEG = {
    "baseline": {"format": "JPEG"},
    "progressive": {"format": "JPEG", "progressive": True},
    "of several pictures": {
        "format": "MPO", "save_all": True, "append_images": [Image.new("RGB", (8, 8))],
    },
}  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("options", KINDS_OF_JPEG.values(), ids=KINDS_OF_JPEG)
def test_a_corrupt_jpeg_is_refused_wherever_it_is_hit(tmp_path, seed, options):
    written = io.BytesIO()
    saved(written, noise(200, 200, 3), **options)
    data, chance = bytearray(written.getvalue()), np.random.default_rng(seed)
    start = data.index(b"\xff\xda") + 14  # behind the header of the first scan
    for bit in chance.integers(8 * start, 8 * (len(data) - 2000), 60):
        data[bit // 8] ^= 1 << (bit % 8)
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(ImageError):
        decode(tmp_path / "a.jpg", (3, 28, 28))


def test_a_corrupt_jpeg_of_cmyk_is_refused(tmp_path):
    written = io.BytesIO()
    Image.fromarray(noise(200, 200, 4), "CMYK").save(written, "JPEG")
    (tmp_path / "a.jpg").write_bytes(flipped(written.getvalue(), 1200, 40))
    with pytest.raises(ImageError):
        decode(tmp_path / "a.jpg", (3, 28, 28))


def test_the_formats_of_programs_that_draw_are_not_tried(tmp_path):
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 4, 4, 8, 3)
    (tmp_path / "a.png").write_bytes(header + bytes(12 + 2 + 3 * 16))
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PSD"
    with pytest.raises(ImageError, match="not an image"):
        decode(tmp_path / "a.png", (3, 4, 4))


def test_a_corrupt_cmyk_jpeg_is_refused_and_not_guessed(tmp_path):
    written = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (100, 120, 4), np.uint8)
    Image.fromarray(pixels, mode="CMYK").save(written, "JPEG")
    data = written.getvalue()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    Image.open(tmp_path / "a.jpg").load()  # Pillow makes pixels up
    with pytest.raises(ImageError, match="Corrupt JPEG data"):
        decode(tmp_path / "a.jpg", (1, 28, 28))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "F"])
def test_a_large_image_that_is_converted_by_strips_is_the_same(tmp_path, monkeypatch, mode):
    pixels = noise(37, 23, 4)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(pixels[..., 0].astype(np.float32) / 255)
    else:
        image = Image.fromarray(pixels, "RGBA").convert(mode)
    how = {"transparency": bytes(range(256))} if mode == "P" else {}
    path = tmp_path / ("a.tif" if mode == "F" else "a.png")
    image.save(path, **how)
    whole = decode(path, (3, 37, 23))
    monkeypatch.setattr(upright, "STRIP", 100)
    for module in (levels, png_files, tiff):
        monkeypatch.setattr(module, "BLOCK", 100)
    np.testing.assert_array_equal(decode(path, (3, 37, 23)), whole)


def test_a_file_beyond_the_limit_names_a_number_that_allows_it(tmp_path):
    """The content is all zeros, of which the disk keeps none."""
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    os.truncate(path, (1 << 30) + 1)
    with pytest.raises(ImageError, match=r"1,073,741,824 bytes \(--max-pixels \d+ ") as refused:
        decode(path, (1, 8, 8))
    allowed = int(re.search(r"max-pixels (\d+)", str(refused.value))[1])
    with pytest.raises(ImageError, match="not an image"):
        decode(path, (1, 8, 8), Decoding(max_pixels=allowed))
    with pytest.raises(ImageError, match="more than 1,073,741,824 bytes"):
        decode(path, (1, 8, 8), Decoding(max_pixels=allowed - 1))


def test_a_small_limit_on_pixels_leaves_files_their_size(tmp_path):
    path = tmp_path / "a.png"
    Image.new("L", (4, 4)).save(path)
    path.write_bytes(path.read_bytes() + bytes(100_000))
    assert decode(path, (1, 4, 4), Decoding(max_pixels=16)).max() == 0
