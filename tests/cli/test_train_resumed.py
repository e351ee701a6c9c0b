"""Trainings that are cut off, and go on."""

import json
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import shell
from PIL import Image
from safetensors.numpy import load_file
from test_interruptions import DEADLINE, running, until

from aectl.cli import main
from aectl.training.checkpoint import load

TRAIN = ("train", "--dataset", "digits", "--hidden", "64,16", "--dropout", "0.1")
LONG = (*TRAIN, "--epochs", "2000", "--out", "run")
SHORT = (*TRAIN, "--epochs", "30")
OPTIONS = SHORT[3:]


def checkpoint(run: Path) -> Path:
    return run / "checkpoint" / "checkpoint.safetensors"


def weights(run: Path) -> dict[str, np.ndarray]:
    return load_file(run / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def names(folder: Path) -> set[str]:
    """The files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def stopped(tmp_path) -> Path:
    """The run folder of `SHORT`, killed after some epochs."""
    with running(*SHORT, "--out", "run", folder=tmp_path) as process:
        until(lambda: checkpoint(tmp_path / "run").exists())
        process.kill()
        process.wait(DEADLINE)
    return tmp_path / "run"


def test_a_killed_training_goes_on_to_the_weights_of_one_in_one_go(aectl, trained, stopped):
    for half in (".filters.png.123.part", "checkpoint/.checkpoint.safetensors.123.part"):
        (stopped / half).write_bytes(b"half")
    done = aectl("train", "--resume", stopped)
    assert (done.status, done.out) == (0, f"{stopped}/model.safetensors\n")
    assert "continuing after" in done.err
    whole = trained(*OPTIONS)
    assert same(stopped, whole)
    assert names(stopped) == names(whole)
    again = aectl("train", "--resume", stopped)
    assert (again.status, again.out) == (2, "")
    assert "is finished (30 epochs); --epochs N trains it longer" in again.err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_training_with_its_state_kept_and_a_word_on_how_to_go_on(
    tmp_path, number, status
):
    with running(*LONG, folder=tmp_path) as process:
        until(lambda: checkpoint(tmp_path / "run").exists())
        process.send_signal(number)
        out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == status
    assert out == b""
    assert b"epochs: aectl train --resume run continues" in err.splitlines()[-1]
    over = int(re.search(rb"saved after (\d+) of 2000 epochs", err)[1])
    assert len(load(tmp_path / "run").run.rows) == over
    assert [path.name for path in (tmp_path / "run/checkpoint").iterdir()] == [
        "checkpoint.safetensors"
    ]


def test_an_interruption_while_codes_are_computed_says_that_nothing_was_kept(aectl, tmp_path):
    words = (
        "train", "-q", "--model", "patch-autoencoder", "--dataset", "digits", "--patch-size", "3",
        "--patches", "500", "--hidden", "3000", "--epochs", "1",
    )  # fmt: skip
    assert aectl(*words, "--out", "patches").status == 0
    words = ("train", "--plain", "--encoder", "patches", "--out", "run")
    with running(*words, folder=tmp_path) as process:
        seen = b""
        while b" on 1,437 images" not in seen:
            seen += process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert err.splitlines()[-1] == b"training had not begun: nothing was kept"
    assert not (tmp_path / "run").exists()


def test_a_second_training_into_the_same_folder_is_refused(aectl, tmp_path):
    with running(*LONG, folder=tmp_path):
        until(lambda: checkpoint(tmp_path / "run").exists())
        for words in ([*LONG, "--overwrite"], ["train", "--resume", "run"]):
            done = aectl(*words)
            assert (done.status, done.out) == (2, "")
            assert "another aectl is training into run" in done.err


def test_options_that_would_make_it_another_training_are_refused(aectl, stopped):
    for words in (("--rho", "0.1"), ("--batch-size", "5"), ("--out", "b"), ("--seeds", 2)):
        done = aectl("train", "--resume", stopped, *words)
        assert done.status == 2
        assert "only --lr, --clip-grad and --epochs" in done.err
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
    assert "not those of the original training" in done.err


def test_the_seeds_that_are_left_follow(aectl, tmp_path):
    words = (*TRAIN, "--epochs", "12", "--seeds", 3)
    with running(*words, "--out", "run", folder=tmp_path) as process:
        until(lambda: checkpoint(tmp_path / "run/seed-1").exists())
        process.kill()
        process.wait(DEADLINE)
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    done = aectl("train", "--resume", "run/seed-1")
    assert done.out == "run/seed-1/model.safetensors\nrun/seed-2/model.safetensors\n"
    assert aectl("train", "--resume", "again").out == done.out.replace("run/", "again/")
    assert all(same(tmp_path / f"run/seed-{n}", tmp_path / f"again/seed-{n}") for n in range(3))
    assert aectl(*words, "-q", "--out", "whole").status == 0
    assert all(same(tmp_path / f"run/seed-{n}", tmp_path / f"whole/seed-{n}") for n in range(3))


def stop(folder, *words, where="run"):
    """Trains in `folder` until a first checkpoint is there."""
    with running(*words, folder=folder) as process:
        until(lambda: checkpoint(folder / where).exists())
        process.kill()
        process.wait(DEADLINE)


@pytest.mark.parametrize("how", [("--load",), ("--encoder",), ("--encoder", "--fine-tune")])
def test_what_training_started_from_is_not_needed_to_go_on(aectl, dense, tmp_path, how):
    option, *more = how
    words = ["train", "--dataset", "digits", option, tmp_path / "from", *more]
    words += ["--epochs", 30, *(("--hidden", 32) if option == "--encoder" else ("--stack", 3))]
    shutil.copytree(dense, tmp_path / "from")
    assert aectl(*words, "-q", "--out", "whole").status == 0
    stop(tmp_path, *words, "--out", "run")
    shutil.rmtree(tmp_path / "from")
    assert aectl("train", "-q", "--resume", "run").status == 0
    assert same(tmp_path / "run", tmp_path / "whole")


def test_what_the_loaded_model_settled_does_not_come_back(aectl, trained, tmp_path):
    sparse = trained("--epochs", "3", "--sparsity", "l1", "--beta", "0.01")
    words = ["train", "-q", "--load", sparse, "--sparsity", "none", "--epochs", "30"]
    assert aectl(*words, "--out", "whole").status == 0
    assert aectl("train", "-q", "--config", "whole/config.toml", "--out", "again").status == 0
    assert same(tmp_path / "again", tmp_path / "whole")
    stop(tmp_path, *words, "--out", "run")
    assert aectl("train", "-q", "--resume", "run").status == 0
    assert same(tmp_path / "run", tmp_path / "whole")


def test_training_goes_on_from_any_folder(aectl, scans, tmp_path, monkeypatch):
    shutil.copytree(scans, tmp_path / "set")
    words = ["train", "--dataset", "set", "--epochs", 40, "--seeds", 2]
    stop(tmp_path, *words, "--out", "run", where="run/seed-0")
    assert aectl(*words, "-q", "--out", "whole").status == 0
    monkeypatch.chdir(tmp_path / "run/seed-0")
    assert main_in_this_folder("train", "-q", "--resume", ".") == 0
    for seed in ("seed-0", "seed-1"):
        assert same(tmp_path / "run" / seed, tmp_path / "whole" / seed)
    assert not (tmp_path / "run/seed-0/seed-1").exists()


def main_in_this_folder(*words):
    before = sys.argv
    sys.argv = ["aectl", *words]
    try:
        return main()
    finally:
        sys.argv = before


def test_a_run_folder_that_is_none_is_told(aectl, tmp_path):
    assert "there is no run folder nowhere" in aectl("train", "--resume", "nowhere").err
    stop(tmp_path, *SHORT, "--out", "run/one", where="run/one")
    done = aectl("train", "--resume", "run")
    assert done.status == 2
    assert "run/one can go on" in done.err


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    start = "trap '' INT; aectl train -q --dataset digits --hidden 4 --epochs 150 --out run"
    early = "kill -0 $! && [ ! -e run/checkpoint/checkpoint.safetensors ]"
    script = f"{start} & while {early}; do sleep 0.1; done; kill -INT $! && wait $!"
    done = shell(script, tmp_path)
    assert (done.status, done.out) == (0, "run/model.safetensors\n")


def test_a_training_that_diverged_goes_on_with_a_smaller_rate(aectl, tmp_path):
    words = [
        "train", "-q", "--dataset", "digits", "--optimizer", "sgd", "--output-activation", "linear",
        "--lr", "5", "--warmup", "0.9", "--epochs", "10", "--batch-size", "16", "--out", "run",
    ]  # fmt: skip
    done = aectl(*words)
    assert done.status == 2
    assert "training diverged" in done.err
    assert "aectl train --resume run --lr X continues" in done.err
    over = re.search(r"saved after (\d+ of) (10 epochs)", done.err)
    assert how_far(aectl, "run") == f"{over[1]} {over[2]}"
    assert all(np.isfinite(value).all() for value in weights(tmp_path / "run").values())
    assert aectl("train", "-q", "--resume", "run", "--lr", "0.01").status == 0
    assert all(np.isfinite(value).all() for value in weights(tmp_path / "run").values())
    assert how_far(aectl, "run") is None


def test_weights_that_a_last_step_made_useless_are_not_said_to_continue(aectl, tmp_path):
    done = aectl(
        "train", "-q", "--dataset", "digits", "--optimizer", "sgd", "--output-activation", "linear",
        "--lr", "1e24", "--batch-size", "2000", "--warmup", "0", "--epochs", "3", "--out", "run",
    )  # fmt: skip
    assert done.status == 2
    assert "at step 1 of epoch 2" in done.err
    assert "after 1 of 3 epochs, but the loss of its weights is not finite: train anew" in done.err
    assert "continues" not in done.err
    resumed = aectl("train", "-q", "--resume", "run", "--lr", "1e-9")
    assert resumed.status == 2
    assert "train anew" in resumed.err


def how_far(aectl, run):
    """What the model of a run says of a training that is not over."""
    return json.loads(aectl("info", "--json", run).out)["training"].get("unfinished")


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
    assert re.search(rb"cannot write run/(checkpoint|model|config|metrics)", err)
    assert b"Traceback" not in err


def test_the_log_of_a_run_names_data_device_time_and_versions(aectl, trained, tmp_path):
    run = trained(*OPTIONS)
    said = json.loads(aectl("info", "--json", run).out)["training"]
    assert said["device"] == "cpu"
    assert said["threads"] == 1
    assert len(said["data_sha256"]) == 64
    assert said["finished"].endswith("+00:00")
    log = (run / "config.toml").read_text()
    assert f"# data_sha256: {said['data_sha256']}" in log
    assert f"torch {said['versions']['torch']}" in log
    assert aectl("train", "-q", "--config", run / "config.toml", "--out", "again").status == 0
    assert same(run, tmp_path / "again")
