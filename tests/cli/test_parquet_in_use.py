"""Parquet with images, as Hugging Face writes it, for every verb."""

import csv
import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import polars
import pytest

from aectl.data.storage.parquet_footer import FooterError, read_footer

BY_PYARROW = Path(__file__).parents[1] / "data" / "images" / "by-pyarrow.parquet"
"""Six digits in two row groups, written by pyarrow 26 with the metadata of `datasets`."""

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
FEATURES = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
LARGE = bytes((128 << 20) + 1)
IMAGE = polars.Struct({"bytes": polars.Binary, "path": polars.String})


def written(path, images, labels=None, rows=10, column="label", **metadata):
    """Writes Parquet by polars: of each image its bytes, and its path or None."""
    columns = {"image": [{"bytes": content, "path": name} for content, name in images]}
    schema = {"image": IMAGE}
    if labels is not None:
        columns[column] = labels
        schema[column] = polars.Int64 if isinstance(labels[0], int) else polars.String
    features = {**FEATURES, **metadata}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    polars.DataFrame(columns, schema).write_parquet(path, row_group_size=rows, metadata=about)
    return path


@pytest.fixture
def shards(scans, tmp_path):
    """A folder of two shards of 30 images in three classes, the second without paths of images."""
    (tmp_path / "shards").mkdir()
    files = sorted(scans.iterdir())[:60]
    for number in range(2):
        some = files[30 * number : 30 * number + 30]
        images = [(one.read_bytes(), None if number else f"{one.parent.name}.png") for one in some]
        if not number:
            images = [(content, one.name) for (content, _), one in zip(images, some, strict=True)]
        labels = [row % 3 for row in range(30)]
        written(tmp_path / "shards" / f"train-0000{number}-of-00002.parquet", images, labels)
    return "shards"


def rows_of(done):
    return list(csv.DictReader(done.out.splitlines()))


def test_the_images_of_parquet_give_the_codes_of_their_files(aectl, dense, scans, shards, request):
    of_files = rows_of(aectl("encode", dense, scans))[:60]
    done = aectl("encode", dense, shards)
    rows = rows_of(done)
    assert (done.status, done.err) == (0, "")
    first, second = (f"shards/train-0000{number}-of-00002.parquet" for number in range(2))
    paths = [f"{first}/{n:03d}.png" for n in range(30)] + [f"{second}/{n}" for n in range(30)]
    assert [row.pop("path") for row in rows] == paths
    assert [row.pop("label") for row in rows] == ["zero", "one", "two"] * 20
    assert [list(row.values()) for row in rows] == [list(row.values())[1:] for row in of_files]
    assert aectl("encode", dense, first, second).out == done.out
    request.getfixturevalue("processes_of_their_own")
    listed = rows_of(aectl("encode", dense, "-", stdin=f"{first}\n{second}\n".encode()))
    assert [row.pop("path") for row in listed] == paths
    assert listed == rows


def test_parquet_that_pyarrow_wrote(aectl, dense, tmp_path):
    """Also where the names of classes are in the Arrow schema alone, as other writers leave it."""
    content = BY_PYARROW.read_bytes()
    assert content.count(b"huggingface") == 1
    (tmp_path / "a.parquet").write_bytes(content)
    (tmp_path / "b.parquet").write_bytes(content.replace(b"huggingface", b"hugging----"))
    for name in ("a", "b"):
        rows = rows_of(aectl("encode", dense, f"{name}.parquet"))
        assert [row["path"] for row in rows] == [f"{name}.parquet/{n}.png" for n in range(6)]
        assert [row["label"] for row in rows] == NAMES[:6]


def test_rows_without_a_path_of_their_own_are_named_by_their_number(aectl, dense, scans):
    content = (scans / "000.png").read_bytes()
    paths = ["a.png", None, "a.png", "/b/../c.png", "", "4", "sea/a.png", "1"]
    written("t.parquet", [(content, path) for path in paths], rows=3)
    found = [row["path"] for row in rows_of(aectl("encode", dense, "t.parquet"))]
    names = ["a.png", "1", "2", "c.png", "4", "5", "sea/a.png", "7"]
    assert found == [f"t.parquet/{name}" for name in names]
    rows = rows_of(aectl("encode", dense, "t.parquet", "--label-from-folder", "--absolute"))
    assert rows[0]["path"] == os.path.abspath("t.parquet/a.png")
    assert [row["label"] for row in rows if row["path"].endswith("sea/a.png")] == ["sea"]


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [([0, -1, 9, 10, None], ["zero", "", "nine", "10", ""]), (["a", None, "b", "", "="], None)],
)
def test_labels_are_names_where_they_are_known(aectl, dense, scans, labels, wanted):
    content = (scans / "000.png").read_bytes()
    written("t.parquet", [(content, None)] * 5, labels)
    rows = rows_of(aectl("encode", dense, "t.parquet"))
    assert [row["label"] for row in rows] == (wanted or ["a", "", "b", "", "'="])


