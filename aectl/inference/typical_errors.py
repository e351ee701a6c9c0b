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
            at_scale = smoothed(maps, sigma).double()
            variance, mean = torch.var_mean(at_scale, 0)
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
