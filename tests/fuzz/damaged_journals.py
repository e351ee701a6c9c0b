"""Damaged journals of tables in the making: taken up as they were, or refused in a line."""

import copy
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from damage import DAMAGES
from damaged_models import STRANGE, change

from aectl.data.named_inputs import Position
from aectl.outputs.formats import format_of
from aectl.outputs.rows import Rows
from aectl.outputs.unfinished import JOURNAL, Part, folder_of

KEY = {"verb": "encode", "model": "5f2e"}
BLOCKS = [
    Rows({"path": ["a", "b"]}, np.ones((2, 3), np.float32), Position(3, "ab")),
    Rows({"path": ["c"]}, np.ones((1, 3), np.float32), Position(4, "abc")),
]
BAD = [("x", "no image")]


def begun(table: Path) -> Path:
    """Leaves a table as an interrupted run does; returns its journal."""
    part = Part(table, format_of(table), KEY, resume=False)
    for rows in BLOCKS:
        part.add(rows, "columns", BAD)
    part.close()
    return folder_of(table) / JOURNAL


@cache
def sound() -> tuple[bytes, bytes]:
    """The journal and the rows of one, made once: each block waits for the disk."""
    with tempfile.TemporaryDirectory() as folder:
        journal = begun(Path(folder) / "t.csv")
        return journal.read_bytes(), journal.with_name("rows").read_bytes()


def damaged_journal(number: int) -> bytes:
    """The damaged journal of this number."""
    chance, (journal, _) = Random(number), sound()
    if chance.random() < 0.5:
        return chance.choice(DAMAGES)(journal, chance)
    lines = [json.loads(line) for line in journal.splitlines()]
    for _ in range(chance.choice((1, 1, 3))):
        change(chance.choice(lines), chance)
    if chance.random() < 0.2:
        lines.insert(chance.randrange(4), copy.deepcopy(chance.choice(STRANGE)))
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def resume(path: Path) -> None:
    """Goes on with a table whose journal lies at `path`, as --resume does."""
    table = path.with_name("t.csv")
    shutil.rmtree(folder_of(table), ignore_errors=True)
    folder_of(table).mkdir()
    (folder_of(table) / "rows").write_bytes(sound()[1])
    (folder_of(table) / JOURNAL).write_bytes(path.read_bytes())
    part = Part(table, format_of(table), KEY, resume=True)
    try:
        assert part.rows in (0, 2, 3)
        assert part.bad in ([], BAD)
        lines = (folder_of(table) / "rows").read_bytes().count(b"\n")
        assert lines == (part.rows + 1 if part.rows else 0), "and the header"
    finally:
        part.close()
