"""Metrics of a model on inputs."""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from aectl.config.configuration import check_similarity
from aectl.config.kinds import KINDS
from aectl.errors import ConfigError, DataError
from aectl.modalities.measurement import Measurement
from aectl.progress import SILENT, Progress
from aectl.verbs.baselines import Baselines
from aectl.verbs.detect import Asked
from aectl.verbs.detector import detectors_of
from aectl.verbs.hub import located
from aectl.verbs.input_options import InputOptions, request
from aectl.verbs.matching import (
    dictionaries,
    dictionary,
    matched_with,
    refuse_incomparable,
    truth_of,
)
from aectl.verbs.torch_settings import restored
from aectl.verbs.use import Use, read_card

if TYPE_CHECKING:
    import os

    from aectl.data.storage.folders import OnBad
    from aectl.inference.dictionaries import Dictionary, Directions
    from aectl.inference.ngrams import NgramModel
    from aectl.models.model_card import ModelCard
    from aectl.outputs.rows import Rows
    from aectl.verbs.detector import Detector


@dataclass
class Evaluation:
    """The metrics of a model on the inputs of a use of it: take all `results`, then the `report`.

    With `inspected`, the contents of a report page are collected in `inspection`. `truth`: the file
    with the true directions of the decoder, if they are known. `detector`: the model as a detector
    of anomalies, if that is to be measured, too.
    """

    use: Use
    pca: bool = False
    probe: bool = False
    skip_unknown: bool = False
    inspected: bool = False
    progress: Progress = SILENT
    ssim: bool = False
    judge: "NgramModel | None" = None
    truth: str | None = None
    detector: "Detector | None" = None
    measurement: Measurement = field(init=False)
    inspection: Any = None

    def __post_init__(self) -> None:
        use = self.use
        self._truth = truth_of(self.truth, use.card) if self.truth else None
        self.measurement = Measurement(
            use.card, use.modality, self.skip_unknown, self.ssim, self.judge,
            use.request.references, self.progress,
        )  # fmt: skip

    @contextmanager
    def results(self) -> Iterator[Iterator[Any]]:
        """The metrics of each input, by batch; reading ends with the context."""
        with self.use.results(self.measurement.results) as results:
            yield map(self._inspect, results) if self.inspected else results

    def measured(self, others: "Sequence[Dictionary]" = ()) -> dict[str, Any]:
        """The metrics of all inputs, and of the directions matched with those of other models.

        Raises DataError if there are no inputs.
        """
        with self.results() as results:
            for _ in results:
                pass
        self.use.refuse_empty(self.measurement.count)
        return self.report() | (matched_with(self.dictionary, others) if others else {})

    def _inspect(self, result: Any) -> Any:
        if self.inspection is None:
            use = self.use
            self.inspection = use.modality.inspection(self.measurement.network, use.card)
        self.inspection.add(result)
        return result

    def rows(self, result: Any) -> "Rows":
        """The rows of a table with the metrics of each input of a batch."""
        from aectl.outputs.rows import Rows

        columns = self.use.leading_columns(result.batch)
        return Rows({**columns, **self.use.modality.columns(result)})

    def rows_of_columns(self) -> "Rows":
        """The rows of a table with the metrics of each feature, once all inputs are measured."""
        from aectl.outputs.rows import Rows

        return Rows(self.use.modality.of_features(self.use.card, self.measurement.collected))

    @property
    def baselines(self) -> Baselines:
        """PCA and the linear classifier."""
        return Baselines(self.use, self.progress)

    @property
    def fitted(self) -> list[str]:
        """The baselines that the report contains; for a classifier, none."""
        asked = {"PCA": self.pca, "the probe": self.probe}
        return [name for name, given in asked.items() if given and not self.use.card.classes]

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
        if "PCA" in self.fitted:
            found["pca_mse"] = self.baselines.pca_mse({} if known is None else known)
        if "the probe" in self.fitted:
            found["probe_error"] = self.baselines.probe_error(self.measurement.network)
        if self._truth is not None:
            found |= self._beside_truth(self._truth)
        if self.detector is not None:
            found |= self.detector.metrics(self.progress)
        return found

    def _beside_truth(self, truth: "Directions") -> dict[str, float]:
        from aectl.inference.dictionaries import truth_metrics

        alive = (self.measurement.collected.codes.active > 0).numpy()
        return truth_metrics(self.dictionary, truth, alive)

    @property
    def dictionary(self) -> "Dictionary":
        """The directions of the decoder, once inputs were measured."""
        return dictionary(self.measurement.network, self.use.card)


def read_any_card(path: "str | os.PathLike[str]") -> "ModelCard":
    """The card of a model of any kind. Raises ModelFileError."""
    return read_card(Path(path), "eval", tuple(KINDS))


