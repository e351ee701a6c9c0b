"""The scaling of vectors in NumPy, against that of torch, which is tested against scikit-learn."""

import dataclasses

import numpy as np
import pytest
import torch

from aectl.config.model_options import ModelConfig
from aectl.models.numpy_scaling import NumpyScaling
from aectl.models.scaling import scaled, scaling_of

RNG = np.random.default_rng(0)
ROWS = (RNG.standard_normal((50, 4)) * [1, 10, 1e-3, 0] + [0, -5, 1, 7]).astype("f4")
LACKING = np.where(RNG.random(ROWS.shape) < 0.2, np.float32(np.nan), ROWS)
OF_VECTORS = ModelConfig(modality="vectors", hidden=(2,))


@pytest.mark.parametrize("missing", ["refuse", "mean"])
@pytest.mark.parametrize(
    "scale", ["none", "standard", "minmax", "center", "unit-norm", "layer-norm"]
)
def test_vectors_are_scaled_as_in_training(scale, missing):
    config = dataclasses.replace(OF_VECTORS, scale=scale, missing=missing)
    vectors = ROWS if missing == "refuse" else LACKING
    wanted = scaling_of(config, 4)
    tensors = {}
    if wanted is not None:
        wanted.fit([torch.from_numpy(vectors)])
        tensors = {name: value.numpy() for name, value in wanted.named_buffers()}
    found = NumpyScaling.of(config, tensors)
    assert (found is None) == (wanted is None)
    shapes = {
        name.removeprefix("scaling."): n for name, n in NumpyScaling.shapes(config, 4).items()
    }
    assert shapes == {name: value.shape for name, value in tensors.items()}
    if found is not None:
        before = vectors.copy()
        made = found(vectors)
        np.testing.assert_allclose(
            made, scaled(wanted, torch.from_numpy(vectors)), rtol=1e-5, atol=1e-6
        )
        assert np.array_equal(before, vectors, equal_nan=True)


def test_a_vector_of_zeros_has_no_length_to_divide_by():
    scaling = NumpyScaling("unit-norm", None, None, None)
    assert np.array_equal(scaling(np.zeros((2, 3), np.float32)), np.zeros((2, 3)))


@pytest.mark.parametrize("scale", ["unit-norm", "layer-norm"])
def test_a_vector_whose_length_overflows_is_no_vector_of_zeros(scale):
    vectors = np.float32([[1e25, -1e25, 0], [1, 2, 3]])
    with np.errstate(over="ignore"):
        made = NumpyScaling(scale, None, None, None)(vectors)
    assert np.isnan(made[0]).all()
    assert np.isfinite(made[1]).all()
