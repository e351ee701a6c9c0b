"""Tables that list images, with --paths-column, for every verb."""

import csv
import gzip
import json
import shutil
from pathlib import Path

import polars
import pytest

PATHS = ("--paths-column", "file")


@pytest.fixture
def rows(scans, tmp_path):
    """20 images in a folder below that of the tables, and the rows of those."""
    (tmp_path / "set" / "images").mkdir(parents=True)
    files = sorted(scans.iterdir())[:20]
    for file in files:
        shutil.copy(file, tmp_path / "set" / "images")
    return [
        {"n": n, "file": f"images/{file.name}", "label": "ab"[n % 2], "digit": n % 4}
        for n, file in enumerate(files)
    ]


def write_text(path, rows, separator=","):
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "wt", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, [*rows[0]], delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)


WRITERS = {
    "i.csv": write_text,
    "i.csv.gz": write_text,
    "semicolons.csv": lambda path, rows: write_text(path, rows, ";"),
    "i.tsv": lambda path, rows: write_text(path, rows, "\t"),
    "i.jsonl": lambda path, rows: Path(path).write_text("\n".join(map(json.dumps, rows))),
    "i.parquet": lambda path, rows: polars.DataFrame(rows).write_parquet(path, row_group_size=7),
}


def rows_of(done):
    return list(csv.DictReader(done.out.splitlines()))


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_lists_images_relative_to_its_folder(aectl, dense, rows, name):
    WRITERS[name](f"set/{name}", rows)
    done = aectl("encode", dense, f"set/{name}", *PATHS)
    assert (done.status, done.err) == (0, "")
    found = rows_of(done)
    assert [row.pop("path") for row in found] == [f"set/{row['file']}" for row in rows]
    assert [row.pop("label") for row in found] == ["a", "b"] * 10
    codes = rows_of(aectl("encode", dense, "set/images"))
    assert [[*row.values()] for row in found] == [[*row.values()][1:] for row in codes]


@pytest.mark.parametrize("name", ["i.csv", "i.jsonl", "i.parquet"])
def test_a_column_that_is_missing_is_named_with_what_may_be_meant(aectl, dense, rows, name):
    WRITERS[name](name, rows)
    for options, said in (
        (("--paths-column", "fil"), "it has no column fil, which --paths-column names; did you mean"
         " 'file'?; it has n, file, label, digit"),
        ((*PATHS, "--label-column", "lable"), "it has no column lable, which --label-column names;"
         " did you mean 'label'?; it has n, file, label, digit"),
    ):  # fmt: skip
        done = aectl("encode", dense, name, *options)
        assert done.status == 2
        assert f"left out {name}: cannot be read as a list of images: {said}" in done.err
        done = aectl("train", "--dataset", name, *options)
        assert (done.status, said in done.err) == (2, True)


def test_files_that_are_missing_and_rows_without_a_path_are_bad_rows(aectl, dense, rows):
    rows[3]["file"], rows[5]["file"], rows[7]["label"] = "images/none.png", "", ""
    rows[8]["file"] = "a\0b"
    WRITERS["i.csv"]("set/i.csv", rows)
    done = aectl("encode", dense, "set/i.csv", *PATHS, "--errors", "bad.csv")
    assert done.status == 1
    assert [row["label"] for row in rows_of(done)][4:7] == ["a", "", "b"]
    with open("bad.csv", newline="") as file:
        bad = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert bad["set/images/none.png"] == "No such file or directory"
    assert bad["set/i.csv:5"] == "has no path in the column file"
    assert bad["set/i.csv:8"] == "has a path with a character that no name of a file has"
    assert len(bad) == 3
    with open("set/i.csv", "a") as file:
        file.write("x" * (1 << 20))
    done = aectl("encode", dense, "set/i.csv", *PATHS)
    assert "a line of more than 1,048,576 characters" in done.err
    assert len(rows_of(done)) == 17


