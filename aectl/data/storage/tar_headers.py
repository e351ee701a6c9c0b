"""The headers of tar archives: the members that they describe.

They are those of POSIX.1-2017 (pax, Interchange Format) and of the GNU tar manual ("Basic Tar
Format", "Storing Sparse Files"). They are read here and not by `tarfile`, which accepts headers of
any size and follows chains of headers by recursion.
"""

import posixpath
from typing import NamedTuple

from aectl.data.storage.compressions import ArchiveError, CutShortError
from aectl.data.storage.expansion import ArchiveStream

BLOCK = 512
"""Bytes of a block; a tar is a sequence of blocks."""

EMPTY = bytes(BLOCK)
"""A block of zeros; such blocks end a tar."""

LARGEST_HEADER = 1 << 20
"""Maximum bytes of a long name or of pax records; a path has at most 4,096 on Linux."""

LONGEST_END = 64 << 20
"""Maximum bytes of zeros after the last member; tar pads to its record size, 10 KiB by default."""

LONGEST_NUMBER = 20
"""Maximum decimal digits of a number in a pax record."""

MOST_PIECES = 100_000
"""Maximum number of pieces of a sparse file."""

NO_TAR = "is not a tar, plain or compressed by gzip, bzip2, xz or Zstandard"

DAMAGED = "is damaged; the members after the damage were not read"

FILE, HARD_LINK, SYMBOLIC_LINK, FOLDER, SPARSE = b"0", b"1", b"2", b"5", b"S"
FILES = (FILE, SPARSE)
LINKS = (HARD_LINK, SYMBOLIC_LINK)
SPECIAL = (b"3", b"4", b"6")
WITHOUT_DATA = (*LINKS, *SPECIAL, FOLDER)
LONG_NAME, LONG_LINK, RECORDS, SOLARIS_RECORDS, GLOBAL_RECORDS = b"L", b"K", b"x", b"X", b"g"

Pieces = list[tuple[int, int]]
"""Offset in the file, and bytes, of each piece of a sparse file."""


class Member(NamedTuple):
    """A member, as described by its headers.

    `stored`: its bytes in the archive. `size`: bytes of the file. `offset`: that of its first
    header. `link`: the path that a link leads to. `pieces`: those of a sparse file, else None.
    """

    name: str
    kind: bytes
    stored: int
    size: int
    offset: int
    link: str
    pieces: Pieces | None


def next_member(stream: ArchiveStream) -> Member | None:
    """The next member, with the stream at the start of its data; None at the end of the archive."""
    offset, extended = stream.offset, dict[bytes, bytes]()
    block = _after_zeros(stream)
    if offset == 0 and len(block) == BLOCK and not _is_header(block):
        raise ArchiveError(NO_TAR)
    while len(block) == BLOCK:
        header = _Header(block)
        if header.kind in (LONG_NAME, LONG_LINK):
            key = b"path" if header.kind == LONG_NAME else b"linkpath"
            extended[key] = _extension(stream, header).rstrip(b"\0")
        elif header.kind in (RECORDS, SOLARIS_RECORDS):
            extended |= _records(_extension(stream, header))
        elif header.kind == GLOBAL_RECORDS:
            _extension(stream, header)
        else:
            return _member(stream, header, extended, offset)
        block = stream.overhead(BLOCK)
    if block or extended:
        raise CutShortError
    return None


def clean(name: str) -> str:
    """A name as GNU tar unpacks it: a path that cannot lead out of the archive."""
    if name[:1] in (".", "/") or "/." in name or "//" in name:
        parts = name.split("/")
        while ".." in parts:
            del parts[: parts.index("..") + 1]
        return "/".join(part for part in parts if part not in ("", "."))
    return name


def _after_zeros(stream: ArchiveStream) -> bytes:
    """The next block that is not all zeros; no bytes at the end of the archive.

    Two blocks of zeros end a tar: what follows is read only if it is another one.
    """
    zeros, start = 0, stream.offset
    while (block := stream.overhead(BLOCK)) == EMPTY:
        zeros += BLOCK
        if zeros > LONGEST_END:
            raise ArchiveError(f"ends in more than {LONGEST_END:,} bytes of zeros")
    if not block.strip(b"\0") and zeros:
        return b""
    is_another = len(block) == BLOCK and _is_header(block)
    if start and zeros >= 2 * BLOCK and not is_another:
        return b""
    if len(block) < BLOCK and stream.offset > len(block):
        raise CutShortError
    if len(block) < BLOCK and block:
        raise ArchiveError(NO_TAR)
    return block


def _is_header(block: bytes) -> bool:
    """Whether the checksum of a block is correct."""
    # Old programs sum signed bytes (POSIX.1-2017, pax, "chksum").
    unsigned = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    try:
        stored = _number(block[148:156])
    except ArchiveError:
        return False
    return stored == unsigned or stored == unsigned - 256 * sum(
        byte > 127 for byte in block[:148] + block[156:]
    )


class _Header:
    """A header block. Raises ArchiveError if its checksum is wrong."""

    def __init__(self, block: bytes) -> None:
        if not _is_header(block):
            raise ArchiveError(DAMAGED)
        self._block = block
        self.kind = block[156:157]
        self.stored = _number(block[124:136])

    @property
    def name(self) -> bytes:
        name, prefix = _text(self._block[:100]), _text(self._block[345:500])
        return prefix + b"/" + name if prefix and self._block[257:263] == b"ustar\0" else name

    @property
    def link(self) -> bytes:
        return _text(self._block[157:257])

    def gnu_sparse(self) -> tuple[Pieces, bool, int]:
        """The first pieces of a sparse file, whether more follow, and the file's size."""
        return _pieces(self._block[386:482]), bool(self._block[482]), _number(self._block[483:495])


