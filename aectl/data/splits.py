"""Parts of a training set that the seed draws: what is held out, and a few labelled images."""

import numpy as np
from numpy.typing import NDArray

from aectl.data.datasets import ImageSet
from aectl.errors import ConfigError

Rows = NDArray[np.int64]
"""Numbers of images, in the order of their set."""


def split(count: int, part: float, seed: int, noun: str = "images") -> tuple[Rows, Rows]:
    """The rows of `count` images, or what `noun` says, without a random `part`, and that part.

    Raises ConfigError where one of the two would be empty, other than a part of 0.
    """
    held_out = round(part * count)
    if part and not 0 < held_out < count:
        raise ConfigError(
            f"--validation {part:g} of {count} {noun} leaves nothing to train or measure on"
        )
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def few_labels(images: ImageSet, rows: Rows, count: int, seed: int) -> Rows:
    """So many of the rows, as many of each class as of any other; the seed decides which.

    Where the count is no multiple of the classes, chance decides which have one more. Raises
    ConfigError where a class has too few.
    """
    assert images.labels is not None
    chance = np.random.default_rng(seed)
    classes = len(images.classes)
    share = np.full(classes, count // classes)
    share[chance.permutation(classes)[: count % classes]] += 1
    found = []
    for number, wanted in enumerate(share):
        of_class = rows[images.labels[rows] == number]
        if len(of_class) < wanted:
            raise ConfigError(
                f"--labels {count} asks for {wanted} images of class {images.classes[number]}, and"
                f" there are {len(of_class)}"
            )
        found.append(chance.permutation(of_class)[:wanted])
    return np.sort(np.concatenate(found))
