"""Inference with dense networks in NumPy."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from aectl.data.images.image_batches import in_memory
from aectl.data.images.image_set import ImageSet
from aectl.inference.in_numpy import InNumpy
from aectl.models.numpy_elements import linear
from aectl.models.numpy_networks import DenseClassifier, DenseEncoder, Layers, NumpyNetwork

RNG = np.random.default_rng(0)
IMAGES = ImageSet("drawn", RNG.integers(0, 256, (70, 1, 2, 3), dtype=np.uint8))
WEIGHTS = RNG.standard_normal((4, 6), np.float32)
LAYERS = Layers((WEIGHTS,), (np.arange(4, dtype=np.float32),), linear)


def used(network, threads=1):
    return InNumpy(NumpyNetwork(network, None, 32), lambda batch: batch.images, 255, threads)


@pytest.mark.parametrize("size", [1, 33, 70])
def test_each_batch_comes_with_the_codes_of_its_pixels(size):
    found = list(used(DenseEncoder(LAYERS, None, linear)).encode(in_memory(IMAGES, size), None))
    assert [path for batch, _ in found for path in batch.paths] == [f"drawn/{n}" for n in range(70)]
    wanted = IMAGES.images.reshape(70, 6) / 255 @ WEIGHTS.T + np.arange(4)
    np.testing.assert_allclose(
        np.concatenate([code for _, code in found]),
        wanted,
        rtol=1e-5,
        atol=1e-6,
    )


def test_classes_are_in_the_order_of_their_probability_and_equal_ones_in_that_of_their_names():
    equal = Layers((np.zeros((4, 6), np.float32),), (np.log(np.float32([1, 2, 2, 3])),), linear)
    (found,) = used(DenseClassifier(equal, None, None, None)).classify(in_memory(IMAGES, 70), 3)
    assert (found.predictions == [3, 1, 2]).all()
    np.testing.assert_allclose(found.probabilities, np.tile([3 / 8, 2 / 8, 2 / 8], (70, 1)))


def test_products_have_the_threads_that_are_asked_for_and_others_keep_theirs():
    def threads(x):
        made = {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}
        asked.append(made)
        return x

    asked = []
    before = threadpool_info()
    network = used(DenseEncoder(LAYERS, None, threads), threads=2)
    list(network.encode(in_memory(IMAGES, 70), None))
    assert asked and all(made == {2} for made in asked)
    assert threadpool_info() == before
