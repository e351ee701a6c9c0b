"""Finding files, images unless others are asked for, in folders."""

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import PurePosixPath

from aectl.config import run_files
from aectl.config.spelling import spelt
from aectl.data.endings import ARCHIVES
from aectl.data.images.decode import is_own
from aectl.data.images.decoders import Found
from aectl.data.selection import EVERY_IMAGE, Search, Selection, Skipped

OnBad = Callable[[str, str], None]
"""Told the path of each input that could not be read, and why."""


def ignore(path: str, said: str) -> None:
    """For inputs that are read again: what there is to say of them was said the first time."""


def find_files(
    folder: str, selection: Selection = EVERY_IMAGE, skipped: Skipped | None = None
) -> Iterator[Found]:
    """The files below a folder that are wanted, each folder in sorted order.

    Links are followed, but each folder is searched once: where it really lies, if that is below
    `folder`, else where the first link leads to it. A folder that holds a run of aectl is left
    aside; of `folder` itself, the files of the run. What cannot be searched is found with a
    reason, and what is left aside is told to `skipped`.
    """
    search = (skipped or Skipped()).search(folder, selection)
    return _Walk(folder, search).files(folder, "")


def holds_wanted(folder: str, name: str, selection: Selection) -> bool:
    """Whether a search of a folder finds a wanted file below its sub-folder of that name."""
    found = _Walk(folder, Search(selection)).files(os.path.join(folder, name), f"{name}/")
    return any(one.reason is None and not is_own(one.file) for one in found)


class _Walk:
    """The way through the folders below `root`."""

    def __init__(self, root: str, search: Search) -> None:
        self._search, self._selection = search, search.selection
        self._real_root = os.path.realpath(root)
        self._seen: set[tuple[int, int]] = set()

    def files(self, folder: str, below: str) -> Iterator[Found]:
        """Those of a folder whose path, from the root, is `below`."""
        try:
            self._seen.add(_identity(folder))
            with os.scandir(folder) as entries:
                links = {entry.name: _is_link_to_folder(entry) for entry in entries}
        except OSError as error:
            yield Found(folder, reason=error.strerror or str(error))
            return
        names = set(links)
        if holds_run(folder, names):
            self._search.runs.append(folder)
            names = names - run_files.OWN if not below else set()
        for name in sorted(names):
            path, relative = os.path.join(folder, name), below + name
            if links[name] is None:
                if self._search.takes(relative):
                    yield Found(path, file=path)
            elif self._selection.enters(relative):
                if self._is_elsewhere(path, links[name] or False):
                    self._search.again.append(path)
                else:
                    yield from self._below(path, relative)

    def _below(self, path: str, relative: str) -> Iterator[Found]:
        """The files of a folder, or a reason why there are none where its name is that of one."""
        empty = True
        try:
            for found in self.files(path, relative + "/"):
                empty = False
                yield found
        except RecursionError:
            yield Found(path, reason="holds folders that lie too deep in each other")
            return
        if empty and self._selection.has_ending(relative):
            yield Found(path, reason="is a folder")

    def _is_elsewhere(self, path: str, is_link: bool) -> bool:
        """Whether a folder has been searched by another way, or will be where it really lies."""
        try:
            if _identity(path) in self._seen:
                return True
        except OSError:
            return False
        real = os.path.realpath(path) if is_link else ""
        inside = real.removeprefix(self._real_root.rstrip("/") + "/")
        return inside != real and self._selection.enters(inside)


def holds_run(folder: str, names: Collection[str]) -> bool:
    """Whether the `names` in a folder are those of a run of aectl, over or unfinished."""
    if run_files.MODEL in names and (run_files.CONFIG in names or run_files.METRICS in names):
        return True
    return run_files.CHECKPOINT_FOLDER in names and os.path.isfile(
        os.path.join(folder, run_files.CHECKPOINT_FOLDER, run_files.CHECKPOINT)
    )


def label_of(path: str, folder: str) -> str | None:
    """The class of a file below a folder, or an archive; of one right in it, its own name."""
    return class_of(path, folder) or name_of(folder)


def name_of(folder: str) -> str | None:
    """The name of a folder, or of an archive without its ending, as a label; None for the root."""
    name = os.path.basename(os.path.abspath(folder))
    endings = [end for end in ARCHIVES if name.lower().endswith(end)]
    return spelt(name[: -len(max(endings, key=len))] if endings else name) or None


def class_of(path: str, folder: str) -> str | None:
    """The sub-folder of `folder` in which a file lies, as a label; None for a file right in it.

    A label is spelt as it stands in tables and model files from here on, so that they agree.
    """
    parts = PurePosixPath(path).relative_to(folder).parts
    return spelt(parts[0]) if len(parts) > 1 else None


def _identity(folder: str) -> tuple[int, int]:
    """What tells a folder from all others, by whatever path. Raises OSError."""
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _is_link_to_folder(entry: "os.DirEntry[str]") -> bool | None:
    """Whether a folder is a link to one; None for what is no folder."""
    try:
        return entry.is_symlink() if entry.is_dir() else None
    except OSError:  # a link to itself
        return None
