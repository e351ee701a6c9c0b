"""What a report shows of a model, as plain arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]

SAMPLE_SIDE = 64
"""Pixels of the longer side at which a report shows the images of the sample, at the most."""


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
    mse: Floats


@dataclass(frozen=True)
class Units:
    """The first of all `total` units of a layer, and what they answer to the sample of images.

    filters: (units, channels, height, width), as large as a page shows them. counts: (units, bins),
    how many images give a value other than 0 in each of the equal parts between `low` and `high`,
    both (units,). strongest: (units, k), the places in the sample of the images that give the
    largest `values`, (units, k), the largest first; -1 where a unit has fewer.
    """

    total: int
    filters: Floats
    counts: NDArray[np.int64]
    low: Floats
    high: Floats
    strongest: NDArray[np.int64]
    values: Floats


@dataclass(frozen=True)
class Code:
    """The code over all images: rho_hat, the mean activation, and `active`, the part of the images
    for which a unit is active, both (code_size,); over the sample: l0, the active units of each
    image, (n,).
    """

    rho_hat: Floats
    active: Floats
    l0: NDArray[np.int64]


@dataclass(frozen=True)
class Mistake:
    """An image that a classifier takes for another class; indices of classes."""

    place: int
    label: int
    prediction: int
    probability: float


@dataclass(frozen=True)
class Findings:
    """All that a page shows of a model beside its figures.

    `sample` are images spread over all `images` that were measured; `maps` has the points, (n, 2),
    of the sample by the name of the method. An autoencoder has a code, and galleries of its best,
    median and worst images; a classifier has the images of its mistakes.
    """

    images: int
    sample: Shown
    units: Units
    maps: Mapping[str, Floats]
    code: Code | None = None
    galleries: Mapping[str, Gallery] = field(default_factory=dict)
    mistaken: Shown | None = None
    mistakes: Sequence[Mistake] = ()
