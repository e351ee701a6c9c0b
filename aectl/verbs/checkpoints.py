"""Times at which the state of a training is saved, and the message about it when training ends."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aectl.config.spelling import shell_word
from aectl.errors import DivergedError

if TYPE_CHECKING:
    from aectl.training.loop import TrainingProgress
    from aectl.training.run import Epoch, Run
    from aectl.training.state import TrainingCommand

SECONDS = 300.0
"""Seconds after which the state is saved in the middle of an epoch, too."""

SHARE = 1 / 20
"""Maximum fraction of the time that is spent on saving."""


@contextlib.contextmanager
def beginning(resumed: Path | None) -> Iterator[None]:
    """Adds a note to an interruption of the block, in which training has not begun: whether a state
    is kept, which is that of the run folder `resumed`."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        if resumed:
            interruption.add_note(f"the training in {resumed} is as it was before this command")
        else:
            interruption.add_note("training had not begun: nothing was kept")
        raise


class Checkpoints:
    """Saves the state of a run in its folder: at the start, after epochs, and during long epochs.

    `session` is the command that the run belongs to. After an epoch, `publish` is called to write
    the run's other files. A state that is already in the folder is removed, unless the run
    continues from it (`goes_on`).
    """

    def __init__(
        self,
        folder: Path,
        session: "TrainingCommand",
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
        """Adds a note to an exception in the block: the saved state, and how to continue.

        If training fails in its first epoch, no state is kept, unless training was continued.
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
            elif self._epochs is None:
                with beginning(self._folder if self._goes_on else None):
                    raise
            else:
                error.add_note(self._how_to_continue(error, self._epochs))
            raise

    def _how_to_continue(self, error: BaseException, epochs: int) -> str:
        saved = f"training is saved after {epochs} of {self._planned} epochs"
        other = ""
        if isinstance(error, DivergedError):
            if error.lost_after == epochs:
                return f"{saved}, but the loss of its weights is not finite: train anew"
            other = " --lr X"
        return f"{saved}: aectl train --resume {shell_word(str(self._folder))}{other} continues"

    def after(self, run: "Run", event: "TrainingProgress | Epoch", urgent: bool) -> bool:
        """Saves the state after an event of `run.epochs()`, if it is time or `urgent`, and at the
        end of training.

        Returns whether the state was saved. Raises OutputError, or DivergedError if weights are not
        finite.
        """
        from aectl.training import checkpoint
        from aectl.training.run import Epoch
        from aectl.training.state import TrainingState

        pause = self._took / SHARE if self._epochs else 0.0
        over = run.over
        if not isinstance(event, Epoch):
            if event.losses is not None:
                return False  # the row of the epoch is yet to come
            pause = max(SECONDS, pause)
        started = time.monotonic()
        if not (urgent or over) and started - self._last <= pause:
            return False
        session = dataclasses.replace(self._session, threads=run.trial.threads)
        checkpoint.save(self._folder, TrainingState(session, run.state()))
        if isinstance(event, Epoch) and not over:
            self._publish(run)
        self._last = time.monotonic()
        self._epochs, self._planned = len(run.rows), run.planned_epochs
        self._took = self._last - started
        return True

    def finish(self) -> None:
        """Marks the last state as that of a finished training. Raises OutputError."""
        from aectl.training import checkpoint

        checkpoint.finish(self._folder)
