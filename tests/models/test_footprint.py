"""The memory of networks, beside the tensors that pass through their layers."""

import dataclasses
from itertools import accumulate
from math import prod

import pytest
import torch
from torch import nn
from torch.autograd.profiler import profile

from aectl.config.kinds import KINDS
from aectl.config.model_options import ModelConfig
from aectl.config.shapes import TextShape
from aectl.config.sparsity import RULES
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
    "kept words": ModelConfig(model="text-autoencoder", hidden=(6,), bottleneck="words"),
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


def counted(architecture):
    """The bytes of an input and of all that is in memory at once while it is used, by torch's own
    record."""
    network, shape = build_network(architecture).eval(), architecture.input
    if isinstance(shape, TextShape):
        x = torch.randint(3, shape.tokens, (1, shape.length))
    else:
        x = torch.rand(1, *shape)
    with torch.no_grad(), profile(profile_memory=True) as profiled:
        if architecture.classes:
            network.probabilities(x)
        else:
            code = network.encode(x)
            pooled = KINDS[architecture.kind].pooled
            network.reconstruct(x) if pooled else network.decode(code)
    events = profiled.kineto_results.events()
    changes = [event.nbytes() for event in events if event.name() == "[memory]"]
    return x.nbytes + max(accumulate(changes))


def images_of(hidden, shape=(1, 2, 2), **options):
    return Architecture(ModelConfig(hidden=hidden, **options), shape)


def winners_of(hidden, shape, **options):
    given = {"sparsity": "wta", "features": "code", "grid": (3,), **options}
    return images_of(hidden, shape, model="conv-wta-autoencoder", **given)


def text_of(hidden, length=1, tokens=20, **options):
    config = ModelConfig(model="text-autoencoder", hidden=hidden, **options)
    return Architecture(config, TextShape(length, tokens))


PATCHES = images_of((50,), (1, 8, 8), model="patch-autoencoder", patch_size=(4,))

EXACT = {
    "one layer": images_of((500,), (1, 3, 3), code_activation="sigmoid"),
    "an inner layer before a wider code": images_of((10, 30), (1, 1, 1000)),
    "a wide layer after the image": images_of((1000, 10)),
    "a wide layer beside a wide code": images_of((2000, 1000, 500, 800)),
    "thresholds": images_of((2000,), sparsity="jumprelu"),
    "nearly all units of a wide code": images_of((2000,), sparsity="topk", k=1999),
    "many classes": OF_IMAGES["many classes"],
}
"""Architectures whose largest layer is another one each; the bound is nearly all that they need."""

ENOUGH = {
    **{name: one for name, one in OF_IMAGES.items() if one is not CONV},
    **{
        rule: images_of(
            (2000,), sparsity=rule, k=1000, code_activation=RULES[rule].activation or "relu"
        )
        for rule in RULES
    },
    "patches": images_of((300,), (3, 12, 9), model="patch-autoencoder", patch_size=(4, 3)),
    "patches, not pooled": images_of(
        (300, 70),
        (1, 9, 9),
        model="patch-autoencoder",
        patch_size=(5,),
        pool="none",
        features="code",
    ),
    "a classifier of patches": Architecture(CLASSIFIER, (1, 8, 8), 5, PATCHES),
    "winners": winners_of((8, 300), (1, 9, 8)),
    "whitened winners of few maps": winners_of((2, 3), (3, 12, 9), whitening=0.1),
    "winners, not pooled": winners_of((40, 4), (1, 9, 9), pool="none", center=True),
    "winners of winners": dataclasses.replace(
        winners_of((40,), (1, 9, 9), center=True), encoder=winners_of((20,), (1, 9, 9), overlap=1)
    ),
    "patches of patches": dataclasses.replace(
        images_of((50,), (1, 8, 8), model="patch-autoencoder", patch_size=(2,)), encoder=PATCHES
    ),
    "a classifier of winners": Architecture(
        CLASSIFIER, (3, 9, 9), 5, winners_of((16, 32), (3, 9, 9))
    ),
    **{
        f"map of {shape}": images_of(
            (32, 64, 128, 12), shape, model="conv-autoencoder", bottleneck="map", center=True
        )
        for shape in [(3, 128, 128), (1, 61, 128)]
    },
    "centered": images_of((300,), (3, 9, 9), center=True, activation="gelu"),
    "a classifier of codes": Architecture(CLASSIFIER, DENSE.input, 700, DENSE),
    "classes of text": Architecture(CLASSIFIER, TextShape(1, 20), 900, text_of((4, 3))),
    **{f"text, {name}": Architecture(config, TextShape(7, 50)) for name, config in TEXTS.items()},
    "a text of one token": text_of((4, 900), sparsity="topk", k=890),
    "a large vocabulary": text_of((8,), 4, 9000, bottleneck="text"),
    "a long text": text_of((32, 8), 60, 300),
    "words of a long text": text_of((8,), 200, 30, bottleneck="words"),
    "words of a large vocabulary": text_of((8,), 4, 9000, bottleneck="words"),
}


@pytest.mark.parametrize("architecture", [*EXACT.values(), *ENOUGH.values()], ids=[*EXACT, *ENOUGH])
def test_all_tensors_that_are_in_memory_at_once_fit_into_it(architecture):
    assert counted(architecture) <= footprint.activation_bytes(architecture)


@pytest.mark.parametrize("architecture", EXACT.values(), ids=EXACT)
def test_it_is_hardly_more_than_what_is_in_memory_at_once(architecture):
    assert footprint.activation_bytes(architecture) < 1.02 * counted(architecture)


def test_convolutions_hold_their_input_before_and_after_its_activation_beside_the_code():
    """Without the buffers inside a convolution: the last one has 32 * 4 * 4 values of input."""
    config = ModelConfig(model="conv-autoencoder", hidden=(32, 64, 500))
    pixels, code, below = 64, 500, 32 * 4 * 4
    found = footprint.activation_bytes(Architecture(config, (1, 8, 8)))
    assert found == 4 * (pixels + code + 2 * below + pixels)
