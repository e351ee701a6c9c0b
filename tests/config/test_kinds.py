"""The table of the kinds of model: default widths, and the kinds that have a trait."""

import pytest

from aectl.config import kinds
from aectl.config.configuration import Config
from aectl.config.kinds import KINDS
from aectl.config.traits import with_trait
from aectl.models.build import BOTTLENECKS, NETWORKS
from aectl.models.word_choice import CHOICES

DENSE, CONV, PATCHES, WINNERS, CLASSIFIER, TEXT = KINDS


@pytest.mark.parametrize(
    ("kind", "width", "factor", "widths"),
    [
        (DENSE, 784, None, (392,)), (DENSE, 784, 8.0, (98,)), (DENSE, 1, None, (1,)),
        (DENSE, 3, 1e9, (1,)), (CONV, 784, None, (32, 64, 98)), (CONV, 784, 2.0, (32, 64, 392)),
        (CLASSIFIER, 784, None, (1568, 1568)), (CLASSIFIER, 5000, None, (2048, 2048)),
        (CLASSIFIER, 1, 9.0, (2, 2)), (PATCHES, 784, None, (400,)), (WINNERS, 784, None, (64, 64)),
    ],
)  # fmt: skip
def test_default_widths_follow_the_width_of_the_input(kind, width, factor, widths):
    assert KINDS[kind].widths(width, factor, kinds.VECTOR) == widths


@pytest.mark.parametrize(
    ("sides", "width", "factor", "widths"),
    [
        ((64, 64), 3 * 64**2, None, (32, 64, 128, 12)), ((28, 28), 784, None, (32, 64, 128, 3)),
        ((8, 8), 64, None, (32, 64, 128, 4)), ((1, 1), 3, None, (32, 64, 128, 1)),
        ((128, 128), 3 * 128**2, 2.0, (32, 64, 128, 96)),
        ((128, 128), 3 * 128**2, 100.0, (32, 64, 128, 128, 8)),
        ((64, 1), 64, 1e6, (32, 64, *[128] * 4, 1)),
    ],
)  # fmt: skip
def test_a_map_has_stages_until_its_code_has_some_channels(sides, width, factor, widths):
    assert KINDS[CONV].widths(width, factor, "map", sides) == widths


@pytest.mark.parametrize(("bottleneck", "widths"), [("vector", (256, 256)), ("words", (256,))])
def test_those_of_text_follow_the_bottleneck_alone(bottleneck, widths):
    for width in (1, 5000):
        assert KINDS[TEXT].widths(width, None, bottleneck) == widths


def test_the_words_of_the_help_are_the_widths():
    assert kinds.widths_text() == (
        "half the input's width; conv-autoencoder: 32, 64, 128 and as many channels as give a"
        " sixteenth of it (--bottleneck vector: 32, 64 and an eighth, at most 2,048);"
        " patch-autoencoder: 400; conv-wta-autoencoder: 64, 64; classifier: two layers of twice"
        " the input's width, at most 2,048;"
        " text-autoencoder: 256, 256 (--bottleneck words: 256)"
    )
    assert (
        kinds.factors_text() == "2; 16 with --model conv-autoencoder (8 with --bottleneck vector)"
    )


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (kinds.with_a_code(), (DENSE, CONV, PATCHES, WINNERS, TEXT)),
        (kinds.classifiers(), (CLASSIFIER,)),
        (kinds.reading("images"), (DENSE, CONV, PATCHES, WINNERS, CLASSIFIER)),
        (kinds.reading("text"), (CLASSIFIER, TEXT)), (kinds.encoding("text"), (TEXT,)),
        (kinds.encoding("images"), (DENSE, CONV, PATCHES, WINNERS)),
        (kinds.reading_pixels(), (DENSE, CONV, WINNERS, CLASSIFIER)),
        (kinds.encoding_pixels(), (DENSE, CONV, WINNERS)), (kinds.narrowing(), (DENSE, CONV)),
        (kinds.standing_on_encoders(), (PATCHES, WINNERS, CLASSIFIER)),
        (kinds.bottlenecks(), ("vector", "map", "words")),
        (with_trait(KINDS, "dropout"), (DENSE, PATCHES, CLASSIFIER)),
        (kinds.defaults("dropout"), (("model", CLASSIFIER, 0.5),)), (kinds.defaults("seed"), ()),
    ],
)  # fmt: skip
def test_the_kinds_with_a_trait(found, wanted):
    assert found == wanted


def test_every_kind_and_every_bottleneck_has_a_network():
    assert tuple(NETWORKS) == tuple(KINDS)
    assert tuple(BOTTLENECKS) == KINDS[TEXT].codes
    assert tuple(CHOICES) == kinds.CHOICES


@pytest.mark.parametrize("kind", KINDS)
def test_every_default_of_a_kind_is_in_its_config(kind):
    config = Config.from_options({"model": kind})
    values = vars(config.data) | vars(config.model) | vars(config.loss) | vars(config.training)
    assert KINDS[kind].defaults.items() <= values.items()
