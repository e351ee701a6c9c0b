"""SIGINT and SIGTERM: what they become, and how they wait for a step of training."""

import signal
import threading
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM."""


def raise_terminated(*_: object) -> None:
    """What SIGTERM does: it ends the command as Ctrl-C does, so that nothing is left half done."""
    raise Terminated


class Signals:
    """SIGINT and SIGTERM wait, in a `with` block, until `check` raises what they stand for.

    A second one does not wait.
    """

    def __init__(self) -> None:
        self._came: type[KeyboardInterrupt] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and & in scripts have it
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *failure: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def came(self) -> bool:
        """Whether there was one."""
        return self._came is not None

    def check(self) -> None:
        """Raises KeyboardInterrupt or Terminated where a signal came."""
        if self._came:
            raise self._came

    def _note(self, number: int, _: object) -> None:
        self.check()
        self._came = Terminated if number == signal.SIGTERM else KeyboardInterrupt
