"""Trainings side by side: each goes on in its turn, so that they share what they read."""

from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aectl.errors import DivergedError
from aectl.verbs.training_run import Turn, Watcher

if TYPE_CHECKING:
    from aectl.training.run import Run


class RunInTurns:
    """One of the runs that are trained side by side: its `name` among them, and its `folder`.

    It has the state that the process is in when the member is made. `begun` begins its training,
    under the eyes of a watcher.
    """

    def __init__(
        self, name: str, run: "Run", folder: Path, begun: Callable[[Watcher], Generator[Turn]]
    ) -> None:
        from aectl.training.process_state import ProcessState

        self.name, self.run, self.folder = name, run, folder
        self.turn = Turn(0, saved=False)
        self.failure: DivergedError | None = None
        self._begun, self._state = begun, ProcessState(run.device)

    def begin(self, watcher: Watcher) -> None:
        """Lets the training begin with the next turn."""
        self._turns = self._begun(watcher)

    def go_on(self) -> None:
        """Trains for a turn; training that diverges is over, and has a `failure`."""
        with self._state:
            try:
                self.turn = next(self._turns)
            except DivergedError as error:
                self.failure, self.turn = error, Turn(0, saved=True, over=True)

    def fill(self) -> None:
        """Fills the run folder, after the training."""
        with self._state:
            for _ in self._turns:
                pass

    def end(self, reason: BaseException) -> None:
        """Ends the training for a reason, to which it adds how it can be continued."""
        with self._state:
            try:
                self._turns.throw(reason)
            except BaseException as error:
                if error is not reason:
                    raise


def train(members: Sequence[RunInTurns], watcher: Watcher) -> None:
    """Trains all; the one that is furthest behind goes on, as far as its turn lasts.

    When all is to be saved at once, each goes on until its state is, then the watcher may end them
    by an exception.
    """
    try:
        while left := [one for one in members if not one.turn.over]:
            unsaved = [one for one in left if not one.turn.saved]
            if watcher.urgent and not unsaved:
                watcher.saved()
            behind = unsaved if watcher.urgent and unsaved else left
            min(behind, key=lambda one: one.turn.epochs).go_on()
    except BaseException as error:
        _end(members, error)
        raise


def filled(members: Sequence[RunInTurns]) -> Iterator[RunInTurns]:
    """Fills the folder of each run that did not fail, and gives it."""
    left = [one for one in members if one.failure is None]
    while left:
        member, *left = left
        try:
            member.fill()
        except BaseException as error:
            _end(left, error)
            raise
        yield member


def _end(members: Sequence[RunInTurns], reason: BaseException) -> None:
    for one in members:
        if one.failure is None:
            one.end(reason)
