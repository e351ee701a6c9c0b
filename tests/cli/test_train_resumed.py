"""Trainings that are cut off, and go on."""

import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from test_interruptions import DEADLINE, running, until

TRAIN = ("train", "--dataset", "digits", "--hidden", "64,16", "--dropout", "0.1")
LONG = (*TRAIN, "--epochs", "2000", "--out", "run")
SHORT = (*TRAIN, "--epochs", "30")


def checkpoint(run: Path) -> Path:
    return run / "checkpoint" / "checkpoint.safetensors"


def weights(run: Path) -> dict[str, np.ndarray]:
    return load_file(run / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.fixture
def stopped(tmp_path) -> Path:
    """The run folder of `SHORT`, killed after some epochs."""
    with running(*SHORT, "--out", "run", folder=tmp_path) as process:
        until(lambda: checkpoint(tmp_path / "run").exists())
        process.kill()
        process.wait(DEADLINE)
    return tmp_path / "run"


def test_a_killed_training_goes_on_to_the_weights_of_one_in_one_go(aectl, stopped, tmp_path):
    assert [path.name for path in stopped.iterdir()] == ["checkpoint"]
    (stopped / ".filters.png.123.part").write_bytes(b"half")
    done = aectl("train", "--resume", stopped)
    assert (done.status, done.out) == (0, f"{stopped}/model.safetensors\n")
    assert "going on after" in done.err
    assert aectl(*SHORT, "-q", "--out", "whole").status == 0
    assert same(stopped, tmp_path / "whole")
    assert {p.name for p in stopped.iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}
    again = aectl("train", "--resume", stopped)
    assert (again.status, again.out) == (2, "")
    assert "holds no checkpoint" in again.err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_training_with_its_state_kept_and_a_word_on_how_to_go_on(
    tmp_path, number, status
):
    with running(*LONG, folder=tmp_path) as process:
        until(lambda: checkpoint(tmp_path / "run").exists())
        before = checkpoint(tmp_path / "run").stat().st_mtime_ns
        process.send_signal(number)
        out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == status
    assert out == b""
    assert b"epochs over: aectl train --resume run goes on" in err.splitlines()[-1]
    assert checkpoint(tmp_path / "run").stat().st_mtime_ns != before
    assert [path.name for path in (tmp_path / "run/checkpoint").iterdir()] == [
        "checkpoint.safetensors"
    ]


def test_a_second_training_into_the_same_folder_is_refused(aectl, tmp_path):
    with running(*LONG, folder=tmp_path):
        until(lambda: checkpoint(tmp_path / "run").exists())
        for words in ([*LONG, "--overwrite"], ["train", "--resume", "run"]):
            done = aectl(*words)
            assert (done.status, done.out) == (2, "")
            assert "another aectl is training into run" in done.err
    assert aectl("info", "run").status == 2


def test_options_that_would_make_it_another_training_are_refused(aectl, stopped):
    for words in (("--rho", "0.1"), ("--epochs", "5"), ("--out", "b"), ("--seeds", 2)):
        done = aectl("train", "--resume", stopped, *words)
        assert done.status == 2
        assert "only --lr and --clip-grad" in done.err
    assert checkpoint(stopped).exists()


def test_training_does_not_go_on_with_other_images(aectl, scans, tmp_path):
    shutil.copytree(scans, tmp_path / "set")
    words = ("train", "--dataset", "set", "--epochs", 5000, "--out", "run")
    with running(*words, folder=tmp_path) as process:
        until(lambda: checkpoint(tmp_path / "run").exists())
        process.kill()
    Image.new("L", (8, 8), 77).save(tmp_path / "set" / "000.png")
    done = aectl("train", "--resume", "run")
    assert done.status == 2
    assert "not those that training began with" in done.err


def test_the_seeds_that_are_left_follow(aectl, tmp_path):
    words = (*SHORT, "--seeds", 3)
    with running(*words, "--out", "run", folder=tmp_path) as process:
        until(lambda: checkpoint(tmp_path / "run/seed-1").exists())
        process.kill()
        process.wait(DEADLINE)
    done = aectl("train", "--resume", "run/seed-1")
    assert done.out == "run/seed-1/model.safetensors\nrun/seed-2/model.safetensors\n"
    assert aectl(*words, "-q", "--out", "whole").status == 0
    assert all(same(tmp_path / f"run/seed-{n}", tmp_path / f"whole/seed-{n}") for n in range(3))


def test_a_training_that_diverged_goes_on_with_a_smaller_rate(aectl, tmp_path):
    words = [
        "train", "-q", "--dataset", "digits", "--optimizer", "sgd", "--output-activation", "linear",
        "--lr", "5", "--warmup", "0.9", "--epochs", "200", "--out", "run",
    ]  # fmt: skip
    done = aectl(*words)
    assert done.status == 2
    assert "training diverged" in done.err
    assert "aectl train --resume run --lr X goes on" in done.err
    assert not (tmp_path / "run/model.safetensors").exists()
    assert aectl("train", "-q", "--resume", "run", "--lr", "0.01").status == 0
    assert all(np.isfinite(value).all() for value in weights(tmp_path / "run").values())


def test_a_training_that_diverges_at_once_leaves_nothing(aectl, tmp_path):
    done = aectl("train", "--dataset", "digits", "--optimizer", "sgd", "--lr", "1e30", "--out", "r")
    assert done.status == 2
    assert "of epoch 1" in done.err
    assert not (tmp_path / "r").exists()


def test_a_run_folder_that_is_deleted_while_training_is_told(tmp_path):
    with running(*LONG, folder=tmp_path) as process:
        until(lambda: checkpoint(tmp_path / "run").exists())
        time.sleep(0.2)
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (2, b"")
    assert b"cannot write run/checkpoint" in err
    assert b"Traceback" not in err


def test_the_log_of_a_run_names_data_device_time_and_versions(aectl, tmp_path):
    assert aectl(*SHORT, "-q", "--out", "run").status == 0
    said = json.loads(aectl("info", "--json", "run").out)["training"]
    assert said["device"] == "cpu"
    assert said["threads"] == 1
    assert len(said["data_sha256"]) == 64
    assert said["finished"].endswith("+00:00")
    log = (tmp_path / "run/config.toml").read_text()
    assert f"# data_sha256: {said['data_sha256']}" in log
    assert f"torch {said['versions']['torch']}" in log
    assert aectl("train", "-q", "--config", "run/config.toml", "--out", "again").status == 0
    assert same(tmp_path / "run", tmp_path / "again")
