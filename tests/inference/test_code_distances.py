"""Distances of codes, against the definitions in NumPy."""

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf
from sklearn.metrics.pairwise import cosine_distances

from aectl.errors import DataError, ModelFileError
from aectl.inference import code_distances
from aectl.inference.anomaly_scores import Evidence
from aectl.inference.code_distances import CodeAndError, Cosine, Mahalanobis, Neighbours


def codes(count, features, seed=0):
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(features, features))
    return torch.from_numpy((random.normal(size=(count, features)) @ mixing).astype(np.float32))


def evidence(found):
    """That of codes; the first number of each is the difference, where a score takes one."""
    return Evidence(code=found[:, 1:], difference=found[:, :1])


def fitted(kind, reference):
    score = kind()
    score.fit(evidence(reference) if kind is CodeAndError else Evidence(code=reference))
    return score


def scores(score, found):
    both = isinstance(score, CodeAndError)
    return score.of(evidence(found) if both else Evidence(code=found)).numpy()


@pytest.mark.parametrize(("count", "features"), [(200, 6), (20, 50), (5, 8)])
def test_mahalanobis_is_that_of_the_shrunk_covariance(count, features):
    reference, new = codes(count, features), codes(40, features, 1)
    model = LedoitWolf().fit(reference.double().numpy())
    wanted = np.sqrt(model.mahalanobis(new.double().numpy()))
    found = scores(fitted(Mahalanobis, reference), new)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_a_unit_that_is_always_off_makes_a_code_with_it_far_away():
    reference, new = codes(100, 4), codes(1, 4, 1)
    reference[:, 2] = new[:, 2] = 0
    on = new.clone()
    on[0, 2] = 1
    score = fitted(Mahalanobis, reference)
    assert np.isfinite(scores(score, on)).all()
    assert scores(score, on) > 2 * scores(score, new)


def test_equal_codes_have_no_covariance_and_still_finite_distances():
    score = fitted(Mahalanobis, torch.ones(9, 3))
    assert scores(score, torch.ones(1, 3)).tolist() == [0]
    assert np.isfinite(scores(score, torch.zeros(1, 3))).all()


@pytest.mark.parametrize("count", [300, 2, 1])
def test_neighbours_is_the_mean_distance_to_the_two_nearest(count):
    reference, new = codes(count, 8), codes(40, 8, 1)
    pairs = np.linalg.norm(new[:, None].double().numpy() - reference.double().numpy(), axis=2)
    wanted = np.sort(pairs, 1)[:, :2].mean(1)
    np.testing.assert_allclose(scores(fitted(Neighbours, reference), new), wanted, rtol=1e-6)


def test_codes_with_their_errors_are_compared_in_standard_deviations():
    reference, new = codes(300, 8), codes(40, 8, 1)
    reference[:, 3], new[:, 3] = 5, 5 + torch.arange(40) / 20
    both = torch.cat([reference[:, 1:], reference[:, :1]], 1).double().numpy()
    deviations = np.where(both.std(0) > 0, both.std(0), 1)
    others = torch.cat([new[:, 1:], new[:, :1]], 1).double().numpy()
    pairs = np.linalg.norm((others[:, None] - both) / deviations, axis=2)
    wanted = np.sort(pairs, 1)[:, :2].mean(1)
    found = scores(fitted(CodeAndError, reference), new)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    units = torch.tensor([1000, 1, 1, 1, 0.01, 1, 1, 1])
    again = scores(fitted(CodeAndError, reference * units), new * units)
    np.testing.assert_allclose(again, found, rtol=1e-4)


@pytest.mark.parametrize("count", [300, 2, 1])
def test_cosine_is_the_mean_cosine_distance_to_the_two_nearest(count):
    reference, new = codes(count, 8), codes(40, 8, 1)
    pairs = cosine_distances(new.double().numpy(), reference.double().numpy())
    wanted = np.sort(pairs, 1)[:, :2].mean(1)
    found = scores(fitted(Cosine, reference), new)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    np.testing.assert_allclose(scores(fitted(Cosine, reference), 1000 * new), found, rtol=1e-5)


def test_a_code_of_zeros_is_at_a_right_angle_to_all():
    new = torch.stack([torch.zeros(3), torch.ones(3)])
    assert scores(fitted(Cosine, torch.ones(4, 3)), new).tolist() == pytest.approx([1, 0], abs=1e-7)


def test_neighbours_that_are_near_and_far_from_zero_are_told_apart():
    reference = 1000 + codes(100, 5) * 1e-3
    pairs = np.linalg.norm((reference[:7, None] - reference).double().numpy(), axis=2)
    found = scores(fitted(Neighbours, reference), reference[:7])
    np.testing.assert_allclose(found, np.sort(pairs, 1)[:, :2].mean(1), rtol=0.2)


@pytest.mark.parametrize("kind", [Mahalanobis, Neighbours, Cosine, CodeAndError])
def test_the_distance_of_a_code_does_not_depend_on_the_others(kind):
    score, new = fitted(kind, codes(200, 30)), codes(100, 30, 1)
    whole = scores(score, new)
    for rows in ([3], [99, 3], range(40), range(99, -1, -1)):
        assert np.array_equal(scores(score, new[list(rows)]), whole[list(rows)])


@pytest.mark.parametrize("kind", [Mahalanobis, Neighbours, Cosine, CodeAndError])
def test_tensors_give_the_same_score_again(kind):
    score, new = fitted(kind, codes(20, 30)), codes(9, 30, 1)
    again = kind()
    again.restore(score.tensors())
    assert all(tensor.dtype == torch.float32 for tensor in score.tensors().values())
    assert np.array_equal(scores(again, new), scores(score, new))


@pytest.mark.parametrize(
    ("kind", "name", "to"),
    [
        (Mahalanobis, "mean", torch.ones(4)),
        (Mahalanobis, "variances", torch.zeros(3)),
        (Mahalanobis, "directions", torch.ones(3)),
        (Mahalanobis, "rest", torch.zeros(1)),
        (Neighbours, "codes", torch.ones(3)),
        (Neighbours, "others", torch.ones(3)),
        (Cosine, "codes", torch.ones(3)),
        (CodeAndError, "codes", torch.ones(3)),
        (CodeAndError, "deviations", torch.ones(4)),
        (CodeAndError, "deviations", torch.zeros(3)),
    ],
)
def test_tensors_that_are_not_those_of_the_score_are_refused(kind, name, to):
    tensors = fitted(kind, codes(9, 3)).tensors()
    with pytest.raises(ModelFileError, match="calibration"):
        kind().restore({**tensors, name: to})


@pytest.mark.parametrize("kind", [Mahalanobis, Neighbours, Cosine, CodeAndError])
def test_codes_of_another_width_are_refused(kind):
    with pytest.raises(ModelFileError, match="its calibration is of codes of 3 numbers"):
        scores(fitted(kind, codes(9, 3)), codes(2, 4))


def test_only_so_many_reference_codes_are_kept(monkeypatch):
    monkeypatch.setattr(code_distances, "MOST_REFERENCES", 10)
    monkeypatch.setattr(code_distances, "MOST_VALUES", 24)
    assert fitted(Neighbours, codes(50, 2)).tensors()["codes"].shape == (10, 2)
    assert fitted(Neighbours, codes(50, 8)).tensors()["codes"].shape == (3, 8)


@pytest.mark.parametrize(("kind", "count"), [(Mahalanobis, 1), (Neighbours, 0), (CodeAndError, 0)])
def test_too_few_reference_codes_are_refused(kind, count):
    with pytest.raises(DataError, match="too few normal inputs"):
        fitted(kind, torch.ones(count, 3))
