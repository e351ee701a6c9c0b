"""A model's section of a report page: its description, its metrics and its training."""

import contextlib
import csv
import io
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl.config import run_files
from aectl.config.declaration import flag
from aectl.config.spelling import spelt
from aectl.errors import DataError
from aectl.files import opened
from aectl.models import model_file

if TYPE_CHECKING:
    from aectl.data.images.datasets import ImageSet
    from aectl.inference.inspection import Inspection
    from aectl.models.model_file import ModelCard
    from aectl.outputs.page import Portrait
    from aectl.training.image_run import ImageRun
    from aectl.verbs.evaluate import Evaluation, Measurement

MOST_MEASURED = 10_000
BATCH = 1000

FACTS = {
    "images": "training images",
    "seconds": "training seconds",
    "device": "device",
    "threads": "threads",
    "finished": "finished",
    "data_sha256": "data, SHA-256",
}
"""Facts about the training in a model's card, and their titles on the page."""


def report(run: "ImageRun", card: "ModelCard", name: str, data_dir: Path) -> str:
    """The page of a finished run, measured on images that it was not trained on, if any."""
    from aectl.data.inputs import in_memory
    from aectl.inference import apply as inference
    from aectl.inference.inspection import Inspection
    from aectl.modalities import modality_of
    from aectl.outputs import page
    from aectl.verbs.evaluate import Measurement

    images, named = _unseen(run, data_dir)
    measurement = Measurement(card, modality_of(card))
    inspection = Inspection(run.network, card.classes)
    to_tensor = inference.on_device(run.network, run.device)
    batches = in_memory(images.spread(MOST_MEASURED), BATCH)
    for measured in measurement.results(run.network, batches, to_tensor):
        inspection.add(measured)
    return page.to_html(name, [portrait(name, named, measurement, inspection, run.rows)])


def _unseen(run: "ImageRun", data_dir: Path) -> "tuple[ImageSet, str]":
    """The test split of a dataset, else the held-out images, else the training images."""
    from aectl.data.images import datasets

    word = run.config.data.dataset
    if datasets.is_dataset(word):
        with contextlib.suppress(DataError):
            test = datasets.load(word.partition(":")[0], data_dir, download=False)
            return test.fitted(run.data.shape), test.name
    if len(run.held_out):
        return run.data.part(run.held_out), f"{word}, held out from training"
    return run.data, f"{word}, on which it was trained"


def of_evaluation(
    evaluation: "Evaluation",
    inspection: "Inspection",
    metrics: Sequence[Mapping[str, float]],
    methods: Sequence[str],
) -> "Portrait":
    """A model's section of a page, measured on the inputs of a command."""
    use = evaluation.use
    named = " ".join(map(use.stream.called, use.stream.words))
    return portrait(str(use.path), named, evaluation.measurement, inspection, metrics, methods)


def portrait(
    name: str,
    measured_on: str,
    measurement: "Measurement",
    inspection: "Inspection",
    metrics: Sequence[Mapping[str, float]],
    methods: Sequence[str] = (),
) -> "Portrait":
    """A model's section of a page, from its metrics and its inspection."""
    from aectl.inference.metrics import ReconstructionMetrics
    from aectl.outputs.page import Portrait

    card, measured = measurement.card, measurement.collected
    unknown = getattr(measured, "unknown", None)
    left_out = f"; {unknown.total():,} of unknown classes left out" if unknown else ""
    of_code = measured if isinstance(measured, ReconstructionMetrics) else None
    options = card.options
    return Portrait(
        name,
        facts(card),
        str(card.training.get("command", "")),
        metrics,
        measurement.metrics(),
        f"measured on {measurement.count:,} images of {measured_on}{left_out}",
        measurement.progress.awaited(
            partial(inspection.findings, of_code, methods), "drawing the page"
        ),
        card.classes,
        options.get("rho") if options.get("sparsity") == "kl" else None,
    )


def facts(card: "ModelCard") -> dict[str, str]:
    """Titles and texts of the facts about a model and its training."""
    said, options = card.training, card.options
    channels, height, width = card.shape
    network = card.architecture
    inner = [str(units) for units in network.widths]
    last = str(network.classes or f"{channels}x{height}x{width}")
    below = f" on the code of a trained {network.encoder.kind}" if network.encoder else ""
    versions = said.get("versions", {})
    lines = {
        "network": f"{network.kind}{below}, "
        + " - ".join([f"{channels}x{height}x{width}", *inner, last]),
        "trained on": card.dataset,
        "epochs, seed": f"{options.get('epochs', '?')}, {options.get('seed', '?')}",
        **{title: str(said.get(name, "")) for name, title in FACTS.items()},
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "weights, SHA-256": card.weights_sha256 or "",
    }
    return {title: text for title, text in lines.items() if text}


def command(asked: Mapping[str, Any]) -> str:
    """`aectl train` with these options, quoted for a shell."""
    words = ["aectl", "train"]
    for name, value in asked.items():
        if isinstance(value, bool):
            words.append(flag(name) if value else flag(name).replace("--", "--no-", 1))
        else:
            parts = value if isinstance(value, list | tuple) else [value]
            patterns = parts and all(isinstance(part, str) for part in parts)
            for word in parts if patterns else [",".join(map(str, parts))]:
                words += [flag(name), spelt(word)]
    return shlex.join(words)


def metrics_beside(model: Path) -> list[dict[str, float]]:
    """The rows of the `metrics.csv` in a model's folder; none if it is absent or not readable."""
    path = model_file.resolve(model).with_name(run_files.METRICS)
    try:
        with io.TextIOWrapper(opened(path), encoding="utf-8", newline="") as file:
            return [
                {name: float(value) for name, value in row.items() if value}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, TypeError, AttributeError, csv.Error):
        return []
