"""Maps of the errors of reconstructions: smoothed, their worst regions, and where those lie.

A value depends on its own image alone, to the last bit: each step is an operation on single values,
or one within an image in a fixed order. A product of matrices or a convolution may sum in another
order in a batch of another size.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aectl.config.shapes import Sides

SIGMAS = (1.0, 2.0, 4.0)
"""Standard deviations in pixels of the windows that smooth a map to find its worst regions."""

HIGHEST = 0.01
"""The fraction of the pixels of a map that its worst region has."""

REACH = 3
"""The windows end so many standard deviations from their middle."""

SIMILAR_SIGMA, C1, C2 = 1.5, 0.01**2, 0.03**2
"""The window and the constants of SSIM (Wang et al. 2004, section III.B and III.C)."""

TOUCHING = np.ones((3, 3))
"""Two marked pixels that share a side or a corner are of one region."""


class Region(NamedTuple):
    """Connected pixels of a map above a threshold: columns `left` to `right` and rows `top` to
    `bottom`, the last excluded; `pixels`: how many they are; `highest`: the largest value.
    """

    left: int
    top: int
    right: int
    bottom: int
    pixels: int
    highest: float


def squared_errors(images: Tensor, reconstructions: Tensor) -> Tensor:
    """The squared error of each pixel, the mean over its channels.

    Both (n, channels, height, width); (n, height, width).
    """
    return _mean_over_channels((reconstructions - images).square())


def dissimilarities(images: Tensor, reconstructions: Tensor) -> Tensor:
    """1 - SSIM of the Gaussian windows around each pixel, the mean over channels (Wang et al. 2004,
    equation 13). The windows have 11x11 pixels, or at the border what lies within the image.

    Both (n, channels, height, width), in [0, 1]; (n, height, width), from 0 to 2.
    """
    pair = images, reconstructions
    x, y = (smoothed(one, SIMILAR_SIGMA) for one in pair)
    xx, yy = (smoothed(one.square(), SIMILAR_SIGMA) for one in pair)
    xy = smoothed(images * reconstructions, SIMILAR_SIGMA)
    product, squares = x * y, x.square() + y.square()
    covariance, variances = xy - product, xx + yy - squares
    similar = (2 * product + C1) / (squares + C1) * ((2 * covariance + C2) / (variances + C2))
    return 1 - _mean_over_channels(similar)


def smoothed(maps: Tensor, sigma: float) -> Tensor:
    """The mean in a Gaussian window around each pixel, of the pixels that lie within the map.

    maps: (..., height, width); the same shape.
    """
    reach = math.ceil(REACH * sigma)
    weights = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(reach + 1)]
    return _smoothed_across(_smoothed_across(maps.mT, weights).mT, weights)


def worst_regions(
    maps: Tensor, sigmas: tuple[float, ...] = SIGMAS, fraction: float = HIGHEST
) -> NDArray[np.float64]:
    """The mean of the highest `fraction` of the pixels of each map, smoothed at each scale.

    maps: (n, height, width); (n, scales). Larger windows give lower values: compare those of a
    scale with its values of normal images.
    """
    found = [mean_of_highest(smoothed(maps, sigma), fraction) for sigma in sigmas]
    return torch.stack(found, 1).cpu().numpy()


def mean_of_highest(maps: Tensor, fraction: float = HIGHEST) -> Tensor:
    """The mean of the highest `fraction` of the pixels of each map, at least of one.

    maps: (n, height, width); (n,), float64.
    """
    pixels = maps.flatten(1)
    count = max(1, round(fraction * pixels.shape[1]))
    sums = pixels.topk(count).values.double().cumsum(1)  # one after the other
    return sums[:, -1] / count


def regions(anomaly_map: NDArray[np.floating], threshold: float) -> list[Region]:
    """The connected regions of a map, (height, width), above a threshold, the highest first."""
    from scipy import ndimage

    labels, _ = ndimage.label(anomaly_map > threshold, TOUCHING)
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        inside = anomaly_map[rows, columns][labels[rows, columns] == number]
        box = columns.start, rows.start, columns.stop, rows.stop
        found.append(Region(*box, len(inside), float(inside.max())))
    return sorted(found, key=lambda region: -region.highest)


def at_pixels(maps: Tensor, sides: Sides) -> Tensor:
    """Maps of an image as maps of its pixels, by linear interpolation between the middles of their
    places; beyond the outermost, their values. No pixel is above the highest place.

    maps: (n, rows, columns); (n, *sides).
    """
    for side in sides:
        maps = _stretched(maps, side).mT
    return maps


def _stretched(maps: Tensor, side: int) -> Tensor:
    """maps (n, rows, columns) -> (n, side, columns)."""
    rows = maps.shape[1]
    if rows == side:
        return maps
    middles = (torch.arange(side, dtype=torch.float64) + 0.5) * (rows / side) - 0.5
    middles = middles.clamp(0, rows - 1)
    above = middles.long()
    weights = (middles - above).to(maps.dtype)[:, None]
    first = maps[:, above]
    return first + (maps[:, (above + 1).clamp(max=rows - 1)] - first) * weights


def _mean_over_channels(values: Tensor) -> Tensor:
    """(n, channels, height, width) -> (n, height, width)."""
    total = values[:, 0]
    for channel in range(1, values.shape[1]):
        total = total + values[:, channel]
    return total / values.shape[1]


def _smoothed_across(maps: Tensor, weights: list[float]) -> Tensor:
    """The weighted mean of each value and of those beside it in its row; `weights` are by distance.

    Products and sums are separate operations: if they were one, how it rounds would depend on where
    in memory a value lies. In an exported program, they are one product of matrices.
    """
    if torch.compiler.is_exporting():
        return maps @ _window_matrix(maps.shape[-1], weights)
    ones = maps.new_ones(maps.shape[-1])
    total, mass = maps * weights[0], ones * weights[0]
    for step, weight in enumerate(weights[1 : maps.shape[-1]], 1):
        for summed, values in ((total, maps * weight), (mass, ones * weight)):
            summed[..., step:] += values[..., :-step]
            summed[..., :-step] += values[..., step:]
    return total / mass


def _window_matrix(width: int, weights: list[float]) -> Tensor:
    """The matrix whose product with a row of a map is that of weighted means: (width, width)."""
    places = torch.arange(width)
    apart = (places[:, None] - places).abs()
    windows = torch.tensor([*weights, 0.0])[apart.clamp(max=len(weights))]
    return windows / windows.sum(0)
