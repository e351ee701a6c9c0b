"""What a run that writes a table leaves behind where it is interrupted, so that it can go on."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aectl.data.inputs import Position
from aectl.errors import OutputError
from aectl.files import write_all
from aectl.outputs.formats import Assembled, Format, Rows

JOURNAL, ROWS, TABLE = "journal.jsonl", "rows", "table"

BadInput = tuple[str, str]
"""The path of an input that could not be read, and why."""


def folder_of(path: Path) -> Path:
    """The folder beside a table in which it is made."""
    return path.with_name(path.name + ".part")


def remove_if_done(path: Path) -> bool:
    """Whether the table is in its place, and not about to be replaced; then no part is left."""
    folder = folder_of(path)
    if not path.exists():
        return False
    if folder.exists():
        notes = _notes((folder / JOURNAL).read_bytes()) if (folder / JOURNAL).exists() else []
        if not notes or "made" not in notes[-1] or (folder / notes[-1]["made"]).exists():
            return False
        shutil.rmtree(folder)
    return True


class Part:
    """The folder in which a table is made, block by block, with a journal of what is in it.

    The journal's first line is the `key` of the run: all that has to be the same to go on with
    it. After each block a line says how many rows there are, how large the table is then (in
    bytes, or in blocks), how far the inputs were read, and which of them were bad.

    Raises OutputError where another process is at it, or its key is another.
    """

    def __init__(self, path: Path, format: Format, key: Mapping[str, Any], resume: bool) -> None:
        self._path, self._folder, self._format = path, folder_of(path), format
        self.rows, self.position, self.bad = 0, Position(0, ""), list[BadInput]()
        self._size = 0
        if os.path.lexists(self._folder) and not _is_ours(self._folder):
            raise OutputError(f"{self._folder} is in the way, and no table in the making")
        self._folder.mkdir(exist_ok=True)
        self._journal = (self._folder / JOURNAL).open("a+b", buffering=0)
        try:
            self._lock()
            if resume:
                self._read(key)
        except BaseException:
            self._journal.close()
            raise
        if not self.rows:
            self._journal.truncate(0)
            self._note(key)
        self._table = (self._folder / ROWS).open("ab", buffering=0)
        self._table.truncate(0 if isinstance(format, Assembled) else self._size)

    def add(self, rows: Rows, layout: str, bad: Sequence[BadInput]) -> None:
        """Keeps a block of rows; `bad` begins with what was bad of the inputs up to them."""
        first = self.rows == 0
        if isinstance(self._format, Assembled):
            with self._block(self._size + 1).open("wb") as file:
                self._format.write(rows, layout, first, file)
            self._size += 1
        else:
            self._format.write(rows, layout, first, self._table)
            self._size = os.fstat(self._table.fileno()).st_size
        count, position = self.rows + len(rows), rows.position or self.position
        known = len(self.bad)
        new = list(bad[known : max(known, position.inputs - count)])
        self._note({"rows": count, "size": self._size, "position": position, "bad": new})
        self.rows, self.position = count, position
        self.bad += new

    def finish(self) -> None:
        """Puts the table in its place."""
        self._table.close()
        made = self._folder / ROWS
        if isinstance(self._format, Assembled):
            made = self._folder / TABLE
            with made.open("wb") as file:
                self._format.assemble([self._block(n + 1) for n in range(self._size)], file)
        self._note({"made": made.name})
        os.replace(made, self._path)
        self.remove()

    def remove(self) -> None:
        """Leaves nothing behind."""
        self._table.close()
        shutil.rmtree(self._folder)
        self._journal.close()  # and with it the lock

    def close(self) -> None:
        """Leaves what there is, for a later run."""
        self._table.close()
        self._journal.close()

    def _block(self, number: int) -> Path:
        return self._folder / f"{number:08d}.arrow"

    def _note(self, what: Mapping[str, Any]) -> None:
        write_all(self._journal, json.dumps(what).encode() + b"\n")

    def _lock(self) -> None:
        with contextlib.suppress(OSError):  # some network's disks have no locks
            try:
                fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(f"another process is writing {self._path}") from None

    def _read(self, key: Mapping[str, Any]) -> None:
        """Takes up what the journal says, but for a last line that is cut short."""
        self._journal.seek(0)
        text = self._journal.read()
        self._journal.truncate(text.rfind(b"\n") + 1)
        begun, *notes = _notes(text) or [dict(key)]
        for name in sorted(begun.keys() | key.keys()):
            if begun.get(name) != key.get(name):
                raise OutputError(
                    f"{self._folder} was begun with {name} {begun.get(name)!r}, not"
                    f" {key.get(name)!r}; --overwrite begins anew"
                )
        for block in (note for note in notes if "rows" in note):
            if not self._has(block["size"]):
                raise OutputError(
                    f"{self._folder} has lost rows that it had; --overwrite begins anew"
                )
            self.rows, self._size = block["rows"], block["size"]
            self.position = Position(*block["position"])
            self.bad += [(path, reason) for path, reason in block["bad"]]

    def _has(self, size: int) -> bool:
        """Whether there is as much of the table as the journal says."""
        if isinstance(self._format, Assembled):
            return self._block(size).exists()
        made = self._folder / ROWS
        return made.exists() and made.stat().st_size >= size


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds a journal; or nothing, where a run was killed as it began."""
    return folder.is_dir() and ((folder / JOURNAL).exists() or not any(folder.iterdir()))


def _notes(journal: bytes) -> list[dict[str, Any]]:
    """The lines of a journal, but for a last one that is cut short."""
    return [json.loads(line) for line in journal.split(b"\n")[:-1]]
