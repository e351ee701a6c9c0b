"""How far a training is, as every form of its display states it."""

import time
from typing import TYPE_CHECKING

from aectl.cli.time_left import TimeLeft, clock

if TYPE_CHECKING:
    from aectl.training.loop import TrainingProgress
    from aectl.training.run import Run


class Course:
    """The progress, the speed and the time left of a run."""

    def __init__(self, run: "Run") -> None:
        self._run, self._left = run, TimeLeft()
        self.at: TrainingProgress | None = None
        self.left: float | None = None

    def progress(self, at: "TrainingProgress") -> None:
        self.at = at
        self.left = self._left.after(self.done, self._run.planned_epochs, time.monotonic())

    @property
    def done(self) -> float:
        """Completed epochs, with the completed fraction of the current one."""
        fraction = self.at.step / self.at.steps if self.at and self.at.losses is None else 0.0
        return len(self._run.rows) + fraction

    @property
    def speed(self) -> str:
        """Of the current epoch; empty at its start."""
        at = self.at
        if at is None or not at.step or not at.seconds:
            return ""
        speed = at.step / at.steps * self._run.trained_inputs / at.seconds
        return f"{speed:,.0f} {self._run.noun}/s"

    @property
    def time_left(self) -> str:
        """Empty while it is not known."""
        return "" if self.left is None else f"{clock(self.left)} left"


def called(name: str) -> str:
    """The short name of a column of `metrics.csv`, for a terminal."""
    return name.replace("mean_activation", "activation")
