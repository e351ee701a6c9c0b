"""A training that is interrupted before it begins: what is kept, and said."""

import pytest

import aectl


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
