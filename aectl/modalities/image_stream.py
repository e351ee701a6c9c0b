"""Images in the shape that a model takes, as a stream of batches."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from aectl.config import kinds
from aectl.config.decoding import Decoding
from aectl.config.spelling import spelt
from aectl.data.images.image_batches import Batches
from aectl.data.images.index_files import refuse_without_index
from aectl.data.images.input_tables import InputTables
from aectl.data.images.table_columns import LabelColumn
from aectl.data.inputs import IMAGES, Inputs
from aectl.data.named_inputs import Position
from aectl.modalities.request import InputStream, Request
from aectl.modalities.trained_on import requested_selection, sources_of
from aectl.models import footprint

if TYPE_CHECKING:
    from aectl.models.model_card import ModelCard

BATCH_VALUES = 1 << 20
"""Pixels, in all channels, that a batch holds unless it would be too small a batch."""

LEAST_BATCH, LARGEST_BATCH = 32, 256


class ImageStream(InputStream[Inputs]):
    """Images in the shape that a model takes."""

    def __init__(self, card: "ModelCard", request: Request) -> None:
        self._shape, self._request = card.shape, request
        self.batch_size = batch_size(card, request.batch_size)
        self.inputs = Inputs(
            sources_of(card, request, IMAGES),
            request.data_dir,
            request.stdin,
            null_separated=request.null,
            labels_from_folders=request.label_from_folder,
            selection=requested_selection(card, request, IMAGES),
            naming=request.naming,
            workers=request.workers,
            decoding=Decoding(card.value_range, request.max_pixels, request.truncated),
            skipped=request.skipped,
            once=request.once,
            tables=InputTables(
                LabelColumn(request.wanted.label_column, card.options.get("label_column")),
                request.paths_column or card.options.get("paths_column"),
            ),
        )
        refuse_without_index(request.paths_column, self.inputs.sources)
        self.inputs.tables.refuse_unused(self.inputs.sources, self.inputs.selection)
        for source in self.inputs.sources if request.words else ():
            if source.hides:
                request.warning(f"{source.word} is read as a dataset; the folder is {source.hides}")
        self.words, self.labelled = self.inputs.words, self.inputs.labelled

    def called(self) -> list[str]:
        """The words of the request, datasets with their split."""
        return self.inputs.called()

    def described(self) -> str:
        """The words of the request; of a folder, whether only what was held out was measured."""
        return " ".join(
            spelt(one.word) + ", held out" * bool(one.only) for one in self.inputs.sources
        )

    def batches(
        self, after: Position | None = None, most: int | None = None
    ) -> AbstractContextManager[Batches]:
        """The batches after a position, of at most `most` images."""
        size, request = min(self.batch_size, most or self.batch_size), self._request
        return self.inputs.batches(self._shape, size, request.on_bad, after, request.on_remark)

    def listed(self, inputs: Inputs) -> Iterator[tuple[str, int]]:
        """The paths of inputs like those of the stream, and names of datasets, with their sizes."""
        return inputs.listed()


def batch_size(card: "ModelCard", asked: int | None) -> int:
    """The number of images that the network processes at a time: 256, or fewer of large ones, or of
    those whose places need much memory.
    """
    if footprint.one_at_a_time(card.architecture):
        return 1
    if kinds.KINDS[card.architecture.kind].pooled:
        return footprint.fitting(card.architecture, asked or LEAST_BATCH)
    fitting = BATCH_VALUES // math.prod(card.shape)
    return asked or max(LEAST_BATCH, min(LARGEST_BATCH, fitting))
