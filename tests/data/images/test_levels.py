"""Values of any depth as 8 bits, against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

from aectl.config.decoding import Remark
from aectl.data.images.levels import Levels
from aectl.errors import ImageError


def exact(value, black, white):
    """The nearest of 256 shades, the even one of two, values outside the range at its end."""
    scaled = (Fraction(value) - Fraction(black)) * 255 / (Fraction(white) - Fraction(black))
    return round(min(max(scaled, 0), 255))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12])
def test_unsigned_integers_of_a_depth_go_up_to_their_largest(bits):
    values = np.arange(2**bits, dtype=np.uint16).reshape(1, -1)
    found = Levels("u", bits)(values if bits > 8 else values.astype(np.uint8))
    assert found[0].tolist() == [exact(value, 0, 2**bits - 1) for value in range(2**bits)]


def test_all_16_bit_values_are_the_same_by_the_table_and_one_by_one():
    values = np.arange(2**16, dtype=np.uint16)
    found = Levels("u", 16)(values[None])[0]
    assert found[::17].tolist() == [exact(value, 0, 65535) for value in range(0, 2**16, 17)]
    assert (Levels("u", 16)(np.tile(values, (3, 1))) == found).all()


@pytest.mark.parametrize(
    ("kind", "bits", "asked", "declared", "black", "white"),
    [
        ("f", 32, None, None, 0, 1),
        ("f", 32, None, (-1, 2), -1, 2),
        ("f", 32, (0.25, 0.75), (-1, 2), 0.25, 0.75),
        ("i", 16, (-100, 300), None, -100, 300),
        ("u", 32, None, (10, 1000), 10, 1000),
        ("u", 16, (500, 100), None, 500, 100),
    ],
)
def test_the_range_is_the_one_asked_for_else_the_declared_else_the_usual(
    kind, bits, asked, declared, black, white
):
    levels = Levels(kind, bits, asked, declared)
    low, high = min(black, white), max(black, white)
    values = np.linspace(low, high, 41).astype(f"{kind}{bits // 8}")
    found = levels(values[None])[0].tolist()
    assert found == [exact(float(value), black, white) for value in values]


def test_values_outside_a_range_are_clipped_if_it_was_asked_for_and_else_refused():
    values = np.array([[-1, 0.5, 9]], np.float32)
    assert Levels("f", 32, asked=(0, 1))(values).tolist() == [[0, 128, 255]]
    with pytest.raises(ImageError, match="values from -1 to 9, where black is 0 and white 1"):
        Levels("f", 32)(values)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_whatever_was_asked(value):
    with pytest.raises(ImageError, match="not finite"):
        Levels("f", 32, asked=(0, 1))(np.array([[0.5, value]], np.float32))


@pytest.mark.parametrize(("kind", "bits"), [("i", 8), ("i", 16), ("u", 32), ("i", 32)])
def test_kinds_whose_white_is_not_known_are_refused(kind, bits):
    with pytest.raises(ImageError, match=r"white is not known: train with --value-range"):
        Levels(kind, bits)
    with pytest.raises(ImageError, match="not real numbers"):
        Levels("c", 64)


@pytest.mark.parametrize(
    ("largest", "remarks"), [(0, ()), (4096, (Remark.DARK,)), (16383, (Remark.DARK,)), (16384, ())]
)
def test_a_dark_image_of_16_bits_is_remarked(largest, remarks):
    levels = Levels("u", 16)
    levels(np.array([[0, largest]], np.uint16))
    assert levels.remarks() == remarks


@pytest.mark.parametrize("largest", [1, 4095])
def test_16_bits_that_look_like_12_are_refused_unless_a_range_was_asked_for(largest):
    values = np.array([[0, largest]], np.uint16)
    levels = Levels("u", 16)
    levels(values)
    with pytest.raises(ImageError, match=f"no value above {largest}: train with --value-range"):
        levels.remarks()
    asked = Levels("u", 16, asked=(0, 4095))
    asked(values)
    assert asked.remarks() == ()
