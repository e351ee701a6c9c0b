"""Images, as networks take them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from aectl.config.kinds import KINDS
from aectl.config.model_options import ModelConfig
from aectl.config.patching import Patching
from aectl.config.shapes import Shape, halved
from aectl.config.sparsity import RULES
from aectl.errors import ModelFileError
from aectl.models.dense_floats import floats_of_layers
from aectl.models.input_spec import InputSpec
from aectl.models.metadata import shown
from aectl.models.vocabulary import Vocabulary

LARGEST_SIDE = 4096

BLOCK, FEWEST_VISITED = 16, 256
"""Channels that convolutions of oneDNN work on together, and the minimum number of places of a map
that are visited at a time."""

BORDER = 2
"""Pixels by which a convolution of a map's network extends its input, at most."""

PREPROCESSING = {
    "scaling": "0..255 to 0..1",
    "resize": "bilinear, antialiased",
    "transparency": "over white",
}
"""How `data.images` converts a file to pixels, the same for all models of this version."""


class ImageSpec(InputSpec[Shape]):
    """Images of shape (channels, height, width)."""

    def shape(self, sizes: Mapping[str, object]) -> Shape:
        """Reads the field `shape`."""
        if any(sizes[name] is not None for name in ("length", "tokens", "width")):
            raise ModelFileError("its input is images, which have no tokens or width")
        return image_shape(sizes["shape"])

    def sizes(self, shape: Shape) -> dict[str, Any]:
        """The field `shape`."""
        return {"shape": shape}

    def preprocessing(
        self, shape: Shape, value_range: tuple[float, float] | None, columns: Sequence[str]
    ) -> dict[str, Any]:
        """The shape, the scaling and, if the model has one, its range of values."""
        channels, height, width = shape
        values = {} if value_range is None else {"value_range": list(value_range)}
        sides = {"channels": channels, "height": height, "width": width}
        return {**sides, **PREPROCESSING, **values}

    def vocabulary(self, described: object, shape: Shape) -> None:
        """None."""
        if described is not None:
            raise ModelFileError("it has a vocabulary, but is not a text model")

    def described_vocabulary(self, vocabulary: Vocabulary | None) -> dict[str, Any]:
        """None."""
        return {}

    def check_baselines(self, baselines: Mapping[str, Sequence[int]], shape: Shape) -> None:
        """Refuses all: a model file holds baselines of text only."""
        for name in baselines:
            raise ModelFileError(f"training.baselines.{shown(name)} is not a text of it")

    def check(self, config: ModelConfig, shape: Shape) -> None:
        """Refuses patches that do not fit into the images, and more active units than a map has."""
        if KINDS[config.model].pooled:
            Patching.of(config).check(shape)
        if config.code_is_map:
            config.check_units(config.units(shape[1:]))

    def code_size(self, config: ModelConfig, shape: Shape) -> int:
        """The number of units."""
        return config.units(shape[1:])

    def activation_floats(
        self, config: ModelConfig, shape: Shape, encoded: int | None, classes: int
    ) -> int:
        """Those of the layers, or of patches or maps of the image."""
        if KINDS[config.model].patches:
            return 3 * math.prod(shape) + _patch_floats(config, shape)
        if KINDS[config.model].winners:
            return _winner_floats(config, shape)
        if config.code_is_map:
            return max(_map_floats(config, shape))
        widths = list(_widths(config, shape, encoded, classes))
        of_code = RULES[config.sparsity].floats
        convolutional = KINDS[config.model].convolutional
        return floats_of_layers(widths, math.prod(shape), of_code, convolutional, not classes)

    def measuring_floats(self, shape: Shape) -> int:
        """The first image as 32-bit floats, and the sum of all as 64-bit floats."""
        return 3 * math.prod(shape)


def image_shape(value: object) -> Shape:
    """The shape of images in a description. Raises ModelFileError if it is none."""
    if (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in value)
        and value[0] in (1, 3)
    ):
        return value[0], value[1], value[2]
    raise ModelFileError(f"{value!r} is not a shape of images (channels, height, width)")


def _patch_floats(config: ModelConfig, shape: Shape) -> int:
    """Floats for the patches of an image, whitened and reconstructed, and their largest layer; and
    for the columns of the decoder, scaled to length 1.
    """
    patching = Patching.of(config)
    values = shape[0] * math.prod(patching.sides)
    widths = [values, *(config.hidden or ())]
    layer = max(a + 2 * b for a, b in pairwise(widths))
    features = patching.feature_count(shape, widths[-1])
    places = math.prod(patching.places(shape))
    return places * (6 * values + layer + 2 * widths[-1]) + features + 2 * values * widths[-1]


def _winner_floats(config: ModelConfig, shape: Shape) -> int:
    """Floats for an image, whitened and reconstructed, with the largest convolution or with the
    filters that the winners draw: each filter twice, and its pixels' numbers.

    A convolution holds its input, its output, their copies in blocks of channels, and its weights.
    """
    assert config.hidden
    widths = [BLOCK * -(-width // BLOCK) for width in (shape[0], *config.hidden)]
    pixels, kernel = math.prod(shape[1:]), config.kernel_size**2
    layer = max(2 * pixels * (a + b) + kernel * a * b for a, b in pairwise(widths))
    features = Patching.of(config).feature_count(shape, config.hidden[-1])
    filters = 5 * min(config.hidden[-1], FEWEST_VISITED) * shape[0] * config.filter_size**2
    maps = 5 * pixels * config.hidden[-1]
    margin = config.filter_size - 1
    image = math.prod(shape) * 7 + 2 * shape[0] * (shape[1] + margin) * (shape[2] + margin)
    return image + max(layer, maps + max(filters, features))


def _map_floats(config: ModelConfig, shape: Shape) -> Iterator[int]:
    """Floats besides the weights at each step of a map's encoder and decoder.

    A residual block holds four tensors of its shape: its input, two within, and the output. A
    convolution also holds its input with a border, and a copy of its weights. A doubled map is
    there twice: as it is computed, and in its places.
    """
    assert config.hidden is not None
    sides = shape[1:]
    pixels, code = math.prod(shape), config.units(sides)
    channels = [shape[0], *config.hidden[:-1]]

    def floats(stage: int, border: int = 0) -> int:
        """Those of the output of a stage, 0 for the image."""
        return channels[stage] * math.prod(halved(side, stage) + 2 * border for side in sides)

    stages = range(1, len(channels))
    for stage in stages:
        weights = 9 * channels[stage] * max(4 * channels[stage - 1], channels[stage])
        block = 4 * floats(stage) + floats(stage, BORDER) + weights
        below = floats(stage - 1)
        doubled = channels[stage - 1] * math.prod(2 * halved(side, stage) for side in sides)
        yield pixels + 2 * below + floats(stage - 1, BORDER) + block
        yield pixels + code + floats(stage) + block
        yield pixels + code + floats(stage) + floats(stage, BORDER) + 2 * doubled + weights
    yield pixels + 2 * floats(stages[-1]) + RULES[config.sparsity].floats * code
    yield 3 * pixels + code


def _widths(config: ModelConfig, shape: Shape, encoded: int | None, classes: int) -> Iterator[int]:
    """Number of outputs of each layer, after that of the input; the decoder mirrors the encoder."""
    channels, height, width = shape
    hidden = config.hidden or ()
    yield channels * height * width if encoded is None else encoded
    if KINDS[config.model].convolutional:
        for count in hidden[:-1]:
            height, width = halved(height), halved(width)
            yield count * height * width
        yield hidden[-1]
    else:
        yield from hidden
    if classes:
        yield classes
