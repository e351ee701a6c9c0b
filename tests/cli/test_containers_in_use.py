"""Folders of archives, such as the shards of a WebDataset, for every verb."""

import csv
import io
import json
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pytest

BY_PYARROW = Path(__file__).parents[1] / "data" / "images" / "by-pyarrow.parquet"


def tar_of(path, members, mode="w"):
    """Writes a tar by Python's module, of names with content."""
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def shards(scans, tmp_path):
    """A folder of 60 images in three shards of samples, with classes in `.cls`."""
    files = sorted(scans.iterdir())[:60]
    (tmp_path / "shards" / "more").mkdir(parents=True)
    (tmp_path / "shards" / "readme.md").write_text("two classes")
    names = ["0.tar", "more/1.tar.gz", "more/2.tar"]
    for number, name in enumerate(names):
        members = []
        for row in range(20 * number, 20 * number + 20):
            members += [(f"{row:03d}.png", files[row].read_bytes())]
            members += [(f"{row:03d}.cls", b"ab"[row % 2 : row % 2 + 1])]
        tar_of(tmp_path / "shards" / name, members, "w:gz" if name.endswith("gz") else "w")
    return "shards"


def rows_of(done):
    return list(csv.DictReader(done.out.splitlines()))


def paths_of(done):
    return [row["path"] for row in rows_of(done)]


def test_a_folder_of_archives_gives_their_members_in_order(aectl, dense, scans, shards):
    codes = [[*row.values()][1:] for row in rows_of(aectl("encode", dense, scans))[:60]]
    done = aectl("encode", dense, shards)
    assert (done.status, done.err) == (0, "")
    places = ["0.tar"] * 20 + ["more/1.tar.gz"] * 20 + ["more/2.tar"] * 20
    assert paths_of(done) == [f"shards/{place}/{n:03d}.png" for n, place in enumerate(places)]
    assert [[*row.values()][1:] for row in rows_of(done)] == codes
    rows = rows_of(aectl("encode", dense, shards, "--label-from-folder", "--relative-to", shards))
    assert [row["label"] for row in rows] == ["a", "b"] * 30
    assert rows[20]["path"] == "more/1.tar.gz/020.png"


def test_options_choose_archives_and_their_members(aectl, dense, shards):
    def count(*options):
        return len(paths_of(aectl("encode", dense, shards, *options)))

    assert count("--include", "01*") == 10
    assert count("--include", "*.tar") == 40
    assert count("--include", "more/*") == 40
    assert count("--include", "1.tar.gz", "--exclude", "02[0-4].png") == 15
    assert count("--exclude", "more") == 20
    assert count("--exclude", "*.gz") == 40
    assert count("--ext", "png") == 60
    assert count("--ext", "tar") == 40


def test_archives_beside_images_are_named_and_not_read(aectl, dense, shards, scans):
    """Often they hold the same images."""
    Path("shards/more/a.png").write_bytes((scans / "000.png").read_bytes())
    done = aectl("encode", dense, shards)
    assert paths_of(done) == ["shards/more/a.png"]
    assert "archives beside images, or in an archive, are not read: 3 (shards/0.tar" in done.err


