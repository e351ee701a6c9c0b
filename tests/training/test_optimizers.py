"""Optimisers, one step by hand, and the columns that they keep."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import polar
from scipy.optimize import minimize, rosen, rosen_der
from torch import nn

from aectl.config.all_options import OPTIONS
from aectl.config.configuration import Config
from aectl.config.shapes import TextShape
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.networks import Autoencoder, Classifier, ConvAutoencoder
from aectl.training.optimizers import (
    COLUMNS,
    OPTIMIZERS,
    build_optimizer,
    constrain,
    follow,
    orthonormal,
)
from aectl.training.schedules import build_schedule


def configured(**options):
    return Config.from_options(options).training


def stepped(count=1, **options):
    """A linear layer, its gradients, and the layer after so many steps on the same gradients."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2).double()
    before = {name: p.detach().clone() for name, p in layer.named_parameters()}
    gradients = {name: torch.randn_like(p) for name, p in before.items()}
    optimizer = build_optimizer(layer, configured(**options))
    for _ in range(count):
        for name, parameter in layer.named_parameters():
            parameter.grad = gradients[name].clone()
        optimizer.step()
    return before, gradients, {name: p.detach() for name, p in layer.named_parameters()}


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


def test_the_table_has_the_choices_of_the_config():
    assert set(OPTIMIZERS) == set(OPTIONS["optimizer"].metadata["option"].choices)


def test_a_step_of_sgd_shrinks_weights_by_weight_decay_and_leaves_biases_alone():
    w, g, after = stepped(optimizer="sgd", lr=0.1, momentum=0.0, weight_decay=0.5)
    close(after["weight"], w["weight"] - 0.1 * (g["weight"] + 0.5 * w["weight"]))
    close(after["bias"], w["bias"] - 0.1 * g["bias"])


def test_two_steps_of_sgd_gather_momentum():
    w, g, after = stepped(2, optimizer="sgd", lr=0.1, momentum=0.7)
    close(after["weight"], w["weight"] - 0.1 * g["weight"] - 0.1 * (0.7 + 1) * g["weight"])


def test_the_first_step_of_adam_is_the_sign_of_the_gradient_with_the_decay_in_it():
    w, g, after = stepped(optimizer="adam", lr=0.1, weight_decay=20.0)
    close(after["weight"], w["weight"] - 0.1 * (g["weight"] + 20 * w["weight"]).sign())
    close(after["bias"], w["bias"] - 0.1 * g["bias"].sign())


def test_the_decay_of_adamw_is_decoupled_from_the_gradient():
    w, g, after = stepped(optimizer="adamw", lr=0.1, weight_decay=0.5)
    close(after["weight"], w["weight"] * (1 - 0.1 * 0.5) - 0.1 * g["weight"].sign())
    close(after["bias"], w["bias"] - 0.1 * g["bias"].sign())


def test_the_first_step_of_muon_is_the_nearest_orthogonal_matrix_and_biases_go_with_adamw():
    w, g, after = stepped(optimizer="muon", lr=0.1, weight_decay=0.5)
    step = (w["weight"] * (1 - 0.1 * 0.5) - after["weight"]) / (0.1 * 0.2 * math.sqrt(3))
    left, _, right = torch.linalg.svd(g["weight"], full_matrices=False)
    along = left.T @ step @ right.T
    assert ((along.diagonal() > 0.65) & (along.diagonal() < 1.25)).all()
    assert (along - along.diagonal().diag()).abs().max() < 0.03
    close(after["bias"], w["bias"] - 0.1 * g["bias"].sign())


def test_the_schedule_reaches_both_halves_of_muon():
    layer = nn.Linear(3, 2)
    optimizer = build_optimizer(layer, configured(optimizer="muon", lr=0.1))
    schedule = build_schedule(optimizer, configured(optimizer="muon", warmup=0.0), 1)
    layer.weight.grad, layer.bias.grad = torch.ones(2, 3), torch.ones(2)
    optimizer.step()
    schedule.step()  # at the end of half a cosine the rate is 0
    before = {name: p.detach().clone() for name, p in layer.named_parameters()}
    optimizer.step()
    assert all(torch.equal(p, before[name]) for name, p in layer.named_parameters())


def test_muon_leaves_the_kernels_of_convolutions_to_adamw():
    torch.manual_seed(0)
    layer = nn.Conv2d(1, 2, 3)
    before = layer.weight.detach().clone()
    layer(torch.randn(4, 1, 5, 5)).square().sum().backward()
    build_optimizer(layer, configured(optimizer="muon", lr=0.1)).step()
    close(layer.weight.detach(), before - 0.1 * layer.weight.grad.sign())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_weight_decay_a_weight_without_gradient_stays(name):
    layer = nn.Linear(3, 2)
    before = layer.weight.detach().clone()
    layer.weight.grad, layer.bias.grad = torch.zeros(2, 3), torch.ones(2)
    build_optimizer(layer, configured(optimizer=name)).step(lambda: torch.ones(()))
    assert torch.equal(layer.weight, before)


