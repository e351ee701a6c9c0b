"""Reads Parquet in a separate process, which a damaged file may crash.

Polars allocates whatever size a file states, and aborts its process if there is no memory.
Therefore it runs in a process with limited memory, which sends arrays back; they are checked like
those of any other file.
"""

import contextlib
import json
import math
import os
import pkgutil
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aectl.data.codes.table_content import TableError
from aectl.data.own_process import own_process

START = (
    "from aectl.data.frame_process import serve; serve(sys.argv[2], sys.argv[3], int(sys.argv[4]))"
)

SECONDS, BYTES_A_SECOND = 120, 5_000_000
"""The time limit for a file: a constant, plus its size at this speed, that of a slow machine."""

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
        clock = threading.Timer(SECONDS + os.stat(path).st_size / BYTES_A_SECOND, process.kill)
        clock.start()
        try:
            return _received(process.stdout, room)
        finally:
            clock.cancel()
            process.kill()


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
    except TableError as error:
        _send({"refused": str(error)}, [])
    except BaseException as error:  # a panic of polars is no Exception
        said = (str(error) or type(error).__name__).splitlines()[0]
        _send({"refused": f"it is not a Parquet file, or is damaged ({said[:200]})"}, [])
    else:
        _send({"described": sent.described}, sent.arrays)


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
