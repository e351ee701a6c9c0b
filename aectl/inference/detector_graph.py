"""A detector of anomalies, to be exported."""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn

from aectl.inference.anomaly_scores import Evidence
from aectl.inference.calibrating import Calibrated
from aectl.models.graphs import Graph

EvidenceOf = Callable[[Any, Tensor, Tensor, Collection[str]], Evidence]


class DetectorGraph(nn.Module):
    """From inputs as they are stored to their scores, float32, their p-values, float64, and whether
    each is an anomaly at an alarm rate: (batch,) each.

    `evidence_of` gives the evidence that is `needed` of a network, its inputs, and those as they
    are stored.
    """

    normal: Tensor

    def __init__(
        self,
        graph: Graph,
        evidence_of: EvidenceOf,
        needed: Collection[str],
        calibrated: Calibrated,
        alarm_rate: float,
    ) -> None:
        super().__init__()
        self.of_network, self.score, self.alarm_rate = graph, calibrated.score, alarm_rate
        self._evidence_of, self._needed = evidence_of, needed
        self.register_buffer("normal", torch.from_numpy(calibrated.normal.scores))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The p-values are those of `conformal.NormalScores`."""
        prepared = self.of_network.prepared(inputs)
        found = self._evidence_of(self.of_network.network, prepared, inputs, self._needed)
        scores = self.score.of(found)
        below = (self.normal < scores[:, None]).sum(1).double()
        count = len(self.normal)
        p_values = (1 + count - below) / (count + 1)
        return scores, p_values, p_values <= self.alarm_rate
