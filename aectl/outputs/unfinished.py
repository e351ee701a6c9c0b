"""An unfinished table and its journal, from which an interrupted run continues."""

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from aectl.config.spelling import spelt_out
from aectl.config.table_formats import ids_of
from aectl.data.named_inputs import Position
from aectl.errors import OutputError
from aectl.files import lock, replacing, to_disk, write_all
from aectl.outputs.assembled_formats import Array, Assembled
from aectl.outputs.formats import Format
from aectl.outputs.journal import (
    NOTHING,
    PIECE,
    BadInput,
    Kept,
    checksum,
    damaged,
    kept_of,
    notes_of,
)
from aectl.outputs.rows import Rows

JOURNAL, ROWS, TABLE, IDS_TABLE = "journal.jsonl", "rows", "table", "ids"

LATE, IDS = "late", "ids"
"""The fields of a record with the inputs after the last row that could not be read, and with the
checksum of the table beside an array."""


def folder_of(path: Path) -> Path:
    """The folder beside a table that holds it while it is unfinished."""
    return path.with_name(path.name + ".part")


RECORD = ".aectl.json"
"""The end of the name of a record."""


def record_of(path: Path) -> Path:
    """The hidden file beside a finished table that records its run, for --resume."""
    return path.with_name(f".{path.name}{RECORD}")


def recorded_in(folder: Path) -> list[Path]:
    """The tables in a folder beside which there is a record."""
    names = (one.name.removesuffix(RECORD) for one in folder.glob(f".*{RECORD}"))
    return [folder / name[1:] for name in names]


class TableRecord(NamedTuple):
    """The record of a finished table: the `key` of its run, its state, the inputs after its last
    row that could not be read, and of an array the checksum of the table beside it."""

    key: dict[str, Any]
    kept: Kept
    late: list[BadInput]
    ids: int | None

    @classmethod
    def read(cls, path: Path) -> Self:
        """That of the table at a path. Raises OutputError for a damaged one, FileNotFoundError."""
        record = record_of(path)
        try:
            content = json.loads(record.read_bytes())
            key, kept = dict(content["key"]), kept_of(content["kept"], NOTHING)
            late = [(str(name), str(reason)) for name, reason in content.get(LATE, [])]
            return cls(key, kept, late, content.get(IDS))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise OutputError(f"{record} is damaged; --overwrite writes the table again") from None


