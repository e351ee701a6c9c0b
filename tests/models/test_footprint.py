"""The memory of networks, beside the tensors that pass through their layers."""

from math import prod

import pytest
import torch
from torch import nn

from aectl.config.model_options import ModelConfig
from aectl.config.shapes import TextShape
from aectl.models import footprint
from aectl.models.architecture import Architecture
from aectl.models.build import build_network

DENSE = Architecture(ModelConfig(hidden=(6, 30, 3)), (3, 4, 5))
CONV = Architecture(ModelConfig(model="conv-autoencoder", hidden=(4, 9, 3)), (3, 13, 7))
CLASSIFIER = ModelConfig(model="classifier", hidden=(8,))
OF_IMAGES = {
    "dense": DENSE,
    "wide code": Architecture(ModelConfig(hidden=(500,)), (1, 3, 3)),
    "conv": CONV,
    "classifier": Architecture(CLASSIFIER, (1, 4, 5), 7),
    "many classes": Architecture(ModelConfig(model="classifier", hidden=()), (1, 2, 2), 900),
}
TEXTS = {
    "vector": ModelConfig(model="text-autoencoder", hidden=(6, 5)),
    "shorter text": ModelConfig(model="text-autoencoder", hidden=(6,), bottleneck="text"),
}


def largest_layer(layers, run):
    """Floats of input, pre-activations and output of the largest of the layers that `run` uses."""
    found = []
    handles = [
        layer.register_forward_hook(lambda _, x, y: found.append(x[0].numel() + 2 * y.numel()))
        for layer in layers
        if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    run()
    for handle in handles:
        handle.remove()
    return max(found)


@pytest.mark.parametrize("architecture", OF_IMAGES.values(), ids=OF_IMAGES)
def test_it_holds_the_image_twice_and_the_largest_layer(architecture):
    network, image = build_network(architecture).eval(), torch.rand(1, *architecture.shape)
    encoder = network if architecture.classes else network.encoder
    layer = largest_layer(encoder.modules(), lambda: encoder(image))
    found = footprint.activation_bytes(architecture)
    assert found == 4 * (2 * prod(architecture.shape) + layer)


def test_a_classifier_needs_its_encoder_too():
    alone = Architecture(CLASSIFIER, (1, 1, 3), 7)
    both = Architecture(CLASSIFIER, DENSE.input, 7, DENSE)
    pixels = 4 * 2 * (60 - 3)
    assert footprint.activation_bytes(both) == (
        footprint.activation_bytes(DENSE) + footprint.activation_bytes(alone) + pixels
    )


@pytest.mark.parametrize("config", TEXTS.values(), ids=TEXTS)
def test_measuring_a_text_holds_its_logits_three_times(config):
    architecture = Architecture(config, TextShape(7, 50))
    network, tokens = build_network(architecture).eval(), torch.arange(3, 10)[None]
    logits = network.predict(network.encode(tokens), tokens)
    assert footprint.measuring_bytes(architecture) == 3 * 4 * logits.numel()


def test_measuring_an_image_holds_the_first_and_a_sum_of_64_bits():
    assert footprint.measuring_bytes(DENSE) == 60 * (4 + 8)
    assert footprint.measuring_bytes(OF_IMAGES["classifier"]) == 0


@pytest.mark.parametrize(("pixels", "alone"), [(1_398_000, False), (1_400_000, True)])
def test_inputs_are_processed_alone_where_32_need_more_than_half_a_gibibyte(pixels, alone):
    """A layer of one unit: the image three times, and the unit twice."""
    architecture = Architecture(ModelConfig(hidden=(1,)), (1, 1, pixels))
    assert (32 * 4 * (3 * pixels + 2) > 2**29) is alone
    assert footprint.one_at_a_time(architecture) is alone