def test_an_archive_that_is_damaged_costs_what_is_in_it(aectl, dense, shards):
    path = Path("shards/more/1.tar.gz")
    path.write_bytes(path.read_bytes()[:1500])
    Path("shards/z.zip").write_bytes(b"none")
    done = aectl("encode", dense, shards, "--errors", "bad.csv")
    assert done.status == 1
    assert 40 <= len(paths_of(done)) < 60
    with open("bad.csv", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [f"{path}", "shards/z.zip"]


def test_shares_and_a_resumed_table_are_those_of_one_run(aectl, dense, shards):
    assert aectl("encode", dense, shards, "--out", "whole.csv").status == 0
    whole = Path("whole.csv").read_bytes()
    for number in (1, 2, 3):
        words = ("--out", "t.csv", "--shard", f"{number}/3")
        assert aectl("encode", dense, shards, *words).status == 0
    assert aectl("merge", "t.csv.shards", "--out", "t.csv").status == 0
    assert Path("t.csv").read_bytes() == whole
    Path("shards/more/2.tar").rename("later")
    assert aectl("encode", dense, shards, "--out", "again.csv").status == 0
    Path("later").rename("shards/more/2.tar")
    assert aectl("encode", dense, shards, "--out", "again.csv", "--resume").status == 0
    assert Path("again.csv").read_bytes() == whole


def test_train_and_eval_take_folders_of_archives(aectl, shards):
    train = ("train", "--epochs", 1, "--hidden", 8, "--out", "run", "--overwrite", "--dataset")
    done = aectl(*train, shards, "--model", "classifier")
    assert (done.status, "60 images of 2 classes (a 30, b 30)" in done.err) == (0, True)
    done = aectl(*train, shards, "--validation", "0.2")
    done = aectl("eval", "run", "--json")
    assert json.loads(done.out)[0]["n"] == 12
    assert "measured on what was held out of shards: 12 files" in done.err
    done = aectl("detect", "run", shards, "--normal", shards)
    assert "normal inputs that the model learnt from, left out: 48" in done.err
    done = aectl(*train, shards, "--dataset", "shards/0.tar")
    assert (done.status, "--dataset shards/0.tar is in --dataset shards" in done.err) == (2, True)


def test_labels_are_those_of_an_archive_unpacked_where_it_lies(aectl, scans):
    content = (scans / "000.png").read_bytes()
    for name in ("flat/one.tar", "deep/cats/one.tar", "deep/dogs/two.tar", "split/test/t.tar",
                 "split/train/t.tar"):  # fmt: skip
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        members = [f"{folder}/{n}.png" for folder in ("cats", "dogs") for n in range(10)]
        tar_of(name, [(member, content) for member in members])
    train = ("train", "--model", "classifier", "--epochs", 1, "--hidden", 4, "--out", "run",
             "--overwrite", "--dataset")  # fmt: skip
    for word, said in (
        ("flat", "flat: 20 images of 2 classes (cats 10, dogs 10)"),
        ("deep", "deep: 40 images of 2 classes (cats 20, dogs 20)"),
        ("split", "split/train: 20 images of 2 classes (cats 10, dogs 10); split/test is kept"),
    ):
        done = aectl(*train, word)
        assert (done.status, said in done.err) == (0, True), done.err


def test_splits_that_archives_hold_or_are_named_after_are_not_mixed(aectl, scans):
    content = (scans / "000.png").read_bytes()
    for name in ("named/train-0.tar", "named/test-0.tar"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        tar_of(name, [(f"{letter}/0.png", content) for letter in "ab"])
    Path("held").mkdir()
    with zipfile.ZipFile("held/all.zip", "w") as packed:
        for split in ("train", "test"):
            packed.writestr(f"all/{split}/a.png", content)
    train = ("train", "--epochs", 1, "--hidden", 4, "--out", "run", "--overwrite", "--dataset")
    done = aectl(*train, "named")
    assert (done.status, "choose one, such as --include '*train*'" in done.err) == (2, True)
    assert aectl(*train, "named", "--include", "*train*").status == 0
    done = aectl(*train, "held")
    assert (done.status, "held/all.zip holds splits (train, test)" in done.err) == (2, True)


def test_shards_at_a_url_give_what_local_ones_give(aectl, dense, shards):
    storage = fsspec.filesystem("memory", skip_instance_cache=True)
    storage.put(shards, "/containers/shards", recursive=True)
    for parquet in ("a.parquet", "b.parquet"):
        storage.put(str(BY_PYARROW), f"/containers/table/{parquet}")
        Path("table").mkdir(exist_ok=True)
        Path("table", parquet).write_bytes(BY_PYARROW.read_bytes())
    for local in (shards, "table", "table/a.parquet"):
        url = f"memory://containers/{local}"
        done = aectl("encode", dense, url)
        assert (done.status, done.err) == (0, "")
        assert done.out == aectl("encode", dense, local).out.replace(f"\n{local}/", f"\n{url}/")
    storage.rm("/containers", recursive=True)
