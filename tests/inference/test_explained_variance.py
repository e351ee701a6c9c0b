"""Explained variance: the one definition that images, vectors, features and prefixes have."""

import math

import numpy as np
import pytest
import torch

from aectl.inference.explained_variance import Variation, explained_variance
from aectl.inference.metrics import ReconstructionMetrics
from aectl.inference.vector_metrics import VectorMetrics


def vectors(count=60):
    drawn = np.random.default_rng(0).standard_normal((count, 5)) + 1000
    drawn[:, 2] = 0.1
    return torch.tensor(drawn, dtype=torch.float32)


@pytest.mark.parametrize("cuts", [[60], [1, 59], [20, 20, 20]])
def test_the_variation_of_features_far_from_0_is_that_of_numpy(cuts):
    found = Variation()
    for batch in vectors().split(cuts):
        found.add(batch)
    x = vectors().double().numpy()
    expected = x.var(0) * len(x)
    expected[2] = 0
    np.testing.assert_allclose(found.of_features, expected, rtol=1e-12)
    assert found.total.item() == pytest.approx(expected.sum())


def test_images_and_vectors_of_the_same_values_have_the_same_explained_variance():
    x, made, code = vectors() / 2000, vectors() / 1900, torch.ones(60, 3)
    of_images, of_vectors = ReconstructionMetrics(0.0), VectorMetrics(0.0)
    of_images.update(x[:, :, None, None], made[:, :, None, None], code)
    of_vectors.update(x, made, code)
    name = "explained_variance"
    assert of_images.result()[name] == of_vectors.result()[name]


def test_without_variation_nothing_can_be_explained():
    found = explained_variance(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 4.0]))
    assert math.isnan(found[0]) and found[1] == 0.75
