"""SIGINT and SIGTERM wait until imports are over."""

import os
import signal
import sys
import time

import pytest

from aectl.cli import signals

MODULE = """
import os, signal, time
os.kill(os.getpid(), signal.{name})
try:
    for _ in range(20):
        time.sleep(0.01)
except BaseException as error:
    raise ImportError("initialization failed") from error
"""


@pytest.fixture(autouse=True)
def _handlers():
    """Puts the handlers of the tests back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("within", ["command", "training", "second signal in training"])
@pytest.mark.parametrize(
    ("name", "raised"), [("SIGINT", KeyboardInterrupt), ("SIGTERM", signals.Terminated)]
)
def test_a_signal_within_an_import_is_raised_after_it(tmp_path, monkeypatch, name, raised, within):
    (tmp_path / "slow_to_import.py").write_text(MODULE.format(name=name))
    monkeypatch.syspath_prepend(tmp_path)
    signals.handle()

    def import_it():
        import slow_to_import  # noqa: F401

        end = time.monotonic() + 10
        while time.monotonic() < end:
            time.sleep(0.01)

    def train():
        with signals.Signals() as waiting:
            if within != "training":
                os.kill(os.getpid(), signal.SIGINT)
                import_it()
            import slow_to_import  # noqa: F401

            waiting.check()

    try:
        with pytest.raises(raised) as caught:
            import_it() if within == "command" else train()
        assert caught.type is raised
        assert sys.modules["slow_to_import"]
    finally:
        sys.modules.pop("slow_to_import", None)


def test_a_signal_that_is_ignored_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals.handle()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    os.kill(os.getpid(), signal.SIGINT)
