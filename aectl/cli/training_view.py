"""Training as the user sees it: a live table on a terminal, a plain line now and then elsewhere."""

import math
import threading
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aectl.cli.console import Console
from aectl.cli.live_runs import LiveRun, LiveRuns
from aectl.cli.live_table import LiveTable
from aectl.cli.training_progress import Course, called

if TYPE_CHECKING:
    from aectl.training.loop import TrainingProgress
    from aectl.training.run import Run

LINES = 10
SILENCE_SECONDS, TICKS = 20.0, 10
"""Seconds without a line after which a plain one states the progress, and checks in that time."""

SHOWN = ("loss", "language_model", "quality", "sparsity", "validation_loss")
OF = ("train", "validation")


def shown(run: "Run") -> tuple[str, ...]:
    """The metrics of a run that are shown, as columns of `metrics.csv`."""
    from aectl.modalities import modality_named

    modality = modality_named(run.architecture.modality)
    measured = modality.shown_metrics(run.config.model.sparsity)
    return (*SHOWN, *(f"{of}_{name}" for name in measured for of in OF))


def compared(metrics: "Mapping[str, Mapping[str, float]]") -> list[str]:
    """A table of the metrics of several runs, a line each, behind their names."""
    names = list(dict.fromkeys(name for found in metrics.values() for name in found))
    table = [["", *map(called, names)]]
    for run, found in metrics.items():
        table.append([run, *(f"{found[name]:.4g}" if name in found else "" for name in names)])
    first, *others = (max(map(len, column)) for column in zip(*table, strict=True))
    return ["  ".join([line[0].ljust(first), *map(str.rjust, line[1:], others)]) for line in table]


class TrainingView:
    """Shows a run's progress on stderr; to be used in a `with` block."""

    def __init__(self, console: Console, run: "Run", beside: "Beside") -> None:
        """`beside`: the runs that are trained side by side, it among them."""
        from aectl.modalities import modality_named
        from aectl.training.capacity import described

        name = beside.name(run)
        config, modality = run.config, modality_named(run.architecture.modality)
        widths = ", ".join(str(width) for width in run.architecture.widths)
        console.notice(
            f"{name and f'{name}: '}{config.model.model} ({widths}) on {run.trained_inputs:,}"
            f" {run.noun} of {' '.join(config.data.dataset)} ({modality.size(run.architecture)}),"
            f" {run.planned_epochs} epochs on {run.device}, seed {config.training.seed}"
        )
        if not console.quiet:
            console.once(console.notice)(described(run.sketch))
        self._shown = _display(console, run, beside)

    def __enter__(self) -> "TrainingView":
        self._shown.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._shown.stop()

    def progress(self, progress: "TrainingProgress") -> None:
        """Shows how far training is."""
        self._shown.progress(progress)

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Says what an epoch came to."""
        self._shown.epoch(row)


class Beside:
    """Runs that are trained side by side, by their names; the time of the last line of any."""

    def __init__(self, runs: "Mapping[str, Run]") -> None:
        self.runs, self.last = runs, time.monotonic()

    def name(self, run: "Run") -> str:
        """The name of a run; empty for one that is alone."""
        (name,) = (name for name, one in self.runs.items() if one is run)
        return name

    def called(self, run: "Run") -> str:
        """The name of a run, for the begin of a line; empty for one that is alone."""
        name = self.name(run) if len(self.runs) > 1 else ""
        return name and f"{name}: "

    @cached_property
    def table(self) -> LiveRuns:
        """A live table of all."""
        names = dict.fromkeys(name for run in self.runs.values() for name in shown(run))
        return LiveRuns(self.runs, tuple(names))


def _display(console: Console, run: "Run", beside: Beside) -> "LiveTable | LiveRun | _PlainLines":
    """A live table on a terminal, of all runs that are side by side; lines elsewhere."""
    if not console.interactive:
        return _PlainLines(run, console, beside)
    if len(beside.runs) == 1:
        return LiveTable(run, shown(run))
    return LiveRun(beside.table, beside.name(run))


class _PlainLines:
    """A line for every tenth of the epochs, or for fewer where several runs are trained side by
    side, and one after SILENCE_SECONDS without any.

    The latter is written by a thread of its own, however long a step or a measurement takes.
    """

    def __init__(self, run: "Run", console: Console, beside: Beside) -> None:
        self._run, self._names, self._console = run, shown(run), console
        self._course, self._line = Course(run), ""
        self._every = math.ceil(run.planned_epochs * len(beside.runs) / LINES)
        self._beside, self._called = beside, beside.called(run)
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._break_silence, daemon=True)

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._over.set()
        self._watch.join()

    def progress(self, at: "TrainingProgress") -> None:
        course = self._course
        course.progress(at)
        parts = (course.place, course.step, course.speed, course.time_left)
        self._line = "  ".join(part for part in parts if part)

    def epoch(self, row: Mapping[str, Any]) -> None:
        planned = self._run.planned_epochs
        due = row["epoch"] % self._every == 0 or row["epoch"] in (1, planned)
        if due or time.monotonic() - self._beside.last > SILENCE_SECONDS / 2:
            metrics = "  ".join(
                f"{called(name)} {row[name]:.4g}" for name in self._names if name in row
            )
            self._say(f"epoch {row['epoch']}/{planned}  {metrics}  {row['seconds']:.2g} s")

    def _break_silence(self) -> None:
        while not self._over.wait(SILENCE_SECONDS / TICKS):
            if self._line and time.monotonic() - self._beside.last > SILENCE_SECONDS:
                self._say(self._line)

    def _say(self, line: str) -> None:
        self._beside.last = time.monotonic()
        self._console.notice(self._called + line)
