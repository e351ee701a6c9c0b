"""Lines of text in a file or a stream, in UTF-8 or UTF-16, and paths in a list."""

import codecs
import os
import select
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, Protocol

from aectl.config.encodings import conversion, name_of, wide
from aectl.errors import DataError

CHUNK = 1 << 16

MARKS = (
    codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE,
    codecs.BOM_UTF32_BE,
)  # fmt: skip
"""The byte-order marks of the encodings of Unicode."""


class ByteSource(Protocol):
    """A source of bytes."""

    def read1(self, size: int, /) -> bytes | None:
        """The available bytes; empty at the end, None if there are none yet."""
        ...


def pieces(stream: BinaryIO | ByteSource, separator: bytes) -> Iterator[bytes | None]:
    """The pieces of a stream between separators, as they arrive; None before it may wait."""
    open_piece: list[bytes] = []
    while chunk := _chunk(stream):
        first, *others = chunk.split(separator)
        open_piece.append(first)
        if others:
            yield b"".join(open_piece)
            *whole, last = others
            yield from whole
            open_piece = [last]
        yield None
    if rest := b"".join(open_piece):
        yield rest


def whole(stream: BinaryIO) -> bytes:
    """All bytes of a stream."""
    return b"".join(iter(partial(_chunk, stream), b""))


def numbered(content: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """The lines of text in UTF-8, with their numbers, from 1; None before a line that may have to
    be waited for.

    Text with a byte-order mark may also be in UTF-16. If the first lines end with a carriage return
    alone, as on old Macs, all lines do. Raises DataError for text that is not in the UTF-16 of its
    mark, for UTF-16 without a mark, and for UTF-32.
    """
    start, stream = _in_utf_8(content)
    number, waits = 0, not content.seekable()
    for raw in pieces(stream, _line_end(start)):
        number += raw is not None
        if raw is not None or waits:
            yield number, raw.removeprefix(codecs.BOM_UTF8) if raw and number == 1 else raw


def paths(stream: BinaryIO, null_separated: bool) -> Iterator[str | None]:
    """The paths in a list, one per line or separated by NUL characters; None before it may wait.

    Lines are read as `numbered` reads them. Carriage returns at their ends are removed, and `~` at
    the start is the home folder, unless a file has exactly that name. Raises DataError as
    `numbered` does.
    """
    if null_separated:
        for piece in pieces(stream, b"\0"):
            if piece != b"":
                yield None if piece is None else os.fsdecode(piece)
        return
    try:
        for _, line in numbered(stream):
            path = None if line is None else _meant(os.fsdecode(line))
            if path != "":
                yield path
    except DataError as error:
        raise DataError(f"the list of paths {error}") from None


def _line_end(start: bytes) -> bytes:
    """The line end of a text, from its first bytes."""
    return b"\r" if b"\r" in start[:-1] and b"\n" not in start else b"\n"


def _meant(path: str) -> str:
    """The path in a line of a list, without a carriage return and with `~` expanded."""
    if "\0" in path:
        return path
    if path.endswith("\r") and not os.path.lexists(path):
        path = path[:-1]
    if path.startswith("~") and not os.path.lexists(path):
        path = os.path.expanduser(path)
    return path


def _in_utf_8(stream: BinaryIO) -> tuple[bytes, ByteSource]:
    """The first bytes of a text, and the whole text, converted from UTF-16 if it has its mark.

    Raises DataError for text in UTF-16 without a mark, and in UTF-32.
    """
    start = _start(stream)
    text: ByteSource = _Prefixed(start, stream)
    encoding = wide(start)
    if encoding and encoding != "utf-16":
        raise DataError(f"is in {name_of(encoding)}; {conversion(encoding)}")
    if encoding:
        text = _Recoded(text)
        start = _chunk(text)
        text = _Prefixed(start, text)
    return start, text


def _start(stream: BinaryIO | ByteSource) -> bytes:
    """The first bytes of a stream: more than the first that arrive if these begin a mark."""
    start = _chunk(stream)
    while start and any(mark.startswith(start) for mark in MARKS) and (more := _chunk(stream)):
        start += more
    return start


def _chunk(stream: BinaryIO | ByteSource) -> bytes:
    """The next bytes of a stream; none at its end."""
    read = getattr(stream, "read1", None) or stream.read  # type: ignore[union-attr]
    while (chunk := read(CHUNK)) is None:  # a stream that does not block, and has nothing yet
        select.select([stream], [], [])  # type: ignore[type-var]
    found: bytes = chunk
    return found


class _Prefixed:
    """A stream whose start has already been read."""

    def __init__(self, start: bytes, rest: BinaryIO | ByteSource) -> None:
        self._start, self._rest = start, rest

    def read1(self, _: int) -> bytes:
        start, self._start = self._start, b""
        return start or _chunk(self._rest)


class _Recoded:
    """A stream of UTF-16, converted to UTF-8."""

    def __init__(self, stream: ByteSource) -> None:
        self._stream, self._decoder = stream, codecs.getincrementaldecoder("utf-16")()

    def read1(self, _: int) -> bytes:
        """The next bytes. Raises DataError if the text is not in UTF-16."""
        try:
            while chunk := _chunk(self._stream):
                if text := self._decoder.decode(chunk):
                    return text.encode()
            return self._decoder.decode(b"", final=True).encode()
        except UnicodeDecodeError:
            raise DataError("is not the UTF-16 that its byte-order mark claims") from None
