"""`aectl train`: parses the options, and shows a training."""

import contextlib
import importlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aectl.cli import options, recipes
from aectl.cli.config_options import divided, with_config_options
from aectl.cli.console import Console, Outcome
from aectl.cli.session import stdin
from aectl.cli.signals import Signals
from aectl.cli.stdout import show_path
from aectl.config import run_files
from aectl.config.recipes import RECIPES
from aectl.config.spelling import shell_word
from aectl.data.sources import STDIN
from aectl.verbs import machine

if TYPE_CHECKING:
    from aectl.cli.training_view import TrainingView
    from aectl.data.images.image_batches import InputBatch
    from aectl.training.loop import TrainingProgress
    from aectl.training.run import Run
    from aectl.verbs.training_task import Training

Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME",
        help="Options that reproduce a published result; options given here take precedence. "
        "--recipe help lists them, as aectl recipes does.",
        autocompletion=lambda: list(RECIPES),
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="TOML file of options; options given here take precedence."
    ),
]
RunFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="DIR", help="The run folder.", show_default="runs/DATASET-MODEL-N"
    ),
]
ResumedRun = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Continue the training of this run folder where it stopped, or, with more --epochs, "
        "after its end; of a folder of several runs, all that are not finished. All options are "
        "those of the original training, except --lr, --clip-grad and --epochs if given.",
    ),
]
Seeds = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Number of trainings, with the seeds --seed, --seed + 1, ..., each in a folder seed-N "
        "of the run folder; of each value, where an option is given several.",
        min=1,
        max=1000,
    ),
]
TensorBoard = Annotated[
    bool,
    typer.Option(
        "--tensorboard",
        help="Write metrics, weights, pictures and codes for TensorBoard to the run folder.",
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(
        "--memory",
        metavar="GIB",
        help="Maximum memory for the decoded images of files, of which larger ones go to a "
        "temporary file, and for vectors, of which more are read from disk in each epoch.",
        min=0,
        show_default="half of the machine's",
        rich_help_panel=options.RUN,
    ),
]


@with_config_options
def train(
    given: dict[str, object],
    recipe: Recipe = None,
    config: ConfigFile = None,
    out: RunFolder = None,
    overwrite: options.Overwrite = False,
    resume: ResumedRun = None,
    seeds: Seeds = 1,
    tensorboard: TensorBoard = False,
    null: options.Null = False,
    errors: options.Errors = None,
    strict: options.Strict = False,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    workers: options.Workers = None,
    memory: Memory = None,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    plain: options.Plain = False,
    offline: options.Offline = False,
    debug: options.Debug = False,
) -> int:
    """Train a model, and print the path of its file; the run folder also has a report.

    Example: aectl train --sparse --rho 0.05
    """
    if recipe == "help":
        return recipes.listed()
    from aectl.training import distributed

    console = Console(quiet, plain)
    outcome = Outcome(console, errors if distributed.is_first() else None, overwrite, strict)

    from aectl.training.reading import Reading
    from aectl.verbs.training_task import Task, Training, from_file

    single, swept = divided(given)
    task = Task(
        single, from_file(recipe, config), recipe, out, overwrite, resume, seeds, tensorboard,
        data_dir, device, threads, console.notice, console.warning, console, swept,
    )  # fmt: skip
    reading = Reading(
        Path(), outcome.on_bad, workers or machine.workers(),
        memory * 2**30 if memory is not None else machine.half_the_memory(),
        partial(_read_along, console), outcome.on_remark,
        console.once(console.notice), outcome.skipped, stdin(), null,
        progress=console,
    )  # fmt: skip
    training = Training(task, reading)
    status = outcome.status(len(training.data))
    _train(training, console)
    _tell_what_next(training, console)
    return status


def _train(training: "Training", console: Console) -> None:
    """Trains all runs, shows the path of each model, and compares the runs if there are several."""
    from aectl.cli.training_view import compared, shown
    from aectl.verbs.calibrated_models import left_uncalibrated
    from aectl.verbs.training_run import memorised, stopped, warning_of

    last: dict[str, dict[str, float]] = {}
    for run, path in training.results(partial(_watched, console)):
        name = path.parent.name
        whose = f"{name}: " if training.pattern else ""
        for notice in filter(None, (stopped(run), left_uncalibrated(run))):
            console.notice(whose + notice)
        for warning in filter(None, (warning_of(run), memorised(run))):
            console.warning(whose + warning)
        show_path(path)
        last[name] = {of: run.rows[-1][of] for of in shown(run) if of in run.rows[-1]}
    if len(last) > 1:
        console.notice("\n".join(compared(last)))


def _tell_what_next(training: "Training", console: Console) -> None:
    """Names the report and the next command to try."""
    folder, data_dir = training.folder, training.data_dir
    known = {str(machine.data_dir(None)), os.environ.get("AECTL_DATA_DIR")}
    where = "" if str(data_dir) in known else f" --data-dir {shell_word(str(data_dir))}"
    of_runs = training.pattern
    runs = f"{shell_word(str(folder))}{of_runs and '/'}{of_runs}"
    page = of_runs and any(folder.glob(f"{of_runs}/{run_files.REPORT}"))
    report = f" --report {shell_word(str(folder / 'report.html'))}" if page else ""
    if (folder / run_files.REPORT).exists():
        console.notice(f"look: {folder / run_files.REPORT} in a browser")
    inputs = " --dataset INPUT" if STDIN in training.words else ""
    console.notice(f"next: aectl eval {runs}{inputs}{where}{report}")


@contextlib.contextmanager
def _watched(console: Console, runs: "Mapping[str, Run]") -> "Iterator[dict[str, _Watcher]]":
    """Shows runs that are trained side by side; a signal waits for the end of a step of each."""
    from aectl.cli.training_view import Beside, TrainingView
    from aectl.training import distributed

    beside = Beside(runs)
    with Signals(distributed.processes() > 1) as signals, contextlib.ExitStack() as shown:
        views = {name: TrainingView(console, run, beside) for name, run in runs.items()}
        yield {name: _Watcher(shown.enter_context(view), signals) for name, view in views.items()}


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


def _read_along(
    console: Console, batches: "Iterable[InputBatch]", files: int
) -> "Iterator[InputBatch]":
    """The batches of a folder, counted; torch is imported while the workers decode them."""
    threading.Thread(target=importlib.import_module, args=("torch",), daemon=True).start()
    return console.counted(batches, "reading", total=files)
