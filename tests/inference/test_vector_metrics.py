"""Metrics of vectors, against NumPy and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import paired_cosine_distances

from aectl.errors import DataError
from aectl.inference.vector_metrics import VectorMetrics

RNG = np.random.default_rng(0)
X = (3 + RNG.standard_normal((40, 5))).astype("f4")
MADE = (X + 0.3 * RNG.standard_normal((40, 5))).astype("f4")
CODE = torch.from_numpy((RNG.random((40, 3)) * [1, 1, 0]).astype("f4"))


def measured(x, made, parts=3, factor=None):
    metrics = VectorMetrics(0.0, factor)
    rows = []
    for some in np.array_split(np.arange(len(x)), parts):
        both = torch.from_numpy(x[some]), torch.from_numpy(made[some])
        rows.append(torch.stack(list(metrics.update(*both, CODE[some]).values())))
    return metrics.result(), torch.cat(rows, 1).numpy(), metrics.of_features()


def test_metrics_are_those_of_numpy_whatever_the_batches():
    found, (errors, cosines), each = measured(X, MADE)
    x, made = X.astype("f8"), MADE.astype("f8")
    np.testing.assert_allclose(errors, ((made - x) ** 2).mean(1), rtol=1e-12)
    np.testing.assert_allclose(cosines, 1 - paired_cosine_distances(x, made), rtol=1e-12)
    assert found["mse"] == pytest.approx(((made - x) ** 2).mean(), rel=1e-12)
    wanted = r2_score(x, made, multioutput="variance_weighted")
    assert found["explained_variance"] == pytest.approx(wanted, rel=1e-9)
    assert found["cosine_similarity"] == pytest.approx(cosines.mean(), rel=1e-12)
    assert (found["l0"], found["dead"]) == (pytest.approx(2), pytest.approx(1 / 3))
    np.testing.assert_allclose(each["mse"], ((made - x) ** 2).mean(0), rtol=1e-12)
    wanted = r2_score(x, made, multioutput="raw_values")
    np.testing.assert_allclose(each["explained_variance"], wanted, rtol=1e-9)
    again, _, _ = measured(X, MADE, parts=1)
    assert again == pytest.approx(found, rel=1e-12)


def test_the_scaled_error_is_that_of_features_which_a_factor_multiplies():
    factor = np.array([1, 10, 0.1, 2, 3], "f4")
    found, (errors, scaled, _), _ = measured(X, MADE, factor=torch.from_numpy(factor))
    squares = ((MADE.astype("f8") - X) * factor) ** 2
    np.testing.assert_allclose(scaled, squares.mean(1), rtol=1e-12)
    assert found["scaled_mse"] == pytest.approx(squares.mean(), rel=1e-12)
    assert found["mse"] == pytest.approx(errors.mean(), rel=1e-12)


def test_a_vector_of_zeros_has_no_direction():
    x = X.copy()
    x[0] = 0
    _, (_, cosines), _ = measured(x, MADE)
    assert cosines[0] == 0
    assert np.isfinite(cosines).all()


def test_a_feature_that_never_changes_has_no_variance_to_explain():
    x = X.copy()
    x[:, 2] = 1e6
    found, _, each = measured(x, MADE)
    assert each["explained_variance"].isnan().tolist() == [False, False, True, False, False]
    assert np.isfinite(found["explained_variance"])


def test_without_vectors_there_are_no_metrics():
    with pytest.raises(DataError):
        VectorMetrics(0.0).result()
