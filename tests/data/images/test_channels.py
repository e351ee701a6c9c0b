"""Inks and transparent colours against Pillow, for every pair of bytes."""

from fractions import Fraction

import numpy as np
from PIL import Image

from aectl.data.images.channels import over_white, rgb

FIRST, SECOND = (grid.astype(np.uint8) for grid in np.mgrid[:256, :256])


def test_inks_become_the_colours_of_pillow():
    ink = np.stack([FIRST, FIRST[::-1], FIRST.T, SECOND], axis=2)
    wanted = np.asarray(Image.fromarray(ink, "CMYK").convert("RGB"))
    assert np.array_equal(rgb(ink), wanted)


def test_colours_are_laid_over_white_as_exact_fractions_round():
    found = over_white(FIRST[..., None], SECOND[..., None])[..., 0]
    for colour in range(0, 256, 5):
        for alpha in range(256):
            exact = Fraction(colour * alpha + 255 * (255 - alpha), 255)
            assert abs(int(found[colour, alpha]) - exact) <= Fraction(1, 2)


def test_associated_colours_only_gain_the_white_that_shows_through():
    """Porter & Duff 1984: C + (1 - alpha) * white, where C is at most alpha."""
    found = over_white(FIRST[..., None], SECOND[..., None], associated=True)[..., 0].astype(int)
    assert np.array_equal(found, np.minimum(FIRST.astype(int) + 255 - SECOND, 255))
    opaque = over_white(FIRST[..., None], np.full((256, 256, 1), 255, np.uint8))
    assert np.array_equal(opaque[..., 0], FIRST)
