"""Damaged tables of codes, of every format and layout: values, types, lengths, order, bytes."""

import copy
import gzip
import io
import json
import zipfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars
from damage import DAMAGES
from scipy import sparse

from aectl.data.codes.code_tables import read_codes

UNITS, ROWS = 12, 30
FORMATS = (".npz", ".csv", ".jsonl", ".parquet", ".csv.gz")
LAYOUTS = ("columns", "vector", "sparse")
EXTREME = (-1, 0, 1, UNITS, -(2**63), 2**63 - 1, 2**31, 2**62, float("nan"), float("inf"), 1e308)
KINDS = (
    "<f8",
    ">f4",
    "<f2",
    "<i8",
    "<i4",
    "<u8",
    "|i1",
    "|u1",
    "|b1",
    "<c8",
    "<U5",
    "|S3",
    "<M8[s]",
)
STRANGE: tuple[Any, ...] = (
    None, True, -1, UNITS, 2**31, 2**63, 10**400, 1e308, 1e39, float("nan"), float("inf"), "", "x",
    "1", "x" * 70_000, [], {}, [[1]], [None], [2**62, -1], "a\0b", "\ud800", "/etc/x", "../../x",
)  # fmt: skip
HEADERS = (
    {"shape": (2**62, 2**62)}, {"shape": (-1, 4)}, {"shape": (10**9, UNITS)}, {"shape": (2**40,)},
    {"shape": ()}, {"shape": (0, UNITS)}, {"shape": (1,) * 70}, {"shape": 5}, {"shape": (1.5,)},
    {"descr": "|O"}, {"descr": [("a", "<f4"), ("b", "|O")]}, {"descr": "<f99"}, {"descr": 3},
    {"descr": "<U999999999"}, {"descr": "|V4"}, {"fortran_order": True}, {"fortran_order": 3},
    {"more": 1},
)  # fmt: skip
"""What the header of an array may claim in place of the truth."""


def name_of(number: int) -> str:
    """The name of the damaged table of this number: its ending says how it is to be read."""
    return f"codes{FORMATS[number % len(FORMATS)]}"


@cache
def sound() -> np.ndarray:
    chance = np.random.default_rng(0)
    codes = chance.random((ROWS, UNITS), np.float32)
    return np.where(codes < 0.6, 0, codes).astype(np.float32)


def as_arrays(layout: str) -> dict[str, np.ndarray]:
    """As encode and scipy.sparse.save_npz write them."""
    paths = np.array([f"{row}.png" for row in range(ROWS)])
    if layout != "sparse":
        return {"path": paths, "features": sound()}
    rows = sparse.csr_matrix(sound())
    return {
        "path": paths, "format": np.array(b"csr"), "shape": np.array(rows.shape),
        "indptr": rows.indptr, "indices": rows.indices, "data": rows.data,
    }  # fmt: skip


def as_rows(layout: str) -> list[dict[str, Any]]:
    rows = []
    for number, code in enumerate(sound()):
        row: dict[str, Any] = {"path": f"{number}.png"}
        if layout == "columns":
            row |= {f"f{unit}": float(value) for unit, value in enumerate(code)}
        elif layout == "vector":
            row["features"] = code.tolist()
        else:
            active = np.flatnonzero(code).tolist()
            row |= {"indices": active, "values": code[active].tolist()}
        rows.append(row)
    return rows


