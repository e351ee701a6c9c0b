"""Members of tar archives, read in their order, once, with the files that links lead to.

`tarfile` would keep each member in memory.
"""

import contextlib
from collections.abc import Iterator
from typing import Self

from aectl.data.found import Found
from aectl.data.selection import Search
from aectl.data.storage.compressions import ArchiveError
from aectl.data.storage.expansion import LARGEST_MEMBER, TOO_LARGE, ArchiveStream, Budget
from aectl.data.storage.samples import SampleLabels
from aectl.data.storage.tar_headers import (
    FILES,
    FOLDER,
    LINKS,
    SPECIAL,
    SYMBOLIC_LINK,
    Member,
    in_blocks,
    next_member,
)

LONGEST_NAME = 4096
"""Maximum characters of a member's name; members with longer names are refused."""

TOO_LONG_A_NAME = f"has a name of more than {LONGEST_NAME:,} characters"


def in_tar(archive: str, search: Search, labels: SampleLabels) -> Iterator[Found]:
    """The wanted files of a tar, and those with the labels of samples, by their paths in the
    archive; the path "" is the archive itself.

    Raises ArchiveError, or the error of the decompressor, where the archive is damaged.
    """
    budget = Budget()
    with ArchiveStream(archive, budget) as stream, Targets(archive, budget) as targets:
        for member in members(stream):
            targets.add(member)
            if member.kind != FOLDER and search.takes(member.name[-LONGEST_NAME:]):
                yield _found(stream, member, targets)
            elif _holds_label(member, labels) and search.selection.enters(member.name):
                yield Found(member.name, content=read(stream, member))
        if stream.trailing:
            yield Found("", reason="is followed by data of another kind, which were not read")


def _holds_label(member: Member, labels: SampleLabels) -> bool:
    """Whether a member may hold the label of a sample."""
    is_file = member.kind in FILES and len(member.name) <= LONGEST_NAME
    return is_file and labels.may_hold(member.name, member.size)


def members(stream: ArchiveStream) -> Iterator[Member]:
    """All members after the position of the stream. The caller may read the data of each member
    before it requests the next one.

    Blocks of zeros are skipped, so that concatenated tars are read as one. Raises ArchiveError.
    """
    at_start = stream.offset
    while (member := next_member(stream)) is not None:
        data = stream.offset
        yield member
        stream.seek(data + in_blocks(member.stored))
    if stream.offset == at_start:
        raise ArchiveError("is empty")


def read(stream: ArchiveStream, member: Member) -> bytes:
    """The content of a file; the stream must be at the start of its data."""
    if member.pieces is None:
        return stream.content(member.size)
    stream.budget.content.spend(member.size)
    content = bytearray(member.size)
    if sum(count for _, count in member.pieces) > member.stored:
        raise ArchiveError("has a sparse file whose pieces are larger than its data")
    for offset, count in member.pieces:
        if offset + count > member.size:
            raise ArchiveError("has a sparse file with a piece beyond its end")
        content[offset : offset + count] = stream.content(count)
    return bytes(content)


class Targets:
    """Files that links in the archive may lead to; a context manager.

    A hard link leads to a file before it; a symbolic link may also lead to a later one.
    """

    def __init__(self, archive: str, budget: Budget) -> None:
        self._archive, self._budget = archive, budget
        self._offsets: dict[str, int] = {}
        self._looked_ahead = False
        self._stream: ArchiveStream | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.__exit__()

    def add(self, member: Member) -> None:
        """Registers a file, or a link to one, as a possible target."""
        offset = member.offset if member.kind in FILES else self._offsets.get(member.link)
        if offset is not None and len(member.name) <= LONGEST_NAME:
            self._offsets[member.name] = offset

    def found(self, link: Member) -> Found:
        """The file that a link leads to, under the link's name."""
        is_symbolic = link.kind == SYMBOLIC_LINK
        if is_symbolic and link.link not in self._offsets and not self._looked_ahead:
            self._look_ahead()
        offset = self._offsets.get(link.link)
        if offset is None:
            where = "in" if is_symbolic else "before it in"
            path = link.link[:LONGEST_NAME]
            reason = f"is a link to {path!r}, which is not a file {where} the archive"
            return Found(link.name, reason=reason)
        self._offsets[link.name] = offset
        if self._stream is None:
            self._stream = ArchiveStream(self._archive, self._budget)
        self._stream.seek(offset)
        target = next(members(self._stream))
        self._budget.overhead.spend(target.size)
        return _found(self._stream, target, self)._replace(path=link.name)

    def _look_ahead(self) -> None:
        """Registers all files of the archive, or those before damage or too large an expansion."""
        self._looked_ahead = True
        with contextlib.suppress(Exception), ArchiveStream(self._archive, Budget()) as stream:
            for member in members(stream):
                if member.name not in self._offsets:
                    self.add(member)


def _found(stream: ArchiveStream, member: Member, targets: Targets) -> Found:
    if len(member.name) > LONGEST_NAME:
        return Found(member.name[-LONGEST_NAME:], reason=TOO_LONG_A_NAME)
    if member.kind in LINKS:
        return targets.found(member)
    if member.kind not in FILES:
        what = "a device or a pipe" if member.kind in SPECIAL else "of an unknown kind"
        return Found(member.name, reason=f"is {what} in an archive, not a file")
    if member.size > LARGEST_MEMBER:
        return Found(member.name, reason=TOO_LARGE)
    return Found(member.name, content=read(stream, member))
