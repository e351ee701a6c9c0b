"""Run folders of trainings that are not over, are trained longer, or were tampered with."""

import csv
import json
import os
import shutil
import signal
import threading
import time
import tomllib

import numpy as np
import pytest
import tomli_w
from test_train_resumed import names, same, weights

TRAIN = ("train", "--dataset", "digits", "--hidden", "8", "--schedule", "constant", "--warmup", 0)


def interrupted(aectl, run, *words):
    """Trains until Ctrl-C, as soon as a model stands in the run folder; returns its epochs."""

    def interrupt():
        while not (run / "metrics.csv").exists():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    done = aectl(*TRAIN, "--epochs", 3000, "--out", run, *words)
    watcher.join()
    assert done.status == 130
    said = json.loads(aectl("info", "--json", run).out)["training"]
    return int(said["unfinished"].removesuffix(" of 3000 epochs"))


def figures(run):
    """The rows of `metrics.csv` without the times."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if "second" not in k} for row in rows]


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Finished runs of three and of four epochs, not to be changed."""
    made = {}

    def run(aectl, epochs):
        if epochs not in made:
            made[epochs] = tmp_path_factory.mktemp("short") / "run"
            assert aectl(*TRAIN, "-q", "--epochs", epochs, "--out", made[epochs]).status == 0
        return made[epochs]

    return run


@pytest.fixture
def three(aectl, short, tmp_path):
    """A copy of a finished run of three epochs."""
    return shutil.copytree(short(aectl, 3), tmp_path / "three")


@pytest.mark.parametrize("keep", [(), ("--validation", "0.2", "--keep", "best")])
def test_an_interrupted_run_has_the_model_of_its_last_whole_epoch(aectl, tmp_path, keep):
    epochs = interrupted(aectl, tmp_path / "run", *keep)
    assert aectl("eval", "run").status == 0
    assert aectl(*TRAIN, "-q", "--epochs", epochs, "--out", "whole", *keep).status == 0
    made, wanted = weights(tmp_path / "run"), weights(tmp_path / "whole")
    calibration = wanted.keys() - made.keys()
    assert all(name.startswith("calibration.") for name in calibration)
    assert bool(calibration) == bool(keep), "only a whole run is calibrated"
    assert all(np.array_equal(made[name], wanted[name]) for name in made)
    assert figures(tmp_path / "run") == figures(tmp_path / "whole")


def test_before_the_first_epoch_is_over_that_there_is_no_model_is_told_with_what_goes_on(
    aectl, tmp_path
):
    (tmp_path / "run" / "checkpoint").mkdir(parents=True)
    done = aectl("eval", "run")
    assert done.status == 2
    assert "run holds no model.safetensors yet; aectl train --resume run continues" in done.err


def test_a_finished_run_is_trained_longer_to_the_weights_of_one_in_one_go(aectl, three, short):
    done = aectl("train", "--resume", three, "--epochs", 4)
    assert done.status == 0
    told = "after 3 of 4 epochs: the constant schedule is that of 4 epochs, and the learning rate"
    assert f"{told} continues at 0.003" in done.err
    assert same(three, short(aectl, 4))
    assert figures(three) == figures(short(aectl, 4))
    said = json.loads(aectl("info", "--json", three).out)["training"]
    assert said["continued"] == ["after 3 epochs: --epochs 4"]
    assert said["options"]["epochs"] == 4
    assert names(three) == names(short(aectl, 4))


def test_the_cosine_schedule_goes_on_as_that_of_all_epochs(aectl, tmp_path):
    words = ("train", "--dataset", "digits", "--hidden", 8, "--warmup", 0, "--epochs", 2)
    assert aectl(*words, "-q", "--out", "run").status == 0
    done = aectl("train", "--resume", "run", "--epochs", 8)
    expected = 0.003 * (1 + np.cos(np.pi * 2 / 8)) / 2
    course = "the cosine schedule is that of 8 epochs, and the learning rate continues at"
    assert f"{course} {expected:.3g}" in done.err
    rates = [float(row["lr"]) for row in figures(tmp_path / "run")]
    wanted = 0.003 * (1 + np.cos(np.pi * np.arange(2, 8) / 8)) / 2
    np.testing.assert_allclose(rates[2:], wanted, rtol=1e-9)


def test_an_interrupted_run_may_be_given_more_or_fewer_epochs(aectl, tmp_path):
    epochs = interrupted(aectl, tmp_path / "run")
    done = aectl("train", "--resume", "run", "--epochs", epochs + 3)
    assert done.status == 0
    assert len(figures(tmp_path / "run")) == epochs + 3
    assert aectl(*TRAIN, "-q", "--epochs", epochs + 3, "--out", "whole").status == 0
    assert same(tmp_path / "run", tmp_path / "whole")


