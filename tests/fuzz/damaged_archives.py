"""Damaged tar and zip archives: fields that lie, compression that bombs, bytes that are others."""

import bz2
import gzip
import lzma
import re
import struct
import sys
import zlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from random import Random

from damage import DAMAGES

from aectl.data.selection import Selection
from aectl.data.storage.archives import find_in_archive
from aectl.data.storage.expansion import LARGEST_MEMBER
from aectl.errors import DataError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB = 1 << 20
LARGE = 100
"""MiB of a member that is zeros."""
MOST_REPEATED = 8 * MIB
"""Bytes of a member that is repeated: bz2 takes seconds to compress more."""
ENDINGS = (".tar", ".zip", ".tar.gz")
COMPRESS: tuple[Callable[[bytes], bytes], ...] = (
    bytes, bytes, gzip.compress, bz2.compress, partial(lzma.compress, preset=0), zstd.compress,
    partial(lzma.compress, format=lzma.FORMAT_ALONE, preset=0),
)  # fmt: skip
SIZES = (
    0, 1, 511, 512, 513, 10_000, 1 << 20, (1 << 20) + 1, LARGEST_MEMBER, LARGEST_MEMBER + 1,
    (1 << 31) - 1, 1 << 32, (1 << 63) - 1, 1 << 64, 10**20,
)  # fmt: skip
NAMES = (
    b"", b".", b"..", b"/", b"a.png/", b"../../x.png", b"/etc/x.png", b"a/../../x.png",
    b"\xff\xfe.png", b"a\nb.png", b"a\0b.png", b"x" * 5000 + b".png", b"/" * 3000 + b"x.png",
    b"a.png", b"\x1b[2J.png", b"a\\b.png", b"=1+1.png", b"x.tar",
    b".png", b"sea/a.png", b"y" * 65_000 + b".png",
)  # fmt: skip
"""Some of which links lead to."""

TYPES = b"\0" + b"0123456789ADKLMNSVXgxZ\xff"
RECORDS = (
    b"path", b"linkpath", b"size", b"GNU.sparse.major", b"GNU.sparse.realsize", b"GNU.sparse.map",
    b"GNU.sparse.size", b"GNU.sparse.name", b"GNU.sparse.offset", b"GNU.sparse.numbytes", b"mtime",
    b"hdrcharset", b"",
)  # fmt: skip
VALUES = (
    b"", b"0", b"1", b"-1", b"1e9", b"9" * 19, b"9" * 30, b"0,1,2,3", b"0," * 1000, b"a.png",
    b"999999999,1", b"BINARY", b"\n", b"=", b"\xff", b"x" * 9000,
)  # fmt: skip
METHODS = (0, 0, 8, 8, 8, 12, 14, 93, 95, 9, 98, 99, 65535)


def archive_name(number: int) -> str:
    """The name of the damaged archive of this number."""
    return f"archive{ENDINGS[number % len(ENDINGS)]}"


@cache
def zeros(compress: Callable[[bytes], bytes]) -> bytes:
    """32 MiB of zeros, compressed."""
    return compress(bytes(32 * MIB))


def header(name: bytes, size: int, kind: bytes, link: bytes, chance: Random) -> bytes:
    """A block that describes a member, its checksum as it should be but for now and then."""
    block = bytearray(512)
    block[:100] = name[:100].ljust(100, b"\0")
    octal = b"%011o\0" % (size % (1 << 33))
    block[100:148] = b"0000644\0" + b"0000000\0" * 2 + octal + b"00000000000\0"
    if size >= 1 << 33 or chance.random() < 0.05:
        block[124:136] = b"\x80" + (size % (1 << 88)).to_bytes(11, "big")
    block[156:157], block[157:257] = kind, link[:100].ljust(100, b"\0")
    block[257:265] = chance.choice((b"ustar\0" + b"00", b"ustar  \0", bytes(8)))
    if kind == b"S":
        block[386:495] = chance.choice(
            (b"00000000000\0" * 8 + b"\0" + b"00000001000\0", b"\xff" * 109)
        )
        block[482] = chance.randrange(2)
    for _ in range(chance.choice((0, 0, 0, 1, 3))):
        block[chance.randrange(512)] = chance.choice((0, 0x20, 0x37, 0x80, 0xFF, 0x41))
    block[148:156] = b" " * 8
    if chance.random() < 0.97:
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def content_for(kind: bytes, chance: Random) -> bytes:
    """What stands in a member: of those that describe the next one, names and records."""
    if kind in b"LK":
        return chance.choice(NAMES) + b"\0"
    if kind in b"xXg":
        records = [record(chance) for _ in range(chance.choice((1, 1, 3, 50)))]
        return b"".join(records)
    if kind == b"S" or chance.random() < 0.1:
        return chance.choice((b"1\n0\n512\n", b"9999999\n", b"3\n" + b"0\n1\n" * 3)).ljust(
            512, b"\0"
        )
    return chance.randbytes(chance.choice((0, 5, 700)))


def record(chance: Random) -> bytes:
    """A pax record; its length may lie."""
    body = b" " + chance.choice(RECORDS) + b"=" + chance.choice(VALUES) + b"\n"
    length = len(body) + 1
    while length != len(str(length)) + len(body):
        length = len(str(length)) + len(body)
    if chance.random() < 0.1:
        length = chance.choice((0, 1, length - 1, length + 1, 10**6, 10**18))
    return b"%d" % length + body


