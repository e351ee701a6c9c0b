"""Tables in every format, read back by another program."""

import csv
import gzip
import io
import json
import os

import numpy as np
import polars
import pytest

from aectl.errors import OutputError
from aectl.outputs.tables import FORMATS, Rows, check_destination, leading_columns, write_table


def random_floats():
    """Every kind of finite float32, most of them as random bits."""
    bits = np.random.default_rng(0).integers(0, 2**32, 6000, dtype=np.uint32).view(np.float32)
    chosen = [0.0, -0.0, 1e-45, -1e-45, 1e-40, 1e-38, 1.1754944e-38, 3.4e38, -3.4028235e38]
    chosen += [0.1, 1 / 3, 1.0, 255.0, 16777216.0, 123456.79, 1e-5, 1e16, 0.3, 0.7]
    values = np.concatenate([np.array(chosen, np.float32), bits[np.isfinite(bits)]])
    return values[: len(values) // 5 * 5].reshape(-1, 5)


NUMBERS = random_floats()
PATHS = [
    "plain.png", "with space.png", "comma,.png", 'quote".png', "two\nlines.png", "caf\u00e9.png",
    "\u732b.png", "semi;colon\t.png", " leading and trailing ", "'single'.png", "digits:test/17",
]  # fmt: skip


def read_csv(text):
    rows = list(csv.reader(io.StringIO(text, newline="")))
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def read_npz(path):
    held = np.load(path)
    rows = len(held["path"])
    names = [name for name in held if name != "features"]
    features = held["features"] if "features" in held else np.zeros((rows, 0), np.float32)
    assert features.dtype == np.float32
    return [
        {name: held[name][row].item() for name in names}
        | {f"f{number}": value for number, value in enumerate(features[row])}
        for row in range(rows)
    ]


READ = {
    ".csv": lambda path: read_csv(path.read_bytes().decode()),
    ".csv.gz": lambda path: read_csv(gzip.decompress(path.read_bytes()).decode()),
    ".jsonl": lambda path: [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]],
    ".parquet": lambda path: polars.read_parquet(path).to_dicts(),
    ".npz": read_npz,
}
"""How each format is read by programs that are not aectl: a dictionary a row."""

each_format = pytest.mark.parametrize("ending", READ)


def written(folder, ending, *tables):
    """The rows that a file of these tables holds."""
    path = folder / f"table{ending}"
    assert write_table(path, io.BytesIO(), iter(tables)) == sum(
        len(table.columns["path"]) for table in tables
    )
    return READ[ending](path)


def features(rows):
    names = [name for name in rows[0] if name[0] == "f"]
    assert names == [f"f{number}" for number in range(len(names))]
    return np.array([[np.float32(row[name]) for name in names] for row in rows], np.float32)


def test_every_format_is_tested():
    assert set(READ) == set(FORMATS)


@each_format
def test_features_read_back_bit_for_bit(tmp_path, ending):
    names = [f"{number}.png" for number in range(len(NUMBERS))]
    half = len(NUMBERS) // 2
    rows = written(
        tmp_path, ending,
        Rows({"path": names[:half]}, NUMBERS[:half]), Rows({"path": names[half:]}, NUMBERS[half:]),
    )  # fmt: skip
    assert [row["path"] for row in rows] == names
    np.testing.assert_array_equal(features(rows).view(np.uint32), NUMBERS.view(np.uint32))


@each_format
def test_features_that_do_not_lie_row_by_row_in_memory_are_written_in_order(tmp_path, ending):
    turned = np.asfortranarray(NUMBERS[:4])
    rows = written(tmp_path, ending, Rows({"path": list("abcd")}, turned))
    np.testing.assert_array_equal(features(rows), NUMBERS[:4])


@each_format
def test_paths_keep_every_character(tmp_path, ending):
    rows = written(tmp_path, ending, Rows({"path": PATHS}, NUMBERS[: len(PATHS)]))
    assert [row["path"] for row in rows] == PATHS


@each_format
def test_columns_keep_their_order_names_and_values(tmp_path, ending):
    columns = {
        "path": ["a", "b"],
        "label": ["cat", "dog"],
        "prediction": ["dog", "dog"],
        "probability": np.array([0.1, 0.7], np.float32),
    }
    rows = written(tmp_path, ending, Rows(columns))
    assert list(rows[0]) == list(columns)
    assert [row["prediction"] for row in rows] == ["dog", "dog"]
    read = np.array([np.float32(row["probability"]) for row in rows])
    np.testing.assert_array_equal(read, columns["probability"])


WITHOUT_LABELS = Rows({"path": ["a", "b"], "label": [None, None]}, NUMBERS[:2])
WITH_LABELS = Rows({"path": ["c"], "label": ["cat"]}, NUMBERS[2:3])
MIXED = Rows({"path": ["d", "e"], "label": ["dog", None]}, NUMBERS[3:5])


