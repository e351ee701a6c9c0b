"""Places: files and folders, on a disk or at a URL."""

import os
from collections.abc import Iterator
from pathlib import PurePath
from typing import NamedTuple

from aectl.data.storage import drivers
from aectl.data.storage.urls import WEB, is_url, join, protocol_of


class Place(NamedTuple):
    """A file or folder in a folder: its name, its path or URL, and whether it is a folder."""

    name: str
    path: str
    is_folder: bool


def is_folder(path: str) -> bool:
    """Whether a path or a URL is that of a folder; one that cannot be reached is not."""
    try:
        return is_folder_at(path) if is_url(path) else os.path.isdir(path)
    except OSError:
        return False


def is_folder_at(url: str) -> bool:
    """Whether there is a folder at a URL. Raises FileNotFoundError where nothing is, and OSError
    where that cannot be known.

    Of the web, every address is taken for a file.
    """
    return protocol_of(url) not in WEB and drivers.entry_of(url).is_folder


def real_place(path: str) -> str:
    """The path without links, or the URL, that tells a file or folder from others."""
    return path.rstrip("/") if is_url(path) else os.path.realpath(path)


def folders_above(place: str) -> list[str]:
    """The folders that a file or folder lies in, of which a `real_place` is given."""
    if not is_url(place):
        return list(map(str, PurePath(place).parents))
    protocol, _, path = place.partition("://")
    parts = path.split("/")
    return [f"{protocol}://{'/'.join(parts[:end])}" for end in range(len(parts) - 1, 0, -1)]


def content_of(folder: str) -> Iterator[Place]:
    """The files and folders in a folder. Raises OSError."""
    if is_url(folder):
        for one in drivers.entries_of(folder):
            yield Place(one.name, join(folder, one.name), one.is_folder)
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            yield Place(entry.name, entry.path, entry.is_dir())
