"""Initial weights: biases, means and standard deviations in closed form or by numpy."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from test_run import digits, pixels, prepared, same, trained, weights

from aectl.config.configuration import Config
from aectl.config.shapes import TextShape
from aectl.errors import ModelFileError
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.codes import Code
from aectl.models.conv_autoencoder import ConvEncoder
from aectl.models.dense_layers import Encoder
from aectl.models.networks import Autoencoder, Classifier, ConvAutoencoder
from aectl.training import initialisation
from aectl.training.initialisation import Start, begin, begin_at_places, begin_code


def images(*shape, count=40, seed=0):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


def configured(**options):
    return Config.from_options(options)


def text_network(units=6, length=5):
    config = configured(model="text-autoencoder", hidden=f"8,{units}", sparsity="topk", k=2)
    return build_network(Architecture(config.model, TextShape(length, 40)))


def text_encoder():
    return text_network().encoder


ENCODERS = {
    "dense": (lambda: Encoder((1, 3, 4), (7, 6), "tanh", Code()), lambda: images(1, 3, 4)),
    "conv": (lambda: ConvEncoder((2, 6, 5), (3, 6), "relu", Code()), lambda: images(2, 6, 5)),
    "text": (text_encoder, lambda: torch.randint(3, 40, (40, 5))),
}


@pytest.mark.parametrize("kind", ENCODERS)
def test_units_that_compete_have_the_same_mean_and_deviation_over_the_inputs(kind):
    torch.manual_seed(0)
    make, inputs = ENCODERS[kind]
    encoder, x = make(), inputs()
    before = encoder.preactivation(x).detach().double().numpy()
    begin_code(encoder, configured(sparsity="topk", k=2), x)
    after = encoder.preactivation(x).detach().double().numpy()
    scaled = before * (before.std(0, ddof=1).mean() / before.std(0, ddof=1))
    np.testing.assert_allclose(after, scaled - scaled.mean(0), atol=2e-5)


def test_a_unit_that_gives_the_same_for_all_inputs_stays_finite():
    encoder = ENCODERS["dense"][0]()
    torch.nn.init.zeros_(encoder.to_code.weight[2].data)
    begin_code(encoder, configured(sparsity="l1"), images(1, 3, 4))
    assert encoder.preactivation(images(1, 3, 4)).isfinite().all()


def test_of_a_single_input_there_is_no_deviation():
    encoder = ENCODERS["dense"][0]()
    before = weights(encoder)
    begin_code(encoder, configured(sparsity="topk", k=2), images(1, 3, 4, count=1))
    assert same(before, weights(encoder))


@pytest.mark.parametrize("rho", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("kind", ENCODERS)
def test_a_kl_code_rests_at_the_sigmoid_s_inverse_of_rho(kind, rho):
    encoder = ENCODERS[kind][0]()
    before = weights(encoder)
    begin_code(encoder, configured(sparsity="kl", rho=rho), ENCODERS[kind][1]())
    expected = torch.full((6,), math.log(rho) - math.log1p(-rho))
    torch.testing.assert_close(encoder.to_code.bias.detach(), expected)
    (changed,) = [name for name, value in weights(encoder).items() if (value != before[name]).any()]
    assert changed.endswith("bias")


def test_a_dense_code_keeps_the_weights_that_torch_draws():
    """Uniform within 1 / sqrt(inputs): of variance 1 / (3 inputs)."""
    torch.manual_seed(0)
    network = Autoencoder((1, 20, 20), (300,))
    before = weights(network)
    begin(network, configured(), Start(), images(1, 20, 20))
    assert same(before, weights(network))
    drawn = network.encoder.to_code.weight.detach()
    assert drawn.abs().max().item() == pytest.approx(1 / 20, rel=1e-3)
    assert drawn.var().item() == pytest.approx(1 / (3 * 400), rel=0.02)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (Autoencoder((2, 3, 3), (4,), output_activation="clamp"), lambda mean: mean.flatten()),
        (Autoencoder((2, 3, 3), (4,), output_activation="sigmoid"),
         lambda mean: np.log(mean / (1 - mean)).flatten()),
        (ConvAutoencoder((2, 4, 4), (3, 4), output_activation="clamp"),
         lambda mean: mean.mean((1, 2))),
        (ConvAutoencoder((2, 4, 4), (3, 4), output_activation="sigmoid"),
         lambda mean: np.log(mean.mean((1, 2)) / (1 - mean.mean((1, 2))))),
    ],
    ids=["dense", "dense, sigmoid", "conv", "conv, sigmoid"],
)  # fmt: skip
def test_the_last_bias_gives_the_mean_image_after_the_output_activation(network, expected):
    x = images(*network.shape)
    x[:, 1] *= 0.1
    initialisation.begin_bias(network, x)
    wanted = expected(x.double().mean(0).numpy())
    np.testing.assert_allclose(network.decoder.last_bias.detach(), wanted, rtol=1e-4, atol=1e-6)


def test_pixels_that_are_always_black_or_white_get_a_finite_bias():
    network = Autoencoder((1, 1, 2), (3,), output_activation="sigmoid")
    x = torch.tensor([0.0, 1.0]).expand(5, 1, 1, 2)
    initialisation.begin_bias(network, x)
    expected = [math.log(0.01 / 0.99), math.log(0.99 / 0.01)]
    assert network.decoder.last_bias.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_classifier_gets_a_copy_of_the_encoder_that_it_stands_on():
    base = Autoencoder((1, 3, 4), (7, 6))
    network = Classifier((1, 3, 4), (5,), 2, encoder=ENCODERS["dense"][0]())
    before = weights(network.layers)
    begin(network, configured(), Start(encoder=(base, None)), images(1, 3, 4))
    assert same(weights(network.encoder), weights(base.encoder))
    assert same(weights(network.layers), before)
    base.encoder.to_code.bias.data.fill_(9)
    assert (network.encoder.to_code.bias < 9).all()


def test_misfitting_weights_are_refused_with_the_name_of_the_first():
    with pytest.raises(ModelFileError, match=r"--load do not fit.*layers\.1\.weight"):
        initialisation.copy_weights(Autoencoder((1, 3, 4), (7, 6)), Autoencoder((1, 3, 4), (7,)))


def test_given_weights_keep_their_biases_under_a_kl_penalty():
    first, _ = trained(epochs=1, sparsity="kl", rho=0.2)
    second = prepared(start=Start(weights=first.network), sparsity="kl", rho=0.05)
    assert same(weights(first.network), weights(second.network))


def test_weights_of_another_width_are_refused_in_one_line():
    first, _ = trained(epochs=1)
    with pytest.raises(ModelFileError, match="--load do not fit") as caught:
        prepared(start=Start(weights=first.network), hidden="17")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "model",
    [{"hidden": "64"}, {"model": "conv-autoencoder", "bottleneck": "vector", "hidden": "4,64"}],
)
@pytest.mark.parametrize("rho", [0.02, 0.05, 0.2])
def test_a_kl_run_starts_with_code_activations_near_rho(model, rho):
    run = prepared(sparsity="kl", rho=rho, **model)
    with torch.no_grad():
        mean = run.network.encode(pixels(run.data)).mean().item()
    assert mean == pytest.approx(rho, rel=0.25)


@pytest.mark.parametrize("sparsity", ["l1", "topk", "batch-topk", "jumprelu", "gated", "wta"])
@pytest.mark.parametrize("model", ["autoencoder", "conv-autoencoder"])
def test_in_a_run_competing_units_start_equal_and_the_decoder_as_the_encoder(sparsity, model):
    form = {"bottleneck": "vector"} if model == "conv-autoencoder" else {}
    run = prepared(digits(), sparsity=sparsity, model=model, hidden="4,30", **form)
    p = run.network.encoder.preactivation(pixels(run.data)).detach()
    torch.testing.assert_close(p.mean(0), torch.zeros(30), atol=1e-4, rtol=0)
    torch.testing.assert_close(p.std(0), p.std(0).mean().expand(30), rtol=1e-4, atol=0)
    encoder, decoder = run.network.encoder.to_code.weight, run.network.decoder.directions
    cosines = torch.nn.functional.cosine_similarity(encoder, decoder.t())
    torch.testing.assert_close(cosines, torch.ones(30))


@pytest.mark.parametrize("sparsity", ["l1", "topk", "batch-topk"])
def test_channels_of_a_map_start_equal_over_all_places_and_the_decoder_as_the_encoder(sparsity):
    run = prepared(digits(), sparsity=sparsity, model="conv-autoencoder", hidden="8,6")
    p = run.network.encoder.preactivation(pixels(run.data)).detach().unflatten(1, (6, 16))
    torch.testing.assert_close(p.mean((0, 2)), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(p.std((0, 2)), p.std((0, 2)).mean().expand(6), rtol=1e-4, atol=0)
    encoder, decoder = run.network.encoder.to_code.weight, run.network.decoder.directions
    cosines = torch.nn.functional.cosine_similarity(encoder, decoder.t())
    torch.testing.assert_close(cosines, torch.ones(6))


def test_a_map_is_centered_on_the_mean_of_each_channel():
    run = prepared(digits(), model="conv-autoencoder", hidden="8,6")
    mean = pixels(run.data).mean((0, 2, 3))
    torch.testing.assert_close(run.network.encoder.center, mean[:, None, None])
    torch.testing.assert_close(run.network.decoder.last_bias.detach(), mean)


@pytest.mark.parametrize(("hidden", "side", "kept"), [("9,3", 2, 3), ("6,20,5", 4, 5)])
def test_a_map_starts_at_the_principal_components_of_the_squares_of_all_images(hidden, side, kept):
    run = prepared(digits(), model="conv-autoencoder", hidden=hidden, output_activation="linear")
    x = pixels(run.data).numpy()
    mean, across = x.mean(), 8 // side
    blocks = (x - mean).reshape(-1, across, side, across, side).swapaxes(2, 3).reshape(-1, side**2)
    strongest = np.linalg.svd(blocks, full_matrices=False)[2][:kept]
    back = (blocks @ strongest.T @ strongest).reshape(-1, across, across, side, side)
    expected = back.swapaxes(2, 3).reshape(x.shape) + mean
    with torch.no_grad():
        np.testing.assert_allclose(run.network(pixels(run.data)), expected, atol=1e-5)


@pytest.mark.parametrize(("hidden", "side"), [("9,3", 8), ("6,20,18,30", 8), ("9,12,3", 7)])
def test_every_weight_of_a_map_learns_soon_after_its_start(hidden, side):
    images = dataclasses.replace(digits(), images=digits().images[:, :, :side, :side].copy())
    run = prepared(images, model="conv-autoencoder", hidden=hidden)
    optimizer = torch.optim.SGD(run.network.parameters(), 1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        x = pixels(run.data)
        (run.network(x) - x).square().sum((1, 2, 3)).mean().backward()
        optimizer.step()
    for name, parameter in run.network.named_parameters():
        of_units = parameter.grad.abs().flatten(1).sum(1) if parameter.dim() > 1 else parameter.grad
        assert (of_units != 0).all(), name


@pytest.mark.parametrize("output", ["clamp", "sigmoid"])
def test_a_code_that_is_silent_at_the_start_gives_the_mean_image(output):
    run = prepared(digits(), sparsity="topk", hidden="30", output_activation=output)
    silent = run.network.decode(torch.zeros(1, 30))[0]
    mean = pixels(run.data).mean(0)
    expected = mean if output == "clamp" else mean.clamp(0.01, 0.99)
    torch.testing.assert_close(silent, expected, atol=1e-5, rtol=0)


def test_a_convolutional_network_starts_at_the_mean_of_each_channel():
    run = prepared(digits(), sparsity="topk", hidden="4,30", model="conv-autoencoder")
    mean = pixels(run.data).mean()
    torch.testing.assert_close(run.network.decoder.last_bias[0], mean, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("units", "length", "each"), [(12, 5, 1), (5, 5, 1), (3, 12, 4)])
def test_each_unit_of_a_sparse_code_of_text_is_bound_to_as_few_places_as_there_can_be(
    units, length, each
):
    torch.manual_seed(0)
    network, tokens = text_network(units, length), torch.randint(3, 40, (64, length))
    begin_at_places(network, tokens)
    bound = network.encoder.places != 0
    assert bound.sum(0).tolist() == [each] * units
    assert bound.any(1).all()
    assert ((network.places[:length] != 0) == bound).all()
    same = network.encoder.places.sign() * network.places[:length].sign()
    assert (same[bound] == 1).all()
    deviation = network.encoder.preactivation(tokens).detach().numpy().std(0, ddof=1)
    assert deviation.mean() == pytest.approx(1, rel=1e-4)
