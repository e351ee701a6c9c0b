"""Progress of long work; Ctrl-C ends it at once, even while native code runs."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future
from typing import Protocol, TypeVar

TICK_SECONDS = 0.2


def silent(message: str) -> None:
    """For messages that nobody wants to see."""


class OfInputs(Protocol):
    """A batch of inputs of any kind, or a result for one."""

    @property
    def paths(self) -> Sized: ...


Counted = TypeVar("Counted", bound=OfInputs)
Made = TypeVar("Made")


class Progress:
    """Runs long work silently; a subclass may show its progress."""

    def counted(
        self, results: Iterable[Counted], what: str, noun: str = "images", total: int | None = None
    ) -> Iterator[Counted]:
        """Yields the same results and counts them; `total` is the number of inputs, if known."""
        yield from results

    @contextlib.contextmanager
    def lasting(self, what: str) -> Iterator[None]:
        """Shows how long the work of the block takes."""
        yield

    def awaited(self, work: Callable[[], Made], what: str) -> Made:
        """Returns the result of `work`, or raises its exception.

        The work runs in a separate thread: Python raises KeyboardInterrupt only in the main
        thread, and only after native code returns, which may take minutes. Interrupted work
        continues in its thread until the process ends.
        """
        made: Future[Made] = Future()
        threading.Thread(target=_fulfil, args=(made, work), daemon=True).start()
        started = time.monotonic()
        while True:
            try:
                return made.result(TICK_SECONDS)
            except TimeoutError:
                if made.done():  # it is the work that raised it
                    return made.result()
                self._waiting(what, time.monotonic() - started)

    def _waiting(self, what: str, seconds: float) -> None:
        """Called several times a second while work continues, with the seconds since its start."""


SILENT = Progress()


def _fulfil(made: "Future[Made]", work: Callable[[], Made]) -> None:
    try:
        made.set_result(work())
    except BaseException as error:
        made.set_exception(error)
