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
        if at.doing:
            self.left = at.seconds * (at.steps - at.step) / at.step if at.step else None
        else:
            self.left = self._left.after(self.done, self._run.planned_epochs, time.monotonic())

    @property
    def done(self) -> float:
        """Completed epochs, with the completed fraction of the current one."""
        at = self.at
        fraction = at.step / at.steps if at and at.losses is None and not at.doing else 0.0
        return len(self._run.rows) + fraction

    @property
    def place(self) -> str:
        """The current epoch of all, or what is done before the first."""
        if self.at and self.at.doing:
            return self.at.doing
        planned = self._run.planned_epochs
        return f"epoch {min(int(self.done) + 1, planned):,}/{planned:,}"

    @property
    def step(self) -> str:
        """The step of the current epoch, or the input that is worked on."""
        at = self.at
        if at is None or at.losses is not None:
            return "measuring"
        return f"{'image' if at.doing else 'step'} {at.step:,}/{at.steps:,}"

    @property
    def fraction(self) -> float:
        """The completed fraction of training, or of the work before it."""
        if self.at and self.at.doing:
            return self.at.step / self.at.steps
        return self.done / self._run.planned_epochs

    @property
    def speed(self) -> str:
        """Of the current epoch; empty at its start."""
        at = self.at
        if at is None or not at.step or not at.seconds:
            return ""
        inputs = at.steps if at.doing else self._run.trained_inputs
        speed = at.step / at.steps * inputs / at.seconds
        return f"{speed:,.0f} {self._run.noun}/s"

    @property
    def time_left(self) -> str:
        """Empty while it is not known."""
        return "" if self.left is None else f"{clock(self.left)} left"


def called(name: str) -> str:
    """The short name of a column of `metrics.csv`, for a terminal."""
    return name.replace("mean_activation", "activation")
