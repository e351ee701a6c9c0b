"""The filters of a network: the images that its units look for."""

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from aectl.data.images.decode import Pixels
from aectl.inference.apply import Floats, to_tensor
from aectl.models.networks import ImageNetwork

FILTER_VALUES = 1 << 23
"""Pixels of all images, a copy a unit, through which the gradient of filters is computed."""

MOST_VALUES = 1 << 28
"""Pixels of all filters: of larger images fewer units have one, as each takes a backward pass."""

LEAST_FILTERED, MOST_FILTERED = 4, 32

AT_ONCE = 1 << 22
"""Pixels whose standard deviation is summed up at a time."""

CPU = torch.device("cpu")


def filters_of(network: ImageNetwork, images: Pixels, most: int, side: int) -> Floats:
    """What each unit looks for, of `most` units: (units, channels, height, width), made smaller
    where one of their sides is longer than `side`.

    The gradient of what the unit answers, before its activation, times the standard deviation of
    each pixel of the `images`, (n, channels, height, width). For a single layer these are its
    weights in units of how much each pixel varies: the direction that excites the unit most (CS294A
    notes, section 4), without the pixels that never change and on which the weights are still what
    chance made them. Of deeper units it is the mean over some of the images: at any one of them,
    most units of a sparse code below are off, and pass no gradient on.
    """
    network.cpu().eval()
    pixels = math.prod(network.shape)
    with torch.no_grad():
        there = network.filter_responses(to_tensor(images[:1], CPU)).shape[1]
    units = max(1, min(most, there, MOST_VALUES // pixels))
    fitting = FILTER_VALUES // (units * pixels)
    few = min(len(images), max(LEAST_FILTERED, min(MOST_FILTERED, fitting)))
    spread = standard_deviation(images)
    found: list[Floats] = []
    for place in np.linspace(0, len(images) - 1, few).round().astype(int):
        gradients = _gradients(network, images[place : place + 1], units)
        found.append(np.concatenate([_shrunk(gradient * spread, side) for gradient in gradients]))
        if len(found) == 2 and np.array_equal(found[0], found[1]):  # a single layer
            break
    made: Floats = np.mean(found, axis=0)
    return made


def _gradients(network: ImageNetwork, image: Pixels, units: int) -> Iterator[Floats]:
    """The gradients of the units' answers to an image: of all at once, (units, channels, height,
    width), or one by one, (1, channels, height, width), where the network takes much memory.
    """
    x = to_tensor(image, CPU)
    if network.one_at_a_time:
        x.requires_grad_()
        for answer in network.filter_responses(x)[0, :units]:
            (gradient,) = torch.autograd.grad(answer, x, retain_graph=True)
            yield gradient.numpy()
    else:
        copies = x.expand(units, *network.shape).clone().requires_grad_()
        answers = network.filter_responses(copies)[:, :units]
        (gradient,) = torch.autograd.grad(answers.diagonal().sum(), copies)
        yield gradient.numpy()


def _shrunk(filters: Floats, side: int) -> Floats:
    """Filters (units, channels, height, width) whose longer side is `side`, if it was longer."""
    height, width = filters.shape[2:]
    scale = side / max(height, width)
    if scale >= 1:
        return filters
    small = [max(1, round(height * scale)), max(1, round(width * scale))]
    return F.interpolate(torch.from_numpy(filters), small, mode="bilinear", antialias=True).numpy()


def standard_deviation(images: Pixels) -> Floats:
    """The standard deviation of each pixel, in [0, 1]: (channels, height, width)."""
    flat = images.reshape(len(images), -1)
    spread = np.empty(flat.shape[1], np.float32)
    at_once = max(1, AT_ONCE // len(images))
    for first in range(0, len(spread), at_once):
        some = slice(first, first + at_once)
        part = flat[:, some].astype(np.int64)
        mean = part.sum(0) / len(images)
        variance = (part**2).sum(0) / len(images) - mean**2
        spread[some] = np.sqrt(np.maximum(variance, 0)) / 255
    return spread.reshape(images.shape[1:])