def test_surrogates_in_json_are_no_paths(aectl, dense, rows):
    rows[2]["file"], rows[3]["label"] = "\ud800.png", "\ud800"
    WRITERS["i.jsonl"]("set/i.jsonl", rows)
    done = aectl("encode", dense, "set/i.jsonl", *PATHS)
    assert (done.status, len(rows_of(done))) == (1, 19)
    told = "left out set/i.jsonl:2: has a path with a character that no name of a file has"
    assert told in done.err
    done = aectl("encode", dense, "set/i.jsonl", "--paths-column", "\ud800")
    assert (done.status, "it has no column" in done.err) == (2, True)


def test_paths_may_be_absolute_and_quoted_and_rows_may_lack_cells(aectl, dense, rows, tmp_path):
    place = tmp_path / "set" / rows[0]["file"]
    shutil.copy(place, tmp_path / "a, b.png")
    lines = ["label,file", 'x,"a, b.png"', "", f"y,{place}", "z", "w,file:a%2C%20b.png", ""]
    Path("i.csv").write_text("\n".join(lines))
    done = aectl("encode", dense, "i.csv", *PATHS)
    assert [row["path"] for row in rows_of(done)] == ["a, b.png", str(place), "a, b.png"]
    assert "left out i.csv:2: has no path" in done.err


def test_the_option_is_refused_where_no_input_is_a_table(aectl, dense, rows, trained):
    image = f"set/{rows[0]['file']}"
    done = aectl("encode", dense, image, *PATHS)
    assert (done.status, "none of the inputs is one" in done.err) == (2, True)
    done = aectl("train", "--dataset", image, *PATHS)
    assert (done.status, "none of the inputs is one" in done.err) == (2, True)
    WRITERS["i.csv"]("i.csv", rows)
    done = aectl("train", "--dataset", "i.csv", *PATHS, "--modality", "vectors")
    assert (done.status, "--paths-column" in done.err) == (2, True)


def test_every_verb_takes_such_tables_and_a_model_remembers_its_columns(aectl, dense, rows, scans):
    WRITERS["i.csv"]("set/i.csv", rows)
    WRITERS["i.parquet"]("set/i.parquet", rows[:12])
    train = ("train", "--dataset", "set/i.csv", "--epochs", 1, "--hidden", 4, "--out", "run")
    done = aectl(*train, *PATHS, "--model", "classifier", "--label-column", "digit")
    assert done.status == 0
    assert "20 images of 4 classes (0 5, 1 5, 2 5, 3 5)" in done.err
    assert json.loads(aectl("eval", "run", "--json").out)[0]["n"] == 20
    done = aectl("eval", "run", "--dataset", "set/i.parquet", "--json")
    assert json.loads(done.out)[0]["n"] == 12
    found = rows_of(aectl("classify", "run", "set/i.parquet"))
    assert [row["label"] for row in found] == ["0", "1", "2", "3"] * 3
    done = aectl("reconstruct", dense, "set/i.csv", *PATHS, "--out", "grid.png")
    assert done.status == 0
    assert len(rows_of(aectl("detect", dense, "set/i.csv", *PATHS, "--normal", scans))) == 20


