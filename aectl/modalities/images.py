"""Images: files, folders, archives, named datasets; a sample is uint8 (channels, height, width)."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aectl.config import kinds
from aectl.config.configuration import Config
from aectl.config.decoding import KEEP, Decoding
from aectl.config.scores import OF_ALL, OF_IMAGES, PLACES, USUAL_ALARM_RATE
from aectl.config.shapes import Shape
from aectl.data.images.image_batches import InputBatch, in_memory
from aectl.data.images.image_set import ImageSet
from aectl.data.inputs import IMAGES
from aectl.data.selection import Skipped
from aectl.errors import ConfigError
from aectl.modalities import OF_SHORTER_TEXTS, EncodedRows, Modality
from aectl.modalities.image_stream import ImageStream, batch_size
from aectl.modalities.request import Request
from aectl.models.architecture import Architecture

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from aectl.data.training_sources import TrainingSources
    from aectl.inference.apply import ToTensor
    from aectl.inference.inspection import Inspection
    from aectl.inference.metrics import ReconstructionMetrics
    from aectl.inference.results import Measured, Reconstructed
    from aectl.models.graphs import ImageGraph
    from aectl.models.model_card import ModelCard
    from aectl.outputs.rows import Column
    from aectl.training.image_run import ImageRun
    from aectl.training.initialisation import Start
    from aectl.training.reading import Reading, TrainingRequest
    from aectl.training.run import Run
    from aectl.training.state import RunState

OF_OTHERS = (*OF_SHORTER_TEXTS, "columns", "id_column", "per_column")

SHOWN = {"none": ("mse", "error", "mean_activation"), "kl": ("mse", "mean_activation")}
OF_SPARSE_CODES = ("mse", "l0", "dead")
"""Metrics that are shown in training, by the rule of sparsity, and for all other rules."""

MOST_HELD_OUT, MOST_HELD_OUT_POOLED, HELD_OUT_VALUES = 10_000, 2_000, 1 << 27
"""Maximum number of images held out that a trained model is calibrated on, and of the values in
them: a convolutional network takes about a minute of one core."""

FEWEST_HELD_OUT = math.ceil(1 / USUAL_ALARM_RATE) - 1
"""So many all the same, however large they are: the usual alarm rate needs them."""

MOST_LEARNT, MAP_NUMBERS, CODE_NUMBERS = 1_000, 1 << 26, 1 << 22
"""Maximum number of images learnt from that the score of a trained model is fitted to; of the
numbers in their error maps, which are in memory at once: a quarter of a GiB; and of those in the
codes of pooled features, which the model file keeps."""


class Images(Modality):
    """Images."""

    name = noun = kinds.IMAGES
    names = IMAGES
    known_by_name = "a dataset of images"
    readable = "images: a dataset's name, or files, folders or archives of them"
    pictured = True
    unit = 255

    def refused(self, card: "ModelCard") -> Mapping[str, str]:
        """Those of text and of vectors; those that decode a code, of a model whose features cannot
        be decoded; the similarity of images, of one that reconstructs none.
        """
        kind, found = card.architecture.kind, dict.fromkeys(OF_OTHERS, "a model of images")
        if card.classes:
            found["ssim"] = "a classifier"
        if card.architecture.stacked:
            found["ssim"] = f"a {kind} on an encoder, which reconstructs the features of that"
        if kinds.KINDS[kind].pooled:
            pooled = f"--model {kind}, whose features are pooled and not decoded"
            decoding = ("interpolate", "traverse", "from_codes", "layer", "pca")
            found |= dict.fromkeys(decoding, pooled)
        return found

    def equip(self, network: Any, card: "ModelCard") -> None:
        """Gives it `image`, which decodes a file."""
        from aectl.inference.apply import Preprocessing

        network.image = Preprocessing(card.shape, Decoding(card.value_range))
        network.vocabulary = None

    def stream(self, card: "ModelCard", request: Request) -> ImageStream:
        """The images of a request. Raises DataError where they do not exist."""
        return ImageStream(card, request)

    def tensor(
        self, network: Any, batch: InputBatch, rows: int, device: "torch.device"
    ) -> "Tensor":
        """(rows, channels, height, width), in [0, 1]; rows without an image are black."""
        from aectl.inference.apply import image_tensor

        return image_tensor(batch, rows, device)

    def values(self, batch: InputBatch) -> "NDArray[Any]":
        """The pixels, 0 to 255."""
        return batch.images

    def stored(self, batch: InputBatch) -> "NDArray[Any]":
        """The pixels, uint8."""
        return batch.images

    def graph(self, network: Any, part: str) -> "ImageGraph":
        """That of images."""
        from aectl.models.graphs import ImageGraph

        return ImageGraph(network, part)

    def leading_columns(
        self, batch: InputBatch, labelled: bool, request: Request
    ) -> "dict[str, Column]":
        """`path`; `label` if any image has one; `truncated` if truncated files are kept."""
        from aectl.outputs.rows import leading_columns

        truncated = batch.truncated if request.truncated == KEEP else None
        return leading_columns(batch, labelled, truncated)

    def reconstruct(
        self, card: "ModelCard", network: Any, batches: Iterable[Any], to_tensor: "ToTensor"
    ) -> "Iterator[Reconstructed]":
        """Each batch with its reconstructions, in [0, 1].

        Raises ConfigError for a model that reconstructs maps.
        """
        from aectl.inference import apply as inference

        if card.architecture.stacked:
            raise ConfigError(
                f"a {card.architecture.kind} on an encoder reconstructs the features of that, and"
                " no images: reconstruct takes the encoder alone"
            )

        return inference.reconstruct(network, batches, to_tensor)

    def shown(self, card: "ModelCard", reconstructed: "Reconstructed") -> EncodedRows:
        """The path of each image: its reconstruction is a picture."""
        return EncodedRows(None, {"path": reconstructed.paths})

    def settled_by_data(
        self, found: "TrainingSources", skipped: Skipped, asked: Mapping[str, object]
    ) -> dict[str, object]:
        """Of folders: the network, and the fraction that is held out."""
        from aectl.training import folder_defaults

        settled = folder_defaults.by_photographs(found, skipped, asked)
        asked = {**settled, **asked}
        return settled | (
            folder_defaults.by_splits(found, skipped)
            or folder_defaults.by_holding_out(found, skipped, asked)
        )

    def settled_by_encoder(self, card: "ModelCard") -> dict[str, object]:
        """The preprocessing of the model."""
        from aectl.training import image_setup

        return image_setup.settled(card)

    def training_set(
        self, config: Config, reading: "Reading", request: "TrainingRequest"
    ) -> "tuple[Config, ImageSet]":
        """All images, in one shape, and the config resolved for them."""
        from aectl.training import image_setup

        return image_setup.read(config, reading, request)

    def training_set_again(
        self, config: Config, reading: "Reading", found: "TrainingSources"
    ) -> "ImageSet":
        """All images, in one shape."""
        from aectl.training import image_setup

        return image_setup.read_again(config, reading, found)

    def input_again(self, data: "ImageSet", resumed: "RunState", found: Architecture) -> Shape:
        """The shape of the images."""
        return data.shape

    def run(
        self,
        config: Config,
        data: "ImageSet",
        device: "torch.device",
        start: "Start | None" = None,
        resumed: "RunState | None" = None,
        architecture: Architecture | None = None,
    ) -> "Run":
        """A run on images."""
        from aectl.training.image_runs import run_class

        below = architecture.encoder if architecture else start.below if start else None
        return run_class(config, below, len(data))(config, data, device, start, architecture)

    def fill(
        self, folder: Path, run: "Run", card: "ModelCard", data_dir: Path, logs: Any | None
    ) -> None:
        """Writes filters.png, reconstructions.png and report.html."""
        from aectl.modalities import image_folder

        image_folder.fill(folder, cast("ImageRun", run), card, data_dir, logs)

    def inspection(self, network: Any, card: "ModelCard") -> "Inspection":
        """Images, units, codes, mistakes."""
        from aectl.inference.inspection import Inspection

        return Inspection(network, card.classes)

    def size(self, architecture: Architecture) -> str:
        """Such as 1x28x28: channels, height, width."""
        return "x".join(str(side) for side in architecture.shape)

    def shown_metrics(self, rule: str) -> tuple[str, ...]:
        """Those of the reconstruction or of the classes, and of the code."""
        return SHOWN.get(rule, OF_SPARSE_CODES)

    def preview(self, run: "Run", count: int) -> Any | None:
        """Images at equal distances in the training set; None where none are reconstructed."""
        if run.architecture.classes or run.architecture.stacked:
            return None
        images = cast("ImageRun", run).data
        return images.evenly_spaced(count).images

    def evidence(self, card: "ModelCard") -> Collection[str]:
        """All that it has; reconstructed images not where it reconstructs features of an
        encoder."""
        given = OF_ALL if card.architecture.stacked else OF_IMAGES
        return (*given, PLACES) if card.architecture.has_places else given

    def usual_score(self, card: "ModelCard") -> str:
        """That of regions; of pooled features their distance, as they reconstruct no image."""
        return "neighbours" if _pooled(card) else "unusual-region"

    def held_out(self, run: "Run", card: "ModelCard") -> Iterator[InputBatch]:
        """Whole images, at equal distances."""
        most = MOST_HELD_OUT_POOLED if _pooled(card) else MOST_HELD_OUT
        few = max(FEWEST_HELD_OUT, HELD_OUT_VALUES // math.prod(card.shape))
        return _some(run, card, run.held_out, min(most, few))

    def learnt(self, run: "Run", card: "ModelCard") -> Iterator[InputBatch]:
        """Whole images, at equal distances."""
        from aectl.inference.typical_errors import FEWEST

        if _pooled(card):
            most = CODE_NUMBERS // card.architecture.code_size
        else:
            most = MAP_NUMBERS // math.prod(card.shape[1:])
        return _some(run, card, run.learnt, min(MOST_LEARNT, max(FEWEST, most)))

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


def _pooled(card: "ModelCard") -> bool:
    """Whether the features of a model are pooled."""
    return kinds.KINDS[card.architecture.kind].pooled


def _some(run: "Run", card: "ModelCard", rows: "NDArray[Any]", most: int) -> "Iterator[InputBatch]":
    """Batches of at most so many of some images of a training set, at equal distances."""
    count = min(most, len(rows))
    some = rows[[place * len(rows) // count for place in range(count)]]
    return in_memory(cast("ImageRun", run).data.part(some), batch_size(card, None))


MODALITY = Images()
