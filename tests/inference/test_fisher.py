"""Fisher's combination, against a calculation by hand."""

import numpy as np
import pytest
import torch

from aectl.config.scores import CODE, ERROR
from aectl.errors import DataError, ModelFileError
from aectl.inference.anomaly_scores import Evidence
from aectl.inference.code_distances import Cosine, Mahalanobis, Neighbours
from aectl.inference.conformal import NormalScores
from aectl.inference.fisher import Fisher, log_p_values

RANDOM = np.random.default_rng(0)


def evidence(count):
    code = torch.from_numpy(RANDOM.normal(size=(count, 4)).astype(np.float32))
    return Evidence(torch.from_numpy(RANDOM.uniform(size=count)), code)


@pytest.fixture(scope="module")
def reference():
    return evidence(60)


@pytest.fixture(scope="module")
def fitted(reference):
    score = Fisher((ERROR, CODE))
    score.fit(reference)
    return score


def test_it_is_minus_twice_the_sum_of_the_logarithms_of_p_values(fitted, reference):
    new, first, second = evidence(20), reference.rows(slice(30)), reference.rows(slice(30, None))
    logarithms = np.zeros(20)
    for kind in (Mahalanobis, Neighbours, Cosine):
        score = kind()
        score.fit(first)
        ranked, found = score.of(second).numpy(), score.of(new).numpy()
        logarithms += [by_hand(np.sort(ranked), one) for one in found]
    errors = np.sort(second.error.float().numpy())
    logarithms += [by_hand(errors, one) for one in new.error.float().numpy()]
    np.testing.assert_allclose(fitted.of(new).numpy(), -2 * logarithms, rtol=1e-6)


def by_hand(ranked, score):
    """log p among 30 scores, the six highest of which a tail is fitted to."""
    if score <= ranked[24]:
        return np.log((1 + (ranked >= score).sum()) / 31)
    return np.log(7 / 31) - (score - ranked[24]) / np.mean(ranked[24:] - ranked[24])


def test_scores_above_all_normal_ones_differ_still():
    normal = NormalScores.of(np.arange(10, dtype=np.float32))
    found = log_p_values(normal, np.array([7.9, 8, 9, 10, 20], np.float32))
    assert found[:2].tolist() == [np.log(3 / 11)] * 2
    np.testing.assert_allclose(np.diff(found[1:]), [-2, -2, -20])


def test_equal_scores_have_no_tail():
    normal = NormalScores.of(np.ones(9, np.float32))
    found = log_p_values(normal, np.array([0, 1, 5], np.float32))
    np.testing.assert_allclose(np.exp(found), [1, 1, 0.1])


def test_tensors_give_the_same_score_again(fitted):
    again, new = Fisher((ERROR, CODE)), evidence(9)
    again.restore(fitted.tensors())
    assert torch.equal(again.of(new), fitted.of(new))


def test_a_score_of_fewer_parts_is_restored_with_those(fitted, reference):
    of_codes = {n: t for n, t in fitted.tensors().items() if not n.startswith("error.")}
    again = Fisher((ERROR, CODE))
    again.restore(of_codes)
    only = Fisher((CODE,))
    only.fit(reference)
    new = evidence(9)
    assert torch.equal(again.of(new), only.of(new))


@pytest.mark.parametrize(
    "tensors", [{}, {"other.scores": torch.ones(3)}, {"error.x": torch.ones(1)}]
)
def test_tensors_of_other_scores_are_refused(tensors):
    with pytest.raises(ModelFileError, match="its calibration"):
        Fisher((ERROR, CODE)).restore(tensors)


def test_too_few_reference_inputs_are_refused():
    with pytest.raises(DataError, match="too few normal inputs"):
        Fisher((ERROR, CODE)).fit(evidence(3))
