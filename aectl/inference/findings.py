"""The contents of a report about a model, as plain arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.config.shapes import Shape
from aectl.data.images.pixels import Pixels

AnyFloats = NDArray[np.floating[Any]]

SAMPLE_SIDE = 64
"""Maximum side in pixels of the sample's images in a report."""


@dataclass(frozen=True)
class Shown:
    """Images, (n, channels, height, width), 0 to 255, with their paths and labels, n each."""

    images: Pixels
    paths: Sequence[str]
    labels: Sequence[str | None]


@dataclass(frozen=True)
class Gallery:
    """Images with their reconstructions, of the same shape, 0 to 255, and their mse, (n,)."""

    shown: Shown
    reconstructions: Pixels
    mse: AnyFloats


@dataclass(frozen=True)
class Rival:
    """Images through the code, beside the same images shrunk to as many `numbers` and enlarged.

    `small`: the shape that they are shrunk to, (channels, height, width). `gallery`: some of them;
    `shrunk`: these, shrunk and enlarged, 0 to 255, and their mse, (n,). `psnr`: that of the
    `images` reconstructions that were compared, and `shrunk_psnr`, both in dB.
    """

    numbers: int
    small: Shape
    gallery: Gallery
    shrunk: Pixels
    shrunk_mse: AnyFloats
    images: int
    psnr: float
    shrunk_psnr: float


@dataclass(frozen=True)
class Units:
    """The first of all `total` units of a layer, and their values for the sample of images.

    filters: (units, channels, height, width), as large as a page shows them; `drawn`: whether they
    are patterns that the units draw, and not those that they respond to. counts: (units, bins),
    a histogram of the values other than 0, in equal bins between `low` and `high`, both (units,).
    strongest: (units, k), the indices in the sample of the images with the largest `values`,
    (units, k), the largest first; -1 if a unit has fewer.
    """

    total: int
    filters: AnyFloats
    counts: NDArray[np.int64]
    low: AnyFloats
    high: AnyFloats
    strongest: NDArray[np.int64]
    values: AnyFloats
    drawn: bool


@dataclass(frozen=True)
class CodeStatistics:
    """Statistics of the code. Over all images: rho_hat, the mean activation of each unit, and
    `active`, the fraction of images for which it is active, both (code_size,); over the sample: l0,
    the number of active units of each image, (n,).
    """

    rho_hat: AnyFloats
    active: AnyFloats
    l0: NDArray[np.int64]


@dataclass(frozen=True)
class Mistake:
    """A misclassified image; `label` and `prediction` are indices of classes."""

    place: int
    label: int
    prediction: int
    probability: float


@dataclass(frozen=True)
class Findings:
    """The contents of a page about a model, besides its metrics.

    `sample`: images at equal distances among all `images` that were measured; `maps`: the points
    of the sample, (n, 2), by the name of the method. An autoencoder has a code, and galleries of
    its best, median and worst images, and if that code is small a rival; a classifier has the
    images of its mistakes.
    """

    images: int
    sample: Shown
    units: Units
    maps: Mapping[str, AnyFloats]
    code: CodeStatistics | None = None
    galleries: Mapping[str, Gallery] = field(default_factory=dict)
    rival: Rival | None = None
    mistaken: Shown | None = None
    mistakes: Sequence[Mistake] = ()
