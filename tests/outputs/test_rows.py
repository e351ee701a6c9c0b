"""Rows of tables: rows left out, joined and sorted, against numpy and lists by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from aectl.data.named_inputs import Position
from aectl.outputs import rows as of_tables
from aectl.outputs.rows import Rows


def rows(count=5, first=0, dtype=np.float32, **columns):
    names = [f"{first + number}.png" for number in range(count)]
    features = np.arange(3 * count).reshape(count, 3).astype(dtype) + first
    return Rows({"path": names, **columns}, features, Position(first + count, "x"))


def left_out(table):
    """The rows that are left, and the paths and reasons of the others."""
    told = []
    kept = of_tables.finite_rows(table, lambda path, reason: told.append((path, reason)))
    return kept, told


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["features", "column"])
def test_a_row_with_a_number_that_is_not_finite_is_left_out(value, place):
    table = rows(mse=np.linspace(0, 1, 5, dtype=np.float32), label=list("abcde"))
    (table.features[:, 1] if place == "features" else table.columns["mse"])[[1, 4]] = value
    kept, told = left_out(table)
    assert kept.columns["path"] == ["0.png", "2.png", "3.png"]
    assert kept.columns["label"] == ["a", "c", "d"]
    np.testing.assert_array_equal(kept.columns["mse"], np.float32([0, 0.5, 0.75]))
    np.testing.assert_array_equal(kept.features, [[0, 1, 2], [6, 7, 8], [9, 10, 11]])
    assert kept.position == Position(5, "x")
    assert [path for path, _ in told] == ["1.png", "4.png"]
    assert {reason for _, reason in told} == {"the model's output for it is not finite"}


def test_a_code_beyond_half_precision_is_said_to_be_too_large_for_it():
    table = rows(dtype=np.float16)
    with np.errstate(over="ignore"):
        table.features[2, 0] = np.float32(65_520)
    kept, told = left_out(table)
    assert len(kept) == 4
    ((path, reason),) = told
    assert path == "2.png"
    assert "--dtype float32" in reason


def test_finite_rows_stay_as_they_are_whatever_their_text_and_whole_numbers_are():
    table = rows(label=["nan", "inf", None, "", "-inf"], count_of=np.array([1, 0, 2, 3, 2**60]))
    kept, told = left_out(table)
    assert kept is table
    assert not told


@pytest.mark.parametrize(
    ("labelled", "truncated", "wanted"),
    [
        (False, None, {"path": ["a", "b", "c"]}),
        (True, None, {"path": ["a", "b", "c"], "label": ["x", None, "y"]}),
        (True, (), {"path": ["a", "b", "c"], "label": ["x", None, "y"], "truncated": [0, 0, 0]}),
        (False, {0, 2}, {"path": ["a", "b", "c"], "truncated": [1, 0, 1]}),
    ],
)
def test_the_first_columns_are_the_path_the_label_and_the_mark(labelled, truncated, wanted):
    batch = SimpleNamespace(paths=["a", "b", "c"], labels=["x", None, "y"])
    found = of_tables.leading_columns(batch, labelled, truncated)
    assert list(found) == list(wanted)
    assert {name: list(column) for name, column in found.items()} == wanted


def test_classes_are_named_with_their_probabilities_the_most_probable_first():
    probabilities = np.array([[0.7, 0.2], [0.5, 0.4]], np.float32)
    found = of_tables.class_columns(("no", "yes", "?"), np.array([[2, 0], [1, 2]]), probabilities)
    assert list(found) == ["prediction", "probability", "prediction_2", "probability_2"]
    assert found["prediction"] == ["?", "yes"]
    assert found["prediction_2"] == ["no", "?"]
    np.testing.assert_array_equal(found["probability_2"], probabilities[:, 1])


def test_rows_that_are_joined_stand_one_after_the_other_and_end_where_the_last_ends():
    parts = [rows(2, mse=np.array([1.0, 2.0])), rows(3, first=2, mse=np.array([3.0, 4.0, 5.0]))]
    found = of_tables.joined(parts)
    assert found.columns["path"] == [f"{number}.png" for number in range(5)]
    assert found.columns["mse"].tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(found.features, np.concatenate([p.features for p in parts]))
    assert found.position == Position(5, "x")
    assert of_tables.joined([Rows({"path": ["a"]}), Rows({"path": ["b"]})]).features is None


@pytest.mark.parametrize("descending", [False, True])
def test_rows_are_sorted_over_all_parts_and_equal_ones_keep_their_order(descending):
    values = [float(3 * number % 7) for number in range(100)]
    parts = [rows(40, mse=np.array(values[:40])), rows(60, first=40, mse=np.array(values[40:]))]
    (found,) = of_tables.sorted_rows(iter(parts), "mse", descending)
    wanted = sorted(range(100), key=lambda n: -values[n] if descending else values[n])
    assert found.columns["path"] == [f"{number}.png" for number in wanted]
    assert found.columns["mse"].tolist() == [values[number] for number in wanted]
    assert not list(of_tables.sorted_rows(iter([]), "mse", descending))


def test_the_size_of_rows_is_that_of_their_features_if_they_have_any():
    assert of_tables.size_of(rows(4)) == 12
    assert of_tables.size_of(Rows({"path": ["a", "b"]})) == 2
