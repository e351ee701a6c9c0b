"""The images of inputs as a training set, decoded once."""

import dataclasses
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import numpy as np

from aectl.config.data_options import SIDE
from aectl.config.decoding import OnRemark
from aectl.config.shapes import Shape, Sides
from aectl.data import splits_found
from aectl.data.endings import is_archive
from aectl.data.found import Found
from aectl.data.images import datasets
from aectl.data.images.headers import Headers, median_of, shape_of
from aectl.data.images.image_batches import InputBatch
from aectl.data.images.image_set import ImageSet
from aectl.data.images.pixels import Pixels
from aectl.data.inputs import Inputs
from aectl.data.layout import Layout, refuse_mixed, refuse_splits
from aectl.data.sources import STDIN, Source
from aectl.data.storage.folders import OnBad, ignore
from aectl.data.training_sources import split_up
from aectl.errors import ConfigError, DataError

log = logging.getLogger(__name__)

BATCH, BATCH_BYTES = 32, 1 << 24
"""Maximum number of images, and bytes of them, that are added at a time: progress is shown after
each."""


Watch = Callable[[Iterable[InputBatch], int], Iterable[InputBatch]]
"""Shows progress while it passes the batches on; the second argument is the number of files."""


def unseen(batches: Iterable[InputBatch], files: int) -> Iterable[InputBatch]:
    """Passes the batches on without showing progress."""
    return batches


Before = Callable[[int, Shape], object]
"""Takes the number and the shape of images that are to be decoded."""


def accept(count: int, shape: Shape) -> None:
    """Lets any images be decoded."""


def load(
    inputs: Inputs,
    layouts: Sequence[Layout | None],
    on_bad: OnBad,
    sides: tuple[int, int] | None = None,
    channels: int | None = None,
    most: int = SIDE,
    *,
    memory: float = math.inf,
    watch: Watch = unseen,
    on_remark: OnRemark = ignore,
    before: Before = accept,
    headers: Headers | None = None,
) -> ImageSet:
    """Loads all images of the inputs, in one shape.

    If all images have labels, or are in sub-folders of the folders and archives, these are the
    classes. `layouts` are those of the sources: of a folder with splits, the training set is used
    for training, and the validation set is held out. `sides`, (height, width), default to the
    medians over the files, or to `most` if a median is larger; those of datasets to their own;
    `channels` to 3 if any image has colour, else to 1. Images that need more than `memory` bytes
    are kept in a temporary file. Archives and lists are read twice, so that `stdin` of the inputs
    must be seekable; folders too, unless `walk` of the inputs keeps their files, and headers that
    `headers` has not read. Their number and their shape, with the channels that the headers allow,
    are passed to `before`, which may refuse them, before any is decoded.

    Raises ConfigError if the inputs differ in their default sizes, DataError if no image can be
    read, or there is no space for them.
    """
    sources, named = split_up(inputs.sources, layouts, validation=True), " ".join(inputs.words)
    whole = dataclasses.replace(inputs, sources=sources)
    listed = _listed(inputs, layouts, headers or Headers())
    shape = channels or 3, *(sides or listed.sides(most))
    before(listed.count, (channels or listed.channels, *shape[1:]))
    images = _Store(listed.count, shape, memory, maybe_grey=channels is None)
    paths: list[str] = []
    labels: list[str | None] = []
    with _from_start(whole).batches(shape, _batch(shape), on_bad, on_remark=on_remark) as batches:
        for batch in watch(batches, listed.count):
            if len(paths) + len(batch.paths) > listed.count:
                raise DataError(f"{named} has grown while it was read")
            images.add(batch.images)
            paths += batch.paths
            labels += batch.labels
    if not paths:
        nothing = f"none of the {listed.count} images in {named} can be read"
        raise DataError("\n".join([nothing, *inputs.skipped.notices()]))
    classes = tuple(sorted({name for name in labels if name is not None}))
    labelled = None not in labels and len(classes) > 1
    rows = splits_found.rows_held_out(layouts, paths)
    splits_found.tell(inputs, layouts, labels, paths, rows, "image")
    index = {name: number for number, name in enumerate(classes)}
    numbers = np.array([index[name] for name in labels if name], np.int64) if labelled else None
    classes = classes if labelled else ()
    return ImageSet(named, images.filled, numbers, classes, tuple(paths), rows)


