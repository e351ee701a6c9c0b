"""Penalties on the code against their formulas, finite differences and torch's Jacobian."""

import math
from functools import partial

import pytest
import torch
from test_objective import computed, dense, images
from torch.autograd.functional import jacobian

from aectl.config.configuration import Config
from aectl.config.sparsity import RULES
from aectl.errors import ConfigError
from aectl.models.codes import Code, Gated, JumpReLU, TopK
from aectl.models.networks import Autoencoder, ConvAutoencoder
from aectl.objectives import losses
from aectl.objectives.objective import _distance, objective
from aectl.objectives.penalties import SPARSITY, Trace, penalties_of
from aectl.objectives.step import Batch


def penalties(distance=None, **options):
    return penalties_of(Config.from_options(options), distance, {})


def no_distance(*_):
    return torch.zeros(())


def of_code(code, network=None):
    """A trace of which a penalty looks at nothing but the code."""
    return Trace(network, code, code, code, code)


def test_every_rule_with_a_weight_has_a_penalty_and_no_other():
    assert SPARSITY.keys() == {name for name, rule in RULES.items() if rule.beta is not None}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, set()),
        ({"sparsity": "kl"}, {"sparsity"}),
        ({"sparsity": "gated", "revive": 0}, {"sparsity", "gate"}),
        ({"sparsity": "topk", "k": 2, "aux_k": 1, "revive": 0.5}, {"auxiliary", "revival"}),
        ({"sparsity": "topk", "k": 2, "aux_k": 0, "revive": 0}, set()),
        ({"contractive": 0.1, "code_activation": "sigmoid"}, {"contraction"}),
        ({"sparsity": "l1", "revive": 0.1}, {"sparsity", "revival"}),
    ],
)
def test_a_config_has_the_penalties_that_it_names(options, names):
    assert penalties(no_distance, **options).keys() == names


@pytest.mark.parametrize("rule", RULES)
def test_prefixes_have_the_loss_of_a_code_of_their_units_alone(rule):
    """Of every rule, with a decoder of fewer units; all units are not counted twice."""
    options = {"sparsity": rule, "hidden": (6,), "prefixes": (2, 5, 6)}
    config = Config.from_options({**options, "output_activation": "linear"})
    network = Autoencoder((1, 2, 2), [6], output_activation="linear").requires_grad_(False)
    inputs, code = torch.rand(3, 1, 2, 2), torch.rand(3, 6)
    penalty = penalties_of(config, partial(_distance, "mse"), {})["prefixes"]
    layer = network.decoder.layers[0]
    made = (code[:, :n] @ layer.weight[:, :n].T + layer.bias for n in (2, 5))
    wanted = sum((one - inputs.flatten(1)).square().sum() / 2 / 3 for one in made)
    torch.testing.assert_close(penalty(Trace(network, inputs, inputs, code, code)), wanted)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prefixes": (4, 2)}, "--prefixes must name numbers in ascending order"),
        ({"prefixes": (2, 2)}, "--prefixes must name numbers in ascending order"),
        ({"prefixes": (9,), "hidden": (8,)}, "--prefixes names 9 units, and the code has 8"),
        ({"prefixes": (2,), "stack": 1, "hidden": (8, 4)}, "--prefixes cannot go with --stack"),
        ({"prefixes": (2,), "model": "conv-autoencoder"}, "--prefixes has no effect"),
    ],
)
def test_prefixes_that_a_code_cannot_have_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Config.from_options(options)


def test_without_a_distance_nothing_is_decoded():
    """Models of text have none."""
    assert penalties(sparsity="topk", k=2, aux_k=1, revive=0).keys() == set()
    assert penalties(sparsity="gated", revive=0).keys() == {"sparsity"}


