"""A folder of images as a training set, decoded once."""

import contextlib
import logging
import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aectl.config.decoding import USUAL_DECODING, Decoding, OnRemark
from aectl.config.shapes import Shape
from aectl.data.images.datasets import ImageSet
from aectl.data.images.decode import Pixels, is_own, upright_size
from aectl.data.inputs import InputBatch, Inputs
from aectl.data.layout import Layout
from aectl.data.selection import EVERY_IMAGE, Selection, Skipped
from aectl.data.storage.folders import OnBad, find_files, ignore
from aectl.errors import DataError, ImageError

log = logging.getLogger(__name__)

LARGEST_DEFAULT_SIDE = 32
BATCH = 256

LOOKED_AT = 300
"""Maximum number of images, evenly distributed over a folder, that determine the default size."""

MOST_NAMED = 20
"""Maximum number of classes, or folders, that a line names."""


Watch = Callable[[Iterable[InputBatch], int], Iterable[InputBatch]]
"""Shows progress while it passes the batches on; the second argument is the number of files."""


def unseen(batches: Iterable[InputBatch], files: int) -> Iterable[InputBatch]:
    """Passes the batches on without showing progress."""
    return batches


def load_folder(
    folder: str,
    on_bad: OnBad,
    sides: tuple[int, int] | None = None,
    channels: int | None = None,
    *,
    layout: Layout | None = None,
    workers: int = 1,
    memory: float = math.inf,
    watch: Watch = unseen,
    decoding: Decoding = USUAL_DECODING,
    on_remark: OnRemark = ignore,
    selection: Selection = EVERY_IMAGE,
    skipped: Skipped | None = None,
) -> ImageSet:
    """Loads all wanted images below a folder, in one shape.

    If all images are in sub-folders, these are the classes. With a `layout`, the training set is
    used for training, and the validation set is held out. `sides`, (height, width), default to the
    medians over the images, or to 32 pixels if a median is larger; `channels` to 3 if any image has
    colour, else to 1. Images that need more than `memory` bytes are kept in a temporary file.
    `skipped` records what was skipped.

    Raises DataError if no image can be read, or there is no space for them.
    """
    skipped = skipped or Skipped()
    words = [folder] if layout is None else [x for x in layout[:2] if x]
    files = _files(folder, words, selection, skipped)
    shape = channels or 3, *(sides or _default_sides(files, selection))
    images = _Store(len(files), shape, memory, maybe_grey=channels is None)
    paths: list[str] = []
    labels: list[str | None] = []
    inputs = Inputs(
        words, Path(), labels_from_folders=True, selection=selection, workers=workers,
        decoding=decoding, skipped=skipped, loose_labels=False,
    )  # fmt: skip
    with inputs.batches(shape, BATCH, on_bad, on_remark=on_remark) as batches:
        for batch in watch(batches, len(files)):
            if len(paths) + len(batch.paths) > len(files):
                raise DataError(f"{folder} has grown while it was read")
            images.add(batch.images)
            paths += batch.paths
            labels += batch.labels
    if not paths:
        nothing = f"none of the {len(files)} images in {folder} can be read"
        raise DataError("\n".join([nothing, *skipped.told()]))
    classes = tuple(sorted({name for name in labels if name is not None}))
    labelled = None not in labels and len(classes) > 1
    rows = _rows_below(layout.validation if layout else None, paths)
    log.info("%s", _described(folder, layout, labels if labelled else None, len(paths), rows))
    index = {name: number for number, name in enumerate(classes)}
    return ImageSet(
        folder,
        images.filled,
        np.array([index[name] for name in labels if name], np.int64) if labelled else None,
        classes if labelled else (),
        tuple(paths),
        rows,
    )


def _files(folder: str, words: list[str], selection: Selection, skipped: Skipped) -> list[str]:
    """The images below some folders (`words`). Raises DataError if there are none."""
    found = (one for word in words for one in find_files(word, selection, skipped))
    files = [one.file for one in found if one.reason is None]
    if not files:
        nothing = f"no images in {folder} (looked for {selection})"
        raise DataError("\n".join([nothing, *skipped.told()]))
    return files


def _rows_below(folder: str | None, paths: list[str]) -> NDArray[np.int64] | None:
    """The rows of the images below a folder; None if there are none, or no others."""
    if folder is None:
        return None
    below = np.array([path.startswith(folder + "/") for path in paths])
    return np.flatnonzero(below) if below.any() and not below.all() else None


