"""The honest rival of a code: each image shrunk to as many numbers, and enlarged again."""

import math

import numpy as np
from PIL import Image

from aectl.config.shapes import Shape
from aectl.data.images.pixels import Pixels, to_pil
from aectl.inference.results import Floats

SMALL_CODE = 0.25
"""The maximum size of a code, as a fraction of the values of an image, for which it has a rival."""


def rival_shape(shape: Shape, numbers: int) -> Shape | None:
    """The shape, of about the same ratio of sides, that an image is shrunk to in order to have at
    most so many numbers; None where these are too many or too few for a comparison.
    """
    channels, height, width = shape
    if not channels <= numbers <= SMALL_CODE * math.prod(shape):
        return None
    places = numbers // channels
    high = max(1, min(places, math.floor(math.sqrt(places * height / width))))
    return channels, high, min(width, places // high)


def shrunk_and_enlarged(images: Pixels, small: Shape) -> Pixels:
    """Images, (n, channels, height, width), shrunk with an area filter, as 8-bit numbers, and
    enlarged to the same shape with Lanczos' filter.
    """
    made = np.empty_like(images)
    height, width = images.shape[2:]
    for place, pixels in enumerate(images):
        less = to_pil(pixels).resize(small[:0:-1], Image.Resampling.BOX)
        again = np.asarray(less.resize((width, height), Image.Resampling.LANCZOS))
        made[place] = again[None] if small[0] == 1 else again.transpose(2, 0, 1)
    return made


def errors(images: Pixels, others: Pixels) -> Floats:
    """The mean squared error of each image, of values in [0, 1]; both (n, ...) -> (n,)."""
    found = [
        np.mean((one.astype(np.float32) - other) ** 2) / 255**2
        for one, other in zip(images, others, strict=True)
    ]
    return np.array(found, np.float32)
