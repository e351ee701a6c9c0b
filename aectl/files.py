"""Functions to open a user's files, and to write files so that none is ever half written."""

import contextlib
import errno
import fcntl
import io
import os
import re
import select
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from aectl.errors import OutputError

ABANDONED_SECONDS = 600.0
"""Age in seconds up to which a temporary file without a running process is kept, because its
process may run on another machine that shares the folder."""


def descriptor_of(path: str | Path) -> tuple[int, int]:
    """A descriptor of a user's file, open for reading, and its size; the caller closes it.

    Raises OSError, also for anything but a regular file, because a pipe or device might never end.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except ValueError:
        raise OSError(errno.EINVAL, "its name holds a NUL character") from None
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        return descriptor, found.st_size
    os.close(descriptor)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder", os.fspath(path))
    raise OSError(errno.EINVAL, "is not a file, but a pipe or a device", os.fspath(path))


def opened(path: str | Path) -> io.BufferedReader:
    """Opens a user's file for reading. Raises OSError, as `descriptor_of` does."""
    return os.fdopen(descriptor_of(path)[0], "rb")


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raises OutputError if a file would be overwritten, or its folder does not exist.

    Otherwise, temporary files that killed processes left of the same file are removed.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder")
    if os.path.lexists(path) and not overwrite:
        raise OutputError(f"{path} exists; --overwrite replaces it")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no such folder")
    _remove_abandoned(path)


def write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """Writes all data to an unbuffered file, which may write less than requested at a time."""
    left = memoryview(data)
    while left:
        written = file.write(left)
        if written is None:  # a stream that does not block, and is full
            select.select([], [file], [])
        else:
            left = left[written:]


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Converts an OSError in the block to an OutputError that names the file."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def lock(file: int | IO[bytes], refusal: str) -> None:
    """Locks an open file or folder against other processes. The system releases the lock when it is
    closed, or when the process ends.

    Raises OutputError with the words of `refusal` where another process has locked it, and OSError
    where the file system has no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(refusal) from None


@contextlib.contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """Gives the name of a temporary file beside `path`, which replaces it at the end of the block.

    A `durable` file is flushed to the disk before, so that a power cut leaves the old file or the
    new one. Raises OutputError if it cannot be written; the temporary file is removed then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with writing(path):
            yield temporary
            if durable:
                to_disk(temporary)
            temporary.replace(path)
            if durable:
                to_disk(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_in(folder: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `folder`, which is made if need be, and into which its files
    move at the end of the block. Raises OutputError if they cannot be written.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    _remove_abandoned(folder)
    with writing(folder):
        temporary.mkdir()
    try:
        yield temporary
        with writing(folder):
            folder.mkdir(exist_ok=True)
            for one in temporary.iterdir():
                os.replace(one, folder / one.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def temporaries(path: Path) -> list[Path]:
    """Temporary files of processes that were killed while `replacing` a file."""
    return [one for one in _temporaries(path) if one.is_file()]


def _temporaries(path: Path) -> list[Path]:
    """Temporary files and folders of a path, including those of running processes."""
    name = re.compile(re.escape(f".{path.name}.") + r"[1-9][0-9]*\.part")
    return [one for one in path.parent.iterdir() if name.fullmatch(one.name)]


def _remove_abandoned(path: Path) -> None:
    """Removes temporary files and folders of a path that are old and whose process has ended."""
    with contextlib.suppress(OSError):
        for one in _temporaries(path):
            if not is_abandoned(one, int(one.name.split(".")[-2])):
                continue
            if one.is_dir():
                shutil.rmtree(one, ignore_errors=True)
            else:
                one.unlink()


def is_abandoned(path: Path, process: int) -> bool:
    """Whether a temporary file or folder is old, and the process that made it does not run.

    Raises OSError.
    """
    alone = time.time() - path.stat().st_mtime > ABANDONED_SECONDS
    return alone and not _is_running(process)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def to_disk(path: Path) -> None:
    """Flushes the content of a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
