"""INPUT, the same for every verb: datasets, files, folders and stdin as one stream of batches."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from aectl.data import datasets, folders
from aectl.data.folders import OnBad
from aectl.data.images import Pixels, decode
from aectl.errors import ImageError, UnknownInputError
from aectl.types import Shape

STDIN = "-"


class InputBatch(NamedTuple):
    """paths and labels: n each (a label None where it is not known).

    images: (n, channels, height, width), 0 to 255.
    """

    paths: list[str]
    images: Pixels
    labels: list[str | None]


@dataclass(frozen=True)
class Inputs:
    """What the user named, and what is needed to find it.

    `labels_from_folders` takes an image's label from the sub-folder in which it lies.
    """

    words: Sequence[str]
    data_dir: Path
    stdin: BinaryIO | None = None
    null_separated: bool = False
    labels_from_folders: bool = False

    def __post_init__(self) -> None:
        for word in self.words:
            _refuse_unknown(word)

    @property
    def labelled(self) -> bool:
        """Whether any input has labels, by what it is."""
        return any(
            datasets.is_dataset(word) or (self.labels_from_folders and os.path.isdir(word))
            for word in self.words
        )

    def batches(self, shape: Shape, size: int, on_bad: OnBad) -> Iterator[InputBatch]:
        """The images in `shape`, `size` at a time, in the order of the inputs.

        What cannot be read is told to `on_bad` and left out. Raises DataError for a dataset that
        cannot be had.
        """
        paths: list[str] = []
        images: list[Pixels] = []
        labels: list[str | None] = []
        for path, pixels, label in self._images(shape, on_bad):
            paths.append(path)
            images.append(pixels)
            labels.append(label)
            if len(paths) == size:
                yield InputBatch(paths, np.stack(images), labels)
                paths, images, labels = [], [], []
        if paths:
            yield InputBatch(paths, np.stack(images), labels)

    def _images(self, shape: Shape, on_bad: OnBad) -> Iterator[tuple[str, Pixels, str | None]]:
        for word in self.words:
            if datasets.is_dataset(word):
                yield from self._of_dataset(word, shape)
                continue
            for path in self._files(word, on_bad):
                try:
                    folders.refuse_unnameable(path)
                    pixels = decode(path, shape)
                except ImageError as error:
                    on_bad(path, str(error))
                    continue
                from_folder = self.labels_from_folders and os.path.isdir(word)
                yield path, pixels, folders.class_of(path, word) if from_folder else None

    def _of_dataset(self, word: str, shape: Shape) -> Iterator[tuple[str, Pixels, str | None]]:
        found = datasets.load(word, self.data_dir).fitted(shape)
        for index, pixels in enumerate(found.images):
            label = None if found.labels is None else found.classes[found.labels[index]]
            yield found.path(index), pixels, label

    def _files(self, word: str, on_bad: OnBad) -> Iterator[str]:
        if word == STDIN:
            assert self.stdin is not None
            yield from _lines(self.stdin, b"\0" if self.null_separated else b"\n")
        elif os.path.isdir(word):
            yield from folders.find_images(word, on_bad)
        else:
            yield word


def _refuse_unknown(word: str) -> None:
    """Raises UnknownInputError for a word that is neither a dataset, a path, nor `-`."""
    if word == STDIN or datasets.is_dataset(word) or os.path.lexists(word):
        return
    raise UnknownInputError(f"no dataset, file or folder '{word}'{datasets.near_miss(word)}")


def _lines(stream: BinaryIO, separator: bytes) -> Iterator[str]:
    """The paths in a stream as they come, without the empty ones."""
    rest = b""
    while chunk := stream.read1(65536):  # type: ignore[attr-defined]
        *whole, rest = (rest + chunk).split(separator)
        yield from (os.fsdecode(path) for path in whole if path)
    if rest:
        yield os.fsdecode(rest)
