"""`aectl train`: from options and images to a run folder."""

import contextlib
import importlib
import os
import shlex
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aectl.cli import options, recipes, resuming
from aectl.cli.config_options import with_config_options
from aectl.cli.console import Console, Outcome
from aectl.cli.signals import Signals
from aectl.cli.stdout import show_path
from aectl.config import run_files
from aectl.config.recipes import RECIPES
from aectl.config.recipes import read as read_recipe
from aectl.config.written_options import read_toml
from aectl.errors import ConfigError
from aectl.verbs import machine

if TYPE_CHECKING:
    from aectl.cli.training_view import TrainingView
    from aectl.data.inputs import InputBatch
    from aectl.training.loop import TrainingProgress
    from aectl.training.run import Run
    from aectl.training.state import TrainingState

MUCH_BUSY = 0.5


@with_config_options
def train(
    given: dict[str, object],
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME",
            help="Options that reproduce a published result; options given here take precedence. "
            "--recipe help lists them, as aectl recipes does.",
            autocompletion=lambda: list(RECIPES),
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="TOML file of options; options given here take precedence.",
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
            help="Number of trainings, with the seeds --seed, --seed + 1, ..., each in a folder "
            "seed-N of the run folder.",
            min=1,
            max=1000,
        ),
    ] = 1,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Write metrics, weights, pictures and codes for TensorBoard to the run folder.",
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
            help="Maximum memory for a folder's decoded images; larger data go to a temporary"
            " file.",
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
    """Train a model, and print the path of its file; the run folder also has a report.

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
    from aectl.training.reading import Reading
    from aectl.verbs.train import folder_of, new_run, planned, session_of, train_all
    from aectl.verbs.training_run import removed_if_empty, warning_of

    run_folder.refuse_filled(out, overwrite)
    reading = Reading(
        machine.data_dir(data_dir), outcome.on_bad, workers or machine.cores(),
        memory * 2**30 if memory is not None else machine.half_the_memory(),
        partial(_read_along, console), outcome.on_remark, outcome.skipped,
    )  # fmt: skip
    plan = planned(begun, given, file, reading, seeds)
    outcome.tell_remarks()
    outcome.tell_skipped()
    if begun:
        resuming.compare(begun.session, plan.data, console)

    import torch

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
        folder = folder_of(out, plan.config, overwrite)
    asked = {**({"recipe": recipe} if recipe else file), **given}
    session = session_of(plan, begun, asked, continued, on.type, reading.data_dir)
    goes_on, begun = begun is not None, None  # and with it, what memory its state takes
    with run_folder.locked(folder), removed_if_empty(folder, *([] if out else [folder.parent])):
        watch = partial(_watched, console)
        for trained, path in train_all(plan, run, folder, session, tensorboard, watch, goes_on):
            if warning := warning_of(trained):
                console.warning(warning)
            show_path(path)
    _tell_what_next(folder, plan.several, reading.data_dir, console)
    return outcome.status(len(plan.data))


def _tell_what_next(folder: Path, several: bool, data_dir: Path, console: Console) -> None:
    """Names the report and the next command to try."""
    known = {str(machine.data_dir(None)), os.environ.get("AECTL_DATA_DIR")}
    where = "" if str(data_dir) in known else f" --data-dir {shlex.quote(str(data_dir))}"
    runs = f"{shlex.quote(str(folder))}{'/seed-*' if several else ''}"
    page = several and any(folder.glob("seed-*/report.html"))
    report = f" --report {shlex.quote(str(folder / 'report.html'))}" if page else ""
    if (folder / run_files.REPORT).exists():
        console.notice(f"look: {folder / run_files.REPORT} in a browser")
    console.notice(f"next: aectl eval {runs}{where}{report}")


@contextlib.contextmanager
def _watched(console: Console, run: "Run") -> "Iterator[_Watcher]":
    """Shows a training; a signal waits for the end of a step."""
    from aectl.cli.training_view import TrainingView

    with Signals() as signals, TrainingView(console, run) as view:
        yield _Watcher(view, signals)


@dataclass(frozen=True)
class _Watcher:
    """The terminal and the signals of a training."""

    view: "TrainingView"
    signals: Signals

    def epoch(self, row: dict[str, Any]) -> None:
        self.view.epoch(row)

    def progress(self, progress: "TrainingProgress") -> None:
        self.view.progress(progress)

    @property
    def urgent(self) -> bool:
        return self.signals.came

    def saved(self) -> None:
        self.signals.check()


def _parent(folder: Path, name: str) -> Path:
    """The folder in which a run's lies, also where that is but called `.`"""
    return folder.parent if folder.name == name else folder.resolve().parent


def _read_along(
    console: Console, batches: "Iterable[InputBatch]", files: int
) -> "Iterator[InputBatch]":
    """The batches of a folder, counted; torch is imported while the workers decode them."""
    threading.Thread(target=importlib.import_module, args=("torch",), daemon=True).start()
    return console.counted(batches, "reading", total=files)


def _tell_of_other_programs(busy_cores: float, threads: int, console: Console) -> None:
    """The threads wait for each other at every product, so for any that has no core to run on."""
    if threads > 1 and threads + busy_cores > machine.cores() + MUCH_BUSY:
        console.notice(
            f"other programs keep {busy_cores:.1f} of {machine.cores()} cores busy: training on"
            " several threads may crawl; --threads 1 does not"
        )
