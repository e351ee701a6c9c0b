"""A model's section of the page of `eval --report`, and its metrics in the run folder."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl.config import run_files
from aectl.files import opened
from aectl.models import model_file

if TYPE_CHECKING:
    from aectl.outputs.page import Portrait
    from aectl.verbs.evaluate import Evaluation


def of_evaluation(
    evaluation: "Evaluation",
    inspection: Any,
    methods: Sequence[str],
) -> "Portrait":
    """The section of a model that has been measured on some inputs, with maps by `methods`."""
    from aectl.modalities.portraits import portrait

    use = evaluation.use
    named = " ".join(use.stream.called())
    metrics = _metrics_beside(use.path)
    made = portrait(str(use.path), named, evaluation.measurement, inspection, metrics, methods)
    if evaluation.detector is None:
        return made
    results = {**made.results, **evaluation.detector.measured}
    return dataclasses.replace(made, results=results, detection=evaluation.detector.findings())


def _metrics_beside(model: Path) -> list[dict[str, float]]:
    """The rows of the `metrics.csv` in a model's folder; none where it is not one of ours."""
    path = model_file.resolve(model).with_name(run_files.METRICS)
    try:
        with io.TextIOWrapper(opened(path), encoding="utf-8", newline="") as file:
            return [
                {name: float(value) for name, value in row.items() if value}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, TypeError, AttributeError, csv.Error):
        return []
