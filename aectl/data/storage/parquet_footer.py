"""The footer of a Parquet file: its columns and row groups, without the library for the rest.

It is Thrift in the compact protocol (parquet.thrift of Apache Parquet). Of a hostile file, each
element takes at least a byte, so that reading ends with the footer.
"""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aectl.data.codes.table_content import TableError
from aectl.data.storage import drivers
from aectl.data.storage.urls import is_url

MAGIC = b"PAR1"

ENDING = 8
"""Bytes after the footer: its length, and MAGIC."""

USUAL_FOOTER = 64 << 10
"""Bytes at the end of a file, in which most footers lie."""

LARGEST_FOOTER = 64 << 20
DEEPEST = 32
"""Maximum bytes of a footer, and depth of structures in it."""

MOST_ELEMENTS = 200_000
"""Maximum number of columns, and of structures that hold some."""

SCHEMA, GROUPS = 2, 4
"""The fields of FileMetaData that are read."""
TYPE, REPETITION, NAME, CHILDREN = 1, 3, 4, 5
"""Those of SchemaElement."""
GROUP_BYTES, GROUP_ROWS = 2, 3
"""Those of RowGroup."""

BYTE_ARRAY, REPEATED = 6, 2

BYTES, PATH = "bytes", "path"
"""The fields of an image, as Hugging Face writes it."""

USUAL = ("image", "img")
"""Names of the column that is read where there are several of images, the first first."""

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
"""The types of the compact protocol."""


class FooterError(TableError):
    """A file that has no footer that can be read; the message is the reason."""


class Leaf(NamedTuple):
    """A node of the schema: its name, its fields, and whether it holds strings of bytes."""

    name: str
    fields: "tuple[Leaf, ...]" = ()
    is_bytes: bool = False


class RowGroup(NamedTuple):
    """A row group: its number of rows, and their bytes, decompressed."""

    rows: int
    size: int


class Footer(NamedTuple):
    """The columns of a file, and its row groups."""

    columns: tuple[Leaf, ...]
    groups: tuple[RowGroup, ...]


def read_footer(path: str | os.PathLike[str], groups: bool = True) -> Footer:
    """The footer of a Parquet file; without `groups`, only its columns.

    Raises FooterError, or OSError.
    """
    end = _end_of(path, USUAL_FOOTER)
    length = int.from_bytes(end[-ENDING:-4], "little")
    if len(end) < ENDING or not end.endswith(MAGIC):
        raise FooterError("it is not a Parquet file, or is cut short")
    if 0 < length <= LARGEST_FOOTER and length + ENDING > len(end):
        end = _end_of(path, length + ENDING)
    if not 0 < length <= min(len(end) - ENDING, LARGEST_FOOTER):
        raise FooterError("its footer is damaged, or too large")
    try:
        return _footer(_Compact(end[-ENDING - length : -ENDING]), groups)
    except (IndexError, ValueError, RecursionError):
        raise FooterError("its footer is damaged") from None


def _end_of(path: str | os.PathLike[str], count: int) -> bytes:
    """The last bytes of a file, also at a URL; all, if it has fewer. Raises OSError."""
    if is_url(os.fspath(path)):
        return drivers.end_of(os.fspath(path), count)
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - count))
        return file.read(count)


def image_column(path: str) -> str | None:
    """The column of images of a Parquet file; None if it has none, or is not Parquet."""
    try:
        return image_column_of(read_footer(path, groups=False).columns)
    except (FooterError, OSError):
        return None


def image_column_of(columns: Sequence[Leaf]) -> str | None:
    """The one of some columns that holds images; None if there is none."""
    holding = [
        one.name
        for one in columns
        if {BYTES, PATH} <= {field.name for field in one.fields if field.is_bytes}
    ]
    return next((name for name in USUAL if name in holding), holding[0] if holding else None)


def _footer(compact: "_Compact", with_groups: bool) -> Footer:
    columns: tuple[Leaf, ...] = ()
    groups: list[RowGroup] = []

    def field(number: int, kind: int) -> bool:
        """Reads a field; whether more are wanted."""
        nonlocal columns
        if number == SCHEMA and kind == LIST:
            if (count := compact.list_of(STRUCT)) > MOST_ELEMENTS:
                raise ValueError
            columns = _tree([_element(compact) for _ in range(count)])
            return with_groups
        if number == GROUPS and kind == LIST:
            groups.extend(_group(compact) for _ in range(compact.list_of(STRUCT)))
        else:
            compact.skip(kind)
        return True

    compact.fields(field)
    return Footer(columns, tuple(groups))


