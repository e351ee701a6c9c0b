"""The baselines of an evaluation, fitted on training data: PCA, and a linear classifier."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aectl.data.storage.folders import ignore
from aectl.errors import DataError
from aectl.modalities.trained_on import trained_selection, training_sources
from aectl.progress import SILENT, Progress, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aectl.verbs.use import Use


@dataclass(frozen=True)
class Baselines:
    """Baselines for a model, fitted on its training data and measured on the inputs of a use."""

    use: "Use"
    progress: Progress = SILENT

    def fitted_on(self) -> str:
        """The training data, in words."""
        trained = self._trained_on()
        sources = trained.inputs.sources
        some = any(source.without for source in sources if source.is_folder)
        return " ".join(trained.called()) + (", without what was held out" if some else "")

    def pca_mse(self, known: dict[tuple[object, ...], float]) -> float:
        """`mse` of PCA with as many components as the code has units.

        It is taken from `known`, if another model had the same data, and else added to it.
        """
        from aectl.inference.pca import pca_mse

        card, units, stream = self.use.card, self.use.card.architecture.code_size, self._inputs()
        shape = card.architecture.input
        data = (card.trained_on, card.held_out, *stream.inputs.sources, shape, units)
        if data not in known:
            train, test = map(self._batches, (self._trained_on(), stream))
            modality = self.use.modality
            error = pca_mse(train, test, modality.values, units, self.progress)
            known[data] = error / modality.unit**2
        return known[data]

    def probe_error(self, network: Any) -> float:
        """Percentage of the inputs that a linear classifier on the codes of `network` gets wrong.

        Raises DataError for inputs without labels.
        """
        from aectl.inference.probe import probe_error

        train = self._features(network, self._trained_on())
        return probe_error(train, self._features(network, self._inputs()), self.progress)

    def _inputs(self) -> Any:
        """The inputs of the use, once more: what was told of them is not told again."""
        request = dataclasses.replace(
            self.use.request, on_bad=ignore, on_remark=ignore, notice=silent, warning=silent
        )
        return self.use.modality.stream(self.use.card, request)

    def _trained_on(self) -> Any:
        """The training set of the model, found as the inputs are."""
        card, names, stream = self.use.card, self.use.modality.names, self._inputs()
        sources, selection = training_sources(card, names), trained_selection(card, names)
        stream.inputs = dataclasses.replace(
            stream.inputs, sources=sources, split="train", selection=selection
        )
        return stream

    def _batches(self, stream: Any) -> Iterator[Any]:
        with stream.batches() as batches:
            yield from batches

    def _features(self, network: Any, stream: Any) -> "tuple[NDArray[np.float32], NDArray[Any]]":
        """The codes of inputs, (n, code_size), and their labels, (n,)."""
        import numpy as np

        from aectl.inference import apply as inference

        of_network = partial(self.use.modality.tensor, network)
        to_tensor = inference.on_device(network, self.use.torch_device(), of_network)
        codes: list[NDArray[np.float32]] = []
        labels: list[str | None] = []
        encoded = inference.encode(network, self._batches(stream), to_tensor)
        for result in self.progress.counted(encoded, "encoding for the probe"):
            codes.append(result.code[: len(result.paths)].cpu().numpy())
            labels += result.labels
        if None in labels or len(set(labels)) < 2:
            raise DataError(
                f"--probe needs {self.use.modality.noun} of two classes or more, with their labels"
            )
        return np.concatenate(codes), np.array(labels)
