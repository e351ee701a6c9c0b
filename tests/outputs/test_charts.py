"""Charts of curves."""

import math

import numpy as np
import pytest

from aectl.outputs.charts import BOTTOM, TOP, chart

COURSES = {
    "falling": lambda x: (1 / x, 2 / x),
    "rising": lambda x: (x, 2 * x),
    "level": lambda x: (1, 1),
    "one high and one low": lambda x: (1, 0),
    "a hill": lambda x: (-((x - 15) ** 2), -2 * (x - 15) ** 2),
    "a valley": lambda x: ((x - 15) ** 2, 2 * (x - 15) ** 2),
}


def pixels(curves):
    return np.asarray(chart("loss", "epoch", curves).convert("RGB")).astype(int)


@pytest.mark.parametrize("course", COURSES.values(), ids=COURSES)
@pytest.mark.parametrize("count", [2, 30, 200])
def test_the_legend_lies_where_no_curve_is(course, count):
    both = np.transpose([course(30 * n / count) for n in range(1, count + 1)]).tolist()
    curves = {
        name: [*enumerate(one, 1)] for name, one in zip(("loss", "sparsity"), both, strict=True)
    }
    inside = pixels(curves)[TOP : -BOTTOM - 1]
    inside = inside[:, np.flatnonzero((inside == 0).all((0, 2)))[-1] + 1 :]  # right of the axis
    rows, columns = ((inside < 100).all(2)).nonzero()  # of letters
    assert len(rows) > 50
    there = inside[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert (np.ptp(there, 2) < 30).all(), "a coloured pixel among the letters"


def test_a_value_lies_at_its_height():
    """Between ticks: the row of the middle of a straight line is the mean of those of its ends."""
    picture = pixels({"loss": [(1, 0.0), (2, 1.0), (3, 2.0)]})
    rows, columns = (np.ptp(picture, 2) > 100).nonzero()
    ends = [rows[columns < columns.min() + 5].mean(), rows[columns > columns.max() - 5].mean()]
    middle = rows[abs(columns - (columns.min() + columns.max()) / 2) < 3].mean()
    assert middle == pytest.approx(sum(ends) / 2, abs=0.7)
    assert ends[0] > ends[1] + 200


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_left_out(number):
    curve = [(1, 0.5), (2, number), (3, 0.2), (4, 0.1)]
    assert (pixels({"loss": curve}) == pixels({"loss": [curve[0], *curve[2:]]})).all()
    assert pixels({"loss": [(1, number)]}).min() < 100


@pytest.mark.parametrize("last", [19, 95, 96, 475, 666, 668, 9_520, 95_300, 999_000])
def test_the_last_label_of_epochs_is_whole(last):
    """The last tick may be the end of the axis; half of its label lies beyond."""
    picture = pixels({"loss": [(1, 0.5), (last, 0.1)]})
    assert (picture[:, -2:] == 255).all()