def test_shares_of_a_table_are_those_of_one_run(aectl, dense, rows):
    WRITERS["i.csv"]("i.csv", [{**row, "file": f"set/{row['file']}"} for row in rows])
    words = ("encode", dense, "i.csv", *PATHS, "--out")
    assert aectl(*words, "whole.csv").status == 0
    for number in (1, 2):
        assert aectl(*words, "t.csv", "--shard", f"{number}/2").status == 0
    assert aectl("merge", "t.csv.shards", "--out", "t.csv").status == 0
    assert Path("t.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_a_column_of_labels_is_refused_where_there_are_only_images(aectl, dense, scans):
    for words in ([scans], [scans / "000.png", scans / "001.png"]):
        done = aectl("encode", dense, *words, "--label-column", "kind")
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith("aectl: --label-column names a column of a table")
        assert done.err.count("\n") == 1


@pytest.mark.parametrize("name", ["i.csv", "i.jsonl", "i.parquet"])
def test_options_choose_among_the_paths_that_a_table_lists(aectl, dense, rows, name):
    shutil.copy(f"set/{rows[0]['file']}", "set/images/other.dat")
    (Path("set") / "deep").mkdir()
    shutil.copy(f"set/{rows[0]['file']}", "set/deep/1.png")
    rows += [dict(rows[0], file=path) for path in ("images/other.dat", "deep/1.png")]
    WRITERS[name](f"set/{name}", rows)
    files = [row["file"] for row in rows]
    for options, wanted in (
        ((), files),
        (("--exclude", "00*"), [one for one in files if "/00" not in one]),
        (("--exclude", "images"), ["deep/1.png"]),
        (("--include", "*1.png"), [one for one in files if one.endswith("1.png")]),
        (("--include", "*.dat", "--include", "deep/*"), files[-2:]),
        (("--ext", "dat"), ["images/other.dat"]),
        (("--include", name, "--exclude", "deep"), files[:-1]),
    ):
        done = aectl("encode", dense, f"set/{name}", *PATHS, *options)
        assert done.status == 0
        assert [row["path"] for row in rows_of(done)] == [f"set/{one}" for one in wanted]
    words = ("--epochs", 1, "--hidden", 4, *PATHS, "--exclude", "images", "--exclude", "none")
    done = aectl("train", "--dataset", f"set/{name}", *words, "--validation", 0)
    assert (done.status, "1 image, no classes" in done.err) == (0, True)
    done = aectl("encode", dense, f"set/{name}", *PATHS, "--ext", "gif")
    assert (done.status, done.err) == (2, f"aectl: there are no images in set/{name}\n")


@pytest.mark.parametrize("name", [name for name in WRITERS if not name.endswith(("gz", "parquet"))])
def test_a_table_itself_on_stdin_is_refused_in_a_line(aectl, dense, rows, name):
    WRITERS[name](name, rows)
    told = "stdin holds a table with the column file, and - reads a list of paths: name the file"
    for words in (("encode", dense, "-"), ("train", "--dataset", "-")):
        done = aectl(*words, *PATHS, stdin=Path(name).read_bytes())
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith(f"aectl: {told}")
        assert done.err.count("\n") == 1


def test_tables_that_stdin_lists_are_labelled_by_the_column_asked_for(aectl, dense, rows):
    WRITERS["i.csv"]("set/i.csv", rows)
    done = aectl("encode", dense, "-", *PATHS, stdin=b"set/i.csv\n")
    assert [row["path"] for row in rows_of(done)] == [f"set/{row['file']}" for row in rows]
    assert "label" not in rows_of(done)[0]
    told = "labels of files listed on stdin are not written, such as that of set/images/000.png"
    assert (done.status, done.err.count(told)) == (0, 1)
    done = aectl("encode", dense, "-", *PATHS, "--label-column", "digit", stdin=b"set/i.csv\n")
    assert [row["label"] for row in rows_of(done)] == ["0", "1", "2", "3"] * 5
    assert done.err == ""
    done = aectl("encode", dense, "-", *PATHS, stdin=f"set/{rows[0]['file']}\n".encode())
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize("name", ["i.csv", "i.parquet"])
def test_a_table_that_is_not_named_as_one_is_told(aectl, dense, scans, rows, name):
    Path("lists").mkdir()
    WRITERS[name](f"lists/{name}", [dict(row, file=f"../set/{row['file']}") for row in rows])
    told = "a table that lists images is named itself, with --paths-column and the column of their"
    for words in (
        ("encode", dense, "lists"), ("encode", dense, f"lists/{name}"),
        ("encode", dense, "lists", *PATHS), ("train", "--dataset", "lists", *PATHS),
    ):  # fmt: skip
        done = aectl(*words)
        assert (done.status, done.err.count(told)) == (2, 1)
    (Path("empty")).mkdir()
    assert told not in aectl("encode", dense, "empty").err
    done = aectl("encode", dense, "lists", *PATHS, "--include", "i.*")
    assert (done.status, len(rows_of(done))) == (0, 20)
