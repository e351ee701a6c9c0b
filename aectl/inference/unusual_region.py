"""The most unusual region of an image, by the errors of its reconstruction."""

from collections.abc import Collection, Mapping
from functools import reduce

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
from aectl.inference.error_maps import (
    HIGHEST,
    SIGMAS,
    mean_of_highest,
)
from aectl.inference.typical_errors import FEWEST, TypicalErrors


class UnusualRegion(AnomalyScore):
    """The mean of the highest hundredth of an error map, compared with the typical errors at each
    place of reference images, the mean over scales: a small defect changes the mean error of an
    image very little.
    """

    fraction = HIGHEST

    def __init__(self, given: Collection[str] = ()) -> None:
        super().__init__(given)
        self._typical = TypicalErrors(torch.empty(0), torch.empty(0))

    def fit(self, reference: Evidence) -> None:
        """Raises DataError for fewer than two images."""
        assert reference.map is not None
        if len(reference.map) < FEWEST:
            raise DataError("there are too few normal inputs to fit the score to")
        self._typical = TypicalErrors.of(reference.map)

    def of(self, evidence: Evidence) -> Tensor:
        """The mean of the highest pixels."""
        return as_scores(mean_of_highest(self.compared(evidence), self.fraction))

    def compared(self, evidence: Evidence) -> Tensor:
        """The map of each image that the score is the highest part of: (n, height, width).

        Raises ModelFileError for images of another size.
        """
        assert evidence.map is not None
        if evidence.map.shape[1:] != self._typical.mean.shape[1:]:
            raise ModelFileError("its calibration is of images of another size: calibrate it again")
        return self.over_scales(self._typical.compared(evidence.map))

    def over_scales(self, maps: list[Tensor]) -> Tensor:
        """One map of those at each scale."""
        return sum(maps[1:], maps[0]) / len(maps)

    def tensors(self) -> Mapping[str, Tensor]:
        """`mean` and `deviation`."""
        return self._typical._asdict()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Raises ModelFileError where they do not fit each other."""
        refuse_others(tensors, self.tensors())
        mean, deviation = tensors["mean"], tensors["deviation"]
        if mean.ndim != 3 or len(mean) != len(SIGMAS) or mean.shape != deviation.shape:
            raise ModelFileError("the tensors of its calibration do not fit each other")
        if not (deviation > 0).all():
            raise ModelFileError("its calibration has deviations that are not positive")
        self._typical = TypicalErrors(mean, deviation)


class HighestPixel(UnusualRegion, MarkingScore):
    """The highest pixel of the map.

    The map is the minimum over scales, since the wide windows around a defect are unusual, too.
    """

    fraction = 0.0

    def over_scales(self, maps: list[Tensor]) -> Tensor:
        """The minimum of each pixel."""
        return reduce(torch.minimum, maps)
