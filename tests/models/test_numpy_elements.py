"""Activations and sparsity rules in NumPy, against torch and values computed by hand."""

import warnings

import numpy as np
import pytest
import torch

from aectl.config.model_options import ModelConfig
from aectl.models import activations, numpy_elements
from aectl.models.architecture import Architecture
from aectl.models.numpy_elements import code_of, largest, softmax

WIDE = np.linspace(-100, 100, 4001, dtype=np.float32).reshape(-1, 1)


@pytest.mark.parametrize("name", numpy_elements.ACTIVATIONS)
def test_activations_are_those_of_torch(name):
    with np.errstate(over="ignore"):  # exp(100) is infinite in 32 bits, and its inverse is 0
        found = numpy_elements.ACTIVATIONS[name](WIDE)
    wanted = activations.ACTIVATIONS[name](torch.from_numpy(WIDE).double()).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=3e-6, atol=2e-7)


def test_there_is_one_for_each_activation_of_a_hidden_layer():
    assert [*numpy_elements.ACTIVATIONS, "clamp"] == list(activations.ACTIVATIONS)


def test_probabilities_are_those_of_a_softmax_and_large_logits_do_not_overflow():
    found = softmax(np.float32([[0, np.log(3)], [1e30, 0], [-1e30, -1e30]]))
    np.testing.assert_allclose(found, [[0.25, 0.75], [1, 0], [0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("rule, name", [("gated", "r"), ("jumprelu", "log_threshold")])
def test_an_exponential_of_a_parameter_that_overflows_is_told_to_nobody(rule, name):
    config = ModelConfig(hidden=(3,), sparsity=rule).resolved(4)
    tensors = {name: np.full(3, 100, np.float32), "b": np.zeros(3, np.float32)}
    with warnings.catch_warnings(action="error"):
        code_of(Architecture(config, (1, 2, 2)), tensors)


@pytest.mark.parametrize("count", [1, 3, 6, 7])
def test_the_largest_values_of_each_row_stay(count):
    code = np.random.default_rng(0).standard_normal((50, 6), np.float32)
    kept = largest(code, count)
    for row, was in zip(kept, code, strict=True):
        assert set(row[row != 0]) == set(sorted(was)[::-1][:count])
        assert ((row == was) | (row == 0)).all()
