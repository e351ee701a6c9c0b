"""Decompresses a file step by step, with a limit on the size that it may expand to."""

import bz2
import io
import lzma
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Protocol, Self

LARGEST_MEMBER = 128 << 20
"""Maximum bytes of a member of an archive; larger members are not unpacked into memory."""

TOO_LARGE = f"has more than {LARGEST_MEMBER:,} bytes: unpack it, and name the file itself"

ALLOWANCE = 128 << 20
"""Bytes that an archive of any size may expand to, as many as the largest member may have."""

CONTENT_RATIO = 1000
"""Maximum bytes of images for each byte of the archive; Deflate reaches 1,032 with zeros only."""

OVERHEAD_RATIO = 100
"""Maximum bytes of headers, skipped files and links for each byte of the archive."""

DECODER_MEMORY = 256 << 20
"""Maximum bytes that a decompressor may need; files of `xz -9` need 65 MiB."""

FEED = 16 << 10
"""Compressed bytes that are read at a time; few, as those after the end of a stream are copied."""

BUFFER = 256 << 10
"""Decompressed bytes that are produced at a time."""

SMALL = 512
"""The same, once a file is known to be damaged."""

FILE_BUFFER = 64 << 10
"""Bytes that are read from the disk at a time."""


class ArchiveError(Exception):
    """An archive cannot be read any further; the message continues a sentence with its name."""


class CutShortError(ArchiveError):
    """An archive ends too early."""

    def __init__(self) -> None:
        super().__init__("is cut short")


class Decompressor(Protocol):
    """A decoder of one compressed stream, as `bz2` and `lzma` have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Deflate:
    """zlib's decoder with the interface of the others; `wbits` as in `zlib.decompressobj`."""

    def __init__(self, wbits: int) -> None:
        self._decoder = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._decoder.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            return self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)
        except zlib.error as error:  # "Error -3 while decompressing data: " and the reason
            raise ValueError(str(error).rpartition(": ")[2]) from None


def zstandard() -> Decompressor:
    """A decoder of Zstandard; it refuses streams that need more than 128 MiB, as zstd does."""
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdDecompressor
    else:
        from backports.zstd import ZstdDecompressor
    return ZstdDecompressor()


NewDecompressor = Callable[[], Decompressor]

BZIP2 = tuple(
    b"BZh%d" % level + first for level in range(1, 10) for first in (b"1AY&SY", b"\x17rE8P\x90")
)
"""The first bytes of a stream with a block, and of one without."""

LZMA_ALONE = tuple(b"\x5d" + (1 << power).to_bytes(4, "little") for power in range(16, 30))
"""The usual properties, and a dictionary of 64 KiB to 512 MiB."""

ZSTANDARD = (b"\x28\xb5\x2f\xfd", *(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60)))
"""A frame, or a skippable frame, which may contain an index (RFC 8878, 3.1)."""

COMPRESSIONS: dict[tuple[bytes, ...], NewDecompressor] = {
    (b"\x1f\x8b",): partial(Deflate, 31),
    BZIP2: bz2.BZ2Decompressor,
    (b"\xfd7zXZ\0",): partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, DECODER_MEMORY),
    LZMA_ALONE: partial(lzma.LZMADecompressor, lzma.FORMAT_ALONE, DECODER_MEMORY),
    ZSTANDARD: zstandard,
}
"""Decoders by the first bytes of a compressed stream."""

FOREIGN = {
    b"\x1f\x9d": "compress (.Z)", b"\x04\x22\x4d\x18": "lz4", b"LZIP\1": "lzip", b"\x89LZO": "lzop",
    b"7z\xbc\xaf\x27": "7-Zip", b"Rar!\x1a\7": "RAR",
}  # fmt: skip
"""Names of compressions that are not supported, by the first bytes of the file."""

LONGEST_MAGIC = 10
"""Bytes at the start of a file that identify its compression."""


@dataclass
class Share:
    """The part of a budget for one purpose: ALLOWANCE, and `ratio` bytes for each byte read."""

    budget: "Budget"
    ratio: int
    purpose: str
    spent: int = 0

    @property
    def left(self) -> int:
        """Bytes that are still allowed."""
        return max(0, ALLOWANCE + self.ratio * self.budget.consumed - self.spent)

    def spend(self, count: int) -> None:
        """Counts bytes. Raises ArchiveError if they are too many."""
        too_many = count > self.left
        self.spent += count
        if too_many:
            raise ArchiveError(
                f"expands to more than {ALLOWANCE >> 20} MiB and {self.ratio:,} times its size"
                f"{self.purpose}; if you trust it, unpack it first"
            )


class Budget:
    """The limits on the expansion of an archive, shared by all its readers.

    `consumed`: the bytes of the archive that were read. `content`: the share of wanted members.
    `overhead`: that of headers, skipped members and links.
    """

    def __init__(self) -> None:
        self.consumed = 0
        self.content = Share(self, CONTENT_RATIO, "")
        self.overhead = Share(self, OVERHEAD_RATIO, " of headers and files to skip")


