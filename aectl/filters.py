"""The filters of a network: the images that its units look for."""

import math

import numpy as np
import torch

from aectl.data.images import Pixels
from aectl.inference import Floats, to_tensor
from aectl.models import ImageNetwork

FILTER_VALUES = 1 << 23
"""Pixels of all images, a copy a unit, through which the gradient of filters is computed."""

LEAST_FILTERED, MOST_FILTERED = 4, 32

AT_ONCE = 1 << 22
"""Pixels whose mean and standard deviation are summed up at a time."""

CPU = torch.device("cpu")


def filters_of(network: ImageNetwork, images: Pixels, most: int) -> Floats:
    """What each unit looks for, of `most` units: (units, channels, height, width).

    The gradient of what the unit answers, before its activation, times the standard deviation of
    each pixel of the `images`, (n, channels, height, width). For a single layer these are its
    weights in units of how much each pixel varies: the direction that excites the unit most (CS294A
    notes, section 4), without the pixels that never change and on which the weights are still what
    chance made them. Of deeper units it is the mean over some of the images: at any one of them,
    most units of a sparse code below are off, and pass no gradient on.
    """
    network.cpu().eval()
    with torch.no_grad():
        units = min(most, network.filter_responses(to_tensor(images[:1], CPU)).shape[1])
    fitting = FILTER_VALUES // (units * math.prod(network.shape))
    few = min(len(images), max(LEAST_FILTERED, min(MOST_FILTERED, fitting)))
    gradients: list[Floats] = []
    for place in np.linspace(0, len(images) - 1, few).round().astype(int):
        gradients.append(_gradients(network, images[place : place + 1], units))
        if len(gradients) == 2 and np.array_equal(gradients[0], gradients[1]):  # a single layer
            break
    made: Floats = np.mean(gradients, axis=0) * mean_and_spread(images)[1]
    return made


def _gradients(network: ImageNetwork, image: Pixels, units: int) -> Floats:
    """The gradient of each unit's answer to an image: (units, channels, height, width)."""
    copies = to_tensor(image, CPU).expand(units, *network.shape).clone().requires_grad_()
    answers = network.filter_responses(copies)[:, :units]
    (gradient,) = torch.autograd.grad(answers.diagonal().sum(), copies)
    return gradient.numpy()


def mean_and_spread(images: Pixels) -> tuple[Floats, Floats]:
    """The mean and the standard deviation of each pixel, in [0, 1]: (channels, height, width)."""
    sums, squares = (np.zeros(images.shape[1:], np.int64) for _ in range(2))
    at_once = max(1, AT_ONCE // images[0].size)
    for first in range(0, len(images), at_once):
        part = images[first : first + at_once].astype(np.int64)
        sums += part.sum(0)
        squares += (part**2).sum(0)
    mean = sums / len(images)
    spread = np.sqrt(np.maximum(squares / len(images) - mean**2, 0))
    return (mean / 255).astype(np.float32), (spread / 255).astype(np.float32)
