"""How a config becomes a loss with named parts."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch.distributions import Bernoulli, kl_divergence

from aectl.config.configuration import Config
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.codes import Code
from aectl.models.networks import Autoencoder, Classifier
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch


def images(count=6, seed=0):
    return torch.rand(count, 1, 3, 3, generator=torch.Generator().manual_seed(seed))


def dense(**options):
    torch.manual_seed(0)
    return Autoencoder((1, 3, 3), (5, 4), **options)


def computed(network, batch, **options):
    return objective(Config.from_options(options), network)(batch)


def test_without_a_penalty_the_loss_is_half_the_squared_error_of_the_reconstruction():
    network, x = dense(), images()
    loss, parts = computed(network, Batch(x, None))
    off = (network.reconstruct(x) - x).detach().numpy()
    assert loss.item() == pytest.approx(0.5 * np.square(off).sum() / 6, rel=1e-6)
    assert parts.keys() == {"reconstruction"}
    assert parts["reconstruction"].item() == loss.item()


@pytest.mark.parametrize(("rho", "beta"), [(0.05, 3.0), (0.2, 0.5), (0.05, 0.0)])
def test_the_loss_is_the_reconstruction_loss_plus_beta_times_the_penalty(rho, beta):
    network, x = dense(code=Code("sigmoid")), images()
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
        network = dense(code=Code("sigmoid"))
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
    _, parts = computed(dense(code=Code("sigmoid")), Batch(images(), None), sparsity="kl")
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


def test_noise_strikes_the_input_and_the_target_stays_clean():
    """With all pixels masked, the network sees black, and is still to give the image."""
    network, x = dense().train(), images()
    loss, _ = computed(network, Batch(x, None), noise="masking", noise_level=1.0)
    expected = 0.5 * (network(torch.zeros_like(x)) - x).square().sum().item() / 6
    assert loss.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("options", [
    {"noise": "masking"}, {"noise": "salt-and-pepper"}, {"noise": "gaussian"}, {"shift": 1},
])  # fmt: skip
def test_chance_strikes_in_training_alone(options):
    network, batch = dense(), Batch(images(), None)
    plain = computed(network.eval(), batch)[0].item()
    assert computed(network.eval(), batch, **options)[0].item() == plain
    torch.manual_seed(0)
    drawn = {computed(network.train(), batch, **options)[0].item() for _ in range(3)}
    assert len(drawn) == 3


def test_a_shifted_and_flipped_image_is_also_what_is_to_be_reconstructed():
    """A network that gives back what it sees has no error, wherever the image was moved."""
    network = Autoencoder((1, 3, 3), (9,), code=Code("linear"), output_activation="linear")
    with torch.no_grad():
        for layer in (network.encoder.layers[0], network.decoder.layers[0]):
            layer.weight.copy_(torch.eye(9))
            layer.bias.zero_()
    changes = {"shift": 2, "flip": True}
    loss, _ = computed(
        network.train(), Batch(images(), None), **changes, output_activation="linear"
    )
    assert loss.item() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("change", [{"shift": 1}, {"flip": True}])
def test_a_classifier_sees_changed_images_too(change):
    torch.manual_seed(0)
    network = Classifier((1, 3, 3), (), 4).train()
    batch = Batch(images(), torch.tensor([0, 1, 2, 3, 3, 1]))
    drawn = {computed(network, batch, model="classifier", **change)[0].item() for _ in range(9)}
    assert len(drawn) > 2
    network.eval()
    whole = {computed(network, batch, model="classifier", **change)[0].item() for _ in range(3)}
    assert len(whole) == 1


def test_lbfgs_finds_the_weight_decay_in_the_loss():
    network, x = dense(), images()
    plain = computed(network, Batch(x, None), optimizer="lbfgs")[0].item()
    loss, parts = computed(network, Batch(x, None), optimizer="lbfgs", weight_decay=0.2)
    weights = [p for name, p in network.named_parameters() if name.endswith("weight")]
    expected = 0.1 * sum(p.square().sum().item() for p in weights)
    assert parts["weight_decay"].item() == pytest.approx(expected, rel=1e-6)
    assert loss.item() == pytest.approx(plain + expected, rel=1e-6)


@pytest.mark.parametrize("options", [
    {"sparsity": "kl", "rho": 0.01, "beta": 3.0},
    {"sparsity": "l1", "beta": 0.2, "code_activation": "softplus"},
    {"contractive": 0.5, "code_activation": "sigmoid"},
    {"contractive": 0.5, "code_activation": "sigmoid", "hidden": (5, 4), "activation": "tanh"},
    {"loss": "bce", "code_activation": "tanh"},
    {"tied": True, "code_activation": "tanh", "weight_decay": 1e-3},
])  # fmt: skip
def test_the_gradient_of_the_whole_cost_is_the_numeric_one(options):
    """The gradient check of the CS294A notes, section 2: below 1e-9 in double precision."""
    options = {"hidden": (4,), "optimizer": "lbfgs", "output_activation": "linear", **options}
    if options.get("loss") == "bce":
        options["output_activation"] = "sigmoid"
    config = Config.from_options(options)
    torch.manual_seed(0)
    network = build_network(Architecture(config.model, (1, 3, 3))).double()
    batch, compute = Batch(images(8).double(), None), objective(config, network)
    parameters = list(network.parameters())
    at = torch.nn.utils.parameters_to_vector(parameters).detach()

    def cost(vector):
        torch.nn.utils.vector_to_parameters(vector, parameters)
        return compute(batch)[0]

    gradient = torch.nn.utils.parameters_to_vector(torch.autograd.grad(cost(at), parameters))
    step = 2e-5
    numeric = torch.stack([
        (cost(at + step * one) - cost(at - step * one)).detach() / (2 * step)
        for one in torch.eye(len(at), dtype=torch.float64)
    ])  # fmt: skip
    difference = (gradient - numeric).norm() / (gradient + numeric).norm()
    assert difference < 1e-9
