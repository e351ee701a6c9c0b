"""Activations against numpy and scipy, and the gradient of clamp."""

import numpy as np
import pytest
import torch
from scipy import special

from aectl.config.all_options import OPTIONS
from aectl.models.activations import ACTIVATIONS, ACTIVE_ABOVE, clamp

FORMULAS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky-relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "gelu": lambda x: x * special.ndtr(x),
    "silu": lambda x: x * special.expit(x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "softplus": lambda x: np.logaddexp(0, x),
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "linear": lambda x: x,
    "clamp": lambda x: np.clip(x, 0, 1),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_activation_is_its_formula(name):
    x = np.linspace(-6, 6, 241)
    found = ACTIVATIONS[name](torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, FORMULAS[name](x), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("option", ["activation", "code_activation", "output_activation"])
def test_every_choice_of_the_config_is_in_the_table(option):
    assert set(OPTIONS[option].metadata["option"].choices) <= set(ACTIVATIONS)


def test_every_activation_of_the_table_can_be_chosen():
    options = ("activation", "code_activation", "output_activation")
    choices = (OPTIONS[option].metadata["option"].choices for option in options)
    assert set().union(*choices) == set(ACTIVATIONS)
    assert set(ACTIVE_ABOVE) <= set(ACTIVATIONS)


@pytest.mark.parametrize("largest", [3.0, 1e3, 1e9])
def test_clamp_is_exactly_np_clip_in_float32(largest):
    x = torch.linspace(-largest, largest, 20_001)
    np.testing.assert_array_equal(clamp(x).numpy(), np.clip(x.numpy(), 0, 1))


@pytest.mark.parametrize(
    ("x", "target"), [(1.5, 0.4), (1.5, 1.0), (-0.5, 0.3), (-0.5, 0.0), (0.2, 0.9)]
)
def test_clamp_has_the_gradient_of_the_identity_under_the_squared_error(x, target):
    at = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    (0.5 * (clamp(at) - target) ** 2).backward()
    assert at.grad.item() == pytest.approx(min(max(x, 0), 1) - target, abs=1e-12)


def test_clamp_pushes_an_output_beyond_the_bound_back_and_leaves_it_where_the_target_is():
    at = torch.tensor([1.5, 1.5, -0.5, -0.5], requires_grad=True)
    target = torch.tensor([0.4, 1.0, 0.3, 0.0])
    (clamp(at) - target).square().sum().backward()
    assert at.grad[0] > 0
    assert at.grad[2] < 0
    assert at.grad[[1, 3]].abs().max() < 1e-6
