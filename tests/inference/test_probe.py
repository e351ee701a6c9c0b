"""The linear probe against scikit-learn's classifier, fitted to the end, and by counting."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from aectl.errors import DataError
from aectl.inference.probe import probe_error


def blobs(count, seed=0):
    """Two classes that a line separates, (count, 2), with their names."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    features = rng.normal(0, 0.1, (count, 2)) + labels[:, None] * [3.0, 1.0]
    return features.astype(np.float32), np.array(["no", "yes"])[labels]


def test_classes_that_a_line_separates_have_no_error_and_wrong_labels_are_counted():
    test = blobs(40, seed=1)
    assert probe_error(blobs(200), test) == 0
    labels = test[1].copy()
    labels[:7] = np.where(labels[:7] == "no", "yes", "no")
    assert probe_error(blobs(200), (test[0], labels)) == pytest.approx(100 * 7 / 40)


def test_no_line_separates_the_corners_of_a_square():
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 25, np.float32)
    labels = np.array([0, 1, 1, 0] * 25)
    assert probe_error((corners, labels), (corners, labels)) >= 25


def test_it_is_as_good_as_scikit_learn_s_classifier_fitted_to_the_end():
    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype(np.float32)
    train, test = (pixels[:300], labels[:300]), (pixels[300:700], labels[300:700])
    scale = train[0].std()
    fitted = LogisticRegression(max_iter=5000, tol=1e-6).fit(train[0] / scale, train[1])
    wrong = (fitted.predict(test[0] / scale) != test[1]).mean()
    assert probe_error(train, test) == pytest.approx(100 * wrong, abs=0.5)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_unit_of_the_features_does_not_matter(scale):
    rng = np.random.default_rng(0)
    (a, labels), (b, names) = blobs(200), blobs(100, seed=1)
    a, b = (x + rng.normal(0, 1.5, x.shape).astype(np.float32) for x in (a, b))
    usual = probe_error((a, labels), (b, names))
    assert 0 < usual < 40
    assert probe_error((a * np.float32(scale), labels), (b * np.float32(scale), names)) == usual


def test_features_that_never_change_name_the_most_frequent_class():
    labels = np.array([0] * 30 + [1] * 10)
    same = np.full((40, 3), 2.0, np.float32)
    assert probe_error((same, labels), (same, labels)) == pytest.approx(25)


@pytest.mark.parametrize("where", ["train", "test"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_codes_that_are_not_finite_are_refused(where, value):
    train, test = blobs(20), blobs(10)
    (train if where == "train" else test)[0][3, 1] = value
    with pytest.raises(DataError, match="--probe: the codes are not finite"):
        probe_error(train, test)
