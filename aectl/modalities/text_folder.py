"""The lines and the report page in the run folder of a text autoencoder."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl.config import run_files

if TYPE_CHECKING:
    from aectl.data.text.text_batches import TextBatch
    from aectl.data.text.text_inputs import Line
    from aectl.models.model_card import ModelCard
    from aectl.training.text_run import TextRun

WRITTEN, MEASURED = 40, 1000
"""Lines that are shown with their reconstructions, and lines that the page measures."""


def fill(folder: Path, run: "TextRun", card: "ModelCard") -> None:
    """Writes reconstructions.txt and report.html of a trained model."""
    from aectl.outputs import run_folder

    run_folder.save_text(folder / run_files.RECONSTRUCTIONS, "\n".join(_written(run)))
    page = report(run, card, folder.resolve().name)
    run_folder.save_text(folder / run_files.REPORT, page)


def report(run: "TextRun", card: "ModelCard", name: str) -> str:
    """The page of a finished run, measured on lines that it was not trained on, if any."""
    from aectl.data.text.text_batches import batch_size
    from aectl.inference import apply_text
    from aectl.inference.apply import on_device
    from aectl.modalities import modality_of
    from aectl.modalities.measurement import Measurement
    from aectl.modalities.portraits import portrait
    from aectl.outputs import page

    measurement = Measurement(card, modality_of(card))
    network: Any = run.network
    inspection = measurement.modality.inspection(network, card)
    lines, shape = _some(run, MEASURED), run.architecture.text
    batches = batches_of(run, MEASURED, batch_size(*shape))
    to_tensor = on_device(network, run.device, apply_text.token_tensor)
    for measured in measurement.results(network, batches, to_tensor):
        inspection.add(measured)
    held_out = len(run.held_out) > 0
    how = "held out from training" if held_out else "on which it was trained"
    named = f"{' '.join(run.config.data.dataset)}, {how}"
    whole = len(run.held_out) if held_out else len(run.data)
    if len(lines) < whole:
        named += f" ({whole:,} in all)"
    return page.to_html(name, [portrait(name, named, measurement, inspection, run.rows)])


def batches_of(run: "TextRun", most: int, size: int) -> "Iterator[TextBatch]":
    """Batches of at most `most` lines at equal distances, held out if any are, of a size, or of one
    where the network processes one at a time."""
    from aectl.data.text.text_batches import in_memory

    lines, size = _some(run, most), 1 if run.network.one_at_a_time else size
    for first in range(0, len(lines), size):
        some = lines[first : first + size]
        yield from in_memory(some, run.vocabulary, run.architecture.text.length)


def _written(run: "TextRun") -> Iterator[str]:
    """Some of the lines, held out if any are, and their reconstructions."""
    from aectl.data.text.text_batches import in_memory
    from aectl.inference import apply_text
    from aectl.inference.apply import on_device
    from aectl.outputs.text_rows import to_columns, to_text

    lines = _some(run, WRITTEN)
    batches = in_memory(lines, run.vocabulary, run.architecture.text.length)
    network: Any = run.network
    to_tensor = on_device(network, run.device, apply_text.token_tensor)
    for result in apply_text.reconstruct(network, batches, to_tensor, run.vocabulary):
        yield to_text(to_columns(result))


def _some(run: "TextRun", most: int) -> "list[Line]":
    """At most so many lines at equal distances, held out if any are."""
    rows = run.held_out if len(run.held_out) else range(len(run.data))
    return [run.data.lines[row] for row in rows[:: math.ceil(len(rows) / most)]]
