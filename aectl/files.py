"""Writing files so that none is ever seen half written under its final name."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from aectl.errors import OutputError


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raises OutputError where a file would be lost."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder")
    if os.path.lexists(path) and not overwrite:
        raise OutputError(f"{path} exists; --overwrite replaces it")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The name of a temporary file beside `path`, which takes its place when the block is done.

    Raises OutputError where it cannot be written; nothing is left behind then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