@pytest.mark.parametrize(("rho", "beta"), [(0.05, 3.0), (0.2, 0.5)])
def test_the_kl_penalty_is_that_of_the_notes_and_its_slope_that_of_finite_differences(rho, beta):
    """CS294A notes, section 3: beta sum_j rho log(rho / rho_hat_j) + (1 - rho) log(...)."""
    code = torch.tensor([[0.1, 0.6, 0.5], [0.3, 0.2, 0.9]], dtype=torch.float64)
    penalty = penalties(sparsity="kl", rho=rho, beta=beta)["sparsity"]

    def by_hand(values):
        means = [sum(column) / 2 for column in zip(*values, strict=True)]
        terms = [
            rho * math.log(rho / mean) + (1 - rho) * math.log((1 - rho) / (1 - mean))
            for mean in means
        ]
        return beta * sum(terms)

    wanted = code.clone().requires_grad_()
    found = penalty(of_code(wanted))
    assert found.item() == pytest.approx(by_hand(code.tolist()), rel=1e-12)
    found.backward()
    for row, column in ((0, 0), (1, 1), (0, 2)):
        ahead, behind = code.clone(), code.clone()
        ahead[row, column] += 1e-6
        behind[row, column] -= 1e-6
        slope = (by_hand(ahead.tolist()) - by_hand(behind.tolist())) / 2e-6
        assert wanted.grad[row, column].item() == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("center", [False, True])
def test_the_contraction_of_a_convolutional_encoder_is_that_of_torch_s_jacobian(center):
    torch.manual_seed(0)
    network = ConvAutoencoder((1, 6, 5), (3, 4), "tanh", Code("sigmoid"), center=center).double()
    x = torch.rand(3, 1, 6, 5, dtype=torch.float64)
    trace = Trace(network, x, x, network.encoder.preactivation(x), network.encode(x))
    penalty = penalties(contractive=0.7, code_activation="sigmoid")["contraction"]
    squares = [jacobian(network.encode, one[None]).square().sum().item() for one in x]
    assert penalty(trace).item() == pytest.approx(0.7 * sum(squares) / 3, rel=1e-10)


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


def test_both_sides_of_the_kernel_reach_the_thresholds_of_jumprelu():
    """JumpReLU SAEs, equation 12: -(1 / bandwidth) K((p - theta) / bandwidth), K the rectangle.

    With bandwidth 1 and thresholds 1, the rectangle goes from 0.5 to 1.5: of two images, both of
    the first unit lie within, one on each side, and of the second unit one, below its threshold.
    """
    code = JumpReLU(2, 1.0).double()
    torch.nn.init.zeros_(code.log_threshold)  # theta = 1, and d theta / d log theta = 1
    network, preactivation = dense(code=code), torch.tensor([[0.75, 0.75], [1.25, 1.75]])
    x = torch.zeros(2, 1, 3, 3)
    SPARSITY["jumprelu"](Trace(network, x, x, preactivation, code(preactivation)), None).backward()
    assert code.log_threshold.grad.tolist() == [-1.0, -0.5]


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


def test_an_annealed_penalty_stays_that_of_the_l1_norm_and_weighs_small_values_more():
    network = Autoencoder((1, 2, 2), (4,)).train()
    code = torch.tensor([[4.0, 1.0, 0.0, 0.25]], requires_grad=True)
    annealed = penalties(no_distance, sparsity="l1", beta=2, p_end=0.5)["sparsity"]
    for power in (1.0, 0.9, 0.5):
        network.encoder.code.power = power
        value = annealed(of_code(code, network))
        assert value.item() == pytest.approx(2 * 5.25)
    value.backward()
    factor = 5.25 / (4**0.5 + 1 + 0.25**0.5)
    expected = [2 * factor * 0.5 * x**-0.5 if x else 0 for x in code[0].tolist()]
    assert code.grad[0].tolist() == pytest.approx(expected)
    network.eval()
    network.encoder.code.power = 0.1
    assert annealed(of_code(code, network)).item() == pytest.approx(2 * 5.25)


def test_powers_of_a_code_have_the_slope_of_finite_differences():
    code = torch.tensor([[0.7, 2e-4, 3.0], [0.1, 0.5, 1e-2]], dtype=torch.double)
    code.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: losses.power_sparsity(x, 0.3), (code,), eps=1e-7)
