"""Training as the user sees it: a live table on a terminal, a plain line now and then elsewhere."""

import math
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aectl.cli.console import Console
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


class TrainingView:
    """Shows a run's progress on stderr; to be used in a `with` block."""

    def __init__(self, console: Console, run: "Run") -> None:
        from aectl.modalities import modality_named
        from aectl.training.capacity import described

        config, modality = run.config, modality_named(run.architecture.modality)
        widths = ", ".join(str(width) for width in run.architecture.widths)
        console.notice(
            f"{config.model.model} ({widths}) on {run.trained_inputs:,} {run.noun} of"
            f" {' '.join(config.data.dataset)} ({modality.size(run.architecture)}),"
            f" {run.planned_epochs} epochs on {run.device}, seed {config.training.seed}"
        )
        if not console.quiet:
            console.once(console.notice)(described(run.sketch))
        measured = modality.shown_metrics(config.model.sparsity)
        names = (*SHOWN, *(f"{of}_{name}" for name in measured for of in OF))
        self._shown: LiveTable | _PlainLines = (
            LiveTable(run, names) if console.interactive else _PlainLines(run, names, console)
        )

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


class _PlainLines:
    """A line for every tenth of the epochs, and one after SILENCE_SECONDS without any.

    The latter is written by a thread of its own, however long a step or a measurement takes.
    """

    def __init__(self, run: "Run", names: tuple[str, ...], console: Console) -> None:
        self._run, self._names, self._console = run, names, console
        self._course, self._line = Course(run), ""
        self._every = math.ceil(run.planned_epochs / LINES)
        self._last, self._over = time.monotonic(), threading.Event()
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
        if due or time.monotonic() - self._last > SILENCE_SECONDS / 2:
            metrics = "  ".join(
                f"{called(name)} {row[name]:.4g}" for name in self._names if name in row
            )
            self._say(f"epoch {row['epoch']}/{planned}  {metrics}  {row['seconds']:.2g} s")

    def _break_silence(self) -> None:
        while not self._over.wait(SILENCE_SECONDS / TICKS):
            if self._line and time.monotonic() - self._last > SILENCE_SECONDS:
                self._say(self._line)

    def _say(self, line: str) -> None:
        self._last = time.monotonic()
        self._console.notice(line)
