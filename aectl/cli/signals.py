"""Handling of SIGINT and SIGTERM, delayed until a training step or an import is over."""

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

IMPORTING = "<frozen importlib._bootstrap>"
"""The file name of the stack frames of an import."""

RETRY_SECONDS = 0.02


class Terminated(KeyboardInterrupt):
    """SIGTERM."""


_raised: list[KeyboardInterrupt] = []
_sent_again: set[int] = set()
"""The signals that a thread sends again and again until an import is over."""


def take() -> KeyboardInterrupt | None:
    """The last exception of a signal since the last call, if any: who catches it takes it."""
    last = _raised[-1] if _raised else None
    _raised.clear()
    return last


def outcome_of(error: BaseException | None) -> tuple[str, int]:
    """The message and the exit status for the exception of a signal."""
    return ("terminated", 143) if isinstance(error, Terminated) else ("interrupted", 130)


def handle() -> None:
    """Makes SIGINT and SIGTERM raise KeyboardInterrupt and Terminated, so that no file is left
    incomplete; a signal that is ignored, as under nohup, stays ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raises the exception of a signal at once or, during an import, after it.

    Compiled modules turn exceptions raised while they are initialised into other errors.
    """
    if _within_import(frame):
        _send_again(number)
    else:
        _sent_again.discard(number)
        raised = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
        _raised.append(raised)
        raise raised


def _send_again(number: int) -> None:
    """Sends the signal until `_interrupt` raises its exception or `_note` keeps it.

    Once is not enough: Python looks for signals before it waits in a system call, as of a read, and
    one that is received between the two is found only after the call.
    """

    def send() -> None:
        while number in _sent_again:
            time.sleep(RETRY_SECONDS)
            if number in _sent_again:
                os.kill(os.getpid(), number)

    if number not in _sent_again:
        _sent_again.add(number)
        threading.Thread(target=send, daemon=True).start()


def _within_import(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == IMPORTING:
            return True
        frame = frame.f_back
    return False


class Signals:
    """Delays SIGINT and SIGTERM in a `with` block until `check` raises their exception.

    A second signal is not delayed, unless `patient`, where a scheduler and the program that started
    this process may both send one.
    """

    def __init__(self, patient: bool = False) -> None:
        self._came: int | None = None
        self._patient = patient
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
        """Whether a signal was received."""
        return self._came is not None

    def check(self) -> None:
        """Raises KeyboardInterrupt or Terminated if a signal was received."""
        if self._came is not None:
            _interrupt(self._came, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._came is not None and not self._patient:
            _interrupt(number, frame)
        _sent_again.discard(number)
        self._came = number
