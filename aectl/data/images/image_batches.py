"""Batches of images, decoded in the order of the inputs."""

import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from aectl.config.decoding import OnRemark, Remark
from aectl.config.shapes import Shape
from aectl.data.found import Found
from aectl.data.images import datasets, patches
from aectl.data.images.decoders import Decoded, Decoders
from aectl.data.images.image_set import ImageSet
from aectl.data.images.pixels import Pixels
from aectl.data.named_inputs import Position, fewer_than_before
from aectl.data.shares import Window
from aectl.data.sources import Source, SourceKind
from aectl.data.storage.folders import OnBad, ignore
from aectl.data.storage.objects import fetched
from aectl.errors import DataError

if TYPE_CHECKING:
    from aectl.data.inputs import Inputs


class InputBatch(NamedTuple):
    """A batch of images with paths and labels, n each; an unknown label is None.

    images: (n, channels, height, width), 0 to 255; `size`: the number of images in a full batch;
    `position`: the position after the last image; `truncated`: indices of truncated images.
    """

    paths: list[str]
    images: Pixels
    labels: list[str | None]
    size: int
    position: Position
    truncated: frozenset[int] = frozenset()


def in_memory(images: ImageSet, size: int) -> Iterator[InputBatch]:
    """Batches of a set that is in memory, `size` images each."""
    for first in range(0, len(images), size):
        rows = range(first, min(first + size, len(images)))
        paths, labels = [images.path(row) for row in rows], [images.label(row) for row in rows]
        pixels = images.images[first : first + size]
        yield InputBatch(paths, pixels, labels, size, Position(rows.stop, ""))


