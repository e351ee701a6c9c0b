"""Opening a user's files, and writing files so that none is ever seen half written."""

import contextlib
import errno
import io
import os
import re
import select
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from aectl.errors import OutputError

ABANDONED_SECONDS = 600.0
"""So long a temporary file of a process that is gone is left alone: it may be of one on another
machine that shares the folder."""


def descriptor_of(path: str | Path) -> int:
    """A descriptor of a user's file, to read from and to close.

    Raises OSError, also for what is no regular file: a pipe or a device might never end.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except ValueError:
        raise OSError(errno.EINVAL, "its name holds a NUL character") from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder", os.fspath(path))
    raise OSError(errno.EINVAL, "is not a file, but a pipe or a device", os.fspath(path))


def opened(path: str | Path) -> io.BufferedReader:
    """A user's file, open to be read. Raises OSError, as `descriptor_of` does."""
    return os.fdopen(descriptor_of(path), "rb")


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raises OutputError where a file would be lost, or has no folder to stand in.

    Else what killed processes have left of the same file is removed.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder")
    if os.path.lexists(path) and not overwrite:
        raise OutputError(f"{path} exists; --overwrite replaces it")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no such folder")
    _remove_abandoned(path)


def write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """Writes to a file without a buffer, which may take less than it is given at a time."""
    left = memoryview(data)
    while left:
        written = file.write(left)
        if written is None:  # a stream that does not block, and is full
            select.select([], [file], [])
        else:
            left = left[written:]


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system refuses in the block becomes an OutputError that names the file."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """The name of a temporary file beside `path`, which takes its place when the block is done.

    A `durable` one is on the disk before, so that a power cut leaves the old file or the new.
    Raises OutputError where it cannot be written; nothing is left behind then.
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


def temporaries(path: Path) -> list[Path]:
    """What processes that were killed while `replacing` a file have left beside it."""
    name = re.compile(re.escape(f".{path.name}.") + r"[1-9][0-9]*\.part")
    return [one for one in path.parent.iterdir() if name.fullmatch(one.name) and one.is_file()]


def _remove_abandoned(path: Path) -> None:
    """Removes temporary files of a path whose process is gone, here and, as their age tells, on any
    other machine that shares the folder.
    """
    with contextlib.suppress(OSError):
        for one in temporaries(path):
            alone = time.time() - one.stat().st_mtime > ABANDONED_SECONDS
            if alone and not _is_running(int(one.name.split(".")[-2])):
                one.unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def to_disk(path: Path) -> None:
    """Waits until what was written to a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
