"""A whole folder of images in memory, to train on."""

import contextlib
from pathlib import Path

import numpy as np

from aectl.data.datasets import ImageSet
from aectl.data.folders import OnBad, find_images
from aectl.data.images import SUFFIXES, has_colour, native_shape
from aectl.data.inputs import Inputs
from aectl.errors import DataError, ImageError

LARGEST_DEFAULT_SIDE = 32
BATCH = 256


def load_folder(
    folder: str,
    on_bad: OnBad,
    sides: tuple[int, int] | None = None,
    channels: int | None = None,
    workers: int = 1,
) -> ImageSet:
    """Every image below a folder, in memory, in one shape.

    Where each image lies in a sub-folder, the sub-folders are the classes. Without `sides`,
    (height, width), they are those of the first image, or 32 pixels where that has more; without
    `channels` there are 3 where any image has colour, else 1.

    Raises DataError where there is no image that can be read.
    """
    files = [found.file for found in find_images(folder) if found.reason is None]
    if not files:
        raise DataError(f"no images in {folder} (looked for {', '.join(SUFFIXES)})")
    shape = channels or _default_channels(files), *(sides or _default_sides(files))
    images = np.empty((len(files), *shape), np.uint8)
    paths: list[str] = []
    labels: list[str | None] = []
    inputs = Inputs([folder], Path(), labels_from_folders=True, workers=workers)
    with inputs.batches(shape, BATCH, on_bad) as batches:
        for batch in batches:
            if len(paths) + len(batch.paths) > len(files):
                raise DataError(f"{folder} has grown while it was read")
            images[len(paths) : len(paths) + len(batch.paths)] = batch.images
            paths += batch.paths
            labels += batch.labels
    if not paths:
        raise DataError(f"none of the {len(files)} images in {folder} can be read")
    classes = tuple(sorted({name for name in labels if name is not None}))
    labelled = None not in labels and len(classes) > 1
    index = {name: number for number, name in enumerate(classes)}
    return ImageSet(
        folder,
        images[: len(paths)],
        np.array([index[name] for name in labels if name], np.int64) if labelled else None,
        classes if labelled else (),
        tuple(paths),
    )


def _default_sides(files: list[str]) -> tuple[int, int]:
    for path in files:
        with contextlib.suppress(ImageError):
            _, height, width = native_shape(path)
            if max(height, width) <= LARGEST_DEFAULT_SIDE:
                return height, width
            break
    return LARGEST_DEFAULT_SIDE, LARGEST_DEFAULT_SIDE


def _default_channels(files: list[str]) -> int:
    return 3 if any(map(has_colour, files)) else 1
