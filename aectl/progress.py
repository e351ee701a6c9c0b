"""Long work, followed while it goes on; Ctrl-C ends it at once, whatever native code it is in."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Protocol, TypeVar

TICK_SECONDS = 0.2


class Named(Protocol):
    """A batch of inputs of any kind."""

    @property
    def paths(self) -> list[str]: ...


class OfBatch(Protocol):
    """Any result of a batch of inputs."""

    @property
    def batch(self) -> Named: ...


Counted = TypeVar("Counted", bound=OfBatch)
Made = TypeVar("Made")


class Progress:
    """Follows long work in silence; a subclass may show it."""

    def counted(
        self, results: Iterable[Counted], what: str, noun: str = "images", total: int | None = None
    ) -> Iterator[Counted]:
        """The same results, while they are counted; there are `total` inputs, if that is known."""
        yield from results

    def awaited(self, work: Callable[[], Made], what: str) -> Made:
        """The result of `work`, or what it raises.

        It runs in a thread of its own: Python raises KeyboardInterrupt in the main thread alone,
        and there not before native code returns, which may take minutes. A work that is
        interrupted is left behind in its thread, which ends with the process.
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
        """Told several times a second that work goes on, and for how long it has."""


SILENT = Progress()


def _fulfil(made: "Future[Made]", work: Callable[[], Made]) -> None:
    try:
        made.set_result(work())
    except BaseException as error:
        made.set_exception(error)
