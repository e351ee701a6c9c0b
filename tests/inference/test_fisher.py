"""Fisher's combination, against a calculation by hand."""

import numpy as np
import pytest
import torch

from aectl.config.scores import CODE, ERROR
from aectl.errors import DataError, ModelFileError
from aectl.inference.anomaly_scores import Evidence
from aectl.inference.code_distances import Cosine, Mahalanobis, Neighbours
from aectl.inference.fisher import Fisher

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
        logarithms += np.log([(1 + (ranked >= one).sum()) / 31 for one in found])
    errors = second.error.float().numpy()
    logarithms += np.log([(1 + (errors >= one).sum()) / 31 for one in new.error.float().numpy()])
    np.testing.assert_allclose(fitted.of(new).numpy(), -2 * logarithms, rtol=1e-6)


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
