"""Training as the user sees it: a live line on a terminal, a plain line now and then elsewhere."""

import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aectl.cli.console import Console

if TYPE_CHECKING:
    from aectl.training.loop import Progress
    from aectl.training.run import Run

LINES = 10
SHOWN = ("loss", "sparsity", "validation_loss")
MEASURED = {"none": ("mse", "error", "mean_activation"), "kl": ("mse", "mean_activation")}
OF_COMPETING_UNITS = ("mse", "l0", "dead")
OF = ("train", "validation")


class TrainingView:
    """Shows a run's progress on stderr; to be used in a `with` block."""

    def __init__(self, console: Console, run: "Run") -> None:
        self._console, self._epochs = console, run.planned_epochs
        config = run.config
        self._every = math.ceil(self._epochs / LINES)
        widths = ", ".join(str(width) for width in run.architecture.hidden)
        shape = "x".join(str(side) for side in run.architecture.shape)
        console.notice(
            f"{config.model.model} ({widths}) on {run.trained_images:,} images of"
            f" {config.data.dataset} ({shape}),"
            f" {self._epochs} epochs on {run.device}, seed {config.training.seed}"
        )
        measured = MEASURED.get(config.model.sparsity, OF_COMPETING_UNITS)
        self._shown = (*SHOWN, *(f"{of}_{name}" for name in measured for of in OF))
        self._bar: Any = None

    def __enter__(self) -> "TrainingView":
        if self._console.interactive:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(),
                console=RichConsole(file=sys.stderr), transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task(f"epoch 1/{self._epochs}", total=self._epochs)
            self._bar.start()
        return self

    def __exit__(self, *failure: object) -> None:
        if self._bar:
            self._bar.stop()

    def progress(self, progress: "Progress") -> None:
        """Moves the bar to where training is."""
        if self._bar:
            done = progress.epoch - 1 + progress.step / progress.steps
            self._bar.update(
                self._task, completed=done, description=f"epoch {progress.epoch}/{self._epochs}"
            )

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Says what an epoch came to."""
        if row["epoch"] % self._every == 0 or row["epoch"] in (1, self._epochs):
            figures = "  ".join(f"{name} {row[name]:.4g}" for name in self._shown if name in row)
            line = f"epoch {row['epoch']}/{self._epochs}  {figures}  {row['seconds']:.2g} s"
            (self._bar.console.print if self._bar else self._console.notice)(line)
