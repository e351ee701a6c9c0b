"""Anomalies among inputs, at a stated rate of false alarms."""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Unpack

import numpy as np

from aectl.config.kinds import with_a_code
from aectl.config.scores import (
    CALLED,
    SCORES,
    USUAL_ALARM_RATE,
    mapped,
    refuse_alarm_rate,
    refuse_score,
)
from aectl.data.sources import STDIN
from aectl.errors import ConfigError, OutputError
from aectl.files import refuse_existing
from aectl.inference.results import Detected
from aectl.models import model_file
from aectl.progress import SILENT, Progress
from aectl.verbs.calibrated_models import calibrated_card, calibration_of, tensors_of
from aectl.verbs.input_options import InputOptions
from aectl.verbs.normal_inputs import calibrated_on, evidence_of
from aectl.verbs.torch_settings import lent, restored
from aectl.verbs.use import Use, use_of

if TYPE_CHECKING:
    import os

    from aectl.inference.apply import ToTensor
    from aectl.inference.calibrating import Calibrated
    from aectl.inference.marking import Marking
    from aectl.outputs.rows import Rows

MODEL_ENDING = Path(model_file.FILE_NAME).suffix


@dataclass
class Detection:
    """The anomalies among all inputs; iterating over it finds them, a batch at a time.

    `normal`: the model and the normal inputs that the score is calibrated on, before the first
    batch or by `calibrated`; None if that is the calibration in the model file. `fit_to`: other
    normal inputs that the score is fitted to; None if that is one half of the former. `found` of
    `count` inputs are anomalies, so far. `maps`: whether pixels of images are marked; `boxes`:
    whether rows of tables have the marked regions.
    """

    use: Use
    normal: Use | None
    score: str
    alarm_rate: float
    maps: bool = False
    fit_to: Use | None = None
    boxes: bool = False
    in_numpy: ClassVar[None] = None
    found: int = 0
    count: int = 0
    _calibrated: "Calibrated | None" = field(default=None, repr=False)

    def __iter__(self) -> Iterator[Detected]:
        with restored():
            self.calibrated()
        yield from lent(self.use.results(self.compute))

    def calibrated(self, progress: Progress = SILENT) -> "Calibrated":
        """The score, fitted and calibrated; the first call reads the normal inputs, if any.

        Raises ConfigError where they are too few for the alarm rate, and as `scored`.
        """
        found = self.scored(progress)
        halved = found.fitted_to if self.normal and not self.fit_to else 0
        found.normal.refuse_rate(self.alarm_rate, halved)
        return found

    def scored(self, progress: Progress = SILENT) -> "Calibrated":
        """The same for any alarm rate. Raises DataError where there are too few normal inputs to
        fit the score to."""
        if self._calibrated is None:
            use = self.use
            self._calibrated = (
                calibrated_on(self.normal, self.fit_to, self.score, self.maps, progress)
                if self.normal
                else calibration_of(use.path, use.card)
            )
        return self._calibrated

    def marking(self) -> "Marking | None":
        """Marks the pixels of images, if maps are asked for.

        Raises ConfigError where there are too few normal images for the alarm rate, or none.
        """
        from aectl.inference.marking import Marking

        if not self.maps:
            return None
        pixels = self.calibrated().pixels
        if pixels is None:
            raise ConfigError("maps need normal images, or more: name them with --normal")
        sides = self.use.card.shape[1:]
        return Marking.at(self.alarm_rate, pixels.score, pixels.normal, sides)

    def save(self, path: "str | os.PathLike[str]", overwrite: bool = False) -> Path:
        """Writes the model with the calibration to a file; the inputs are not read. Of images, that
        has the pixels too: without `maps`, the normal ones are read for them, again if need be.

        Raises OutputError for a file that exists, unless it is to be replaced, and as `calibrated`.
        """
        out, use = Path(path), self.use
        check_model_path(out, overwrite)
        if self.normal and not self.maps and _gives_maps(use, self.score):
            return self._with_pixels().save(path, overwrite)
        found, kept = self.calibrated(), use.card.calibration
        words = self.normal.stream.called() if self.normal else kept.on if kept else ()
        card = calibrated_card(use.card, found, self.score, self.alarm_rate, words)
        model_file.save(out, use.network(), card, calibrated=tensors_of(found))
        return out

    def _with_pixels(self) -> "Detection":
        """The same with maps. Raises ConfigError where stdin has been read, which had the names of
        normal inputs."""
        named = [one.request.words or () for one in (self.normal, self.fit_to) if one]
        if self._calibrated and any(STDIN in words for words in named):
            raise ConfigError(
                "normal inputs on stdin are read once: detect with maps, or save the model first"
            )
        return dataclasses.replace(self, maps=True, _calibrated=None)

    def examined(
        self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor"
    ) -> Iterator[Any]:
        """The evidence of some batches."""
        return evidence_of(self.use, self.score, self.maps)(network, batches, to_tensor)

    def key(self) -> dict[str, object]:
        """All that decides the rows, beside the model and the inputs."""
        found, digest = self.calibrated(), hashlib.sha256()
        pixels = found.pixels if self.boxes else None
        for name, tensor in sorted(tensors_of(found._replace(pixels=pixels)).items()):
            digest.update(name.encode() + tensor.numpy().astype("<f4").tobytes())
        calibration = digest.hexdigest()[:16]
        how = {"score": self.score, "alarm_rate": self.alarm_rate, "calibration": calibration}
        return {**how, "boxes": self.boxes, **self.use.key()}

    def compute(
        self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor"
    ) -> Iterator[Detected]:
        """The scores of some batches, with their p-values."""
        calibrated, self.found, self.count = self.calibrated(), 0, 0
        marking = self.marking()
        for examined in self.examined(network, batches, to_tensor):
            scores = calibrated.scores(examined.evidence)
            p_values = calibrated.normal.p_values(scores)
            anomalies = p_values <= self.alarm_rate
            self.found += int(anomalies.sum())
            self.count += len(scores)
            marked = marking.of(examined.evidence) if marking else None
            yield Detected(examined.batch, scores, p_values, anomalies, marked)

    def told(self) -> str:
        """The number of anomalies, for a message."""
        noun, normal = self.use.modality.noun, len(self.calibrated().normal)
        return (
            f"{self.found:,} of {self.count:,} {noun} are anomalies (alarm rate"
            f" {self.alarm_rate:g}, {normal:,} normal {noun})"
        )

    def rows(self, result: Detected) -> "Rows":
        """The rows of a table for a batch."""
        from aectl.outputs.rows import Rows

        columns = self.use.leading_columns(result.batch)
        columns["score"], columns["p_value"] = result.score, result.p_value
        columns["anomaly"] = ["yes" if one else "no" for one in result.anomaly]
        if self.boxes and result.marked:
            from aectl.outputs.heat_maps import boxes

            found, sides = result.marked.regions, result.marked.maps.shape[1:]
            columns["regions"] = np.array([len(one) for one in found])
            columns["boxes"] = [boxes(one, sides) for one in found]
        return Rows(columns, position=result.batch.position)