def _batch(shape: Shape) -> int:
    """The number of images that are added at a time."""
    return max(1, min(BATCH, BATCH_BYTES // math.prod(shape)))


def _listed(inputs: Inputs, layouts: Sequence[Layout | None], headers: Headers) -> "_Listed":
    """All images of the inputs, counted. Raises DataError for an input that has none."""
    listed, whole = _Listed(headers), _from_start(inputs)
    for source, layout in zip(inputs.sources, layouts, strict=True):
        before = listed.count
        for one in split_up([source], [layout], validation=True):
            listed.add(whole, one)
        if listed.count == before:
            looked = f"no images in {source.word} (looked for {inputs.selection})"
            nothing = "stdin lists no files" if source.word == STDIN else looked
            raise DataError("\n".join([nothing, *listed.unread, *inputs.skipped.notices()]))
    return listed


def _from_start(inputs: Inputs) -> Inputs:
    """The inputs, to be read from the start of stdin."""
    if inputs.stdin is not None:
        inputs.stdin.seek(0)
    return inputs


class _Listed:
    """The images of inputs, counted before they are decoded, and their shapes.

    `_files` holds files, and the shapes of the members of archives; `unread` says why the first of
    those that are known to be unreadable is.
    """

    def __init__(self, headers: Headers) -> None:
        self.count, self._headers, self.unread = 0, headers, list[str]()
        self._files: list[Found | Shape | None] = []
        self._datasets: dict[str, Shape] = {}

    def add(self, inputs: Inputs, source: Source) -> None:
        """Counts the images of a source. Raises DataError for an archive with splits, also in a
        folder."""
        if source.in_memory:
            found = datasets.load(source.word, inputs.data_dir, split=inputs.split)
            self._datasets[source.called(inputs.split)] = found.shape
            self.count += len(found)
            return
        folders, containers = dict[str, set[str]](), dict[str, None]()
        for one in inputs.found(source):
            if one is not None and one.reason and not self.unread:
                self.unread.append(f"{one.path}: {one.reason}")
            elif one is not None and one.reason is None:
                self.count += 1
                content = one.content
                self._files.append(one if content is None else shape_of(content, one.searched))
                if content is not None:
                    containers[one.file] = None
                if is_archive(one.file):
                    folders.setdefault(one.file, set()).add(os.path.dirname(one.path))
        for archive, below in folders.items():
            refuse_splits(archive, below)
        if source.is_folder:
            refuse_mixed(source.word, containers)

    def sides(self, most: int) -> Sides:
        """The default height and width, for files at most `most`. Raises ConfigError if the
        datasets and the files differ.
        """
        sides = {name: (high, wide) for name, (_, high, wide) in self._datasets.items()}
        if self._files:
            sides["the files"] = _usual_sides(self._of_files, most)
        if len(set(sides.values())) > 1:
            sizes = ", ".join(f"{name} {high}x{wide}" for name, (high, wide) in sides.items())
            raise ConfigError(f"the images have several sizes ({sizes}): choose one by --size")
        return next(iter(sides.values()))

    @property
    def channels(self) -> int:
        """1 if, by their headers, none of the images has colour, else 3."""
        return max((shape[0] for shape in (*self._datasets.values(), *self._of_files)), default=1)

    @cached_property
    def _of_files(self) -> list[Shape]:
        return self._headers.shapes(self._files)


class _Store:
    """An array for `count` images that is filled step by step; with `maybe_grey`, it has only one
    channel until an image has colour.
    """

    def __init__(self, count: int, shape: Shape, memory: float, maybe_grey: bool) -> None:
        self._count, self._memory, self._added = count, memory, 0
        self._largest = count * math.prod(shape)
        self._told = False
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
        if not self._told:
            self._told = True
            log.info(
                "%s images take up to %s, more than --memory: they are kept in a temporary file"
                " in %s", f"{self._count:,}", _mebibytes(self._largest), folder,
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


def _usual_sides(shapes: Sequence[Shape], most: int) -> Sides:
    """The medians of the heights and widths of images; or `most`, if one is larger."""
    if not shapes:
        return most, most
    median = median_of(shapes)
    chosen = median if max(median) <= most else (most, most)
    if len({shape[1:] for shape in shapes}) > 1 or chosen != median:
        log.info(
            "images are resized to %sx%s: the median of %s is %sx%s; --size chooses another size",
            *chosen, f"{len(shapes):,} images", *median,
        )  # fmt: skip
    return chosen
