"""Heat maps, pixel by pixel."""

import numpy as np
import pytest
from PIL import Image

from aectl.outputs import heat_maps
from aectl.outputs.single_files import SingleFiles

RED, CYAN = (190, 0, 38), (0, 229, 255)


def test_the_grey_of_a_raw_map_is_the_error_in_multiples_of_the_threshold():
    values = np.array([[0, 0.01, 0.02], [0.0200001, 0.04, 1.0]], np.float64)
    found = heat_maps.raw(values, 0.02)
    assert found.dtype == np.uint16
    assert found.tolist() == [[[0, 512, 1024], [1025, 2048, 51200]]]


def test_a_raw_map_is_a_png_of_16_bits(tmp_path):
    values = np.array([[0, 1], [2, 400]], np.float32)
    SingleFiles(tmp_path / "maps", False).save("a.jpg", heat_maps.raw(values, 2.0))
    found = np.asarray(Image.open(tmp_path / "maps" / "a.jpg.png"))
    assert found.tolist() == [[0, 512], [1024, 65535]]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_stands_beside_the_same_in_grey_with_its_regions_outlined(channels):
    draw = np.random.default_rng(channels)
    image = draw.integers(0, 256, (channels, 48, 64)).astype(np.uint8)
    errors = np.zeros((48, 64), np.float32)
    errors[20:24, 30:40] = 9.0
    found = heat_maps.heat_map(image, errors, 3.0)
    height, width, times = 48 * 6, 64 * 6, 6
    assert found.shape == (3, height, 2 * width + heat_maps.GAP)
    left, right = found[:, :, :width], found[:, :, -width:]
    assert np.array_equal(left[:, ::times, ::times], np.broadcast_to(image, (3, 48, 64)))
    assert np.allclose(right[:, 3, 3], image[:, 0, 0].mean(), atol=1)
    hot = 0.38 * image[:, 21, 33].mean() + 0.62 * np.array(RED)
    assert np.allclose(right[:, 21 * 6 + 3, 33 * 6 + 3], hot, atol=1)
    outlined = (right == np.array(CYAN)[:, None, None]).all(0)
    expected = np.zeros((height, width), np.bool_)
    expected[118:146, 178:242] = True
    expected[120:144, 180:240] = False
    assert np.array_equal(outlined, expected)


def test_nothing_is_outlined_at_the_threshold_and_a_threshold_of_0_marks_what_is_above():
    image = np.zeros((1, 2, 400), np.uint8)
    errors = np.zeros((2, 400), np.float32)
    errors[0, 7] = 0.5
    for threshold, outlined in ((0.5, False), (0.4999, True), (0.0, True)):
        found = heat_maps.heat_map(image, errors, threshold)
        assert (found == np.array(CYAN)[:, None, None]).all(0).any() == outlined
