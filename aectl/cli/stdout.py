"""Output to stdout: results, in any encoding, with control characters escaped on a terminal."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from aectl.config.spelling import spelt_out

if TYPE_CHECKING:
    from typing import Any


def show(text: str) -> None:
    """Writes lines of text; characters that the encoding of stdout lacks are escaped."""
    try:
        data = text.encode(sys.stdout.encoding, "surrogateescape")
    except UnicodeEncodeError:
        data = text.encode(sys.stdout.encoding, "backslashreplace")
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


_shown: dict[Path, str] = {}
_late: list[str] = []


@contextlib.contextmanager
def shown_as(folders: Mapping[Path, str]) -> Iterator[None]:
    """In the block, files in these folders are shown by the URLs that they go to; the lines of
    `show_path` come after the block, in which they are put there."""
    _shown.update(folders)
    try:
        yield
        for text in _late:
            _show_line(text)
    finally:
        _shown.clear()
        _late.clear()


def shown(path: Path | None) -> str:
    """The path of a file, or the URL that it goes to."""
    if path is not None and (base := _shown.get(path.parent)):
        return f"{base}{path.name}"
    return str(path)


def show_path(path: Path) -> None:
    """Writes a path as a line: its exact bytes in a pipe, with control characters escaped on a
    terminal.
    """
    if path.parent in _shown:
        _late.append(shown(path))
    else:
        _show_line(str(path))


def _show_line(text: str) -> None:
    if sys.stdout.isatty():
        show(spelt_out(text) + "\n")
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(text) + b"\n")
    sys.stdout.flush()


def for_tables() -> IO[bytes]:
    """The stream that tables are written to; on a terminal, it escapes control characters."""
    stream = sys.stdout.buffer
    return cast("IO[bytes]", Spelling(stream)) if sys.stdout.isatty() else stream


class Spelling:
    """A UTF-8 stream to a terminal that escapes control characters except line ends."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, data: "Any") -> int:
        """Writes whole lines."""
        lines = bytes(data).decode("utf-8", "backslashreplace").split("\n")
        text = "\n".join(map(spelt_out, lines))
        self._stream.write(text.encode(sys.stdout.encoding, "backslashreplace"))
        self._stream.flush()
        return len(bytes(data))

    def flush(self) -> None:
        """Flushes the stream."""
        self._stream.flush()
