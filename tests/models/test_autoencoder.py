"""The dense autoencoder against its formula in numpy."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from aectl.models.codes import Code
from aectl.models.networks import Autoencoder

SHAPE = (1, 3, 4)


def images(count=5, shape=SHAPE):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def built(*hidden, **options):
    torch.manual_seed(1)
    network = Autoencoder(SHAPE, hidden, **options)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return network


def weights(network):
    return {name: value.double().numpy() for name, value in network.state_dict().items()}


def relu(x):
    return np.maximum(x, 0)


def test_a_deep_net_computes_the_chain_of_its_layers():
    network, x = built(7, 5, 3, activation="tanh", code=Code("sigmoid")), images()
    w = weights(network)
    code = x.double().numpy().reshape(5, -1)
    for layer, activation in enumerate((np.tanh, np.tanh, expit)):
        code = activation(
            code @ w[f"encoder.layers.{layer}.weight"].T + w[f"encoder.layers.{layer}.bias"]
        )
    out = code
    for layer, activation in enumerate((np.tanh, np.tanh, lambda z: np.clip(z, 0, 1))):
        out = activation(
            out @ w[f"decoder.layers.{layer}.weight"].T + w[f"decoder.layers.{layer}.bias"]
        )
    np.testing.assert_allclose(network.encode(x).detach(), code, atol=1e-5)
    np.testing.assert_allclose(network(x).detach(), out.reshape(x.shape), atol=1e-5)
    assert network.code_size == code.shape[1] == 3


@pytest.mark.parametrize(
    ("name", "formula"),
    [("linear", lambda z: z), ("sigmoid", expit), ("clamp", lambda z: np.clip(z, 0, 1))],
)
def test_the_output_activation_is_the_last_to_act(name, formula):
    network, x = built(4, output_activation=name), images()
    w = weights(network)
    code = relu(
        x.double().numpy().reshape(5, -1) @ w["encoder.layers.0.weight"].T
        + w["encoder.layers.0.bias"]
    )
    out = formula(code @ w["decoder.layers.0.weight"].T + w["decoder.layers.0.bias"])
    np.testing.assert_allclose(network.reconstruct(x).detach(), out.reshape(x.shape), atol=1e-5)


def test_the_decoder_mirrors_the_encoder_s_widths():
    shapes = {name: tuple(v.shape) for name, v in built(7, 3).state_dict().items()}
    assert shapes == {
        "encoder.layers.0.weight": (7, 12), "encoder.layers.0.bias": (7,),
        "encoder.layers.1.weight": (3, 7), "encoder.layers.1.bias": (3,),
        "decoder.layers.0.weight": (7, 3), "decoder.layers.0.bias": (7,),
        "decoder.layers.1.weight": (12, 7), "decoder.layers.1.bias": (12,),
    }  # fmt: skip


def test_a_tied_decoder_has_biases_of_its_own_and_no_weights():
    network = built(7, 3, tied=True)
    names = {name for name in network.state_dict() if name.startswith("decoder")}
    assert names == {"decoder.layers.0.bias", "decoder.layers.1.bias"}
    assert len(list(network.parameters())) == 6


@pytest.mark.parametrize("when", ["built", "loaded", "assigned", "trained"])
def test_a_tied_decoder_uses_the_transposed_weights_of_the_encoder(when):
    network, x = built(7, 3, tied=True), images()
    if when in ("loaded", "assigned"):
        other = {name: torch.randn_like(v) for name, v in network.state_dict().items()}
        network.load_state_dict(other, assign=when == "assigned")
    if when == "trained":
        before = weights(network)["encoder.layers.0.weight"].copy()
        optimizer = torch.optim.SGD(network.parameters(), 0.5)
        (network(x) - x).square().sum().backward()
        optimizer.step()
        assert not np.allclose(before, weights(network)["encoder.layers.0.weight"])
    w = weights(network)
    code = network.encode(x).double().detach().numpy()
    inner = relu(code @ w["encoder.layers.1.weight"] + w["decoder.layers.0.bias"])
    out = inner @ w["encoder.layers.0.weight"] + w["decoder.layers.1.bias"]
    np.testing.assert_allclose(network(x).detach(), np.clip(out, 0, 1).reshape(x.shape), atol=1e-4)


def test_a_tied_weight_s_gradient_comes_from_encoder_and_decoder():
    network, x = built(4, tied=True, activation="linear", code=Code("linear"),
                       output_activation="linear"), images()  # fmt: skip
    network(x).square().sum().backward()
    w = weights(network)
    flat = x.double().numpy().reshape(5, -1)
    weight = w["encoder.layers.0.weight"]
    code = flat @ weight.T + w["encoder.layers.0.bias"]
    slope = 2 * (code @ weight + w["decoder.layers.0.bias"])
    expected = code.T @ slope + (slope @ weight.T).T @ flat
    np.testing.assert_allclose(network.encoder.layers[0].weight.grad, expected, rtol=1e-4)


def test_dropout_acts_in_training_alone_and_never_on_the_code_layer():
    x = images()
    deep, shallow = built(50, 20, dropout=0.5), built(20, dropout=0.5)
    assert not torch.equal(deep.train()(x), deep(x))
    assert torch.equal(deep.eval()(x), deep(x))
    assert torch.equal(shallow.train()(x), shallow(x))


def test_filter_responses_are_what_the_code_is_before_its_activation():
    network, x = built(7, 3, code=Code("sigmoid")), images()
    np.testing.assert_allclose(
        expit(network.filter_responses(x).detach().numpy()), network.encode(x).detach(), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("activation", "line"), [("relu", 0.0), ("sigmoid", 0.1), ("softplus", 0.1), ("tanh", None)]
)
def test_the_line_above_which_a_unit_is_active_depends_on_the_code_s_activation(activation, line):
    assert built(7, 3, code=Code(activation)).active_above == line


def test_a_centered_encoder_sees_what_an_image_differs_by_from_the_center():
    torch.manual_seed(0)
    centered = Autoencoder((1, 3, 3), [4], center=True)
    plain = Autoencoder((1, 3, 3), [4])
    center, images = torch.rand(9), torch.rand(5, 1, 3, 3)
    centered.encoder.center.copy_(center)
    weights = {n: v for n, v in centered.state_dict().items() if n != "encoder.center"}
    plain.load_state_dict(weights)
    with torch.no_grad():
        bias = plain.encoder.to_code.bias
        bias -= plain.encoder.to_code.weight @ center
        torch.testing.assert_close(centered(images), plain(images))