def test_label_column_names_the_column_of_labels(aectl, scans, tmp_path):
    """It is remembered by the model."""
    files = sorted(scans.iterdir())[:20]
    images = [(one.read_bytes(), one.name) for one in files]
    written("t.parquet", images, [n % 2 for n in range(20)], column="fine", fine=FEATURES["label"])
    train = ("train", "--dataset", "t.parquet", "--epochs", 1, "--hidden", 4, "--out", "run")
    done = aectl(*train, "--model", "classifier", "--label-column", "fin")
    assert done.status == 2
    assert "no column fin, which --label-column names; did you mean 'fine'?" in done.err
    assert aectl(*train, "--model", "classifier").status == 2  # there are no classes
    assert aectl(*train, "--model", "classifier", "--label-column", "fine").status == 0
    done = aectl("eval", "run", "--dataset", "t.parquet", "--json")
    assert json.loads(done.out)[0]["n"] == 20
    assert {row["label"] for row in rows_of(aectl("classify", "run", "t.parquet"))} == {
        "zero", "one",
    }  # fmt: skip


def test_what_is_no_image_costs_its_row(aectl, dense, scans):
    content = (scans / "000.png").read_bytes()
    images = [(content, "a.png"), (None, "b.png"), (b"none", "c.png"), (LARGE, "d.png")]
    written("t.parquet", [*images, (content, "e.png")], rows=5)
    done = aectl("encode", dense, "t.parquet", "--errors", "bad.csv")
    assert done.status == 1
    assert [row["path"] for row in rows_of(done)] == ["t.parquet/a.png", "t.parquet/e.png"]
    with open("bad.csv", newline="") as file:
        bad = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert list(bad) == [f"t.parquet/{name}.png" for name in "bcd"]
    assert "holds no bytes" in bad["t.parquet/b.png"]
    assert "has more than 134,217,728 bytes" in bad["t.parquet/d.png"]


