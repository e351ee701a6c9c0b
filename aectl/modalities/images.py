"""Images: files, folders, archives, named datasets; a sample is uint8 (channels, height, width)."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl.config.decoding import KEEP, Decoding
from aectl.config.kinds import IMAGES
from aectl.data.images.datasets import is_dataset
from aectl.data.images.patches import is_patches
from aectl.data.inputs import Batches, InputBatch, Inputs, Position
from aectl.modalities import Code, Modality, Request, Stream, selection_of, trained_on
from aectl.models import footprint

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from aectl.inference.apply import Measured, Reconstructed, ToTensor
    from aectl.inference.metrics import ReconstructionMetrics
    from aectl.models.model_file import ModelCard
    from aectl.outputs.formats import Column

BATCH_VALUES = 1 << 20
"""Pixels, in all channels, that a batch holds unless it would be too small a batch."""

LEAST_BATCH, LARGEST_BATCH = 32, 256


class ImageStream(Stream):
    """Images in the shape that a model takes."""

    def __init__(self, card: "ModelCard", request: Request) -> None:
        self._shape, self._request = card.shape, request
        self.batch_size = batch_size(card, request.batch_size)
        for word in request.words or ():
            if is_dataset(word) and Path(word).is_dir():
                request.warning(f"{word} is read as a dataset; the folder is ./{word}")
        words = request.words or _trained_on(card, request)
        self.inputs = Inputs(
            words,
            request.data_dir,
            request.stdin,
            null_separated=request.null,
            labels_from_folders=request.label_from_folder,
            selection=selection_of(card, request),
            naming=request.naming,
            workers=request.workers,
            decoding=Decoding(card.value_range, request.max_pixels, request.truncated),
            skipped=request.skipped,
        )
        self.words, self.labelled = self.inputs.words, self.inputs.labelled

    def called(self, word: str) -> str:
        """A word of the request, a dataset with its split."""
        return self.inputs.called(word)

    def batches(
        self, after: Position | None = None, most: int | None = None
    ) -> AbstractContextManager[Batches]:
        """The batches after a position, of at most `most` images."""
        size, request = min(self.batch_size, most or self.batch_size), self._request
        return self.inputs.batches(self._shape, size, request.on_bad, after, request.on_remark)

    def described(self) -> str:
        """The words of the request."""
        return " ".join(self.words)

    def notices(self) -> list[str]:
        """None: what there is to say is passed to the request."""
        return []


def batch_size(card: "ModelCard", asked: int | None) -> int:
    """The number of images that the network processes at a time: 256, or fewer of large ones."""
    if footprint.one_at_a_time(card.architecture):
        return 1
    fitting = BATCH_VALUES // math.prod(card.shape)
    return asked or max(LEAST_BATCH, min(LARGEST_BATCH, fitting))


def _trained_on(card: "ModelCard", request: Request) -> list[str]:
    if is_patches(card.dataset):
        return [card.dataset]
    return [trained_on(card, request, is_dataset, os.path.isdir)]


class Images(Modality):
    """Images."""

    name = noun = IMAGES
    worst_first = "mse", True
    pictured = True

    def refused(self, card: "ModelCard") -> Mapping[str, str]:
        """None: every option of a verb has an effect."""
        return {}

    def stream(self, card: "ModelCard", request: Request) -> ImageStream:
        """The images of a request. Raises DataError where they do not exist."""
        return ImageStream(card, request)

    def tensor(self, batch: InputBatch, rows: int, device: "torch.device") -> "Tensor":
        """(rows, channels, height, width), in [0, 1]; rows without an image are black."""
        from aectl.inference.apply import image_tensor

        return image_tensor(batch, rows, device)

    def leading_columns(
        self, batch: InputBatch, labelled: bool, request: Request
    ) -> "dict[str, Column]":
        """`path`; `label` if any image has one; `truncated` if truncated files are kept."""
        from aectl.outputs.tables import leading_columns

        truncated = batch.truncated if request.truncated == KEEP else None
        return leading_columns(batch, labelled, truncated)

    def code(self, card: "ModelCard", code: Any, count: int, vectors: Callable[..., Any]) -> Code:
        """Vectors, (count, features)."""
        return Code(vectors(code)[:count], {})

    def reconstruct(
        self, card: "ModelCard", network: Any, batches: Iterable[Any], to_tensor: "ToTensor"
    ) -> "Iterator[Reconstructed]":
        """Each batch with its reconstructions, in [0, 1]."""
        from aectl.inference import apply as inference

        return inference.reconstruct(network, batches, to_tensor)

    def shown(self, reconstructed: "Reconstructed") -> "dict[str, Column]":
        """The path of each image: its reconstruction is a picture."""
        return {"path": reconstructed.batch.paths}

    def metrics(self, card: "ModelCard", network: Any) -> "ReconstructionMetrics":
        """The metrics of reconstructed images."""
        from aectl.inference.metrics import ReconstructionMetrics

        return ReconstructionMetrics(network.active_above)

    def measure(
        self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor", metrics: Any
    ) -> "Iterator[Measured]":
        """Each batch with the mse of its images."""
        from aectl.inference import apply as inference

        return inference.measure(network, batches, to_tensor, metrics)

    def columns(self, measured: "Measured") -> "dict[str, Column]":
        """The `mse` of each image."""
        assert measured.mse is not None
        return {"mse": measured.mse}


MODALITY = Images()
