"""Image files of kinds that users of other programs have had trouble with."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from aectl.config.decoding import Decoding
from aectl.data.images.decode import decode
from aectl.errors import ImageError

CASES = Path(__file__).parents[4] / "shared" / "cases" / "images"

REFUSED = {
    "a.ico": "not an image",
    "a.jp2": "not an image",
    "a.tga": "not an image",
    "f32_255.tif": "--value-range LOW,HIGH",
    "g12in16.tif": "--value-range 0,4095",
    "i16.tif": "--value-range LOW,HIGH",
    "i16_be.tif": "--value-range LOW,HIGH",
    "i32_255.tif": "--value-range LOW,HIGH",
    "ms5.tif": "5 channels",
}
"""The files that are refused, and words of the reason."""

if find_spec("pillow_heif") is None:
    REFUSED |= dict.fromkeys(("heic_named.jpg", "photo.heic"), "pillow-heif|aectl.heif")

RANGES = {
    "f32_255.tif": (0, 255),
    "g12in16.tif": (0, 4080),
    "i16.tif": (0, 32640),
    "i16_be.tif": (0, 32640),
    "i32_255.tif": (0, 255),
}
"""Values of black and white that no file says, by which its pixels are those that are meant."""

LOSSY = (".jpg", ".heic", ".avif", ".webp", "565.bmp", "jpegc.tif")
RESIZED = "wide.png"


def cases():
    """The files with the pixels that they mean: (3, 16, 16), 0 to 255."""
    if not CASES.is_dir():
        return [pytest.param("", None, marks=pytest.mark.skip("shared/cases is not here"))]
    with np.load(CASES / "expected.npz") as expected:
        return [pytest.param(name, expected[name], id=name) for name in expected.files]


@pytest.mark.parametrize(("name", "wanted"), cases())
def test_a_file_gives_the_pixels_that_it_means_or_is_refused_by_name(name, wanted):
    if name in REFUSED:
        with pytest.raises(ImageError, match=REFUSED[name]):
            decode(CASES / name, (3, 16, 16))
        return
    compare(name, decode(CASES / name, (3, 16, 16)), wanted)


@pytest.mark.parametrize(("name", "wanted"), [x for x in cases() if x.values[0] in RANGES])
def test_with_a_range_a_file_gives_the_pixels_that_it_means(name, wanted):
    compare(name, decode(CASES / name, (3, 16, 16), Decoding(value_range=RANGES[name])), wanted)


def compare(name, made, wanted):
    if name.endswith(LOSSY) or name == RESIZED:
        assert np.abs(made - wanted).mean() <= 6
    else:
        np.testing.assert_allclose(made, wanted, atol=0.51)
