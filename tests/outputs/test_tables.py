"""Tables written in a thread: whole, split, refused, interrupted and gone on with."""

import contextlib
import csv
import errno
import gzip
import io
import json
import os
import resource
import select
import threading
import time

import numpy as np
import polars
import pytest

from aectl.data.images.image_batches import InputBatch
from aectl.data.named_inputs import Position
from aectl.errors import OutputError
from aectl.outputs import tables
from aectl.outputs.formats import FORMATS
from aectl.outputs.rows import Rows, leading_columns
from aectl.outputs.tables import Table, check_destination
from aectl.outputs.unfinished import folder_of

DEADLINE = 300.0
ENDINGS = [".csv", ".csv.gz", ".jsonl", ".parquet", ".npz"]
OF_VECTORS = [".npy", ".safetensors"]
"""Arrays, with their ids beside them: tests/cli/test_vectors_in_use.py."""

KEY = {"model": "5f2e", "layout": "columns"}
NOT_UTF8 = os.fsdecode(b"caf\xe9 \xff.png")

LAYOUTS = [
    (ending, layout)
    for ending in ENDINGS
    for layout in ("columns", "vector", "sparse")
    if not (ending.startswith(".csv") and layout == "vector")
]

each_format = pytest.mark.parametrize("ending", ENDINGS)
each_layout = pytest.mark.parametrize("ending, layout", LAYOUTS)


def random_rows(count, width=5):
    """Rows with names and labels of every kind, and any finite numbers."""
    random = np.random.default_rng(count)
    bits = random.integers(0, 2**32, (count, width), dtype=np.uint32)
    features = bits.view(np.float32)
    features[~np.isfinite(features) | (random.random(features.shape) < 0.3)] = 0
    kinds = ["{}.png", "comma,{}", 'quote"{}', "two\n{}", "\u732b{}", " {} "]
    names = [kinds[number % len(kinds)].format(number) for number in range(count)]
    labels = [None if number % 3 == 0 else f"class {number % 4}" for number in range(count)]
    return Rows({"path": names, "label": labels}, features, Position(count, "all"))


def split(rows, *ends):
    """The rows in pieces, each with the position after its last row."""
    pieces = []
    for begin, end in zip([0, *ends], [*ends, len(rows)], strict=True):
        columns = {name: column[begin:end] for name, column in rows.columns.items()}
        pieces.append(Rows(columns, rows.features[begin:end], Position(end, f"{end}")))
    return pieces


ROWS = random_rows(30)
PIECES = split(ROWS, 4, 5, 17, 21)


def write(path, pieces, stdout=None, **how):
    """The number of rows in a table that all went well with."""
    with Table(path, stdout or io.BytesIO(), **how) as table:
        for rows in pieces:
            table.write(rows)
    return table.count


def content(path):
    """What is in a table, read without aectl; the very bytes where the format has no blocks."""
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        return gzip.decompress(data)
    if path.name.endswith(".parquet"):
        frame = polars.read_parquet(path)
        return dict(frame.schema), frame.rows()
    if path.name.endswith(".npz"):
        return {name: (array.dtype.kind, array.tolist()) for name, array in np.load(path).items()}
    return data


def names(folder):
    """All files but the hidden ones, which tell of what run a table is."""
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")


def until(reached):
    """Waits until something holds; fails where it never does."""
    end = time.monotonic() + DEADLINE
    while not reached():
        assert time.monotonic() < end, "this took too long"
        time.sleep(0.002)