def test_the_best_weights_are_those_of_all_epochs(aectl, tmp_path):
    words = (*TRAIN, "-q", "--validation", "0.2", "--keep", "best", "--lr", "0.05")
    assert aectl(*words, "--epochs", 3, "--out", "run").status == 0
    assert aectl("train", "-q", "--resume", "run", "--epochs", 6).status == 0
    assert aectl(*words, "--epochs", 6, "--out", "whole").status == 0
    assert same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "three is finished (3 epochs); --epochs N trains it longer"),
        (("--lr", "0.1"), "three is finished (3 epochs); --epochs N trains it longer"),
        (("--epochs", 3), "--epochs 3 must be more than the 3 completed epochs"),
        (("--epochs", 2), "--epochs 2 must be more than the 3 completed epochs"),
    ],
)
def test_what_leaves_nothing_to_train_is_refused(aectl, three, words, told):
    before = (three / "model.safetensors").read_bytes()
    done = aectl("train", "--resume", three, *words)
    assert done.status == 2
    assert told in done.err
    assert (three / "model.safetensors").read_bytes() == before


def test_without_the_state_a_new_training_from_the_weights_is_named(aectl, three):
    shutil.rmtree(three / "checkpoint")
    done = aectl("train", "--resume", three, "--epochs", 6)
    assert done.status == 2
    assert "has no checkpoint to continue from; --load starts a new training" in done.err


def test_of_several_seeds_one_is_trained_longer(aectl, tmp_path):
    words = (*TRAIN, "-q", "--epochs", 1, "--seeds", 2)
    assert aectl(*words, "--out", "run").status == 0
    assert "--resume takes the folder of one" in aectl("train", "--resume", "run").err
    done = aectl("train", "--resume", "run/seed-0", "--epochs", 2)
    assert done.out == "run/seed-0/model.safetensors\n"
    assert [len(figures(tmp_path / "run" / f"seed-{n}")) for n in (0, 1)] == [2, 1]


@pytest.mark.parametrize(
    "other",
    [{"hidden": [9]}, {"seed": 1}, {"sparsity": "l1"}, {"dataset": "digits:test"}],
    ids=lambda options: next(iter(options)),
)
def test_a_config_of_another_run_is_told_apart(aectl, three, other):
    config = tomllib.loads((three / "config.toml").read_text())
    (three / "config.toml").write_text(tomli_w.dumps({**config, **other}))
    done = aectl("train", "--resume", three, "--epochs", 4)
    assert done.status == 2
    assert "are of different runs" in done.err
    assert "to continue from the checkpoint, remove config.toml" in done.err


def test_a_checkpoint_of_another_run_is_told_apart(aectl, three, tmp_path):
    words = ("train", "-q", "--dataset", "digits", "--hidden", 8, "--epochs", 1, "--out", "other")
    assert aectl(*words).status == 0
    shutil.copytree(tmp_path / "other/checkpoint", three / "checkpoint", dirs_exist_ok=True)
    done = aectl("train", "--resume", three, "--epochs", 4)
    assert done.status == 2
    assert "are of different runs: --schedule is constant and cosine" in done.err


def test_a_config_that_is_none_is_told_with_the_way_out(aectl, three):
    (three / "config.toml").write_text("\x00rubbish")
    done = aectl("train", "--resume", three, "--epochs", 6)
    assert done.status == 2
    assert "is not a TOML file" in done.err
    assert "remove it to continue" in done.err


def places(path):
    """A bit of each kind in a checkpoint: of its length, the JSON, the digest, every tensor."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    begins = [v["data_offsets"][0] for k, v in header.items() if k != "__metadata__"]
    words = [b'"dtype"', b"data_offsets", b"seconds", b"cwd", b"device", b"sha256", b'"step\\"']
    return [3, *(content.index(word) + 2 for word in words), *(8 + length + b for b in begins)]


def test_a_flipped_bit_anywhere_is_refused_in_a_line(aectl, three):
    path = three / "checkpoint" / "finished.safetensors"
    sound = path.read_bytes()
    found = places(path)
    assert len(found) > 20
    for place in found:
        damaged = bytearray(sound)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        done = aectl("train", "--resume", three, "--epochs", 4)
        assert done.status == 2
        assert len(done.err.splitlines()) == 1
        assert "is damaged" in done.err or "not a checkpoint of aectl" in done.err


def test_files_of_the_user_s_own_stay(aectl, tmp_path):
    run = tmp_path / "run"
    mine = (
        ".movie.mkv.part", ".model.safetensors.part", ".model.safetensors.x.part", ".12.part",
        ".config.toml.012.part", "checkpoint/mine.bin", "checkpoint/.movie.mkv.part", "seed-0/a",
        "checkpoint/.mine.safetensors.12.part",
    )  # fmt: skip
    ours = (".model.safetensors.12.part", "checkpoint/.checkpoint.safetensors.12.part")
    for name in (*mine, *ours):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    for words in ((*TRAIN, "--epochs", 1, "--out", "run", "--overwrite"),
                  ("train", "--resume", "run", "--epochs", 2)):  # fmt: skip
        assert aectl(*words, "-q").status == 0
        assert all((run / name).read_text() == name for name in mine)
        assert not any((run / name).exists() for name in ours)
        for name in ours:
            (run / name).write_text(name)
