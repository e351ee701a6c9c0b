"""Files at URLs: search in folders of a storage, and reading ahead of those who ask for them."""

import contextlib
import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from aectl.config import run_files
from aectl.data.found import Found
from aectl.data.selection import Search
from aectl.data.storage import drivers
from aectl.data.storage.ahead import in_order
from aectl.data.storage.containers import holds_images
from aectl.data.storage.entries import Entry
from aectl.data.storage.urls import is_url, join, name_in, secret_in, without_secrets
from aectl.errors import DataError
from aectl.files import is_abandoned

UNKNOWN_SIZE = 1 << 20
"""Bytes that a file counts whose size is not known, among those that are read ahead."""

FETCHED = "fetched-"
"""The start of the names of folders with copies."""

DEEPEST = 100
"""Maximum depth of folders."""


def find_objects(folder: str, search: Search, below: str = "") -> Iterator[Found]:
    """Finds the wanted files below a folder of a storage, as `folders.find_files` does on disks: in
    the same order, without run folders of aectl; `below`: the path of the folder below the root.

    Lists of sub-folders are read ahead.
    """
    try:
        yield from _files(folder, search, below, drivers.entries_of(folder))
    except OSError as error:
        yield Found(folder, reason=error.strerror or str(error))


def _files(folder: str, search: Search, below: str, entries: list[Entry]) -> Iterator[Found]:
    names = {entry.name for entry in entries}
    if _holds_run(names):
        search.runs.append(folder)
        entries = [one for one in entries if not below and one.name not in run_files.OWN]
    entered = [
        one for one in entries if one.is_folder and search.selection.enters(below + one.name)
    ]
    if below.count("/") >= DEEPEST:
        yield Found(folder, reason="holds folders that lie too deep in each other")
        return
    listed = in_order(lambda one: _listed(join(folder, one.name)), entered, lambda _: 1)
    for one in entries:
        path, relative = join(folder, one.name), below + one.name
        if not one.is_folder:
            if holds_images(path, relative, search) or search.takes(relative):
                yield Found(path, file=path, size=one.size)
        elif search.selection.enters(relative):
            found = next(listed)
            if isinstance(found, OSError):
                yield Found(path, reason=found.strerror or str(found))
            else:
                yield from _files(path, search, f"{relative}/", found)


def _listed(folder: str) -> list[Entry] | OSError:
    try:
        return drivers.entries_of(folder)
    except OSError as error:
        return error


def _holds_run(names: set[str]) -> bool:
    """Whether the names in a folder are those of a run of aectl, finished or not."""
    begun = run_files.CHECKPOINT_FOLDER in names and run_files.CONFIG in names
    return begun or run_files.are_of_finished_run(names)


def refused_at(url: str) -> Found | None:
    """The reason for leaving out what a list names by a URL, if that holds credentials."""
    reason = secret_in(url)
    return Found(without_secrets(url), reason=f"the URL {reason}") if reason else None


def fetched(
    found: Iterable[Found | None], most: int, too_large: Callable[[int | None], str]
) -> Iterator[Found | None]:
    """The inputs, those at URLs with their content, which is read ahead; `too_large` is the reason
    for leaving out one of more than `most` bytes."""

    def read(one: Found) -> Found:
        if one.size is not None and one.size > most:
            return one._replace(reason=too_large(one.size))
        try:
            content = drivers.read(one.file, one.size, most)
        except (OSError, DataError) as error:
            return one._replace(reason=getattr(error, "strerror", None) or str(error))
        if len(content) > most:
            return one._replace(reason=too_large(one.size))
        return one._replace(content=content)

    def of(one: Found) -> Found:
        return read(one) if _is_to_read(one) else one

    def size(one: Found) -> int:
        if not _is_to_read(one):
            return len(one.content or b"")
        return UNKNOWN_SIZE if one.size is None else one.size

    waiting = iter(found)
    for one in waiting:
        if one is None or not _is_to_read(one):
            yield one
            continue
        # Up to where there may be a wait for the next input, all are read at once.
        near = chain([one], iter(lambda: next(waiting, None), None))
        yield from in_order(of, near, size)
        yield None


def _is_to_read(found: Found) -> bool:
    """Whether the content of an input is at a URL, and is wanted."""
    there = found.reason is None and found.content is None and not found.skipped
    return there and is_url(found.file)


@contextlib.contextmanager
def local_copy(path: str, folder: Path | None = None) -> Iterator[str]:
    """A local file; of one at a URL, a copy in a folder, which is removed after the block.

    Raises OSError.
    """
    if not is_url(path):
        yield path
        return
    with room_for_copies(folder or Path(tempfile.gettempdir())) as place:
        copy = os.path.join(place, name_in(path) or "file")
        drivers.fetch(path, copy)
        yield copy


@contextlib.contextmanager
def room_for_copies(folder: Path) -> Iterator[Path]:
    """A new folder below `folder`, which is removed after the block."""
    place = _new_folder(folder)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _new_folder(folder: Path) -> Path:
    """A new folder below `folder`, from which those that killed processes of this machine left are
    removed; machines that share the folder do not know each other's processes."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = hashlib.sha256(os.fsencode(socket.gethostname())).hexdigest()[:8]
    ours = f"{FETCHED}{machine}-"
    for one in folder.glob(f"{ours}[0-9]*-*"):
        with contextlib.suppress(OSError, ValueError):
            if is_abandoned(one, int(one.name.removeprefix(ours).partition("-")[0])):
                shutil.rmtree(one)
    return Path(tempfile.mkdtemp(prefix=f"{ours}{os.getpid()}-", dir=folder))


def copied(url: str, folder: Path, *beside: str) -> Path:
    """A copy of a file at a URL, in a folder of its own below `folder`, which the caller removes;
    and of those whose URLs have these endings more, where there are any. Raises OSError."""
    copy = _new_folder(folder) / (name_in(url) or "file")
    try:
        drivers.fetch(url, str(copy))
        for ending in beside:
            with contextlib.suppress(FileNotFoundError):
                drivers.fetch(url + ending, f"{copy}{ending}")
    except BaseException:
        shutil.rmtree(copy.parent)
        raise
    return copy


def local_copies(found: Iterable[Found], folder: Path) -> Iterator[Found]:
    """Inputs, those at URLs as copies in a folder, which are made ahead; each is removed once the
    next input is asked for."""
    waiting = iter(found)
    first = next(waiting, None)
    if first is None or not is_url(first.file):
        yield from chain([first] if first else [], waiting)
        return

    def copy(one: Found) -> Found:
        if not _is_to_read(one):
            return one
        try:
            return one._replace(file=str(copied(one.file, place)))
        except (OSError, DataError) as error:
            return one._replace(reason=getattr(error, "strerror", None) or str(error))

    def size(one: Found) -> int:
        return UNKNOWN_SIZE if one.size is None else one.size

    with room_for_copies(folder) as place:
        for one in in_order(copy, chain([first], waiting), size):
            yield one
            if one.reason is None:
                shutil.rmtree(os.path.dirname(one.file))
