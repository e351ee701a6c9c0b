"""Members of zip archives (APPNOTE.TXT of PKWARE), in the order of their table of contents.

The table is read by `zipfile`; members are read here, because `zipfile` lets bzip2 and LZMA expand
without limit, whatever size the table states.
"""

import bz2
import lzma
import os
import posixpath
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import cached_property, partial
from typing import BinaryIO
from zipfile import ZipInfo

from aectl.data.found import Found
from aectl.data.selection import Search
from aectl.data.storage.compressions import (
    DECODER_MEMORY,
    ArchiveError,
    Deflate,
    NewDecompressor,
    refusal,
    zstandard,
)
from aectl.data.storage.expansion import (
    LARGEST_MEMBER,
    TOO_LARGE,
    Budget,
    Share,
)
from aectl.data.storage.tar_headers import clean
from aectl.data.storage.tars import LONGEST_NAME, TOO_LONG_A_NAME

STORED, LZMA = 0, 14
DECOMPRESSORS: dict[int, NewDecompressor] = {
    8: partial(Deflate, -15),
    12: bz2.BZ2Decompressor,
    93: zstandard,
    95: partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, DECODER_MEMORY),
}
"""Decoders by the number of the compression method (4.4.5)."""

METHODS = {
    1: "Shrink", 6: "Implode", 9: "Deflate64", 94: "MP3", 96: "JPEG", 97: "WavPack", 98: "PPMd",
}  # fmt: skip
"""Names of compression methods that are not supported."""

LOCAL_HEADER = struct.Struct("<4s5H3I2H")
"""The header in front of each member (4.3.7)."""

ENCRYPTED, UTF8 = 0x1 | 0x40, 0x800
"""Bits of the general purpose flag (4.4.4)."""

AES = 99
"""The number of the "method" of members that are encrypted by AES."""

LONGEST_LINK = 4096
"""Maximum bytes of the path that a symbolic link leads to."""


class MemberError(Exception):
    """A member cannot be read; the message is the reason."""


def in_zip(archive: str, search: Search) -> Iterator[Found]:
    """The wanted files of a zip, by their paths in the archive.

    Raises BadZipFile, or ArchiveError, if the archive cannot be read.
    """
    with open(archive, "rb") as file, _opened(file) as packed:
        reader = _Reader(file, packed)
        for member in packed.infolist():
            name = name_of(member)
            folder = member.filename.endswith("/") or name.endswith("/")
            if folder or not search.takes(name[-LONGEST_NAME:]):
                continue
            if len(name) > LONGEST_NAME:
                yield Found(name[-LONGEST_NAME:], reason=TOO_LONG_A_NAME)
                continue
            try:
                content = reader.read(member)
            except MemberError as error:
                yield Found(name, reason=str(error))
            else:
                yield Found(name, content=content)


