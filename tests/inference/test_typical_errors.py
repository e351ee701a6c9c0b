"""Typical errors of each pixel, against NumPy."""

import numpy as np
import pytest
import torch

from aectl.inference import error_maps
from aectl.inference.typical_errors import TypicalErrors


def of_normal_images(count=12):
    """Maps with a column, the fourth, in which errors are large and uncertain."""
    draw = torch.Generator().manual_seed(count)
    maps = 0.01 * torch.rand(count, 10, 13, generator=draw)
    maps[:, :, 3] += torch.rand(count, 10, generator=draw)
    return maps


def test_they_are_the_mean_and_the_deviation_of_each_pixel_where_images_are_many():
    maps = of_normal_images(3000)
    found = TypicalErrors.of(maps)
    assert found.mean.shape == found.deviation.shape == (3, 10, 13)
    for row, sigma in enumerate((1.0, 2.0, 4.0)):
        smooth = error_maps.smoothed(maps, sigma).double().numpy()
        assert np.allclose(found.mean[row], smooth.mean(0), rtol=1e-5)
        near = smooth.std(0) > 0.05
        assert np.allclose(found.deviation[row][near], smooth.std(0)[near], rtol=0.01)


def test_the_variance_of_few_images_is_averaged_with_that_of_all_pixels():
    maps = of_normal_images(4)
    smooth = error_maps.smoothed(maps, 2.0).double().numpy()
    own = smooth.var(0, ddof=1)
    expected = np.sqrt((4 * own + 10 * own.mean()) / 14)
    assert np.allclose(TypicalErrors.of(maps).deviation[1], expected, rtol=1e-5)


def test_a_map_is_compared_with_them_pixel_by_pixel_at_each_scale():
    typical = TypicalErrors.of(of_normal_images())
    maps = of_normal_images(7)
    found = typical.compared(maps)
    by_hand = [
        (error_maps.smoothed(maps, sigma) - typical.mean[row]) / typical.deviation[row]
        for row, sigma in enumerate((1.0, 2.0, 4.0))
    ]
    for one, expected in zip(found, by_hand, strict=True):
        assert np.allclose(one, expected, rtol=1e-4, atol=1e-5)
    alone = [typical.compared(maps[row : row + 1])[1] for row in range(7)]
    assert torch.equal(torch.cat(alone), found[1])


def test_a_defect_stands_out_from_pixels_whose_errors_are_always_larger():
    maps = of_normal_images(40)
    typical, new = TypicalErrors.of(maps[1:]), maps[:1].clone()
    new[0, 4:7, 9:12] += 0.2
    smooth, compared = error_maps.smoothed(new, 1.0)[0], typical.compared(new)[0][0]
    assert divmod(int(smooth.argmax()), 13)[1] == 3
    row, column = divmod(int(compared.argmax()), 13)
    assert 4 <= row <= 6
    assert 9 <= column <= 11


@pytest.mark.parametrize("count", [2, 5])
def test_errors_that_never_vary_give_finite_values(count):
    typical = TypicalErrors.of(torch.zeros(count, 4, 4))
    for same, other in zip(
        typical.compared(torch.zeros(1, 4, 4)), typical.compared(torch.ones(1, 4, 4)), strict=True
    ):
        assert same.abs().max() == 0
        assert other.isfinite().all()
