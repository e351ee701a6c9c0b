"""How a config becomes a loss with named parts."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch.distributions import Bernoulli, kl_divergence

from aectl.config.configuration import Config
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.codes import Code, Gated, JumpReLU, TopK
from aectl.models.networks import Autoencoder, Classifier
from aectl.objectives.objective import Batch, objective


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


def test_a_shifted_image_is_also_what_is_to_be_reconstructed():
    """A network that gives back what it sees has no error, wherever the image was moved."""
    network = Autoencoder((1, 3, 3), (9,), code=Code("linear"), output_activation="linear")
    with torch.no_grad():
        for layer in (network.encoder.layers[0], network.decoder.layers[0]):
            layer.weight.copy_(torch.eye(9))
            layer.bias.zero_()
    loss, _ = computed(network.train(), Batch(images(), None), shift=2, output_activation="linear")
    assert loss.item() == pytest.approx(0, abs=1e-10)


def test_a_classifier_sees_shifted_images_too():
    torch.manual_seed(0)
    network = Classifier((1, 3, 3), (), 4).train()
    batch = Batch(images(), torch.tensor([0, 1, 2, 3, 3, 1]))
    drawn = {computed(network, batch, model="classifier", shift=1)[0].item() for _ in range(3)}
    assert len(drawn) == 3


@pytest.mark.parametrize("hidden", [(4,), (5, 4)])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softplus", "linear"])
def test_the_contractive_penalty_is_the_squared_norm_of_the_code_s_jacobian(hidden, activation):
    torch.manual_seed(0)
    network, x = Autoencoder((1, 3, 3), hidden, "tanh", Code(activation)), images()
    _, parts = computed(network, Batch(x, None), contractive=0.7, code_activation=activation)
    step, total = 1e-3, 0.0
    double = network.double()
    with torch.no_grad():
        for pixel in range(9):
            ahead, behind = x.double().clone(), x.double().clone()
            ahead.view(6, 9)[:, pixel] += step
            behind.view(6, 9)[:, pixel] -= step
            slope = (double.encode(ahead) - double.encode(behind)) / (2 * step)
            total += slope.square().sum().item() / 6
    assert parts["contraction"].item() == pytest.approx(0.7 * total, rel=1e-4)


@pytest.mark.parametrize("hidden", [(4,), (5, 4)])
def test_the_contractive_penalty_trains_the_encoder_and_is_measured_without_gradients(hidden):
    torch.manual_seed(0)
    network, batch = Autoencoder((1, 3, 3), hidden, "tanh", Code("sigmoid")), Batch(images(), None)
    options = {"contractive": 100.0, "code_activation": "sigmoid"}
    before = computed(network, batch, **options)[1]["contraction"].item()
    optimizer = torch.optim.Adam(network.parameters(), 0.05)
    for _ in range(30):
        optimizer.zero_grad()
        computed(network, batch, **options)[0].backward()
        optimizer.step()
    with torch.no_grad():
        assert computed(network, batch, **options)[1]["contraction"].item() < 0.1 * before


def test_l1_is_weighed_by_beta():
    network, x = dense(), images()
    loss, parts = computed(network, Batch(x, None), sparsity="l1", beta=0.3)
    expected = 0.3 * network.encode(x).abs().sum().item() / 6
    assert parts["sparsity"].item() == pytest.approx(expected, rel=1e-6)
    assert loss.item() == pytest.approx(parts["reconstruction"].item() + expected, rel=1e-6)


def test_the_penalty_of_jumprelu_counts_active_units_and_reaches_the_thresholds_alone():
    network, x = dense(code=JumpReLU(4, 0.5)), images()
    _, parts = computed(network, Batch(x, None), sparsity="jumprelu", beta=0.3)
    active = (network.encode(x) != 0).sum().item() / 6
    assert active > 0
    assert parts["sparsity"].item() == pytest.approx(0.3 * active, rel=1e-6)
    difference = {}
    for beta in (0.0, 0.3):
        network.zero_grad()
        computed(network, Batch(x, None), sparsity="jumprelu", beta=beta)[0].backward()
        difference[beta] = {name: p.grad.clone() for name, p in network.named_parameters()}
    for name, gradient in difference[0.0].items():
        assert torch.equal(gradient, difference[0.3][name]) == ("threshold" not in name)


def test_a_gate_learns_from_what_its_own_values_reconstruct_and_the_decoder_does_not():
    """Gated SAEs, equation 8, written out."""
    network, x = dense(code=Gated(4), output_activation="linear"), images()
    torch.nn.init.normal_(network.encoder.code.b)
    options = {"sparsity": "gated", "beta": 0.3, "output_activation": "linear"}
    loss, parts = computed(network, Batch(x, None), **options)
    gate = network.encoder.preactivation(x).relu()
    aside = 0.5 * (network.decoder(gate) - x).square().sum() / 6
    main = 0.5 * (network(x) - x).square().sum() / 6
    assert parts["gate"].item() == pytest.approx(aside.item(), rel=1e-5)
    assert parts["sparsity"].item() == pytest.approx(0.3 * gate.sum().item() / 6, rel=1e-5)
    assert loss.item() == pytest.approx(sum(part.item() for part in parts.values()), rel=1e-5)
    assert parts["reconstruction"].item() == pytest.approx(main.item(), rel=1e-5)
    loss.backward()
    found = {name: p.grad.clone() for name, p in network.named_parameters()}
    network.zero_grad()
    main.backward()
    for name, parameter in network.named_parameters():
        same = torch.allclose(parameter.grad, found[name], atol=1e-7)
        assert same == (name.startswith("decoder") or ".code." in name), name


def dead_and_alive():
    """Of four units, the first two answer every image, the others hardly and never."""
    torch.manual_seed(0)
    network = Autoencoder((1, 3, 3), (4,), code=TopK("relu", 2), output_activation="linear")
    with torch.no_grad():
        network.encoder.layers[0].bias.copy_(torch.tensor([9.0, 9.0, 3.0, -9.0]))
    return network.train()


def test_dead_units_learn_what_the_active_ones_leave_unexplained():
    """Gao et al. 2024, appendix A.2: 1/32 of the error that is left with the dead units' help."""
    network, x = dead_and_alive(), images(1000)
    options = {"sparsity": "topk", "k": 2, "aux_k": 1, "revive": 0, "output_activation": "linear"}
    compute = objective(Config.from_options(options), network)
    for _ in range(9):
        assert compute(Batch(x, None))[1]["auxiliary"].item() == 0
    loss, parts = compute(Batch(x, None))
    left = x - network.reconstruct(x)
    third = network.encoder.preactivation(x)[:, 2].relu()
    help_of_third = torch.outer(third, network.decoder.layers[0].weight[:, 2]).view(x.shape)
    expected = 0.5 * (left - help_of_third).square().sum() / 1000 / 32
    assert parts["auxiliary"].item() == pytest.approx(expected.item(), rel=1e-4)
    loss.backward()
    gradients = network.encoder.layers[0].weight.grad.abs().sum(1)
    assert gradients[2] > 0
    assert gradients[3] == 0


