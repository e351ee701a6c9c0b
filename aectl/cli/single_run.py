"""One training from its first step to a filled run folder."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aectl.cli.checkpoints import Checkpoints
from aectl.cli.console import Console
from aectl.cli.portrait import command, report
from aectl.cli.signals import Signals
from aectl.cli.training_view import TrainingView
from aectl.config import run_files
from aectl.config.configuration import OPTIONS
from aectl.config.kinds import TEXT
from aectl.config.spelling import spelt_out
from aectl.files import writing
from aectl.models import model_file
from aectl.outputs import run_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from aectl.config.configuration import Config
    from aectl.data.images.datasets import ImageSet
    from aectl.models.model_file import ModelCard
    from aectl.models.networks import TextNetwork
    from aectl.outputs.tensorboard import TensorBoard
    from aectl.training.image_run import ImageRun
    from aectl.training.run import Run
    from aectl.training.state import Session
    from aectl.training.text_run import TextRun

PICTURED, PROJECTED = 40, 1000
SAMPLED = 10_000
SAMPLED_BYTES = 1 << 28
MUCH_DEAD = 0.5


def train_one(
    run: "Run",
    folder: Path,
    session: "Session",
    console: Console,
    tensorboard: bool,
    goes_on: bool,
) -> None:
    """Trains, and fills the run folder; with `tensorboard`, logs for that are among its files."""
    with writing(folder):
        folder.mkdir(exist_ok=True)
        run_folder.remove_half_written(folder)
        if not goes_on:
            (folder / run_files.CONFIG).unlink(missing_ok=True)  # of an earlier run
    checkpoints = Checkpoints(folder, session, goes_on, partial(_save, folder, session))
    logging = _logs(folder, run, tensorboard)
    with removed_if_empty(folder), checkpoints.explained(), logging as logs:
        _watched(run, checkpoints, console, logs)
        _fill(folder, run, session, logs)
    checkpoints.finish()
    _warn_of_dead_units(run, console)


def _save(folder: Path, session: "Session", run: "Run") -> None:
    """Writes the model as it is by now, its options and its metrics."""
    card = run.card()
    training = {"command": _command(session, run.config), **card.training}
    if session.continued:
        training["continued"] = session.continued
    card = dataclasses.replace(card, training=training)
    model_file.save(folder / model_file.FILE_NAME, run.network, card, run.best_weights)
    run_folder.save_text(folder / run_files.CONFIG, _log(card) + run.config.to_toml())
    run_folder.save_metrics(folder / run_files.METRICS, run.rows)


def _command(session: "Session", config: "Config") -> str:
    """What trains the very model again, unless training went on with other options."""
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


def _watched(
    run: "Run", checkpoints: Checkpoints, console: Console, logs: "TensorBoard | None"
) -> None:
    """Trains, shows how it goes, and keeps the state; a signal waits for the end of a step."""
    from aectl.training.run import Epoch

    with Signals() as signals, TrainingView(console, run) as view:
        for event in run.epochs():
            if isinstance(event, Epoch):
                view.epoch(event.row)
                if logs:
                    logs.epoch(event.row, run.weights())
            else:
                view.progress(event)
            if checkpoints.after(run, event, urgent=signals.came):
                signals.check()


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


def _warn_of_dead_units(run: "Run", console: Console) -> None:
    row = run.rows[-1]
    dead = row.get("train_dead", row.get("validation_dead", 0.0))
    centered = run.config.model.center or run.architecture.modality == TEXT
    remedy = "a lower --lr, or another --code-activation," if centered else "--center"
    if dead > MUCH_DEAD:
        console.warning(
            f"{dead:.0%} of the code's units are active for no image; {remedy} keeps more of them"
            " alive"
        )


def _fill(folder: Path, run: "Run", session: "Session", logs: "TensorBoard | None") -> None:
    """Writes everything that a run folder holds, the model first."""
    from aectl.outputs import curves

    _save(folder, session, run)
    curves.save_curves(folder / run_files.CURVES, run.rows)
    card = model_file.read_card(folder)
    if run.architecture.modality == TEXT:
        if not run.architecture.classes:
            run_folder.save_text(folder / run_files.RECONSTRUCTIONS, _written(cast("TextRun", run)))
        return
    images = cast("ImageRun", run)
    drawn = _draw(folder, images.network, images.data)
    page = report(images, card, folder.resolve().name, Path(session.data_dir))
    run_folder.save_text(folder / run_files.REPORT, page)
    if logs:
        logs.pictures(drawn, len(run.rows))
        _log_codes(images, logs)


def _written(run: "TextRun") -> str:
    """Some of the texts, held out if any are, and what became of them."""
    from aectl.data.text.text_inputs import in_memory
    from aectl.inference import apply as inference
    from aectl.inference import apply_text as text_inference
    from aectl.outputs.text_rows import to_columns, to_text

    rows = run.held_out if len(run.held_out) else range(len(run.data))
    lines = [run.data.lines[row] for row in rows[:: math.ceil(len(rows) / PICTURED)]]
    batches = in_memory(lines, run.vocabulary, run.architecture.text.length)
    network = cast("TextNetwork", run.network)
    to_tensor = inference.on_device(network, run.device, text_inference.token_tensor)
    results = text_inference.reconstruct(network, batches, to_tensor, run.vocabulary)
    return "\n".join(to_text(to_columns(result)) for result in results)


def _log_codes(run: "ImageRun", logs: "TensorBoard") -> None:
    """Puts the codes of some images into the logs; a classifier has none."""
    from aectl.inference import apply as inference
    from aectl.models.networks import Classifier

    if isinstance(run.network, Classifier):
        return
    shown = run.data.spread(PROJECTED)
    names = [shown.label(row) or shown.path(row) for row in range(len(shown))]
    codes = inference.codes_of(run.network, shown.images)
    logs.codes(codes, shown.images, names, len(run.rows))


def _log(card: "ModelCard") -> str:
    """How a run came about, as comments."""
    said = {k: v for k, v in card.training.items() if k not in ("options", "baselines")}
    versions = said.pop("versions")
    said["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "".join(f"# {spelt_out(f'{name}: {value}')}\n" for name, value in said.items()) + "\n"


def _draw(folder: Path, network: Any, images: "ImageSet") -> "dict[str, Image]":
    """Draws what the units look for and, for an autoencoder, reconstructions; by name."""
    from aectl.inference import apply as inference
    from aectl.inference.filters import filters_of
    from aectl.models.networks import Classifier
    from aectl.outputs import pictures

    few_enough = max(PICTURED, SAMPLED_BYTES // math.prod(images.shape))
    sample = images.spread(min(SAMPLED, few_enough)).images
    filters = filters_of(network, sample, pictures.MOST_FILTERS, pictures.LARGEST_SIDE)
    dead = None if isinstance(network, Classifier) else inference.dead_units(network, sample)
    drawn = {"filters": pictures.filter_grid(filters, dead, _told_of(len(filters), dead))}
    if not isinstance(network, Classifier):
        shown = images.spread(PICTURED)
        made = inference.reconstruct_images(network, shown.images)
        title = f"{len(shown)} of the training images, each above its reconstruction and its mse"
        errors = pictures.errors(shown.images, made)
        grid = pictures.reconstruction_grid(shown.images, made, errors, title)
        drawn["reconstructions"] = grid
    else:
        (folder / run_files.PICTURES).unlink(missing_ok=True)  # of an earlier run
    for name, picture in drawn.items():
        pictures.save_png(folder / f"{name}.png", picture)
    return drawn


def _told_of(shown: int, dead: "NDArray[np.bool_] | None") -> str:
    """What the picture of the filters says of itself; `dead` is of all units, (units,)."""
    if dead is None:
        return f"what {shown:,} units of the first layer look for"
    some = (
        f"the first {shown:,} of {len(dead):,} units" if shown < len(dead) else f"{shown:,} units"
    )
    crossed = f"; {dead.sum():,} dead, crossed out" if dead.any() else ""
    return f"what {some} of the code look for{crossed}"