def changed_array(array: np.ndarray, chance: Random) -> np.ndarray:
    """Another type, length, order, or value."""
    kind = chance.randrange(8)
    flat = array.ravel()
    with np.errstate(all="ignore"):
        if kind == 0:
            kind_of = chance.choice(KINDS)
            return array.astype(kind_of) if array.dtype.kind in "if" else np.ones(3, kind_of)
        if kind == 1:
            return flat[: chance.randrange(len(flat) + 1)]
        if kind == 2:
            return np.concatenate([flat, flat[: chance.choice((1, 5))]])
        if kind == 3:
            return np.array(chance.sample(flat.tolist(), len(flat)), array.dtype)
        if kind == 4:
            return array.reshape(*array.shape, 1) if chance.random() < 0.5 else array[None]
        if kind == 5:
            return np.array(array.tolist(), object)
        if kind == 6:
            return array[::-1] if array.ndim else array
        made = flat.astype(array.dtype)
        if len(made) and made.dtype.kind in "iuf":
            place, value = chance.randrange(len(made)), chance.choice(EXTREME)
            wide = np.array(value).astype(np.float64)
            made[place] = wide.astype(made.dtype)
        return made.reshape(array.shape)


def lying(array: np.ndarray, chance: Random, content: bytes) -> bytes:
    """The array behind a header that claims something else."""
    told = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    header = repr(told | chance.choice(HEADERS)).encode()
    if chance.random() < 0.1:
        header = chance.choice((b"[" * 5000, b"(" * 200, b"{" * 9000, b"1" * 9999, b"{}", b"\xff"))
    length = chance.choice((len(header),) * 8 + (0, 2**31))
    return b"\x93NUMPY\x02\x00" + (length % 2**32).to_bytes(4, "little") + header + content


def damaged_arrays(layout: str, chance: Random) -> bytes:
    arrays = as_arrays(layout)
    made = io.BytesIO()
    how = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    wrong = chance.choices(list(arrays), k=chance.choice((1, 1, 2)))
    with zipfile.ZipFile(made, "w", how) as archive:
        for name, array in arrays.items():
            kind, content = chance.random(), io.BytesIO()
            if name in wrong and kind < 0.1:
                continue
            if name in wrong and kind < 0.7:
                array = changed_array(array, chance)
            np.save(content, array)
            data = content.getvalue()
            if name in wrong and kind > 0.7:
                zeros = chance.choice((0, 0, 10**6, 3 * 10**8 if kind > 0.98 else 0))
                data = lying(array, chance, array.tobytes() + bytes(zeros))
            archive.writestr(f"{name}.npy", data)
    return made.getvalue()


def damaged_rows(layout: str, chance: Random) -> list[dict[str, Any]]:
    """Rows with a strange value, one more, or one less somewhere."""
    rows = as_rows(layout)
    for _ in range(chance.choice((1, 1, 3))):
        row = chance.choice(rows)
        if not row:
            continue
        name = chance.choice(list(row))
        kind = chance.random()
        if kind < 0.15:
            del row[name]
        elif kind < 0.25:
            row[chance.choice(("f99999999999", "f-1", "f1", "f01", "indices", "features"))] = 1.0
        elif isinstance(row[name], list) and row[name] and kind < 0.8:
            row[name][chance.randrange(len(row[name]))] = copy.deepcopy(chance.choice(STRANGE))
            if chance.random() < 0.3:
                row[name] = row[name] * 2
        else:
            row[name] = copy.deepcopy(chance.choice(STRANGE))
    return rows


def as_json(rows: list[dict[str, Any]], chance: Random | None = None) -> bytes:
    """An object a row; by chance, a line is none."""
    lines = [json.dumps(row) for row in rows]
    if chance and chance.random() < 0.2:
        lines[chance.randrange(ROWS)] = chance.choice(
            ("[" * 100_000, '{"path":' * 100_000, "1" * 10_000, "null", "[]", "", '{"a":1')
        )
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def as_csv(rows: list[dict[str, Any]], chance: Random | None = None) -> bytes:
    """A line a row; by chance, one is too long, too short, or quoted wrongly."""
    names = list(rows[chance.choice((0, 0, 1)) if chance else 0])
    lines = [",".join(names)]
    for row in rows:
        cells = [row.get(name, "") for name in names]
        cells = [" ".join(map(str, x)) if isinstance(x, list) else str(x) for x in cells]
        if chance and chance.random() < 0.01:
            cells = cells[:-1] if chance.random() < 0.5 else [*cells, "1"]
        if chance and chance.random() < 0.01:
            cells[0] = chance.choice(('"', '"a""', '"a"b', "'", "\0", '"\n\n\n'))
        lines.append(",".join(cells))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