def detect(
    model: "str | os.PathLike[str]",
    inputs: str | Sequence[str] | None = None,
    *,
    normal: str | Sequence[str] | None = None,
    fit_to: str | Sequence[str] | None = None,
    score: str | None = None,
    alarm_rate: float | None = None,
    maps: bool | None = False,
    device: str = "auto",
    threads: int | None = None,
    shard: str | None = None,
    **options: Unpack[InputOptions],
) -> Detection:
    """Finds anomalies with an autoencoder: inputs whose score is rare among normal inputs.

    >>> found = aectl.detect("model.safetensors", "photos/", normal="digits:test", alarm_rate=0.05)
    >>> for result in found:
    ...     print(result.paths[0], result.score.shape, result.p_value.shape, result.anomaly.dtype)
    photos/0.png (3,) (3,) bool
    >>> print(found.save("calibrated.safetensors"))
    calibrated.safetensors

    `model` is a .safetensors file or a run folder. Without `inputs`, these are the test split of
    what the model was trained on. `normal` names normal inputs that the model did not learn from,
    unless its file keeps a calibration; if they and further normal inputs are exchangeable, at most
    the fraction `alarm_rate`, by default 0.01, of the latter is flagged. A `score` that compares
    inputs with normal ones is fitted to half of them, or to those that `fit_to` names, which the
    model may have learnt from. `maps` marks the unusual pixels of images, at most of the same
    fraction of normal ones; with None, where the model gives maps. `device` is "auto", "cpu",
    "cuda" or "mps", and `threads` the number of CPU threads. With `shard`, such as "3/64", only
    that share of the inputs is read. Further `options` are those of `InputOptions`.

    Returns an iterable. Each item is the result for n inputs, computed when it is asked for:
    `paths` and `labels`, n each, and `score`, `p_value` and `anomaly`, (n,); with `maps`, `marked`,
    which has `maps`, (n, height, width), and the `regions` of each image above the `threshold`. Its
    `save` writes the model with the calibration.

    Raises ModelFileError for a file that is no autoencoder, ConfigError for options that do not go
    together and an alarm rate that needs more normal inputs, and DataError for inputs that do not
    exist; inputs that cannot be read are left out and passed to `on_bad`.
    """
    use = use_of(model, "detect", with_a_code(), inputs, options, device, threads, shard)
    use.refuse({})
    return detection_of(use, Asked(normal, fit_to, score, alarm_rate), maps)