def _opened(file: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except UnicodeDecodeError:
        raise ArchiveError("has a name that is said to be UTF-8 and is not") from None


def name_of(member: ZipInfo) -> str:
    """A member's name, with slashes.

    A name without the UTF-8 flag is decoded as UTF-8 if possible (macOS and old Linux programs
    omit the flag), else as code page 437, as the format says. Backslashes, which some Windows
    programs write, become slashes, except in names decoded as code page 437: in other Asian code
    pages, which programs also use without saying so, that byte may be half of a letter.
    """
    name = member.filename
    if not member.flag_bits & UTF8 and not name.isascii():
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            return clean(name)
    return clean(name if "/" in name else name.replace("\\", "/"))


class _Reader:
    """Reads members of a zip, and refuses members that overlap."""

    def __init__(self, file: BinaryIO, packed: zipfile.ZipFile) -> None:
        self._file, self._budget, self._table = file, Budget(), packed.infolist()
        starts = sorted(member.header_offset for member in self._table)
        following = [*starts[1:], packed.start_dir][: len(starts)]
        # Where several members start at one offset, only the last of them has room for data.
        self._ends = dict(zip(reversed(starts), reversed(following), strict=True))

    @cached_property
    def _members(self) -> dict[str, ZipInfo]:
        """All members by name, to which links may lead."""
        return {name_of(member): member for member in self._table}

    def read(self, member: ZipInfo) -> bytes:
        """A member's content; for a link, that of the file that it leads to.

        Raises MemberError, or ArchiveError if all members together expand to too much.
        """
        if not stat.S_ISLNK(member.external_attr >> 16):
            return self._content(member, LARGEST_MEMBER, self._budget.content)
        link = self._content(member, LONGEST_LINK, self._budget.overhead)
        target = _target(name_of(member), link)
        linked = self._members.get(target)
        if linked is None or stat.S_ISLNK(linked.external_attr >> 16):
            raise MemberError(f"is a link to {target!r}, which is no file in the archive")
        return self._content(linked, LARGEST_MEMBER, self._budget.overhead)

    def _content(self, member: ZipInfo, largest: int, share: Share) -> bytes:
        """A member's own bytes, checked against the table of contents."""
        if largest == LONGEST_LINK and member.file_size > largest:
            raise MemberError(f"is a link to a path of more than {LONGEST_LINK:,} bytes")
        if member.file_size > largest or member.compress_size > LARGEST_MEMBER:
            raise MemberError(TOO_LARGE)
        _refuse_unsupported(member)
        packed = self._packed(member)
        content = _expanded(member.compress_type, packed, min(member.file_size, share.left) + 1)
        share.spend(len(content))
        if len(content) != member.file_size:
            raise MemberError("is damaged: it has not the size that the archive says")
        if zlib.crc32(content) != member.CRC:
            raise MemberError("is damaged: its checksum (CRC-32) is another")
        return content

    def _packed(self, member: ZipInfo) -> bytes:
        """The bytes of a member in the archive, still compressed."""
        header = b""
        if member.header_offset >= 0:
            self._file.seek(member.header_offset)
            header = self._file.read(LOCAL_HEADER.size)
        if len(header) < LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
            raise MemberError("is damaged: its header is not where the archive says")
        *_, name, extra = LOCAL_HEADER.unpack(header)
        end = member.header_offset + LOCAL_HEADER.size + name + extra + member.compress_size
        if end > self._ends[member.header_offset]:
            raise MemberError("is damaged: it overlaps another member")
        self._budget.consumed = max(self._budget.consumed, end)
        self._file.seek(name + extra, os.SEEK_CUR)
        return self._file.read(member.compress_size)


def _refuse_unsupported(member: ZipInfo) -> None:
    method = member.compress_type
    if member.flag_bits & ENCRYPTED or method == AES:
        raise MemberError("is encrypted, which is not supported: unpack the archive")
    if method not in (STORED, LZMA, *DECOMPRESSORS):
        name = METHODS.get(method, f"method {method}")
        raise MemberError(f"is compressed by {name}, which is not supported: unpack the archive")


def _expanded(method: int, packed: bytes, count: int) -> bytes:
    """At most the first `count` bytes of a decompressed member."""
    if method == STORED:
        return packed[:count]
    try:
        if method == LZMA:
            return _lzma(packed).decompress(packed[9:], count)
        return DECOMPRESSORS[method]().decompress(packed, count)
    except Exception as error:  # each decoder raises its own kind
        raise MemberError(refusal(error)) from None


def _lzma(packed: bytes) -> lzma.LZMADecompressor:
    """A decoder with the properties at the start of a member compressed by LZMA (5.8.8)."""
    _, _, size, properties, dictionary = struct.unpack("<BBHBI", packed[:9])
    if size != 5:
        raise ValueError("its LZMA properties are not 5 bytes")
    rest, lc = divmod(properties, 9)
    pb, lp = divmod(rest, 5)
    # Larger members are refused, so a larger dictionary is of no use.
    dictionary = max(4096, min(dictionary, LARGEST_MEMBER))
    chain = [{"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=chain)


def _target(link: str, content: bytes) -> str:
    """The path that a symbolic link leads to, in the archive."""
    path = posixpath.join(posixpath.dirname(link), content.decode("utf-8", "surrogateescape"))
    return posixpath.normpath(path)
