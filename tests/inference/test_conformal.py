"""Conformal p-values against a calculation by hand, and the promise that they make."""

import numpy as np
import pytest

from aectl.errors import ConfigError, DataError
from aectl.inference.conformal import NormalScores, inputs_for


def floats(*values):
    return np.array(values, np.float32)


def test_p_values_are_those_of_a_calculation_by_hand():
    normal = NormalScores.of(floats(3, 1, 2, 2))
    assert normal.p_values(floats(0, 1, 1.5, 2, 2.5, 3, 4)).tolist() == [
        5 / 5, 5 / 5, 4 / 5, 4 / 5, 2 / 5, 2 / 5, 1 / 5,
    ]  # fmt: skip


@pytest.mark.parametrize("count", [1, 9, 49, 99, 999])
def test_a_rate_needs_as_many_normal_inputs_as_give_a_p_value_of_it(count):
    normal = NormalScores.of(np.arange(count, dtype=np.float32))
    assert inputs_for(1 / (count + 1)) == count
    normal.refuse_rate(1 / (count + 1))
    assert normal.p_values(floats(count))[0] <= 1 / (count + 1)
    with pytest.raises(ConfigError, match=f"needs {count + 1:,} normal inputs .* are {count:,}"):
        normal.refuse_rate(1 / (count + 2))


@pytest.mark.parametrize("rate", [0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.3])
def test_the_number_of_inputs_for_a_rate_is_the_least(rate):
    count = inputs_for(rate)
    assert 1 / (count + 1) <= rate
    assert count == 1 or 1 / count > rate


def test_the_rate_that_a_refusal_offers_is_supported():
    normal = NormalScores.of(np.arange(40, dtype=np.float32))
    with pytest.raises(ConfigError) as caught:
        normal.refuse_rate(0.01)
    assert str(caught.value) == (
        "--alarm-rate 0.01 needs 99 normal inputs to calibrate on, and there are 40; these support"
        " rates from 0.0244"
    )
    normal.refuse_rate(0.0244)


def test_without_normal_inputs_nothing_can_be_said():
    with pytest.raises(DataError, match="no normal inputs to calibrate on"):
        NormalScores.of(floats())


def test_scores_far_above_the_others_are_found_on_the_scale_of_logarithms():
    random = np.random.default_rng(0)
    skewed = np.exp(random.normal(0, 1, 500)).astype(np.float32)
    assert not NormalScores.of(skewed).far_out(skewed).any()
    mixed = np.append(skewed, floats(1e4, 2e4))
    assert np.flatnonzero(NormalScores.of(mixed).far_out(mixed)).tolist() == [500, 501]
    few = floats(*range(1, 10), 1e9)
    assert not NormalScores.of(few).far_out(few).any()


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
def test_many_equal_scores_flag_no_more_than_the_rate(rate):
    random = np.random.default_rng(0)
    flagged = []
    for _ in range(200):
        scores = random.integers(0, 4, 300).astype(np.float32)
        flagged.append(NormalScores.of(scores[:200]).p_values(scores[200:]) <= rate)
    assert np.mean(flagged) <= rate


@pytest.mark.parametrize(
    ("count", "rate"), [(9, 0.1), (19, 0.1), (19, 0.05), (99, 0.01), (150, 0.01), (8, 0.1)]
)
def test_a_score_above_the_threshold_of_a_rate_has_a_p_value_of_at_most_that(count, rate):
    scores = np.random.default_rng(count).random(count).astype(np.float32)
    normal = NormalScores.of(scores)
    asked = np.concatenate([scores, scores + np.float32(1e-6), [2]]).astype(np.float32)
    expected = normal.p_values(asked) <= rate + 1e-12
    assert np.array_equal(asked > normal.threshold(rate), expected)
    assert (normal.threshold(rate) == np.inf) == (count == 8)


@pytest.mark.parametrize("value", [0.1, 0.37, 0.02, 7e-4, 0.011, 3.3, 1e30])
def test_equal_scores_are_not_far_above_each_other(value):
    scores = np.full(25, value, np.float32)
    assert not NormalScores.of(scores).far_out(scores).any()
    assert NormalScores.of(scores).far_out(scores * np.float32(1.01)).all()
