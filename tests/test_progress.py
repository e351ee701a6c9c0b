"""Progress of long work: results pass through, and errors are those of the work."""

import threading
from types import SimpleNamespace

import pytest

from aectl import progress
from aectl.progress import SILENT, Progress


def test_results_pass_through_one_by_one():
    results = (SimpleNamespace(paths=[str(n)]) for n in range(3))
    counted = SILENT.counted(results, "reading")
    assert next(counted).paths == ["0"]
    assert next(results).paths == ["1"]
    assert [one.paths for one in counted] == [["2"]]


def test_work_runs_in_another_thread_and_gives_its_result():
    assert SILENT.awaited(lambda: 7, "work") == 7
    assert SILENT.awaited(threading.get_ident, "work") != threading.get_ident()


@pytest.mark.parametrize("error", [ValueError, TimeoutError, KeyboardInterrupt, SystemExit])
def test_an_error_of_the_work_is_raised(error):
    def fail():
        raise error("it went wrong")

    with pytest.raises(error, match="it went wrong"):
        SILENT.awaited(fail, "work")


def test_while_work_goes_on_the_wait_is_told_again_and_again(monkeypatch):
    monkeypatch.setattr(progress, "TICK_SECONDS", 0.001)
    enough, told = threading.Event(), []

    class Telling(Progress):
        def _waiting(self, what, seconds):
            told.append((what, seconds))
            if len(told) == 3:
                enough.set()

    assert Telling().awaited(lambda: enough.wait(60), "fitting") is True
    assert {what for what, _ in told} == {"fitting"}
    times = [seconds for _, seconds in told]
    assert times == sorted(times)
