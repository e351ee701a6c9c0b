"""`aectl train`: from options and images to a run folder."""

import contextlib
import dataclasses
import importlib
import os
import shlex
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aectl.cli import options, recipes, resuming
from aectl.cli.console import Console, Outcome
from aectl.cli.single_run import removed_if_empty, train_one
from aectl.cli.stdout import show_path
from aectl.config import run_files
from aectl.config.configuration import Config, read_toml
from aectl.config.recipes import RECIPES
from aectl.config.recipes import read as read_recipe
from aectl.errors import ConfigError
from aectl.models import model_file
from aectl.verbs import machine

if TYPE_CHECKING:
    from aectl.data.images.datasets import ImageSet
    from aectl.data.inputs import InputBatch
    from aectl.data.text.text_sets import TextSet
    from aectl.training.initialisation import Start
    from aectl.training.run import Run
    from aectl.training.setup import Reading
    from aectl.training.state import Session, TrainingState

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
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Continue the training of this run folder where it stopped, or, with more "
            "--epochs, after its end. All options are those of the original training, except "
            "--lr, --clip-grad and --epochs if given.",
        ),
    ] = None,
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
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Write figures, weights, pictures and codes for TensorBoard into the run folder.",
        ),
    ] = False,
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
    plain: options.Plain = False,
    debug: options.Debug = False,
) -> int:
    """Train a model. Prints the path of its file; the run folder holds a report to look at too.

    Example: aectl train --sparse --rho 0.05
    """
    if recipe == "help":
        return recipes.listed()
    console = Console(quiet, plain)
    outcome = Outcome(console)
    others = machine.OtherPrograms()
    if recipe is not None and config is not None:
        raise ConfigError("give either --recipe or --config, not both")
    begun: TrainingState | None = None
    on_device: str = device
    if resume is not None:
        begun = resuming.load(
            resume, given, bool(recipe or config or out or overwrite or seeds > 1)
        )
        on_device = begun.session.device if device == "auto" else device
        threads = threads or begun.session.threads
        data_dir = data_dir.absolute() if data_dir else Path(begun.session.data_dir)
    file = read_recipe(recipe) if recipe is not None else read_toml(config) if config else {}

    from aectl.outputs import run_folder
    from aectl.training.setup import Reading

    run_folder.refuse_filled(out, overwrite)
    reading = Reading(
        machine.data_dir(data_dir), outcome.on_bad, workers or machine.cores(),
        memory * 2**30 if memory is not None else machine.half_the_memory(),
        partial(_read_along, console), outcome.on_remark, outcome.skipped,
    )  # fmt: skip
    plan = _planned(begun, given, file, reading, seeds)
    outcome.tell_remarks()
    outcome.tell_skipped()
    if begun:
        resuming.compare(begun.session, plan.data, console)

    import torch

    from aectl.training.setup import new_run

    on = machine.torch_device(on_device, threads)
    torch.set_flush_denormal(True)  # else the optimiser crawls over units that died
    run = new_run(plan.config, plan.data, on, plan.start, begun.run if begun else None)
    if threads is None and run.small:
        torch.set_num_threads(1)
    if threads is None and on.type == "cpu":
        _tell_of_other_programs(others.busy_cores(), torch.get_num_threads(), console)
    continued: list[str] = []
    if begun and resume:
        continued = resuming.restore(run, begun, given, console)
        folder = _parent(resume, f"seed-{plan.seeds[0]}") if plan.several else resume
    else:
        folder = _make_folder(out, plan.config, overwrite)
    asked = {**({"recipe": recipe} if recipe else file), **given}
    session = _session(plan, begun, asked, continued, on.type, reading.data_dir)
    goes_on, begun = begun is not None, None  # and with it, what memory its state takes
    with run_folder.locked(folder), removed_if_empty(folder, *([] if out else [folder.parent])):
        _train_all(plan, run, folder, session, tensorboard, console, goes_on)
    _tell_what_next(folder, plan.several, reading.data_dir, console)
    return outcome.status(len(plan.data))


def _tell_what_next(folder: Path, several: bool, data_dir: Path, console: Console) -> None:
    """What there is to look at, and the next command to try."""
    known = {str(machine.data_dir(None)), os.environ.get("AECTL_DATA_DIR")}
    where = "" if str(data_dir) in known else f" --data-dir {shlex.quote(str(data_dir))}"
    runs = f"{shlex.quote(str(folder))}{'/seed-*' if several else ''}"
    page = several and any(folder.glob("seed-*/report.html"))
    report = f" --report {shlex.quote(str(folder / 'report.html'))}" if page else ""
    if (folder / run_files.REPORT).exists():
        console.notice(f"look: {folder / run_files.REPORT} in a browser")
    console.notice(f"next: aectl eval {runs}{where}{report}")


