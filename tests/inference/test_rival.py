"""The rival of a code: images shrunk to as many numbers, and enlarged."""

import math

import numpy as np
import pytest
from PIL import Image

from aectl.inference.metrics import psnr
from aectl.inference.rival import errors, rival_shape, shrunk_and_enlarged


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 28, 28), (3, 40, 90), (1, 5, 200), (3, 200, 3)])
def test_an_image_is_shrunk_to_nearly_as_many_numbers_as_the_code_and_keeps_its_ratio(shape):
    values = math.prod(shape)
    for numbers in range(shape[0], values // 4 + 1, 7):
        channels, height, width = rival_shape(shape, numbers)
        assert channels == shape[0]
        assert 1 <= height <= shape[1]
        assert 1 <= width <= shape[2]
        assert channels * height * width <= numbers
        if min(height, width) > 4:
            assert channels * height * width > 0.8 * numbers
            assert height / width == pytest.approx(shape[1] / shape[2], rel=0.3)


@pytest.mark.parametrize("numbers", [2, 49, 192])
def test_codes_that_are_no_smaller_than_images_have_no_rival(numbers):
    assert rival_shape((3, 8, 8), numbers) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_averaged_over_areas_and_enlarged_by_lanczos(channels):
    images = np.random.default_rng(0).integers(0, 256, (2, channels, 12, 8), dtype=np.uint8)
    made = shrunk_and_enlarged(images, (channels, 4, 2))
    areas = images.reshape(2, channels, 4, 3, 2, 4).mean((3, 5))
    for place in range(2):
        for channel in range(channels):
            small = Image.fromarray(np.round(areas[place, channel]).astype(np.uint8))
            wanted = np.asarray(small.resize((8, 12), Image.Resampling.LANCZOS)).astype(int)
            assert np.abs(made[place, channel] - wanted).max() <= 2  # of halves, rounded otherwise


def test_errors_and_their_decibels_are_of_values_up_to_1():
    black, white = np.zeros((2, 1, 2, 2), np.uint8), np.full((2, 1, 2, 2), 255, np.uint8)
    white[1] = 51
    assert errors(black, white).tolist() == pytest.approx([1.0, 0.04])
    assert psnr(0.01) == pytest.approx(20)
    assert psnr(0.0) == math.inf
