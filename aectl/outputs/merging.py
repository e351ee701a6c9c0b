"""Parts of a table that several machines wrote: where they stand, and how they become one table.

A part is a table of its own, beside which a hidden record keeps what it was made of: the model, the
options, the digest of the list of all inputs, and a checksum (`aectl.outputs.unfinished`).
"""

import contextlib
import itertools
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aectl.config.spelling import first_of, spelt_out
from aectl.config.table_formats import ids_of
from aectl.data.shares import Shard
from aectl.errors import ConfigError, OutputError
from aectl.files import replacing
from aectl.outputs.assembled_formats import Array
from aectl.outputs.formats import extension_of, format_of
from aectl.outputs.journal import BadInput, Kept, checksum
from aectl.outputs.unfinished import TableRecord, folder_of, record_of, recorded_in

SHARD, MOST_NAMED = "shard", 20

PART_NAME = re.compile(r"\.?[0-9]+-of-([0-9]+)\.")
"""The names of parts, of unfinished ones, and of their records begin so."""


class FinishedPart(NamedTuple):
    """A finished part: `key`, all that must be equal in the parts of a table, beside the `shard`;
    the state of the table; the inputs that could not be read; and, of an array, the checksum of the
    table beside it."""

    path: Path
    shard: Shard
    key: dict[str, Any]
    kept: Kept
    bad: list[BadInput]
    ids: int | None


class Merged(NamedTuple):
    """A merge: the numbers of parts and of rows, and the inputs that were left out."""

    parts: int
    rows: int
    bad: list[BadInput]


def part_of(table: Path, shard: Shard) -> Path:
    """The path of a part of a table, in a folder beside it: `codes.csv.shards/03-of-64.csv`.

    Raises OutputError for a table of an unknown format.
    """
    ending = extension_of(table)
    number = str(shard.number).zfill(len(str(shard.of)))
    return folder_of_parts(table) / f"{number}-of-{shard.of}{ending}"


def folder_of_parts(table: Path) -> Path:
    """The folder beside a table that holds its parts."""
    return table.with_name(f"{table.name}.shards")


def counts_in(folder: Path) -> set[int]:
    """Of how many parts those are, finished or not, that are in a folder."""
    found = (PART_NAME.match(one.name) for one in folder.glob("*-of-*"))
    return {int(match[1]) for match in found if match}


def clear(folder: Path) -> None:
    """Removes a folder of parts. Raises OutputError for one that has other files."""
    for one in folder.iterdir():
        if not PART_NAME.match(one.name):
            raise OutputError(f"{one} is no part of a table: --overwrite does not remove it")
    shutil.rmtree(folder)


def parts_in(named: Iterable[Path]) -> list[FinishedPart]:
    """The parts that are named, or lie in folders that are, in the order of their shares.

    Raises OutputError where they are not all parts of one table, each of them once and unchanged.
    """
    paths = [path for one in named for path in (recorded_in(one) if one.is_dir() else [one])]
    parts = sorted(map(_part, paths), key=lambda part: (part.shard, part.path))
    if not parts:
        raise OutputError("there are no finished parts of a table")
    first = parts[0]
    for part in parts[1:]:
        _refuse_foreign(first, part)
    for one, other in itertools.pairwise(parts):
        if one.shard == other.shard:
            raise OutputError(f"{one.path} and {other.path} are both shard {one.shard}")
    _refuse_missing(parts, first.shard.of)
    for part in parts:
        _refuse_changed(part)
    return parts


def merged(parts: Sequence[FinishedPart], out: Path | None) -> Merged:
    """Writes the table whose parts are given; without `out`, they are only counted.

    Raises OutputError for parts of another format than `out`, or with different columns.
    """
    rows, bad = sum(part.kept.rows for part in parts), [one for part in parts for one in part.bad]
    if out is not None:
        format = format_of(out)
        for part in parts:
            if format_of(part.path) is not format:
                raise OutputError(f"{part.path} is of another format than {out}")
        paths = [part.path for part in parts if part.kept.rows]
        if not paths:
            raise OutputError("no part has any rows")
        with contextlib.ExitStack() as written:
            if isinstance(format, Array):
                with written.enter_context(replacing(ids_of(out), True)).open("wb") as file:
                    format.join_ids([ids_of(path) for path in paths], file)
            with written.enter_context(replacing(out, True)).open("wb") as file:
                format.join(paths, file)
    return Merged(len(parts), rows, bad)


def _part(path: Path) -> FinishedPart:
    """A finished part, by the record beside it. Raises OutputError."""
    try:
        key, kept, late, ids = TableRecord.read(path)
    except FileNotFoundError:
        beside = record_of(path).name
        raise OutputError(f"{path} is no finished part: {beside} is not beside it") from None
    try:
        shard = Shard.parsed(str(key.pop(SHARD, None)))
    except ConfigError:
        raise OutputError(f"{path} was written without --shard, and is no part") from None
    return FinishedPart(path, shard, key, kept, [*kept.bad, *late], ids)


def _refuse_foreign(first: FinishedPart, part: FinishedPart) -> None:
    if part.shard.of != first.shard.of:
        raise OutputError(
            f"{first.path} is shard {first.shard}, and {part.path} shard {part.shard}: they are"
            " not parts of one table"
        )
    for name in sorted(first.key.keys() | part.key.keys()):
        if first.key.get(name) != part.key.get(name):
            raise OutputError(
                f"{part.path} was made with {spelt_out(name)} {part.key.get(name)!r}, and"
                f" {first.path} with {first.key.get(name)!r}: they are not parts of one table"
            )


def _refuse_missing(parts: Sequence[FinishedPart], count: int) -> None:
    there = {part.shard.number for part in parts}
    missing = [number for number in range(1, count + 1) if number not in there]
    if not missing:
        return
    text = ",".join(_ranges(missing))
    begun = [number for number in missing if _begun(parts[0], number)]
    raise OutputError(
        f"{len(missing):,} of {count:,} shards are missing; run them again: --array={text}"
        + f" ({first_of(map(str, begun), MOST_NAMED)} begun: --resume continues)" * bool(begun)
    )


def _begun(part: FinishedPart, number: int) -> bool:
    """Whether another shard of the table is unfinished."""
    digits = len(str(part.shard.of))
    name = str(number).zfill(digits) + part.path.name[digits:]
    return folder_of(part.path.with_name(name)).exists()


def _ranges(numbers: Sequence[int]) -> list[str]:
    """Numbers in ascending order as a scheduler takes them: 3, 17-20."""
    known = set(numbers)
    starts = [number for number in numbers if number - 1 not in known]
    ends = [number for number in numbers if number + 1 not in known]
    return [str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True)]


def _refuse_changed(part: FinishedPart) -> None:
    sums = {part.path: part.kept.crc}
    if part.ids is not None:
        sums[ids_of(part.path)] = part.ids
    for path, crc in sums.items():
        try:
            same = checksum(path) == crc
        except FileNotFoundError:
            raise OutputError(
                f"{path} is not there, but its record is; write {part.path} again"
            ) from None
        if not same or (path == part.path and path.stat().st_size != part.kept.size):
            raise OutputError(f"{path} was changed after it was written; write {part.path} again")
