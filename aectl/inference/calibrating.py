"""Anomaly scores that are fitted and calibrated on the evidence of normal inputs."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch

from aectl.config.scores import SCORES, needed
from aectl.config.shapes import Sides
from aectl.errors import DataError
from aectl.inference.anomaly_scores import (
    AnomalyScore,
    Evidence,
    Examined,
    MarkingScore,
    marking_score,
    score_named,
)
from aectl.inference.conformal import NormalScores
from aectl.inference.error_maps import at_pixels
from aectl.inference.results import Floats

SEED = 0

MOST_NUMBERS = 1 << 27
"""Numbers in the evidence that is kept of normal inputs, and of those that a score is fitted to:
half a GiB each, and up to four times as much while some are chosen."""

BLOCK = 64
"""Inputs that are scored at once."""


class Calibrated(NamedTuple):
    """A score with those of normal inputs to calibrate it, of which those of `suspects` are far
    above the others, the highest first; `fitted_to`: the number of other inputs that it is fitted
    to. `pixels`: the same for the highest pixel of images, where maps are asked for.
    """

    score: AnomalyScore
    normal: NormalScores
    fitted_to: int
    suspects: list[str]
    pixels: "Calibrated | None" = None

    def scores(self, evidence: Evidence) -> Floats:
        """The scores of n inputs: (n,)."""
        return self.score.of(evidence).numpy()

    def maps(self, evidence: Evidence, sides: Sides) -> Floats | None:
        """The map of each of n images with some `sides`, (n, height, width), if pixels are
        scored."""
        if self.pixels is None:
            return None
        assert isinstance(self.pixels.score, MarkingScore)
        return at_pixels(self.pixels.score.compared(evidence), sides).numpy()


class Calibrating:
    """Normal inputs, whose scores calibrate a score. One that is `fitted` takes as reference inputs
    others, if any are added with `refer`, or else one half of them, chosen at random; `needs`: the
    evidence that it is made of, which alone is kept."""

    def __init__(self, score: AnomalyScore, fitted: bool, needs: Collection[str]) -> None:
        self._score, self._fitted, self._needs = score, fitted, needs
        self._paths: list[str] = []
        self._scores: list[Floats] = []
        self._sample, self._others = _Sample(), _Sample()
        self._referred = False

    @classmethod
    def named(cls, score: str, given: Collection[str]) -> Self:
        """That of a score, of a model that gives some evidence."""
        return cls(score_named(score, given), SCORES[score].fitted, needed(score, given))

    @classmethod
    def marking(cls, mapped: str) -> Self:
        """That of the score which marks what is unusual in images, by the evidence that heat maps
        are made of."""
        return cls(marking_score(mapped), True, {mapped})

    def add(self, examined: Examined) -> None:
        """Adds a batch."""
        if self._fitted:
            self._sample.add(examined.paths, examined.evidence.only(self._needs))
            return
        scores = self._score.of(examined.evidence).numpy()
        self._scores.append(scores)
        self._paths += examined.paths

    def refer(self, examined: Examined) -> None:
        """Adds a batch of reference inputs, once all others are added; those that calibrate the
        score may not be among them, as their scores would be too small."""
        if self._fitted:
            self._referred = True
            self._others.add(examined.paths, examined.evidence.only(self._needs))

    @property
    def dropped(self) -> int:
        """The number of inputs for which there was no memory."""
        return self._sample.dropped + self._others.dropped

    def result(self) -> Calibrated:
        """The score of all inputs so far. Raises DataError where there are too few."""
        fitted_to, paths = 0, self._paths
        if self._fitted:
            fitted_to, paths = self._fit()
        return self._result(fitted_to, paths)

    def _fit(self) -> tuple[int, list[str]]:
        """Fits the score, and computes those that calibrate it. Returns the number of reference
        inputs, and the paths of the others."""
        evidence, paths = self._sample.shuffled()
        if not paths:
            return 0, paths
        if self._referred:
            reference, first = self._others.shuffled()[0].finite(), 0
        else:
            first = len(paths) // 2
            reference = evidence.rows(slice(first)).finite()
        count = reference.inputs
        if not count:
            raise DataError("there are too few normal inputs to fit the score to")
        self._score.fit(reference)
        self._scores = [
            self._score.of(evidence.rows(slice(row, row + BLOCK))).numpy()
            for row in range(first, len(paths), BLOCK)
        ]
        return count, paths[first:]

    def _result(self, fitted_to: int, paths: list[str]) -> Calibrated:
        scores = np.concatenate([np.empty(0, np.float32), *self._scores])
        normal = NormalScores.of(scores)
        far = np.flatnonzero(normal.far_out(scores))
        far = far[np.argsort(-scores[far], kind="stable")]
        return Calibrated(self._score, normal, fitted_to, [paths[row] for row in far])


class _Sample:
    """The evidence of all inputs, or of as many, drawn at random, as fit into MOST_NUMBERS.

    `dropped`: how many do not.
    """

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(SEED)
        self._evidence: list[Evidence] = []
        self.paths: list[str] = []
        self.dropped = 0
        self._keys = torch.empty(0, dtype=torch.float64)

    def add(self, paths: Sequence[str], evidence: Evidence) -> None:
        """Adds a batch. An input is kept if its random key is among the smallest."""
        keys = torch.rand(len(paths), generator=self._generator, dtype=torch.float64)
        self._keys = torch.cat([self._keys, keys])
        self.paths += paths
        self._evidence.append(evidence)
        numbers = sum(one.numel() for one in evidence if one is not None)
        self._most = max(2, MOST_NUMBERS // max(1, numbers // len(keys)))
        if len(self._keys) > self._most + self._most // 4:
            self._keep_some()

    def shuffled(self) -> tuple[Evidence, list[str]]:
        """The evidence and the paths, in random order."""
        if not self.paths:
            return Evidence(), []
        self._keep_some()
        return self._evidence[0], self.paths

    def _keep_some(self) -> None:
        """Keeps those with the smallest keys, in the order of these."""
        rows = self._keys.argsort(stable=True)[: self._most]
        self.dropped += len(self._keys) - len(rows)
        evidence = Evidence.joined(self._evidence)
        self._evidence, self._keys = [evidence.rows(rows)], self._keys[rows]
        self.paths = [self.paths[row] for row in rows.tolist()]
