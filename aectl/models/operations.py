"""The operations of a network for one input, computed from its architecture alone."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import cast

from aectl.config.patching import Patching
from aectl.config.shapes import Shape, halved
from aectl.models.architecture import Architecture

STAGE, AT_PIXELS, OF_STAGES = 3, 5, 3
"""The sides of kernels: those of strided convolutions, of the first stage of a map, and of the
others."""

Products = tuple[int, int]
"""Multiplications to encode an input, and to reconstruct it, or of a classifier to classify it."""


def flops(described: Architecture) -> dict[str, int]:
    """Floating-point operations of all matrix products and convolutions for an input: one for each
    multiplication, and one to add it. None of text, since they depend on its length.

    `encode` and `reconstruct`, or `classify`; an encoder that a network stands on is included.
    """
    if not _is_counted(described):
        return {}
    encoded, all_of_it = PRODUCTS[described.kind](described)
    below = _below(described)
    if described.classes:
        return {"classify": 2 * (below + all_of_it)}
    return {"encode": 2 * (below + encoded), "reconstruct": 2 * (below + all_of_it)}


def _is_counted(described: Architecture) -> bool:
    """Whether the multiplications of a network, and of the encoder below it, are counted."""
    encoder = described.encoder
    return described.kind in PRODUCTS and (encoder is None or _is_counted(encoder))


def _below(described: Architecture) -> int:
    """Multiplications of the encoder that a network stands on."""
    encoder = described.encoder
    return PRODUCTS[encoder.kind](encoder)[0] + _below(encoder) if encoder else 0


def _dense(described: Architecture) -> Products:
    layers = sum(a * b for a, b in pairwise([math.prod(described.input), *described.hidden]))
    return layers, 2 * layers


def _classifier(described: Architecture) -> Products:
    encoder = described.encoder
    features = encoder.code_size if encoder else math.prod(described.input)
    widths = [features, *described.hidden, described.classes]
    return 0, sum(a * b for a, b in pairwise(widths))


def _convolutional(described: Architecture) -> Products:
    """Strided convolutions and a dense layer, or a map."""
    if described.config.code_is_map:
        return _map(described)
    *channels, code = described.hidden
    shapes = list(_stages(described.shape, channels))
    dense = math.prod(shapes[-1]) * code
    each = [(a[0] * b[0] * STAGE**2, math.prod(b[1:])) for a, b in pairwise(shapes)]
    strided = sum(weights * places for weights, places in each)
    return strided + dense, 2 * (strided + dense)


def _map(described: Architecture) -> Products:
    """Halving or doubling stages, each with a residual block of two convolutions."""
    *channels, code = described.hidden
    shapes = list(_stages(described.shape, channels))
    encoded = decoded = math.prod(shapes[-1]) * code
    for stage, (below, above) in enumerate(pairwise(shapes)):
        places = math.prod(above[1:])
        residual = 2 * places * above[0] ** 2 * OF_STAGES**2
        kernel = OF_STAGES if stage else AT_PIXELS
        encoded += places * below[0] * above[0] * kernel**2 + residual
        decoded += places * 4 * below[0] * above[0] * OF_STAGES**2 + residual
    return encoded, encoded + decoded


def _stages(shape: Shape, channels: list[int]) -> Iterator[Shape]:
    """The shape of an image, and those of the outputs of halving stages."""
    _, height, width = shape
    yield shape
    for times, count in enumerate(channels, 1):
        yield count, halved(height, times), halved(width, times)


def _patches(described: Architecture) -> Products:
    """The whitened patches at all places; the whitening is multiplied into a threshold's units."""
    config, shape = described.config, cast(Shape, described.layer_input)
    patching = Patching.of(config)
    values = shape[0] * math.prod(patching.sides)
    places = math.prod(patching.places(shape))
    layers = sum(a * b for a, b in pairwise([values, *described.hidden]))
    whitened = values**2
    soft = patching.threshold is not None
    encoded = values * described.hidden[-1] if soft else whitened + layers
    return places * encoded * (1 + patching.mirror), places * (2 * whitened + 2 * layers)


def _winners(described: Architecture) -> Products:
    """Convolutions at all places; a winner of each map draws its filter."""
    config, shape = described.config, cast(Shape, described.layer_input)
    pixels, whitened = shape[1] * shape[2], config.whitening is not None
    widths = [shape[0], *described.hidden]
    layers = pixels * config.kernel_size**2 * sum(a * b for a, b in pairwise(widths))
    whitening = math.prod(shape) ** 2 * whitened
    encoded = (layers + whitening) * (1 + Patching.of(config).mirror)
    drawn = described.hidden[-1] * shape[0] * config.filter_size**2
    return encoded, layers + 2 * whitening + drawn


PRODUCTS: dict[str, Callable[[Architecture], Products]] = {
    "autoencoder": _dense,
    "conv-autoencoder": _convolutional,
    "patch-autoencoder": _patches,
    "conv-wta-autoencoder": _winners,
    "classifier": _classifier,
}
"""The kinds of model whose multiplications are counted."""
