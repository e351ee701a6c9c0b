"""The bytes of an archive, with a limit on the size that it may expand to."""

import io
from dataclasses import dataclass
from typing import BinaryIO, Self

from aectl.data.storage.compressions import (
    COMPRESSIONS,
    FOREIGN,
    LONGEST_MAGIC,
    ArchiveError,
    CutShortError,
    Expanding,
    refusal,
)

LARGEST_MEMBER = 128 << 20
"""Maximum bytes of a member of an archive; larger members are not unpacked into memory."""

TOO_LARGE = f"has more than {LARGEST_MEMBER:,} bytes: unpack it, and name the file itself"

ALLOWANCE = 128 << 20
"""Bytes that an archive of any size may expand to, as many as the largest member may have."""

CONTENT_RATIO = 1000
"""Maximum bytes of images for each byte of the archive; Deflate reaches 1,032 with zeros only."""

OVERHEAD_RATIO = 100
"""Maximum bytes of headers, skipped files and links for each byte of the archive."""

BUFFER = 256 << 10
"""Decompressed bytes that are produced at a time."""

SMALL = 512
"""The same, once a file is known to be damaged."""

FILE_BUFFER = 64 << 10
"""Bytes that are read from the disk at a time."""


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
                raise ArchiveError(refusal(error)) from None
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
