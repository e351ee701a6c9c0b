"""Parts of a training set that the seed draws: what is held out, and a few labelled images."""

import numpy as np

from aectl.data.datasets import ImageSet
from aectl.errors import ConfigError


def split(images: ImageSet, part: float, seed: int) -> tuple[ImageSet, ImageSet | None]:
    """The images without a random `part` of them, and that part; the seed decides which.

    Raises ConfigError where one of the two would be empty.
    """
    if not part:
        return images, None
    held_out = round(part * len(images))
    if not 0 < held_out < len(images):
        raise ConfigError(
            f"--validation {part:g} of {len(images)} images leaves nothing to train or measure on"
        )
    order = np.random.default_rng(seed).permutation(len(images))
    return images.take(np.sort(order[held_out:])), images.take(np.sort(order[:held_out]))


def few_labels(images: ImageSet, count: int, seed: int) -> ImageSet:
    """So many of the images, as many of each class as of any other; the seed decides which.

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
        of_class = np.flatnonzero(images.labels == number)
        if len(of_class) < wanted:
            raise ConfigError(
                f"--labels {count} asks for {wanted} images of class {images.classes[number]}, and"
                f" there are {len(of_class)}"
            )
        found.append(chance.permutation(of_class)[:wanted])
    return images.take(np.sort(np.concatenate(found)))
