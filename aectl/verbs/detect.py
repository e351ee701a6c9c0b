"""Anomalies among inputs, at a stated rate of false alarms."""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from aectl.config.kinds import with_a_code
from aectl.config.scores import (
    SCORES,
    USUAL_ALARM_RATE,
    USUAL_SCORE,
    needed,
    refuse_alarm_rate,
    refuse_score,
)
from aectl.data.sources import STDIN
from aectl.errors import ConfigError
from aectl.inference.results import Detected
from aectl.progress import SILENT, Progress
from aectl.verbs.use import InputOptions, Use, use_of

if TYPE_CHECKING:
    import os

    from aectl.inference.apply import ToTensor
    from aectl.inference.calibrating import Calibrated
    from aectl.outputs.rows import Rows

MOST_NAMED = 3


@dataclass
class Detection:
    """The anomalies among all inputs; iterating over it finds them, a batch at a time.

    `normal`: the model and the normal inputs that the score is calibrated on, before the first
    batch or by `calibrated`. `found` of `count` inputs are anomalies, so far.
    """

    use: Use
    normal: Use
    score: str
    alarm_rate: float
    found: int = 0
    count: int = 0
    _calibrated: "Calibrated | None" = field(default=None, repr=False)

    def __iter__(self) -> Iterator[Detected]:
        self.calibrated()
        with self.use.results(self.compute) as results:
            yield from results

    def calibrated(self, progress: Progress = SILENT) -> "Calibrated":
        """The score, fitted and calibrated; the first call reads the normal inputs.

        Raises DataError where they are too few to fit the score to, and ConfigError where they are
        too few for the alarm rate.
        """
        if self._calibrated is None:
            self._calibrated = self._calibrate(progress)
        return self._calibrated

    def _calibrate(self, progress: Progress) -> "Calibrated":
        from aectl.inference.anomaly_scores import score_named
        from aectl.inference.calibrating import Calibrating

        use, traits = self.normal, SCORES[self.score]
        given = use.modality.evidence(use.card)
        calibrating = Calibrating(score_named(self.score, given), traits.fitted)
        unread: list[tuple[str, str]] = []
        reading = dataclasses.replace(
            use, request=dataclasses.replace(use.request, on_bad=lambda *bad: unread.append(bad))
        )
        with reading.results(self._examined) as results:
            for one in progress.counted(results, "calibrating", use.modality.noun):
                calibrating.add(one)
        if unread:
            (path, reason), *others = unread
            more = f", and {len(others):,} more" if others else ""
            use.request.warning(f"left out of the normal inputs: {path}: {reason}{more}")
        found = calibrating.result()
        found.normal.refuse_rate(self.alarm_rate)
        self._tell(found)
        return found

    def _tell(self, found: "Calibrated") -> None:
        """A warning where there may be anomalies among the normal inputs."""
        if found.suspects:
            named = ", ".join(found.suspects[:MOST_NAMED])
            self.normal.request.warning(
                f"{len(found.suspects):,} of {len(found.normal):,} normal inputs have scores far"
                f" above the others: {named}; if they are anomalies, leave them out: with them,"
                " p-values are too large, and anomalies are missed"
            )

    def _examined(
        self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor"
    ) -> Iterator[Any]:
        modality = self.use.modality
        wanted = needed(self.score, modality.evidence(self.use.card))
        return modality.examine(network, batches, to_tensor, wanted)

    def key(self) -> dict[str, object]:
        """All that decides the rows, beside the model and the inputs."""
        found = self.calibrated()
        digest = hashlib.sha256(found.normal.scores.astype("<f4").tobytes())
        for name, tensor in sorted(found.score.tensors().items()):
            digest.update(name.encode() + tensor.numpy().astype("<f4").tobytes())
        calibration = digest.hexdigest()[:16]
        how = {"score": self.score, "alarm_rate": self.alarm_rate, "calibration": calibration}
        return {**how, **self.use.key()}

    def compute(
        self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor"
    ) -> Iterator[Detected]:
        """The scores of some batches, with their p-values."""
        calibrated, self.found, self.count = self.calibrated(), 0, 0
        for examined in self._examined(network, batches, to_tensor):
            scores = calibrated.scores(examined.evidence)
            p_values = calibrated.normal.p_values(scores)
            anomalies = np.isfinite(scores) & (p_values <= self.alarm_rate)
            self.found += int(anomalies.sum())
            self.count += int(np.isfinite(scores).sum())
            yield Detected(examined.batch, scores, p_values, anomalies)

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
        return Rows(columns, position=result.batch.position)


def detect(
    model: "str | os.PathLike[str]",
    inputs: str | Sequence[str] | None = None,
    *,
    normal: str | Sequence[str],
    score: str | None = None,
    alarm_rate: float | None = None,
    device: str = "auto",
    threads: int | None = None,
    **options: Unpack[InputOptions],
) -> Detection:
    """Finds anomalies with an autoencoder: inputs whose score is rare among normal inputs.

    >>> found = aectl.detect("model.safetensors", "photos/", normal="digits:test", alarm_rate=0.05)
    >>> for result in found:
    ...     print(result.paths[0], result.score.shape, result.p_value.shape, result.anomaly.dtype)
    photos/0.png (3,) (3,) bool

    `model` is a .safetensors file or a run folder. Without `inputs`, these are the test split of
    what the model was trained on. `normal` names normal inputs that the model did not learn from;
    if they and further normal inputs are exchangeable, at most the fraction `alarm_rate`, by
    default 0.01, of the latter is flagged. A `score` that compares codes is fitted to half of them.
    `device` is "auto", "cpu", "cuda" or "mps", and `threads` the number of CPU threads. Further
    `options` are those of `InputOptions`.

    Returns an iterable. Each item is the result for n inputs, computed when it is asked for:
    `paths` and `labels`, n each, and `score`, `p_value` and `anomaly`, (n,).

    Raises ModelFileError for a file that is no autoencoder, ConfigError for options that do not go
    together and an alarm rate that needs more normal inputs, and DataError for inputs that do not
    exist; inputs that cannot be read are left out and passed to `on_bad`.
    """
    use = use_of(model, "detect", with_a_code(), inputs, options, device, threads)
    use.refuse({})
    score = USUAL_SCORE if score is None else score
    refuse_score(score, use.modality.evidence(use.card), str(use.path))
    rate = USUAL_ALARM_RATE if alarm_rate is None else alarm_rate
    refuse_alarm_rate(rate)
    words = [normal] if isinstance(normal, str) else [*normal]
    if STDIN in words and STDIN in (use.request.words or ()):
        raise ConfigError(f"INPUT and --normal cannot both be {STDIN}")
    request = dataclasses.replace(use.request, words=words, unlearnt=True)
    return Detection(use, dataclasses.replace(use, request=request), score, rate)
