"""Finding files, images unless others are asked for, in folders."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import PurePosixPath

from aectl.data.decoders import Found
from aectl.data.images import SUFFIXES


@dataclass(frozen=True)
class Selection:
    """Which files of a folder or an archive are taken for images.

    By their endings, those of `ext` or else the usual ones; or, where there are patterns to
    `include`, those that match one. Then those go that match a pattern to `exclude`. A pattern is
    held against the path below the folder and, where it has no slash, against the name; to
    exclude, also against the folders on the way.
    """

    ext: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, path: str) -> bool:
        """Whether the file at `path`, below the folder, is taken."""
        if self.excludes(path):
            return False
        return _matches(path, self.include) if self.include else self.has_ending(path)

    def excludes(self, path: str) -> bool:
        """Whether the file or folder at `path`, or a folder on the way to it, is passed over."""
        parts = path.split("/")
        ways = ("/".join(parts[: depth + 1]) for depth in range(len(parts)))
        return bool(self.exclude) and any(_matches(way, self.exclude) for way in ways)

    def has_ending(self, path: str) -> bool:
        """Whether a path ends as the files do that are looked for."""
        return path.lower().endswith(self._endings)

    @cached_property
    def _endings(self) -> tuple[str, ...]:
        return tuple("." + ending.lower().removeprefix(".") for ending in self.ext) or SUFFIXES


EVERY_IMAGE = Selection()

OnBad = Callable[[str, str], None]
"""Told the path of each input that could not be read, and why."""


def ignore(path: str, said: str) -> None:
    """For inputs that are read again: what there is to say of them was said the first time."""


def find_files(
    folder: str,
    selection: Selection = EVERY_IMAGE,
    below: str = "",
    above: frozenset[str] = frozenset(),
) -> Iterator[Found]:
    """The files below a folder that are wanted, each folder in sorted order.

    Links are followed, but for one that leads back to a folder `above`. What cannot be searched
    is found with a reason.
    """
    here = os.path.realpath(folder)
    if here in above:
        return
    try:
        with os.scandir(folder) as entries:
            folders, names = set(), []
            for entry in entries:
                names.append(entry.name)
                if _is_folder(entry):
                    folders.add(entry.name)
    except OSError as error:
        yield Found(folder, reason=error.strerror or str(error))
        return
    names.sort(reverse=True)
    while names:
        name = names.pop()
        path, relative = os.path.join(folder, name), below + name
        if name not in folders:
            if selection.takes(relative):
                yield Found(path, file=path)
        elif not selection.excludes(relative):
            empty = True
            try:
                for found in find_files(path, selection, relative + "/", above | {here}):
                    empty = False
                    yield found
            except RecursionError:
                yield Found(path, reason="holds folders that lie too deep in each other")
            if empty and selection.has_ending(relative):
                yield Found(path, reason="is a folder")


def class_of(path: str, folder: str) -> str | None:
    """The sub-folder of `folder` in which a file lies; None for a file right in it."""
    parts = PurePosixPath(path).relative_to(folder).parts
    return parts[0] if len(parts) > 1 else None


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    name = path.rpartition("/")[2]
    return any(fnmatchcase(path if "/" in one else name, one) for one in patterns)
