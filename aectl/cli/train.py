"""`aectl train`: from options and images to a run folder."""

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aectl import model_file
from aectl.cli import console as io
from aectl.cli import options
from aectl.cli.console import Console, Outcome, torch_device
from aectl.cli.training_view import TrainingView
from aectl.cli.verb import read_card
from aectl.config import AUTOENCODERS, Config, read_toml
from aectl.errors import AectlError, ConfigError, DatasetUnavailableError

if TYPE_CHECKING:
    import torch

    from aectl.data.datasets import ImageSet

FALLBACK = "digits"


@options.with_config_options
def train(
    given: dict[str, object],
    config: Annotated[
        Path | None,
        typer.Option("--config", help="TOML file of options; those given here win over it."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The run folder.", show_default="runs/DATASET-MODEL-N"),
    ] = None,
    overwrite: options.Overwrite = False,
    seeds: Annotated[
        int,
        typer.Option(
            help="Train so many times, with the seeds --seed, --seed + 1, ..., each in a folder "
            "seed-N of the run folder.",
            min=1,
            max=1000,
        ),
    ] = 1,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Train a model. Prints the path of its file; the run folder holds pictures and figures too.

    Example: aectl train --sparse --rho 0.05
    """
    console = Console(quiet)
    outcome = Outcome(console)
    beneath = {**_from_models(given), **(read_toml(config) if config else {})}
    chosen = Config.from_options(given, beneath)
    free_choice = "dataset" not in {**beneath, **given}
    images, chosen = _training_images(chosen, io.data_dir(data_dir), free_choice, outcome)
    chosen = _resolved(chosen, images)
    images = images.fitted(_shape(chosen))
    on = torch_device(device, threads)
    folder = _make_folder(out, chosen, overwrite)
    for seed in range(chosen.training.seed, chosen.training.seed + seeds):
        training = dataclasses.replace(chosen.training, seed=seed)
        target = folder if seeds == 1 else folder / f"seed-{seed}"
        target.mkdir(exist_ok=True)
        try:
            _train_one(dataclasses.replace(chosen, training=training), images, on, target, console)
        except AectlError:
            _remove_empty(target, folder)
            raise
        typer.echo(target / model_file.FILE_NAME)
        sys.stdout.flush()
    console.notice(f"next: aectl eval {folder if seeds == 1 else folder / 'seed-*'}")
    return outcome.status(len(images))


def _from_models(given: Mapping[str, object]) -> dict[str, object]:
    """The options that --load and --encoder settle: a network's own, and its images' shape."""
    settled: dict[str, object] = {}
    if isinstance(encoder := given.get("encoder"), str):
        card = read_card(Path(encoder), "--encoder", AUTOENCODERS)
        settled |= {"channels": card.shape[0], "size": card.shape[1:], "model": "classifier"}
    if isinstance(load := given.get("load"), str):
        card = model_file.read_card(Path(load))
        if card.architecture.encoder:
            raise ConfigError(
                "--load cannot start from a classifier that stands on an encoder; train a new one"
                " with --encoder"
            )
        described = card.architecture.to_json()
        settled |= {k: v for k, v in described.items() if k not in ("shape", "classes")}
        settled |= {"channels": card.shape[0], "size": card.shape[1:], "dataset": card.dataset}
    return settled


def _training_images(
    config: Config, folder: Path, free_choice: bool, outcome: Outcome
) -> "tuple[ImageSet, Config]":
    """The images to train on; the bundled digits where MNIST was not asked for by name."""
    from aectl.data import datasets
    from aectl.data.folders import load_folder
    from aectl.errors import DataError, UnknownInputError
    from aectl.options import near_miss

    word = config.data.dataset
    if not datasets.is_dataset(word):
        if Path(word).is_dir():
            shape = _shape(config) if config.data.size and config.data.channels else None
            return load_folder(word, shape, outcome.on_bad), config
        if os.path.lexists(word):
            raise DataError(f"{word} is a file; --dataset takes a dataset's name or a folder")
        hint = near_miss(word.partition(":")[0], datasets.DATASETS)
        raise UnknownInputError(f"no dataset or folder '{word}'{hint}")
    try:
        return datasets.load(word, folder, split="train"), config
    except DatasetUnavailableError:
        if not free_choice:
            raise
        outcome.console.notice(
            f"MNIST is not in {folder} and cannot be downloaded: training on the bundled digits"
            " (1,437 scans of 8x8 pixels).\nFor MNIST, run again with a network, or name the"
            " folder that holds it with --data-dir."
        )
        data = dataclasses.replace(config.data, dataset=FALLBACK)
        return datasets.load(FALLBACK, folder, split="train"), dataclasses.replace(
            config, data=data
        )


def _resolved(config: Config, images: "ImageSet") -> Config:
    """The config with the shape of the images, and the widths that follow from it."""
    channels, height, width = images.shape
    channels = config.data.channels or channels
    if config.data.size:
        height, width = (*config.data.size, *config.data.size)[:2]
    if config.training.encoder:
        features = model_file.read_card(Path(config.training.encoder)).architecture.code_size
    else:
        features = channels * height * width
    return config.resolved((channels, height, width), features, len(images))


def _shape(config: Config) -> tuple[int, int, int]:
    assert config.data.size and config.data.channels
    height, width = (*config.data.size, *config.data.size)[:2]
    return config.data.channels, height, width


def _make_folder(out: Path | None, config: Config, overwrite: bool) -> Path:
    from aectl.outputs import run_folder

    dataset = Path(config.data.dataset.replace(":", "-")).resolve().name
    return run_folder.make(out, f"{dataset}-{config.model.model}", overwrite)


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _train_one(
    config: Config, images: "ImageSet", device: "torch.device", folder: Path, console: Console
) -> None:
    """Trains one model and fills its run folder."""
    from aectl.outputs import curves, run_folder
    from aectl.training.run import Epoch, Run, Start

    start = Start(
        weights=model_file.load(Path(config.training.load))[0] if config.training.load else None,
        encoder=model_file.load(Path(config.training.encoder)) if config.training.encoder else None,
    )
    run = Run(config, images, device, start)
    rows: list[Mapping[str, Any]] = []
    with TrainingView(console, config, len(images), str(device)) as view:
        for event in run.epochs():
            if isinstance(event, Epoch):
                rows.append(event.row)
                view.epoch(event.row)
            else:
                view.progress(event)
    model_file.save(folder / model_file.FILE_NAME, run.network, run.card())
    run_folder.save_text(folder / "config.toml", config.to_toml())
    run_folder.save_metrics(folder / "metrics.csv", rows)
    curves.save_curves(folder / "curves.png", rows)
    _save_pictures(run.network, images, folder)


def _save_pictures(network: Any, images: "ImageSet", folder: Path) -> None:
    import torch

    from aectl import inference
    from aectl.outputs import pictures

    network.cpu()
    mean = torch.from_numpy(images.images.mean(0) / 255).float()
    spread = torch.from_numpy(images.images.std(0) / 255).float()
    pictures.save_png(
        folder / "filters.png", pictures.filter_grid(inference.filters(network, mean, spread))
    )
    if images.classes and not hasattr(network, "reconstruct"):
        return
    shown = images.images[:40]
    with torch.no_grad():
        output = network.reconstruct(inference.to_tensor(shown, torch.device("cpu"))).numpy()
    pictures.save_png(folder / "reconstructions.png", pictures.reconstruction_grid(shown, output))
