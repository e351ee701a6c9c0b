"""Fisher's combination of several anomaly scores."""

from collections.abc import Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aectl.config.scores import combined
from aectl.errors import DataError, ModelFileError
from aectl.inference.anomaly_scores import AnomalyScore, Evidence, as_scores, score_named
from aectl.inference.conformal import NormalScores
from aectl.inference.results import Floats

RANKED = "scores"

TAIL = 0.2
"""The fraction of ranked scores, the highest, to which a tail is fitted."""


class Fisher(AnomalyScore):
    """-2 sum_k log p_k, for the p-values p_k of the other scores (Fisher, Statistical Methods for
    Research Workers, 1932, section 21.1).

    The scores are fitted to one half of the reference inputs, and their p-values are those among
    the other half, with a tail above it. They depend on each other, so that the statistic is not
    compared with the chi-squared distribution: it is a score like any other, which is calibrated.
    """

    def __init__(self, given: Collection[str] = ()) -> None:
        super().__init__(given)
        self._scores = {name: score_named(name, given) for name in combined(given)}
        self._normal: dict[str, NormalScores] = {}

    def fit(self, reference: Evidence) -> None:
        """Raises DataError where there are too few inputs."""
        count = max(len(one) for one in reference if one is not None)
        if count < 2 * 2:
            raise DataError("there are too few normal inputs to fit the score to")
        fitted_to, ranked = (
            reference.rows(slice(count // 2)),
            reference.rows(slice(count // 2, None)),
        )
        for name, score in self._scores.items():
            score.fit(fitted_to)
            self._normal[name] = NormalScores.of(score.of(ranked).numpy())

    def of(self, evidence: Evidence) -> Tensor:
        """The statistics."""
        logarithms = [
            log_p_values(self._normal[name], score.of(evidence).numpy())
            for name, score in self._scores.items()
        ]
        return as_scores(torch.from_numpy(-2 * np.sum(logarithms, 0)))

    def tensors(self) -> Mapping[str, Tensor]:
        """Those of each score, and its ranked `scores`, such as `error.scores`."""
        return {
            f"{name}.{part}": tensor
            for name, score in self._scores.items()
            for part, tensor in {
                RANKED: torch.from_numpy(self._normal[name].scores), **score.tensors()
            }.items()
        }  # fmt: skip

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes the scores that have tensors. Raises ModelFileError for those of no known score."""
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            of, _, part = name.partition(".")
            parts.setdefault(of, {})[part] = tensor
        if not parts or parts.keys() - self._scores.keys():
            raise ModelFileError("its calibration combines scores that are unknown")
        self._scores = {name: score for name, score in self._scores.items() if name in parts}
        for name, score in self._scores.items():
            ranked = parts[name].pop(RANKED, torch.empty(0))
            if ranked.ndim != 1 or not len(ranked):
                raise ModelFileError("the tensors of its calibration do not fit each other")
            self._normal[name] = NormalScores.of(ranked.numpy())
            score.restore(parts[name])


def log_p_values(normal: NormalScores, scores: Floats) -> NDArray[np.float64]:
    """The logarithms of the p-values of scores, (n,). In the highest fifth of the normal ones and
    above them, p falls exponentially with their mean excess, since by rank alone all that is above
    the highest of few scores would be equal.
    """
    count = max(1, round(TAIL * len(normal)))
    tail = normal.scores[-count:].astype(np.float64)
    excess, found = (tail - tail[0]).mean(), np.log(normal.p_values(scores))
    if excess > 0:
        above = scores.astype(np.float64) - tail[0]
        at_start = np.log((1 + count) / (len(normal) + 1))
        found = np.where(above > 0, at_start - above / excess, found)
    return found
