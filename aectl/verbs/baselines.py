"""The baselines of an evaluation, fitted on training data: PCA, and a linear classifier."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from aectl.data.storage.folders import ignore
from aectl.errors import DataError
from aectl.modalities.trained_on import trained_selection, training_sources
from aectl.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aectl.data.inputs import InputBatch, Inputs
    from aectl.modalities.images import ImageStream
    from aectl.verbs.use import Use


@dataclass(frozen=True)
class Baselines:
    """Baselines for a model, fitted on its training data and measured on the inputs of a use."""

    use: "Use"
    progress: Progress = SILENT

    def fitted_on(self) -> str:
        """The training data, in words."""
        trained = self._trained_on()
        some = any(source.without for source in trained.sources if source.is_folder)
        return " ".join(trained.called()) + (", without what was held out" if some else "")

    def pca_mse(self, known: dict[tuple[object, ...], float]) -> float:
        """`mse` of PCA with as many components as the code has units.

        It is taken from `known`, if another model had the same data, and else added to it.
        """
        from aectl.inference.pca import pca_mse

        card, units = self.use.card, self.use.card.architecture.code_size
        data = (card.trained_on, card.held_out, *self._inputs().sources, card.shape, units)
        if data not in known:
            train, test = self._batches(self._trained_on()), self._batches(self._inputs())
            known[data] = pca_mse(train, test, units, self.progress)
        return known[data]

    def probe_error(self, network: Any) -> float:
        """Percentage of the inputs that a linear classifier on the codes of `network` gets wrong.

        Raises DataError for inputs without labels.
        """
        from aectl.inference.probe import probe_error

        train = self._features(network, self._trained_on())
        return probe_error(train, self._features(network, self._inputs()), self.progress)

    def _inputs(self) -> "Inputs":
        return cast("ImageStream", self.use.stream).inputs

    def _trained_on(self) -> "Inputs":
        """The training set of the model, found as the inputs are."""
        card, names = self.use.card, self.use.modality.names
        sources, selection = training_sources(card, names), trained_selection(card, names)
        return dataclasses.replace(
            self._inputs(), sources=sources, split="train", selection=selection
        )

    def _batches(self, inputs: "Inputs") -> "Iterator[InputBatch]":
        card, size = self.use.card, self.use.stream.batch_size
        with inputs.batches(card.shape, size, ignore) as batches:
            yield from batches

    def _features(
        self, network: Any, inputs: "Inputs"
    ) -> "tuple[NDArray[np.float32], NDArray[Any]]":
        """The codes of inputs, (n, code_size), and their labels, (n,)."""
        import numpy as np

        from aectl.inference import apply as inference

        to_tensor = inference.on_device(network, self.use.torch_device())
        codes: list[NDArray[np.float32]] = []
        labels: list[str | None] = []
        encoded = inference.encode(network, self._batches(inputs), to_tensor)
        for result in self.progress.counted(encoded, "encoding for the probe"):
            codes.append(result.code[: len(result.paths)].cpu().numpy())
            labels += result.labels
        if None in labels or len(set(labels)) < 2:
            raise DataError("--probe needs images of two classes or more, with their labels")
        return np.concatenate(codes), np.array(labels)
