"""The section of a model as a detector of anomalies: scores, curves, the most anomalous inputs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.config.spelling import spelt
from aectl.inference import detection_metrics
from aectl.inference.detection_metrics import Curve
from aectl.inference.detection_quality import DetectionFindings
from aectl.outputs.captions import distinguished
from aectl.outputs.heat_maps import heat_map
from aectl.outputs.page.image_page import Sheets
from aectl.outputs.page.numbers import finite, rounded

MOST_POINTS, MOST_SCORES = 400, 5000
"""Maximum number of points of a curve, and of scores of a histogram, that a page contains."""

SIDE = 520


def of_detection(found: DetectionFindings, sheets: Sheets) -> dict[str, Any]:
    """The contents of the section."""
    scores, anomalous, suspects = found.scores, found.anomalous, found.suspects
    paths = [one.path for one in suspects]
    tiles = [
        heat_map(one.values, one.map, found.pixel_threshold)
        for one in suspects
        if one.map is not None
    ]
    return {
        "score": found.score,
        "rate": found.alarm_rate,
        "threshold": finite(found.threshold),
        "calibrating": len(found.normal),
        "scores": {
            "normal, for calibration": rounded(_some(found.normal)),
            "normal": rounded(_some(scores[~anomalous])),
            "anomalous": rounded(_some(scores[anomalous])),
        },
        "roc": _points(detection_metrics.roc_curve(scores, anomalous)),
        "precisionRecall": _points(detection_metrics.precision_recall_curve(scores, anomalous)),
        "suspects": [
            [spelt(name), spelt(one.path), spelt(one.label), finite(one.score), one.p_value]
            for name, one in zip(distinguished(paths), suspects, strict=True)
        ],
        "maps": sheets.add(np.stack(tiles), SIDE) if tiles else None,
    }


def _some(scores: NDArray[np.floating]) -> NDArray[np.floating]:
    """At most MOST_SCORES finite scores, at equal distances in ascending order."""
    ordered = np.sort(scores[np.isfinite(scores)])
    return ordered[:: -(-len(ordered) // MOST_SCORES) or 1]


def _points(curve: Curve) -> list[list[float | None]]:
    """At most MOST_POINTS points of a curve, and its last one: x and y."""
    step = -(-len(curve.across) // MOST_POINTS)
    kept = [*range(0, len(curve.across) - 1, step), len(curve.across) - 1]
    return [rounded(curve.across[kept]), rounded(curve.upwards[kept])]
