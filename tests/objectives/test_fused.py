"""The gradient that is computed in place, against autograd on the formula written out."""

import itertools

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from aectl.config.configuration import Config
from aectl.models.codes import Code, TopK
from aectl.models.networks import Autoencoder, Classifier, ConvAutoencoder
from aectl.objectives.fused import fits
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch

RHO, BETA = 0.2, 3.0


def network_of(hidden=(4,), activation="tanh", code="sigmoid", output="linear", **options):
    torch.manual_seed(0)
    network = Autoencoder((1, 3, 3), hidden, activation, Code(code), output, **options)
    return network.double().train()


def batch_of(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Batch(torch.rand(count, 1, 3, 3, generator=generator, dtype=torch.float64), None)


def gradients(network):
    return [parameter.grad.clone() for parameter in network.parameters()]


def wanted(network, images, sparsity):
    """The loss as the notes define it, and its gradients."""
    network.zero_grad()
    code = network.encode(images)
    loss = 0.5 * (network.decode(code) - images).square().sum(dim=(1, 2, 3)).mean()
    if sparsity == "kl":
        rho_hat = code.mean(0)
        target = Bernoulli(torch.full_like(rho_hat, RHO))
        loss = loss + BETA * kl_divergence(target, Bernoulli(rho_hat)).sum()
    loss.backward()
    return loss.item(), gradients(network)


SHALLOW = itertools.product(
    [(4,)], ["relu"], ["relu", "tanh", "linear", "sigmoid"], ["linear", "clamp"], ["none"]
)
DEEP = itertools.product(
    [(6, 5, 4)], ["relu", "sigmoid", "tanh", "linear"], ["sigmoid"], ["clamp"], ["none", "kl"]
)


@pytest.mark.parametrize(
    ("hidden", "activation", "code", "output", "sparsity"),
    [*SHALLOW, *DEEP, ((4,), "relu", "sigmoid", "linear", "kl")],
)
def test_loss_and_gradient_are_those_of_the_formula(hidden, activation, code, output, sparsity):
    network = network_of(hidden, activation, code, output, center=True)
    network.encoder.center.uniform_()
    assert fits(network)
    penalty = {"sparsity": "kl", "rho": RHO, "beta": BETA} if sparsity == "kl" else {}
    compute = objective(Config.from_options(penalty), network)
    for seed, count in enumerate((7, 7, 3, 7)):
        batch = batch_of(count, seed)
        loss, expected = wanted(network, batch.inputs, sparsity)
        network.zero_grad()
        found, parts = compute(batch)
        found.backward()
        assert found.item() == pytest.approx(loss, rel=1e-12)
        assert sum(part.item() for part in parts.values()) == pytest.approx(loss, rel=1e-12)
        for mine, one in zip(gradients(network), expected, strict=True):
            torch.testing.assert_close(mine, one, rtol=1e-10, atol=1e-13)


def test_a_corrupted_input_is_to_give_the_clean_image():
    network, batch = network_of(), batch_of(5)
    noise = {"noise": "masking", "noise_level": 0.5}
    torch.manual_seed(1)
    loss, _ = objective(Config.from_options(noise), network)(batch)
    loss.backward()
    found = gradients(network)
    torch.manual_seed(1)
    kept = torch.rand(batch.inputs.shape, dtype=torch.float64) >= 0.5
    network.zero_grad()
    off = network(batch.inputs * kept) - batch.inputs
    (0.5 * off.square().sum() / 5).backward()
    for mine, one in zip(found, gradients(network), strict=True):
        torch.testing.assert_close(mine, one)


def test_a_scaled_loss_scales_the_gradient():
    network, batch = network_of(code="sigmoid"), batch_of(5)
    compute = objective(Config.from_options({"sparsity": "kl"}), network)
    found = {}
    for scale in (1.0, -2.5):
        network.zero_grad()
        (scale * compute(batch)[0]).backward()
        found[scale] = gradients(network)
    for once, scaled in zip(found[1.0], found[-2.5], strict=True):
        torch.testing.assert_close(scaled, -2.5 * once)


def test_hooks_see_the_gradients_and_a_second_batch_is_added_to_them():
    network, batch = network_of(code="sigmoid"), batch_of(5)
    compute, seen = objective(Config.from_options({"sparsity": "kl"}), network), []
    for parameter in network.parameters():
        parameter.register_hook(lambda gradient: seen.append(gradient.clone()))
    compute(batch)[0].backward()
    once = gradients(network)
    assert {gradient.shape for gradient in seen} == {gradient.shape for gradient in once}
    compute(batch)[0].backward()
    for first, both in zip(once, gradients(network), strict=True):
        torch.testing.assert_close(both, 2 * first)


@pytest.mark.parametrize(
    "network",
    [
        network_of(activation="gelu", hidden=(5, 4)),
        network_of(code="elu"),
        network_of(output="sigmoid"),
        network_of(tied=True),
        network_of(dropout=0.1),
        network_of(input_dropout=0.1),
        Autoencoder((1, 3, 3), (4,), code=TopK("relu", 2)),
        ConvAutoencoder((1, 8, 8), (2, 4)),
        Classifier((1, 3, 3), (4,), 2),
    ],
    ids=str,
)
def test_a_network_that_is_not_so_plain_does_not_fit(network):
    assert not fits(network)


def test_a_second_batch_before_the_gradient_of_the_first_is_noticed():
    network = network_of()
    compute = objective(Config.from_options({}), network)
    first, _ = compute(batch_of(5))
    compute(batch_of(5, 1))
    with pytest.raises(AssertionError, match="another batch"):
        first.backward()
