"""Typical errors of each pixel, from reconstructions of normal images, to which others compare.

A network reconstructs edges less well than plain surfaces, also in normal images. Where images are
aligned, an error counts by how unusual it is at its place; of textures, where places mean nothing,
all pixels have about the same typical error.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from aectl.inference.error_maps import SIGMAS, smoothed

POOLED = 10
"""The variance of a pixel is averaged with that of all pixels as if so many images had given that:
of few images, its own is too uncertain."""

FEWEST = 2
LEAST_VARIANCE = 1e-20

BLOCK = 64
"""Maps that are smoothed at once."""


class TypicalErrors(NamedTuple):
    """The mean and the standard deviation of the errors of normal images, smoothed at each of
    SIGMAS: both (scales, height, width), float32.
    """

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, maps: Tensor) -> Self:
        """Those of maps of squared errors, (n, height, width), of at least two normal images."""
        means, deviations = [], []
        for sigma in SIGMAS:
            variance, mean = _moments(maps, sigma)
            count = len(maps)
            pooled = (count * variance + POOLED * variance.mean()) / (count + POOLED)
            means.append(mean)
            deviations.append(pooled.clamp(min=LEAST_VARIANCE).sqrt())
        return cls(torch.stack(means).float(), torch.stack(deviations).float())

    def compared(self, maps: Tensor) -> list[Tensor]:
        """How many standard deviations the smoothed errors of each pixel are above its typical
        ones, at each scale: maps of squared errors, (n, height, width), as such maps.
        """
        return [
            (smoothed(maps, sigma) - mean) / deviation
            for sigma, mean, deviation in zip(SIGMAS, self.mean, self.deviation, strict=True)
        ]


def _moments(maps: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """The variance and the mean of smoothed maps, both (height, width), float64: those of one block
    after the other, combined (Chan, Golub & LeVeque 1983)."""
    mean = squares = torch.zeros(maps.shape[1:], dtype=torch.float64)
    count = 0
    for block in torch.split(maps, BLOCK):
        variance, own = torch.var_mean(smoothed(block, sigma).double(), 0, correction=0)
        total, apart = count + len(block), own - mean
        squares = squares + len(block) * (variance + apart.square() * (count / total))
        mean = mean + apart * (len(block) / total)
        count = total
    return squares / (count - 1), mean
