"""Results of batches: the paths and labels of their rows, and their first rows."""

import numpy as np
import pytest

from aectl.data.images.image_batches import InputBatch
from aectl.inference.results import Reconstructed, rows_of_batch

IMAGES = np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2)
BATCH = InputBatch(["a", "b", "c"], IMAGES, ["0", None, "1"], 3, None)


@pytest.mark.parametrize("rows", [[], [1], [2, 0], range(3)])
def test_rows_of_a_batch_are_those_of_each_of_its_columns(rows):
    some = rows_of_batch(BATCH, rows)
    assert some.paths == ["abc"[row] for row in rows]
    assert some.labels == [["0", None, "1"][row] for row in rows]
    assert np.array_equal(some.images, IMAGES[list(rows)])
    assert (some.size, BATCH.paths) == (3, ["a", "b", "c"])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_first_of_a_result_keeps_each_row_beside_its_input(count):
    result = Reconstructed(BATCH, IMAGES / np.float32(255))
    first = result.first(count)
    assert (first.paths, first.labels) == (result.paths[:count], result.labels[:count])
    assert np.array_equal(first.originals, IMAGES[:count])
    assert np.array_equal(first.reconstruction, IMAGES[:count] / np.float32(255))
