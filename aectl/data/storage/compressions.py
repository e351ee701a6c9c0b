"""Compressed files, decompressed step by step: the decoders by the first bytes of a file."""

import bz2
import io
import lzma
import sys
import zlib
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, Protocol

DECODER_MEMORY = 256 << 20
"""Maximum bytes that a decompressor may need; files of `xz -9` need 65 MiB."""

FEED = 16 << 10
"""Compressed bytes that are read at a time; few, as those after the end of a stream are copied."""


class ArchiveError(Exception):
    """An archive cannot be read any further; the message continues a sentence with its name."""


class CutShortError(ArchiveError):
    """An archive ends too early."""

    def __init__(self) -> None:
        super().__init__("is cut short")


def refusal(error: Exception) -> str:
    """The reason for refusing what a decoder cannot decompress."""
    if "memory" in str(error).lower():  # of lzma and of Zstandard
        return f"needs too much memory to decompress ({error}): unpack it"
    return f"is damaged: {error or repr(error)}"


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
        if waiting and any(magic.startswith(waiting) for magic in self._magic):
            raise CutShortError
        self.trailing = not waiting.startswith(self._magic) and bool(waiting)
        if self.trailing or not waiting:
            self._waiting = b""
            return False
        self._decoder, self._waiting = self._start(), waiting
        return True
