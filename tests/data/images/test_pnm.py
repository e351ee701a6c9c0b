"""PNM of more than 8 bits, written by hand."""

import numpy as np
import pytest

from aectl.config.decoding import Decoding, Remark
from aectl.data.images.decode import decode_bytes
from aectl.errors import ImageError


def pnm(values, maxval, plain, comment=b""):
    height, width, samples = values.shape
    kind = (2 if samples == 1 else 3) + (0 if plain else 3)
    start = b"P%d\n%s%d %d\n%d\n" % (kind, comment, width, height, maxval)
    if plain:
        return start + b"\n".join(b" ".join(b"%d" % x for x in row.flat) for row in values)
    return start + values.astype(">u2" if maxval > 255 else "u1").tobytes()


def decoded(content, channels, **decoding):
    return decode_bytes(content, (channels, 6, 7), Decoding(**decoding))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("maxval", [1, 7, 100, 255, 256, 1000, 4095, 65534, 65535])
def test_the_largest_value_that_a_file_names_is_white(maxval, samples, plain):
    values = np.random.default_rng(0).integers(0, maxval + 1, (6, 7, samples))
    values.flat[:2] = 0, maxval
    made = decoded(pnm(values, maxval, plain, b"# a note\n"), samples)
    np.testing.assert_allclose(made.pixels, (values * (255 / maxval)).transpose(2, 0, 1), atol=0.51)
    assert made.remarks == ()


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("samples", [1, 3])
def test_twelve_bits_in_sixteen_need_a_range(samples, plain):
    values = np.random.default_rng(0).integers(0, 4096, (6, 7, samples))
    content = pnm(values, 65535, plain)
    with pytest.raises(ImageError, match="--value-range 0,4095"):
        decoded(content, samples)
    made = decoded(content, samples, value_range=(0, 4095))
    np.testing.assert_allclose(made.pixels, (values * (255 / 4095)).transpose(2, 0, 1), atol=0.51)
    assert decoded(pnm(4 * values, 65535, plain), samples).remarks == (Remark.DARK,)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"P5 7 6 65535\n" + bytes(83), "truncated"),
        (b"P2 7 6 65535\n" + b"1 " * 41, "truncated"),
        (b"P2 7 6 65535\n" + b"1 " * 41 + b"x", "not numbers"),
        (b"P5 7 6 70000\n" + bytes(84), "header"),
        (b"P5 0 6 65535\n", "header"),
        (b"P6 30000 30000 65535\n", "--max-pixels"),
        (b"P3 9000 9000 65535\n", "plain text"),
        (b"P5 7 6 300\n" + b"\xff" * 84, "--value-range"),
    ],
)
def test_a_file_that_lies_is_refused(content, reason):
    with pytest.raises(ImageError, match=reason):
        decoded(content, 1)
