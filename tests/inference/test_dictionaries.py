"""Directions of dictionaries, matched one to one, and compared with true ones."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from aectl.inference.dictionaries import (
    Dictionary,
    match_metrics,
    matched_cosines,
    of_length_1,
    truth_metrics,
)


def drawn(*shape, seed=0):
    return of_length_1(np.random.default_rng(seed).standard_normal(shape))


def test_the_matching_has_the_largest_sum_of_all():
    """Of all matchings of 5 directions with some of 7, one by one."""
    first, second = drawn(5, 4), drawn(7, 4, seed=1)
    cosines = first @ second.T
    sums = [cosines[range(5), chosen].sum() for chosen in itertools.permutations(range(7), 5)]
    for one, other in ((first, second), (second, first)):
        assert matched_cosines(one, other).sum() == pytest.approx(max(sums))


def test_permuted_directions_match_with_exactly_1_and_opposite_ones_where_they_have_no_sign():
    first = drawn(40, 9)
    order = np.random.default_rng(1).permutation(40)
    assert matched_cosines(first, first[order]).tolist() == [1] * 40
    assert matched_cosines(first, -first[order], signed=False).tolist() == [1] * 40
    assert matched_cosines(first, -first[order]).max() < 1


def test_metrics_of_three_dictionaries_are_means_over_pairs():
    three = [drawn(6, 12, seed=seed) for seed in range(3)]
    three[1][:3] = three[0][3:]
    found = match_metrics([Dictionary(one) for one in three])
    wanted = {}
    for a, b in itertools.combinations(range(3), 2):
        cosines = three[a] @ three[b].T
        best = cosines[linear_sum_assignment(cosines, maximize=True)]
        wanted[a, b] = best.mean(), (best > 0.7).mean(), (best > 0.9).mean()
    assert wanted[0, 1][2] >= 0.5
    for one, metrics in enumerate(found):
        mean = np.mean([values for pair, values in wanted.items() if one in pair], 0)
        names = ("matched_cosine", "matched_above_0.7", "matched_above_0.9")
        np.testing.assert_allclose([metrics[name] for name in names], mean)


def test_random_directions_of_the_same_shapes_are_the_baseline():
    """Other random directions give nearly the same mean."""
    found, _ = match_metrics([Dictionary(drawn(200, 20)), Dictionary(drawn(150, 20, seed=1))])
    assert found["matched_random"] == pytest.approx(found["matched_cosine"], abs=0.01)
    assert 0.4 < found["matched_random"] < 0.8


def test_true_directions_are_found_and_units_that_are_not_alive_are_not_counted():
    truth = np.eye(4)
    near = of_length_1(truth[:2] + np.array([0, 0, 0.3, 0]))  # a cosine of 0.958
    far = of_length_1(truth[2:3] + np.array([0.7, 0, 0, 0]))  # of 0.819
    units = Dictionary(np.concatenate([near, far, truth[3:], truth[:1]]))
    alive = np.array([True, True, True, False, True])
    found = truth_metrics(units, truth, alive)
    assert found["truth_recall"] == 3 / 4
    assert found["truth_precision"] == 3 / 4
    cosines = truth @ units.directions.T
    best = cosines[linear_sum_assignment(cosines, maximize=True)].mean()
    assert found["truth_cosine"] == pytest.approx(best)
    assert np.isnan(truth_metrics(units, truth, np.zeros(5, bool))["truth_precision"])
