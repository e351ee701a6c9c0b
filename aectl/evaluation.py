"""A model measured on some inputs: every figure of the error report."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aectl import inference
from aectl.data import datasets
from aectl.data.folders import ignore
from aectl.data.inputs import InputBatch, Inputs
from aectl.data.layout import layout_of
from aectl.data.selection import of_options
from aectl.errors import DataError
from aectl.inference import Floats, Measured
from aectl.metrics import ClassificationMetrics, ReconstructionMetrics
from aectl.model_file import ModelCard
from aectl.models import Classifier, ImageNetwork
from aectl.progress import SILENT, Progress


@dataclasses.dataclass
class Evaluation:
    """Measures a network: run through `measured()`, then ask for the figures."""

    network: ImageNetwork
    card: ModelCard
    device: torch.device
    batch_size: int
    progress: Progress = SILENT
    skip_unknown: bool = False
    images: int = 0

    def __post_init__(self) -> None:
        self.metrics = (
            ClassificationMetrics(len(self.card.classes), self.skip_unknown)
            if isinstance(self.network, Classifier)
            else ReconstructionMetrics(self.network.active_above)
        )

    def measured(self, batches: Iterable[InputBatch]) -> Iterator[Measured]:
        """Measures every image of the batches.

        Raises DataError where a classifier meets images without labels, or with others than its
        own.
        """
        if isinstance(self.network, Classifier):
            assert isinstance(self.metrics, ClassificationMetrics)
            results = inference.measure_labels(
                self.network, batches, self.device, self.metrics, self.card.classes
            )
        else:
            assert isinstance(self.metrics, ReconstructionMetrics)
            results = inference.measure(self.network, batches, self.device, self.metrics)
        for result in results:
            self.images += len(result.batch.paths)
            yield result

    def figures(self) -> dict[str, Any]:
        """The figures of all images that were measured, by name. Raises DataError for none."""
        return dict(self.metrics.result())

    def pca_mse(self, inputs: Inputs) -> float:
        """`mse` of PCA with as many components as the code has units, fitted on the train split."""
        assert not isinstance(self.network, Classifier)
        return inference.pca_mse(
            self._batches(self._trained_on(inputs)),
            self._batches(inputs),
            self.network.code_size,
            self.progress,
        )

    def probe_error(self, inputs: Inputs) -> float:
        """Percent that a linear classifier on the code gets wrong, learnt from the train split.

        Raises DataError for images without labels.
        """
        return inference.probe_error(
            self._features(self._trained_on(inputs)), self._features(inputs), self.progress
        )

    def fitted_on(self, inputs: Inputs) -> str:
        """What PCA and the probe are fitted on, as an INPUT."""
        trained = self._trained_on(inputs)
        return " ".join(map(trained.called, trained.words))

    def _trained_on(self, inputs: Inputs) -> Inputs:
        """What the model was trained on, found as the inputs are."""
        word = self.card.dataset
        if datasets.is_dataset(word):
            return dataclasses.replace(inputs, words=[word.partition(":")[0]], split="train")
        selection = of_options(self.card.training.get("options", {}))
        layout = layout_of(word, selection)
        return dataclasses.replace(
            inputs, words=[layout.training if layout else word], split="train", selection=selection
        )

    def _batches(self, inputs: Inputs) -> Iterator[InputBatch]:
        with inputs.batches(self.card.shape, self.batch_size, ignore) as batches:
            yield from batches

    def _features(self, inputs: Inputs) -> tuple[Floats, NDArray[Any]]:
        assert not isinstance(self.network, Classifier)
        codes: list[Floats] = []
        labels: list[str | None] = []
        encoded = inference.encode(self.network, self._batches(inputs), self.device)
        for batch, code in self.progress.counted(encoded, "encoding for the probe"):
            codes.append(code)
            labels += batch.labels
        if None in labels or len(set(labels)) < 2:
            raise DataError("--probe needs images of two classes or more, with their labels")
        return np.concatenate(codes), np.array(labels)
