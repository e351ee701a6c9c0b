"""PCA against scikit-learn and NumPy."""

import numpy as np
import pytest
import torch
from sklearn import decomposition
from sklearn.datasets import load_digits

from aectl.errors import DataError
from aectl.inference.pca import LARGEST_SIDE, PCA


def digits():
    return load_digits().images[:, None] / 16


@pytest.mark.parametrize("components", [1, 10, 40])
@pytest.mark.parametrize(
    ("count", "batches"), [(12, 1), (50, 7), (64, 2), (65, 2), (66, 66), (1400, 7)]
)
def test_pca_reconstructs_as_sklearn_s_does(components, count, batches):
    x = digits()
    train, test = x[:count], x[1400:]
    ours = PCA()
    for part in np.array_split(train, batches):
        ours.update(torch.tensor(part))
    theirs = decomposition.PCA(min(components, count - 1), svd_solver="full")
    theirs.fit(train.reshape(count, -1))
    expected = theirs.inverse_transform(theirs.transform(test.reshape(len(test), -1)))
    found = ours.fit(components).reconstruct(torch.tensor(test)).numpy()
    assert found.shape == test.shape
    np.testing.assert_allclose(found.reshape(len(test), -1), expected, atol=1e-8)


@pytest.mark.parametrize("count", [1, 3, 200])
def test_pca_of_images_that_are_all_alike_gives_their_mean(count):
    pca, x = PCA(), torch.full((count, 1, 8, 8), 77, dtype=torch.uint8)
    pca.update(x)
    torch.testing.assert_close(pca.fit(5).reconstruct(x), x.double())


def test_pca_of_few_large_images_needs_no_matrix_of_their_pixels():
    x = np.random.default_rng(0).integers(0, 256, (9, 3, 200, 200), dtype=np.uint8)
    pca = PCA()
    pca.update(torch.tensor(x))
    mean = x.reshape(9, -1).mean(0)
    left, values, right = np.linalg.svd(x.reshape(9, -1) - mean, full_matrices=False)
    expected = mean + (left[:, :4] * values[:4]) @ right[:4]
    found = pca.fit(4).reconstruct(torch.tensor(x)).numpy()
    np.testing.assert_allclose(found.reshape(9, -1), expected, atol=1e-8)


def test_pca_of_too_many_images_that_are_too_large_is_refused():
    pca = PCA()
    with pytest.raises(DataError, match="at most 16,384 inputs"):
        for part in torch.empty(1, dtype=torch.uint8).expand(LARGEST_SIDE + 1, 17_000).split(1000):
            pca.update(part)


def test_pca_with_as_many_components_as_pixels_or_more_gives_the_images_back():
    x = torch.tensor(digits()[:200])
    pca = PCA()
    pca.update(x)
    for components in (64, 100):
        torch.testing.assert_close(pca.fit(components).reconstruct(x), x, atol=1e-9, rtol=0)


def test_pca_of_no_images_is_a_data_error():
    with pytest.raises(DataError, match="no inputs"):
        PCA().fit(2)
