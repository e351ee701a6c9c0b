"""Optimisers and schedules, one step by hand and factors in closed form."""

import math

import pytest
import torch
from torch import nn

from aectl.config import OPTIONS, Config
from aectl.models import Autoencoder, Classifier
from aectl.training.optimizers import OPTIMIZERS, SCHEDULES, build_optimizer, build_schedule


def configured(**options):
    return Config.from_options(options).training


def rates(steps, **options):
    """The learning rate of every step."""
    config = configured(lr=0.2, **options)
    optimizer = build_optimizer(nn.Linear(2, 2), config)
    schedule = build_schedule(optimizer, config, steps)
    seen = []
    for _ in range(steps):
        (rate,) = {group["lr"] for group in optimizer.param_groups}
        seen.append(rate)
        optimizer.step()
        schedule.step()
    return seen


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


@pytest.mark.parametrize(("steps", "warmup"), [(200, 0.05), (50, 0.5), (40, 0.0), (7, 0.3)])
def test_the_rate_rises_linearly_and_falls_as_half_a_cosine(steps, warmup):
    warm = warmup * steps
    expected = [
        0.2 * (step + 1) / math.ceil(warm)
        if step < warm
        else 0.1 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
        for step in range(steps)
    ]
    assert rates(steps, warmup=warmup) == pytest.approx(expected, rel=1e-9)


def test_a_constant_schedule_stays_at_its_highest_after_the_warm_up():
    expected = [0.2 * min(1, (step + 1) / 10) for step in range(100)]
    assert rates(100, warmup=0.1, schedule="constant") == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_is_always_above_zero_and_never_above_lr(steps, warmup, schedule):
    seen = rates(steps, warmup=warmup, schedule=schedule)
    assert all(0 < rate <= 0.2 * (1 + 1e-12) for rate in seen)


def test_the_tables_are_the_choices_of_the_config():
    assert set(OPTIMIZERS) == set(OPTIONS["optimizer"].metadata["option"].choices)
    assert set(SCHEDULES) == set(OPTIONS["schedule"].metadata["option"].choices)


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


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_weight_decay_a_weight_without_gradient_stays(name):
    layer = nn.Linear(3, 2)
    before = layer.weight.detach().clone()
    layer.weight.grad, layer.bias.grad = torch.zeros(2, 3), torch.ones(2)
    build_optimizer(layer, configured(optimizer=name)).step()
    assert torch.equal(layer.weight, before)


def test_every_trained_parameter_is_in_one_group_and_frozen_ones_in_none():
    encoder = Autoencoder((1, 2, 2), (3,)).encoder
    network = Classifier((1, 2, 2), (4,), 2, encoder=encoder)
    network.freeze_encoder()
    groups = build_optimizer(network, configured()).param_groups
    found = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(found) == sorted(id(parameter) for parameter in network.layers.parameters())