@each_format
@pytest.mark.parametrize(
    "tables",
    [(WITHOUT_LABELS, WITH_LABELS), (WITH_LABELS, WITHOUT_LABELS), (MIXED,), (WITHOUT_LABELS,)],
    ids=["first without", "last without", "one without", "all without"],
)
def test_a_label_that_is_not_known_costs_no_other_row(tmp_path, ending, tables):
    known = [label for table in tables for label in table.columns["label"]]
    rows = written(tmp_path, ending, *tables)
    assert [row["label"] or None for row in rows] == known


def test_csv_says_its_header_once(tmp_path):
    tables = [Rows({"path": [name]}, NUMBERS[:1]) for name in "abc"]
    write_table(tmp_path / "t.csv", io.BytesIO(), iter(tables))
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[0] == "path,f0,f1,f2,f3,f4"
    assert [line.split(",")[0] for line in lines] == ["path", "a", "b", "c"]


def test_rows_without_a_file_go_to_stdout_as_csv():
    stdout = io.BytesIO()
    tables = [Rows({"path": [name]}, np.array([[0.5]], np.float32)) for name in "ab"]
    assert write_table(None, stdout, iter(tables)) == 2
    assert read_csv(stdout.getvalue().decode()) == [
        {"path": "a", "f0": "0.5"}, {"path": "b", "f0": "0.5"},
    ]  # fmt: skip


def test_rows_stand_on_stdout_before_the_next_are_computed():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    seen = []

    def tables():
        yield Rows({"path": ["a"]})
        seen.append(os.read(reading, 100))
        yield Rows({"path": ["b"]})

    with open(writing, "wb") as stdout:
        write_table(None, stdout, tables())
    os.close(reading)
    assert seen == [b"path\na\n"]


def test_the_same_rows_give_the_same_compressed_bytes(tmp_path):
    for name in ("a.csv.gz", "b.csv.gz"):
        write_table(tmp_path / name, io.BytesIO(), iter([Rows({"path": ["x"]}, NUMBERS[:1])]))
    data = (tmp_path / "a.csv.gz").read_bytes()
    assert data == (tmp_path / "b.csv.gz").read_bytes()
    assert data[4:8] == bytes(4), "RFC 1952, MTIME: no time stamp"


@each_format
def test_without_rows_nothing_is_written(tmp_path, ending):
    stdout = io.BytesIO()
    assert write_table(tmp_path / f"t{ending}", stdout, iter([])) == 0
    assert write_table(None, stdout, iter([])) == 0
    assert list(tmp_path.iterdir()) == []
    assert stdout.getvalue() == b""


@pytest.mark.parametrize("name", ["t.txt", "t", "t.gz", "csv", "t.csv.zip", "t.npy"])
def test_an_unknown_ending_is_refused_with_those_that_are_known(tmp_path, name):
    with pytest.raises(OutputError) as refused:
        check_destination(tmp_path / name, overwrite=True)
    for word in (name, ".csv", ".csv.gz", ".parquet", ".npz", ".jsonl"):
        assert word in str(refused.value)


@each_format
def test_a_new_file_of_a_known_ending_is_taken(tmp_path, ending):
    check_destination(tmp_path / f"t{ending}", overwrite=False)
    check_destination(None, overwrite=False)
    assert list(tmp_path.iterdir()) == []


@each_format
def test_an_existing_file_is_refused_unless_it_may_be_replaced(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    path.write_text("old")
    with pytest.raises(OutputError, match="--overwrite"):
        check_destination(path, overwrite=False)
    check_destination(path, overwrite=True)
    assert path.read_text() == "old"


class Interrupted(Exception):
    """What happens midway."""


@each_format
def test_an_exception_midway_leaves_nothing_behind(tmp_path, ending):
    def tables():
        yield Rows({"path": ["a"]}, NUMBERS[:1])
        raise Interrupted

    with pytest.raises(Interrupted):
        write_table(tmp_path / f"t{ending}", io.BytesIO(), tables())
    assert list(tmp_path.iterdir()) == []


@each_format
def test_an_exception_midway_keeps_the_old_file(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    path.write_text("old")

    def tables():
        yield Rows({"path": ["a"]}, NUMBERS[:1])
        raise Interrupted

    with pytest.raises(Interrupted):
        write_table(path, io.BytesIO(), tables())
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "old"


@each_format
def test_a_folder_that_does_not_exist_is_refused(tmp_path, ending):
    path = tmp_path / "nowhere" / f"t{ending}"
    with pytest.raises(OutputError, match="No such file"):
        write_table(path, io.BytesIO(), iter([Rows({"path": ["a"]})]))


def test_tables_begin_with_the_path_and_the_label_where_there_is_one():
    from aectl.data.inputs import InputBatch

    batch = InputBatch(["a", "b"], np.zeros((2, 1, 1, 1), np.uint8), ["cat", None])
    assert leading_columns(batch, labelled=False) == {"path": ["a", "b"]}
    labelled = leading_columns(batch, labelled=True)
    assert labelled == {"path": ["a", "b"], "label": ["cat", None]}
    assert list(labelled) == ["path", "label"]
