"""The limits of image files."""

import re

import pytest

from aectl.config.decoding import MAX_PIXELS, Decoding


@pytest.mark.parametrize("max_pixels", [1, MAX_PIXELS, 10**9])
@pytest.mark.parametrize("excess", [1, 12, 10**7 + 1])
def test_the_limit_that_a_refusal_advises_allows_the_file(max_pixels, excess):
    decoding = Decoding(max_pixels=max_pixels)
    size = decoding.largest_file + excess
    advised = re.search(r"--max-pixels (\d+)", decoding.file_too_large(size))
    assert Decoding(max_pixels=int(advised[1])).largest_file >= size


def test_every_image_of_the_allowed_pixels_fits_as_three_colours_of_32_bits():
    for max_pixels in (1, MAX_PIXELS, 10**9):
        assert Decoding(max_pixels=max_pixels).largest_file >= max_pixels * 3 * 4
