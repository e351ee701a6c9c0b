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
class UnitValues:
    """The values of units for a sample of inputs.

    counts: (units, bins), a histogram of the values other than 0, in equal bins between `low` and
    `high`, both (units,). strongest: (units, k), the indices in the sample of the inputs with the
    largest `values`, (units, k), the largest first; -1 if a unit has fewer.
    """

    counts: NDArray[np.int64]
    low: AnyFloats
    high: AnyFloats
    strongest: NDArray[np.int64]
    values: AnyFloats


@dataclass(frozen=True)
class Units(UnitValues):
    """The first of all `total` units of a layer, with their values for the sample of images.

    filters: (units, channels, height, width), as large as a page shows them; `drawn`: whether they
    are patterns that the units draw, and not those that they respond to.
    """

    total: int
    filters: AnyFloats
    drawn: bool


@dataclass(frozen=True)
class CodeStatistics:
    """Statistics of the code. Over all inputs: rho_hat, the mean activation of each unit, and
    `active`, the fraction of inputs for which it is active, both (code_size,); over the sample: l0,
    the number of active units of each input, (n,).
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

    `sample`: images at equal distances among all, `count`, that were measured; `maps`: the points
    of the sample, (n, 2), by the name of the method. An autoencoder has a code, and galleries of
    its best, median and worst images, and if that code is small a rival; a classifier has the
    images of its mistakes.
    """

    count: int
    sample: Shown
    units: Units
    maps: Mapping[str, AnyFloats]
    code: CodeStatistics | None = None
    galleries: Mapping[str, Gallery] = field(default_factory=dict)
    rival: Rival | None = None
    mistaken: Shown | None = None
    mistakes: Sequence[Mistake] = ()


@dataclass(frozen=True)
class ShownTexts:
    """Texts as lists of words, with their paths and labels, n each."""

    words: Sequence[Sequence[str]]
    paths: Sequence[str]
    labels: Sequence[str | None]


@dataclass(frozen=True)
class TextExample:
    """A text and its reconstruction as words, with the indices of the words that are marked.

    `lost`: the words of the original that the reconstruction does not have in their order, `wrong`:
    those of the reconstruction that the original does not have; `kept`: those of the original that
    are its code; `shorter`: the words of a shorter text that is the code, None if it is none.
    """

    path: str
    token_accuracy: float
    original: Sequence[str]
    reconstruction: Sequence[str]
    lost: Sequence[int]
    wrong: Sequence[int]
    kept: Sequence[int] = ()
    shorter: Sequence[str] | None = None


@dataclass(frozen=True)
class TextUnits(UnitValues):
    """Some of all `total` units of a code, the one that is active for most texts first: their
    `numbers`, (units,), and their values for the sample of texts.

    peaks: (units, k), the index of the word that adds most to each of the largest values.
    """

    total: int
    numbers: NDArray[np.int64]
    peaks: NDArray[np.int64]


@dataclass(frozen=True)
class TextFindings:
    """The contents of a page about a text autoencoder, besides its metrics.

    `sample`: texts at equal distances among all, `count`, that were measured; `examples`: some of
    the texts with their reconstructions, by the rule that they are chosen by. If the code is a
    vector, there are `units` of it, its statistics, and `maps`: the points of the sample, (n, 2),
    by the name of the method.
    """

    count: int
    sample: ShownTexts
    examples: Mapping[str, Sequence[TextExample]]
    units: TextUnits | None = None
    code: CodeStatistics | None = None
    maps: Mapping[str, AnyFloats] = field(default_factory=dict)


@dataclass(frozen=True)
class ShownVectors:
    """Vectors by their paths and labels, with the errors of their reconstructions, n each; `error`:
    the name of that error.
    """

    paths: Sequence[str]
    labels: Sequence[str | None]
    errors: AnyFloats
    error: str


@dataclass(frozen=True)
class VectorUnits(UnitValues):
    """Some of all `total` units of a code, the one that adds most to the reconstructions first:
    their `numbers`, (units,). The histograms are of the sample; `strongest` and `values` are of all
    vectors that were measured, and `strongest` are places in `inputs`.

    If the decoder has one layer, each unit has a direction. nearest: (units, m), the numbers of the
    units with the most similar directions, and their `cosines`; weights: (units, w), the largest
    weights of the direction, and `features`, the places of the features that have them.
    """

    total: int
    numbers: NDArray[np.int64]
    inputs: ShownVectors
    nearest: NDArray[np.int64] | None = None
    cosines: AnyFloats | None = None
    features: NDArray[np.int64] | None = None
    weights: AnyFloats | None = None


@dataclass(frozen=True)
class DirectionsMap:
    """The directions of some `units` of a decoder, (n,), in two dimensions: `maps`, (n, 2) each, by
    the name of the method. `explained`: the fraction of their variance that the first has.
    """

    units: NDArray[np.int64]
    maps: Mapping[str, AnyFloats]
    explained: float


@dataclass(frozen=True)
class VectorFindings:
    """The contents of a page about an autoencoder of vectors, besides its metrics.

    `sample`: vectors at equal distances among all, `count`, that were measured; `worst`: those with
    the largest error; `activations`: the edges of a histogram of the logarithms (base 10) of the
    magnitudes of the activations other than 0 in the sample, (bins + 1,), and its counts, (bins,);
    `explained`: the explained variance of each feature; `maps`: the points of the codes of the
    sample, (n, 2), by the name of the method. Units that are active for no input are not among
    `units`, which is None where there are no others.
    """

    count: int
    sample: ShownVectors
    worst: ShownVectors
    units: VectorUnits | None
    code: CodeStatistics
    activations: tuple[AnyFloats, NDArray[np.int64]]
    explained: AnyFloats
    columns: Sequence[str]
    maps: Mapping[str, AnyFloats]
    directions: DirectionsMap | None = None
