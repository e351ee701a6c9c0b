"""The inputs that a user names, of any modality: their sources, the files of those, and their
names in a table."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from aectl.config.spelling import guarded
from aectl.data.found import Found
from aectl.data.layout import layout_of
from aectl.data.read_once import ReadOnce
from aectl.data.selection import EVERY_IMAGE, Selection, Skipped
from aectl.data.shares import InputShare, Window
from aectl.data.sources import Source, SourceKind
from aectl.data.storage.folders import OnBad, Walk, class_of, find_files, label_of
from aectl.data.storage.urls import below, is_url
from aectl.errors import DataError


class Position(NamedTuple):
    """A position in a stream of inputs: the number of inputs read, and a digest of their paths.

    `since`: the time at which a table was written up to it, in seconds; None if there is none.
    """

    inputs: int
    digest: str
    since: float | None = None

    def refuse_other(self, before: "Position") -> None:
        """Raises DataError if other inputs were read `before`, where as many were read."""
        if self.digest != before.digest:
            raise DataError(f"the inputs are not those that were read before; {START_AGAIN}")


START_AGAIN = "--overwrite starts again"


def fewer_than_before(count: int) -> str:
    """The message for `count` inputs, which are too few to continue a table."""
    return f"there are {count:,} inputs, fewer than were read before; {START_AGAIN}"


class Passing:
    """Counts the inputs of a stream, good and bad, and skips those up to a position; only those
    `within` a share are counted.
    """

    def __init__(
        self, after: Position | None, on_bad: OnBad, share: InputShare | None = None
    ) -> None:
        self._after, self._on_bad, self._window = after, on_bad, Window(share)
        self.within = self._window.within
        self._read, self._digest = 0, hashlib.blake2b(digest_size=16)

    @property
    def position(self) -> Position:
        """The position after what has been read."""
        return Position(self._read, self._digest.hexdigest())

    @property
    def is_past(self) -> bool:
        """Whether no further input is in the share."""
        return self._window.is_past

    def is_behind(self, name: str, count: int = 1, content: bytes | memoryview = b"") -> bool:
        """Counts so many inputs; whether they are after the position. `name`, with the content if
        it is not in that, tells them from others.

        Raises DataError where the inputs up to the position are others than before.
        """
        self._read += count
        self._digest.update(content)
        self._digest.update(os.fsencode(f"{name}\0"))
        if self._after is None or self._read > self._after.inputs:
            return True
        if self._read == self._after.inputs:
            self.position.refuse_other(self._after)
        return False

    def on_bad(self, path: str, reason: str) -> None:
        """Reports an input that cannot be read, if it is in the share, and after the position."""
        if self.within() and self.is_behind(f"{path}\0{reason}"):
            self._on_bad(path, reason)

    def refuse_fewer(self) -> None:
        """Raises DataError if the inputs end before the position."""
        if self._after and self._read < self._after.inputs:
            raise DataError(fewer_than_before(self._read))


@dataclass(frozen=True)
class Naming:
    """The form of paths in a table: as found, `absolute`, or `relative_to` a folder.

    A path that starts like a formula of a spreadsheet gets `./` before it; see `config.spelling`.
    """

    relative_to: str | None = None
    absolute: bool = False

    def __call__(self, path: str) -> str:
        return guarded(self._named(path))

    def _named(self, path: str) -> str:
        if self.relative_to is None and not self.absolute:
            return path
        if is_url(path):
            return below(path, self.relative_to or "") or path
        if self.relative_to is not None and is_url(self.relative_to):
            return path
        if ".." in path.split("/"):  # after a link, this is not the folder before it
            path = _without_links(path)
        if self.absolute or self.relative_to is None:
            return os.path.abspath(path)
        relative = os.path.relpath(path, self.relative_to)
        if relative.startswith("../"):
            relative = os.path.relpath(_without_links(path), os.path.realpath(self.relative_to))
        return relative


@dataclass(frozen=True)
class NamedInputs:
    """The sources that the user named, and the options for finding their files.

    `labels_from_folders`: the label of a file is the name of its sub-folder. With `loose_labels`,
    the folder may hold splits, and a file in no sub-folder, or named by itself, is labelled with
    its folder. `selection`: the files of a folder that are read. `naming`: the form of paths in a
    table. `split`: the split of datasets named without one. `skipped`: a record of skipped files.
    `walk`: the search of folders. With `once`, inputs that were read before are left out. With a
    `share`, only the inputs in it are read.
    """

    sources: Sequence[Source]
    data_dir: Path
    stdin: BinaryIO | None = None
    labels_from_folders: bool = False
    selection: Selection = EVERY_IMAGE
    naming: Naming = field(default_factory=Naming)
    split: str = "test"
    skipped: Skipped = field(default_factory=Skipped, compare=False)
    loose_labels: bool = True
    walk: Walk = find_files
    once: ReadOnce | None = field(default=None, kw_only=True)
    share: InputShare | None = field(default=None, kw_only=True)

    @property
    def words(self) -> list[str]:
        """The words that name the sources."""
        return [source.word for source in self.sources]

    def called(self) -> list[str]:
        """The words for messages, datasets with their split."""
        return [source.called(self.split) for source in self.sources]

    def files_of(self, source: Source) -> Iterator[Found]:
        """The files of a folder, or a file that is named by itself, with their labels; of one that
        holds several inputs, those."""
        path, loosely = source.word, self.labels_from_folders and self.loose_labels
        if source.kind is SourceKind.FOLDER:
            layout = layout_of(path, self.selection) if loosely else None
            for file in self.walk(path, self.selection, self.skipped):
                folder = (layout and layout.split_of(file.path)) or path
                for one in self.inside(file, path):
                    if source.takes(one.path):
                        yield self.labelled_below(folder, one)
        else:
            folder = os.path.dirname(path) or os.curdir
            for one in self.inside(Found(path, file=source.file, member=source.part), folder):
                yield self.labelled_below(folder, one)

    def inside(self, found: Found, folder: str) -> Iterable[Found]:
        """The inputs in a file that was found in a folder; by default, the file is one."""
        return (found,)

    def is_new(self, found: Found) -> bool:
        """Whether an input is to be read."""
        return self.once is None or self.once.takes(found)

    def to_read(self, source: Source, found: Iterable[Found | None]) -> Iterator[Found | None]:
        """The files of a source that are to be read; if one of several folders or archives has no
        files, that is recorded in `skipped`.
        """
        empty = source.kind in (SourceKind.FOLDER, SourceKind.ARCHIVE) and len(self.sources) > 1
        for one in found:
            empty = False
            if one is None or self.is_new(one):
                yield one
        if empty:
            self.skipped.empty(source.word)

    def labelled_below(self, folder: str, found: Found) -> Found:
        """A file that was found below a folder, or in an archive, with its label; one that its
        archive or its table gives takes the place of that of its folder. A file in an archive has
        the label that it would have if that was unpacked where it lies."""
        if found.from_table and found.reason is None:
            return found
        if not self.labels_from_folders or found.reason is not None:
            return found if found.label is None else found._replace(label=None)
        if found.label is not None:
            return found
        of, path = label_of if self.loose_labels else class_of, found.path
        if found.member and found.file != folder:
            path = os.path.join(os.path.dirname(found.file) or os.curdir, found.member)
        return found._replace(label=of(path, folder))


def _without_links(path: str) -> str:
    """The path of a file, with links in its folder resolved."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)