def test_damaged_parquet_is_named_after_its_readable_rows(aectl, dense, shards):
    name = "shards/train-00000-of-00002.parquet"
    content = bytearray(Path(name).read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    Path(name).write_bytes(content)
    Path("shards/cut.parquet").write_bytes(content[:5000])
    done = aectl("encode", dense, "shards")
    assert done.status == 1
    assert 30 <= len(rows_of(done)) < 60
    assert f"left out {name}: cannot be read as Parquet with images: " in done.err
    assert "cut.parquet" not in done.err  # it might be of vectors
    done = aectl("encode", dense, "shards/cut.parquet")
    assert (done.status, "it is not a Parquet file, or is cut short" in done.err) == (2, True)


def test_a_footer_that_claims_rows_that_are_not_there_is_told(aectl, dense):
    """Not looked for, one after the other."""
    content = BY_PYARROW.read_bytes()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer, many = content[start:-8], bytes([0xFE] + [0xFF] * 7 + [0x3F])  # 2**61 - 1, zigzag
    at = footer.rindex(b"\x16\x06")  # the rows of the last group, 3
    lying = footer[: at + 1] + many + footer[at + 2 :]
    length = len(lying).to_bytes(4, "little")
    Path("t.parquet").write_bytes(content[:start] + lying + length + b"PAR1")
    assert [group.rows for group in read_footer("t.parquet").groups] == [3, (1 << 61) - 1]
    done = aectl("encode", dense, "t.parquet")
    assert (done.status, len(rows_of(done))) == (1, 3)
    assert "t.parquet: cannot be read as Parquet with images: it is damaged: it has few" in done.err


def test_a_footer_that_is_damaged_is_refused_or_read(tmp_path):
    content, generator = BY_PYARROW.read_bytes(), random.Random(0)
    length = int.from_bytes(content[-8:-4], "little")
    path = tmp_path / "t.parquet"
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(generator.randint(1, 4)):
            at = generator.randrange(len(content) - 8 - length, len(content))
            damaged[at] = generator.randrange(256)
        path.write_bytes(damaged)
        try:
            footer = read_footer(path)
        except FooterError:
            continue
        assert sum(group.rows for group in footer.groups) >= 0


def test_shares_and_a_resumed_table_are_those_of_one_run(aectl, dense, shards, tmp_path):
    assert aectl("encode", dense, shards, "--out", "whole.csv").status == 0
    whole = Path("whole.csv").read_bytes()
    for number in (1, 2):
        part = aectl("encode", dense, shards, "--out", "t.csv", "--shard", f"{number}/2")
        assert part.status == 0, part.err
    assert aectl("merge", "t.csv.shards", "--out", "t.csv").status == 0
    assert Path("t.csv").read_bytes() == whole
    second = Path("shards/train-00001-of-00002.parquet")
    second.rename("later")
    assert aectl("encode", dense, shards, "--out", "again.csv").status == 0
    Path("later").rename(second)
    assert aectl("encode", dense, shards, "--out", "again.csv", "--resume").status == 0
    assert Path("again.csv").read_bytes() == whole


def test_a_classifier_learns_the_classes_of_shards(aectl, shards):
    train = ("train", "--dataset", shards, "--epochs", 2, "--hidden", 8, "--out", "run")
    done = aectl(*train, "--model", "classifier")
    assert (done.status, "60 images of 3 classes (one 20, two 20, zero 20)" in done.err) == (
        0, True,
    )  # fmt: skip
    assert {row["label"] for row in rows_of(aectl("classify", "run", shards))} == {*NAMES[:3]}
    done = aectl("eval", "run", "--json")
    assert json.loads(done.out)[0]["n"] == 60
    for verb in ("reconstruct", "detect"):
        assert aectl(verb, "run", shards).status == 2  # of a classifier


def test_other_verbs_take_the_same_words(aectl, dense, shards, scans):
    done = aectl("reconstruct", dense, shards, "--out", "grid.png")
    assert (done.status, Path("grid.png").exists()) == (0, True)
    assert json.loads(aectl("eval", dense, "--dataset", shards, "--json").out)[0]["n"] == 60
    done = aectl("detect", dense, shards, "--normal", scans)
    assert (done.status, len(rows_of(done))) == (0, 60)


def test_a_model_of_another_kind_says_what_is_wrong(aectl, dense, shards, trained, tmp_path):
    rows = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    polars.DataFrame(rows, [*"abcd"]).write_parquet("vectors.parquet")
    train = ("train", "--epochs", 1, "--hidden", 2, "--dataset")
    assert aectl(*train, "vectors.parquet", "--out", "of-vectors").status == 0
    file = "shards/train-00000-of-00002.parquet"
    done = aectl("encode", "of-vectors", file)
    assert done.status == 2
    assert "its column image holds images, which a model of images reads" in done.err
    done = aectl("encode", dense, "vectors.parquet")
    assert done.status == 2
    assert "it has no column of images; it has a, b, c, d" in done.err
    done = aectl(*train, file, "--modality", "vectors", "--out", "none")
    assert (done.status, "is a dataset of images" in done.err) == (2, True)
    done = aectl(*train, "vectors.parquet", "--modality", "images", "--out", "none")
    assert (done.status, "is a file of vectors" in done.err) == (2, True)


def test_parquet_beside_images_is_not_read_unless_it_is_asked_for(aectl, dense, shards, scans):
    shutil.copy(scans / "000.png", shards)
    done = aectl("encode", dense, shards)
    assert [row["path"] for row in rows_of(done)] == ["shards/000.png"]
    assert "archives beside images, or in an archive, are not read: 2 (shards/train-" in done.err
    for option in (("--include", "*.parquet"), ("--ext", "parquet")):
        assert len(rows_of(aectl("encode", dense, shards, *option))) == 60
    assert len(rows_of(aectl("encode", dense, shards, "--include", "train-00001*"))) == 30
    assert aectl("encode", dense, shards, "--exclude", "*.png", "--include", "x*").status == 2
