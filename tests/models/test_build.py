"""Networks as their architectures describe them: their weights, counted by hand."""

import pytest
import torch

from aectl.config.model_options import ModelConfig
from aectl.models.architecture import Architecture
from aectl.models.build import build_network

DENSE = 20 * 6 + 6 + 6 * 3 + 3 + 3 * 6 + 6 + 6 * 20 + 20
CONV = (3 * 4 * 9 + 4) + (4 * 3 * 4 * 5 + 5) + (5 * 48 + 48) + (4 * 3 * 9 + 3)
"""An image of 3x5x7 becomes 4x3x4 in a stage, and 5 units in the code."""

MAP = (3 * 4 * 25 + 4) + 2 * 2 * (4 * 4 * 9 + 4) + (4 * 5 + 5) + (5 * 4 + 4) + (4 * 12 * 9 + 3)
"""A convolution, two residual blocks of two, the code and back at each place, a convolution."""

SHAPE = (1, 4, 5)
WIDTHS = (6, 3)


@pytest.mark.parametrize(
    ("options", "shape", "classes", "count"),
    [
        ({}, SHAPE, 0, DENSE),
        ({"tied": True}, SHAPE, 0, DENSE - 3 * 6 - 6 * 20),
        ({"sparsity": "topk", "k": 1}, SHAPE, 0, DENSE),
        ({"sparsity": "wta"}, SHAPE, 0, DENSE),
        ({"sparsity": "jumprelu"}, SHAPE, 0, DENSE + 3),
        ({"sparsity": "gated"}, SHAPE, 0, DENSE + 2 * 3),
        ({"model": "conv-autoencoder", "hidden": (4, 5)}, (3, 5, 7), 0, CONV),
        ({"model": "conv-autoencoder", "bottleneck": "map", "hidden": (4, 5)}, (3, 5, 7), 0, MAP),
        ({"model": "classifier"}, SHAPE, 2, 20 * 6 + 6 + 6 * 3 + 3 + 3 * 2 + 2),
        ({"model": "classifier", "hidden": ()}, SHAPE, 2, 20 * 2 + 2),
    ],
)
def test_the_number_of_weights(options, shape, classes, count):
    config = ModelConfig(**{"hidden": WIDTHS, **options})
    network = build_network(Architecture(config, shape, classes))
    assert sum(weight.numel() for weight in network.parameters()) == count


@pytest.mark.parametrize("bottleneck", ["map", "vector"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sides", [(1, 1), (8, 8), (33, 64), (224, 224), (1024, 1024), (1024, 1)])
def test_no_default_of_a_convolutional_autoencoder_has_20_million_weights(
    bottleneck, channels, sides
):
    config = ModelConfig(model="conv-autoencoder", bottleneck=bottleneck)
    resolved = config.resolved(channels * sides[0] * sides[1], sides)
    with torch.device("meta"):
        network = build_network(Architecture(resolved, (channels, *sides)))
    assert sum(weight.numel() for weight in network.parameters()) < 20e6
    assert 0 < network.code_size <= max(64, channels * sides[0] * sides[1] / 8)


def test_a_classifier_on_an_encoder_starts_from_its_code():
    encoder = Architecture(ModelConfig(hidden=WIDTHS), SHAPE)
    network = build_network(
        Architecture(ModelConfig(model="classifier", hidden=()), SHAPE, 2, encoder)
    )
    own = sum(weight.numel() for weight in network.layers.parameters())
    assert own == 3 * 2 + 2
    assert network.encoder.code_size == 3


@pytest.mark.parametrize(
    ("options", "training", "evaluated"),
    [
        ({"sparsity": "topk", "k": 1, "alpha": 2.0}, 1, 2), ({"sparsity": "topk", "k": 2}, 2, 2),
        ({"sparsity": "none"}, 3, 3),
    ],
)  # fmt: skip
def test_options_of_the_code_reach_it(options, training, evaluated):
    code = build_network(Architecture(ModelConfig(hidden=WIDTHS, **options), SHAPE)).encoder.code
    values = torch.tensor([[1.0, 2.0, 3.0]])
    assert code.train()(values).count_nonzero() == training
    assert code.eval()(values).count_nonzero() == evaluated
