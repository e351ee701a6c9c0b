"""Continuing a training from the state in its run folder."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl.config import run_files
from aectl.config.configuration import Config
from aectl.config.declaration import flag
from aectl.config.precedence import refuse_former
from aectl.config.written_options import read_toml
from aectl.errors import ConfigError, DataError, ModelFileError

if TYPE_CHECKING:
    from aectl.training.run import Run
    from aectl.training.state import RunState, TrainingCommand, TrainingState

MAY_CHANGE = ("lr", "clip_grad", "epochs")
"""Options that may be changed with --resume, to repair a diverged training or to extend one."""


def load_all(folder: Path, given: Mapping[str, object], others: bool) -> "list[TrainingState]":
    """Loads the state in a run folder, or, in a folder of several runs, those of all that are not
    finished. Raises as `load`."""
    from aectl.training import checkpoint

    if checkpoint.is_kept(folder) or not folder.is_dir():
        return [load(folder, given, others)]
    left = [one for one in sorted(folder.iterdir()) if checkpoint.path_in(one).is_file()]
    states = [load(one, given, others) for one in left]
    of_several = [state for state in states if state.session.name]
    return of_several or [load(folder, given, others)]


def load(run: Path, given: Mapping[str, object], others: bool) -> "TrainingState":
    """Loads the state in a run folder, with the runs after it that have not begun.

    Raises ConfigError for options that would change the training, or if training is finished, and
    ModelFileError if the state cannot be read, or belongs to another run.
    """
    from aectl.training import checkpoint

    if others or given.keys() - set(MAY_CHANGE):
        *most, last = map(flag, MAY_CHANGE)
        raise ConfigError(
            f"--resume uses the options of the original training; only {', '.join(most)}"
            f" and {last}, and options of how it runs, may be given"
        )
    state = checkpoint.load(run)
    refuse_former(state.session.options, f"--resume {run}: ")
    _refuse_other_run(run, state.session)
    later, parent = state.session.following, run.resolve().parent
    left = {name: one for name, one in later.items() if not checkpoint.is_kept(parent / name)}
    over = checkpoint.is_finished(run)
    if over and "epochs" not in given and not left:
        raise ConfigError(
            f"the training of {run} is finished ({len(state.run.rows)} epochs); --epochs N"
            " trains it longer"
        )
    _refuse_too_few(given.get("epochs"), state.run, over)
    session = dataclasses.replace(state.session, following=left)
    return dataclasses.replace(state, session=session)


def compare(session: "TrainingCommand", data: Any, warning: Callable[[str], None]) -> None:
    """Raises DataError if the data are not those of the original training."""
    from aectl.training.versions import PROCESSES, versions

    if session.data_sha256 != data.checksum:
        raise DataError(
            f"the data of {data.name} are not those of the original training; restore them, or"
            " start a new training"
        )
    now = versions()
    for name, version in now.items():
        if name != PROCESSES and session.versions.get(name) != version:
            warning(
                f"training was started with {name} {session.versions.get(name)} and continues with"
                f" {version}: the weights may differ from those of an uninterrupted run"
            )
    before, after = (one.get(PROCESSES, "1") for one in (session.versions, now))
    if before != after:
        warning(
            f"training was started with {before} processes and continues with {after}: the weights"
            " differ by rounding from those of an uninterrupted run"
        )


def restore(
    run: "Run",
    state: "TrainingState",
    given: Mapping[str, object],
    notice: Callable[[str], None],
) -> list[str]:
    """Restores the state; a notice says how training continues.

    Returns one line for each time that training was continued with other options.
    """
    run.restore(state.run, longer="epochs" in given)
    done = len(run.rows)
    said = f"continuing after {done} of {run.planned_epochs} epochs"
    if not given:
        notice(said)
        return state.session.continued
    training = run.config.training
    course = f"the {training.schedule} schedule" if training.optimizer != "lbfgs" else "the rate"
    notice(
        f"{said}: {course} is that of {training.epochs} epochs, and the learning rate continues"
        f" at {run.next_lr:.3g}"
    )
    changes = " ".join(f"{flag(name)} {value}" for name, value in sorted(given.items()))
    return [*state.session.continued, f"after {done} epochs: {changes}"]


def _refuse_other_run(run: Path, session: "TrainingCommand") -> None:
    """Raises ModelFileError if config.toml and the checkpoint are of different runs, or if this
    version refuses the options of the checkpoint, which an older one accepted.
    """
    try:
        kept = Config.from_options(session.options).values()
    except ConfigError as error:
        raise ModelFileError(
            f"{run} cannot be continued by this version: {error}; --load {run} starts a new"
            " training from its weights"
        ) from None
    path = run / run_files.CONFIG
    if not path.is_file():
        return
    try:
        there = Config.from_options(read_toml(path)).values()
    except ConfigError as error:
        raise ModelFileError(f"{error}; correct that file or remove it to continue") from None
    for name in sorted((kept.keys() | there.keys()) - set(MAY_CHANGE)):
        if kept.get(name) != there.get(name):
            raise ModelFileError(
                f"{path} and the checkpoint beside it are of different runs: {flag(name)} is"
                f" {there.get(name)} and {kept.get(name)}; to continue from the checkpoint, remove"
                f" {path.name}"
            )


def _refuse_too_few(epochs: object, state: "RunState", over: bool) -> None:
    """Raises ConfigError if no epochs would be left to train."""
    if not isinstance(epochs, int) or state.stage:
        return
    done = state.loop.epochs
    if epochs < done + math.ceil(state.loop.step > 0) or (over and epochs == done):
        raise ConfigError(f"--epochs {epochs} must be more than the {done} completed epochs")
