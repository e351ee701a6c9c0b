"""Random subsets of a training set: the held-out validation set, and a few labelled images."""

import logging
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aectl.config.spelling import first_of
from aectl.errors import ConfigError

log = logging.getLogger(__name__)

RowNumbers = NDArray[np.int64]
"""Row numbers of images, in ascending order."""

MOST_NAMED = 10
"""Maximum number of classes that a notice names."""


class Labelled(Protocol):
    """A training set of images or vectors, with labels, (n,), indices into `classes`, or None;
    `held_out` are the rows of its own validation set, or None."""

    @property
    def labels(self) -> RowNumbers | None: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def held_out(self) -> RowNumbers | None: ...
    def __len__(self) -> int: ...


def split(
    count: int, fraction: float, seed: int, noun: str = "images"
) -> tuple[RowNumbers, RowNumbers]:
    """Splits `count` images, or other things (`noun`), at random into training rows and a held-out
    fraction.

    Raises ConfigError if one of the two would be empty, unless the fraction is 0.
    """
    held_out = round(fraction * count)
    refuse_empty(count, held_out, fraction, noun)
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def refuse_empty(count: int, held_out: int, fraction: float, noun: str) -> None:
    """Raises ConfigError if all or none are held out, unless the fraction is 0."""
    if fraction and not 0 < held_out < count:
        raise ConfigError(
            f"--validation {fraction:g} of {count} {noun} leaves nothing to train or measure on"
        )


def held_out(
    images: Labelled, fraction: float, seed: int, noun: str = "images"
) -> tuple[RowNumbers, RowNumbers]:
    """The training rows and the held-out rows: the set's own validation set if it has one, else a
    random fraction, the same in each class.

    Raises ConfigError if no training rows would be left.
    """
    if images.held_out is not None:
        return np.setdiff1d(np.arange(len(images)), images.held_out), images.held_out
    if images.labels is None or not fraction:
        return split(len(images), fraction, seed, noun)
    return stratified(images.labels, images.classes, fraction, seed, noun)


def stratified(
    labels: RowNumbers, classes: Sequence[str], fraction: float, seed: int, noun: str = "images"
) -> tuple[RowNumbers, RowNumbers]:
    """Splits the rows at random into training rows and a held-out fraction, the same (rounded) in
    each class, with at least one training row each. `labels`: (n,), indices into `classes`; `noun`:
    the name of what the rows are.

    A notice names classes with too few rows. Raises ConfigError as `split` does.
    """
    count = len(labels)
    wanted = round(fraction * count)
    sizes = np.bincount(labels, minlength=len(classes))
    room = np.maximum(sizes - 1, 0)
    if not 0 < wanted <= room.sum():
        raise ConfigError(
            f"--validation {fraction:g} of {count} {noun} of {len(classes)} classes leaves no"
            f" validation {noun}, or a class without training {noun}"
        )
    shares = _shares(fraction * sizes, room, wanted)
    order = np.random.default_rng(seed).permutation(count)
    held = np.concatenate([order[labels[order] == k][:n] for k, n in enumerate(shares)])
    few = [classes[k] for k in np.flatnonzero((sizes > 0) & (shares == 0)).tolist()]
    if few:
        log.info(
            "classes with too few %s for --validation; no %s of these are held out: %s",
            noun, noun, first_of(few, MOST_NAMED),
        )  # fmt: skip
    return np.setdiff1d(order, held), np.sort(held)


def _shares(exact: NDArray[np.floating], room: RowNumbers, wanted: int) -> RowNumbers:
    """Whole numbers near the `exact` ones, each at most its `room`, with the sum `wanted`.

    The largest remainders are rounded up (Hamilton's method), up to `room`.
    """
    shares: RowNumbers = np.minimum(np.floor(exact).astype(np.int64), room)
    while (missing := wanted - shares.sum()) > 0:
        open_ones = np.flatnonzero(shares < room)
        behind = open_ones[np.argsort((shares - exact)[open_ones], kind="stable")]
        shares[behind[:missing]] += 1
    return shares


def few_labels(images: Labelled, rows: RowNumbers, count: int, seed: int) -> RowNumbers:
    """Draws `count` of the rows at random, equally many of each class.

    If `count` is not a multiple of the number of classes, randomly drawn classes get one more.
    Raises ConfigError if a class has too few images.
    """
    assert images.labels is not None
    generator = np.random.default_rng(seed)
    classes = len(images.classes)
    share = np.full(classes, count // classes)
    share[generator.permutation(classes)[: count % classes]] += 1
    found = []
    for number, wanted in enumerate(share):
        of_class = rows[images.labels[rows] == number]
        if len(of_class) < wanted:
            raise ConfigError(
                f"--labels {count} asks for {wanted} images of class {images.classes[number]}, and"
                f" there are {len(of_class)}"
            )
        found.append(generator.permutation(of_class)[:wanted])
    return np.sort(np.concatenate(found))