def journal(path):
    """The lines of the journal of a table that is being written."""
    with contextlib.suppress(FileNotFoundError):
        text = (folder_of(path) / "journal.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
    return []


def kept(path):
    return max([0, *(line.get("rows", 0) for line in journal(path))])


def read(path):
    """The names, the labels ('' where there is none) and the features, (n, d), of a table."""
    if path.name.endswith(".npz"):
        held = np.load(path)
        return held["path"].tolist(), held["label"].tolist(), held["features"]
    if path.name.endswith(".parquet"):
        rows = polars.read_parquet(path).to_dicts()
    elif path.name.endswith(".jsonl"):
        rows = [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
    else:
        rows = list(csv.DictReader(io.StringIO(content(path).decode(), newline="")))
    found = [[np.float32(float(row[name])) for name in list(row)[2:]] for row in rows]
    assert list(rows[0])[2:] == [f"f{number}" for number in range(len(found[0]))]
    labels = [row["label"] or "" for row in rows]
    return [row["path"] for row in rows], labels, np.array(found, np.float32)


def check(path, rows):
    """That the table holds the rows, the features bit for bit."""
    found, labels, features = read(path)
    assert found == rows.columns["path"]
    assert labels == [label or "" for label in rows.columns["label"]]
    np.testing.assert_array_equal(features.view(np.uint32), rows.features.view(np.uint32))


class Interrupted(BaseException):
    """What may happen at any time, as Ctrl-C does."""


def interrupted(path, pieces, key=KEY, error=Interrupted, **how):
    """The notes of what interrupts a table after these rows, once they are kept."""
    with pytest.raises(error) as raised, Table(path, io.BytesIO(), key=key, **how) as table:
        for rows in pieces:
            table.write(rows)
        raise error
    return getattr(raised.value, "__notes__", [])


def test_every_format_is_tested():
    assert {*ENDINGS, *OF_VECTORS} == set(FORMATS)


@each_format
def test_rows_of_many_writes_read_back_bit_for_bit(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    assert write(path, PIECES) == 30
    check(path, ROWS)
    assert names(tmp_path) == [path.name]


@each_format
def test_rows_of_many_blocks_read_back_bit_for_bit(tmp_path, ending, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK_VALUES", 100)
    rows = random_rows(1000)
    path = tmp_path / f"t{ending}"
    with Table(path, io.BytesIO()) as table:
        for piece in split(rows, *range(3, 1000, 3)):
            table.write(piece)
        until(lambda: kept(path) >= 950)
        ends = [line["rows"] for line in journal(path)[1:]]
        assert len(ends) >= 40, "each block has few rows"
    assert table.count == 1000
    check(path, rows)


@each_layout
def test_a_table_is_the_same_in_one_write_and_in_many(tmp_path, ending, layout, monkeypatch):
    one, many = tmp_path / f"one{ending}", tmp_path / f"many{ending}"
    write(one, [ROWS], layout=layout)
    monkeypatch.setattr(tables, "BLOCK_VALUES", 20)
    write(many, PIECES, layout=layout)
    assert content(many) == content(one)


@each_format
@pytest.mark.parametrize("place", [0, 1, 2])
def test_columns_without_features_keep_names_that_are_not_utf8(
    tmp_path, ending, place, monkeypatch
):
    monkeypatch.setattr(tables, "BLOCK_VALUES", 1)
    listed = ["a", "caf\u00e9"]
    listed.insert(place, NOT_UTF8)
    path = tmp_path / f"t{ending}"
    assert write(path, [Rows({"path": [name], "n": np.array([1])}) for name in listed]) == 3
    spelt = ["file:caf%E9%20%FF.png" if name == NOT_UTF8 else name for name in listed]
    if ending == ".parquet":
        assert polars.read_parquet(path).rows() == [(name, 1) for name in spelt]
    elif ending == ".npz":
        assert np.load(path)["path"].tolist() == spelt
    elif ending == ".jsonl":
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        assert lines == [{"path": name, "n": 1} for name in spelt]
    else:
        assert content(path).decode() == "path,n\n" + "".join(f"{name},1\n" for name in spelt)


def test_rows_without_a_file_go_to_stdout_as_the_csv_of_a_file(tmp_path):
    stdout = io.BytesIO()
    assert write(None, PIECES, stdout) == 30
    write(tmp_path / "t.csv", [ROWS], stdout)
    write(tmp_path / "t.csv.gz", [ROWS], stdout)
    assert stdout.getvalue() == (tmp_path / "t.csv").read_bytes()
    assert stdout.getvalue() == gzip.decompress((tmp_path / "t.csv.gz").read_bytes())
    assert stdout.getvalue().startswith(b"path,label,f0,f1,f2,f3,f4\n0.png,,")


def test_sparse_rows_go_to_stdout_too():
    stdout = io.BytesIO()
    code = np.array([[0, 2, 0.5], [0, 0, 0]], np.float32)
    write(None, [Rows({"path": ["a", "b"]}, code)], stdout, layout="sparse")
    assert stdout.getvalue() == b'path,indices,values\na,1 2,2.0 0.5\nb,"",""\n'


def test_rows_stand_on_stdout_before_the_next_are_computed():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    seen = b""

    def arrived():
        nonlocal seen
        with contextlib.suppress(BlockingIOError):
            seen += os.read(reading, 100)
        return seen

    with open(writing, "wb") as stdout, Table(None, stdout) as table:
        table.write(Rows({"path": ["a"]}))
        until(lambda: arrived() == b"path\na\n")
        table.write(Rows({"path": ["b"]}))
        until(lambda: arrived() == b"path\na\nb\n")
    os.close(reading)


def test_rows_go_to_a_file_while_the_next_are_awaited(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK_SECONDS", 0.05)
    with Table(tmp_path / "t.csv", io.BytesIO()) as table:
        table.write(PIECES[0])
        until(lambda: kept(tmp_path / "t.csv") == 4)


@each_format
def test_the_same_rows_give_the_same_bytes(tmp_path, ending):
    for name in "ab":
        write(tmp_path / f"{name}{ending}", [ROWS])
    both = [(tmp_path / f"{name}{ending}").read_bytes() for name in "ab"]
    assert both[0] == both[1]


@each_format
@pytest.mark.parametrize("key", [None, KEY])
def test_without_rows_nothing_is_written(tmp_path, ending, key):
    stdout = io.BytesIO()
    assert write(tmp_path / f"t{ending}", [], stdout, key=key) == 0
    assert write(None, [], stdout, key=key) == 0
    assert names(tmp_path) == []
    assert stdout.getvalue() == b""


def test_tables_begin_with_the_path_and_the_label_where_there_is_one():
    images = np.zeros((2, 1, 1, 1), np.uint8)
    batch = InputBatch(["a", "b"], images, ["cat", None], 2, Position(2, ""))
    assert leading_columns(batch, labelled=False) == {"path": ["a", "b"]}
    labelled = leading_columns(batch, labelled=True)
    assert labelled == {"path": ["a", "b"], "label": ["cat", None]}
    assert list(labelled) == ["path", "label"]


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["t.txt", "t", "t.gz", "csv", "t.csv.zip", "t.arrow"])
def test_an_unknown_ending_is_refused_with_those_that_are_known(tmp_path, name, resume):
    with pytest.raises(OutputError) as refused:
        check_destination(tmp_path / name, overwrite=not resume, resume=resume)
    for word in (name, *ENDINGS):
        assert word in str(refused.value)


@each_format
def test_a_new_file_of_a_known_ending_is_taken(tmp_path, ending):
    check_destination(tmp_path / f"t{ending}", overwrite=False)
    check_destination(tmp_path / f"t{ending}", overwrite=True)
    check_destination(tmp_path / f"t{ending}", overwrite=False, resume=True)
    check_destination(None, overwrite=False)
    assert names(tmp_path) == []


@each_format
def test_an_existing_file_is_refused_unless_it_may_be_replaced(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    path.write_text("old")
    with pytest.raises(OutputError, match="--overwrite"):
        check_destination(path, overwrite=False)
    check_destination(path, overwrite=True)
    assert path.read_text() == "old"


@each_format
def test_what_an_interrupted_run_left_is_not_overlooked(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    interrupted(path, PIECES[:1])
    with pytest.raises(OutputError, match=rf"t{ending}\.part .*--resume.*--overwrite"):
        check_destination(path, overwrite=False, resume=False)
    with pytest.raises(OutputError, match=r"interrupted run; --overwrite"):
        check_destination(path, overwrite=False)
    check_destination(path, overwrite=True)
    check_destination(path, overwrite=False, resume=True)
    assert kept(path) == 4


CONTRADICTIONS = {
    "to resume and to overwrite": ("t.csv", {"overwrite": True, "resume": True}, "--overwrite"),
    "to resume stdout": (None, {"overwrite": False, "resume": True}, "--out"),
    "vectors in CSV": ("t.csv", {"overwrite": False, "layout": "vector"}, "--layout vector"),
    "vectors in .csv.gz": ("t.csv.gz", {"overwrite": False, "layout": "vector"}, "--layout vector"),
    "vectors on stdout": (None, {"overwrite": False, "layout": "vector"}, "--layout vector"),
}


@pytest.mark.parametrize("name, asked, said", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_cannot_be_is_refused(tmp_path, name, asked, said):
    with pytest.raises(OutputError, match=said):
        check_destination(None if name is None else tmp_path / name, **asked)


@each_layout
def test_every_other_layout_is_taken(tmp_path, ending, layout):
    check_destination(tmp_path / f"t{ending}", overwrite=False, layout=layout)


@pytest.mark.parametrize("layout", ["columns", "sparse"])
def test_stdout_takes_what_csv_takes(layout):
    check_destination(None, overwrite=False, layout=layout)


@each_format
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Interrupted])
def test_an_exception_midway_leaves_nothing_behind(tmp_path, ending, error):
    assert interrupted(tmp_path / f"t{ending}", PIECES[:2], None, error) == []
    assert names(tmp_path) == []


@each_format
def test_an_exception_midway_keeps_the_old_file(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    path.write_text("old")
    interrupted(path, PIECES[:1], None)
    assert names(tmp_path) == [path.name]
    assert path.read_text() == "old"


@each_format
def test_an_exception_before_the_first_row_leaves_nothing_behind(tmp_path, ending):
    assert interrupted(tmp_path / f"t{ending}", []) == []
    assert names(tmp_path) == []


@each_format
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Interrupted])
def test_an_exception_says_what_is_kept(tmp_path, ending, error):
    path = tmp_path / f"t{ending}"
    notes = interrupted(path, PIECES[:3], error=error)
    assert names(tmp_path) == [f"t{ending}.part"]
    assert len(notes) == 1
    assert f"17 rows are kept in {path}.part" in notes[0]
    assert "--resume" in notes[0]


@each_format
def test_a_resumed_table_is_that_of_one_run(tmp_path, ending):
    path, whole = tmp_path / f"t{ending}", tmp_path / f"whole{ending}"
    write(whole, PIECES)
    interrupted(path, PIECES[:3])
    bad = []
    with Table(path, io.BytesIO(), key=KEY, resume=True, bad=bad) as table:
        assert (table.count, table.position[:2], bad) == (17, (17, "17"), [])
        for rows in PIECES[3:]:
            table.write(rows)
    assert table.count == 30
    assert content(path) == content(whole)
    assert names(tmp_path) == [path.name, whole.name]


@each_format
def test_a_table_may_be_interrupted_again_and_again(tmp_path, ending):
    path, whole = tmp_path / f"t{ending}", tmp_path / f"whole{ending}"
    write(whole, PIECES)
    counts = []
    for number, rows in enumerate(PIECES):
        notes = interrupted(path, [rows], resume=number > 0)
        counts.append(notes[0].split()[0])
    assert counts == ["4", "5", "17", "21", "30"]
    assert interrupted(path, [], resume=True)[0].startswith("30 rows"), "none are added"
    assert write(path, [], key=KEY, resume=True) == 30
    assert content(path) == content(whole)


@each_format
def test_a_table_with_nothing_to_resume_begins(tmp_path, ending):
    path, whole = tmp_path / f"t{ending}", tmp_path / f"whole{ending}"
    write(whole, PIECES)
    with Table(path, io.BytesIO(), key=KEY, resume=True) as table:
        assert (table.count, table.position) == (0, None)
        for rows in PIECES:
            table.write(rows)
    assert content(path) == content(whole)


@each_format
def test_without_resume_a_table_begins_anew(tmp_path, ending):
    path, whole = tmp_path / f"t{ending}", tmp_path / f"whole{ending}"
    write(whole, PIECES[3:])
    interrupted(path, PIECES[:3])
    with Table(path, io.BytesIO(), key={"model": "another"}) as table:
        assert (table.count, table.position) == (0, None)
        for rows in PIECES[3:]:
            table.write(rows)
    assert content(path) == content(whole)
    assert names(tmp_path) == [path.name, whole.name]


def test_another_key_is_refused_by_what_differs(tmp_path):
    interrupted(tmp_path / "t.csv", PIECES[:1])
    with pytest.raises(OutputError, match=r"model '5f2e', not '77aa'"):
        Table(tmp_path / "t.csv", io.BytesIO(), key={**KEY, "model": "77aa"}, resume=True)
    assert kept(tmp_path / "t.csv") == 4


@each_format
@pytest.mark.parametrize("resume", [False, True])
def test_a_second_table_of_the_same_file_is_refused(tmp_path, ending, resume):
    path, whole = tmp_path / f"t{ending}", tmp_path / f"whole{ending}"
    write(whole, PIECES)
    with Table(path, io.BytesIO(), key=KEY) as first:
        first.write(PIECES[0])
        with pytest.raises(OutputError, match="another process is writing"):
            Table(path, io.BytesIO(), key=KEY, resume=resume)
        for rows in PIECES[1:]:
            first.write(rows)
    assert content(path) == content(whole)
    assert write(path, PIECES, key=KEY) == 30
    assert content(path) == content(whole)


BAD = [("x", "no image"), (NOT_UTF8, "no file"), ("z", "is a folder")]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@each_format
def test_the_bad_inputs_among_the_rows_come_back(tmp_path, ending, count):
    """The inputs are read ahead of the rows: all three are known to be bad already."""
    rows = Rows({"path": ["a", "b"]}, position=Position(2 + count, "x"))
    interrupted(tmp_path / f"t{ending}", [rows], bad=list(BAD))
    later = [("later", "why")]
    with Table(tmp_path / f"t{ending}", io.BytesIO(), key=KEY, resume=True, bad=later) as table:
        assert table.position[:2] == (2 + count, "x")
        assert later == [*BAD[:count], ("later", "why")]


def test_bad_inputs_come_back_from_every_run(tmp_path):
    path = tmp_path / "t.csv"
    for number in range(3):
        bad = []
        with (
            pytest.raises(Interrupted),
            Table(path, io.BytesIO(), key=KEY, resume=number > 0, bad=bad) as table,
        ):
            assert bad == BAD[:number]
            bad.append(BAD[number])
            table.write(Rows({"path": ["a"]}, position=Position(2 * (number + 1), "")))
            raise Interrupted
    bad = []
    assert write(path, [], key=KEY, resume=True, bad=bad) == 3
    assert bad == BAD


@each_format
def test_a_folder_that_does_not_exist_is_refused(tmp_path, ending):
    path = tmp_path / "nowhere" / f"t{ending}"
    with pytest.raises(OutputError, match=rf"cannot write .*t{ending}: No such file"):
        write(path, PIECES)
    assert names(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@each_format
def test_a_folder_that_is_read_only_is_refused(tmp_path, ending):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match=rf"cannot write .*t{ending}: Permission denied"):
            write(tmp_path / f"t{ending}", PIECES)
    finally:
        tmp_path.chmod(0o700)
    assert names(tmp_path) == []


@each_format
@pytest.mark.parametrize("key", [None, KEY])
def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path, ending, key):
    path = tmp_path / f"t{ending}"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OutputError, match=rf"cannot write .*t{ending}"):
        write(path, PIECES, key=key)
    assert names(path) == ["inside"]
    assert names(tmp_path) == ([path.name] if key is None else [path.name, f"{path.name}.part"])


@contextlib.contextmanager
def files_of(size):
    """No file may grow beyond so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@each_format
@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "a key"])
@pytest.mark.parametrize("name", ["a.png", NOT_UTF8], ids=["UTF-8", "not UTF-8"])
def test_a_disk_that_is_full_is_told_and_costs_no_row(tmp_path, ending, key, name, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK_VALUES", 1)
    path, whole = tmp_path / f"t{ending}", tmp_path / f"whole{ending}"
    rows = random_rows(3000)
    rows.columns["path"][-1] = name
    pieces = split(rows, 10, 20)
    write(whole, pieces)
    with (
        pytest.raises(OutputError, match=rf"cannot write .*t{ending}: ") as refused,
        files_of(20_000),
    ):
        write(path, pieces, key=key)
    assert "File too large" in str(refused.value)
    assert not path.exists()
    assert folder_of(path).exists() == (key is not None)
    if key is not None:
        assert kept(path) == 20
        assert write(path, pieces[2:], key=key, resume=True) == 3000
        assert content(path) == content(whole)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_stdout_that_is_full_is_told():
    with pytest.raises(OSError) as raised, open("/dev/full", "wb", buffering=0) as full:
        write(None, PIECES, full)
    assert raised.value.errno == errno.ENOSPC


def test_a_stdout_that_fills_up_midway_is_told(tmp_path):
    with (
        open(tmp_path / "redirected", "wb") as stdout,
        pytest.raises(OSError) as raised,
        files_of(5000),
    ):
        write(None, [random_rows(300)], stdout)
    assert raised.value.errno == errno.EFBIG


class Trickle(io.RawIOBase):
    """A stream that takes a few bytes at a time, as a pipe may."""

    def __init__(self):
        self.taken = b""

    def writable(self):
        return True

    def write(self, data):
        self.taken += bytes(data[:7])
        return min(7, len(data))


def test_a_stdout_that_takes_little_at_a_time_gets_all():
    stdout, trickle = io.BytesIO(), Trickle()
    write(None, PIECES, stdout)
    write(None, PIECES, io.BufferedWriter(trickle))
    assert trickle.taken == stdout.getvalue()


def test_a_reader_who_has_seen_enough_is_no_failure_of_the_table():
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError), open(writing, "wb") as stdout:
        write(None, PIECES, stdout)


def test_the_rows_that_follow_a_failure_are_not_waited_for():
    reading, writing = os.pipe()
    os.close(reading)
    computed = []

    def endless():
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            yield PIECES[0]
        computed.append("all")

    with pytest.raises(BrokenPipeError), open(writing, "wb") as stdout:
        write(None, endless(), stdout)
    assert not computed


def test_an_interruption_does_not_wait_for_a_reader_that_stalls(monkeypatch):
    monkeypatch.setattr(tables, "INTERRUPTED_SECONDS", 0.1)
    reading, writing = os.pipe()
    stdout = open(writing, "wb")  # noqa: SIM115  (it may still be written to at the end)
    raised = []

    def work():
        try:
            with Table(None, stdout) as table:
                table.write(Rows({"path": ["x" * 200_000]}))  # more than a pipe holds
                select.select([reading], [], [], DEADLINE)
                for _ in range(tables.WAITING):
                    table.write(Rows({"path": ["a"]}))
                raise Interrupted
        except BaseException as error:
            raised.append(type(error))

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(DEADLINE / 3)
    os.close(reading)  # the reader ends: nothing hangs any longer, whatever did before
    worker.join(DEADLINE)
    assert raised == [Interrupted]
