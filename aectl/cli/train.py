"""`aectl train`: from options and images to a run folder."""

import dataclasses
import importlib
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aectl import model_file
from aectl.cli import machine, options, recipes
from aectl.cli.console import Console, Outcome
from aectl.cli.console import data_dir as default_data_dir
from aectl.cli.training_view import TrainingView
from aectl.config import Config, read_toml
from aectl.errors import ConfigError
from aectl.recipes import RECIPES
from aectl.recipes import read as read_recipe

if TYPE_CHECKING:
    from aectl.data.datasets import ImageSet
    from aectl.data.images import Pixels
    from aectl.data.inputs import InputBatch
    from aectl.training.run import Run

PICTURED = 40
SAMPLED = 10_000
MUCH_DEAD = 0.5
MUCH_BUSY = 0.5


@options.with_config_options
def train(
    given: dict[str, object],
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME",
            help="Options that reproduce a published result; those given here win over them. "
            "help lists them, as aectl recipes does.",
            autocompletion=lambda: list(RECIPES),
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="TOML file of options; those given here win over it."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="The run folder.",
            show_default="runs/DATASET-MODEL-N",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    seeds: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Train so many times, with the seeds --seed, --seed + 1, ..., each in a folder "
            "seed-N of the run folder.",
            min=1,
            max=1000,
        ),
    ] = 1,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    workers: options.Workers = None,
    memory: Annotated[
        float | None,
        typer.Option(
            "--memory",
            metavar="GIB",
            help="How much of a folder's images, decoded, memory may hold; a set that takes more"
            " lies in a temporary file.",
            min=0,
            show_default="half of the machine's",
            rich_help_panel=options.RUN,
        ),
    ] = None,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Train a model. Prints the path of its file; the run folder holds pictures and figures too.

    Example: aectl train --sparse --rho 0.05
    """
    if recipe == "help":
        return recipes.listed()
    console = Console(quiet)
    outcome = Outcome(console)
    others = machine.OtherPrograms()
    if recipe is not None and config is not None:
        raise ConfigError("give either --recipe or --config, not both")
    file = read_recipe(recipe) if recipe is not None else read_toml(config) if config else {}

    from aectl.outputs import run_folder
    from aectl.training.setup import Reading, prepare

    run_folder.refuse_filled(out, overwrite)
    reading = Reading(
        default_data_dir(data_dir), outcome.on_bad, workers or machine.cores(),
        memory * 2**30 if memory is not None else machine.half_the_memory(),
        partial(_read_along, console),
    )  # fmt: skip
    chosen, images = prepare(given, file, reading)

    import torch

    from aectl.training.run import Run
    from aectl.training.start import Start

    on = machine.torch_device(device, threads)
    paths = chosen.training
    start = Start(
        weights=model_file.load(Path(paths.load))[0] if paths.load else None,
        encoder=model_file.load(Path(paths.encoder)) if paths.encoder else None,
    )
    torch.set_flush_denormal(True)  # else the optimiser crawls over units that died
    folder: Path | None = None
    for seed in range(paths.seed, paths.seed + seeds):
        seeded = dataclasses.replace(chosen, training=dataclasses.replace(paths, seed=seed))
        run = Run(seeded, images, on, start)
        if threads is None and run.small:
            torch.set_num_threads(1)
        several = threads is None and on.type == "cpu" and torch.get_num_threads() > 1
        if several and seed == paths.seed:
            _warn_of_other_programs(others.busy_cores(), console)
        folder = folder or _make_folder(out, chosen, overwrite)
        target = folder if seeds == 1 else folder / f"seed-{seed}"
        target.mkdir(exist_ok=True)
        try:
            rows = _watched(run, console)
        except BaseException:
            _remove_if_empty(target, folder, *([] if out else [folder.parent]))
            raise
        _fill(target, run, rows)
        _warn_of_dead_units(rows[-1], console)
        typer.echo(target / model_file.FILE_NAME)
        sys.stdout.flush()
    assert folder is not None
    where = f" --data-dir {data_dir}" if data_dir else ""
    console.notice(f"next: aectl eval {folder if seeds == 1 else folder / 'seed-*'}{where}")
    return outcome.status(len(images))


def _read_along(console: Console, batches: "Iterable[InputBatch]") -> "Iterator[InputBatch]":
    """The batches of a folder, counted; torch is imported while the workers decode them."""
    threading.Thread(target=importlib.import_module, args=("torch",), daemon=True).start()
    return console.counted(batches, "reading")


def _make_folder(out: Path | None, config: Config, overwrite: bool) -> Path:
    from aectl.outputs import run_folder

    dataset = Path(config.data.dataset.replace(":", "-")).resolve().name
    return run_folder.make(out, f"{dataset}-{config.model.model}", overwrite)


def _remove_if_empty(*folders: Path) -> None:
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _watched(run: "Run", console: Console) -> list[Mapping[str, Any]]:
    """Trains, and shows how it goes; returns a row an epoch."""
    from aectl.training.run import Epoch

    rows: list[Mapping[str, Any]] = []
    with TrainingView(console, run) as view:
        for event in run.epochs():
            if isinstance(event, Epoch):
                rows.append(event.row)
                view.epoch(event.row)
            else:
                view.progress(event)
    return rows


def _warn_of_other_programs(busy_cores: float, console: Console) -> None:
    """The threads wait for each other at every product, so for any that has no core to run on."""
    if busy_cores > MUCH_BUSY:
        console.notice(
            f"other programs keep {busy_cores:.1f} of {machine.cores()} cores busy: training on"
            " several threads may crawl; --threads 1 does not"
        )


def _warn_of_dead_units(row: Mapping[str, Any], console: Console) -> None:
    dead = row.get("train_dead", row.get("validation_dead", 0.0))
    if dead > MUCH_DEAD:
        console.notice(
            f"{dead:.0%} of the code's units are active for no image; a lower --lr, or another"
            " --code-activation, keeps more of them alive"
        )


def _fill(folder: Path, run: "Run", rows: list[Mapping[str, Any]]) -> None:
    """Writes everything that a run folder holds, the model first."""
    from aectl.outputs import curves, run_folder

    model_file.save(folder / model_file.FILE_NAME, run.network, run.card())
    run_folder.save_text(folder / "config.toml", run.config.to_toml())
    run_folder.save_metrics(folder / "metrics.csv", rows)
    curves.save_curves(folder / "curves.png", rows)
    _draw(folder, run.network, run.images)


def _draw(folder: Path, network: Any, images: "ImageSet") -> None:
    from aectl import inference
    from aectl.models import Classifier
    from aectl.outputs import pictures

    sample = _spread_over(images, SAMPLED)
    pixels = sample / 255
    filters = inference.filters(network, pixels.mean(0), pixels.std(0))
    dead = None if isinstance(network, Classifier) else inference.dead_units(network, sample)
    pictures.save_png(folder / "filters.png", pictures.filter_grid(filters, dead))
    if not isinstance(network, Classifier):
        shown = _spread_over(images, PICTURED)
        grid = pictures.reconstruction_grid(shown, inference.reconstruct_images(network, shown))
        pictures.save_png(folder / "reconstructions.png", grid)


def _spread_over(images: "ImageSet", count: int) -> "Pixels":
    """So many images, evenly spread over a set that may be sorted by class."""
    return images.images[:: max(1, len(images) // count)][:count]
