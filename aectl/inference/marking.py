"""Marks the pixels of images that are unusual, at a stated rate of false alarms."""

from typing import NamedTuple, Self

from aectl.config.shapes import Sides
from aectl.inference.anomaly_scores import AnomalyScore, Evidence, MarkingScore
from aectl.inference.conformal import NormalScores
from aectl.inference.error_maps import Region, at_pixels, regions
from aectl.inference.results import Floats


class Marked(NamedTuple):
    """The maps of n images, (n, height, width), and the regions of each above the threshold."""

    maps: Floats
    regions: list[list[Region]]
    threshold: float


class Marking(NamedTuple):
    """Marks pixels of images with some `sides` above a threshold, which at most a stated fraction
    of normal images exceeds anywhere."""

    score: MarkingScore
    threshold: float
    sides: Sides

    @classmethod
    def at(cls, rate: float, score: AnomalyScore, normal: NormalScores, sides: Sides) -> Self:
        """The marking at an alarm rate, for the fitted score of pixels and those of normal images.

        Raises ConfigError where these are too few.
        """
        assert isinstance(score, MarkingScore)
        normal.refuse_rate(rate)
        return cls(score, normal.threshold(rate), sides)

    def of(self, evidence: Evidence) -> Marked:
        """The maps and the regions of n images."""
        maps = at_pixels(self.score.compared(evidence), self.sides).numpy()
        return Marked(maps, [regions(one, self.threshold) for one in maps], self.threshold)