class Expanding(io.RawIOBase):
    """The decompressed bytes of a file with one compressed stream, or several in a row.

    `trailing`: whether other data follow. Raises CutShortError, or the error of the decoder if the
    file is damaged.
    """

    def __init__(self, packed: BinaryIO, start: NewDecompressor, magic: tuple[bytes, ...]) -> None:
        super().__init__()
        self._packed, self._start, self._magic = packed, start, magic
        self._decoder, self._waiting = start(), b""
        self.trailing = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Writes bytes to the start of `buffer` and returns their number; 0 at the end."""
        while True:
            if self._decoder.eof and not self._next_stream():
                return 0
            data = b""
            if self._decoder.needs_input:
                data = self._waiting or self._packed.read(FEED)
                self._waiting = b""
                if not data:
                    raise CutShortError
            expanded = self._decoder.decompress(data, len(buffer))
            if expanded:
                buffer[: len(expanded)] = expanded
                return len(expanded)

    def _next_stream(self) -> bool:
        """Whether another compressed stream follows; zeros between streams are ignored."""
        if self.trailing:
            return False
        waiting = self._decoder.unused_data.lstrip(b"\0")
        while len(waiting) < LONGEST_MAGIC and (more := self._packed.read(FEED)):
            waiting = (waiting + more).lstrip(b"\0")
        self.trailing = not waiting.startswith(self._magic) and bool(waiting)
        if self.trailing or not waiting:
            self._waiting = b""
            return False
        self._decoder, self._waiting = self._start(), waiting
        return True


class ArchiveStream:
    """The bytes of an archive from its start, decompressed if necessary; a context manager.

    `offset`: the position of the next byte. Methods that read count their bytes in `budget`, and
    raise CutShortError if the file ends too early, ArchiveError if it is damaged.
    """

    def __init__(self, path: str, budget: Budget) -> None:
        self.budget, self.offset, self._piece = budget, 0, BUFFER
        self._file: BinaryIO = open(path, "rb", FILE_BUFFER)  # noqa: SIM115 - closed by the context
        try:
            self._size = self._file.seek(0, io.SEEK_END)
            self._restart()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def trailing(self) -> bool:
        """Whether data that are not compressed follow the last compressed stream."""
        return self._expanding is not None and self._expanding.trailing

    def overhead(self, count: int) -> bytes:
        """The next bytes of a header or a skipped member; fewer than `count` only at the end."""
        data = self._read(count)
        self.budget.overhead.spend(len(data))
        return data

    def content(self, count: int) -> bytes:
        """The next `count` bytes, of a member."""
        data = self._read(min(count, self.budget.content.left + 1))
        self.budget.content.spend(len(data))
        if len(data) < count:
            raise CutShortError
        return data

    def seek(self, offset: int) -> None:
        """Moves to an offset; to move back, a compressed file is read again from its start."""
        if self._expanding is None:
            if offset > self._size:
                raise CutShortError
            self._reader.seek(offset)
            self.offset = offset
            return
        if offset < self.offset:
            self._restart()
        while self.offset < offset:
            if not self.overhead(min(self._piece, offset - self.offset)):
                raise CutShortError

    def _read(self, count: int) -> bytes:
        try:
            data = self._reader.read(count)
        except ArchiveError:
            raise
        except Exception as error:  # each decoder raises its own kind
            if isinstance(error, OSError) and error.errno:
                raise
            if self._piece == SMALL:
                raise ArchiveError(f"is damaged: {error}") from None
            return self._up_to_the_damage(count)
        self.offset += len(data)
        consumed = self.offset if self._expanding is None else self._file.tell()
        self.budget.consumed = max(self.budget.consumed, consumed)
        return data

    def _up_to_the_damage(self, count: int) -> bytes:
        """Reads again in small pieces: the piece that contains the damage is lost."""
        at, self._piece = self.offset, SMALL
        self._restart()
        self.seek(at)
        return self._read(count)

    def _restart(self) -> None:
        self._file.seek(0)
        self.offset = 0
        head = self._file.read(LONGEST_MAGIC)
        self._file.seek(0)
        foreign = next((name for magic, name in FOREIGN.items() if head.startswith(magic)), None)
        if foreign:
            raise ArchiveError(f"is compressed by {foreign}, which is not supported: unpack it")
        magic = next((magic for magic in COMPRESSIONS if head.startswith(magic)), None)
        self._expanding: Expanding | None = None
        self._reader: BinaryIO = self._file
        if magic is not None:
            self._expanding = Expanding(self._file, COMPRESSIONS[magic], magic)
            self._reader = io.BufferedReader(self._expanding, self._piece)
