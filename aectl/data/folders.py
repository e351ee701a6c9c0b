"""Folders of images: finding the files, and reading a whole folder to train on."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from aectl.data.datasets import ImageSet
from aectl.data.images import SUFFIXES, decode, has_colour, native_shape
from aectl.errors import DataError, ImageError
from aectl.types import Shape

OnBad = Callable[[str, str], None]
"""Told the path of each input that could not be read, and why."""

LARGEST_DEFAULT_SIDE = 32


def find_images(folder: str, on_bad: OnBad, above: frozenset[str] = frozenset()) -> Iterator[str]:
    """The image files below a folder, known by their endings, each folder in sorted order.

    Links are followed, but for one that leads back to a folder `above`.
    """
    here = os.path.realpath(folder)
    if here in above:
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        on_bad(folder, error.strerror or str(error))
        return
    for entry in entries:
        suffix = os.path.splitext(entry.name)[1].lower()
        if entry.is_dir():
            yield from find_images(entry.path, on_bad, above | {here})
        elif suffix in SUFFIXES:
            yield entry.path


def class_of(path: str, folder: str) -> str | None:
    """The sub-folder of `folder` in which a file lies; None for a file right in it."""
    parts = Path(path).relative_to(folder).parts
    return parts[0] if len(parts) > 1 else None


def load_folder(folder: str, shape: Shape | None, on_bad: OnBad) -> ImageSet:
    """Every image below a folder, in memory, in one shape.

    Where each image lies in a sub-folder, the sub-folders are the classes. `shape` None: the
    sides of the first image, at most 32 pixels, and colour where any image has it.

    Raises DataError where there is no image that can be read.
    """
    paths = list(find_images(folder, on_bad))
    if not paths:
        raise DataError(f"no images in {folder} (looked for {', '.join(sorted(SUFFIXES))})")
    images, kept = [], []
    for path in paths:
        try:
            refuse_unnameable(path)
            wanted = shape or _default_shape(path, paths)
            images.append(decode(path, wanted))
            kept.append(path)
            shape = wanted
        except ImageError as error:
            on_bad(path, str(error))
    if not kept:
        raise DataError(f"none of the {len(paths)} images in {folder} can be read")
    names = [class_of(path, folder) for path in kept]
    classes = tuple(sorted({name for name in names if name is not None}))
    labelled = None not in names and len(classes) > 1
    index = {name: number for number, name in enumerate(classes)}
    return ImageSet(
        folder,
        np.stack(images),
        np.array([index[name] for name in names if name], np.int64) if labelled else None,
        classes if labelled else (),
        tuple(kept),
    )


def refuse_unnameable(path: str) -> None:
    """Raises ImageError for a path that a table, which is UTF-8, cannot name."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ImageError("its name is not UTF-8") from None


def _default_shape(path: str, paths: list[str]) -> Shape:
    _, height, width = native_shape(path)
    if max(height, width) > LARGEST_DEFAULT_SIDE:
        height = width = LARGEST_DEFAULT_SIDE
    return 3 if any(map(has_colour, paths)) else 1, height, width
