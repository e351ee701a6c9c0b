"""Tables of results, written while they are computed; the file's extension sets the format."""

import io
import math
import queue
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from aectl.config.table_formats import ids_of
from aectl.data.named_inputs import Position
from aectl.errors import OutputError
from aectl.files import refuse_existing, write_all, writing
from aectl.outputs.assembled_formats import Array
from aectl.outputs.formats import Csv, format_of
from aectl.outputs.journal import BadInput
from aectl.outputs.rows import Rows, joined, size_of, sorted_rows
from aectl.outputs.unfinished import Part, folder_of

BLOCK_VALUES = 1 << 22
"""Number of features that are written at a time, enough for several threads."""

LEAST_VALUES = 1 << 20
"""Minimum number of features of a block that is written before it is full, if no more rows are
waiting."""

BLOCK_SECONDS = 1.0
"""Seconds after which waiting rows are written, even if they do not fill a block."""

INTERRUPTED_SECONDS = 1.0
"""Seconds that an interrupted run may still write its rows."""

WAITING = 32
"""Maximum number of batches that wait to be written."""


def check_destination(
    path: Path | None, overwrite: bool, resume: bool | None = None, layout: str = "columns"
) -> None:
    """Raises OutputError if a table cannot or must not be written to `path`; None is stdout.

    `resume`: None if tables of this kind cannot be resumed.
    """
    if layout == "vector" and (path is None or isinstance(format_of(path), Csv)):
        raise OutputError("CSV has no vectors: --layout vector needs --out with another extension")
    if path is not None and isinstance(format_of(path), Array):
        if layout == "sparse":
            raise OutputError(
                "an array has no sparse rows: use .npz, .parquet or another extension"
            )
        if not resume:
            refuse_existing(ids_of(path), overwrite)
    if path is None:
        if resume:
            raise OutputError("--resume continues a file: name it with --out")
        return
    format_of(path)
    if resume and overwrite:
        raise OutputError("--resume continues, --overwrite starts again: give only one of them")
    if resume:
        return
    refuse_existing(path, overwrite)
    if folder_of(path).exists() and not overwrite:
        way = "" if resume is None else "--resume continues it, "
        raise OutputError(
            f"{folder_of(path)} is left of an interrupted run; {way}--overwrite starts again"
        )


class Table:
    """A table that is written by a thread; a context manager, which completes the table on exit.

    Rows are written to a file, or as CSV to `stdout` if `path` is None. If the context ends with an
    exception and the run has a `key`, the unfinished file is kept for `resume`, with `position`,
    the position in the inputs, and the caller's list `bad` of inputs that could not be read. A
    table without rows is written if it may be `empty`.

    Raises OutputError.
    """

    def __init__(
        self,
        path: Path | None,
        stdout: IO[bytes] | None = None,
        *,
        layout: str = "columns",
        key: Mapping[str, Any] | None = None,
        resume: bool = False,
        bad: list[BadInput] | None = None,
        empty: bool = False,
    ) -> None:
        self._path, self._stdout, self._layout = path, stdout, layout
        self._format = Csv() if path is None else format_of(path)
        self._resumable = key is not None
        self._part: Part | None = None
        self._bad, self._empty = [] if bad is None else bad, empty
        self.count = 0
        self.position: Position | None = None
        if path is not None:
            with writing(path):
                self._part = Part(path, self._format, key or {}, resume)
            self.count = self._part.rows
            self._bad[:0] = self._part.bad
            if self.count:
                self.position = self._part.position._replace(since=self._part.since)
        self._queue: queue.Queue[Rows | None] = queue.Queue(WAITING)
        self._failure: BaseException | None = None
        self._ended, self._first = False, True
        self._thread = threading.Thread(target=self._write_all, daemon=True)
        self._thread.start()

    @property
    def whole(self) -> bool:
        """Whether a resumed table was already complete, and no rows were added."""
        return self._part is not None and self._part.whole

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            self._end_thread(math.inf if error is None else INTERRUPTED_SECONDS)
            if error is None:
                self._finish()
        except BaseException as late:
            self._leave(late)
            raise
        if error is not None:
            self._leave(error)

    def write(self, rows: Rows) -> None:
        """Appends rows, which the thread writes."""
        if not len(rows):
            return
        self._put(rows)
        self.count += len(rows)

    def _put(self, rows: Rows | None, patience: float = math.inf) -> None:
        """Gives rows to the thread; gives up after `patience` seconds."""
        until = time.monotonic() + patience
        while self._failure is None and time.monotonic() < until:
            try:
                self._queue.put(rows, timeout=0.1)
                return
            except queue.Full:
                continue
        if self._failure is not None:
            raise self._failure

    def _end_thread(self, patience: float = math.inf) -> None:
        """Waits until all rows are written; raises the thread's exception, if any."""
        until = time.monotonic() + patience
        self._put(None, patience)
        self._thread.join(None if patience == math.inf else max(0.0, until - time.monotonic()))
        if self._failure is not None:
            raise self._failure

    def _finish(self) -> None:
        if self._part is None or self._path is None:
            return
        if not self.count and not self._empty:
            self._part.remove()
            return
        with writing(self._path):
            self._part.finish(self._bad)

    def _leave(self, error: BaseException) -> None:
        """Keeps a table that can be resumed, with a note in the error; removes any other."""
        if self._part is None or self._path is None:
            return
        if self._thread.is_alive():  # the process ends, and the journal is always consistent
            return
        if self._part.whole or not folder_of(self._path).exists():
            return
        if not self._resumable or not self._part.rows:
            self._part.remove()
            return
        self._part.close()
        error.add_note(
            f"{self._part.rows:,} rows are kept in {folder_of(self._path)};"
            " the same command with --resume continues"
        )

    def _write_all(self) -> None:
        """The loop of the thread."""
        try:
            import polars  # noqa: F401  (slow; meanwhile the main thread imports torch)

            while (rows := self._gathered()) is not None:
                self._write_block(rows)
        except BaseException as error:
            self._failure = error

    def _write_block(self, rows: Rows) -> None:
        if self._part is not None and self._path is not None:
            with writing(self._path):
                self._part.add(rows, self._layout, self._bad)
            return
        assert self._stdout is not None
        text = io.BytesIO()
        self._format.write(rows, self._layout, self._first, text)
        self._first = False
        # To the unbuffered stream: a blocked thread would hold the lock of the buffer.
        write_all(getattr(self._stdout, "raw", self._stdout), text.getbuffer())

    def _gathered(self) -> Rows | None:
        """The next rows to write: those that are waiting, and for a file those that follow soon, so
        that its blocks are not small. None at the end."""
        if self._ended or (rows := self._queue.get()) is None:
            return None
        parts, values = [rows], size_of(rows)
        until = time.monotonic() + (0 if self._path is None else BLOCK_SECONDS)
        while values < BLOCK_VALUES:
            patience = until - time.monotonic() if values < LEAST_VALUES else 0.0
            try:
                rows = self._queue.get(timeout=max(0.0, patience))
            except queue.Empty:
                break
            if rows is None:
                self._ended = True
                break
            parts.append(rows)
            values += size_of(rows)
        return joined(parts)


def write_file(
    path: Path | None,
    parts: Iterable[Rows],
    by: str | None = None,
    descending: bool = False,
    stdout: IO[bytes] | None = None,
) -> int:
    """Writes rows to a file, or to `stdout` if `path` is None, sorted by the column `by`, if any.

    Returns the number of rows.
    """
    with Table(path, stdout) as table:
        for part in parts if by is None else sorted_rows(parts, by, descending):
            table.write(part)
    return table.count
