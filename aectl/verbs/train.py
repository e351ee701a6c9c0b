"""The public function `aectl.train`."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from aectl.config.decoding import OnRemark
from aectl.data.storage.folders import OnBad, ignore
from aectl.errors import ConfigError
from aectl.progress import silent
from aectl.training.reading import Reading
from aectl.verbs import machine
from aectl.verbs.torch_settings import restored
from aectl.verbs.training_task import Task, Training, from_file

if TYPE_CHECKING:
    from aectl.training.loop import TrainingProgress
    from aectl.training.run import Run


class Trained(NamedTuple):
    """A trained model: its file, its run folder, and a row of metrics for each epoch."""

    model: Path
    folder: Path
    metrics: list[dict[str, float]]


class _Silent:
    """Watches a training for a caller in Python."""

    urgent = False

    def __init__(self, on_epoch: Callable[[dict[str, Any]], object]) -> None:
        self._on_epoch = on_epoch

    def epoch(self, row: dict[str, Any]) -> None:
        self._on_epoch(dict(row))

    def progress(self, progress: "TrainingProgress") -> None:
        pass

    def saved(self) -> None:
        pass


def train(
    out: "str | os.PathLike[str] | None" = None,
    *,
    overwrite: bool = False,
    recipe: str | None = None,
    config: "str | os.PathLike[str] | None" = None,
    resume: "str | os.PathLike[str] | None" = None,
    tensorboard: bool = False,
    data_dir: "str | os.PathLike[str] | None" = None,
    device: str = "auto",
    workers: int | None = None,
    memory: float | None = None,
    threads: int | None = None,
    stdin: BinaryIO | None = None,
    null: bool = False,
    on_epoch: Callable[[dict[str, Any]], object] = dict,
    on_bad: OnBad = ignore,
    on_remark: OnRemark = ignore,
    notice: Callable[[str], None] = silent,
    warning: Callable[[str], None] = silent,
    **options: Any,
) -> Trained:
    """Trains a model, and fills a run folder: `out`, or a new one in `runs`.

    >>> trained = aectl.train("small", dataset="digits", hidden=[8], sparse=True, epochs=2)
    >>> print(trained.model, [row["epoch"] for row in trained.metrics])
    small/model.safetensors [1, 2]

    `options` are those of `aectl train`, with underscores in their names; those of a `recipe`, or
    of a TOML file `config`, are beneath them. `resume` is the folder of a run to continue. `memory`
    is in GiB. The dataset "-" reads `stdin`. `on_epoch(row)` is called after each epoch with its
    metrics, `on_bad(path, reason)` for each file that cannot be read, `notice` and `warning` with
    messages. The weights are those that the command gives on the same machine. In training, torch
    has one CPU thread if the network is small; denormal numbers are flushed to 0.

    Raises ConfigError for options that do not go together, DataError for data that cannot be used,
    ModelFileError for a run that cannot be resumed, DivergedError for a loss that is not finite,
    and OutputError where the folder cannot be written.
    """
    import torch

    room = machine.half_the_memory() if memory is None else memory * 2**30
    reading = Reading(
        Path(), on_bad, workers or machine.workers(), room, on_remark=on_remark, stdin=stdin,
        null=null,
    )  # fmt: skip
    task = Task(
        options, from_file(recipe, _path(config)), recipe, _path(out), overwrite, _path(resume),
        tensorboard=tensorboard, data_dir=_path(data_dir), device=device, threads=threads,
        notice=notice, warning=warning,
    )  # fmt: skip
    training = Training(task, reading)
    try:
        with restored():
            run, model = _only(training, _Silent(on_epoch))
    finally:
        torch.set_flush_denormal(False)
    return Trained(model, training.folder, run.rows)


def _only(training: Training, watcher: _Silent) -> "tuple[Run, Path]":
    """Trains the only run; gives it with the path of its model. Raises ConfigError for several."""
    if training.runs > 1:
        raise ConfigError(
            "several runs are left, which the command continues: aectl train --resume"
        )
    (only,) = training.results(lambda runs: nullcontext(dict.fromkeys(runs, watcher)))
    return only


def _path(given: "str | os.PathLike[str] | None") -> Path | None:
    return None if given is None else Path(given)