def tar_pieces(chance: Random) -> list[bytes]:
    """The members of a tar, and its end where it has one."""
    pieces = [header(b"sea/a.png", 3, b"0", b"", chance) + b"abc".ljust(512, b"\0")]
    for _ in range(chance.choice((1, 3, 8, 40))):
        kind = bytes([chance.choice(TYPES)]) if chance.random() < 0.7 else b"0"
        content = content_for(kind, chance)
        size = chance.choice(SIZES) if chance.random() < 0.2 else len(content)
        name = chance.choice(NAMES) if chance.random() < 0.4 else b"%d.png" % chance.randrange(9)
        block = header(name, size, kind, chance.choice(NAMES), chance)
        pieces.append(block + content + bytes(-len(content) % 512))
        if chance.random() < 0.05:
            pieces[-1] *= min(chance.choice((10, 2000)), MOST_REPEATED // len(pieces[-1]) + 1)
    if chance.random() < 0.8:
        pieces.append(bytes(chance.choice((512, 1024, 10240))))
    return pieces


def damaged_tar(chance: Random) -> bytes:
    """A tar, compressed as a whole or in parts, with gigabytes of zeros in it now and then."""
    compress, pieces = chance.choice(COMPRESS), tar_pieces(chance)
    if compress is bytes:
        return b"".join(pieces)
    if chance.random() < 0.5:
        return compress(b"".join(pieces))
    packed = [compress(piece) for piece in pieces]
    if chance.random() < 0.1:
        huge = header(b"z.png", 1 << 33, chance.choice((b"0", b"x", b"L", b"S")), b"", chance)
        packed.insert(chance.randrange(len(packed)), compress(huge) + zeros(compress) * 64)
    if chance.random() < 0.05:
        packed.append(zeros(compress) * 64)
    return b"".join(packed)


@cache
def of_method(method: int, mebibytes: int) -> tuple[bytes, int, int]:
    """A member as a method compresses it, its checksum and size: zeros, or a few letters."""
    content = bytes(mebibytes * MIB) or b"some letters" * 20
    if method == 8:
        packed = zlib.compress(content)[2:-4]
    elif method == 12:
        packed = bz2.compress(content)
    elif method == 14:
        chain = [{"id": lzma.FILTER_LZMA1, "preset": 0, "dict_size": 1 << 16}]
        raw = lzma.compress(content, lzma.FORMAT_RAW, filters=chain)
        packed = struct.pack("<BBHBI", 9, 4, 5, 93, 1 << 16) + raw
    elif method == 93:
        packed = zstd.compress(content)
    elif method == 95:
        packed = lzma.compress(content, preset=0)
    else:
        packed = content
    return packed, zlib.crc32(content), len(content)


def damaged_zip(chance: Random) -> bytes:
    """A zip whose members and table of contents lie in any field."""
    body, table, count = b"", b"", chance.choice((1, 3, 10, 60))
    large = chance.choice((0, 0, 0, 0, 0, LARGE))
    for number in range(count):
        method = chance.choice(METHODS)
        packed, crc, size = of_method(method, large if method in (12, 14, 93, 95) else 0)
        name = chance.choice(NAMES)[:65_535] if chance.random() < 0.2 else b"%d.png" % number
        flags = chance.choice((0, 0, 0, 0x800, 1, 8, 0x40, 0xFFFF))
        fields = [
            63,
            flags if name.isascii() else 0,
            method,
            0,
            33,
            crc,
            len(packed),
            size,
            len(name),
            0,
        ]
        at = len(body)
        body += struct.pack("<4s5H3I2H", b"PK\3\4", *fields) + name + packed
        if chance.random() < 0.3:
            place = chance.choice((2, 5, 6, 7))
            fields[place] = chance.choice(SIZES) % (1 << (16 if place == 2 else 32))
        if chance.random() < 0.1:
            at = chance.choice((0, chance.randrange(1 << 32), chance.randrange(len(body))))
        mode = chance.choice((0, 0, 0, 0o120777 << 16, 0o040755 << 16))
        table += struct.pack("<4sH5H3I5H2I", b"PK\1\2", 0x314, *fields, 0, 0, 0, mode, at) + name
    ends = [0, 0, count, count, len(table), len(body), 0]
    if chance.random() < 0.1:
        place = chance.randrange(7)
        ends[place] = chance.choice(SIZES) % (1 << (32 if place in (4, 5) else 16))
    return body + table + struct.pack("<4s4H2IH", b"PK\5\6", *ends)


def damaged_archive(number: int) -> bytes:
    """The damaged archive of this number."""
    chance = Random(number)
    content = damaged_zip(chance) if archive_name(number).endswith(".zip") else damaged_tar(chance)
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        content = chance.choice(DAMAGES)(content, chance) or b"\0"
    return content


def read_archive(path: Path) -> None:
    """Reads every member; one of which nothing can be read is refused."""
    contents, reasons = 0, []
    chosen = Selection(include=("*",)) if path.stat().st_size % 2 else Selection()
    for found in find_in_archive(str(path), chosen):
        assert found.path == str(path) or found.path.startswith(f"{path}/")
        assert not {"..", "."} & set(found.path.removeprefix(f"{path}").split("/")), found.path
        if found.reason is None:
            assert found.content is not None
            assert len(found.content) <= LARGEST_MEMBER
            contents += 1
        else:
            reasons.append(found.reason)
            strange = re.search(r"Error|Exception|Traceback|defect", found.reason)
            assert not strange, found.reason
            assert len(found.reason.splitlines()) == 1, found.reason
    if reasons and not contents:
        raise DataError(reasons[-1])
