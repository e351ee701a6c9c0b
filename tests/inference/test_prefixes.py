"""Explained variance of the first units of a code."""

import math

import torch

from aectl.inference.prefixes import PrefixErrors
from aectl.models.autoencoder import Autoencoder


def test_errors_of_prefixes_are_those_of_a_decoder_of_fewer_units():
    torch.manual_seed(0)
    network = Autoencoder((5,), [4], output_activation="linear").requires_grad_(False)
    inputs, code = torch.randn(7, 5), torch.randn(7, 4)
    errors = PrefixErrors(network, (1, 3, 4, 9))
    errors.update(inputs[:3], code[:3])
    errors.update(inputs[3:], code[3:])
    layer = network.decoder.layers[0]
    wanted = {
        f"explained_variance_{width}": 1
        - (code[:, :width] @ layer.weight[:, :width].T + layer.bias - inputs).square().sum() / 50
        for width in (1, 3)
    }
    found = errors.explained(torch.tensor(50.0))
    assert found.keys() == wanted.keys()
    assert all(math.isclose(found[name], wanted[name], rel_tol=1e-5) for name in wanted)
    assert math.isnan(errors.explained(torch.tensor(0.0))["explained_variance_1"])
