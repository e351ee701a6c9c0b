"""The classifier over pixels and over an encoder."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from aectl.models.codes import Code, TopK
from aectl.models.networks import Autoencoder, Classifier, ConvAutoencoder

SHAPE = (1, 3, 4)
ENCODERS = {
    "dense": lambda: Autoencoder(SHAPE, (9, 5), dropout=0.5).encoder,
    "conv": lambda: ConvAutoencoder(SHAPE, (4, 5)).encoder,
}


def images(count=6):
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0))


def head(network, x):
    """The classifier's own layers in numpy, ReLU between them."""
    w = {name: value.double().numpy() for name, value in network.state_dict().items()}
    count = len(network.layers)
    for layer in range(count):
        x = x @ w[f"layers.{layer}.weight"].T + w[f"layers.{layer}.bias"]
        x = np.maximum(x, 0) if layer < count - 1 else x
    return x


@pytest.mark.parametrize("hidden", [(), (7,), (7, 6)])
def test_logits_are_the_chain_of_layers_over_the_pixels(hidden):
    torch.manual_seed(0)
    network, x = Classifier(SHAPE, hidden, 4).eval(), images()
    expected = head(network, x.double().numpy().reshape(6, -1))
    assert expected.shape == (6, 4)
    np.testing.assert_allclose(network(x).detach(), expected, atol=1e-5)
    np.testing.assert_allclose(
        network.probabilities(x).detach(), softmax(expected, axis=1), atol=1e-5
    )


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_classifier_on_an_encoder_sees_the_code(kind):
    torch.manual_seed(0)
    encoder = ENCODERS[kind]()
    network, x = Classifier(SHAPE, (7,), 4, encoder=encoder).eval(), images()
    expected = head(network, encoder(x).detach().double().numpy())
    assert network.layers[0].in_features == 5
    np.testing.assert_allclose(network(x).detach(), expected, atol=1e-5)


def test_filter_responses_are_those_of_the_first_layer():
    torch.manual_seed(0)
    network, x = Classifier(SHAPE, (7,), 4), images()
    weight, bias = (v.double().numpy() for v in list(network.state_dict().values())[:2])
    expected = x.double().numpy().reshape(6, -1) @ weight.T + bias
    np.testing.assert_allclose(network.filter_responses(x).detach(), expected, atol=1e-5)


def test_dropout_acts_in_training_alone():
    network, x = Classifier(SHAPE, (50,), 4, dropout=0.5), images()
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_frozen_encoder_gets_no_gradient_and_the_head_does(kind):
    torch.manual_seed(0)
    network = Classifier(SHAPE, (7,), 4, encoder=ENCODERS[kind]())
    network.fine_tune_encoder(False)
    network.train()(images()).square().sum().backward()
    assert all(parameter.grad is None for parameter in network.encoder.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.layers.parameters())


@pytest.mark.parametrize("encoder", [
    lambda: Autoencoder(SHAPE, (5,), "tanh", Code("tanh")).encoder,
    lambda: ConvAutoencoder(SHAPE, (4, 5), "tanh", Code("tanh")).encoder,
])  # fmt: skip
def test_an_encoder_that_is_fine_tuned_learns_too(encoder):
    torch.manual_seed(0)
    network = Classifier(SHAPE, (7,), 4, encoder=encoder())
    network.fine_tune_encoder(True)
    network.train()(images()).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_a_frozen_encoder_drops_nothing_in_training_and_the_head_still_does():
    torch.manual_seed(0)
    encoder = Autoencoder(SHAPE, (50, 20), dropout=0.5, input_dropout=0.5).encoder
    network, x = Classifier(SHAPE, (50,), 4, dropout=0.5, encoder=encoder).train(), images()
    assert torch.equal(network.encoder(x), network.encoder(x))
    assert not torch.equal(network(x), network(x))


@pytest.mark.parametrize(
    ("dropped", "hidden"), [("input_dropout", (30,)), ("dropout", (30,)), ("dropout", (30, 40))]
)
def test_the_classifier_s_own_dropout_acts_in_an_encoder_that_is_fine_tuned(dropped, hidden):
    """What the output is on average says where a part of the numbers was dropped and scaled up."""
    torch.manual_seed(0)
    encoder = Autoencoder(SHAPE, hidden, "linear", Code("linear")).encoder
    network, x = Classifier(SHAPE, (), 4, encoder=encoder, **{dropped: 0.5}), images()
    network.fine_tune_encoder(True)
    drawn = torch.stack([network.train()(x) for _ in range(1000)])
    assert drawn.std(0).min() > 0.01
    np.testing.assert_allclose(
        drawn.mean(0).detach(), network.eval()(x).detach(), atol=5 * drawn.std().item() / 1000**0.5
    )


def test_input_dropout_drops_the_code_of_a_frozen_encoder():
    torch.manual_seed(0)
    encoder, x = Autoencoder(SHAPE, (5,), "linear", Code("linear")).encoder, images(1)
    network = Classifier(SHAPE, (), 4, input_dropout=0.5, encoder=encoder)
    network.fine_tune_encoder(False)
    code = encoder(x)[0].detach()
    head = network.layers[0]
    kept = torch.cartesian_prod(*[torch.tensor([0.0, 2.0])] * 5)
    possible = (kept * code @ head.weight.T + head.bias).detach()
    drawn = torch.stack([network.train()(x)[0].detach() for _ in range(300)])
    nearest = torch.cdist(drawn, possible).min(1)
    assert nearest.values.max() < 1e-3
    assert len(nearest.indices.unique()) > 25


@pytest.mark.parametrize("fine_tuned", [False, True])
def test_a_code_is_what_it_is_in_use_while_the_classifier_is_trained(fine_tuned):
    torch.manual_seed(0)
    encoder = Autoencoder(SHAPE, (40,), code=TopK("relu", 3, alpha=4)).encoder
    network, x = Classifier(SHAPE, (), 4, encoder=encoder), images()
    network.fine_tune_encoder(fine_tuned)
    assert (network.train().encoder(x) != 0).sum(1).tolist() == [12] * len(x)