class _Element(NamedTuple):
    name: str
    children: int
    is_bytes: bool
    repeated: bool


def _element(compact: "_Compact") -> _Element:
    """A SchemaElement."""
    found = {TYPE: -1, REPETITION: 0, CHILDREN: 0}
    name = b""

    def field(number: int, kind: int) -> bool:
        nonlocal name
        if number in found and kind == I32:
            found[number] = compact.integer()
        elif number == NAME and kind == BINARY:
            name = compact.binary()
        else:
            compact.skip(kind)
        return True

    compact.fields(field)
    is_leaf = found[CHILDREN] == 0
    return _Element(
        name.decode("utf-8", "replace"), found[CHILDREN], is_leaf and found[TYPE] == BYTE_ARRAY,
        found[REPETITION] == REPEATED,
    )  # fmt: skip


def _tree(elements: list[_Element]) -> tuple[Leaf, ...]:
    """The columns of a list of elements in depth-first order, the root first."""
    following = iter(elements)

    def node(depth: int) -> Leaf:
        one = next(following, None)
        if one is None or depth > DEEPEST or one.children < 0:
            raise ValueError
        fields = tuple(node(depth + 1) for _ in range(one.children))
        return Leaf(one.name, () if one.repeated else fields, one.is_bytes and not one.repeated)

    return node(0).fields


def _group(compact: "_Compact") -> RowGroup:
    """A RowGroup."""
    found = {GROUP_BYTES: 0, GROUP_ROWS: 0}

    def field(number: int, kind: int) -> bool:
        if number in found and kind == I64:
            found[number] = compact.integer()
        else:
            compact.skip(kind)
        return True

    compact.fields(field)
    if min(found.values()) < 0:
        raise ValueError
    return RowGroup(found[GROUP_ROWS], found[GROUP_BYTES])


class _Compact:
    """Reads values of Thrift's compact protocol. Raises IndexError at the end, or ValueError."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise ValueError
        return value | byte << shift

    def integer(self) -> int:
        """A signed integer of any width."""
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def binary(self) -> bytes:
        """A string of bytes."""
        size, start = self._varint(), self._at
        if size > len(self._content) - start:
            raise ValueError
        self._at += size
        return self._content[start : self._at]

    def list_of(self, kind: int) -> int:
        """The number of elements of a list. Raises ValueError for elements of another kind."""
        size, found = self._list()
        if found != kind:
            raise ValueError
        return size

    def _list(self) -> tuple[int, int]:
        head = self._byte()
        size = head >> 4
        return (self._varint() if size == 15 else size), head & 15

    def fields(self, read: Callable[[int, int], bool]) -> None:
        """Calls `read` with the number and the type of each field of a structure, until it is
        False."""
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            if not read(number, head & 15):
                return

    def skip(self, kind: int, depth: int = 0) -> None:
        """Passes a value."""
        if depth > DEEPEST:
            raise ValueError
        if kind in (TRUE, FALSE):  # the value is in the type
            return
        if kind == BYTE:
            self._byte()
        elif kind in (I16, I32, I64):
            self._varint()
        elif kind == DOUBLE:
            self._at += 8
        elif kind == BINARY:
            self.binary()
        elif kind in (LIST, SET):
            size, of = self._list()
            for _ in range(size):
                self._skip_element(of, depth)
        elif kind == MAP:
            self._skip_map(depth)
        elif kind == STRUCT:
            self._skip_fields(depth)
        else:
            raise ValueError

    def _skip_element(self, kind: int, depth: int) -> None:
        """Passes an element of a list or a map, where a truth takes a byte."""
        self.skip(BYTE if kind in (TRUE, FALSE) else kind, depth + 1)

    def _skip_map(self, depth: int) -> None:
        size = self._varint()
        kinds = self._byte() if size else 0
        for _ in range(size):
            self._skip_element(kinds >> 4, depth)
            self._skip_element(kinds & 15, depth)

    def _skip_fields(self, depth: int) -> None:
        def field(number: int, kind: int) -> bool:
            self.skip(kind, depth + 1)
            return True

        self.fields(field)