def _described(
    folder: str,
    layout: Layout | None,
    labels: list[str | None] | None,
    count: int,
    held_out: NDArray[np.int64] | None,
) -> str:
    """The classes of each split of a folder, with their numbers of images, in words."""
    held = set() if held_out is None else set(held_out.tolist())
    learnt = [row for row in range(count) if row not in held]
    if layout is None:
        return f"{folder}: {_counted(learnt, labels)}"
    parts = [f"{layout.training}: {_counted(learnt, labels)}"]
    if held:
        parts.append(f"{layout.validation}, held out: {_counted(sorted(held), labels)}")
    if layout.test:
        parts.append(f"{layout.test} is kept for tests")
    if layout.others:
        parts.append(f"not read: {', '.join(layout.others[:MOST_NAMED])}")
    return "; ".join(parts)


def _counted(rows: list[int], labels: list[str | None] | None) -> str:
    if labels is None:
        return f"{_number(len(rows), 'image')}, no classes"
    counts = Counter(str(labels[row]) for row in rows)
    named = [f"{name} {number:,}" for name, number in sorted(counts.items())[:MOST_NAMED]]
    more = f" and {len(counts) - len(named):,} more" if len(counts) > len(named) else ""
    of = f"{_number(len(rows), 'image')} of {_number(len(counts), 'class')}"
    return f"{of} ({', '.join(named)}{more})"


def _number(count: int, noun: str) -> str:
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


class _Store:
    """An array for `count` images that is filled step by step; with `maybe_grey`, it has only one
    channel until an image has colour.
    """

    def __init__(self, count: int, shape: Shape, memory: float, maybe_grey: bool) -> None:
        self._count, self._memory, self._added = count, memory, 0
        self._images = self._room((1, *shape[1:]) if maybe_grey else shape)

    def add(self, images: Pixels) -> None:
        """Adds images: (n, channels, height, width)."""
        kept = self._images.shape[1]
        if kept < images.shape[1]:
            if (images[:, :1] == images).all():
                images = images[:, :1]
            else:
                grey = self.filled
                self._images = self._room((images.shape[1], *images.shape[2:]))
                self.filled[:] = grey
        self._images[self._added : self._added + len(images)] = images
        self._added += len(images)

    @property
    def filled(self) -> Pixels:
        """The images added so far."""
        return self._images[: self._added]

    def _room(self, shape: Shape) -> Pixels:
        size = self._count * math.prod(shape)
        if size <= self._memory:
            return np.empty((self._count, *shape), np.uint8)
        folder = tempfile.gettempdir()
        log.info(
            "%s images take %s, more than --memory: they are kept in a temporary file in %s",
            f"{self._count:,}", _mebibytes(size), folder,
        )  # fmt: skip
        try:
            with tempfile.TemporaryFile() as file:
                if hasattr(os, "posix_fallocate"):  # otherwise a full disk would end the process
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
                return np.memmap(file, np.uint8, "r+", shape=(self._count, *shape))
        except OSError as error:
            raise DataError(
                f"{folder} has no space for {_mebibytes(size)} of images"
                f" ({error.strerror}); TMPDIR names another folder, --size makes them smaller"
            ) from error


def _mebibytes(size: int) -> str:
    return f"{math.ceil(size / 2**20):,} MiB"


def _default_sides(files: list[str], selection: Selection) -> tuple[int, int]:
    """The medians of the heights and widths of some of the files, or 32 pixels if one is larger.

    Of an even number of files, the upper median is used. Only headers are read.
    """
    sizes = []
    for number in range(min(len(files), LOOKED_AT)):
        file = files[number * len(files) // min(len(files), LOOKED_AT)]
        with contextlib.suppress(ImageError):
            if selection.include or not is_own(file):
                sizes.append(upright_size(file))
    if not sizes:
        return LARGEST_DEFAULT_SIDE, LARGEST_DEFAULT_SIDE
    height, width = (sorted(sides)[len(sides) // 2] for sides in zip(*sizes, strict=True))
    if len(set(sizes)) == 1 and max(height, width) <= LARGEST_DEFAULT_SIDE:
        return height, width
    fits = max(height, width) <= LARGEST_DEFAULT_SIDE
    chosen = (height, width) if fits else (LARGEST_DEFAULT_SIDE, LARGEST_DEFAULT_SIDE)
    log.info(
        "images are resized to %sx%s: the median of %s is %sx%s; --size chooses another size",
        *chosen, f"{len(sizes):,} images", height, width,
    )  # fmt: skip
    return chosen