class Asked(NamedTuple):
    """The wishes for a detection: the words of normal inputs, and of those that the score is
    fitted to, the score, and the alarm rate; None for what is usual."""

    normal: str | Sequence[str] | None = None
    fit_to: str | Sequence[str] | None = None
    score: str | None = None
    alarm_rate: float | None = None


def detection_of(use: Use, asked: Asked, maps: bool | None) -> Detection:
    """A detection with the defaults filled in, also of `maps`, if None. Raises ConfigError."""
    kept = use.card.calibration
    score = asked.score or (kept.score if kept else use.modality.usual_score(use.card))
    refuse_score(score, use.modality.evidence(use.card), str(use.path))
    usual = kept.alarm_rate if kept else USUAL_ALARM_RATE
    rate = usual if asked.alarm_rate is None else asked.alarm_rate
    refuse_alarm_rate(rate)
    maps = _gives_maps(use, score) if maps is None else maps
    if maps and not _gives_maps(use, score):
        raise ConfigError(f"maps need {CALLED[mapped(score)]}, which {use.path} does not have")
    if asked.fit_to is not None and not (SCORES[score].fitted or maps):
        raise ConfigError(f"--fit-to has no effect with --score {score}, which is not fitted")
    if asked.normal is not None:
        normal = _of_words(use, "normal", asked.normal, unlearnt=True)
        fit_to = None if asked.fit_to is None else _of_words(use, "fit_to", asked.fit_to)
        words = [one.request.words or () for one in (use, normal, fit_to) if one]
        if sum(STDIN in one for one in words) > 1:
            raise ConfigError(f"only one of INPUT, --normal and --fit-to can be {STDIN}")
        return Detection(use, normal, score, rate, maps, fit_to)
    if kept is None:
        raise ConfigError(
            f"{use.path} is not calibrated: name normal inputs that it did not learn from with"
            " --normal, or train with --validation, which holds some out"
        )
    if score != kept.score:
        raise ConfigError(
            f"{use.path} is calibrated for --score {kept.score}: --score {score} needs --normal"
        )
    if asked.fit_to is not None:
        raise ConfigError(
            "--fit-to needs --normal: a score that is fitted again is calibrated again"
        )
    return Detection(use, None, score, rate, maps)


def _gives_maps(use: Use, score: str) -> bool:
    """Whether a model gives heat maps with a score."""
    return mapped(score) in use.modality.evidence(use.card)


def _of_words(use: Use, name: str, words: str | Sequence[str], unlearnt: bool = False) -> Use:
    """The model and the inputs of an argument; with `unlearnt`, without those that it learnt from.
    Raises ConfigError for an empty list, which would mean the test split."""
    named = [words] if isinstance(words, str) else [*words]
    if not named:
        raise ConfigError(f"{name} is an empty list, which names no inputs")
    return dataclasses.replace(
        use,
        request=dataclasses.replace(
            use.request, words=named, unlearnt=unlearnt, label_from_folder=True, shard=None
        ),
    )


def check_model_path(path: Path, overwrite: bool) -> None:
    """Raises OutputError where a model cannot or must not be written to a path."""
    if path.suffix != MODEL_ENDING:
        raise OutputError(f"{path}: the name of a model ends with {MODEL_ENDING}")
    refuse_existing(path, overwrite)
