"""Series of files in one word."""

import csv
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from aectl.data.series import files_of
from aectl.errors import DataError


@pytest.mark.parametrize(
    "word",
    ["d-{000..012}.tar", "{8..11}", "{08..11}/x", "{8..007}", "{3..1}", "{0..1}/{5..7}.tar",
     "{5..5}", "a{b", "{a..c}{1..2}", "{1..2}{", "x{0..3}y{0..0}z"],
)  # fmt: skip
def test_files_are_those_that_a_shell_names(word):
    plain = word.replace("{a..c}", r"\{a..c\}")
    told = subprocess.run(["bash", "-c", f"printf '%s\\n' {plain}"], capture_output=True, text=True)
    assert [*files_of(word)] == told.stdout.splitlines()


def test_too_many_files_are_refused(aectl, dense):
    with pytest.raises(DataError, match="names 10,000,000,000 files"):
        next(files_of("{1..100000}{1..100000}"))
    done = aectl("encode", dense, "d-{1..1000000000000}.tar")
    assert (done.status, "at most 1,000,000" in done.err) == (2, True)


@pytest.fixture
def shards(scans):
    for number, name in enumerate(["d-08.tar", "d-09.tar", "d-10.tar"]):
        with tarfile.open(name, "w") as tar:
            for row in range(10):
                content = (scans / f"{10 * number + row:03d}.png").read_bytes()
                for ending, data in ((".png", content), (".cls", b"ab"[row % 2 : row % 2 + 1])):
                    member = tarfile.TarInfo(f"{10 * number + row:03d}{ending}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    return "d-{08..10}.tar"


def test_a_series_of_shards_is_one_input_which_a_model_remembers(aectl, dense, shards):
    done = aectl("encode", dense, shards)
    assert done.status == 0
    assert done.out == aectl("encode", dense, "d-08.tar", "d-09.tar", "d-10.tar").out
    train = ("train", "--model", "classifier", "--hidden", 4, "--epochs", 1, "--out", "run")
    done = aectl(*train, "--dataset", shards)
    assert (done.status, "30 images of 2 classes (a 15, b 15)" in done.err) == (0, True)
    done = aectl("eval", "run", "--json")
    assert (json.loads(done.out)[0]["n"], done.status) == (30, 0)
    assert len(aectl("encode", dense, shards, "--include", "00*").out.splitlines()) == 11
    done = aectl("detect", dense, "d-08.tar", "--normal", shards, "--alarm-rate", "0.2")
    assert (done.status, "whether it learnt from the normal inputs is not known" in done.err) == (
        0, True,
    )  # fmt: skip


def test_shares_of_a_series_are_those_of_one_run(aectl, dense, shards):
    assert aectl("encode", dense, shards, "--out", "whole.csv").status == 0
    for number in (1, 2):
        assert (
            aectl("encode", dense, shards, "--out", "t.csv", "--shard", f"{number}/2").status == 0
        )
    assert aectl("merge", "t.csv.shards", "--out", "t.csv").status == 0
    assert Path("t.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_a_shard_that_is_missing_is_a_bad_input_and_a_series_of_none_an_error(aectl, dense, shards):
    Path("d-09.tar").unlink()
    done = aectl("encode", dense, shards)
    assert done.status == 1
    assert len([*csv.reader(io.StringIO(done.out))]) == 21
    assert "left out d-09.tar: cannot be read as an archive: No such file" in done.err
    done = aectl("encode", dense, "e-{08..10}.tar")
    assert done.status == 2
    assert "no file 'e-08.tar', with which the series 'e-{08..10}.tar' begins" in done.err
    Path(shards).write_bytes(Path("d-08.tar").read_bytes())
    assert len(aectl("encode", dense, shards).out.splitlines()) == 11