class Batches:
    """Images in batches; a context manager, which ends the decoding processes on exit.

    Decoding starts at once, before the first batch is requested.
    """

    def __init__(
        self,
        inputs: "Inputs",
        shape: Shape,
        size: int,
        on_bad: OnBad,
        after: Position | None,
        on_remark: OnRemark,
    ) -> None:
        self._inputs, self._shape, self._size, self._on_bad = inputs, shape, size, on_bad
        self._after, self._on_remark = after, on_remark
        self._read, self._digest = 0, hashlib.blake2b(digest_size=16)
        self._names: list[str] = []  # of the inputs read last, which are not in the digest yet
        self._window = Window(inputs.share)
        self._decoders: Decoders | None = None
        groups = itertools.groupby(inputs.sources, lambda source: source.in_memory)
        self._groups = ((in_memory, list(sources)) for in_memory, sources in groups)
        self._group = self._next_group()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._decoders is not None:
            self._decoders.close()
            self._decoders = None

    def __iter__(self) -> Iterator[InputBatch]:
        filling = _Filling(self._shape, self._size)
        while self._group is not None:
            for decoded in self._group:
                if decoded is None:
                    if filling.paths:
                        yield filling.batch(self._position())
                    continue
                first = 0
                while part := range(first, min(first + filling.room, len(decoded.inputs))):
                    first = part.stop
                    filling.add(decoded, self._sound(decoded, part))
                    if not filling.room:
                        yield filling.batch(self._position())
                self._digest_names()
            self.__exit__()
            self._group = self._next_group()
        if self._after and self._read < self._after.inputs:
            raise DataError(fewer_than_before(self._read))
        if filling.paths:
            yield filling.batch(self._position())

    def _next_group(self) -> Iterator[Decoded | None] | None:
        """Decoded images of the next datasets, or of the files before the next dataset."""
        in_memory, sources = next(self._groups, (False, []))
        if not sources:
            return None
        if in_memory:
            return itertools.chain.from_iterable(map(self._of_dataset, sources))
        found = itertools.chain.from_iterable(
            self._inputs.to_read(source, self._inputs.found(source)) for source in sources
        )
        decoding = self._inputs.decoding
        wanted = self._marked(self._shared(found))
        self._decoders = Decoders(
            fetched(wanted, decoding.largest_file, decoding.file_too_large),
            self._shape,
            self._inputs.workers,
            decoding,
        )
        return iter(self._decoders)

    def _of_dataset(self, source: Source) -> Iterator[Decoded]:
        split = self._inputs.split
        if self._window.is_past:
            return
        if source.kind is SourceKind.PATCHES:
            if not self._inputs.is_new(Found(source.word, file=source.scenes, member=source.name)):
                return
            told = self._window.is_open  # of its photographs, with its first patches
            images = patches.load(
                source.word, self._on_bad if told else ignore, self._shape[1:], split=split,
                decoding=self._inputs.decoding, on_remark=self._on_remark if told else ignore,
                selection=self._inputs.selection, skipped=self._inputs.skipped,
            )  # fmt: skip
        else:
            images = datasets.load(source.word, self._inputs.data_dir, split=split)
        images = images.fitted(self._shape)
        for first in range(0, len(images), self._size):
            part = range(first, min(first + self._size, len(images)))
            found = [Found(images.path(row), images.label(row)) for row in part]
            rows = self._window.within(len(part))
            new = [row for row in rows if self._inputs.is_new(found[row])]
            pixels = images.images[first : part.stop]
            yield Decoded([found[row] for row in new], pixels[new], {}, {})

    def _shared(self, found: Iterator[Found | None]) -> Iterator[Found | None]:
        """The inputs that are in the share."""
        if self._window.is_past:
            return
        for one in found:
            if one is None or self._window.within():
                yield one
            if self._window.is_past:
                return

    def _marked(self, found: Iterator[Found | None]) -> Iterator[Found | None]:
        """The inputs; those before the position to continue from are marked as skipped."""
        left = self._after.inputs - self._read if self._after else 0
        for one in found:
            if one is not None and left > 0:
                left -= 1
                one = one._replace(skipped=True)
                if self._is_changed(one):
                    self._on_remark(one.path, Remark.CHANGED)
            yield one

    def _is_changed(self, found: Found) -> bool:
        """Whether a file was changed after a table was written up to the position."""
        since = self._after.since if self._after else None
        try:
            return since is not None and bool(found.file) and os.stat(found.file).st_mtime > since
        except OSError:
            return False

    def _sound(self, decoded: Decoded, part: range) -> Sequence[int]:
        """Reads a part of some inputs; returns the numbers of those that are wanted and could be
        read, a range if these are all."""
        skipping = self._after is not None and self._read < self._after.inputs
        if decoded.bad or decoded.remarks or skipping:
            return [number for number in part if self._is_sound(decoded, number)]
        self._names += [found.path for found in decoded.inputs[part.start : part.stop]]
        self._read += len(part)
        return part

    def _is_sound(self, decoded: Decoded, number: int) -> bool:
        """Reads an input; whether it is wanted and could be read."""
        found, remarks = decoded.inputs[number], decoded.remarks.get(number, ())
        self._names.append(found.path)
        self._read += 1
        if self._after and self._read <= self._after.inputs:
            if self._read == self._after.inputs:
                self._position().refuse_other(self._after)
            return False
        if number in decoded.bad:
            self._on_bad(found.path, decoded.bad[number])
            return False
        if found.searched and Remark.OWN in remarks:
            self._inputs.skipped.own(found.path)
            return False
        for remark in remarks:
            if remark is not Remark.OWN:
                self._on_remark(found.path, remark)
        return True

    def _digest_names(self) -> None:
        """Adds the names of the inputs read last to the digest."""
        self._digest.update(os.fsencode("".join(f"{name}\0" for name in self._names)))
        self._names.clear()

    def _position(self) -> Position:
        self._digest_names()
        return Position(self._read, self._digest.hexdigest())


class _Filling:
    """A batch that is being filled."""

    def __init__(self, shape: Shape, size: int) -> None:
        self._shape, self._size = shape, size
        self._start()

    @property
    def room(self) -> int:
        """The number of images that still fit into the batch."""
        return self._size - len(self.paths)

    def add(self, decoded: Decoded, numbers: Sequence[int]) -> None:
        """Adds the inputs of some numbers, with their images."""
        count = len(self.paths)
        places = slice(numbers.start, numbers.stop) if isinstance(numbers, range) else numbers
        inputs = [decoded.inputs[number] for number in numbers]
        self._images[count : count + len(inputs)] = decoded.images[places]
        self.paths += [found.path for found in inputs]
        self._labels += [found.label for found in inputs]
        for place, number in enumerate(numbers, count) if decoded.remarks else ():
            if Remark.TRUNCATED in decoded.remarks.get(number, ()):
                self._truncated.add(place)

    def batch(self, position: Position) -> InputBatch:
        """The images so far, as a batch; starts the next batch."""
        images = self._images[: len(self.paths)]
        truncated = frozenset(self._truncated)
        made = InputBatch(self.paths, images, self._labels, self._size, position, truncated)
        self._start()
        return made

    def _start(self) -> None:
        self._images = np.empty((self._size, *self._shape), np.uint8)
        self.paths: list[str] = []
        self._labels: list[str | None] = []
        self._truncated: set[int] = set()