def test_every_trained_parameter_is_in_one_group_and_frozen_ones_in_none():
    encoder = Autoencoder((1, 2, 2), (3,)).encoder
    network = Classifier((1, 2, 2), (4,), 2, encoder=encoder)
    network.fine_tune_encoder(False)
    groups = build_optimizer(network, configured()).param_groups
    found = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(found) == sorted(id(parameter) for parameter in network.layers.parameters())


def columns_after(network, count=3, **options):
    """The decoder's columns after some steps on random gradients."""
    config = configured(optimizer="sgd", lr=0.1, **options)
    optimizer = build_optimizer(network, config)
    constrain(network, config, optimizer)
    seen = [network.decoder.directions.detach().clone()]
    for _ in range(count):
        for parameter in network.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        seen.append(network.decoder.directions.detach().clone())
    return seen


NETWORKS = {
    "dense": lambda: Autoencoder((1, 3, 4), (9, 5)),
    "tied": lambda: Autoencoder((1, 3, 4), (5,), tied=True),
    "wide": lambda: Autoencoder((1, 3, 4), (20,)),
    "conv": lambda: ConvAutoencoder((1, 6, 6), (3, 5)),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_each_unit_s_column_has_length_1_at_the_start_and_after_each_step(kind):
    torch.manual_seed(0)
    seen = columns_after(NETWORKS[kind](), decoder_columns="unit-norm")
    for columns in seen:
        torch.testing.assert_close(columns.norm(dim=0), torch.ones(columns.shape[1]))
    assert not torch.equal(seen[0], seen[-1])


@pytest.mark.parametrize("kind", NETWORKS)
def test_orthonormal_columns_are_at_right_angles_at_the_start_and_after_each_step(kind):
    torch.manual_seed(0)
    seen = columns_after(NETWORKS[kind](), decoder_columns="orthonormal")
    for columns in seen:
        short = columns if len(columns) >= columns.shape[1] else columns.T
        torch.testing.assert_close(short.T @ short, torch.eye(short.shape[1]), atol=1e-4, rtol=0)
    assert not torch.equal(seen[0], seen[-1])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("shape", [(12, 5), (5, 12), (6, 6)])
def test_the_orthonormal_matrix_is_the_nearest_one(shape, scale):
    torch.manual_seed(0)
    columns = scale * torch.randn(shape)
    factor, _ = polar(columns.double().numpy())
    np.testing.assert_allclose(orthonormal(columns), factor, atol=1e-4)


def test_free_columns_are_what_the_steps_make_of_them():
    torch.manual_seed(0)
    network = NETWORKS["dense"]()
    before = network.decoder.directions.detach().clone()
    seen = columns_after(network)
    assert torch.equal(seen[0], before)
    assert not torch.allclose(seen[1].norm(dim=0), torch.ones(5), atol=0.01)


def test_lbfgs_finds_the_minimum_that_scipy_s_finds():
    """Rosenbrock's valley in ten dimensions, an iteration a step."""
    at = torch.nn.Parameter(torch.full((2, 5), -0.5, dtype=torch.float64))
    network = nn.Module()
    network.at = at
    optimizer = build_optimizer(network, configured(optimizer="lbfgs"))

    def cost(x):
        x = x.flatten()
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    def closure():
        optimizer.zero_grad()
        value = cost(at)
        value.backward()
        return value

    for _ in range(150):
        optimizer.step(closure)
    by_scipy = minimize(rosen, np.full(10, -0.5), jac=rosen_der, method="L-BFGS-B")
    assert cost(at).item() < 1e-9
    np.testing.assert_allclose(at.detach().flatten(), by_scipy.x, atol=1e-3)


def test_the_tables_of_columns_are_the_choices_of_the_option():
    assert {*COLUMNS, "free"} == set(OPTIONS["decoder_columns"].metadata["option"].choices)


def test_units_that_follow_batches_come_to_have_mean_0_and_deviation_1_and_others_stay():
    torch.manual_seed(0)
    options = {"model": "text-autoencoder", "hidden": (8, 6), "sparsity": "topk", "k": 2}
    config = Config.from_options(options)
    network = build_network(Architecture(config.model, TextShape(5, 40)))
    encoder, tokens = network.encoder, torch.randint(3, 40, (50, 5))
    encoder.places.data[:, 2] = 0
    torch.nn.init.normal_(encoder.to_code.bias, std=3.0)
    constant = encoder.to_code.bias[2].item()
    optimizer, remembered = torch.optim.SGD(network.parameters(), lr=0.0), {}
    follow(encoder, remembered, optimizer)
    for _ in range(400):
        with torch.no_grad():
            deviation, mean = torch.std_mean(encoder.preactivation(tokens), 0, correction=0)
        remembered.update(mean=mean, deviation=deviation)
        optimizer.step()
    others = [0, 1, 3, 4, 5]
    torch.testing.assert_close(mean[others], torch.zeros(5), atol=1e-3, rtol=0)
    torch.testing.assert_close(deviation[others], torch.ones(5), atol=1e-3, rtol=0)
    assert encoder.to_code.bias[2].item() == constant
