"""The geometric median, by closed forms and by SciPy; and what starts at it."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from aectl.config.configuration import Config
from aectl.config.shapes import VectorShape
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.training.geometric_median import geometric_median
from aectl.training.initialisation import Start, begin


def with_outliers(count=400, features=5):
    drawn = np.random.default_rng(0)
    vectors = drawn.standard_normal((count, features)) + 3
    vectors[::20] += 200
    return torch.tensor(vectors, dtype=torch.float32)


def by_scipy(vectors):
    x = vectors.double().numpy()
    distance = lambda point: np.linalg.norm(x - point, axis=1).mean()  # noqa: E731
    return minimize(distance, np.median(x, axis=0), tol=1e-12).x


@pytest.mark.parametrize("scale", [1e-12, 1, 1e6])
def test_the_median_of_three_points_on_a_line_is_the_one_between(scale):
    points = scale * torch.tensor([[0.0, 0], [1, 2], [10, 20]])
    torch.testing.assert_close(geometric_median(points) / scale, torch.tensor([1.0, 2]))


@pytest.mark.parametrize(
    "points", [[[3.0, 4]], [[0.0, 0]] * 3, [[1.0, 0], [-1, 0], [0, 2], [0, -2]]]
)
def test_the_median_of_a_symmetric_set_is_its_centre(points):
    points = torch.tensor(points)
    torch.testing.assert_close(geometric_median(points), points.mean(0))


def test_the_median_has_the_smallest_mean_distance():
    vectors = with_outliers()
    np.testing.assert_allclose(geometric_median(vectors), by_scipy(vectors), rtol=1e-4)


def test_of_many_vectors_some_from_all_places_are_looked_at(monkeypatch):
    monkeypatch.setattr("aectl.training.geometric_median.FEWEST", 10)
    monkeypatch.setattr("aectl.training.geometric_median.MOST_VALUES", 40)
    line = torch.arange(1000.0)[:, None] * torch.ones(4)
    assert abs(geometric_median(line).mean() - 499.5) < 51


@pytest.mark.parametrize("sparsity", ["topk", "batch-topk", "l1"])
def test_sparse_codes_of_vectors_start_at_the_geometric_median(sparsity):
    options = {"k": 2} if "topk" in sparsity else {}
    config = Config.from_options(
        {"modality": "vectors", "hidden": "8", "sparsity": sparsity, **options}
    )
    network = build_network(Architecture(config.model, VectorShape(5)))
    vectors = with_outliers()
    begin(network, config, Start(), vectors)
    for start in (network.decoder.last_bias.detach(), network.encoder.center):
        np.testing.assert_allclose(start, by_scipy(vectors), rtol=1e-4)


def test_codes_that_are_not_sparse_are_centred_at_the_mean():
    config = Config.from_options({"modality": "vectors", "hidden": "8"})
    network = build_network(Architecture(config.model, VectorShape(5)))
    begin(network, config, Start(), with_outliers())
    torch.testing.assert_close(network.encoder.center, with_outliers().mean(0))
