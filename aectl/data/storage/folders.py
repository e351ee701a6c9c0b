"""Search for files in folders; by default, for images."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import PurePosixPath

from aectl.config import run_files
from aectl.config.spelling import spelt
from aectl.data.endings import ARCHIVES
from aectl.data.found import Found
from aectl.data.images.decode import is_own
from aectl.data.selection import EVERY_IMAGE, Search, Selection, Skipped
from aectl.data.storage.containers import holds_images, images_or_containers
from aectl.data.storage.members import opened
from aectl.data.storage.objects import find_objects
from aectl.data.storage.urls import is_url

OnBad = Callable[[str, str], None]
"""Called with the path of each input that could not be read, and the reason."""


def ignore(path: str, said: str) -> None:
    """Does nothing; used for inputs that are read again, after their problems were reported."""


Walk = Callable[[str, Selection, Skipped], Iterable[Found]]
"""Finds the wanted files below a folder, as `find_files` does."""


def find_files(
    folder: str, selection: Selection = EVERY_IMAGE, skipped: Skipped | None = None
) -> Iterator[Found]:
    """Finds the wanted files below a folder, each folder in sorted order.

    Links are followed, but each folder is searched only once: at its real path, if that is below
    `folder`, else by the first link to it. Run folders of aectl are skipped; if `folder` itself is
    one, only the files of the run are. Folders that cannot be searched are found with a reason, and
    `skipped` records what was skipped.

    Archives, and Parquet with images, are found where a selection takes what they hold, and no
    other file is wanted: often an archive lies beside its unpacked images.
    """
    search = (skipped or Skipped()).search(folder, selection)
    found = _search(folder, search, "")
    return images_or_containers(found, search) if selection.contained else found


def find_inputs(folder: str, selection: Selection) -> Iterator[Found]:
    """Finds the wanted files below a folder, and the images in those that hold several."""
    skipped = Skipped()
    for one in find_files(folder, selection, skipped):
        yield from opened(one, folder, selection, skipped)


def _search(root: str, search: Search, below: str) -> Iterator[Found]:
    """The files of the folder at the path `below` a folder on a disk, or at a URL."""
    folder = os.path.join(root, below.rstrip("/")) if below else root
    if is_url(root):
        return find_objects(folder, search, below)
    return _Walk(root, search).files(folder, below)


class WalkedOnce:
    """Finds the files of a folder once, and gives the same ones whenever it is asked again."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Selection], list[Found]] = {}

    def __call__(self, folder: str, selection: Selection, skipped: Skipped) -> list[Found]:
        """The files below a folder; `skipped` records those of the first search."""
        if (folder, selection) not in self._found:
            self._found[folder, selection] = list(find_files(folder, selection, skipped))
        return self._found[folder, selection]


def holds_wanted(folder: str, name: str, selection: Selection) -> bool:
    """Whether a search finds a wanted file in the sub-folder `name` of a folder."""
    found = _search(folder, Search(selection), f"{name}/")
    return any(one.reason is None and not is_own(one.file) for one in found)


class _Walk:
    """A walk through the folders below `root`."""

    def __init__(self, root: str, search: Search) -> None:
        self._search, self._selection = search, search.selection
        self._real_root = os.path.realpath(root)
        self._seen: set[tuple[int, int]] = set()

    def files(self, folder: str, below: str) -> Iterator[Found]:
        """The files of a folder; `below`: its path relative to the root."""
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
        start = os.path.join(folder, "")
        for name in sorted(names):
            path, relative = start + name, below + name
            if links[name] is None:
                if holds_images(path, relative, self._search) or self._search.takes(relative):
                    yield Found(path, file=path)
            elif self._selection.enters(relative):
                if self._is_elsewhere(path, links[name] or False):
                    self._search.again.append(path)
                else:
                    yield from self._below(path, relative)

    def _below(self, path: str, relative: str) -> Iterator[Found]:
        """The files of a folder; a reason if it is empty and its name has a wanted extension."""
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
        """Whether a folder has been searched by another path, or will be at its real path."""
        try:
            if _identity(path) in self._seen:
                return True
        except OSError:
            return False
        real = os.path.realpath(path) if is_link else ""
        inside = real.removeprefix(self._real_root.rstrip("/") + "/")
        return inside != real and self._selection.enters(inside)


def holds_run(folder: str, names: Collection[str]) -> bool:
    """Whether the `names` in a folder are those of a run of aectl, finished or not."""
    if run_files.are_of_finished_run(names):
        return True
    return run_files.CHECKPOINT_FOLDER in names and os.path.isfile(
        os.path.join(folder, run_files.CHECKPOINT_FOLDER, run_files.CHECKPOINT)
    )


def label_of(path: str, folder: str) -> str | None:
    """The sub-folder of a file below a folder or an archive, as a label; if none, the folder."""
    return class_of(path, folder) or name_of(folder)


def name_of(folder: str) -> str | None:
    """The name of a folder, or of an archive without extension, as a label; None for the root."""
    name = os.path.basename(os.path.abspath(folder))
    endings = [end for end in ARCHIVES if name.lower().endswith(end)]
    return spelt(name[: -len(max(endings, key=len))] if endings else name) or None


def class_of(path: str, folder: str) -> str | None:
    """The sub-folder of `folder` that contains a file, as a label; None if it is in none.

    A label is `spelt` from here on, so that tables and model files agree.
    """
    parts = PurePosixPath(path).relative_to(folder).parts
    return spelt(parts[0]) if len(parts) > 1 else None


def _identity(folder: str) -> tuple[int, int]:
    """A folder's device and inode, the same for all its paths. Raises OSError."""
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _is_link_to_folder(entry: "os.DirEntry[str]") -> bool | None:
    """Whether a folder is a link to one; None if it is not a folder."""
    try:
        return entry.is_symlink() if entry.is_dir() else None
    except OSError:  # a link to itself
        return None
