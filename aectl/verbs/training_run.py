"""One training from its first step to a filled run folder, in turns between others."""

import contextlib
import dataclasses
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from aectl.config import run_files
from aectl.config.all_options import OPTIONS
from aectl.config.spelling import spelt_out
from aectl.config.written_options import command, to_toml
from aectl.files import writing
from aectl.modalities import modality_named, modality_of
from aectl.models import model_file
from aectl.outputs import run_folder
from aectl.progress import Progress
from aectl.verbs.calibrated_models import calibration_of_run, card_of_run, tensors_of
from aectl.verbs.checkpoints import Checkpoints

if TYPE_CHECKING:
    from aectl.config.configuration import Config
    from aectl.models.model_card import ModelCard
    from aectl.outputs.tensorboard import TensorBoard
    from aectl.training.loop import TrainingProgress
    from aectl.training.run import Run
    from aectl.training.state import TrainingCommand

MUCH_DEAD = 0.5


class Watcher(Protocol):
    """Whoever watches a training, and may end it."""

    def epoch(self, row: "dict[str, Any]") -> None:
        """Takes the metrics of a completed epoch."""

    def progress(self, progress: "TrainingProgress") -> None:
        """Takes the position within an epoch."""

    @property
    def urgent(self) -> bool:
        """Whether the training is to be saved at once, as it will be ended."""

    def saved(self) -> None:
        """Called when the training has been saved, or cannot be yet; may end it by an exception."""


class Turn(NamedTuple):
    """The end of a turn of a training: the epochs that are done, with the completed fraction of the
    current one; whether its state is saved as it is now; whether training is over."""

    epochs: float
    saved: bool
    over: bool = False


def trained_in_turns(
    run: "Run",
    folder: Path,
    session: "TrainingCommand",
    watcher: Watcher,
    tensorboard: bool,
    goes_on: bool,
    progress: Progress,
) -> "Generator[Turn]":
    """Trains, then, after the turn in which training is over, fills the run folder; with
    `tensorboard`, logs for that are among its files."""
    with writing(folder):
        folder.mkdir(exist_ok=True)
        run_folder.remove_half_written(folder)
        if not goes_on:
            (folder / run_files.CONFIG).unlink(missing_ok=True)  # of an earlier run
    checkpoints = Checkpoints(folder, session, goes_on, partial(_save, folder, session))
    logging = _logs(folder, run, tensorboard)
    with removed_if_empty(folder), checkpoints.explained(), logging as logs:
        yield from _train(run, checkpoints, watcher, logs)
        yield Turn(run.planned_epochs, saved=True, over=True)
        with progress.lasting("filling the run folder"):
            _fill(folder, run, session, logs)
    checkpoints.finish()


def followed_in_turns(run: "Run") -> "Generator[Turn]":
    """Trains, in a process beside the one that writes the run folder."""
    from aectl.training.capacity import explained
    from aectl.training.run import Epoch

    with explained(run.sketch):
        for event in run.epochs():
            # between the steps of an epoch and its row, the first process saves nothing
            saved = isinstance(event, Epoch) or event.losses is None
            yield Turn(len(run.rows), saved)
    yield Turn(run.planned_epochs, saved=True, over=True)


def _save(folder: Path, session: "TrainingCommand", run: "Run", calibrate: bool = False) -> None:
    """Writes the model as it is by now, its options and its metrics; with `calibrate`, also its
    calibration on what it held out."""
    card, found = run.card(), None
    if calibrate and (found := calibration_of_run(run, card)):
        card = card_of_run(card, found)
    training = {"command": _command(session, run.config), **card.training}
    if session.continued:
        training["continued"] = session.continued
    card = dataclasses.replace(card, training=training)
    tensors = tensors_of(found) if found else None
    model_file.save(folder / model_file.FILE_NAME, run.network, card, run.best_weights, tensors)
    run_folder.save_text(folder / run_files.CONFIG, _log(card) + to_toml(run.config.values()))
    run_folder.save_metrics(folder / run_files.METRICS, run.rows)