def test_a_dead_unit_is_pulled_to_the_bar_of_the_image_that_comes_nearest():
    network, x = dead_and_alive(), images(1000)
    compute = objective(Config.from_options({"sparsity": "topk", "k": 2, "revive": 0.5}), network)
    for _ in range(9):
        assert compute(Batch(x, None))[1]["revival"].item() == 0
    network.zero_grad()
    loss, parts = compute(Batch(x, None))
    answers = network.encoder.preactivation(x).detach()
    gaps = answers[:, :2].amin(1, keepdim=True) - answers[:, 2:]
    assert parts["revival"].item() == pytest.approx(0.5 * gaps.amin(0).sum().item(), rel=1e-5)
    loss.backward()
    nearest = x.flatten(1)[gaps.argmin(0)]
    gradients = network.encoder.layers[0].weight.grad[2:]
    torch.testing.assert_close(gradients, -0.5 * nearest)


def test_units_are_counted_as_dead_by_training_images_alone():
    network, batch = dead_and_alive(), Batch(images(4000), None)
    compute = objective(Config.from_options({"sparsity": "topk", "k": 2, "aux_k": 1}), network)
    seen = []
    for training in (True, False, False, True, True):
        seen.append(compute.train(training)(batch)[1]["auxiliary"].item() > 0)
    assert seen == [False, False, False, False, True]


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
