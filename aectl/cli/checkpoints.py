"""When the state of a training is kept, and what its end says of it."""

import contextlib
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl.errors import DivergedError

if TYPE_CHECKING:
    from aectl.training.loop import Progress
    from aectl.training.run import Epoch, Run

SECONDS = 300.0
"""After so long the state is kept in the middle of an epoch too."""

SHARE = 1 / 20
"""So much of the time, at most, goes into keeping it."""


class Checkpoints:
    """Keeps the state of a run in its folder: at its start, after epochs and, in long ones, within.

    `beside` is what else it takes to go on: the options, the data, the seeds that are left. Unless
    the run itself `goes_on` from what was kept there, that is of an earlier run, and removed.
    """

    def __init__(self, folder: Path, beside: Mapping[str, Any], goes_on: bool) -> None:
        self._folder, self._beside, self._goes_on = folder, beside, goes_on
        self._epochs: int | None = None
        self._planned = 0
        self._last, self._took = -float("inf"), 0.0

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Whatever ends the block early is told what is kept, and how to go on.

        Of a training that failed in its first epoch nothing is kept, unless it began with what was
        kept.
        """
        if not self._goes_on:
            self.remove()
        try:
            yield
        except (KeyboardInterrupt, Exception) as error:
            worth_it = self._goes_on or self._epochs or isinstance(error, KeyboardInterrupt)
            if not worth_it:
                self.remove()
            elif self._epochs is not None:
                other = " --lr X" if isinstance(error, DivergedError) else ""
                error.add_note(
                    f"training is kept, {self._epochs} of its {self._planned} epochs over: aectl"
                    f" train --resume {shlex.quote(str(self._folder))}{other} goes on"
                )
            raise

    def after(self, run: "Run", event: "Progress | Epoch", urgent: bool) -> bool:
        """Keeps the state after an event of `run.epochs()`, where it is time or `urgent`.

        Returns whether it did. Raises OutputError, or DivergedError where the weights are no
        finite numbers.
        """
        from aectl.training import checkpoint
        from aectl.training.run import Epoch

        pause = self._took / SHARE if self._epochs else 0.0
        if not isinstance(event, Epoch):
            if event.losses is not None:
                return False  # the row of the epoch is yet to come
            pause = max(SECONDS, pause)
        began = time.monotonic()
        if not urgent and began - self._last <= pause:
            return False
        checkpoint.save(self._folder, {**self._beside, "run": run.state()})
        self._last = time.monotonic()
        self._epochs, self._planned = len(run.rows), run.planned_epochs
        self._took = self._last - began
        return True

    def remove(self) -> None:
        """Removes what was kept."""
        from aectl.training import checkpoint

        shutil.rmtree(checkpoint.path_in(self._folder).parent, ignore_errors=True)