def _command(session: "TrainingCommand", config: "Config") -> str:
    """The command that trains the same model, unless training continued with other options."""
    settled = {"dataset": config.data.dataset, "seed": config.training.seed}
    unusual = {name: value for name, value in settled.items() if value != OPTIONS[name].default}
    return command({**session.asked, **unusual})


@contextlib.contextmanager
def _logs(folder: Path, run: "Run", wanted: bool) -> "Iterator[TensorBoard | None]":
    """The logs for TensorBoard, if they are wanted; a run that is resumed goes on with its own."""
    if not wanted:
        yield None
        return
    from aectl.outputs.tensorboard import TensorBoard

    logs = TensorBoard(folder / run_files.TENSORBOARD, len(run.rows) + 1)
    try:
        yield logs
    finally:
        logs.close()


def _train(
    run: "Run", checkpoints: Checkpoints, watcher: Watcher, logs: "TensorBoard | None"
) -> Iterator[Turn]:
    """Trains, and keeps the state; a turn ends after each event."""
    from aectl.training.capacity import explained
    from aectl.training.run import Epoch

    with explained(run.sketch):
        for event in run.epochs():
            if isinstance(event, Epoch):
                watcher.epoch(event.row)
                if logs:
                    logs.epoch(event.row, run.weights())
                yield Turn(len(run.rows), checkpoints.after(run, event, watcher.urgent))
            else:
                watcher.progress(event)
                done = len(run.rows) + (0 if event.doing else event.step / event.steps)
                # before the first step, there is nothing to save
                saved = bool(event.doing) or checkpoints.after(run, event, watcher.urgent)
                yield Turn(done, saved)


@contextlib.contextmanager
def removed_if_empty(*folders: Path) -> Iterator[None]:
    """Takes the folders away where the block fails and has left nothing in them."""
    try:
        yield
    except BaseException:
        for folder in folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def warning_of(run: "Run") -> str | None:
    """A warning where most of the units of a trained code are dead; else None."""
    row = run.rows[-1]
    dead = row.get("train_dead", row.get("validation_dead", 0.0))
    if dead <= MUCH_DEAD:
        return None
    remedy = modality_named(run.architecture.modality).remedy(run.config)
    return (
        f"{dead:.0%} of the code's units are active for no image; {remedy} keeps more of them alive"
    )


def stopped(run: "Run") -> str | None:
    """A notice where training ended before its last epoch."""
    if not run.stalled or len(run.rows) == run.planned_epochs:
        return None
    return (
        f"stopped after {len(run.rows)} of {run.planned_epochs} epochs: the validation loss has not"
        f" fallen for {run.config.training.patience} (--patience)"
    )


def memorised(run: "Run") -> str | None:
    """A warning where the error on held-out inputs is far above that on training inputs."""
    if run.errors is None or not run.errors.memorised:
        return None
    return (
        f"the model has memorised its training {run.noun}: their mse is {run.errors.trained:.3g},"
        f" and {run.errors.held_out:.3g} on those held out; more {run.noun}, --flip, --noise or a"
        " narrower --hidden help"
    )


def _fill(folder: Path, run: "Run", session: "TrainingCommand", logs: "TensorBoard | None") -> None:
    """Writes everything that a run folder holds, the model first."""
    from aectl.outputs import curves

    _save(folder, session, run, calibrate=True)
    curves.save_curves(folder / run_files.CURVES, run.rows)
    card = model_file.read_card(folder)
    modality_of(card).fill(folder, run, card, Path(session.data_dir), logs)


def _log(card: "ModelCard") -> str:
    """How a run came about, as comments."""
    said = {k: v for k, v in card.training.items() if k not in ("options", "baselines")}
    versions = said.pop("versions")
    said["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "".join(f"# {spelt_out(f'{name}: {value}')}\n" for name, value in said.items()) + "\n"
