"""HEIC files: read with the extra, named with what to install without it."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aectl.config.decoding import Decoding, Remark
from aectl.data.images.decode import decode, decode_bytes, native_shape
from aectl.data.selection import EVERY_IMAGE
from aectl.errors import ImageError

pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heif is not installed")
CASES = Path(__file__).parents[4] / "shared" / "cases" / "images"


def shades(mode="RGB"):
    y, x = np.mgrid[0:48, 0:64]
    pixels = np.stack([4 * x, 5 * y, 255 - 2 * (x + y)], -1).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def heic(*images, **options):
    content = io.BytesIO()
    first, *others = images
    file = pillow_heif.from_pillow(first)
    for image in others:
        file.add_from_pillow(image)
    file.save(content, quality=95, **options)
    return content.getvalue()


def difference(read, image):
    wanted = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    return np.abs(read.astype(int) - wanted).mean()


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder of odd files is not here")
@pytest.mark.parametrize("name", ["photo.heic", "heic_named.jpg"])
def test_heic_shows_what_it_was_made_of_whatever_its_name(name):
    expected = np.load(CASES / "expected.npz")[name]
    assert np.abs(decode(CASES / name, (3, 16, 16)) - expected).mean() <= 6
    assert native_shape(CASES / name) == (3, 64, 64)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_heic_is_read_as_it_was_written(mode):
    image = shades(mode)
    read = decode_bytes(heic(image), (3, 48, 64))
    assert difference(read.pixels, image) < 4
    assert read.remarks == ()


def test_transparent_heic_lies_over_white():
    clear = Image.new("RGBA", (64, 48), (10, 200, 30, 0))
    assert decode_bytes(heic(clear), (3, 48, 64)).pixels.min() > 250


@pytest.mark.parametrize(("orientation", "turned"), [(6, Image.Transpose.ROTATE_270), (3, None)])
def test_heic_is_turned_once_as_its_exif_says(orientation, turned):
    image, exif = shades(), Image.Exif()
    exif[274] = orientation
    upright = image.transpose(turned or Image.Transpose.ROTATE_180)
    content = heic(image, exif=exif.tobytes())
    read = decode_bytes(content, (3, upright.height, upright.width)).pixels
    assert difference(read, upright) < 4


def test_of_several_images_the_first_is_read_and_that_is_said():
    read = decode_bytes(heic(shades(), Image.new("RGB", (32, 32))), (3, 48, 64))
    assert difference(read.pixels, shades()) < 4
    assert read.remarks == (Remark.FRAMES,)


def test_heic_obeys_max_pixels():
    with pytest.raises(ImageError, match="--max-pixels"):
        decode_bytes(heic(shades()), (3, 8, 8), Decoding(max_pixels=48 * 64 - 1))


def test_damaged_heic_is_refused_in_a_line():
    content, chance = heic(shades()), np.random.default_rng(0)
    for cut in (12, 40, 200, len(content) // 2):
        with pytest.raises(ImageError) as refused:
            decode_bytes(content[:cut], (3, 8, 8))
        assert len(str(refused.value).splitlines()) == 1
    for _ in range(30):
        damaged = bytearray(content)
        for at in chance.integers(0, len(content), 10):
            damaged[at] = chance.integers(256)
        try:
            decode_bytes(bytes(damaged), (3, 8, 8))
        except ImageError as error:
            assert len(str(error).splitlines()) == 1


def test_without_the_extra_heic_is_named_with_what_to_install(monkeypatch):
    content = heic(shades())
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"pip install 'aectl\[heif\]'"):
        decode_bytes(content, (3, 8, 8))


def test_with_the_extra_heic_is_looked_for_in_folders():
    assert all(EVERY_IMAGE.takes(name) for name in ("a.heic", "b.HEIF", "c.hif"))
    assert not EVERY_IMAGE.misses("a.heic")
