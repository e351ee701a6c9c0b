"""An input that a search of folders, archives or lists found."""

from typing import NamedTuple


class Found(NamedTuple):
    """An input that was found.

    `path`: its name in a table; `file`: the file to read, or the archive that it is in, with
    `content`, which was read from there; `member`: the name in that archive, or of an array in the
    file; `reason`: why it cannot be read, if that is already known;
    `skipped`: whether it is not decoded; `searched`: whether it was found by a search without
    `include`; `size`: the bytes of a file at a URL, if known; `from_table`: whether a table gives
    its label, or that it has none.
    """

    path: str
    label: str | None = None
    file: str = ""
    content: bytes | None = None
    reason: str | None = None
    skipped: bool = False
    searched: bool = False
    member: str = ""
    size: int | None = None
    from_table: bool = False
