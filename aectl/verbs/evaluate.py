"""Metrics of a model on inputs: the error report."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from aectl.config.kinds import KINDS
from aectl.data.images import datasets
from aectl.data.layout import layout_of
from aectl.data.selection import of_options
from aectl.data.storage.folders import ignore
from aectl.errors import ConfigError, DataError
from aectl.modalities.measurement import Measurement
from aectl.progress import SILENT, Progress
from aectl.verbs.use import InputOptions, Use, read_card, request

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import NDArray

    from aectl.data.inputs import InputBatch, Inputs
    from aectl.modalities.images import ImageStream


@dataclass
class Evaluation:
    """The metrics of a model on the inputs of a use of it."""

    use: Use
    pca: bool = False
    probe: bool = False
    skip_unknown: bool = False
    progress: Progress = SILENT
    measurement: Measurement = field(init=False)

    def __post_init__(self) -> None:
        use = self.use
        self.measurement = Measurement(use.card, use.modality, self.skip_unknown, self.progress)

    def report(self, known: "dict[tuple[object, ...], float] | None" = None) -> dict[str, Any]:
        """The metrics as an object of `eval --json`.

        Errors of PCA are taken from `known`, and added to it.
        """
        use, classes = self.use, list(self.use.card.classes)
        found = {
            "model": str(use.path),
            "dataset": use.stream.described(),
            "n": self.measurement.count,
            **({"classes": classes} if classes else {}),
            **self.measurement.metrics(),
        }
        if self.pca and not classes:
            known = {} if known is None else known
            of = (use.card.dataset, *use.stream.words, use.card.shape, self._units)
            if of not in known:
                known[of] = self._pca_mse()
            found["pca_mse"] = known[of]
        if self.probe and not classes:
            found["probe_error"] = self._probe_error()
        return found

    @property
    def _units(self) -> int:
        return self.use.card.architecture.code_size

    def _pca_mse(self) -> float:
        """`mse` of PCA with as many components as the code has units, fitted on the train split."""
        from aectl.inference import apply as inference

        trained_on, inputs = self._trained_on(), self._inputs()
        return inference.pca_mse(
            self._batches(trained_on), self._batches(inputs), self._units, self.progress
        )

    def _probe_error(self) -> float:
        """Percent that a linear classifier on the code gets wrong, fitted on the train split.

        Raises DataError for inputs without labels.
        """
        from aectl.inference import apply as inference

        train, test = self._features(self._trained_on()), self._features(self._inputs())
        return inference.probe_error(train, test, self.progress)

    def fitted_on(self) -> str:
        """The training set of PCA and the probe, as an INPUT."""
        trained = self._trained_on()
        return " ".join(map(trained.called, trained.words))

    def _inputs(self) -> "Inputs":
        return cast("ImageStream", self.use.stream).inputs

    def _trained_on(self) -> "Inputs":
        """The training set of the model, found as the inputs are."""
        card, inputs = self.use.card, self._inputs()
        word = card.dataset
        if datasets.is_dataset(word):
            return dataclasses.replace(inputs, words=[word.partition(":")[0]], split="train")
        selection = of_options(card.options)
        layout = layout_of(word, selection)
        return dataclasses.replace(
            inputs, words=[layout.training if layout else word], split="train", selection=selection
        )

    def _batches(self, inputs: "Inputs") -> "Iterator[InputBatch]":
        card, size = self.use.card, self.use.stream.batch_size
        with inputs.batches(card.shape, size, ignore) as batches:
            yield from batches

    def _features(self, inputs: "Inputs") -> "tuple[NDArray[np.float32], NDArray[Any]]":
        import numpy as np

        from aectl.inference import apply as inference

        network = self.measurement.network
        to_tensor = inference.on_device(network, self.use.torch_device())
        codes: list[NDArray[np.float32]] = []
        labels: list[str | None] = []
        encoded = inference.encode(network, self._batches(inputs), to_tensor)
        for batch, code in self.progress.counted(encoded, "encoding for the probe"):
            codes.append(code[: len(batch.paths)].cpu().numpy())
            labels += batch.labels
        if None in labels or len(set(labels)) < 2:
            raise DataError("--probe needs images of two classes or more, with their labels")
        return np.concatenate(codes), np.array(labels)


def evaluate(
    model: "str | os.PathLike[str]",
    inputs: str | Sequence[str] | None = None,
    *,
    pca: bool = False,
    probe: bool = False,
    skip_unknown: bool = False,
    device: str = "auto",
    threads: int | None = None,
    **options: Unpack[InputOptions],
) -> dict[str, Any]:
    """Measures a model on inputs: files, folders, archives or datasets.

    `pca` adds the error of PCA with as many components, `probe` that of a linear classifier on the
    codes, both fitted on the train split of what the model was trained on. `skip_unknown` leaves
    out inputs of classes that a classifier does not know. Without `inputs`, it measures on the test
    split of what the model was trained on.

    Returns the metrics by the names of `eval --json`, beside `model`, `dataset` and `n`, the number
    of inputs.

    Raises ModelFileError for a file that is no model, ConfigError for options that do not go
    together, and DataError for inputs that do not exist or cannot be measured.
    """
    path = Path(model)
    card = read_card(path, "eval", tuple(KINDS))
    if card.classes:
        options = {"label_from_folder": True, **options}
    use = Use(path, card, request(inputs, options), device, threads)
    use.refuse({"pca": pca, "probe": probe})
    if skip_unknown and not card.classes:
        raise ConfigError("--skip-unknown has no effect without a classifier; leave it out")
    evaluation = Evaluation(use, pca, probe, skip_unknown)
    with use.results(evaluation.measurement.results) as results:
        for _ in results:
            pass
    if not evaluation.measurement.count:
        raise DataError(f"there are no {use.modality.noun} in the input")
    return evaluation.report()
