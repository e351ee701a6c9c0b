"""The folder of a training run, and the text files and arrays in it."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.config import run_files
from aectl.errors import OutputError
from aectl.files import lock, replacing, temporaries, writing
from aectl.outputs.metrics_table import to_csv

RUNS = Path("runs")


def make(path: Path | None, stem: str, overwrite: bool) -> Path:
    """Creates the run folder: `path`, or the first free `runs/<stem>-<n>`.

    Raises OutputError if it cannot be created, or is not empty and `overwrite` is not set.
    """
    try:
        if path is None:
            return _next_free(stem)
        refuse_filled(path, overwrite)
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"cannot write the run folder {path or RUNS}: {error.strerror or error}"
        ) from None
    return path


def refuse_filled(path: Path | None, overwrite: bool) -> None:
    """Raises OutputError if the folder is not empty and `overwrite` is not set."""
    if path is not None and path.is_dir() and any(path.iterdir()) and not overwrite:
        raise OutputError(f"the run folder {path} is not empty; --overwrite writes into it")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Locks the run folder against other processes that train into it.

    Raises OutputError if it is locked. The system releases the lock when a process ends.
    """
    with writing(path):
        descriptor = os.open(path, os.O_RDONLY)
    try:
        with writing(path):
            lock(descriptor, f"another aectl is training into {path}")
        yield
    finally:
        os.close(descriptor)


def remove_half_written(path: Path) -> None:
    """Removes the temporary files of a process that was killed while it wrote to the run folder.

    Raises OSError.
    """
    for name in run_files.OWN:
        for temporary in temporaries(path / name):
            temporary.unlink(missing_ok=True)


def save_text(path: Path, text: str) -> None:
    """Writes a text file; names that are not UTF-8 are escaped. Raises OutputError."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Writes an array in NumPy's .npy format. Raises OutputError."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def save_metrics(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Writes CSV with one row per epoch. Raises OutputError."""
    save_text(path, to_csv(rows))


def _next_free(stem: str) -> Path:
    RUNS.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = RUNS / f"{stem}-{number}"
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path
