"""SIGINT and SIGTERM wait until imports are over."""

import os
import signal
import subprocess
import sys
import time

import pytest

from aectl.cli import main, signals
from aectl.cli.app import app

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
    signals.take()


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


OUTCOMES = {"SIGINT": (130, "aectl: interrupted\n"), "SIGTERM": (143, "aectl: terminated\n")}


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_signal_before_a_command_has_begun_is_told_as_any_other(capfd, monkeypatch, name):
    """As while typer reads the arguments: it makes the same status of both signals."""

    @app.command("stopped")
    def stopped() -> None:
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(5)

    monkeypatch.setattr(sys, "argv", ["aectl", "stopped"])
    signals.handle()
    try:
        status = main()
    finally:
        app.registered_commands.pop()
    assert (status, capfd.readouterr().err) == OUTCOMES[name]


SIGNALLED = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "aectl.cli.app":
            os.kill(os.getpid(), signal.{name})
sys.meta_path.insert(0, Finder())
sys.argv = ["aectl", "train", "--dataset", "-"]
from aectl.cli import program
program()
"""


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_signal_while_the_commands_are_imported_is_told_as_any_other(tmp_path, name):
    """The command would wait for a list on stdin, which is left open."""
    reading, writing = os.pipe()
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED.format(name=name)],
        stdin=reading, capture_output=True, text=True, cwd=tmp_path, timeout=600,
    )  # fmt: skip
    os.close(reading)
    os.close(writing)
    status, said = OUTCOMES[name]
    assert done.returncode == status
    assert done.stderr in (said, f"{said}training had not begun: nothing was kept\n")
