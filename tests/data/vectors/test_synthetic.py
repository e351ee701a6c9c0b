"""Synthetic vectors: combinations of few known directions, the same each time."""

import numpy as np
import pytest
from scipy.optimize import nnls

from aectl.data.vectors.synthetic import Synthetic
from aectl.errors import DataError

WORD = "synthetic:directions=12,dim=8,active=3,n=40"


def test_vectors_are_combinations_of_as_many_directions_as_are_active():
    """Non-negative least squares finds the coefficients, since more than one combination is
    seldom possible."""
    made = Synthetic.of(WORD.replace("dim=8", "dim=12"))
    truth, vectors = made.truth(), made.vectors("train")
    np.testing.assert_allclose(np.linalg.norm(truth, axis=1), 1, rtol=1e-6)
    assert (truth.shape, vectors.shape) == ((12, 12), (40, 12))
    for vector in vectors:
        coefficients, rest = nnls(truth.T.astype(float), vector.astype(float))
        assert rest < 1e-4
        assert (coefficients > 1e-4).sum() <= 3
        assert coefficients.max() < 1.0001


def test_coefficients_are_uniform_between_0_and_1_and_directions_equally_often_active():
    made = Synthetic.of("synthetic:directions=6,dim=6,active=2,n=20000,seed=3")
    coefficients = np.linalg.solve(made.truth().T.astype(float), made.vectors("test").T)
    active = np.abs(coefficients) > 1e-4
    np.testing.assert_allclose(active.mean(1), 1 / 3, atol=0.02)
    quantiles = np.quantile(coefficients[active], [0.1, 0.5, 0.9])
    np.testing.assert_allclose(quantiles, [0.1, 0.5, 0.9], atol=0.02)


def test_a_word_gives_the_same_vectors_and_another_seed_or_split_others():
    first, again, other = (Synthetic.of(word) for word in (WORD, WORD, f"{WORD},seed=1"))
    np.testing.assert_array_equal(first.vectors("train"), again.vectors("train"))
    assert not np.isclose(first.vectors("train"), first.vectors("test")).any()
    assert not np.isclose(first.vectors("train"), other.vectors("train")).any()
    assert not np.isclose(first.truth(), other.truth()).any()


def test_noise_is_added_to_each_feature():
    clean = Synthetic.of("synthetic:directions=4,dim=3,active=1,n=5000")
    noisy = Synthetic.of("synthetic:directions=4,dim=3,active=1,n=5000,noise=0.5")
    np.testing.assert_array_equal(clean.truth(), noisy.truth())
    added = noisy.vectors("train") - clean.vectors("train")
    assert added.mean() == pytest.approx(0, abs=0.02)
    assert added.std() == pytest.approx(0.5, abs=0.02)


BAD = {
    "dims=3": "there is no dims, only directions, dim, active, n, seed, noise; did you mean 'dim'?",
    "test": "there is no test",
    "dim=": "dim must be a whole number",
    "n=1e5": "n must be a whole number",
    "noise=x": "noise must be a number",
    "noise=nan": "seed and noise must be 0 or more",
    "seed=-1": "seed and noise must be 0 or more",
    "active=0": "active must be at least 1",
    "active=600": "of 512 directions, 600 cannot be active",
    "dim=2,dim=3": "dim is given twice",
    "n=10000000000": "more than",
}


@pytest.mark.parametrize(("given", "message"), BAD.items())
def test_options_that_make_no_vectors_are_refused(given, message):
    with pytest.raises(DataError, match=f"synthetic:{given}: .*{message}".replace("?", "[?]")):
        Synthetic.of(f"synthetic:{given}")
