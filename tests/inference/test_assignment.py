"""Assignments of directions, beside SciPy's of the full matrix of cosines."""

import math
import tracemalloc

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from aectl.inference import assignment
from aectl.inference.dictionaries import (
    FEW,
    Dictionary,
    matched_cosines,
    of_length_1,
    truth_metrics,
)


def drawn(*shape, seed):
    return of_length_1(np.random.default_rng(seed).standard_normal(shape))


def likely(first, seed):
    """Directions of which some are near to others, in another order."""
    drawn = np.random.default_rng(seed)
    apart = drawn.standard_normal(first.shape) * drawn.choice([0.02, 0.2], (len(first), 1))
    return of_length_1((first + apart)[drawn.permutation(len(first))])


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (drawn(300, 20, seed=1), drawn(300, 20, seed=2)),
        (drawn(200, 8, seed=3), drawn(350, 8, seed=4)),
        (drawn(20, 9, seed=5), drawn(25, 9, seed=6)),
        (drawn(300, 20, seed=7), likely(drawn(300, 20, seed=7), 8)),
        (np.repeat(drawn(40, 5, seed=9), 3, 0), drawn(150, 5, seed=10)),
    ],
    ids=["random", "rectangular", "fewer than are tried", "alike", "doubled"],
)
def test_the_sum_is_that_of_scipy_for_the_full_matrix(monkeypatch, first, second, signed):
    monkeypatch.setattr(assignment, "LARGEST", 4)
    monkeypatch.setattr(assignment, "ROWS", 64)
    found = assignment.assigned(first, second, signed)
    assert len(set(found)) == len(first)
    cosines = first @ second.T if signed else np.abs(first @ second.T)
    expected = cosines[linear_sum_assignment(cosines, maximize=True)].sum()
    assert cosines[range(len(first)), found].sum() == pytest.approx(expected, abs=1e-6)


def test_many_permuted_directions_match_with_exactly_1():
    first = drawn(math.isqrt(FEW) + 10, 6, seed=11)
    order = np.random.default_rng(1).permutation(len(first))
    assert matched_cosines(first, first[order]).tolist() == [1] * len(first)


@pytest.mark.parametrize("signed", [True, False])
def test_true_directions_are_found_without_all_cosines_in_memory(signed):
    truth = drawn(300, 4, seed=1)
    units = np.concatenate([-truth[:150], drawn(40_000, 4, seed=2)])
    alive = np.arange(len(units)) % 3 > 0
    tracemalloc.start()
    found = truth_metrics(Dictionary(units, signed), truth, alive)
    needed = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert needed < 8 * len(truth) * len(units)
    cosines = truth @ units.T if signed else np.abs(truth @ units.T)
    matched = cosines[linear_sum_assignment(cosines, maximize=True)].mean()
    assert found["truth_cosine"] == pytest.approx(matched, abs=1e-6)
    assert found["truth_recall"] == (cosines.max(1) > 0.9).mean()
    assert found["truth_precision"] == (cosines.max(0)[alive] > 0.9).mean()
