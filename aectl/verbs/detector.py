"""A model as a detector of anomalies, measured on labelled inputs."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aectl.config.spelling import first_of
from aectl.data.images.masks import GOOD, mask_of
from aectl.data.named_inputs import Naming
from aectl.errors import ConfigError, DataError
from aectl.inference.detection_quality import (
    MOST_PIXELS,
    DetectionFindings,
    DetectionQuality,
    Suspect,
)
from aectl.inference.results import Floats
from aectl.progress import SILENT, Progress
from aectl.verbs.detect import Asked, Detection, detection_of
from aectl.verbs.use import Use

LABELS_NAMED = 5

NEEDED = (
    f"a detector is measured on inputs in folders named {GOOD}, or labelled so, which are normal,"
    " and in others"
)


@dataclass
class Detector:
    """Measures a detection on its inputs, of which those with the label `good` are normal;
    `measured`: its metrics."""

    detection: Detection
    quality: DetectionQuality = field(default_factory=DetectionQuality)
    without_mask: int = 0
    measured: dict[str, float] = field(default_factory=dict)

    def metrics(self, progress: Progress = SILENT) -> dict[str, float]:
        """The metrics of the detector, by name: all inputs are read.

        Raises DataError where none is normal, none is anomalous, or some have no label.
        """
        detection, use = self.detection, self.detection.use
        normal, labels = detection.scored(progress).normal, set[str]()
        self.quality, self.without_mask = DetectionQuality(), 0
        with use.results(detection.examined) as results:
            for one in progress.counted(results, "detecting", use.modality.noun):
                self._add(one)
                labels.update(one.labels)
        if GOOD not in labels or labels == {GOOD}:
            raise DataError(f"{NEEDED}; these are in {first_of(sorted(labels), LABELS_NAMED)}")
        if self.without_mask:
            use.request.warning(f"images without a mask of their defect: {self.without_mask:,}")
        if pixels := self.quality.pixels_left_out:
            use.request.warning(
                f"pixel_auroc and pro are left out: the images have {pixels:,} pixels, and at most"
                f" {MOST_PIXELS:,} fit into memory; measure fewer images"
            )
        supported = normal.least_rate <= detection.alarm_rate
        self.measured = self.quality.result(detection.alarm_rate if supported else None)
        return self.measured

    def findings(self) -> DetectionFindings:
        """The contents of a report page, after `metrics`."""
        detection, quality = self.detection, self.quality
        calibrated, rate = detection.scored(), detection.alarm_rate
        normal = calibrated.normal
        of_pixels = calibrated.pixels.normal if calibrated.pixels else normal
        return DetectionFindings(
            detection.score, rate, normal.scores, normal.threshold(rate), quality.scores,
            quality.anomalous, quality.suspects,
            min(of_pixels.threshold(rate), float(of_pixels.scores[-1])),
        )  # fmt: skip

    def _add(self, examined: Any) -> None:
        calibrated, use = self.detection.scored(), self.detection.use
        labels = _labels(examined)
        scores = calibrated.scores(examined.evidence)
        p_values = calibrated.normal.p_values(scores)
        self.quality.update(scores, p_values, [label != GOOD for label in labels])
        maps = None
        if self.detection.maps:
            maps = calibrated.maps(examined.evidence, use.card.shape[1:])
        if maps is not None:
            self._add_pixels(examined.paths, labels, maps)
        values = use.modality.values(examined.batch) if use.modality.pictured else scores
        self.quality.show([
            Suspect(path, labels[row], float(scores[row]), float(p_values[row]), values[row],
                  None if maps is None else maps[row])
            for row, path in enumerate(examined.paths)
        ])  # fmt: skip

    def _add_pixels(self, paths: Sequence[str], labels: Sequence[str], maps: Floats) -> None:
        for path, label, one in zip(paths, labels, maps, strict=True):
            mask = mask_of(path, label, one.shape)
            if mask is None:
                self.without_mask += 1
            else:
                self.quality.update_pixels(one, mask)


def _labels(examined: Any) -> list[str]:
    """The labels of inputs. Raises DataError for one that has none."""
    known: list[str] = []
    for path, label in zip(examined.paths, examined.labels, strict=True):
        if label is None:
            raise DataError(f"{path} has no label: {NEEDED}")
        known.append(label)
    return known


def detectors_of(
    uses: Sequence[Use],
    detect: bool,
    asked: Asked,
) -> list[Detector | None]:
    """The detector of each model, if they are to `detect`: calibrated on normal inputs or by what
    its file keeps.

    Raises ConfigError for a classifier, for options that have no effect, and as `detect` does.
    """
    if not detect and any(one is not None for one in asked):
        raise ConfigError("--normal, --fit-to, --score and --alarm-rate need --detect")
    return [_detector_of(use, asked) if detect else None for use in uses]


def _detector_of(use: Use, asked: Asked) -> Detector:
    if use.card.classes:
        raise ConfigError(f"{use.path} is a classifier, which detects no anomalies")
    named = dataclasses.replace(use.request, label_from_folder=True, naming=Naming(absolute=True))
    own = dataclasses.replace(use, request=named)
    return Detector(detection_of(own, asked, maps=None))
