"""The report page in the run folder of an autoencoder of vectors."""

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aectl.data.named_inputs import Position
from aectl.data.vectors.stored_vectors import StoredVectors
from aectl.data.vectors.vector_batches import VectorBatch

if TYPE_CHECKING:
    from aectl.models.model_card import ModelCard
    from aectl.training.vector_run import VectorRun

MOST_MEASURED, LEAST_MEASURED = 100_000, 2000
NEIGHBOURS = 32
WORK = 1 << 37
"""Maximum number of weights times vectors that a page measures: about 10 seconds of one core."""


def report(run: "VectorRun", card: "ModelCard", name: str, size: int) -> str:
    """The page of a finished run, measured in batches of `size` on vectors that it was not trained
    on, if any."""
    from aectl.inference import apply_vectors
    from aectl.inference.apply import on_device
    from aectl.modalities import modality_of
    from aectl.modalities.measurement import Measurement
    from aectl.modalities.portraits import portrait
    from aectl.outputs import page

    measurement = Measurement(card, modality_of(card))
    inspection = measurement.modality.inspection(run.network, card)
    tensor = partial(apply_vectors.vector_tensor, run.network)
    to_tensor = on_device(run.network, run.device, tensor)
    for measured in measurement.results(run.network, measured_batches(run, size), to_tensor):
        inspection.add(measured)
    held_out = len(run.held_out) > 0
    how = "held out from training" if held_out else "on which it was trained"
    named = f"{' '.join(run.config.data.dataset)}, {how}"
    whole = len(run.held_out) if held_out else len(run.data)
    if measurement.count < whole:
        named += f" ({whole:,} in all)"
    if run.errors:
        named += f"; {run.errors.described(run.noun)}"
    return page.to_html(name, [portrait(name, named, measurement, inspection, run.rows)])


def measured_batches(run: "VectorRun", size: int) -> Iterator[VectorBatch]:
    """Vectors at equal distances, held out if any are, not too many."""
    rows = run.held_out if len(run.held_out) else np.arange(len(run.data))
    return batches_of(run, rows, size, MOST_MEASURED)


def batches_of(
    run: "VectorRun", rows: NDArray[np.int64], size: int, most: int
) -> Iterator[VectorBatch]:
    """Some vectors of a training set at equal distances: at most so many, or fewer of a network
    that takes long."""
    data = run.data
    weights = sum(weight.numel() for weight in run.network.parameters())
    most = min(most, max(LEAST_MEASURED, WORK // weights))
    rows = _some(rows, most, isinstance(data.vectors, StoredVectors))
    for first in range(0, len(rows), size):
        some = rows[first : first + size]
        paths, labels = zip(
            *((data.names.path(row), data.names.label(row)) for row in some.tolist()), strict=True
        )
        at = Position(first + len(some), "")
        yield VectorBatch([*paths], [*labels], data.at(some), size, at)


def _some(rows: NDArray[np.int64], most: int, on_disk: bool) -> NDArray[np.int64]:
    """At most so many rows, at equal distances; many neighbours together, which a disk reads at
    once, where they are `on_disk`, or where there are many more."""
    step = math.ceil(len(rows) / most)
    places = np.arange(len(rows))
    together = on_disk or step > NEIGHBOURS
    return rows[places // NEIGHBOURS % step == 0] if together else rows[::step]
