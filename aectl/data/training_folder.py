"""A whole folder of images, decoded once, to train on."""

import contextlib
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from aectl.data.datasets import ImageSet
from aectl.data.folders import OnBad, find_files, ignore
from aectl.data.images import SUFFIXES, Pixels, native_shape
from aectl.data.inputs import InputBatch, Inputs
from aectl.data.selection import EVERY_IMAGE, Selection, Skipped
from aectl.decoding import USUAL_DECODING, Decoding, OnRemark
from aectl.errors import DataError, ImageError
from aectl.types import Shape

log = logging.getLogger(__name__)

LARGEST_DEFAULT_SIDE = 32
BATCH = 256


Watch = Callable[[Iterable[InputBatch]], Iterable[InputBatch]]
"""Sees the batches go by, and gives them on."""


def unseen(batches: Iterable[InputBatch]) -> Iterable[InputBatch]:
    """For images at whose reading nobody looks."""
    return batches


def load_folder(
    folder: str,
    on_bad: OnBad,
    sides: tuple[int, int] | None = None,
    channels: int | None = None,
    *,
    workers: int = 1,
    memory: float = math.inf,
    watch: Watch = unseen,
    decoding: Decoding = USUAL_DECODING,
    on_remark: OnRemark = ignore,
    selection: Selection = EVERY_IMAGE,
    skipped: Skipped | None = None,
) -> ImageSet:
    """Every image below a folder that is wanted, in one shape.

    Where each image lies in a sub-folder, the sub-folders are the classes. Without `sides`,
    (height, width), they are those of the first image, or 32 pixels where that has more; without
    `channels` there are 3 where any image shows colour, else 1. Images that take more than `memory`
    bytes lie in a temporary file. What is left aside is told to `skipped`.

    Raises DataError where there is no image that can be read, or no room for them.
    """
    skipped = skipped or Skipped()
    files = [x.file for x in find_files(folder, selection, skipped) if x.reason is None]
    if not files:
        nothing = f"no images in {folder} (looked for {', '.join(SUFFIXES)})"
        raise DataError("\n".join([nothing, *skipped.told()]))
    shape = channels or 3, *(sides or _default_sides(files, decoding))
    images = _Store(len(files), shape, memory, maybe_grey=channels is None)
    paths: list[str] = []
    labels: list[str | None] = []
    inputs = Inputs(
        [folder], Path(), labels_from_folders=True, selection=selection, workers=workers,
        decoding=decoding, skipped=skipped, loose_labels=False,
    )  # fmt: skip
    with inputs.batches(shape, BATCH, on_bad, on_remark=on_remark) as batches:
        for batch in watch(batches):
            if len(paths) + len(batch.paths) > len(files):
                raise DataError(f"{folder} has grown while it was read")
            images.add(batch.images)
            paths += batch.paths
            labels += batch.labels
    if not paths:
        raise DataError(f"none of the {len(files)} images in {folder} can be read")
    classes = tuple(sorted({name for name in labels if name is not None}))
    labelled = None not in labels and len(classes) > 1
    index = {name: number for number, name in enumerate(classes)}
    return ImageSet(
        folder,
        images.filled,
        np.array([index[name] for name in labels if name], np.int64) if labelled else None,
        classes if labelled else (),
        tuple(paths),
    )


class _Store:
    """Room for `count` images of a shape, which fills; of one channel until one shows colour."""

    def __init__(self, count: int, shape: Shape, memory: float, maybe_grey: bool) -> None:
        self._count, self._memory, self._added = count, memory, 0
        self._images = self._room((1, *shape[1:]) if maybe_grey else shape)

    def add(self, images: Pixels) -> None:
        """Takes some more images, (n, channels, height, width)."""
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
        """What there is."""
        return self._images[: self._added]

    def _room(self, shape: Shape) -> Pixels:
        size = self._count * math.prod(shape)
        if size <= self._memory:
            return np.empty((self._count, *shape), np.uint8)
        folder = tempfile.gettempdir()
        log.info(
            "%s images take %s, more than --memory: they lie in a temporary file in %s",
            f"{self._count:,}", _mebibytes(size), folder,
        )  # fmt: skip
        try:
            with tempfile.TemporaryFile() as file:
                if hasattr(os, "posix_fallocate"):  # else a disk that fills up ends the process
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
                return np.memmap(file, np.uint8, "r+", shape=(self._count, *shape))
        except OSError as error:
            raise DataError(
                f"{folder} has no room for {_mebibytes(size)} of images"
                f" ({error.strerror}); TMPDIR names another folder, --size makes them smaller"
            ) from error


def _mebibytes(size: int) -> str:
    return f"{math.ceil(size / 2**20):,} MiB"


def _default_sides(files: list[str], decoding: Decoding) -> tuple[int, int]:
    for path in files:
        with contextlib.suppress(ImageError):
            _, height, width = native_shape(path, decoding)
            if max(height, width) <= LARGEST_DEFAULT_SIDE:
                return height, width
            break
    return LARGEST_DEFAULT_SIDE, LARGEST_DEFAULT_SIDE
