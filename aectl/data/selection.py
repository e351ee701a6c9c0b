"""Choice of the files of a folder or an archive, and a record of those that are skipped."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from aectl.config.spelling import first_of
from aectl.data.endings import UNREAD, is_archive
from aectl.data.images import heif
from aectl.data.images.decode import SUFFIXES

MOST_NAMED = 3
"""Maximum number of archives that a notice names."""

LEFTOVERS = frozenset(
    ["__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information"]
)
"""Files and folders that file managers create, in lower case, besides names that start with a
dot."""


@dataclass(frozen=True)
class Selection:
    """Rules that choose the images of a folder or an archive.

    Without `include`, files with an extension in `ext`, or else a usual one, are chosen; with it,
    files that match one of its patterns. Files that match a pattern of `exclude` are removed. A
    pattern is compared with the path below the folder and, if it has no slash, with the name;
    `exclude` also with the folders above the file. Case is ignored.

    Names that start with a dot, and leftovers of file managers such as `__MACOSX`, are skipped
    with everything below them, unless a component of an `include` pattern that is itself such a
    name, as in `.cache/*`, matches them.

    With `contained`, a folder without such images is searched for archives, and Parquet, that hold
    some.
    """

    ext: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    contained: bool = False

    def __str__(self) -> str:
        """The rules in words, for messages."""
        wanted = f"--include {' '.join(self.include)}" if self.include else ", ".join(self._endings)
        return wanted + (f", without --exclude {' '.join(self.exclude)}" if self.exclude else "")

    def usually(self, ext: tuple[str, ...]) -> "Selection":
        """The same selection, with the default extensions `ext` if it names none; without any, of
        images."""
        return replace(self, ext=self.ext or ext, contained=not ext)

    @property
    def is_usual(self) -> bool:
        """Whether files are chosen by their usual extensions."""
        return not self.ext and not self.include

    @property
    def inside(self) -> "Selection":
        """The selection of the members of an archive that is itself chosen."""
        return replace(self, ext=(), include=())

    def takes(self, path: str) -> bool:
        """Whether the file at `path`, below the folder, is chosen."""
        if not self.enters(path):
            return False
        return _matches(path, self.include) if self.include else self.has_ending(path)

    def enters(self, path: str) -> bool:
        """Whether neither the file or folder at `path` nor a folder above it is hidden or
        excluded."""
        parts = path.split("/")
        for part in parts:
            if _is_hidden(part) and not self._names(part):
                return False
        return not self._excludes(parts)

    def keeps(self, path: str) -> bool:
        """Whether a path that a table lists is chosen: without options, any is."""
        if self._excludes(path.split("/")):
            return False
        return (
            _matches(path, self.include) if self.include else not self.ext or self.has_ending(path)
        )

    def _excludes(self, parts: list[str]) -> bool:
        """Whether the file or folder with such a path, or a folder above it, is excluded."""
        if not self.exclude:
            return False
        ways = ("/".join(parts[: depth + 1]) for depth in range(len(parts)))
        return any(_matches(way, self.exclude) for way in ways)

    def has_ending(self, path: str) -> bool:
        """Whether a path has one of the wanted extensions."""
        return path.lower().endswith(self._endings)

    def misses(self, path: str) -> bool:
        """Whether the file at `path` is an archive or an unsupported image, in a search for images
        by their usual extensions."""
        missed = ending_of(path) in UNREAD or is_archive(path)
        return missed and self.is_usual and not self.has_ending(path) and self.enters(path)

    def _names(self, part: str) -> bool:
        """Whether an `include` pattern names a hidden component of a path."""
        return any(fnmatchcase(part.lower(), piece) for piece in self._hidden_pieces)

    @cached_property
    def _hidden_pieces(self) -> tuple[str, ...]:
        pieces = (piece for pattern in self.include for piece in pattern.lower().split("/"))
        return tuple(filter(_is_hidden, pieces))

    @cached_property
    def _endings(self) -> tuple[str, ...]:
        named = tuple("." + ending.lower().removeprefix(".") for ending in self.ext)
        return named or SUFFIXES + (heif.ENDINGS if heif.is_installed() else ())


EVERY_IMAGE = Selection(contained=True)


def of_options(options: Mapping[str, Any], usual: tuple[str, ...] = ()) -> Selection:
    """The selection from options, with the `usual` extensions if they name none.

    `ext`: extensions separated by commas or spaces; `include` and `exclude`: patterns.
    """
    endings = tuple(str(options.get("ext") or "").replace(",", " ").split())
    include, exclude = (tuple(options.get(name) or ()) for name in ("include", "exclude"))
    return Selection(endings, include, exclude).usually(usual)


@dataclass
class Search:
    """One search of a folder or an archive, and a record of what it skipped.

    `unread`: number of files in unsupported image formats, by extension; `archives`: their paths
    below the folder; `runs`: the run folders of aectl; `again`: the links to folders that are
    searched by another path; `containers`: the paths of files that hold images, with those below
    the folder.
    """

    selection: Selection
    unread: Counter[str] = field(default_factory=Counter)
    archives: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    containers: dict[str, str] = field(default_factory=dict)

    def takes(self, path: str) -> bool:
        """Whether the file at `path`, below the folder, is chosen; counts unsupported images and
        archives."""
        if self.selection.takes(path):
            return True
        if self.selection.misses(path):
            if is_archive(path):
                self.archives.append(path)
            else:
                self.unread[ending_of(path)] += 1
        return False


class Skipped:
    """Files and folders that the searches of a command skipped; a repeated search counts once."""

    def __init__(self) -> None:
        self._searches: dict[str, Search] = {}
        self._own: dict[str, None] = {}
        self._empty: dict[str, None] = {}
        self._unlabelled: str | None = None

    def search(self, place: str, selection: Selection) -> Search:
        """Starts a search of a folder or an archive."""
        self._searches[place] = Search(selection)
        return self._searches[place]

    def own(self, path: str) -> None:
        """Records a picture that was skipped because aectl wrote it."""
        self._own[path] = None

    def empty(self, place: str) -> None:
        """Records a folder or an archive without wanted files, beside other inputs."""
        self._empty[place] = None

    def label(self, path: str) -> None:
        """Records an input of a table on stdin whose label is not written."""
        self._unlabelled = self._unlabelled or path

    def notices(self) -> list[str]:
        """The notices, one line each; later calls do not repeat them."""
        searches = list(self._searches.values())
        unread = sum((search.unread for search in searches), Counter[str]())
        archives = [
            os.path.join(place, path)
            for place, search in self._searches.items()
            for path in search.archives
        ]
        self._searches.clear()
        runs = [run for search in searches for run in search.runs]
        again = [link for search in searches for link in search.again]
        lines = [_unread_line(unread)] if unread else []
        if archives:
            named = first_of(sorted(archives), MOST_NAMED)
            lines.append(
                f"archives beside images, or in an archive, are not read: {len(archives):,}"
                f" ({named}); unpack them, or name them as inputs"
            )
        if runs:
            what = "it is a run folder" if len(runs) == 1 else "they are run folders"
            lines.append(f"skipped, because {what} of aectl: {_some(runs)}")
        if self._own:
            lines.append(
                f"skipped, because aectl wrote them: {_some(list(self._own))};"
                " name them, or give --include, to read them"
            )
            self._own.clear()
        if self._empty:
            lines.append(f"no files to read in {', '.join(self._empty)}")
            self._empty.clear()
        if self._unlabelled:
            lines.append(
                f"labels of files listed on stdin are not written, such as that of"
                f" {self._unlabelled}; --label-column names their column"
            )
            self._unlabelled = None
        if again:
            lines.append(f"read only once, although several links lead there: {_some(again)}")
        return lines


def ending_of(path: str) -> str:
    """The ending of a file's name, from its last dot on, in lower case."""
    return "." + path.lower().rpartition(".")[2]


def _unread_line(unread: Counter[str]) -> str:
    count, most = unread.total(), unread.most_common(8)
    kinds = [f"{number:,} {ending}" for ending, number in most]
    if len(unread) > len(most):
        kinds.append(f"{count - sum(number for _, number in most):,} others")
    line = f"image files in formats that are not supported: {count:,} ({', '.join(kinds)})"
    readable = any(ending in heif.ENDINGS for ending in unread)
    return f"{line}; pip install 'aectl[heif]' reads HEIC" if readable else line


def _some(paths: list[str]) -> str:
    """The first path, and how many more there are."""
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1:,} more"


def _is_hidden(name: str) -> bool:
    return (name[:1] == "." and name not in (".", "..")) or name.lower() in LEFTOVERS


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    path = path.lower()
    name = path.rpartition("/")[2]
    return any(fnmatchcase(path if "/" in one else name, one.lower()) for one in patterns)
