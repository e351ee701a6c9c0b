"""One training from its first step to a filled run folder."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl import model_file
from aectl.cli.checkpoints import Checkpoints
from aectl.cli.console import Console, spelt_out
from aectl.cli.portrait import report
from aectl.cli.signals import Signals
from aectl.cli.training_view import TrainingView
from aectl.files import remove_half_written, writing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aectl.data.datasets import ImageSet
    from aectl.model_file import ModelCard
    from aectl.training.run import Run

PICTURED = 40
SAMPLED = 10_000
SAMPLED_BYTES = 1 << 28
MUCH_DEAD = 0.5


def train_one(
    run: "Run", folder: Path, checkpoints: Checkpoints, console: Console, command: str, data: Path
) -> None:
    """Trains, and fills the run folder.

    The model remembers the `command`; its report is made with the named datasets in `data`.
    """
    with writing(folder):
        folder.mkdir(exist_ok=True)
        remove_half_written(folder)
    with removed_if_empty(folder), checkpoints.explained():
        _watched(run, checkpoints, console)
        _fill(folder, run, command, data)
    checkpoints.remove()
    _warn_of_dead_units(run.rows[-1], console)


def _watched(run: "Run", checkpoints: Checkpoints, console: Console) -> None:
    """Trains, shows how it goes, and keeps the state; a signal waits for the end of a step."""
    from aectl.training.run import Epoch

    with Signals() as signals, TrainingView(console, run) as view:
        for event in run.epochs():
            if isinstance(event, Epoch):
                view.epoch(event.row)
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


def _warn_of_dead_units(row: Mapping[str, Any], console: Console) -> None:
    dead = row.get("train_dead", row.get("validation_dead", 0.0))
    if dead > MUCH_DEAD:
        console.notice(
            f"{dead:.0%} of the code's units are active for no image; a lower --lr, or another"
            " --code-activation, keeps more of them alive"
        )


def _fill(folder: Path, run: "Run", command: str, data_dir: Path) -> None:
    """Writes everything that a run folder holds, the model first."""
    from aectl.outputs import curves, run_folder

    card = run.card()
    card = dataclasses.replace(card, training={"command": command, **card.training})
    model_file.save(folder / model_file.FILE_NAME, run.network, card)
    run_folder.save_text(folder / "config.toml", _log(card) + run.config.to_toml())
    run_folder.save_metrics(folder / "metrics.csv", run.rows)
    curves.save_curves(folder / "curves.png", run.rows)
    _draw(folder, run.network, run.images)
    card = model_file.read_card(folder)
    page = report(run, card, folder.resolve().name, data_dir)
    run_folder.save_text(folder / "report.html", page)


def _log(card: "ModelCard") -> str:
    """How a run came about, as comments."""
    said = {name: value for name, value in card.training.items() if name != "options"}
    versions = said.pop("versions")
    said["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "".join(f"# {spelt_out(f'{name}: {value}')}\n" for name, value in said.items()) + "\n"


def _draw(folder: Path, network: Any, images: "ImageSet") -> None:
    from aectl import inference
    from aectl.models import Classifier
    from aectl.outputs import pictures

    few_enough = max(PICTURED, SAMPLED_BYTES // math.prod(images.shape))
    sample = images.spread(min(SAMPLED, few_enough)).images
    mean, spread = inference.mean_and_spread(sample)
    filters = inference.filters(network, mean, spread, most=pictures.MOST_FILTERS)
    dead = None if isinstance(network, Classifier) else inference.dead_units(network, sample)
    picture = pictures.filter_grid(filters, dead, _told_of(len(filters), dead))
    pictures.save_png(folder / "filters.png", picture)
    if isinstance(network, Classifier):
        (folder / "reconstructions.png").unlink(missing_ok=True)  # of an earlier run
        return
    shown = images.spread(PICTURED)
    made = inference.reconstruct_images(network, shown.images)
    title = f"{len(shown)} of the training images, each above its reconstruction and its mse"
    grid = pictures.reconstruction_grid(
        shown.images, made, pictures.errors(shown.images, made), title
    )
    pictures.save_png(folder / "reconstructions.png", grid)


def _told_of(shown: int, dead: "NDArray[np.bool_] | None") -> str:
    """What the picture of the filters says of itself; `dead` is of all units, (units,)."""
    if dead is None:
        return f"what {shown:,} units of the first layer look for"
    some = (
        f"the first {shown:,} of {len(dead):,} units" if shown < len(dead) else f"{shown:,} units"
    )
    crossed = f"; {dead.sum():,} dead, crossed out" if dead.any() else ""
    return f"what {some} of the code look for{crossed}"
