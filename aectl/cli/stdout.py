"""What goes to stdout: results, whatever its encoding, and harmless to a terminal."""

import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from aectl.cli.console import printable
from aectl.outputs.texts import spelt_out

if TYPE_CHECKING:
    from typing import Any


def show(text: str) -> None:
    """Writes lines to be read; what the encoding of stdout does not have is spelt out."""
    try:
        data = text.encode(sys.stdout.encoding, "surrogateescape")
    except UnicodeEncodeError:
        data = text.encode(sys.stdout.encoding, "backslashreplace")
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def show_path(path: Path) -> None:
    """Writes a path as a line: its very bytes, so that a shell finds the file, or on a terminal, as
    that can show it.
    """
    if sys.stdout.isatty():
        show(spelt_out(printable(str(path))) + "\n")
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(path) + b"\n")
    sys.stdout.flush()


def for_tables() -> IO[bytes]:
    """The stream that tables are written to: on a terminal, one that spells out what would steer
    it.
    """
    stream = sys.stdout.buffer
    return cast("IO[bytes]", Spelling(stream)) if sys.stdout.isatty() else stream


class Spelling:
    """A stream of UTF-8 to a terminal: control characters but line ends are spelt out."""

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
        """Passes all on."""
        self._stream.flush()
