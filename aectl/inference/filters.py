"""The filters of a network: the patterns that its units respond to, or draw."""

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from aectl.data.images.pixels import Pixels
from aectl.inference.apply import to_tensor
from aectl.inference.arrays import codes_of
from aectl.inference.results import Floats
from aectl.models.networks import ImageNetwork, MapAutoencoder, PooledAutoencoder

FILTER_VALUES = 1 << 23
"""Maximum pixels of all images, one copy per unit, for which gradients are computed at a time."""

MOST_VALUES = 1 << 26
"""Maximum pixels of all filters; for larger images, filters are computed for fewer units."""

LEAST_FILTERED, MOST_FILTERED = 4, 32

AT_ONCE = 1 << 22
"""Number of values whose standard deviation is computed at a time."""

CPU = torch.device("cpu")


def filters_of(network: ImageNetwork, images: Pixels, most: int, side: int) -> Floats:
    """The filters of the first units, at most `most`: (units, channels, height, width), reduced if
    a side is longer than `side`.

    A filter is the gradient of the unit's pre-activation, multiplied by the standard deviation of
    each pixel over the `images`, (n, channels, height, width). For a single layer, these are the
    weights scaled by the variation of each pixel: the direction that activates the unit most
    (CS294A notes, section 4), except for pixels that never change, whose weights have kept their
    random initial values. For deeper units it is the mean over some of the images, because for a
    single image most units of a sparse layer below are inactive and pass no gradient. The filters
    of an autoencoder whose features are pooled are those of its decoder: whitened patches, or
    strokes and edges. Those of a code that is a map are what each of its channels draws.
    """
    network.cpu().eval()
    if isinstance(network, PooledAutoencoder):
        return network.filters()[:most].detach().numpy()
    if isinstance(network, MapAutoencoder):
        some = np.linspace(0, len(images) - 1, min(len(images), MOST_FILTERED)).astype(int)
        codes = torch.from_numpy(codes_of(network, images[some]))
        return _shrunk(network.drawn(codes)[:most].numpy(), side)
    pixels = math.prod(network.shape)
    with torch.no_grad():
        there = network.filter_responses(to_tensor(images[:1], CPU)).shape[1]
    units = max(1, min(most, there, MOST_VALUES // pixels))
    fitting = FILTER_VALUES // (units * pixels)
    few = min(len(images), max(LEAST_FILTERED, min(MOST_FILTERED, fitting)))
    deviation = standard_deviation(images)
    found: list[Floats] = []
    for place in np.linspace(0, len(images) - 1, few).round().astype(int):
        gradients = _gradients(network, images[place : place + 1], units)
        found.append(
            np.concatenate([_shrunk(gradient * deviation, side) for gradient in gradients])
        )
        if len(found) == 2 and np.array_equal(found[0], found[1]):  # a single layer
            break
    made: Floats = np.mean(found, axis=0)
    return made


def _gradients(network: ImageNetwork, image: Pixels, units: int) -> Iterator[Floats]:
    """Gradients of the units' pre-activations by an image: all at once, (units, channels, height,
    width), or one by one, (1, channels, height, width), if the network needs much memory.
    """
    x = to_tensor(image, CPU)
    if network.one_at_a_time:
        x.requires_grad_()
        for preactivation in network.filter_responses(x)[0, :units]:
            (gradient,) = torch.autograd.grad(preactivation, x, retain_graph=True)
            yield gradient.numpy()
    else:
        copies = x.expand(units, *network.shape).clone().requires_grad_()
        preactivations = network.filter_responses(copies)[:, :units]
        (gradient,) = torch.autograd.grad(preactivations.diagonal().sum(), copies)
        yield gradient.numpy()


def _shrunk(filters: Floats, side: int) -> Floats:
    """Reduces filters, (units, channels, height, width), to sides of at most `side` pixels."""
    height, width = filters.shape[2:]
    scale = side / max(height, width)
    if scale >= 1:
        return filters
    small = [max(1, round(height * scale)), max(1, round(width * scale))]
    return F.interpolate(torch.from_numpy(filters), small, mode="bilinear", antialias=True).numpy()


def standard_deviation(images: Pixels) -> Floats:
    """The standard deviation of each pixel, in [0, 1]: (channels, height, width)."""
    flat = images.reshape(len(images), -1)
    deviation = np.empty(flat.shape[1], np.float32)
    at_once = max(1, AT_ONCE // len(images))
    for first in range(0, len(deviation), at_once):
        some = slice(first, first + at_once)
        part = flat[:, some].astype(np.int64)
        mean = part.sum(0) / len(images)
        variance = (part**2).sum(0) / len(images) - mean**2
        deviation[some] = np.sqrt(np.maximum(variance, 0)) / 255
    return deviation.reshape(images.shape[1:])