@dataclass(frozen=True)
class Plan:
    """What is trained on what, and with which seeds; `several` where each has a folder of its own.

    `config` is that of the first seed.
    """

    config: Config
    data: "ImageSet | TextSet"
    start: "Start | None"
    seeds: list[int]
    several: bool


def _planned(
    begun: "TrainingState | None",
    given: Mapping[str, object],
    file: Mapping[str, object],
    reading: "Reading",
    seeds: int,
) -> Plan:
    """What the options ask for; of a training that has `begun`, what is left of it."""
    from aectl.training.setup import prepare, prepare_again

    if begun is None:
        config, data = prepare(given, file, reading)
        first = config.training.seed
        return Plan(config, data, _start(config), [*range(first, first + seeds)], seeds > 1)
    session, of_texts = begun.session, begun.run.vocabulary is not None
    with contextlib.chdir(session.cwd):
        config, data = prepare_again(given, session.options, reading, of_texts)
        start = _start(config) if len(session.seeds) > 1 else None
    return Plan(config, data, start, session.seeds, session.several)


def _session(
    plan: Plan,
    begun: "TrainingState | None",
    asked: dict[str, object],
    continued: list[str],
    device: str,
    data_dir: Path,
) -> "Session":
    """What a checkpoint holds of this command, or of the one that had `begun`; options are those of
    each run.
    """
    import torch

    from aectl.training.run import versions
    from aectl.training.state import Session

    return Session(
        options={},
        asked=begun.session.asked if begun else asked,
        continued=continued,
        cwd=begun.session.cwd if begun else os.getcwd(),
        data_dir=str(data_dir.absolute()),
        data_sha256=plan.data.checksum,
        device=device,
        threads=torch.get_num_threads(),
        versions=versions(),
        seeds=plan.seeds,
        several=plan.several,
    )


def _train_all(
    plan: Plan,
    run: "Run",
    folder: Path,
    session: "Session",
    tensorboard: bool,
    console: Console,
    goes_on: bool,
) -> None:
    """Trains the first seed's `run`, and those of the other seeds, and prints where each model is.

    `session` is what a checkpoint holds of the first.
    """
    from aectl.training.setup import new_run

    for number, seed in enumerate(plan.seeds):
        if number:
            run = new_run(_seeded(plan.config, seed), plan.data, run.device, plan.start)
            session = dataclasses.replace(session, seeds=plan.seeds[number:], continued=[])
        session = dataclasses.replace(session, options=run.config.values())
        target = folder / f"seed-{seed}" if plan.several else folder
        train_one(run, target, session, console, tensorboard, goes_on and not number)
        show_path(target / model_file.FILE_NAME)


def _start(config: Config) -> "Start":
    """The models that the options name."""
    from aectl.training.initialisation import Start

    paths = config.training
    weights, card = model_file.load(Path(paths.load)) if paths.load else (None, None)
    encoder = model_file.load(Path(paths.encoder)) if paths.encoder else None
    of = card or (encoder[1] if encoder else None)
    return Start(weights, encoder, of.vocabulary if of else None)


def _parent(folder: Path, name: str) -> Path:
    """The folder in which a run's lies, also where that is but called `.`"""
    return folder.parent if folder.name == name else folder.resolve().parent


def _seeded(config: Config, seed: int) -> Config:
    return dataclasses.replace(config, training=dataclasses.replace(config.training, seed=seed))


def _read_along(
    console: Console, batches: "Iterable[InputBatch]", files: int
) -> "Iterator[InputBatch]":
    """The batches of a folder, counted; torch is imported while the workers decode them."""
    threading.Thread(target=importlib.import_module, args=("torch",), daemon=True).start()
    return console.counted(batches, "reading", total=files)


def _make_folder(out: Path | None, config: Config, overwrite: bool) -> Path:
    from aectl.outputs import run_folder

    dataset = Path(config.data.dataset.replace(":", "-")).resolve().name
    return run_folder.make(out, f"{dataset}-{config.model.model}", overwrite)


def _tell_of_other_programs(busy_cores: float, threads: int, console: Console) -> None:
    """The threads wait for each other at every product, so for any that has no core to run on."""
    if threads > 1 and threads + busy_cores > machine.cores() + MUCH_BUSY:
        console.notice(
            f"other programs keep {busy_cores:.1f} of {machine.cores()} cores busy: training on"
            " several threads may crawl; --threads 1 does not"
        )
