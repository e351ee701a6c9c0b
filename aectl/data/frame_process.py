"""Reads Parquet in a separate process, which a damaged file may crash.

Polars allocates whatever size a file states, and aborts its process if there is no memory.
Therefore it runs in a process with limited memory, which sends back arrays, or row by row what the
rows hold; they are checked like those of any other file.
"""

import contextlib
import json
import math
import os
import pkgutil
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aectl.data.codes.table_content import TableError
from aectl.data.own_process import own_process
from aectl.errors import first_line

START = (
    "from aectl.data.frame_process import serve; serve(sys.argv[2], sys.argv[3], int(sys.argv[4]))"
)

START_ROWS = (
    "from aectl.data.frame_process import serve_rows;"
    "serve_rows(sys.argv[2], sys.argv[3], int(sys.argv[4]), json.loads(sys.argv[5]))"
)

SECONDS, BYTES_A_SECOND = 120, 5_000_000
"""The time limit for a file: a constant, plus its size at this speed, that of a slow machine."""

LONGEST_LINE = 256 << 20
"""Maximum bytes that describe the rows that are sent at a time."""

DAMAGED = "it is damaged, or expands to more than its size allows"


class Sent(NamedTuple):
    """The content of a file as the process sends it: JSON that describes it, and arrays."""

    described: Any
    arrays: list[NDArray[Any]]


def read_apart(reader: str, path: Path, room: int) -> Sent:
    """Reads a Parquet file; the function named by `reader`, such as "module:function", makes a
    `Sent` of its polars frame.

    Raises TableError for what the function refuses, for a file that is damaged, and if it needs
    more than `room` bytes of memory.
    """
    with subprocess.Popen(  # noqa: S603 - Python itself, with words of our own
        own_process(START, reader, os.path.abspath(path), str(room)),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            with _in_time(process, path):
                return _received(process.stdout, room)
        finally:
            process.kill()


def rows_apart(
    reader: str, path: Path, room: int, *words: str | None
) -> Iterator[tuple[Any, bytes]]:
    """Reads a Parquet file row by row, each as what describes it, in JSON, and its bytes; the
    function named by `reader` makes lists of them of the path and the `words`.

    Raises TableError as `read_apart` does, after the rows before.
    """
    with subprocess.Popen(  # noqa: S603 - Python itself, with words of our own
        own_process(START_ROWS, reader, os.path.abspath(path), str(room), json.dumps(words)),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            while True:
                with _in_time(process, path):
                    line = process.stdout.readline(LONGEST_LINE)
                if not line.endswith(b"\n"):
                    raise TableError(DAMAGED)
                told = json.loads(line)
                if "refused" in told:
                    raise TableError(told["refused"])
                if not told["rows"]:
                    return
                for described, size in told["rows"]:
                    content = process.stdout.read(size)
                    if len(content) != size:
                        raise TableError(DAMAGED)
                    yield described, content
        finally:
            process.kill()


@contextmanager
def _in_time(process: "subprocess.Popen[bytes]", path: Path) -> Iterator[None]:
    """Ends the process if the block takes longer than a file of that size may take."""
    clock = threading.Timer(SECONDS + os.stat(path).st_size / BYTES_A_SECOND, process.kill)
    clock.start()
    try:
        yield
    finally:
        clock.cancel()


def _received(pipe: IO[bytes], room: int) -> Sent:
    """Reads the output of the process: a line of JSON that describes the arrays after it."""
    line = pipe.readline(room)
    if not line.endswith(b"\n"):
        raise TableError(DAMAGED)
    told = json.loads(line)
    if "refused" in told:
        raise TableError(told["refused"])
    arrays = []
    for kind, shape in told["arrays"]:
        size = math.prod(shape) * np.dtype(kind).itemsize
        content = bytearray(size)  # for torch, which warns of arrays that it may not write to
        if pipe.readinto(content) != size:  # type: ignore[attr-defined]
            raise TableError(DAMAGED)
        arrays.append(np.frombuffer(content, kind).reshape(shape))
    return Sent(told["described"], arrays)


def serve(reader: str, path: str, room: int) -> None:
    """Reads the file and writes its content to stdout: the whole work of the process."""
    os.putenv("POLARS_MAX_THREADS", "1")  # because each thread needs memory, which is limited
    import polars

    convert = pkgutil.resolve_name(reader)
    _bound_memory(room)
    try:
        sent = convert(polars.read_parquet(path, use_statistics=False))
    except BaseException as error:  # a panic of polars is no Exception
        _send({"refused": _refusal(error)}, [])
    else:
        _send({"described": sent.described}, sent.arrays)


def serve_rows(reader: str, path: str, room: int, words: list[str | None]) -> None:
    """Reads the file and writes its rows to stdout, some at a time, and at the end none: the whole
    work of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process ends this one
    os.putenv("POLARS_MAX_THREADS", "1")
    import polars  # noqa: F401 - before memory is limited

    convert = pkgutil.resolve_name(reader)
    _bound_memory(room)
    try:
        for rows in convert(path, *words):
            if rows:
                _send_rows(rows)
    except BaseException as error:
        _send({"refused": _refusal(error)}, [])
    else:
        _send_rows([])


def _send_rows(rows: Iterable[tuple[Any, bytes]]) -> None:
    out = sys.stdout.buffer
    described = [(what, len(content)) for what, content in rows]
    out.write(json.dumps({"rows": described}).encode() + b"\n")
    for _, content in rows:
        out.write(content)
    out.flush()


def _refusal(error: BaseException) -> str:
    """The reason why a file is not read."""
    if isinstance(error, TableError):
        return str(error)
    said = first_line(error)
    return f"it is not a Parquet file, or is damaged ({said[:200]})"


def _send(what: dict[str, Any], arrays: list[NDArray[Any]]) -> None:
    """Writes a line of JSON, then the arrays."""
    for array in arrays:
        if array.dtype.kind not in "fiu":
            return _send({"refused": f"its features are not numbers ({array.dtype})"}, [])
    told = {**what, "arrays": [(array.dtype.str, array.shape) for array in arrays]}
    out = sys.stdout.buffer
    out.write(json.dumps(told).encode() + b"\n")
    for array in arrays:
        out.write(np.ascontiguousarray(array).data)
    out.flush()
    return None


def _bound_memory(room: int) -> None:
    """Limits this process to `room` bytes more memory than it has now."""
    with contextlib.suppress(OSError, ValueError):  # this file exists only on Linux
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + room
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