@cache
def zeros(count: int) -> bytes:
    """A Parquet file of hundreds of kilobytes that holds so many numbers."""
    made = io.BytesIO()
    numbers = polars.select(f0=polars.repeat(0.0, count, dtype=polars.Float32))
    numbers.write_parquet(made)
    return made.getvalue()


def as_parquet(layout: str, chance: Random) -> bytes:
    """A sound file of columns of the wrong kind, or one that expands to gigabytes."""
    made = io.BytesIO()
    if chance.random() < 0.03:
        return zeros(chance.choice((10**7, 10**8)))
    frame = polars.DataFrame(as_rows(layout), infer_schema_length=None)
    for name in chance.choices(frame.columns, k=chance.choice((1, 2))):
        column = frame[name]
        changed = chance.choice((
            polars.Series(name, [None] * ROWS),
            polars.Series(name, [b"\xff\0"] * ROWS),
            polars.Series(name, [True] * ROWS),
            polars.Series(name, [chance.choice(EXTREME[:8])] * ROWS),
            polars.Series(name, [1e300] * ROWS),
            polars.Series(name, [[1], [None]] * (ROWS // 2)),
            polars.Series(name, [[1.5], []] * (ROWS // 2)),
            polars.Series(name, [{"a": 1}] * ROWS),
            column.shift(1), column.reverse(),
            column.cast(polars.String) if column.dtype.is_numeric() else column.shift(2),
        ))  # fmt: skip
        frame = frame.with_columns(changed)
    if chance.random() < 0.2:
        frame = frame.drop(chance.choice(frame.columns))
    if chance.random() < 0.05:
        frame = frame.head(0)
    frame.write_parquet(made, compression=chance.choice(("zstd", "snappy", "uncompressed")))
    return made.getvalue()


@cache
def written(ending: str, layout: str) -> bytes:
    """A sound table."""
    if ending == ".npz":
        made = io.BytesIO()
        np.savez(made, **as_arrays(layout))
        return made.getvalue()
    rows = as_rows(layout)
    if ending == ".parquet":
        made = io.BytesIO()
        polars.DataFrame(rows).write_parquet(made)
        return made.getvalue()
    text = as_json(rows) if ending == ".jsonl" else as_csv(rows)
    return gzip.compress(text, 1) if ending == ".csv.gz" else text


def damaged_codes(number: int) -> bytes:
    """The damaged table of this number."""
    chance = Random(number)
    ending = FORMATS[number % len(FORMATS)]
    layout = chance.choice(LAYOUTS)
    if ending.startswith(".csv") and layout == "vector":
        layout = "columns"
    if chance.random() < 0.35:
        content = written(ending, layout)
        for _ in range(chance.choice((1, 1, 2))):
            content = chance.choice(DAMAGES)(content, chance) or b"\0"
        return content
    if ending == ".npz":
        return damaged_arrays(layout, chance)
    if ending == ".parquet":
        return as_parquet(layout, chance)
    rows = damaged_rows(layout, chance)
    if ending == ".jsonl":
        return as_json(rows, chance)
    text = as_csv(rows, chance)
    if ending == ".csv":
        return text
    return packed_zeros() if chance.random() < 0.02 else gzip.compress(text, 1)


@cache
def packed_zeros() -> bytes:
    """Compressed text that expands to 400 MiB."""
    return gzip.compress(bytes(400 << 20), 1)


def read_table(path: Path) -> None:
    """Reads it as `reconstruct --from-codes` does, and makes every row dense."""
    codes = read_codes(path, None, UNITS)
    values = codes.part(slice(None))
    assert values.shape == (len(codes), UNITS)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert all(isinstance(name, str) for name in codes.names)
