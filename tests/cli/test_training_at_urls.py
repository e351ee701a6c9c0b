"""--dataset at URLs, and text and vectors there: models and tables are those of local files."""

import gc
import hashlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import fsspec
import numpy as np
import polars
import pytest
from conftest import LINES
from servers import SECRET, s3_server, site, without_progress

import aectl as api
from aectl.data.storage import entries
from aectl.verbs import machine

BY_PYARROW = Path(__file__).parents[1] / "data" / "images" / "by-pyarrow.parquet"


def same_weights(one: str, other: str) -> bool:
    """Whether two models have the same weights."""
    left, right = api.load(one).state_dict(), api.load(other).state_dict()
    return left.keys() == right.keys() and all(left[name].equal(right[name]) for name in left)


def uploaded(folder: Path, tmp_path: Path) -> str:
    """The URL of a copy of a folder, in the memory of this process."""
    url = f"memory://{tmp_path.name}/{folder.name}"
    fsspec.filesystem("memory").put(str(folder), url, recursive=True)
    return url


def nothing_left() -> bool:
    """Whether no copy is left on the disk, once nothing uses it."""
    gc.collect()
    return not list(machine.data_dir().glob("fetched-*"))


def test_images_of_s3_with_splits_and_classes(aectl, scans, monkeypatch):
    for number, path in enumerate(sorted(scans.iterdir())[:60]):
        place = Path("photos", "val" if number % 3 else "train", "ab"[number % 2], path.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    options = ("train", "--hidden", "8", "--epochs", "2", "--dataset")
    local = aectl(*options, "photos", "--out", "a")
    with s3_server(monkeypatch) as put:
        put("photos", Path("photos"))
        remote = aectl(*options, "s3://made/photos", "--out", "b")
        assert (remote.status, local.status) == (0, 0), remote.err
        assert same_weights("a", "b")
        measured = aectl("eval", "b", "--json")
        assert "measured on s3://made/photos/val" in measured.err
        twice = aectl(*options, "s3://made/photos", "--dataset", "s3://made/photos/train/a")
    assert twice.status == 2
    assert "is in --dataset s3://made/photos, and is read with it" in twice.err
    figures = aectl("eval", "a", "--json").out.replace("photos/", "s3://made/photos/")
    assert measured.out == figures.replace('"a"', '"b"')
    assert "s3://made/photos/train: 20 images of 2 classes (a 10, b 10)" in remote.err
    written = b"".join(path.read_bytes() for path in Path("b").rglob("*") if path.is_file())
    assert b"s3://made/photos" in written
    assert SECRET.encode() not in written


def test_text_at_urls(aectl, tmp_path):
    folder = tmp_path / "texts"
    (folder / "more").mkdir(parents=True)
    for number in range(5):
        (folder / "more" / f"{number}.txt").write_text("\n".join(LINES[number::5]) + "\n")
    (folder / "bad.txt").write_bytes(b"\0\0\0")
    there = uploaded(folder, tmp_path)
    kind = ("--model", "text-autoencoder", "--hidden", "8,8")
    options = ("train", *kind, "--epochs", "1", "--dataset")
    local = aectl(*options, "texts", "--out", "a")
    remote = aectl(*options, there, "--out", "b")
    assert local.status == remote.status == 1, remote.err
    assert same_weights("a", "b")
    for word in ("texts", "texts/more/1.txt"):
        url = word.replace("texts", there)
        local, remote = aectl("encode", "a", word), aectl("encode", "a", url)
        assert remote.out == local.out.replace("texts/", f"{there}/")
        assert without_progress(remote.err) == without_progress(local.err).replace(
            "texts/", f"{there}/"
        )
    assert nothing_left()


def test_vectors_at_urls(aectl, tmp_path, dense):
    folder = tmp_path / "acts"
    folder.mkdir()
    rows = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    np.save(folder / "a.npy", rows)
    np.savez(folder / "b.npz", first=rows[:20], second=rows[20:])
    np.savetxt(folder / "c.csv", rows[:30], delimiter=",", header="u,v,w,x,y,z", comments="")
    there = uploaded(folder, tmp_path)
    options = ("train", "--hidden", "4", "--epochs", "2", "--dataset")
    for word in ("acts/a.npy", "acts/b.npz:second"):
        url = word.replace("acts", there)
        local = aectl(*options, word, "--out", "a", "--overwrite")
        remote = aectl(*options, url, "--out", "b", "--overwrite")
        assert local.status == remote.status == 0, remote.err
        assert same_weights("a", "b")
        tables = aectl("encode", "a", word).out, aectl("encode", "a", url).out
        assert tables[1] == tables[0].replace("acts/", f"{there}/")
    read = aectl("encode", "a", "acts"), aectl("encode", "a", there)
    assert read[1].out == read[0].out.replace("acts/", f"{there}/")
    assert without_progress(read[1].err) == without_progress(read[0].err).replace(
        "acts/", f"{there}/"
    )
    aectl("encode", dense, "digits:test", "--out", "acts/codes.npy")
    there = uploaded(folder, tmp_path / "again")
    local = aectl(*options, "acts/codes.npy", "--out", "of-codes")
    named = aectl("encode", "of-codes", f"{there}/codes.npy")
    assert (local.status, named.status) == (0, 0)
    assert "\ndigits:test/7," in named.out
    assert nothing_left()


def test_parquet_at_urls_is_of_images_or_of_vectors(aectl, tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    shutil.copy(BY_PYARROW, folder / "images.parquet")
    rows = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    polars.DataFrame(rows, schema=list("abcd")).write_parquet(folder / "vectors.parquet")
    options = ("train", "--hidden", "3", "--epochs", "1", "--overwrite", "--dataset")
    with site({path.name: path.read_bytes() for path in folder.iterdir()}) as web:
        for name in ("images", "vectors"):
            local = aectl(*options, f"tables/{name}.parquet", "--out", "a")
            for there in (uploaded(folder, tmp_path), web.url):
                remote = aectl(*options, f"{there}/{name}.parquet", "--out", "b")
                assert (remote.status, local.status) == (0, 0), remote.err
                assert same_weights("a", "b")
        web.has_parts = False
        whole = aectl("encode", "b", f"{web.url}/vectors.parquet")
        assert (whole.status, whole.out.count("\n")) == (0, 41)
    assert nothing_left()


def test_copies_of_killed_processes_are_removed(aectl, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("\n".join(LINES))
    process = subprocess.Popen(["true"])
    process.wait()
    room = machine.data_dir()
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    kept = ["of-no-process", f"{host}-{process.pid}-new", f"{'0' * 8}-{process.pid}-elsewhere"]
    for name, age in (
        (kept[0], 9999),
        (f"{host}-{process.pid}-old", 9999),
        (kept[1], 0),
        (kept[2], 9999),
    ):
        (room / f"fetched-{name}").mkdir(parents=True)
        os.utime(room / f"fetched-{name}", (time.time() - age,) * 2)
    there = uploaded(tmp_path / "texts", tmp_path)
    options = ("--model", "text-autoencoder", "--hidden", "8,8", "--epochs", "1")
    assert aectl("train", "--dataset", f"{there}/a.txt", *options, "--out", "a").status == 0
    left = sorted(one.name for one in room.glob("fetched-*"))
    assert left == sorted(f"fetched-{name}" for name in kept)


@pytest.mark.parametrize("word", ["gone.npy", "gone.txt", "gone.png"])
def test_what_is_not_there_is_said_as_of_files(aectl, word, monkeypatch):
    monkeypatch.setattr(entries, "PAUSE", 0.01)
    model = ("--model", "text-autoencoder") if word.endswith("txt") else ()
    stored = aectl("train", "--dataset", f"memory://nowhere/{word}", *model)
    assert stored.status == 2
    assert f"no file or folder 'memory://nowhere/{word}'" in stored.err
    with site({}) as web:
        done = aectl("train", "--dataset", f"{web.url}/{word}", *model)
    assert done.status == 2
    assert f"{word}: No such file or directory" in done.err


def test_a_training_set_with_a_password_is_refused(aectl):
    done = aectl("train", "--dataset", f"s3://AKIA1:{SECRET}@made/photos", "--out", "run")
    assert done.status == 2
    assert "holds a name or a password" in done.err
    assert SECRET not in done.err
    assert not any(Path().iterdir())
