"""Rows as bytes: in every format and layout they are read back by another program."""

import csv
import gzip
import io
import itertools
import json
import os
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import numpy as np
import polars
import pytest
import scipy.sparse
from safetensors.numpy import load

from aectl.errors import OutputError
from aectl.outputs.assembled_formats import Array
from aectl.outputs.formats import FORMATS, format_of
from aectl.outputs.rows import Rows


def floats(dtype, width):
    """Every kind of finite number, most of them as random bits, some 0; (n, width)."""
    bits = np.random.default_rng(0).integers(0, 2**32, 6000, dtype=np.uint32)
    values = (bits if dtype == np.float32 else bits.astype(np.uint16)).view(dtype)
    values[::7] = 0
    least, info = np.finfo(dtype).smallest_subnormal, np.finfo(dtype)
    chosen = [0.0, -0.0, least, -least, 3 * least, info.tiny, -info.tiny, info.max, info.min]
    chosen += [0.1, 1 / 3, 1.0, 255.0, 2048.0, 1e-5, 0.3, 0.7, 1 + float(info.eps)]
    values = np.concatenate([np.array(chosen, dtype), values[np.isfinite(values)]])
    return values[: len(values) // width * width].reshape(-1, width)


NUMBERS = {dtype: floats(dtype, 5) for dtype in (np.float32, np.float16)}
PATHS = [
    "plain.png", "with space.png", "comma,.png", 'quote".png', '"', '""', "two\nlines.png", "\r",
    "a\r\nb", "caf\u00e9.png", "\u732b.png", "\U0001f431", "semi;colon\t.png", " leading", "'a'",
    "back\\slash\\n", "null", "1.0", "=1+1", "\x01", "\x01\x01.png", "\x7f", "\u2028", "\ufeffbom",
    "", "trailing ", "digits:test/17",
]  # fmt: skip
NOT_UTF8 = os.fsdecode(b'caf\xe9, \xff"\n.png')
"""What Python calls a file whose name is no UTF-8."""
SPELT = "file:caf%E9%2C%20%FF%22%0A.png"
"""The same as tables have it: RFC 3986."""


def turned_back(name):
    """A name of a table as Python calls the file, by Python's own reader of such addresses."""
    return os.fsdecode(unquote_to_bytes(name[5:])) if name.startswith("file:") else name


class Table(NamedTuple):
    """What another program finds in a file; features are (n, d), or pairs of active and values."""

    columns: dict[str, list[Any]]
    features: Any


def numbers(cells, dtype):
    """Numbers as text, or as Python has them, with no more than one rounding."""
    return np.array([float(cell) for cell in cells], np.float64).astype(dtype)


def table(rows, layout, dtype):
    """The table of rows that are dictionaries."""
    names = [name for name in rows[0] if not name.startswith(("f", "indices", "values"))]
    columns = {name: [row[name] for row in rows] for name in names}
    if layout == "sparse":
        pairs = [(row["indices"], row["values"]) for row in rows]
        split = [[cell.split() if isinstance(cell, str) else cell for cell in p] for p in pairs]
        return Table(columns, [(list(map(int, i)), numbers(v, dtype)) for i, v in split])
    if layout == "vector":
        return Table(columns, np.stack([numbers(row["features"], dtype) for row in rows]))
    found = [name for name in rows[0] if name.startswith("f")]
    assert found == [f"f{number}" for number in range(len(found))]
    return Table(columns, np.stack([numbers([row[n] for n in found], dtype) for row in rows]))


def read_csv(data, layout="columns", dtype=np.float32):
    names, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    cells = [
        {
            name: x if name == "path" else x.removeprefix("'")
            for name, x in zip(names, row, strict=True)
        }
        for row in rows
    ]
    return table(cells, layout, dtype)


def refuse(constant):
    raise AssertionError(f"JSON has no {constant}")


def read_jsonl(data, layout="columns", dtype=np.float32):
    *lines, end = data.split(b"\n")
    assert end == b""
    rows = [json.loads(line, parse_constant=refuse) for line in lines]
    return table(rows, layout, dtype)


def read_parquet(data, layout="columns", dtype=np.float32):
    frame = polars.read_parquet(io.BytesIO(data))
    kind = polars.Float32 if dtype == np.float32 else polars.Float16
    for name, found in frame.schema.items():
        if name[0] == "f" or name == "values":
            assert getattr(found, "inner", found) == kind
    return table(frame.to_dicts(), layout, dtype)


def read_npz(data, layout="columns", dtype=np.float32):
    held = np.load(io.BytesIO(data))
    matrix = {"format", "shape", "indptr", "indices", "data"}
    columns = {name: held[name].tolist() for name in held if name not in {"features"} | matrix}
    if layout != "sparse":
        features = held["features"] if "features" in held else np.zeros((0, 0), dtype)
        assert features.dtype == dtype
        return Table(columns, features)
    assert held["data"].dtype == dtype
    read = scipy.sparse.load_npz(io.BytesIO(data))
    assert read.shape[0] == len(columns["path"])
    assert read.has_sorted_indices
    ends = itertools.pairwise(read.indptr)
    return Table(columns, [(read.indices[a:b].tolist(), read.data[a:b]) for a, b in ends])


READ = {
    ".csv": read_csv,
    ".csv.gz": lambda data, *how: read_csv(gzip.decompress(data), *how),
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
    ".npz": read_npz,
}
"""How each format is read by programs that are not aectl."""

LAYOUTS = [
    (ending, layout)
    for ending in READ
    for layout in ("columns", "vector", "sparse")
    if not (ending.startswith(".csv") and layout == "vector")
]

each_format = pytest.mark.parametrize("ending", READ)
each_layout = pytest.mark.parametrize("ending, layout", LAYOUTS)
each_dtype = pytest.mark.parametrize("dtype", NUMBERS)
each_text = pytest.mark.parametrize(
    "ending, layout", [one for one in LAYOUTS if one[0] in (".csv", ".jsonl")]
)


def written(folder, ending, layout, *blocks):
    """The bytes of a table of these blocks."""
    form = FORMATS[ending]
    table, pieces = io.BytesIO(), []
    for number, rows in enumerate(blocks):
        if hasattr(form, "assemble"):
            pieces.append(folder / f"block {number}")
            with pieces[-1].open("wb") as file:
                form.write(rows, layout, number == 0, file)
        else:
            form.write(rows, layout, number == 0, table)
    if pieces:
        form.assemble(pieces, table)
    return table.getvalue()


def named(features, prefix=""):
    return Rows({"path": [f"{prefix}{number}.png" for number in range(len(features))]}, features)


def bits(array):
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


def check_features(read, features, layout):
    """That what was read is the features, bit for bit; sparse, all of them that are not 0."""
    if layout != "sparse":
        assert read.shape == features.shape
        np.testing.assert_array_equal(bits(read), bits(features))
        return
    assert len(read) == len(features)
    for (indices, values), row in zip(read, features, strict=True):
        active = [number for number, value in enumerate(row.tolist()) if value != 0]
        assert indices == active
        np.testing.assert_array_equal(bits(values), bits(row[active]))


def test_every_format_is_tested():
    arrays = {ending for ending, one in FORMATS.items() if isinstance(one, Array)}
    assert set(READ) | arrays == set(FORMATS)
    assert arrays == set(READ_ARRAYS)


READ_ARRAYS = {
    ".npy": lambda data: np.load(io.BytesIO(data)),
    ".safetensors": lambda data: load(data)["features"],
}


@each_dtype
@pytest.mark.parametrize("ending", READ_ARRAYS)
def test_an_array_holds_the_features_bit_for_bit_and_a_table_the_rest(tmp_path, ending, dtype):
    features, form = NUMBERS[dtype], FORMATS[ending]
    blocks = []
    for number, block in enumerate((features[:1], features[1:700], features[700:])):
        blocks.append(tmp_path / f"{number}.arrow")
        with blocks[-1].open("wb") as file:
            form.write(named(block, f"{number}/"), "columns", not number, file)
    array, ids = io.BytesIO(), io.BytesIO()
    form.assemble(blocks, array)
    form.assemble_ids(blocks, ids)
    found = READ_ARRAYS[ending](array.getvalue())
    assert (found.dtype, found.shape) == (dtype, features.shape)
    np.testing.assert_array_equal(bits(found), bits(features))
    frame = polars.read_parquet(io.BytesIO(ids.getvalue()))
    assert "features" not in frame.columns
    assert frame["path"][[0, 1, 700]].to_list() == ["0/0.png", "1/0.png", "2/0.png"]


@each_dtype
@each_layout
def test_features_read_back_bit_for_bit(tmp_path, ending, layout, dtype):
    features = NUMBERS[dtype]
    blocks = [features[:1], features[1:700], features[700:]]
    data = written(tmp_path, ending, layout, *(named(b, f"{n}/") for n, b in enumerate(blocks)))
    read = READ[ending](data, layout, dtype)
    assert read.columns["path"] == [
        f"{number}/{row}.png" for number, b in enumerate(blocks) for row in range(len(b))
    ]
    check_features(read.features, features, layout)


@each_dtype
@pytest.mark.parametrize("ending, layout", [one for one in LAYOUTS if one[0] != ".jsonl"])
def test_numbers_that_are_not_finite_read_back(tmp_path, ending, layout, dtype):
    features = np.array([[np.inf, 0, -np.inf], [1, np.nan, 0], [0, 0, 0]], dtype)
    data = written(tmp_path, ending, layout, named(features[:2]), named(features[2:]))
    check_features(READ[ending](data, layout, dtype).features, features, layout)


@pytest.mark.parametrize(
    "layout, expected",
    [
        ("columns", {"f0": None, "f1": None, "f2": None, "f3": 0.5, "f4": 0.0}),
        ("vector", {"features": [None, None, None, 0.5, 0.0]}),
        ("sparse", {"indices": [0, 1, 2, 3], "values": [None, None, None, 0.5]}),
    ],
)
def test_what_json_has_no_number_for_is_null(tmp_path, layout, expected):
    features = np.array([[np.inf, -np.inf, np.nan, 0.5, 0]], np.float32)
    data = written(tmp_path, ".jsonl", layout, named(features))
    assert json.loads(data, parse_constant=refuse) == {"path": "0.png"} | expected


SPARSE = {
    "each row has two": [[[1, 0, 2], [0, 3, 4]]],
    "rows differ": [[[1, 0, 2], [0, 0, 0], [0, 0, 5], [1, 2, 3]]],
    "one row": [[[0, 7, 8]]],
    "no row has any": [[[0, 0, 0], [0, 0, 0]]],
    "one row without any": [[[0, 0, 0]]],
    "one block without any": [[[0, 0, 0]], [[1, 0, 0], [0, 2, 3]], [[0, 0, 0], [0, 0, 0]]],
    "blocks differ": [[[1, 2, 0]], [[1, 0, 0]], [[1, 2, 3]]],
    "the last unit is never active": [[[1, 2, 0], [1, 0, 0]]],
}


@each_dtype
@each_format
@pytest.mark.parametrize("blocks", SPARSE.values(), ids=SPARSE)
def test_sparse_codes_are_their_active_units(tmp_path, ending, blocks, dtype):
    arrays = [np.array(block, dtype) for block in blocks]
    data = written(tmp_path, ending, "sparse", *map(named, arrays))
    read = READ[ending](data, "sparse", dtype)
    check_features(read.features, np.concatenate(arrays), "sparse")


@pytest.mark.parametrize("blocks", SPARSE.values(), ids=SPARSE)
def test_a_sparse_npz_is_the_matrix_that_scipy_reads(tmp_path, blocks):
    arrays = [np.array(block, np.float32) for block in blocks]
    data = written(tmp_path, ".npz", "sparse", *map(named, arrays))
    matrix = scipy.sparse.load_npz(io.BytesIO(data))
    np.testing.assert_array_equal(matrix.toarray(), np.concatenate(arrays))
    assert matrix.dtype == np.float32


def test_sparse_csv_has_spaces_between_numbers(tmp_path):
    features = np.array([[1, 0, 0.1], [0, 0, 0], [0, -2, 0]], np.float32)
    assert written(tmp_path, ".csv", "sparse", named(features)).decode().splitlines() == [
        "path,indices,values",
        "0.png,0 2,1.0 0.1",
        '1.png,"",""',
        "2.png,1,-2.0",
    ]


def test_csv_numbers_have_as_few_digits_as_give_them_back(tmp_path):
    features = np.array([[0.1, 1 / 3, 16777216, -0.0]], np.float32)
    lines = written(tmp_path, ".csv", "columns", named(features)).decode().splitlines()
    assert lines == ["path,f0,f1,f2,f3", "0.png,0.1,0.33333334,16777216.0,-0.0"]


@each_layout
def test_features_that_do_not_lie_row_by_row_in_memory_are_written_in_order(
    tmp_path, ending, layout
):
    features = np.arange(12, dtype=np.float32).reshape(4, 3)
    data = written(tmp_path, ending, layout, named(np.asfortranarray(features)))
    check_features(READ[ending](data, layout).features, features, layout)


def cells(ending, data):
    """The columns of a table without features, as they stand there."""
    if ending == ".npz":
        return {name: array.tolist() for name, array in np.load(io.BytesIO(data)).items()}
    if ending == ".parquet":
        return polars.read_parquet(io.BytesIO(data)).to_dict(as_series=False)
    if ending == ".jsonl":
        rows = [json.loads(line) for line in data.splitlines()]
    else:
        text = (data if ending == ".csv" else gzip.decompress(data)).decode()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    return {name: [row[name] for row in rows] for name in rows[0]}


@each_format
def test_columns_keep_their_order_names_and_values(tmp_path, ending):
    columns = {
        "path": ["a", "b"],
        "label": ["cat", "dog"],
        "probability": np.array([0.1, 0.7], np.float32),
        "prediction": ["dog", "dog"],
        "error": np.array([1 / 3, 1e-300]),
        "count": np.array([2**40, -1]),
    }
    found = cells(ending, written(tmp_path, ending, "columns", Rows(columns)))
    assert list(found) == list(columns)
    for name, column in columns.items():
        kind = column.dtype.type if isinstance(column, np.ndarray) else str
        assert [kind(cell) for cell in found[name]] == list(column)


@each_layout
def test_text_keeps_every_character(tmp_path, ending, layout):
    features = np.ones((len(PATHS), 2), np.float32)
    labels = PATHS[::-1]
    one, two = (
        Rows({"path": PATHS[part], "label": labels[part]}, features[part])
        for part in (slice(None, 9), slice(9, None))
    )
    read = READ[ending](written(tmp_path, ending, layout, one, two), layout)
    assert read.columns == {"path": PATHS, "label": labels}


NAMES = {
    "one block": [["a", NOT_UTF8, "b"]],
    "the first block": [[NOT_UTF8], ["caf\u00e9"]],
    "the last block": [["caf\u00e9", ""], [NOT_UTF8]],
    "one of several blocks": [["caf\u00e9"], ["\u732b", NOT_UTF8], ['",\n']],
    "all blocks": [[NOT_UTF8], [NOT_UTF8 + "2"]],
    "every byte": [[os.fsdecode(bytes([byte])) for byte in range(1, 256)]],
}


@each_layout
@pytest.mark.parametrize("blocks", NAMES.values(), ids=NAMES)
def test_names_that_are_not_utf8_are_text_that_can_be_turned_back(tmp_path, ending, layout, blocks):
    tables = [Rows({"path": block}, np.ones((len(block), 2), np.float32)) for block in blocks]
    data = written(tmp_path, ending, layout, *tables)
    found = READ[ending](data, layout).columns["path"]
    "".join(found).encode()
    wanted = [name for block in blocks for name in block]
    assert list(map(turned_back, found)) == wanted
    assert [name for name in found if not name.startswith("file:")] == [
        name for name in wanted if name.encode("utf-8", "replace").decode() == name
    ]


@pytest.mark.parametrize("ending", READ)
def test_a_name_that_is_not_utf8_is_spelt_in_percents(tmp_path, ending):
    rows = Rows({"path": [NOT_UTF8, "caf\u00e9"], "label": [NOT_UTF8, None]})
    found = cells(ending, written(tmp_path, ending, "columns", rows))
    assert found["path"] == [SPELT, "caf\u00e9"]
    assert found["label"][0] == SPELT


def test_parquet_has_text_where_names_are_not_utf8(tmp_path):
    tables = [Rows({"path": [name]}) for name in (NOT_UTF8, *PATHS)]
    frame = polars.read_parquet(io.BytesIO(written(tmp_path, ".parquet", "columns", *tables)))
    assert dict(frame.schema) == {"path": polars.String}
    assert frame["path"].to_list() == [SPELT, *PATHS]


COMPUTED = [
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=", "-", "--", "+a", "-.",
    "\uff1d1", "\uff0bx", "\uff0dx", "\uff20x", "-1x", "+1-2",
]  # fmt: skip
HARMLESS = ["1", "-1", "+1", "-0.5", "-1e-5", "+1E9", "a=b", "", "a", " =1", "(-1)", "\u732b"]


@pytest.mark.parametrize("ending", READ)
def test_no_cell_of_text_in_csv_begins_as_a_formula_and_each_can_be_turned_back(tmp_path, ending):
    texts = [*COMPUTED, *HARMLESS, "'quoted'", "''", "'=1"]
    rows = Rows({"path": ["a"] * len(texts), "label": texts, "prediction": texts})
    data = written(tmp_path, ending, "columns", rows)
    found = cells(ending, data)
    for name in ("label", "prediction"):
        if not ending.startswith(".csv"):
            assert found[name] == texts
            continue
        numbers = [x for x in found[name] if x.startswith(("+", "-"))]
        assert numbers == ["-1", "+1", "-0.5", "-1e-5", "+1E9"]
        assert not any(x and x[0] in "=@\t\r\n\uff1d\uff0b\uff0d\uff20" for x in found[name])
        assert [x.removeprefix("'") for x in found[name]] == texts


LABELS = {
    "first without": [[None, None], ["cat"]],
    "last without": [["cat"], [None, None]],
    "one without": [["dog", None]],
    "all without": [[None, None]],
    "blocks without": [[None], ["cat", "dog"], [None], ["cat"]],
}


@pytest.mark.parametrize("name", ["a.png", NOT_UTF8], ids=["UTF-8", "not UTF-8"])
@each_layout
@pytest.mark.parametrize("blocks", LABELS.values(), ids=LABELS)
def test_a_label_that_is_not_known_costs_no_other_row(tmp_path, ending, layout, blocks, name):
    tables = [
        Rows({"path": [name] * len(labels), "label": labels}, np.ones((len(labels), 1), np.float32))
        for labels in blocks
    ]
    read = READ[ending](written(tmp_path, ending, layout, *tables), layout)
    known = [label for labels in blocks for label in labels]
    null = None if ending in (".jsonl", ".parquet") else ""
    assert read.columns["label"] == [null if label is None else label for label in known]
    assert list(map(turned_back, read.columns["path"])) == [name] * len(known)


def nasty():
    """A thousand texts of the characters that a format may have to treat."""
    alphabet = [chr(code) for code in range(1, 32)] * 2
    alphabet += [*'"""\',,;\\/ \n\r\t<>&%{}[]:ab01.-+=#', "\u2028", "\u2029", "\u0085"]
    alphabet += ["\x7f", "\xa0", "\xe9", "\ufeff", "\uffff", "\U0001f431", "\u0301", "\\u0041"]
    random = np.random.default_rng(1)
    texts = ["".join(random.choice(alphabet, random.integers(0, 6))) for _ in range(1000)]
    return texts + alphabet + PATHS + ["NaN", "true", "false", "None", " ", ""]


@each_text
def test_text_of_any_characters_reads_back(tmp_path, ending, layout):
    names = nasty()
    labels = [None if number % 5 == 0 else names[-number] for number in range(len(names))]
    features = np.resize(NUMBERS[np.float32], (len(names) + 1, 5)).copy()
    rows = Rows({"path": [*names, NOT_UTF8], "label": [*labels, None]}, features)
    read = READ[ending](written(tmp_path, ending, layout, rows), layout)
    assert read.columns["path"] == [*names, SPELT]
    assert [x or "" for x in read.columns["label"]] == [x or "" for x in [*labels, None]]


@each_layout
@pytest.mark.parametrize("ending_name", ["a.png", NOT_UTF8], ids=["UTF-8", "not UTF-8"])
def test_however_rows_are_split_the_table_is_the_same(tmp_path, ending, layout, ending_name):
    features = NUMBERS[np.float32][:40]
    names = [*PATHS, ending_name, *(f"{number}.png" for number in range(40 - len(PATHS) - 1))]

    def split(*ends):
        parts = [slice(a, b) for a, b in itertools.pairwise([0, *ends, 40])]
        tables = [Rows({"path": names[part]}, features[part]) for part in parts]
        return written(tmp_path, ending, layout, *tables)

    whole, *others = split(), split(1), split(7, 8, 30), split(*range(1, 40))
    for data in others:
        if ending in (".csv", ".jsonl"):
            assert data == whole
        elif ending == ".csv.gz":
            assert gzip.decompress(data) == gzip.decompress(whole)
        else:
            read = READ[ending](data, layout)
            assert list(map(turned_back, read.columns["path"])) == names
            check_features(read.features, features, layout)


def test_compressed_csv_is_the_csv(tmp_path):
    tables = [named(NUMBERS[np.float32][:9]), named(NUMBERS[np.float32][9:20])]
    plain = written(tmp_path, ".csv", "columns", *tables)
    assert gzip.decompress(written(tmp_path, ".csv.gz", "columns", *tables)) == plain


def test_compressed_csv_bears_no_time_stamp(tmp_path):
    data = written(tmp_path, ".csv.gz", "columns", named(NUMBERS[np.float32][:1]))
    assert data[:2] == b"\x1f\x8b"
    assert data[4:8] == bytes(4), "RFC 1952, MTIME"


def test_csv_says_its_header_once(tmp_path):
    one = np.array([[0.5]], np.float32)
    tables = [Rows({"path": [name]}, one) for name in "abc"]
    lines = written(tmp_path, ".csv", "columns", *tables).decode().splitlines()
    assert lines == ["path,f0", "a,0.5", "b,0.5", "c,0.5"]


@each_format
def test_an_ending_names_its_format(tmp_path, ending):
    assert format_of(tmp_path / f"a.b{ending}") is FORMATS[ending]


@pytest.mark.parametrize("name", ["t.txt", "t", "t.gz", "csv", "t.csv.zip", "t.arrow", "t.json"])
def test_an_unknown_ending_is_refused_with_those_that_are_known(tmp_path, name):
    with pytest.raises(OutputError) as refused:
        format_of(tmp_path / name)
    for word in (name, *READ):
        assert word in str(refused.value)
