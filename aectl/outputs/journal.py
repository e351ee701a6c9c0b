"""The journal of an unfinished table; a damaged one is refused."""

import itertools
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aectl.data.named_inputs import Position
from aectl.errors import OutputError

PIECE = 1 << 20
"""Number of bytes that are read at a time."""

SUM = "sum"
"""The field of a line that holds the checksum of its other fields."""

BadInput = tuple[str, str]
"""The path of an input that could not be read, and why."""


class Kept(NamedTuple):
    """The state of a table: number of rows, size (in bytes, or in blocks) and checksum.

    `position` is the last input that was read, `bad` the inputs that could not be read. The
    checksum is zlib's CRC-32 of all bytes, or of the last block.
    """

    rows: int
    size: int
    crc: int
    position: Position
    bad: list[BadInput]

    def as_json(self) -> dict[str, Any]:
        """The line of the journal, with its checksum."""
        inputs, digest, _ = self.position
        fields = {**self._asdict(), "position": [inputs, digest]}
        return {**fields, SUM: _sum(fields)}


NOTHING = Kept(0, 0, 0, Position(0, ""), [])


def notes_of(text: bytes, journal: Path) -> list[dict[str, Any]]:
    """The lines of a journal, except an incomplete last one.

    Raises OutputError for a line that is not a JSON object.
    """
    notes = []
    for number, line in enumerate(text.split(b"\n")[:-1], 1):
        try:
            note = json.loads(line)
        except (ValueError, RecursionError):
            note = None
        if not isinstance(note, dict):
            raise damaged(journal, number)
        notes.append(note)
    return notes


def damaged(journal: Path, line: int) -> OutputError:
    """The error for a damaged line."""
    return OutputError(f"{journal} is damaged in line {line}; --overwrite starts again")


def kept_of(note: Mapping[str, Any], before: Kept) -> Kept:
    """Reads the state in a line; `before` is the state in the previous one.

    Raises KeyError, TypeError or ValueError for a damaged line.
    """
    fields = {name: value for name, value in note.items() if name != SUM}
    if note[SUM] != _sum(fields):
        raise ValueError
    match note["position"]:
        case [int(inputs), str(digest)]:
            position = Position(inputs, digest)
        case _:
            raise ValueError
    numbers = [note[name] for name in ("rows", "size", "crc")]
    if any(type(number) is not int or number < 0 for number in [*numbers, inputs]):
        raise ValueError
    rows, size, crc = numbers
    if rows < before.rows or size < before.size or inputs < before.position.inputs:
        raise ValueError
    bad = [(path, reason) for path, reason in note["bad"]]
    if not all(isinstance(text, str) for text in itertools.chain.from_iterable(bad)):
        raise ValueError
    return Kept(rows, size, crc, position, bad)


def _sum(fields: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(fields).encode())


def checksum(path: Path, first: int = 0, last: int | None = None, crc: int = 0) -> int:
    """Continues the CRC-32 of a file with its bytes from `first` to `last`."""
    for piece in _pieces(path, first, last):
        crc = zlib.crc32(piece, crc)
    return crc


def _pieces(path: Path, first: int, last: int | None) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(first)
        left = os.fstat(file.fileno()).st_size - first if last is None else last - first
        while left > 0 and (piece := file.read(min(PIECE, left))):
            left -= len(piece)
            yield piece
