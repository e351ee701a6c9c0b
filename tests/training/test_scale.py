"""The size of trainings."""

import dataclasses
from math import prod

import pytest

from aectl.config.configuration import Config
from aectl.config.shapes import TextShape
from aectl.models.architecture import Architecture
from aectl.training.image_runs import run_class
from aectl.training.scale import MARGIN
from aectl.training.text_sketch import TextSketch

GREY, PHOTO = (1, 28, 28), (3, 128, 128)


def images(shape=GREY, inputs=1000, classes=0, **options):
    config = Config.from_options(options).resolved(shape, prod(shape), inputs)
    sketch_class = run_class(config, None, inputs).sketch_class
    return sketch_class(config, Architecture(config.model, shape, classes), inputs)


def texts(length=64, tokens=2000, inputs=1000, **options):
    config = Config.from_options({"model": "text-autoencoder", "length": length, **options})
    config = config.resolved(None, 0, inputs)
    return TextSketch(config, Architecture(config.model, TextShape(length, tokens)), inputs)


def test_a_dense_network_has_its_weights_and_their_gradients_and_the_moments_of_adam():
    """784 x 8000 twice; all else is small beside them."""
    scale = images(hidden=(8000,), inputs=64).scale()
    assert scale.weights == 2 * 784 * 8000 + 8000 + 784
    assert scale.memory - MARGIN == pytest.approx(1.15 * 4 * 4 * scale.weights, rel=0.06)


def test_moments_in_bfloat16_need_half():
    """4 instead of 8 bytes for each weight, of 4096 x 131,072 twice; in a step, few are widened."""
    options = {"shape": (1, 64, 64), "hidden": (2**17,), "inputs": 64}
    wide = images(**options).scale()
    saved = wide.memory - images(optimizer_state="bf16", **options).scale().memory
    assert saved == pytest.approx(1.15 * 4 * wide.weights, rel=0.02)


def test_a_training_with_a_copy_of_the_best_weights_needs_that_too():
    plain = images(inputs=500, validation=0.5)
    training = dataclasses.replace(plain.config.training, keep="best")
    best = dataclasses.replace(plain, config=dataclasses.replace(plain.config, training=training))
    weights = 4 * plain.scale().weights
    more = best.scale().memory - plain.scale().memory
    assert more == pytest.approx(1.15 * weights, rel=0.05)


def test_larger_images_are_measured_fewer_at_a_time():
    assert images(GREY).evaluation_batch == 1000
    large = images((3, 512, 512), inputs=50, hidden=(10,))
    assert large.evaluation_batch < 100
    assert large.scale().memory < 2 * 2**30


def test_fewer_large_images_are_measured_after_an_epoch_of_patches():
    assert images((3, 32, 32), model="patch-autoencoder").measured == 100
    assert images((3, 512, 512), model="patch-autoencoder", hidden=(200,)).measured < 10


@pytest.mark.parametrize(("length", "options"), [(12, {}), (105, {"bottleneck": "words"})])
def test_a_text_is_counted_by_shorter_ones(length, options):
    """As each of its tokens needs the same; the count of a whole text takes seconds."""
    short = texts(length=length, tokens=500, inputs=40, **options)
    short = dataclasses.replace(short, measured_at_once=40)
    assert short.scale().memory == pytest.approx(super(TextSketch, short).scale().memory, rel=0.1)


def test_of_texts_the_length_is_changed():
    sketch = texts()
    shorter, words = sketch.resized().smaller(10)
    assert words == "--length 10"
    assert shorter.needed < sketch.needed / 2
