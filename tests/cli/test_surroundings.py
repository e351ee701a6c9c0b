"""Full disks, closed streams, no home: training works there, or says why not in a line."""

import contextlib
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MNIST, shell

TRAIN = "aectl train -q --dataset digits"
SHORT = f"{TRAIN} --epochs 3"


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@contextlib.contextmanager
def room_for(kibibytes: int) -> Iterator[None]:
    """In this process, no file can grow larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kibibytes * 1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_room_for_the_first_checkpoint_is_told_and_nothing_is_left(aectl, tmp_path):
    with room_for(20):
        done = aectl(*SHORT.split()[1:], "--out", "run")
    assert (done.status, done.out) == (2, "")
    assert done.err == "aectl: cannot write run/checkpoint/checkpoint.safetensors: File too large\n"
    assert left(tmp_path) == []


def test_a_disk_that_fills_up_costs_the_rest_and_not_the_training(aectl, tmp_path):
    with room_for(30):
        done = aectl(*TRAIN.split()[1:], "--epochs", 150, "--hidden", 4, "--out", "run")
    assert (done.status, done.out) == (2, "")
    *_, first, second = done.err.splitlines()
    assert first.startswith("aectl: cannot write run/")
    assert first.endswith(": File too large")
    assert "of 150 epochs: aectl train --resume run continues" in second
    assert not [name for name in left(tmp_path) if ".part" in name]
    done = aectl("train", "-q", "--resume", "run")
    assert (done.status, done.out, done.err) == (0, "run/model.safetensors\n", "")
    assert "run/curves.png" in left(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path):
    tmp_path.chmod(0o555)
    done = shell(f"{SHORT} --out run", tmp_path)
    tmp_path.chmod(0o755)
    assert (done.status, done.out) == (2, "")
    assert done.err == "aectl: cannot write the run folder run: Permission denied\n"


@pytest.mark.parametrize(("closed", "warmed"), [("<&- 2>&-", False), (">&-", True)])
def test_training_needs_none_of_its_streams(tmp_path, closed, warmed):
    assert shell(f"{SHORT} --out run {closed}", tmp_path, warmed).status == 0
    assert "run/model.safetensors" in left(tmp_path)
    assert not (tmp_path / "run/checkpoint/checkpoint.safetensors").exists()


def test_a_full_stdout_costs_the_status_and_not_the_model(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    done = shell(f"{SHORT} --out run > /dev/full", tmp_path, warmed=True)
    assert done.status == 2
    assert done.err == "aectl: No space left on device\n"
    assert "run/model.safetensors" in left(tmp_path)


def test_training_needs_no_home_and_no_locale(tmp_path):
    done = shell(f"env -u HOME LC_ALL=C LANG=C TERM=dumb {SHORT} --out 'übung 1'", tmp_path)
    assert (done.status, done.out, done.err) == (0, "übung 1/model.safetensors\n", "")


def test_a_data_dir_may_be_relative(aectl, tmp_path, monkeypatch):
    if not MNIST.is_dir():
        pytest.skip(f"there is no MNIST in {MNIST}")
    monkeypatch.chdir(MNIST.parent)
    words = ("train", "-q", "--dataset", "mnist", "--hidden", 2, "--epochs", 1)
    done = aectl(*words, "--out", tmp_path / "run", "--data-dir", MNIST.name)
    assert (done.status, done.out) == (0, f"{tmp_path}/run/model.safetensors\n")


def test_a_file_s_name_cannot_steer_the_terminal(aectl, dense, tmp_path):
    name = "\x1b[2J\x07ü\x9b31m.png"
    (tmp_path / name).write_text("no picture")
    for words in (["encode", dense, name], ["encode", dense, "-"], ["info", name]):
        done = aectl(*words, stdin=name.encode())
        assert done.status == 2
        assert r"\x1b[2J\x07ü\x9b31m.png" in done.err
        assert all(character.isprintable() or character == "\n" for character in done.err)


def test_a_folder_whose_name_is_not_utf_8_is_trained_on(aectl, scans):
    photos = os.fsdecode(b"photos \xff")
    shutil.copytree(scans, photos)
    run = ["--epochs", 1, "--hidden", 4, "--quiet"]
    done = aectl("train", "--dataset", photos, *run, "--out", "one")
    assert (done.status, done.err) == (0, "")
    assert "file:photos%20%FF" in Path("one/config.toml").read_text()
    assert Path("one/report.html").read_text().count("photos")


@pytest.mark.parametrize("kibibytes", [1_000_000, 2_000_000])
def test_too_little_address_space_for_a_library_is_told_with_the_way_out(
    dense, tmp_path, kibibytes
):
    done = shell(f"ulimit -v {kibibytes}; aectl eval {dense} --dataset digits", tmp_path)
    assert (done.status, done.out) == (2, "")
    assert "there is not enough memory to load what this command needs" in done.err
    assert "ulimit -v" in done.err
    assert "defect" not in done.err
    assert left(tmp_path) == []
