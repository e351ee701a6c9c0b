"""Parts of a training set that the seed draws: what is held out, and a few labelled images."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aectl.data.images.datasets import ImageSet
from aectl.errors import ConfigError

log = logging.getLogger(__name__)

Rows = NDArray[np.int64]
"""Numbers of images, in the order of their set."""

MOST_NAMED = 10
"""Classes that a notice names."""


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


def held_out(images: ImageSet, part: float, seed: int) -> tuple[Rows, Rows]:
    """The rows to learn from, and those held out: the set's own validation set where it has one,
    else a random `part`, of each class alike.

    Raises ConfigError where nothing would be left to learn from.
    """
    if images.held_out is not None:
        return np.setdiff1d(np.arange(len(images)), images.held_out), images.held_out
    if images.labels is None or not part:
        return split(len(images), part, seed)
    return stratified(images.labels, images.classes, part, seed)


def stratified(labels: Rows, classes: Sequence[str], part: float, seed: int) -> tuple[Rows, Rows]:
    """The rows without a random `part`, and that part: of each class the same, rounded, such that
    one at least is left to learn from. `labels`: (n,), indices into `classes`.

    A class of which nothing can be held out is named. Raises ConfigError as `split` does.
    """
    count = len(labels)
    wanted = round(part * count)
    sizes = np.bincount(labels, minlength=len(classes))
    room = np.maximum(sizes - 1, 0)
    if not 0 < wanted <= room.sum():
        raise ConfigError(
            f"--validation {part:g} of {count} images of {len(classes)} classes leaves no"
            " validation images, or a class without training images"
        )
    shares = _shares(part * sizes, room, wanted)
    order = np.random.default_rng(seed).permutation(count)
    held = np.concatenate([order[labels[order] == k][:n] for k, n in enumerate(shares)])
    few = [classes[k] for k in np.flatnonzero((sizes > 0) & (shares == 0)).tolist()]
    if few:
        log.info(
            "classes with too few images for --validation; none of theirs are held out: %s",
            ", ".join(few[:MOST_NAMED]) + (", ..." if len(few) > MOST_NAMED else ""),
        )
    return np.setdiff1d(order, held), np.sort(held)


def _shares(exact: NDArray[np.floating], room: Rows, wanted: int) -> Rows:
    """Whole numbers near the `exact` ones, each at most its `room`, that sum up to `wanted`.

    The largest remainders are rounded up (Hamilton's method), as long as there is room.
    """
    shares: Rows = np.minimum(np.floor(exact).astype(np.int64), room)
    while (missing := wanted - shares.sum()) > 0:
        open_ones = np.flatnonzero(shares < room)
        behind = open_ones[np.argsort((shares - exact)[open_ones], kind="stable")]
        shares[behind[:missing]] += 1
    return shares


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
