"""Adam with moments in bfloat16, beside torch's own, and the rounding of its second moment."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from test_run import digits, trained
from torch import nn

from aectl.config.configuration import Config
from aectl.errors import ConfigError
from aectl.training import bfloat16_adam
from aectl.training.bfloat16_adam import random_bits, round_at_random
from aectl.training.optimizers import IN_BFLOAT16, OPTIMIZERS, build_optimizer

DRAWS = 20_000
BITS = 8
"""Significant bits of bfloat16."""

VALUES = [1.0, 1.00390625, 1.003, 1e-30, 3.2e-12, 0.1, 255.1, 0.999 * 0.25, 1.99999, 3e38, 6e-39]


def in_bfloat16(wide):
    out = torch.empty(len(wide), dtype=torch.bfloat16)
    round_at_random(wide, random_bits(len(wide), wide.device), out)
    return out


def rounded(values):
    """(n,) -> (DRAWS, n), in float64."""
    return in_bfloat16(torch.tensor(values).repeat(DRAWS)).double().view(DRAWS, -1).numpy()


def neighbours(values):
    """The largest number of BITS bits that is no larger than a float32, and the next."""
    exact = np.float32(values).astype(np.float64)
    _, exponent = np.frexp(exact)
    spacing = np.ldexp(1.0, np.maximum(exponent, -125) - BITS)
    low = np.floor(exact / spacing) * spacing
    return exact, low, low + spacing


def test_values_are_rounded_to_a_neighbour_so_that_their_mean_stays():
    torch.manual_seed(0)
    found = rounded(VALUES)
    exact, low, high = neighbours(VALUES)
    assert ((found == low) | (found == high)).all()
    upper, expected = (found == high).mean(0), (exact - low) / (high - low)
    error = np.sqrt(expected * (1 - expected) / DRAWS)
    assert (abs(upper - expected) <= 4.5 * error).all()
    assert ((upper > 0) & (upper < 1)).sum() > 6


def test_values_of_bfloat16_stay_and_so_do_infinity_and_what_is_no_number():
    torch.manual_seed(0)
    every = torch.arange(0x7F81).to(torch.int16).view(torch.bfloat16)
    assert in_bfloat16(every.float()).equal(every)
    nans = torch.tensor([0x7FC00000, 0x7FFFFFFF, -0x400000]).to(torch.int32).repeat(DRAWS)
    assert in_bfloat16(nans.view(torch.float32)).isnan().all()


def layer_and(**options):
    """A layer, and its optimiser with moments in bfloat16."""
    torch.manual_seed(0)
    layer = nn.Linear(23, 7)
    config = Config.from_options({"optimizer_state": "bf16", "lr": 0.01, **options})
    return layer, build_optimizer(layer, config.training)


def step(layer, optimizer, gradient):
    for parameter in layer.parameters():
        parameter.grad = gradient.expand_as(parameter).clone()
    optimizer.step()


BY_TORCH = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@pytest.mark.parametrize("piece", [2**18, 5])
@pytest.mark.parametrize("name", IN_BFLOAT16)
def test_the_first_step_is_that_of_torch_in_float32(name, piece, monkeypatch):
    monkeypatch.setattr(bfloat16_adam, "PIECE_ON_CPU", piece)
    layer, optimizer = layer_and(optimizer=name, weight_decay=0.1)
    expected = nn.Parameter(layer.weight.detach().clone())
    by_torch = BY_TORCH[name]([expected], 0.01, weight_decay=0.1)
    expected.grad = torch.randn(7, 23)
    layer.weight.grad = expected.grad.clone()
    by_torch.step()
    optimizer.step()
    torch.testing.assert_close(layer.weight, expected, rtol=1e-6, atol=1e-7)
    kept = optimizer.state[layer.weight]
    for moment, exact in by_torch.state[expected].items():
        torch.testing.assert_close(kept[moment].float(), exact, rtol=2**-7, atol=0)


def test_the_second_moment_follows_the_squared_gradient_on_average():
    """v = (1 - 0.999^n) g^2 after n steps, then 0.999^n of it; rounded to nearest, it would stop at
    a quarter of g^2, and never fall."""
    layer, optimizer = layer_and()
    steps = 1500
    found = []
    for gradient in [torch.tensor(0.5)] * steps + [torch.tensor(0.0)] * steps:
        step(layer, optimizer, gradient)
        found.append(optimizer.state[layer.weight]["exp_avg_sq"].double().mean().item())
    left = 0.999**steps
    assert found[steps - 1] == pytest.approx(0.25 * (1 - left), rel=0.02)
    assert found[-1] == pytest.approx(0.25 * (1 - left) * left, rel=0.02)


@pytest.mark.parametrize("options", [{}, {"optimizer": "adamw", "weight_decay": 0.01}], ids=str)
def test_training_ends_with_the_loss_of_moments_in_float32(options):
    """With v rounded to nearest, the loss is 3 % larger."""
    common = {"hidden": "64", "epochs": 30, "schedule": "constant", **options}
    losses = [
        trained(digits(), optimizer_state=kind, **common)[1][-1]["loss"]
        for kind in ("fp32", "bf16")
    ]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


def test_moments_in_a_checkpoint_are_in_bfloat16_and_weights_in_float32(aectl, tmp_path):
    words = ("train", "-q", "--dataset", "digits", "--epochs", "1", "--hidden", "30")
    sizes = {}
    for kind in ("fp32", "bf16"):
        assert aectl(*words, "--optimizer-state", kind, "--out", kind).status == 0
        path = tmp_path / kind / "checkpoint/finished.safetensors"
        sizes[kind] = path.stat().st_size
        with safe_open(path, "pt") as file:
            run = json.loads(file.metadata()["aectl-checkpoint"])["state"]["run"]
            (held,) = run["optimizer"]
            for _, of_parameter in held["items of a mapping"]:
                moments = [of_parameter[name] for name in ("exp_avg", "exp_avg_sq")]
                found = {file.get_tensor(one["tensor of this file"]).dtype for one in moments}
                assert found == {torch.float32 if kind == "fp32" else torch.bfloat16}
            for weight in run["weights"].values():
                assert file.get_tensor(weight["tensor of this file"]).dtype == torch.float32
    weights = 2 * 64 * 30 + 64 + 30
    assert sizes["fp32"] - sizes["bf16"] == pytest.approx(2 * 2 * weights, abs=200)


@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if name not in IN_BFLOAT16])
def test_other_optimizers_refuse_it(optimizer):
    with pytest.raises(ConfigError, match="has no effect without --optimizer adam or adamw"):
        Config.from_options({"optimizer_state": "bf16", "optimizer": optimizer})
