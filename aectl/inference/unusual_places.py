"""The most unusual places of an image, by the code at each of them."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from aectl.errors import DataError, ModelFileError
from aectl.inference.anomaly_scores import (
    AnomalyScore,
    Evidence,
    MarkingScore,
    as_scores,
    refuse_others,
)
from aectl.inference.code_distances import MOST_REFERENCES, NEIGHBOURS, Neighbours
from aectl.inference.error_maps import HIGHEST, mean_of_highest

SEED = 0

LEAST_DEVIATION = 1e-12


class UnusualPlaces(AnomalyScore):
    """The mean over the highest hundredth of the places of an image of the distance of the code at
    a place from the nearest codes at places of reference images, wherever these are.

    After Roth et al., Towards total recall in industrial anomaly detection (2022), section 3, with
    a random sample of places, and the two nearest (`Neighbours`).
    """

    fraction = HIGHEST

    def __init__(self, given: Collection[str] = ()) -> None:
        super().__init__(given)
        self._nearest = Neighbours()

    def fit(self, reference: Evidence) -> None:
        """Keeps the codes at MOST_REFERENCES places of all images, or less, drawn at random.

        Raises DataError without images.
        """
        self._nearest.fit(Evidence(code=_drawn(reference).codes))

    def of(self, evidence: Evidence) -> Tensor:
        """The mean distances of the highest places."""
        return as_scores(mean_of_highest(self.compared(evidence), self.fraction))

    def compared(self, evidence: Evidence) -> Tensor:
        """The distance of each place: (n, rows, columns)."""
        assert evidence.places is not None
        sides = evidence.places.shape[2:]
        codes = evidence.places.movedim(1, -1).flatten(0, 2)
        return self._nearest.of(Evidence(code=codes)).view(-1, *sides)

    def tensors(self) -> Mapping[str, Tensor]:
        """`codes`."""
        return self._nearest.tensors()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Raises ModelFileError where they are no matrix."""
        self._nearest.restore(tensors)


class HighestPlace(UnusualPlaces, MarkingScore):
    """The distance of the most unusual place, in standard deviations above the mean distance of
    places of reference images from those of the other ones."""

    fraction = 0.0

    def __init__(self, given: Collection[str] = ()) -> None:
        super().__init__(given)
        self._typical = torch.tensor([0.0, 1.0])

    def fit(self, reference: Evidence) -> None:
        """Raises DataError for fewer than two images."""
        drawn = _drawn(reference)
        self._nearest.fit(Evidence(code=drawn.codes))
        distances = torch.cdist(drawn.codes, drawn.codes)
        distances[drawn.images[:, None] == drawn.images] = torch.inf
        count = min(NEIGHBOURS, len(distances))
        nearest = distances.topk(count, largest=False).values.mean(1)
        between = nearest[nearest.isfinite()].double()
        if not len(between):
            raise DataError("there are too few normal inputs to fit the score to")
        deviation = between.std(correction=0).clamp(min=LEAST_DEVIATION)
        self._typical = torch.stack([between.mean(), deviation]).float()

    def compared(self, evidence: Evidence) -> Tensor:
        """The map of those numbers: (n, rows, columns)."""
        mean, deviation = self._typical
        above: Tensor = (super().compared(evidence) - mean) / deviation
        return above

    def tensors(self) -> Mapping[str, Tensor]:
        """`codes` and `typical`, the mean and the standard deviation of distances."""
        return {**super().tensors(), "typical": self._typical}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Raises ModelFileError where they are no such tensors."""
        refuse_others(tensors, self.tensors())
        typical = tensors["typical"]
        if typical.shape != (2,) or not typical[1] > 0:
            raise ModelFileError("the tensors of its calibration do not fit each other")
        super().restore({name: one for name, one in tensors.items() if name != "typical"})
        self._typical = typical


class _Drawn(NamedTuple):
    """Codes at places that are drawn at random, (n, features), and the image of each, (n,)."""

    codes: Tensor
    images: Tensor


def _drawn(reference: Evidence) -> _Drawn:
    """Those at MOST_REFERENCES places of all images, or at all."""
    assert reference.places is not None
    codes = reference.places.flatten(2)
    images, _, places = codes.shape
    random = torch.Generator().manual_seed(SEED)
    drawn = torch.randperm(images * places, generator=random)[:MOST_REFERENCES]
    return _Drawn(codes[drawn // places, :, drawn % places], drawn // places)
