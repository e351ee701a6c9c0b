"""How a config becomes a loss with named parts."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch.distributions import Bernoulli, kl_divergence

from aectl.config import Config
from aectl.models import Autoencoder, Classifier
from aectl.objective import Batch, objective


def images(count=6, seed=0):
    return torch.rand(count, 1, 3, 3, generator=torch.Generator().manual_seed(seed))


def dense(**options):
    torch.manual_seed(0)
    return Autoencoder((1, 3, 3), (5, 4), **options)


def computed(network, batch, **options):
    return objective(Config.from_options(options))(network, batch)


def test_without_a_penalty_the_loss_is_half_the_squared_error_of_the_reconstruction():
    network, x = dense(), images()
    loss, parts = computed(network, Batch(x, None))
    off = (network.reconstruct(x) - x).detach().numpy()
    assert loss.item() == pytest.approx(0.5 * np.square(off).sum() / 6, rel=1e-6)
    assert parts.keys() == {"reconstruction"}
    assert parts["reconstruction"].item() == loss.item()


@pytest.mark.parametrize(("rho", "beta"), [(0.05, 3.0), (0.2, 0.5), (0.05, 0.0)])
def test_the_loss_is_the_reconstruction_loss_plus_beta_times_the_penalty(rho, beta):
    network, x = dense(code_activation="sigmoid"), images()
    loss, parts = computed(network, Batch(x, None), sparsity="kl", rho=rho, beta=beta)
    rho_hat = network.encode(x).mean(0).double()
    wanted = Bernoulli(torch.full_like(rho_hat, rho))
    penalty = kl_divergence(wanted, Bernoulli(rho_hat)).sum().item()
    reconstruction = 0.5 * (network(x) - x).square().sum().item() / 6
    assert parts.keys() == {"reconstruction", "sparsity"}
    assert parts["sparsity"].item() == pytest.approx(beta * penalty, rel=1e-4)
    assert parts["reconstruction"].item() == pytest.approx(reconstruction, rel=1e-5)
    assert loss.item() == pytest.approx(reconstruction + beta * penalty, rel=1e-4)


def test_the_penalty_reaches_the_encoder_and_not_the_decoder():
    x = images()
    gradients = {}
    for beta in (0.0, 3.0):
        network = dense(code_activation="sigmoid")
        computed(network, Batch(x, None), sparsity="kl", beta=beta)[0].backward()
        gradients[beta] = {name: p.grad.clone() for name, p in network.named_parameters()}
    for name in gradients[0.0]:
        same = torch.allclose(gradients[0.0][name], gradients[3.0][name])
        assert same == name.startswith("decoder")


def test_bce_on_the_logits_equals_the_cross_entropy_of_the_reconstruction():
    network, x = dense(output_activation="sigmoid"), images()
    loss, _ = computed(network, Batch(x, None), loss="bce")
    p, x = network.reconstruct(x).detach().double().numpy(), x.double().numpy()
    expected = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum() / 6
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_losses_other_than_bce_see_the_output_after_its_activation():
    network, x = dense(output_activation="sigmoid"), images()
    loss, _ = computed(network, Batch(x, None), output_activation="sigmoid")
    expected = 0.5 * (torch.sigmoid(network.decoder(network.encode(x))) - x).square().sum() / 6
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_parts_carry_no_gradient():
    _, parts = computed(dense(code_activation="sigmoid"), Batch(images(), None), sparsity="kl")
    assert not any(part.requires_grad for part in parts.values())


def test_a_classifier_s_loss_is_the_log_loss_of_its_probabilities():
    torch.manual_seed(0)
    network, x = Classifier((1, 3, 3), (8,), 4).eval(), images()
    labels = torch.tensor([0, 1, 2, 3, 3, 1])
    loss, parts = computed(network, Batch(x, labels), model="classifier")
    logits = network(x).detach().double().numpy()
    chosen = logits[np.arange(6), labels.numpy()]
    by_hand = (np.log(np.exp(logits).sum(1)) - chosen).mean()
    p = network.probabilities(x).detach().double().numpy()
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)
    assert loss.item() == pytest.approx(
        log_loss(labels.numpy(), p / p.sum(1, keepdims=True), labels=range(4)), rel=1e-5
    )
    assert parts.keys() == {"cross_entropy"}
    assert parts["cross_entropy"].item() == loss.item()
