"""Vectors: rows of arrays and of tables; a sample is float32 (features,)."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from aectl.config import run_files
from aectl.config.configuration import Config
from aectl.config.kinds import VECTORS
from aectl.config.scores import OF_VECTORS
from aectl.config.shapes import VectorShape
from aectl.data.endings import is_archive
from aectl.data.selection import EVERY_IMAGE, Skipped
from aectl.data.storage.folders import find_files
from aectl.data.storage.places import is_folder
from aectl.data.vectors.synthetic import Synthetic
from aectl.data.vectors.vector_batches import VectorBatch
from aectl.data.vectors.vector_inputs import (
    EVERY_VECTOR,
    VECTOR_NAMES,
    is_labelled_text,
)
from aectl.errors import DataError
from aectl.modalities import OF_SHORTER_TEXTS, EncodedRows, Modality
from aectl.modalities.request import Request
from aectl.modalities.vector_stream import VectorStream, batch_size
from aectl.models.architecture import Architecture

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from aectl.data.training_sources import TrainingSources
    from aectl.data.vectors.vector_set import VectorSet
    from aectl.inference.anomaly_scores import Evidence, Examined
    from aectl.inference.apply import ToTensor
    from aectl.inference.apply_vectors import MeasuredVectors, ReconstructedVectors
    from aectl.inference.vector_inspection import VectorInspection
    from aectl.inference.vector_metrics import VectorMetrics
    from aectl.models.model_card import ModelCard
    from aectl.models.vector_graph import VectorGraph
    from aectl.outputs.rows import Column
    from aectl.training.initialisation import Start
    from aectl.training.reading import Reading, TrainingRequest
    from aectl.training.run import Run
    from aectl.training.state import RunState
    from aectl.training.vector_run import VectorRun

A_MODEL = "a model of vectors"
OF_OTHERS = (
    "null", "max_pixels", "truncated", "separate", "each", "interpolate", "traverse", "ssim",
    "paths_column",
)  # fmt: skip

MOST_HELD_OUT = 10_000
"""Maximum number of vectors held out that a trained model is calibrated on."""

MOST_LEARNT, LEARNT_VALUES = 4_096, 1 << 22
"""Maximum number of vectors learnt from that the score of a trained model is fitted to, and of the
numbers in them and their codes, which the model file keeps."""


class Vectors(Modality):
    """Vectors."""

    name = noun = VECTORS
    names, known_by_name = VECTOR_NAMES, "a file of vectors"
    readable = "vectors: .npy, .npz, .safetensors, .parquet, .csv, .tsv or .jsonl files, or folders"
    pictured, swept = False, True

    def has(self, word: str) -> bool:
        """Whether a word names a file of vectors, or a folder of such without images; archives,
        which might hold some, do not count."""
        if not is_folder(word):
            return self.names.claims(word) and not is_labelled_text(word)
        if any(not is_archive(one.file) for one in find_files(word, EVERY_IMAGE)):
            return False
        return next(find_files(word, EVERY_VECTOR), None) is not None

    def refused(self, card: "ModelCard") -> Mapping[str, str]:
        """Options of images and of text, and of a classifier the error of each feature."""
        of_classes = dict.fromkeys(("per_column", "report"), "a classifier of vectors")
        of_classes = of_classes if card.classes else {}
        return dict.fromkeys((*OF_OTHERS, *OF_SHORTER_TEXTS), A_MODEL) | of_classes

    def equip(self, network: Any, card: "ModelCard") -> None:
        """Gives it the `columns` of its vectors, if they have names."""
        network.vocabulary, network.columns = None, card.columns

    def stream(self, card: "ModelCard", request: Request) -> VectorStream:
        """The vectors of a request. Raises DataError where they do not exist."""
        return VectorStream(card, request)

    def tensor(
        self, network: Any, batch: VectorBatch, rows: int, device: "torch.device"
    ) -> "Tensor":
        """(rows, features), scaled; rows without a vector are zeros."""
        from aectl.inference.apply_vectors import vector_tensor

        return vector_tensor(network, batch, rows, device)

    def values(self, batch: VectorBatch) -> "NDArray[Any]":
        """The vectors, none of which may lack a value. Raises DataError."""
        if np.isnan(batch.vectors).any():
            raise DataError("--pca cannot measure vectors that lack values")
        return batch.vectors

    def stored(self, batch: VectorBatch) -> "NDArray[Any]":
        """The vectors, NaN where a value is missing."""
        return batch.vectors

    def graph(self, network: Any, part: str) -> "VectorGraph":
        """That of vectors."""
        from aectl.models.vector_graph import VectorGraph

        return VectorGraph(network, part)

    def leading_columns(
        self, batch: VectorBatch, labelled: bool, request: Request
    ) -> "dict[str, Column]":
        """`path`, such as `acts.npy:17`, or of a column of the table; `label` if any has one."""
        from aectl.outputs.rows import leading_columns

        return leading_columns(batch, any(label is not None for label in batch.labels))

    def reconstruct(
        self, card: "ModelCard", network: Any, batches: Iterable[Any], to_tensor: "ToTensor"
    ) -> "Iterator[ReconstructedVectors]":
        """Each batch with its reconstructions, in the units of its vectors."""
        from aectl.inference import apply_vectors

        return apply_vectors.reconstruct(network, batches, to_tensor)

    def shown(self, card: "ModelCard", reconstructed: "ReconstructedVectors") -> EncodedRows:
        """The path of each vector, and its reconstruction, under the names of the columns."""
        made, columns = reconstructed.reconstruction, {"path": reconstructed.paths}
        if not card.columns:
            return EncodedRows(made, columns)
        return EncodedRows(None, {**columns, **dict(zip(card.columns, made.T, strict=True))})

    def settled_by_data(
        self, found: "TrainingSources", skipped: Skipped, asked: Mapping[str, object]
    ) -> dict[str, object]:
        """Of folders with a validation set: the fraction that is held out."""
        from aectl.training import folder_defaults

        return folder_defaults.by_splits(found, skipped)

    def settled_by_encoder(self, card: "ModelCard") -> dict[str, object]:
        """The preprocessing of the model."""
        from aectl.training import vector_setup

        return vector_setup.settled(card)

    def training_set(
        self, config: Config, reading: "Reading", request: "TrainingRequest"
    ) -> "tuple[Config, VectorSet]":
        """All vectors, and the config resolved for them."""
        from aectl.training import vector_setup

        return vector_setup.read(config, reading, request)

    def resolved(self, config: Config, data: "VectorSet", encoder: "ModelCard | None") -> Config:
        """Another config resolved for vectors that are read."""
        from aectl.training import vector_setup

        return vector_setup.resolved(config, data, encoder)

    def training_set_again(
        self, config: Config, reading: "Reading", found: "TrainingSources"
    ) -> "VectorSet":
        """All vectors."""
        from aectl.training import vector_setup

        return vector_setup.read_again(config, reading, found)

    def input_again(
        self, data: "VectorSet", resumed: "RunState", found: Architecture
    ) -> VectorShape:
        """The number of features."""
        return data.shape

    def run(
        self,
        config: Config,
        data: "VectorSet",
        device: "torch.device",
        start: "Start | None" = None,
        resumed: "RunState | None" = None,
        architecture: Architecture | None = None,
    ) -> "Run":
        """A run on vectors."""
        from aectl.training.vector_run import VectorRun

        return VectorRun(config, data, device, start, architecture)

    def fill(
        self, folder: Path, run: "Run", card: "ModelCard", data_dir: Path, logs: Any | None
    ) -> None:
        """Writes columns.csv and report.html, except of a classifier, and the directions of
        synthetic vectors."""
        from aectl.modalities import vector_folder
        from aectl.outputs import run_folder
        from aectl.outputs.rows import Rows
        from aectl.outputs.tables import write_file

        if not card.classes:
            trained = cast("VectorRun", run)
            columns = self.of_features(card, trained.measured())
            write_file(folder / run_files.COLUMNS, [Rows(columns)])
            size = batch_size(card.architecture, None)
            page = vector_folder.report(trained, card, folder.resolve().name, size)
            run_folder.save_text(folder / run_files.REPORT, page)
        made = [word for word in card.trained_on if self.names.has(word)]
        if made:
            truth = np.concatenate([Synthetic.of(word).truth() for word in made])
            run_folder.save_array(folder / run_files.TRUTH, truth)

    def of_features(self, card: "ModelCard", metrics: "VectorMetrics") -> "dict[str, Column]":
        """The name of each feature, its `mse` and its `explained_variance`."""
        found = {name: value.numpy() for name, value in metrics.of_features().items()}
        names = card.columns or [f"f{n}" for n in range(card.architecture.vector.features)]
        return {"column": names, **found}

    def inspection(self, network: Any, card: "ModelCard") -> "VectorInspection":
        """Vectors with their errors, units, directions, codes."""
        from aectl.inference.vector_inspection import VectorInspection

        return VectorInspection(network, card.columns, self.worst_first(card)[0])

    def size(self, architecture: Architecture) -> str:
        """The number of features."""
        return f"{architecture.vector.features:,} features"

    def shown_metrics(self, rule: str) -> tuple[str, ...]:
        """Those of the reconstruction or of the classes, and of the code."""
        return ("mse", "error", "explained_variance", "l0", "dead")

    def metrics(self, card: "ModelCard", network: Any) -> "VectorMetrics":
        """The metrics of reconstructed vectors."""
        from aectl.inference.vector_metrics import VectorMetrics
        from aectl.models.scaling import factor_of

        return VectorMetrics(network.active_above, factor_of(network.scaling))

    def measure(
        self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor", metrics: Any
    ) -> "Iterator[MeasuredVectors]":
        """Each batch with the metrics of its vectors."""
        from aectl.inference import apply_vectors

        return apply_vectors.measure(network, batches, to_tensor, metrics)

    def evidence(self, card: "ModelCard") -> Collection[str]:
        """The error, the code, and the difference of the reconstruction."""
        return OF_VECTORS

    def examine(
        self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor", needed: Collection[str]
    ) -> "Iterator[Examined]":
        """Each batch with the evidence that is needed."""
        from aectl.inference import apply_vectors

        return apply_vectors.examine(network, batches, to_tensor, needed)

    def evidence_of(
        self, network: Any, prepared: "Tensor", stored: "Tensor", needed: Collection[str]
    ) -> "Evidence":
        """The evidence that is needed of vectors."""
        from aectl.inference import apply_vectors

        return apply_vectors.evidence(network, prepared, stored, needed)

    def usual_score(self, card: "ModelCard") -> str:
        """That of the code and the error; the error of a code of more units than features, since
        the model file would have to keep many of these."""
        features = card.architecture.vector.features
        return "code-and-error" if card.architecture.code_size <= features else "error"

    def held_out(self, run: "Run", card: "ModelCard") -> Iterator[VectorBatch]:
        """Vectors, at equal distances."""
        from aectl.modalities import vector_folder

        size = batch_size(card.architecture, None)
        return vector_folder.batches_of(cast("VectorRun", run), run.held_out, size, MOST_HELD_OUT)

    def learnt(self, run: "Run", card: "ModelCard") -> Iterator[VectorBatch]:
        """Vectors, at equal distances."""
        from aectl.modalities import vector_folder

        found, size = card.architecture, batch_size(card.architecture, None)
        most = min(MOST_LEARNT, LEARNT_VALUES // (found.vector.features + found.code_size))
        return vector_folder.batches_of(cast("VectorRun", run), run.learnt, size, max(1, most))

    def worst_first(self, card: "ModelCard") -> tuple[str, bool]:
        """By `scaled_mse` where features are scaled, since in their own units those of large
        numbers would decide alone; else by `mse`."""
        from aectl.models.numpy_scaling import FACTOR

        return "scaled_mse" if card.architecture.config.scale in FACTOR else "mse", True

    def columns(self, measured: "MeasuredVectors") -> "dict[str, Column]":
        """The `mse` and the `cosine_similarity` of each vector; `scaled_mse` of scaled features."""
        return dict(measured.metrics)


MODALITY = Vectors()
