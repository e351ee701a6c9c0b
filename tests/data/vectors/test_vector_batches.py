"""Vectors in batches: from a position on, and only so many."""

import numpy as np
import pytest

from aectl.data.vectors.vector_batches import Fitting, vector_batches
from aectl.data.vectors.vector_inputs import VECTOR_NAMES, VectorInputs
from aectl.errors import DataError

FITTING = Fitting(3)


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """Three files, of which the second cannot be read, with a bad row in the third."""
    monkeypatch.chdir(tmp_path)
    rows = np.arange(60, dtype="f4").reshape(20, 3)
    np.save("a.npy", rows[:7])
    (tmp_path / "b.npy").write_bytes(b"")
    rows[9, 1] = np.nan
    np.save("c.npy", rows[7:])
    return VectorInputs(VECTOR_NAMES.sources(["a.npy", "b.npy", "c.npy"], None), tmp_path)


def read(inputs, after=None, most=None, size=4):
    bad = []
    batches = vector_batches(
        inputs, FITTING, size, lambda path, reason: bad.append((path, str(reason))), after, most
    )
    return list(batches), bad


def test_every_batch_is_of_one_file_and_bad_rows_are_named(inputs):
    batches, bad = read(inputs)
    assert [len(batch.paths) for batch in batches] == [4, 3, 3, 4, 4, 1]
    assert batches[2].paths == ["c.npy:0", "c.npy:1", "c.npy:3"]
    assert bad == [("b.npy", "it is empty"), ("c.npy:2", "lacks a value, feature 1")]
    whole = np.concatenate([batch.vectors for batch in batches])
    np.testing.assert_array_equal(whole, np.delete(np.arange(60).reshape(20, 3), 9, 0))


@pytest.mark.parametrize("number", range(6))
def test_from_any_position_on_the_rest_follows(inputs, number):
    batches, bad = read(inputs)
    rest, bad_in_rest = read(inputs, batches[number].position)
    assert [batch.paths for batch in rest] == [batch.paths for batch in batches[number + 1 :]]
    assert [batch.position for batch in rest] == [one.position for one in batches[number + 1 :]]
    assert bad_in_rest == bad[sum((number >= 2, number >= 2)) :]


@pytest.mark.parametrize("most", [1, 4, 5, 7, 8, 19, 99])
def test_so_many_are_read_as_are_asked_for(inputs, most):
    batches, _ = read(inputs, most=most)
    assert sum(len(batch.paths) for batch in batches) == min(most, 19)


def test_other_inputs_before_a_position_are_refused(inputs, tmp_path):
    position = read(inputs)[0][2].position
    changed = np.load("a.npy") + 1
    np.save("a.npy", changed)
    with pytest.raises(DataError, match="not those that were read before"):
        read(inputs, position)
    fewer = VectorInputs(inputs.sources[:1], tmp_path)
    with pytest.raises(DataError, match="fewer than were read before"):
        read(fewer, position)
