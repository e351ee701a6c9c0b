"""Lines of text as the tokens that a model takes, as a stream of batches."""

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from aectl.data.named_inputs import Position
from aectl.data.text import text_inputs as inputs
from aectl.data.text.text_batches import TextBatch, batch_size, token_batches
from aectl.data.text.text_inputs import LineCounts, TextInputs
from aectl.modalities.request import InputStream, Request
from aectl.modalities.trained_on import requested_selection, sources_of
from aectl.models import footprint

if TYPE_CHECKING:
    from aectl.models.model_card import ModelCard


class TextStream(InputStream[TextInputs]):
    """Lines of text as the tokens that a model takes."""

    def __init__(self, card: "ModelCard", request: Request) -> None:
        assert card.vocabulary is not None
        self._length, self._vocabulary = card.architecture.text.length, card.vocabulary
        self._on_bad = request.on_bad
        one_by_one = footprint.one_at_a_time(card.architecture)
        usual = request.batch_size or batch_size(*card.architecture.text)
        self.batch_size = 1 if one_by_one else usual
        self.inputs = TextInputs(
            sources_of(card, request, inputs.TEXT),
            request.data_dir,
            request.stdin,
            request.label_from_folder,
            requested_selection(card, request, inputs.TEXT),
            request.naming,
            skipped=request.skipped,
            once=request.once,
            references=request.references,
        )
        self.words, self.labelled = self.inputs.words, self.inputs.labelled

    def called(self) -> list[str]:
        """The words of the request, datasets with their split."""
        return self.inputs.called()

    def batches(
        self, after: Position | None = None, most: int | None = None
    ) -> AbstractContextManager[Iterator[TextBatch]]:
        """The batches after a position, of the first `most` texts in all."""
        how = self._vocabulary, self._length, self.batch_size, self._on_bad
        return nullcontext(token_batches(self.inputs, *how, after, most))

    def listed(self, inputs: TextInputs) -> Iterator[tuple[str, int]]:
        """The lines of inputs like those of the stream, with 1 each."""
        return dataclasses.replace(inputs, counts=LineCounts()).listed()

    def described(self) -> str:
        """The words of the request, datasets with their split."""
        return " ".join(self.called())

    def notices(self) -> list[str]:
        """How many lines were longer than the model takes, and how many were empty."""
        counts, said = self.inputs.counts, []
        if counts.cut:
            said.append(f"lines of more than {self._length} tokens, cut: {counts.cut:,}")
        if counts.empty:
            said.append(f"empty lines, skipped: {counts.empty:,}")
        return ["; ".join(said)] if said else []