def _member(
    stream: ArchiveStream, header: _Header, extended: dict[bytes, bytes], offset: int
) -> Member:
    raw = extended.get(b"path", header.name)
    kind = FILE if header.kind in (b"\0", b"7") else header.kind
    if kind == FILE and raw.endswith(b"/"):  # as tar wrote folders before 1988
        kind = FOLDER
    stored = _decimal(extended[b"size"]) if b"size" in extended else header.stored
    size, pieces = stored, None
    if kind == SPARSE:
        pieces, more, size = header.gnu_sparse()
        while more:
            block = stream.overhead(BLOCK)
            if len(block) < BLOCK:
                raise CutShortError
            pieces += _pieces(block[:504])
            more = bool(block[504]) and len(pieces) < MOST_PIECES
    elif any(key.startswith(b"GNU.sparse.") for key in extended):
        raw = extended.get(b"GNU.sparse.name", raw)
        kind, (pieces, size, mapped) = SPARSE, _pax_sparse(stream, extended)
        stored -= mapped
    if kind in WITHOUT_DATA:  # no data follow, whatever size is stated
        stored = size = 0
    name = clean(_decoded(raw))
    link = _decoded(extended.get(b"linkpath", header.link)) if kind in LINKS else ""
    if kind == SYMBOLIC_LINK:
        link = posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
    return Member(name, kind, max(0, stored), size, offset, clean(link), pieces)


def _extension(stream: ArchiveStream, header: _Header) -> bytes:
    """The data of a member that only describes the next one, such as a long name."""
    if header.stored > LARGEST_HEADER:
        raise ArchiveError(f"has a header of more than {LARGEST_HEADER:,} bytes")
    data = stream.overhead(in_blocks(header.stored))
    if len(data) < header.stored:
        raise CutShortError
    return data[: header.stored]


def _records(data: bytes) -> dict[bytes, bytes]:
    """The pax records `length key=value`; pieces of sparse files are joined with commas."""
    records: dict[bytes, list[bytes]] = {}
    at = 0
    while at < len(data) and data[at]:
        space = data.find(b" ", at, at + LONGEST_NUMBER)
        end = at + _decimal(data[at : max(at, space)])
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not space < end <= len(data) or not equals:
            raise ArchiveError(DAMAGED)
        kept = records.setdefault(key, [])
        if key not in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            kept.clear()
        kept.append(value)
        at = end
    return {key: b",".join(values) for key, values in records.items()}


def _pax_sparse(stream: ArchiveStream, extended: dict[bytes, bytes]) -> tuple[Pieces, int, int]:
    """Pieces and size of a sparse file in pax format 0.0, 0.1 or 1.0, and the bytes of its map."""
    mapped = 0
    if extended.get(b"GNU.sparse.major") == b"1":
        numbers, mapped = _sparse_map(stream)
    elif b"GNU.sparse.map" in extended:
        numbers = [_decimal(one) for one in extended[b"GNU.sparse.map"].split(b",") if one]
    else:
        starts = extended.get(b"GNU.sparse.offset", b"").split(b",")
        counts = extended.get(b"GNU.sparse.numbytes", b"").split(b",")
        numbers = [_decimal(one) for pair in zip(starts, counts, strict=False) for one in pair]
    size = extended.get(b"GNU.sparse.realsize", extended.get(b"GNU.sparse.size", b"0"))
    return list(zip(numbers[::2], numbers[1::2], strict=False)), _decimal(size), mapped


def _sparse_map(stream: ArchiveStream) -> tuple[list[int], int]:
    """The numbers in the blocks before a sparse file's data, and how many bytes they take."""
    blocks = [stream.overhead(BLOCK)]
    wanted = 1 + 2 * _decimal(blocks[0].partition(b"\n")[0])
    lines = blocks[0].count(b"\n")
    while lines < wanted:
        blocks.append(stream.overhead(BLOCK))
        lines += blocks[-1].count(b"\n")
        if len(blocks[-1]) < BLOCK or len(blocks) * BLOCK > LARGEST_HEADER:
            raise ArchiveError("has a sparse file in too many pieces, or is cut short")
    numbers = b"".join(blocks).split(b"\n", wanted)[1:wanted]
    return [_decimal(line) for line in numbers], len(blocks) * BLOCK


def _pieces(packed: bytes) -> Pieces:
    """The pieces of a GNU sparse file that a header lists, 24 bytes each."""
    fields = (packed[at : at + 24] for at in range(0, len(packed) - 23, 24))
    return [(_number(one[:12]), _number(one[12:])) for one in fields if one[:1] != b"\0"]


def _number(field: bytes) -> int:
    """A number of a header: in octal digits, or in base 256 if its first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") - (1 << (8 * len(field) - 1))
        if field[0] & 0x40:
            raise ArchiveError(DAMAGED)
        return value
    digits = field.partition(b"\0")[0].strip()
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise ArchiveError(DAMAGED)
    return int(digits, 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > LONGEST_NUMBER:
        raise ArchiveError(DAMAGED)
    return int(digits)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _decoded(name: bytes) -> str:
    return _text(name).decode("utf-8", "surrogateescape")


def in_blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
