"""Vectors as a model takes them, as a stream of batches."""

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from aectl.data.named_inputs import Position
from aectl.data.vectors.vector_batches import Fitting, VectorBatch, listed, vector_batches
from aectl.data.vectors.vector_inputs import VECTOR_NAMES, VectorInputs
from aectl.modalities.request import InputStream, Request
from aectl.modalities.trained_on import requested_selection, sources_of
from aectl.models import footprint
from aectl.models.architecture import Architecture
from aectl.progress import silent
from aectl.training.memory import of_machine

if TYPE_CHECKING:
    from aectl.models.model_card import ModelCard

BATCH_VALUES, LEAST_BATCH, LARGEST_BATCH = 1 << 20, 32, 4096
"""Numbers that a batch holds, unless it would be too small or too large a batch."""


class VectorStream(InputStream[VectorInputs]):
    """Vectors as a model takes them."""

    def __init__(self, card: "ModelCard", request: Request) -> None:
        self._fitting = Fitting(
            card.architecture.vector.features,
            () if request.wanted.features else card.columns,
            card.architecture.config.missing != "refuse",
        )
        self._on_bad = request.on_bad
        self.batch_size = batch_size(card.architecture, request.batch_size)
        known = () if request.wanted.features else card.columns
        before = card.options.get("id_column"), card.options.get("label_column")
        sources = sources_of(card, request, VECTOR_NAMES)
        alone = len(sources) == 1 and not sources[0].is_folder  # its folder tells nothing of rows
        self.inputs = VectorInputs(
            sources,
            request.data_dir,
            request.stdin,
            request.label_from_folder and (not alone or bool(card.classes)),
            requested_selection(card, request, VECTOR_NAMES),
            request.naming,
            skipped=request.skipped,
            once=request.once,
            wanted=dataclasses.replace(request.wanted, known=known, remembered=before),
            notice=request.notice,
            memory=of_machine(),
        )
        self.words, self.labelled = self.inputs.words, True

    def called(self) -> list[str]:
        """The words of the request."""
        return self.inputs.called()

    def batches(
        self, after: Position | None = None, most: int | None = None
    ) -> AbstractContextManager[Iterator[VectorBatch]]:
        """The batches after a position, of the first `most` vectors in all."""
        how = self._fitting, self.batch_size, self._on_bad
        return nullcontext(vector_batches(self.inputs, *how, after, most))

    def listed(self, inputs: VectorInputs) -> Iterator[tuple[str, int]]:
        """The files of inputs like those of the stream, with the number of their vectors."""
        return listed(dataclasses.replace(inputs, notice=silent), self._fitting)


def batch_size(architecture: Architecture, asked: int | None) -> int:
    """The number of vectors that the network processes at a time: 4,096, or fewer of long ones, or
    of those with long codes.
    """
    if footprint.one_at_a_time(architecture):
        return 1
    most = min(LARGEST_BATCH, BATCH_VALUES // architecture.vector.features)
    return asked or max(LEAST_BATCH, footprint.fitting(architecture, most))
