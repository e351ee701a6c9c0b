"""Archives written field by field, so that they may lie."""

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4sH5H3I5H2I")
END = struct.Struct("<4s4H2IH")


class Entry(NamedTuple):
    """A member of a zip (APPNOTE.TXT, 4.3.7 and 4.3.12); `packed` is as `method` compresses it."""

    name: bytes
    packed: bytes
    crc: int
    size: int
    method: int = 0
    flags: int = 0
    at: int | None = None


def stored(name: bytes, content: bytes) -> Entry:
    """A member that is not compressed."""
    return Entry(name, content, zlib.crc32(content), len(content))


def zip_of(entries: Sequence[Entry]) -> bytes:
    """A zip; an entry that says `at` where it stands has no bytes of its own."""
    body, table = b"", b""
    for entry in entries:
        fields = (
            63, entry.flags, entry.method, 0, 33, entry.crc, len(entry.packed), entry.size,
            len(entry.name), 0,
        )  # fmt: skip
        at = len(body) if entry.at is None else entry.at
        if entry.at is None:
            body += LOCAL.pack(b"PK\3\4", *fields) + entry.name + entry.packed
        table += CENTRAL.pack(b"PK\1\2", 63, *fields, 0, 0, 0, 0, at) + entry.name
    count = len(entries)
    return body + table + END.pack(b"PK\5\6", 0, 0, count, count, len(table), len(body), 0)
