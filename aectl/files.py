"""Writing files so that none is ever seen half written under its final name."""

import contextlib
import os
import re
import select
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from aectl.errors import OutputError


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raises OutputError where a file would be lost."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder")
    if os.path.lexists(path) and not overwrite:
        raise OutputError(f"{path} exists; --overwrite replaces it")


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
                _to_disk(temporary)
            temporary.replace(path)
            if durable:
                _to_disk(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporaries(path: Path) -> list[Path]:
    """What processes that were killed while `replacing` a file have left beside it."""
    name = re.compile(re.escape(f".{path.name}.") + r"[1-9][0-9]*\.part")
    return [one for one in path.parent.iterdir() if name.fullmatch(one.name) and one.is_file()]


def _to_disk(path: Path) -> None:
    """Waits until what was written to a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