def refuse_useless(
    uses: Sequence[Use],
    pca: bool,
    probe: bool,
    skip_unknown: bool,
    report: bool = False,
    ssim: bool = False,
    judge: bool = False,
    per_column: bool = False,
    match: bool = False,
    truth: bool = False,
) -> None:
    """Raises ConfigError for options that have no effect with the models that are measured, and
    DataError for inputs that do not exist.
    """
    if skip_unknown and not any(use.card.classes for use in uses):
        raise ConfigError("--skip-unknown has no effect without a classifier; leave it out")
    if len({use.card.architecture.modality for use in uses}) > 1:
        raise ConfigError("models of different kinds of input cannot be measured side by side")
    for flag, given in {"--match": match, "--truth": truth}.items():
        if given:
            refuse_incomparable(flag, [use.card for use in uses])
    for use in uses:
        use.refuse(
            {"pca": pca, "probe": probe, "ssim": ssim, "report": report, "judge": judge,
             "per_column": per_column}
        )  # fmt: skip
        if ssim:
            check_similarity("--ssim", use.card.shape[1:])
        if use.request.references and importlib.util.find_spec("nltk") is None:
            raise ConfigError("--references needs a package: pip install 'aectl[rouge]'")
        _ = use.stream


def judge_of(path: Path, on_bad: "OnBad") -> "NgramModel":
    """An n-gram model of the lines of a text file. Raises DataError if it has none."""
    from aectl.data.text.text_inputs import TEXT, TextInputs
    from aectl.inference.ngrams import NgramModel

    inputs = TextInputs(TEXT.sources([str(path)], None), Path())
    lines = [line.text for line in inputs.lines(on_bad) if line]
    if not lines:
        raise DataError(f"{path} has no lines to judge texts by")
    return NgramModel(lines)


@restored()
def evaluate(
    model: "str | os.PathLike[str]",
    inputs: str | Sequence[str] | None = None,
    *,
    pca: bool = False,
    probe: bool = False,
    ssim: bool = False,
    judge: "str | os.PathLike[str] | None" = None,
    references: bool = False,
    skip_unknown: bool = False,
    match: "Sequence[str | os.PathLike[str]]" = (),
    truth: "str | os.PathLike[str] | None" = None,
    detect: bool = False,
    normal: str | Sequence[str] | None = None,
    fit_to: str | Sequence[str] | None = None,
    score: str | None = None,
    alarm_rate: float | None = None,
    device: str = "auto",
    threads: int | None = None,
    **options: Unpack[InputOptions],
) -> dict[str, Any]:
    """Measures a model on inputs: files, folders, archives or datasets.

    >>> metrics = aectl.evaluate("model.safetensors", "photos/")
    >>> metrics["n"], metrics["mse"] < 0.05
    (3, True)

    `model` is a .safetensors file or a run folder. Without `inputs`, it measures on the test split
    of what the model was trained on, or on the files held out of a folder that has none. `pca` adds
    the error of PCA with as many components, `probe` that of a linear classifier on the codes, both
    fitted on the train split of what the model was trained on. `ssim` adds the structural
    similarity, and `judge`, a file of text, the perplexity of shorter texts by its n-grams.
    `references`, for lines with a summary after a tab, adds the ROUGE of shorter texts against it.
    `skip_unknown` leaves out inputs of classes that a classifier does not know. `match` names other
    models whose decoders' directions are matched with those of this one, and `truth` a file with
    the true ones. `detect` measures the model as a detector of anomalies, in the layout of MVTec
    AD, with `normal`, `fit_to`, `score` and `alarm_rate` as the function of that name has them.
    `device` is "auto", "cpu", "cuda" or "mps", and `threads` the number of CPU threads. Further
    `options` are those of `InputOptions`.

    Returns the metrics by the names of `eval --json` (`aectl help reports` defines each), beside
    `model`, `dataset` and `n`, the number of inputs.

    Raises ModelFileError for a file that is no model or whose output is not finite, ConfigError for
    options that do not go together, and DataError for inputs that do not exist or cannot be
    measured; inputs that cannot be read are left out and passed to `on_bad`.
    """
    path = located(model)
    card = read_any_card(path)
    if card.classes or probe:
        options = {"label_from_folder": True, **options}
    use = Use(path, card, request(inputs, options, True, references), device, threads)
    refuse_useless([use], pca, probe, skip_unknown, False, ssim, bool(judge), truth=bool(truth))
    others = dictionaries([located(one) for one in match], card)
    judging = judge_of(Path(judge), use.request.on_bad) if judge else None
    (detector,) = detectors_of([use], detect, Asked(normal, fit_to, score, alarm_rate))
    word = None if truth is None else str(truth)
    how = pca, probe, skip_unknown, False, SILENT, ssim, judging, word, detector
    return Evaluation(use, *how).measured(others)
