"""How well a detector does on labelled inputs: collected batch by batch."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aectl.inference import detection_metrics as metrics
from aectl.inference.results import Floats

MOST_SHOWN = 12

MOST_PIXELS = 1 << 26
"""Pixels of maps that are kept for their metrics, which take about 60 bytes of memory for each."""


class Suspect(NamedTuple):
    """An input that has a high score: its values, and of an image its map."""

    path: str
    label: str
    score: float
    p_value: float
    values: NDArray[Any]
    map: Floats | None


class DetectionFindings(NamedTuple):
    """The contents of the section of a report page about a detector.

    `score`: its name; `normal`: the scores of the inputs that calibrate it; `threshold`: the score
    above which an input is flagged at the `alarm_rate`, infinite if they do not support that;
    `scores` of the measured inputs and whether these are `anomalous`, (n,); `suspects`: those with
    the highest scores; `pixel_threshold`: the value above which a pixel of their maps is marked.
    """

    score: str
    alarm_rate: float
    normal: Floats
    threshold: float
    scores: Floats
    anomalous: NDArray[np.bool_]
    suspects: list[Suspect]
    pixel_threshold: float


class DetectionQuality:
    """The metrics of a detector, over all calls of `update`.

    `suspects`: the inputs with the highest scores, the highest first.
    """

    def __init__(self) -> None:
        self.suspects: list[Suspect] = []
        self._scores: list[Floats] = []
        self._p_values: list[NDArray[np.float64]] = []
        self._anomalous: list[bool] = []
        self._maps: list[Floats] = []
        self._masks: list[NDArray[np.bool_]] = []
        self._pixels, self._marked = 0, False

    def update(
        self, scores: Floats, p_values: NDArray[np.float64], anomalous: Sequence[bool]
    ) -> None:
        """Adds a batch of n inputs: all (n,)."""
        self._scores.append(scores)
        self._p_values.append(p_values)
        self._anomalous += anomalous

    def update_pixels(self, anomaly_map: Floats, mask: NDArray[np.bool_]) -> None:
        """Adds the map of an image, and whether each pixel is anomalous: both (height, width)."""
        self._pixels += mask.size
        self._marked |= bool(mask.any())
        self._maps.append(anomaly_map)
        self._masks.append(mask)
        if self._pixels > MOST_PIXELS:
            self._maps.clear()
            self._masks.clear()

    @property
    def pixels_left_out(self) -> int:
        """The number of pixels, if there are masks and too many pixels for the metrics of these."""
        return self._pixels if self._marked and self._pixels > MOST_PIXELS else 0

    def show(self, inputs: Sequence[Suspect]) -> None:
        """Keeps the inputs with the highest scores."""
        self.suspects = sorted([*self.suspects, *inputs], key=lambda one: -one.score)[:MOST_SHOWN]

    @property
    def scores(self) -> Floats:
        """The scores of all inputs."""
        return np.concatenate([np.empty(0, np.float32), *self._scores])

    @property
    def anomalous(self) -> NDArray[np.bool_]:
        """Whether each input is anomalous."""
        return np.array(self._anomalous, np.bool_)

    def result(self, alarm_rate: float | None) -> dict[str, float]:
        """All metrics by name; with an alarm rate, the fraction of the normal inputs that are
        flagged at it, and of the anomalous ones; of images with masks, the metrics of pixels, up to
        MOST_PIXELS of them.

        Raises DataError where inputs are all normal or all anomalous.
        """
        scores, anomalous = self.scores, self.anomalous
        found = {
            "auroc": metrics.auroc(scores, anomalous),
            "average_precision": metrics.average_precision(scores, anomalous),
        }
        if alarm_rate is not None:
            flagged = np.concatenate(self._p_values) <= alarm_rate
            found["false_alarms"] = float(flagged[~anomalous].mean())
            found["detected"] = float(flagged[anomalous].mean())
        if self._marked and self._maps:
            maps, masks = np.stack(self._maps), np.stack(self._masks)
            found["pixel_auroc"] = metrics.pixel_auroc(maps, masks)
            found["pro"] = metrics.pro(maps, masks)
        return found
