"""What an interrupted table leaves behind: all that was written, and nothing that was not."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import polars
import pytest

from aectl.data.named_inputs import Position
from aectl.errors import OutputError
from aectl.outputs.formats import format_of
from aectl.outputs.rows import Rows
from aectl.outputs.unfinished import Part, folder_of, record_of

KEY = {"aectl": "0.3", "model": "5f2e", "layer": None, "layout": "columns", "batch_size": 256}

BLOCKS = [
    Rows({"path": ["a,", "b"]}, np.array([[1, 0.1]] * 2, np.float32), Position(2, "ab")),
    Rows({"path": ["\u732b"]}, np.array([[-0.0, 1e-45]], np.float32), Position(3, "abc")),
    Rows({"path": ["d\n", "e"]}, np.array([[2, 3]] * 2, np.float32), Position(5, "abcde")),
]

GROWING, ASSEMBLED = (".csv", ".csv.gz", ".jsonl"), (".parquet", ".npz")

each_format = pytest.mark.parametrize("ending", [*GROWING, *ASSEMBLED])
each_growing = pytest.mark.parametrize("ending", GROWING)
each_assembled = pytest.mark.parametrize("ending", ASSEMBLED)


def part(path, key=KEY, resume=True):
    return Part(path, format_of(path), key, resume)


def left(path, blocks=BLOCKS[:2], key=KEY, bad=()):
    """What an interrupted run leaves."""
    begun = part(path, key, resume=False)
    for rows in blocks:
        begun.add(rows, "columns", bad)
    begun.close()
    return folder_of(path)


def finished(begun, blocks=()):
    for rows in blocks:
        begun.add(rows, "columns", [])
    begun.finish()


def content(path):
    """What is in a finished table; of text its very bytes."""
    if path.name.endswith(".parquet"):
        return polars.read_parquet(path).rows()
    if path.name.endswith(".npz"):
        return {name: (array.dtype, array.tolist()) for name, array in np.load(path).items()}
    return path.read_bytes()


def whole(folder, ending, blocks=BLOCKS):
    """What is in a table that nothing interrupted."""
    (folder / "whole").mkdir(exist_ok=True)
    path = folder / "whole" / f"t{ending}"
    finished(part(path, resume=False), blocks)
    return content(path)


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


def names(folder):
    """All files but the hidden ones, which tell of what run a table is."""
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")


def test_a_table_is_made_in_a_folder_beside_it():
    assert folder_of(Path("a/b.csv.gz")) == Path("a/b.csv.gz.part")


@each_format
def test_a_finished_table_leaves_no_folder(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    begun = part(path, resume=False)
    begun.add(BLOCKS[0], "columns", [])
    assert names(tmp_path) == [f"t{ending}.part"]
    begun.finish()
    assert names(tmp_path) == [f"t{ending}"]


@each_format
def test_the_old_table_stands_until_the_new_one_is_whole(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    path.write_text("old")
    begun = part(path, resume=False)
    begun.add(BLOCKS[0], "columns", [])
    assert path.read_text() == "old"
    begun.finish()
    assert content(path) == whole(tmp_path, ending, BLOCKS[:1])


@each_format
def test_what_was_left_is_taken_up(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    left(path)
    again = part(path)
    assert (again.rows, again.position, again.bad) == (3, Position(3, "abc"), [])
    assert isinstance(again.position, Position)
    finished(again, BLOCKS[2:])
    assert content(path) == whole(tmp_path, ending)
    assert not folder_of(path).exists()


@each_format
def test_a_run_may_be_interrupted_after_each_block(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    for number, rows in enumerate(BLOCKS):
        again = part(path)
        assert again.rows == [0, 2, 3][number]
        again.add(rows, "columns", [])
        again.close()
    finished(part(path))
    assert content(path) == whole(tmp_path, ending)


TORN = {
    "the last line of the journal": {"journal.jsonl": b'{"rows": 99, "size": 12, "posi'},
    "rows after the last line": {"rows": b'"garbage\x00\xff'},
    "both": {"journal.jsonl": b"{", "rows": b"one more,0.5\ntorn"},
    "a block that is not in the journal": {"00000003.arrow": b"ARROW1\x00\x00garbage"},
    "a table that was being assembled": {"table": b"PAR1garbage"},
}


@each_format
@pytest.mark.parametrize("torn", TORN.values(), ids=TORN)
@pytest.mark.parametrize("end", [3, 2], ids=["goes on", "had all rows"])
def test_what_was_cut_short_is_dropped(tmp_path, ending, torn, end):
    path = tmp_path / f"t{ending}"
    for name, data in torn.items():
        append(left(path) / name, data)
    again = part(path)
    assert (again.rows, again.position) == (3, Position(3, "abc"))
    finished(again, BLOCKS[2:end])
    assert content(path) == whole(tmp_path, ending, BLOCKS[:end])
    assert names(tmp_path) == [f"t{ending}", "whole"]


@each_format
def test_a_run_that_went_on_after_a_torn_line_can_be_resumed(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    folder = left(path, BLOCKS[:1])
    append(folder / "journal.jsonl", b'{"rows": 99')
    again = part(path)
    again.add(BLOCKS[1], "columns", [])
    again.close()
    assert json.loads((folder / "journal.jsonl").read_text().splitlines()[0]) == KEY
    third = part(path)
    assert third.rows == 3
    finished(third, BLOCKS[2:])
    assert content(path) == whole(tmp_path, ending)


@each_growing
def test_rows_that_are_missing_are_not_made_up(tmp_path, ending):
    """As a machine that lost its power leaves them: the journal is ahead of the rows."""
    path = tmp_path / f"t{ending}"
    rows = left(path) / "rows"
    os.truncate(rows, rows.stat().st_size - 6)
    with contextlib.suppress(OutputError):
        again = part(path)
        finished(again, BLOCKS[{0: 0, 2: 1, 3: 2}[again.rows] :])
    assert not path.exists() or content(path) == whole(tmp_path, ending)


@each_format
@pytest.mark.parametrize("journal", [None, b"", b'{"aectl": "0.'], ids=["none", "empty", "torn"])
def test_a_run_that_was_killed_as_it_began_begins_again(tmp_path, ending, journal):
    path = tmp_path / f"t{ending}"
    folder_of(path).mkdir()
    if journal is not None:
        (folder_of(path) / "journal.jsonl").write_bytes(journal)
    again = part(path)
    assert (again.rows, again.bad) == (0, [])
    again.add(BLOCKS[0], "columns", [])
    again.close()
    finished(part(path), BLOCKS[1:])
    assert content(path) == whole(tmp_path, ending)


@each_format
def test_nothing_is_taken_up_unless_it_is_asked_for(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    left(path, bad=[("x", "broken")])
    anew = part(path, {"another": "key"}, resume=False)
    assert (anew.rows, anew.bad) == (0, [])
    anew.add(BLOCKS[2], "columns", [])
    anew.close()
    finished(part(path, {"another": "key"}))
    assert content(path) == whole(tmp_path, ending, BLOCKS[2:])


KEYS = {
    "another value": ("model", {**KEY, "model": "77aa"}),
    "a value where there was none": ("layer", {**KEY, "layer": 2}),
    "another type": ("batch_size", {**KEY, "batch_size": "256"}),
    "one more": ("top_k", {**KEY, "top_k": 3}),
    "one fewer": ("layout", {name: KEY[name] for name in KEY if name != "layout"}),
}


@pytest.mark.parametrize("name, key", KEYS.values(), ids=KEYS)
def test_another_key_is_refused_by_what_differs(tmp_path, name, key):
    path = tmp_path / "t.csv"
    folder = left(path)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(OutputError, match=rf"\b{name}\b.*--overwrite") as refused:
        part(path, key)
    assert str(folder) in str(refused.value)
    assert not any(other in str(refused.value) for other in KEY if other not in (name, "aectl"))
    assert before == {file.name: file.read_bytes() for file in folder.iterdir()}


def test_both_values_are_named_where_a_key_differs(tmp_path):
    left(tmp_path / "t.csv")
    with pytest.raises(OutputError, match=r"layout 'columns', not 'sparse'"):
        part(tmp_path / "t.csv", {**KEY, "layout": "sparse"})


@each_format
@pytest.mark.parametrize("resume", [False, True])
def test_two_runs_do_not_write_the_same_table(tmp_path, ending, resume):
    path = tmp_path / f"t{ending}"
    first = part(path, resume=False)
    first.add(BLOCKS[0], "columns", [])
    with pytest.raises(OutputError, match="another process is writing .*t" + ending):
        part(path, resume=resume)
    finished(first, BLOCKS[1:])
    assert content(path) == whole(tmp_path, ending)
    part(path, resume=False).close()


SEEN = [("x", "no image"), (os.fsdecode(b"\xff"), "no file"), ("z", "is a folder")]

BAD = {
    "none": ([(2, 0), (4, 0)], 0),
    "before the first row": ([(2, 1)], 1),
    "one in each block": ([(2, 1), (4, 2)], 2),
    "all in the first block": ([(2, 3), (4, 3)], 3),
    "in the last block alone": ([(1, 0), (2, 0), (3, 2)], 2),
    "a block without": ([(2, 1), (4, 1), (6, 2)], 2),
}


@pytest.mark.parametrize("ending", [".csv", ".npz"])
@pytest.mark.parametrize("blocks, count", BAD.values(), ids=BAD)
def test_the_bad_inputs_up_to_the_last_row_are_kept(tmp_path, ending, blocks, count):
    """Each block ends with so many rows and bad inputs; those after them are known already."""
    path = tmp_path / f"t{ending}"
    tables, before = [], 0
    for rows, bad in blocks:
        paths = [f"{number}" for number in range(before, rows)]
        tables.append(Rows({"path": paths}, position=Position(rows + bad, f"{rows}")))
        before = rows
    left(path, tables, bad=SEEN)
    again = part(path)
    assert again.rows == blocks[-1][0]
    assert again.position.inputs == blocks[-1][0] + count
    assert again.bad == SEEN[:count]
    again.close()
    assert part(path).bad == SEEN[:count], "and they are not taken up twice"


def test_bad_inputs_go_on_where_they_were(tmp_path):
    path = tmp_path / "t.csv"
    left(path, [Rows({"path": ["a"]}, position=Position(2, ""))], bad=SEEN[:1])
    again = part(path)
    again.add(Rows({"path": ["b"]}, position=Position(5, "")), "columns", SEEN)
    again.close()
    assert part(path).bad == SEEN


@each_format
def test_a_run_is_whole_only_once_its_table_is_in_its_place(tmp_path, ending):
    """Its last steps: the table is made, its record is written, it is put in its place, the folder
    is removed; killed after any, the run goes on to the same table.
    """
    path = tmp_path / f"t{ending}"
    for step in ("to_disk", "replacing", "os.replace", "shutil.rmtree"):
        left(path, BLOCKS)
        begun = part(path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"aectl.outputs.unfinished.{step}", killed)
            with contextlib.suppress(Killed):
                begun.finish()
        begun.close()
        again = part(path)
        in_place = "shutil.rmtree" if ending in ASSEMBLED else ("to_disk", "shutil.rmtree")
        assert again.whole == (step in in_place)
        assert (again.rows, again.position) == (5, Position(5, "abcde"))
        again.finish()
        assert names(tmp_path) == [path.name, *(["whole"] if step != "to_disk" else [])]
        assert content(path) == whole(tmp_path, ending)
        path.unlink()


class Killed(BaseException):
    """Ends a run as kill -9 does: nothing is tidied up."""


def killed(*_, **__):
    raise Killed


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("step", ["begun", "rows", "made"])
def test_an_old_table_is_not_the_one_that_is_being_made(tmp_path, ending, step):
    path = tmp_path / f"t{ending}"
    path.write_text("old")
    if step == "begun":
        folder_of(path).mkdir()
    else:
        left(path, BLOCKS)
    if step == "made":
        (folder_of(path) / "table").touch()
        name = "rows" if ending in GROWING else "table"
        append(folder_of(path) / "journal.jsonl", json.dumps({"made": name}).encode() + b"\n")
    finished(part(path), BLOCKS if step == "begun" else [])
    assert content(path) == whole(tmp_path, ending)


def test_the_journal_tells_a_run_that_was_killed_after_its_last_step(tmp_path):
    path, aside = tmp_path / "t.csv", tmp_path / "aside"
    left(path, BLOCKS)
    begun = part(path)
    os.link(folder_of(path) / "journal.jsonl", aside)
    begun.finish()
    folder_of(path).mkdir()
    aside.rename(folder_of(path) / "journal.jsonl")
    assert part(path).whole
    assert names(tmp_path) == ["t.csv"]


@each_format
def test_a_table_that_cannot_be_put_in_its_place_is_kept(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    left(path, BLOCKS)
    path.mkdir()
    (path / "full").touch()
    again = part(path)
    with pytest.raises(OSError, match="directory"):
        again.finish()
    again.close()
    shutil.rmtree(path)
    finished(part(path))
    assert content(path) == whole(tmp_path, ending)


@each_assembled
def test_blocks_that_are_gone_are_told(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    folder = left(path)
    (folder / "00000002.arrow").unlink()
    with pytest.raises(OutputError, match="has missing or changed rows"):
        finished(part(path))
    assert not path.exists()


@each_format
def test_a_finished_table_is_whole_and_knows_what_was_bad(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    left(path, [Rows({"path": ["a"]}, position=Position(3, "x"))], bad=SEEN[:2])
    finished(part(path))
    before = content(path)
    again = part(path)
    assert again.whole
    assert (again.rows, again.position, again.bad) == (1, Position(3, "x"), SEEN[:2])
    again.finish()
    assert content(path) == before
    assert names(tmp_path) == [path.name]


@each_format
@pytest.mark.parametrize("name, key", KEYS.values(), ids=KEYS)
def test_a_finished_table_of_another_run_is_refused_by_what_differs(tmp_path, ending, name, key):
    path = tmp_path / f"t{ending}"
    left(path)
    finished(part(path))
    before = path.read_bytes()
    with pytest.raises(OutputError, match=rf"{path.name} was started with {name} .*--overwrite"):
        part(path, key)
    assert path.read_bytes() == before


@each_growing
def test_rows_are_added_to_a_finished_table(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    left(path, BLOCKS[:1])
    finished(part(path))
    old = path.read_bytes()
    again = part(path)
    again.add(BLOCKS[1], "columns", [])
    assert path.read_bytes() == old, "until the new one is whole"
    again.close()
    third = part(path)
    assert (third.rows, third.whole) == (3, False)
    finished(third, BLOCKS[2:])
    assert content(path) == whole(tmp_path, ending)
    assert part(path).whole


@each_assembled
def test_a_finished_table_that_cannot_grow_is_left_as_it_is(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    left(path, BLOCKS[:1])
    finished(part(path))
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"t\.\w+ is complete, .*new inputs.*--overwrite"):
        part(path).add(BLOCKS[1], "columns", [])
    assert path.read_bytes() == before
    assert names(tmp_path) == [path.name]


CHANGES = {
    "a byte": lambda data: data[:9] + bytes([data[9] ^ 1]) + data[10:],
    "the end": lambda data: data[:-1],
    "one byte more": lambda data: data + b"\n",
    "nothing left": lambda data: b"",
}


@each_format
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_finished_table_that_was_changed_is_not_called_whole(tmp_path, ending, change):
    path = tmp_path / f"t{ending}"
    left(path)
    finished(part(path))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(OutputError, match="was changed after it was written; --overwrite"):
        part(path)


GARBAGE = {
    "no JSON": b"garbage\n",
    "zeros": bytes(40) + b"\n",
    "no object": b"[1, 2]\n",
    "depth": b"[" * 100_000 + b"\n",
    "no text": b"\xff\xfe\n",
    "nothing in it": b"{}\n",
    "rows of text": b'{"rows":"9","size":9,"crc":1,"position":[9,"a"],"bad":[]}\n',
    "rows that are true": b'{"rows":true,"size":9,"crc":1,"position":[9,"a"],"bad":[]}\n',
    "fewer rows than before": b'{"rows":1,"size":999,"crc":1,"position":[9,"a"],"bad":[]}\n',
    "no position": b'{"rows":9,"size":999,"crc":1,"position":9,"bad":[]}\n',
    "a position of text": b'{"rows":9,"size":999,"crc":1,"position":["9","a"],"bad":[]}\n',
    "bad inputs that are none": b'{"rows":9,"size":999,"crc":1,"position":[9,"a"],"bad":[3]}\n',
    "bad inputs of numbers": b'{"rows":9,"size":999,"crc":1,"position":[9,"a"],"bad":[[3,4]]}\n',
}


@each_format
@pytest.mark.parametrize("line", GARBAGE.values(), ids=GARBAGE)
def test_garbage_in_a_journal_is_refused_in_a_line(tmp_path, ending, line):
    path = tmp_path / f"t{ending}"
    append(left(path) / "journal.jsonl", line)
    with pytest.raises(OutputError, match=r"journal.jsonl is damaged in line 4; --overwrite"):
        part(path)
    assert not path.exists()
    anew = part(path, resume=False)
    finished(anew, BLOCKS)
    assert content(path) == whole(tmp_path, ending)


@pytest.mark.parametrize(
    "record", [b"", b"garbage", b"[]", b'{"key": 3}', b'{"key": {}, "kept": {}}']
)
def test_a_record_that_is_damaged_is_refused_in_a_line(tmp_path, record):
    path = tmp_path / "t.csv"
    left(path)
    finished(part(path))
    record_of(path).write_bytes(record)
    with pytest.raises(OutputError, match="is damaged; --overwrite"):
        part(path)


def test_a_table_that_nothing_tells_of_is_not_called_whole(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("path,f0\na,1\n")
    with pytest.raises(OutputError, match=r"no record of its run; --overwrite"):
        part(path)
    assert path.read_text() == "path,f0\na,1\n"


@each_format
@pytest.mark.parametrize("first", [0, 1])
def test_bytes_that_changed_in_a_block_are_found(tmp_path, ending, first):
    """As a disk leaves them that lost its power: as many bytes, but zeros."""
    path = tmp_path / f"t{ending}"
    folder = left(path)
    rows = folder / (f"0000000{first + 1}.arrow" if ending in ASSEMBLED else "rows")
    data = bytearray(rows.read_bytes())
    place = 20 if first == 0 or ending in ASSEMBLED else len(data) - 8
    data[place : place + 5] = bytes(5)
    rows.write_bytes(data)
    with pytest.raises(OutputError, match="has missing or changed rows"):
        part(path)


def test_rows_and_journal_are_on_the_disk_before_the_next_block(tmp_path, monkeypatch):
    """The order in which the system is asked to keep them: the rows, then what tells of them."""
    kept = []
    monkeypatch.setattr(
        os, "fsync", lambda number: kept.append(os.readlink(f"/proc/self/fd/{number}"))
    )
    begun = part(tmp_path / "t.csv", resume=False)
    begun.add(BLOCKS[0], "columns", [])
    begun.finish()
    names = [os.path.basename(name).partition(".json")[0] for name in kept]
    assert names[:3] == ["journal", "rows", "journal"]
    assert names[3].startswith(".") and "t.csv" in names[3], "the record of the table"


def test_a_key_in_a_journal_that_holds_control_characters_is_refused_in_one_line(tmp_path):
    path = tmp_path / "t.csv"
    left(path, key={**KEY, "a\nb": "x\ny"})
    with pytest.raises(OutputError) as refused:
        part(path)
    assert r"was started with a\nb 'x\ny', not None" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
