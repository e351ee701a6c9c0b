"""The work around a training: what is shown of it, and what an interruption before it keeps."""

import contextlib
from pathlib import Path

import pytest

import aectl
from aectl.data.storage.folders import ignore
from aectl.progress import Progress
from aectl.training.reading import Reading
from aectl.verbs.training_task import Task, Training


class Told(Progress):
    """Notes which work is shown."""

    def __init__(self):
        self.said = []

    @contextlib.contextmanager
    def lasting(self, what):
        self.said.append(what)
        yield

    def awaited(self, work, what):
        self.said.append(what)
        return super().awaited(work, what)


class Unwatched:
    urgent = False

    def epoch(self, row):
        pass

    progress = epoch

    def saved(self):
        pass


def test_the_work_before_and_after_training_is_shown(tmp_path):
    progress = Told()
    options = {"dataset": "digits", "hidden": 2, "epochs": 1}
    training = Training(
        Task(options, out=tmp_path / "run", progress=progress), Reading(Path("none"), ignore)
    )
    assert progress.said == ["computing the checksum of the data"]
    assert len(list(training.results(lambda runs: contextlib.nullcontext({"": Unwatched()})))) == 1
    assert progress.said[1:] == ["initialising the weights", "filling the run folder"]


class Interrupting:
    """A stream that is interrupted while it is read."""

    def read(self, size=-1):
        raise KeyboardInterrupt


def interrupt(message):
    raise KeyboardInterrupt


def notes(options):
    with pytest.raises(KeyboardInterrupt) as interrupted:
        aectl.train(**options)
    return interrupted.value.__notes__


def test_a_training_that_is_interrupted_while_data_are_read_keeps_nothing(tmp_path):
    options = {"dataset": "-", "stdin": Interrupting(), "out": tmp_path / "run"}
    assert notes(options) == ["training had not begun: nothing was kept"]
    assert not (tmp_path / "run").exists()


def test_a_training_that_is_interrupted_before_it_goes_on_is_as_it_was(dense):
    before = {path: path.read_bytes() for path in dense.rglob("*") if path.is_file()}
    options = {"resume": dense, "epochs": 21, "notice": interrupt}
    assert notes(options) == [f"the training in {dense} is as it was before this command"]
    assert {path: path.read_bytes() for path in dense.rglob("*") if path.is_file()} == before
