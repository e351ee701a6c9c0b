"""Anomaly scores: numbers that are higher for inputs less like normal ones.

A score compares the evidence that a network gives for an input with that of reference inputs, if it
is fitted to some. What it is worth is for `conformal` to say, with other normal inputs.
"""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from aectl.config.scores import DISSIMILARITY, ERROR, MARKED_BY, REGION, SCORES
from aectl.errors import ModelFileError
from aectl.inference.results import Result


class Evidence(NamedTuple):
    """The evidence of n inputs that scores are made of, on the CPU; None where it is not needed.

    error: (n,), the error of each reconstruction; code: (n, features), float32; of vectors
    difference: (n, features), that of each from its reconstruction, scaled as the model does,
    float32; of images places: (n, features, rows, columns), the code at each place, float32; of
    reconstructed images map: (n, height, width), the squared error of each pixel, float32; region
    and dissimilarity: (n,), of their worst regions. All others are float64.
    """

    error: Tensor | None = None
    code: Tensor | None = None
    difference: Tensor | None = None
    places: Tensor | None = None
    map: Tensor | None = None
    region: Tensor | None = None
    dissimilarity: Tensor | None = None

    def rows(self, rows: Tensor | slice) -> Self:
        """The evidence of some of the inputs."""
        return type(self)(*(None if one is None else one[rows] for one in self))

    @property
    def inputs(self) -> int:
        """The number of inputs, n."""
        return next((len(one) for one in self if one is not None), 0)

    def finite(self) -> Self:
        """That of the inputs of which all is finite."""
        given = [one[:, None].isfinite().flatten(1).all(1) for one in self if one is not None]
        return self.rows(torch.stack(given).all(0)) if given else self

    def only(self, names: Collection[str]) -> Self:
        """Those of the fields that are named."""
        named = zip(self._fields, self, strict=True)
        return type(self)(*(one if name in names else None for name, one in named))

    @classmethod
    def joined(cls, parts: "Sequence[Self]") -> Self:
        """The evidence of all inputs of several batches."""
        fields = zip(*parts, strict=True)
        return cls(*(None if one[0] is None else torch.cat(one) for one in fields))


@dataclass(frozen=True, eq=False)
class Examined(Result):
    """The evidence of n inputs."""

    evidence: Evidence


class AnomalyScore(ABC):
    """A score, which may be fitted to reference inputs; `given`: the evidence that there is of an
    input.

    Scores are float32, as those that calibrate them: equal inputs have equal scores. So are the
    tensors that are fitted, since a model file keeps them.
    """

    def __init__(self, given: Collection[str] = ()) -> None:
        self.given = frozenset(given)

    @abstractmethod
    def fit(self, reference: Evidence) -> None:
        """Fits it to the evidence of reference inputs, which are in random order.

        Raises DataError where these are too few.
        """

    @abstractmethod
    def of(self, evidence: Evidence) -> Tensor:
        """The scores of n inputs, (n,), float32; each depends on its own input alone."""

    @abstractmethod
    def tensors(self) -> Mapping[str, Tensor]:
        """All that is fitted, by name."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`. Raises ModelFileError for tensors that are not those."""


class MarkingScore(AnomalyScore):
    """A score that is the highest value of a map of an image: of an image whose p-value is above a
    rate, no value is above the threshold of that rate."""

    @abstractmethod
    def compared(self, evidence: Evidence) -> Tensor:
        """The map of each image, (n, height, width) or smaller (`error_maps.at_pixels`)."""


class Unfitted(AnomalyScore):
    """A part of the evidence that is a score itself."""

    part: ClassVar[str]

    def fit(self, reference: Evidence) -> None:
        """Nothing is fitted."""

    def of(self, evidence: Evidence) -> Tensor:
        """That part of the evidence."""
        found: Tensor = getattr(evidence, self.part)
        return as_scores(found)

    def tensors(self) -> Mapping[str, Tensor]:
        """None."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes no tensors."""
        refuse_others(tensors, {})


class ReconstructionError(Unfitted):
    """The error of the reconstruction: of images the mean squared error of a pixel, of vectors that
    of a feature, scaled as the model does, and of text the cross-entropy of a token, in nats."""

    part = ERROR


class WorstRegions(Unfitted):
    """The squared error of the worst regions of an image (`error_maps.worst_regions`): the
    geometric mean over their scales, since that of small windows is larger."""

    part = REGION


class Dissimilarity(Unfitted):
    """The structural dissimilarity, 1 - SSIM, of the worst regions of an image, in the same way."""

    part = DISSIMILARITY


def as_scores(values: Tensor) -> Tensor:
    """Values as scores: one beyond the largest float32, or none at all because the output of the
    network was, is that number, so that it is still the highest."""
    largest = torch.finfo(torch.float32).max
    return values.nan_to_num(largest, posinf=largest).clamp(max=largest).float()


def refuse_others(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raises ModelFileError where the names of tensors are not those that are wanted."""
    if tensors.keys() != wanted.keys():
        other = min(tensors.keys() ^ wanted.keys())
        raise ModelFileError(f"its calibration lacks a tensor {other!r}, or has one too many")


def score_named(name: str, given: Collection[str]) -> AnomalyScore:
    """The score of a name, yet to be fitted; one that combines others takes those that are made of
    the evidence that is `given`."""
    made: AnomalyScore = pkgutil.resolve_name(SCORES[name].made_by)(given)
    return made


def marking_score(mapped: str) -> MarkingScore:
    """The score, yet to be fitted, that marks what is unusual in images, by the evidence that heat
    maps are made of."""
    made: MarkingScore = pkgutil.resolve_name(MARKED_BY[mapped])()
    return made
