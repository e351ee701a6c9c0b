"""Maps of errors, against plain loops, SciPy and pytorch-msssim."""

import math

import numpy as np
import pytest
import torch
from pytorch_msssim import ssim

from aectl.inference import error_maps


def pair(count=5, channels=3, height=17, width=23):
    draw = torch.Generator().manual_seed(7)
    images = torch.rand(count, channels, height, width, generator=draw)
    noise = torch.randn(images.shape, generator=draw)
    return images, (images + 0.1 * noise).clamp(0, 1)


def test_squared_errors_are_the_mean_over_channels():
    images, made = pair()
    found = error_maps.squared_errors(images, made)
    assert found.shape == (5, 17, 23)
    by_hand = sum((float(made[3, c, 11, 6]) - float(images[3, c, 11, 6])) ** 2 for c in range(3))
    assert found[3, 11, 6] == pytest.approx(by_hand / 3, rel=1e-5)


@pytest.mark.parametrize(("sigma", "height", "width"), [(1.0, 17, 23), (4.0, 6, 9), (2.0, 1, 5)])
def test_smoothing_is_the_weighted_mean_of_a_window_within_the_map(sigma, height, width):
    values = torch.rand(2, height, width, generator=torch.Generator().manual_seed(1))
    found = error_maps.smoothed(values, sigma)
    reach = math.ceil(3 * sigma)
    for row in range(height):
        for column in range(width):
            total = mass = 0.0
            for y in range(max(0, row - reach), min(height, row + reach + 1)):
                for x in range(max(0, column - reach), min(width, column + reach + 1)):
                    distance = (y - row) ** 2 + (x - column) ** 2
                    weight = math.exp(-distance / (2 * sigma**2))
                    total, mass = total + weight * float(values[1, y, x]), mass + weight
            assert found[1, row, column] == pytest.approx(total / mass, rel=1e-5)


def test_dissimilarity_is_one_minus_that_of_pytorch_msssim_where_windows_are_whole():
    images, made = pair(height=40, width=31)
    found = error_maps.dissimilarities(images, made)
    assert found.shape == (5, 40, 31)
    expected = 1 - ssim(images, made, data_range=1.0, size_average=False)
    inner = found[:, 5:-5, 5:-5].mean((1, 2))
    assert np.allclose(inner, expected, atol=1e-5)
    assert np.allclose(error_maps.dissimilarities(images, images), 0, atol=1e-4)


def test_the_worst_regions_are_the_mean_of_the_highest_pixels_at_each_scale():
    maps = torch.rand(4, 20, 25, generator=torch.Generator().manual_seed(2))
    found = error_maps.worst_regions(maps, (1.0, 3.0), 0.02)
    assert found.shape == (4, 2)
    for column, sigma in enumerate((1.0, 3.0)):
        for row, one in enumerate(error_maps.smoothed(maps, sigma).tolist()):
            highest = sorted(value for line in one for value in line)[-10:]
            assert found[row, column] == pytest.approx(sum(highest) / 10)
    assert torch.equal(error_maps.mean_of_highest(maps, 1e-9), maps.amax((1, 2)).double())


def test_a_small_defect_raises_the_worst_region_far_more_than_the_mean():
    maps = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(3))
    with_spot = maps.clone()
    with_spot[0, 30:34, 40:44] += 2
    worst = error_maps.worst_regions(with_spot) / error_maps.worst_regions(maps)
    assert with_spot.mean() < 1.02 * maps.mean()
    assert (worst > 1.3).all()


def test_nothing_depends_on_the_images_beside_one_or_on_their_number():
    images, made = pair(33, 3, 61, 47)

    def of(rows):
        kinds = (error_maps.squared_errors, error_maps.dissimilarities)
        maps = [one(images[rows], made[rows]) for one in kinds]
        return [*maps, *(torch.from_numpy(error_maps.worst_regions(one)) for one in maps)]

    whole = of(slice(0, 33))
    for rows in (slice(0, 1), slice(32, 33), slice(5, 12), slice(1, 33)):
        for found, expected in zip(of(rows), whole, strict=True):
            assert torch.equal(found, expected[rows])


@pytest.mark.parametrize("sides", [(16, 16), (12, 20), (61, 47), (4, 5), (3, 2)])
def test_places_are_interpolated_between_their_middles(sides):
    maps = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(5))
    found = error_maps.at_pixels(maps, sides)
    down, across = (
        (np.arange(side) + 0.5) * places / side - 0.5
        for side, places in zip(sides, (4, 5), strict=True)
    )
    for one, place_map in zip(found.numpy(), maps.numpy(), strict=True):
        tall = np.stack([np.interp(down, range(4), column) for column in place_map.T], 1)
        wanted = np.stack([np.interp(across, range(5), row) for row in tall])
        np.testing.assert_allclose(one, wanted, atol=1e-6)
        assert one.max() <= place_map.max()


def test_regions_are_the_connected_pixels_above_a_threshold():
    drawn = """
        ..3....
        .9.....
        ......4
        1....4.
        ...5..6
    """
    rows = [[0 if sign == "." else int(sign) for sign in line] for line in drawn.split()]
    found = error_maps.regions(np.array(rows, np.float32), 2.0)
    assert found == [
        (1, 0, 3, 2, 2, 9.0),
        (5, 2, 7, 5, 3, 6.0),
        (3, 4, 4, 5, 1, 5.0),
    ]
    assert error_maps.regions(np.array(rows, np.float32), 9.0) == []
