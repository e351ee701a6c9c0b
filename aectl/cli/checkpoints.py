"""When the state of a training is kept, and what its end says of it."""

import contextlib
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aectl.errors import DivergedError

if TYPE_CHECKING:
    from aectl.training.loop import Progress
    from aectl.training.run import Epoch, Run
    from aectl.training.state import Session

SECONDS = 300.0
"""After so long the state is kept in the middle of an epoch too."""

SHARE = 1 / 20
"""So much of the time, at most, goes into keeping it."""


class Checkpoints:
    """Keeps the state of a run in its folder: at its start, after epochs and, in long ones, within.

    `session` is the command that the run belongs to. With the state after an epoch goes what
    `publish` writes of the run. Unless the run itself `goes_on` from what was kept there, that is
    of an earlier run, and removed.
    """

    def __init__(
        self,
        folder: Path,
        session: "Session",
        goes_on: bool,
        publish: "Callable[[Run], None]",
    ) -> None:
        self._folder, self._session, self._goes_on = folder, session, goes_on
        self._publish = publish
        self._epochs: int | None = None
        self._planned = 0
        self._last, self._took = -float("inf"), 0.0

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Whatever ends the block early is told what is kept, and how to go on.

        Of a training that failed in its first epoch nothing is kept, unless it began with what was
        kept.
        """
        from aectl.training import checkpoint

        if self._goes_on:
            checkpoint.remove_half_written(self._folder)
        else:
            checkpoint.remove(self._folder)
        try:
            yield
        except (KeyboardInterrupt, Exception) as error:
            worth_it = self._goes_on or self._epochs or isinstance(error, KeyboardInterrupt)
            if not worth_it:
                checkpoint.remove(self._folder)
            elif self._epochs is not None:
                other = " --lr X" if isinstance(error, DivergedError) else ""
                error.add_note(
                    f"training is saved after {self._epochs} of {self._planned} epochs: aectl"
                    f" train --resume {shlex.quote(str(self._folder))}{other} continues"
                )
            raise

    def after(self, run: "Run", event: "Progress | Epoch", urgent: bool) -> bool:
        """Keeps the state after an event of `run.epochs()`, where it is time or `urgent`, and at
        the end of training.

        Returns whether it did. Raises OutputError, or DivergedError where the weights are no
        finite numbers.
        """
        from aectl.training import checkpoint
        from aectl.training.run import Epoch
        from aectl.training.state import TrainingState

        pause = self._took / SHARE if self._epochs else 0.0
        over = len(run.rows) == run.planned_epochs
        if not isinstance(event, Epoch):
            if event.losses is not None:
                return False  # the row of the epoch is yet to come
            pause = max(SECONDS, pause)
        began = time.monotonic()
        if not (urgent or over) and began - self._last <= pause:
            return False
        checkpoint.save(self._folder, TrainingState(self._session, run.state()))
        if isinstance(event, Epoch) and not over:
            self._publish(run)
        self._last = time.monotonic()
        self._epochs, self._planned = len(run.rows), run.planned_epochs
        self._took = self._last - began
        return True

    def finish(self) -> None:
        """Keeps the last state as that of a training that is over. Raises OutputError."""
        from aectl.training import checkpoint

        checkpoint.finish(self._folder)
