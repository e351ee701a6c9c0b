"""Greedy layer-wise training: what each layer sees, shares and leaves alone."""

import numpy as np
import pytest
import torch

from aectl.config.configuration import Config
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.codes import Code, TopK
from aectl.training.stack import layers_of

SHAPE = (1, 4, 5)


def stacked(**options):
    torch.manual_seed(0)
    config = Config.from_options({"hidden": (9, 7, 6), **options}).model.resolved(20)
    architecture = Architecture(config, SHAPE)
    whole = build_network(architecture)
    return whole, list(layers_of(whole, architecture))


def images(count=5):
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("tied", [False, True])
def test_each_layer_is_an_autoencoder_of_the_codes_of_those_below(tied):
    whole, layers = stacked(activation="sigmoid", code_activation="tanh", tied=tied)
    weights = {name: value.double().numpy() for name, value in whole.state_dict().items()}
    seen = images().double().numpy().reshape(5, -1)
    for number, layer in enumerate(layers, 1):
        np.testing.assert_allclose(layer.below(images()).flatten(1), seen, atol=1e-6)
        code = layer.network.encode(layer.below(images())).detach().numpy()
        p = seen @ weights[f"encoder.layers.{number - 1}.weight"].T
        p += weights[f"encoder.layers.{number - 1}.bias"]
        expected = np.tanh(p) if number == 3 else 1 / (1 + np.exp(-p))
        np.testing.assert_allclose(code, expected, atol=1e-6)
        back = (
            weights[f"encoder.layers.{number - 1}.weight"].T
            if tied
            else weights[f"decoder.layers.{3 - number}.weight"]
        )
        out = expected @ back.T + weights[f"decoder.layers.{3 - number}.bias"]
        out = np.clip(out, 0, 1) if number == 1 else 1 / (1 + np.exp(-out))
        found = layer.network(layer.below(images())).detach().flatten(1)
        np.testing.assert_allclose(found, out, atol=1e-5)
        seen = expected


def test_a_layer_that_is_trained_is_trained_in_the_whole_and_no_other_is():
    whole, layers = stacked(activation="sigmoid", code_activation="tanh")
    for number, layer in enumerate(layers):
        before = {name: value.clone() for name, value in whole.state_dict().items()}
        optimizer = torch.optim.SGD(layer.network.parameters(), 0.01)
        (layer.network(layer.below(images())) - 3).square().sum().backward()
        optimizer.step()
        changed = {
            name for name, value in whole.state_dict().items() if not value.equal(before[name])
        }
        assert changed == {
            f"{part}.layers.{place}.{kind}"
            for part, place in (("encoder", number), ("decoder", 2 - number))
            for kind in ("weight", "bias")
        }


def test_every_layer_follows_the_rule_and_the_last_one_with_the_whole_s_own_module():
    whole, layers = stacked(sparsity="topk", k=2)
    assert [type(layer.network.encoder.code) for layer in layers] == [TopK] * 3
    assert [layer.network.encoder.code is whole.encoder.code for layer in layers] == [0, 0, 1]
    for layer in layers:
        code = layer.network.train().encode(layer.below(images()))
        assert (code > 0).sum(1).max() <= 2


def test_layers_without_a_rule_end_in_the_inner_activation():
    _, layers = stacked(activation="tanh", code_activation="relu")
    assert [type(layer.network.encoder.code) for layer in layers] == [Code] * 3
    assert [layer.network.active_above for layer in layers] == [None, None, 0.0]