class Part:
    """The folder of an unfinished table, written block by block, with a journal.

    The journal's first line is the `key` of the run: everything that must be equal to continue it.
    After each block, a line records its state, `Kept`; both are on the disk before the next block.
    For a finished table, the file `record_of` holds the same; with `resume`, such a table is
    `whole` until rows are added. `since`: the time, in seconds, at which what is resumed was
    written.

    Raises OutputError if another process is writing the table, its key differs, or its content is
    not what was written.
    """

    def __init__(self, path: Path, format: Format, key: Mapping[str, Any], resume: bool) -> None:
        self._path, self._folder, self._format = path, folder_of(path), format
        self._key = dict(key)
        self.rows, self.position, self.bad = 0, Position(0, ""), list[BadInput]()
        self._size = self._crc = 0
        self.since: float | None = None
        self.whole = resume and self._is_finished()
        if self.whole:
            self._take(self._finished())
        else:
            self._open(resume)

    def _open(self, resume: bool) -> None:
        # A name that is too long for the record raises an error now, not after all the work.
        with contextlib.suppress(FileNotFoundError):
            os.lstat(f"{record_of(self._path)}.{os.getpid()}.part")
        if os.path.lexists(self._folder) and not _is_ours(self._folder):
            raise OutputError(f"{self._folder} exists, and is not an unfinished table of aectl")
        self._folder.mkdir(exist_ok=True)
        self._journal = (self._folder / JOURNAL).open("a+b", buffering=0)
        try:
            self._lock()
            if resume:
                self._read()
        except BaseException:
            self._journal.close()
            raise
        if not self.rows:
            self._journal.truncate(0)
            self._note(self._key)
        self._table = (self._folder / ROWS).open("ab", buffering=0)
        self._table.truncate(0 if self._assembled else self._size)

    @property
    def _assembled(self) -> bool:
        return isinstance(self._format, Assembled)

    def add(self, rows: Rows, layout: str, bad: Sequence[BadInput]) -> None:
        """Adds a block of rows; `bad` starts with the unreadable inputs up to these rows."""
        if self.whole:
            self._reopen()
        first = self.rows == 0
        if isinstance(self._format, Assembled):
            with self._block(self._size + 1).open("wb") as file:
                self._format.write(rows, layout, first, file)
            self._size += 1
            self._crc = checksum(self._block(self._size))
            to_disk(self._block(self._size))
        else:
            self._format.write(rows, layout, first, self._table)
            size = os.fstat(self._table.fileno()).st_size
            self._crc = checksum(self._folder / ROWS, self._size, size, self._crc)
            self._size = size
            os.fsync(self._table.fileno())
        count, position = self.rows + len(rows), rows.position or self.position
        known = len(self.bad)
        new = list(bad[known : max(known, position.inputs - count)])
        self._note(Kept(count, self._size, self._crc, position, new).as_json())
        self.rows, self.position = count, position
        self.bad += new

    def finish(self, bad: Sequence[BadInput] = ()) -> None:
        """Moves the finished table to its path; one without rows is an empty file. `bad`: all
        inputs that could not be read.
        """
        if self.whole:
            return
        self._table.close()
        made = self._folder / ROWS
        if self.rows and isinstance(self._format, Assembled):
            made = self._folder / TABLE
            with made.open("wb") as file:
                self._format.assemble([self._block(n + 1) for n in range(self._size)], file)
            to_disk(made)
        if self.rows and isinstance(self._format, Array):
            self._move_ids(self._format)
        self._record(made, bad[len(self.bad) :])
        self._note({"made": made.name})
        os.replace(made, self._path)
        to_disk(self._path.parent)
        self.remove()

    def _move_ids(self, format: Array) -> None:
        """Moves the table beside an array to its path, before the array."""
        made = self._folder / IDS_TABLE
        with made.open("wb") as file:
            format.assemble_ids([self._block(n + 1) for n in range(self._size)], file)
        to_disk(made)
        os.replace(made, ids_of(self._path))

    def remove(self) -> None:
        """Removes an unfinished table."""
        if self.whole:
            return
        self._table.close()
        for path in self._folder.iterdir():
            if path.name != JOURNAL:
                path.unlink()
        shutil.rmtree(self._folder)
        self._journal.close()  # and with it the lock

    def close(self) -> None:
        """Closes the files of the unfinished table, for a later run."""
        if not self.whole:
            self._table.close()
            self._journal.close()

    def _is_finished(self) -> bool:
        """Whether the table is finished, and not about to be replaced."""
        if not os.path.lexists(self._path):
            return False
        if not os.path.lexists(self._folder):
            return True
        journal = self._folder / JOURNAL
        text = journal.read_bytes() if _is_ours(self._folder) and journal.exists() else b""
        notes = notes_of(text, journal)
        made = notes[-1].get("made") if notes else None
        if made not in (ROWS, TABLE) or (self._folder / made).exists():
            return False
        shutil.rmtree(self._folder)
        return True

    def _finished(self) -> Kept:
        """The record of a finished table. Raises OutputError if the table was changed."""
        try:
            key, kept, *_ = TableRecord.read(self._path)
            self.since = record_of(self._path).stat().st_mtime
        except FileNotFoundError:
            raise OutputError(
                f"{self._path} exists, but there is no record of its run; --overwrite replaces it"
            ) from None
        self._refuse_other(key, self._path)
        if self._path.stat().st_size != kept.size or checksum(self._path) != kept.crc:
            raise OutputError(
                f"{self._path} was changed after it was written; --overwrite replaces it"
            )
        return kept

    def _record(self, made: Path, late: Sequence[BadInput]) -> None:
        """Writes the record of the run beside the table, before the table is moved there; `late`:
        inputs after the last row that could not be read."""
        record = record_of(self._path)
        if not self._key:
            record.unlink(missing_ok=True)
            return
        size, crc = made.stat().st_size, checksum(made) if self._assembled else self._crc
        kept = Kept(self.rows, size, crc, self.position, self.bad)
        with replacing(record, durable=True) as temporary:
            told: dict[str, object] = {"key": self._key, "kept": kept.as_json()}
            told[LATE] = list(late)
            if isinstance(self._format, Array) and self.rows:
                told[IDS] = checksum(ids_of(self._path))
            temporary.write_text(json.dumps(told))

    def _reopen(self) -> None:
        """Copies the finished table, so that rows can be appended."""
        if self._assembled:
            raise OutputError(
                f"{self._path} is complete, and there are new inputs; rows cannot be appended to"
                " this format: --overwrite writes it again"
            )
        kept = Kept(self.rows, self._size, self._crc, self.position, self.bad)
        self.whole = False
        self.rows = self._size = 0
        self._open(resume=False)
        with self._path.open("rb") as old:
            shutil.copyfileobj(old, self._table, PIECE)
        os.fsync(self._table.fileno())
        self._note(kept.as_json())
        self.rows, self._size = kept.rows, kept.size

    def _take(self, kept: Kept) -> None:
        self.rows, self._size, self._crc, self.position = kept[:4]
        self.bad += kept.bad

    def _block(self, number: int) -> Path:
        return self._folder / f"{number:08d}.arrow"

    def _note(self, what: Mapping[str, Any]) -> None:
        write_all(self._journal, json.dumps(what).encode() + b"\n")
        os.fsync(self._journal.fileno())

    def _lock(self) -> None:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            lock(self._journal, f"another process is writing {self._path}")

    def _read(self) -> None:
        """Reads the state from the journal; an incomplete last line is ignored."""
        text = (self._folder / JOURNAL).read_bytes()
        self.since = (self._folder / JOURNAL).stat().st_mtime
        existing, *notes = notes_of(text, self._folder / JOURNAL) or [self._key]
        self._journal.truncate(text.rfind(b"\n") + 1)
        self._refuse_other(existing, self._folder)
        kept = NOTHING
        for number, note in enumerate(notes, 2):
            if "made" in note:
                continue
            try:
                later = kept_of(note, kept)
            except (ValueError, KeyError, TypeError):
                raise damaged(self._folder / JOURNAL, number) from None
            if not self._has(kept, later):
                raise OutputError(
                    f"{self._folder} has missing or changed rows; --overwrite starts again"
                )
            kept = later
            self._take(kept)

    def _refuse_other(self, existing: object, where: Path) -> None:
        """Raises OutputError if the key of the existing table differs."""
        if not isinstance(existing, dict):
            raise damaged(self._folder / JOURNAL, 1)
        for name in sorted(
            existing.keys() | self._key.keys(), key=lambda name: (name != "verb", name)
        ):
            if existing.get(name) != self._key.get(name):
                raise OutputError(
                    f"{where} was started with {spelt_out(name)} {existing.get(name)!r}, not"
                    f" {self._key.get(name)!r}; --overwrite starts again"
                )

    def _has(self, before: Kept, kept: Kept) -> bool:
        """Whether the table contains the block that the journal records, byte for byte."""
        with contextlib.suppress(OSError):
            if self._assembled:
                return checksum(self._block(kept.size)) == kept.crc
            made = self._folder / ROWS
            if made.stat().st_size >= kept.size:
                return checksum(made, before.size, kept.size, before.crc) == kept.crc
        return False


def _is_ours(folder: Path) -> bool:
    """Whether a folder contains a journal, or is empty because a run was killed at its start."""
    return folder.is_dir() and ((folder / JOURNAL).is_file() or not any(folder.iterdir()))
