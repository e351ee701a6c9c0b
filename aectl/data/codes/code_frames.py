"""Reads codes from Parquet in a separate process, which a damaged file may crash.

Polars allocates whatever size a file states, and aborts its process if there is no memory.
Therefore it runs in a process with limited memory, which sends arrays back; they are checked like
those of any other file.
"""

import contextlib
import json
import math
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aectl.data.codes.code_lines import in_order
from aectl.data.codes.table_content import VECTOR, Held, Sparse, TableError
from aectl.data.own_process import own_process

if TYPE_CHECKING:
    from polars import DataFrame, Series

START = "from aectl.data.codes.code_frames import serve; serve(sys.argv[2], int(sys.argv[3]))"

SECONDS, BYTES_A_SECOND = 120, 5_000_000
"""The time limit for a file: a constant, plus its size at this speed, that of a slow machine."""


def of_parquet(path: Path, room: int) -> Held:
    """Reads columns f0 ... fN, or `features`, or `indices` and `values`.

    Raises TableError for anything else, and if they need more than `room` bytes of memory.
    """
    with subprocess.Popen(  # noqa: S603 - Python itself, with words of our own
        own_process(START, os.path.abspath(path), str(room)),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        clock = threading.Timer(SECONDS + os.stat(path).st_size / BYTES_A_SECOND, process.kill)
        clock.start()
        try:
            return _received(process.stdout, room)
        finally:
            clock.cancel()
            process.kill()


def _received(pipe: IO[bytes], room: int) -> Held:
    """Reads the output of the process: a line of JSON that describes the arrays after it."""
    line = pipe.readline(room)
    if not line.endswith(b"\n"):
        raise TableError("it is damaged, or expands to more than its size allows")
    described = json.loads(line)
    if "refused" in described:
        raise TableError(described["refused"])
    arrays = []
    for kind, shape in described["arrays"]:
        size = math.prod(shape) * np.dtype(kind).itemsize
        content = bytearray(size)  # for torch, which warns of arrays that it may not write to
        if pipe.readinto(content) != size:  # type: ignore[attr-defined]
            raise TableError("it is damaged, or expands to more than its size allows")
        arrays.append(np.frombuffer(content, kind).reshape(shape))
    if len(arrays) == 1:
        return Held(described["names"], arrays[0])
    ends, indices, values = arrays
    return Held(described["names"], Sparse(ends, indices, values))


def serve(path: str, room: int) -> None:
    """Reads the file and writes its arrays to stdout: the whole work of the process."""
    os.putenv("POLARS_MAX_THREADS", "1")  # because each thread needs memory, which is limited
    import polars

    _bound_memory(room)
    try:
        held = _held(polars.read_parquet(path, use_statistics=False))
    except TableError as error:
        _send({"refused": str(error)}, [])
    except BaseException as error:  # a panic of polars is no Exception
        said = (str(error) or type(error).__name__).splitlines()[0]
        _send({"refused": f"it is not a Parquet file, or is damaged ({said[:200]})"}, [])
    else:
        features = held.features
        arrays = [*features[:3]] if isinstance(features, Sparse) else [features]
        _send({"names": held.names}, arrays)


def _send(what: dict[str, Any], arrays: list[NDArray[Any]]) -> None:
    """Writes a line of JSON, then the arrays."""
    for array in arrays:
        if array.dtype.kind not in "fiu":
            return _send({"refused": f"its features are not numbers ({array.dtype})"}, [])
    described = {**what, "arrays": [(array.dtype.str, array.shape) for array in arrays]}
    out = sys.stdout.buffer
    out.write(json.dumps(described).encode() + b"\n")
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


def _held(frame: "DataFrame") -> Held:
    columns = set(frame.columns)
    names = None
    if "path" in columns:
        names = [
            x.decode("utf-8", "surrogateescape") if isinstance(x, bytes) else str(x or "")
            for x in frame["path"].to_list()
        ]
    if {"indices", "values"} <= columns:
        (ends, indices), (others, values) = _flat(frame["indices"]), _flat(frame["values"])
        if not np.array_equal(ends, others):
            raise TableError("a row has different numbers of indices and values")
        return Held(names, Sparse(ends, indices, values))
    if VECTOR in columns:
        ends, values = _flat(frame[VECTOR])
        width = int(ends[1]) if len(ends) > 1 else 0
        if (np.diff(ends) != width).any():
            raise TableError("its rows have different numbers of features")
        return Held(names, values.reshape(len(ends) - 1, width))
    return Held(names, frame.select(in_order(frame.columns)).to_numpy())


def _flat(column: "Series") -> tuple[NDArray[Any], NDArray[Any]]:
    """The ends of the lists in a column, (n + 1,), and their values, (values,)."""
    import polars

    kind = column.dtype
    if isinstance(kind, polars.Array):
        column = column.arr.to_list()
    elif not isinstance(kind, polars.List):
        raise TableError(f"its column {column.name} does not hold lists ({kind})")
    column = column.fill_null([])
    lengths = column.list.len().to_numpy()
    values = column.filter(column.list.len() > 0).explode().to_numpy()
    return np.cumsum([0, *lengths.tolist()]), values
