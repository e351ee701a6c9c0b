"""Several runs on the same vectors: of seeds, and of values of options."""

import signal
import sys

import numpy as np
import pytest
import warm
from test_interruptions import DEADLINE, running, until
from test_train_resumed import checkpoint, same

import aectl as package
from aectl.models.model_file import read_card

ROWS = np.random.default_rng(0).standard_normal((3000, 6)).astype("f4")
TRAIN = ("train", "--dataset", "rows.npy", "--hidden", "9", "--sparsity", "topk",
         "--dropout", "0.1", "--scale", "standard", "--validation", "0.1", "-q")  # fmt: skip
STORED = {"in memory": (), "on disk": ("--shuffle-buffer", "640")}

stored = pytest.mark.parametrize("how", STORED.values(), ids=STORED)


@pytest.fixture(autouse=True)
def rows(tmp_path):
    """The file of vectors, in the present folder."""
    np.save(tmp_path / "rows.npy", ROWS)


@stored
def test_each_run_is_what_it_is_alone(aectl, tmp_path, how):
    done = aectl(*TRAIN, *how, "--k", "2,4", "--seeds", "2", "--epochs", "3", "--out", "all")
    names = [f"k-{k}-seed-{seed}" for k in (2, 4) for seed in (0, 1)]
    assert (done.status, done.err) == (0, "")
    assert sorted(done.out.splitlines()) == [f"all/{name}/model.safetensors" for name in names]
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == names
    for name in names:
        _, k, _, seed = name.split("-")
        alone = (*TRAIN, *how, "--k", k, "--seed", seed, "--epochs", "3", "--out", name)
        assert aectl(*alone).status == 0
        assert same(tmp_path / "all" / name, tmp_path / name)
        said = [read_card(one / name).training["command"] for one in (tmp_path / "all", tmp_path)]
        assert sorted(said[0].split()) == sorted(said[1].split())
        for file in ("config.toml", "metrics.csv", "report.html"):
            assert (tmp_path / "all" / name / file).is_file()


@stored
def test_each_run_is_named_where_it_begins(aectl, how):
    done = aectl(*TRAIN[:-1], *how, "--k", "2,4", "--epochs", "1", "--out", "all")
    begun = [line for line in done.err.splitlines() if "autoencoder (9) on" in line]
    assert [line.partition(":")[0] for line in begun] == ["k-2", "k-4"]


@stored
def test_runs_that_were_killed_go_on_together_with_those_that_had_not_begun(aectl, tmp_path, how):
    train = (*TRAIN, *how, "--k", "2,4,3", "--epochs", "2")
    with running(*train, "--batch-size", "8", "--out", "all", folder=tmp_path) as process:
        until(checkpoint(tmp_path / "all/k-2").exists)
        process.kill()
        process.wait(DEADLINE)
    done = aectl("train", "--resume", "all", "--plain")
    assert done.status == 0
    assert "k-2: continuing after " in done.err
    assert aectl(*train, "--batch-size", "8", "--out", "whole").status == 0
    for name in ("k-2", "k-4", "k-3"):
        assert same(tmp_path / "all" / name, tmp_path / "whole" / name)
    asked = read_card(tmp_path / "all/k-3").training["command"]
    assert asked == read_card(tmp_path / "whole/k-3").training["command"]
    again = aectl("train", "--resume", "all")
    assert (again.status, again.out) == (2, "")
    assert "all holds several finished trainings" in again.err


@pytest.mark.parametrize(
    ("number", "status", "together"), [(signal.SIGINT, 130, True), (signal.SIGTERM, 143, False)]
)
def test_a_signal_keeps_the_state_of_every_run_of_a_pass(aectl, tmp_path, number, status, together):
    train = (*TRAIN, *STORED["on disk"], "--batch-size", "8", "--epochs", "3", "--lr", "0.01,0.001")
    names = ["lr-0.01", "lr-0.001"]
    with running(*train, "--out", "all", folder=tmp_path) as process:
        until(checkpoint(tmp_path / "all/lr-0.001").exists)
        process.send_signal(number)
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == status
    told = [f"of 3 epochs: aectl train --resume all/{name} continues" for name in names]
    lines = err.decode().splitlines()[-2:]
    assert all(said in line for said, line in zip(told, lines, strict=True))
    if together:
        assert aectl("train", "--resume", "all", "-q").status == 0
    else:
        models = [str(package.train(resume=f"all/{name}").model) for name in names]
        assert models == [f"all/{name}/model.safetensors" for name in names]
    assert aectl(*train, "--out", "whole").status == 0
    assert all(same(tmp_path / "all" / name, tmp_path / "whole" / name) for name in names)


READ = """
from aectl.cli import main
assert main() == 0
for line in open("/proc/self/io"):
    if line.startswith(("rchar", "syscr")):
        print(line.split()[1])
"""
"""Runs a command, and prints how many bytes it has read by calls to the system, and by how many."""


def read(folder, *train):
    """The bytes that a training reads, and its calls for them."""
    count, calls = warm.python(READ, *train, folder=folder).split()[-2:]
    return int(count), int(calls)


@pytest.mark.skipif(sys.platform != "linux", reason="the system counts what is read")
def test_several_runs_read_the_file_as_often_as_one(tmp_path):
    wide = np.random.default_rng(0).standard_normal((40_000, 100)).astype("f4")
    np.save(tmp_path / "rows.npy", wide)

    train = (*TRAIN[:-3], "--validation", "0.05", "-q", "--shuffle-buffer", "4000",
             "--batch-size", "500", "--epochs", "2")  # fmt: skip
    one, _ = read(tmp_path, *train, "--k", "2", "--out", "one")
    three, _ = read(tmp_path, *train, "--k", "2,3,4", "--out", "three")
    assert 3 * wide.nbytes < one < three < one + 1.5 * wide.nbytes


@pytest.mark.skipif(sys.platform != "linux", reason="the system counts what is read")
def test_no_vectors_are_read_one_by_one(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((300_000, 2), "f4"))
    train = ("train", "--dataset", "rows.npy", "--hidden", "1", "--batch-size", "10000",
             "--epochs", "1", "-q", "--shuffle-buffer", "100000", "--out", "m")  # fmt: skip
    _, calls = read(tmp_path, *train)
    assert calls < 20_000


@stored
def test_a_run_that_diverges_does_not_end_the_others(aectl, tmp_path, how):
    train = ("train", "--dataset", "rows.npy", "--optimizer", "sgd", "--epochs", "2", *how, "-q")
    done = aectl(*train, "--lr", "1e30,0.01", "--out", "all")
    assert (done.status, done.out) == (2, "all/lr-0.01/model.safetensors\n")
    assert "training diverged" in done.err
    assert "this ended the training of all/lr-1e+30; the other runs are complete" in done.err
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["lr-0.01"]
    assert aectl(*train, "--lr", "0.01", "--out", "alone").status == 0
    assert same(tmp_path / "all/lr-0.01", tmp_path / "alone")


@stored
def test_runs_are_told_apart_and_compared(aectl, how):
    words = [word for word in TRAIN if word != "-q"]
    done = aectl(*words, *how, "--k", "2,4", "--epochs", "2", "--out", "all")
    *_, head, first, second, after = done.err.splitlines()
    assert head.split()[:2] == ["loss", "validation_loss"]
    assert [line.split()[0] for line in (first, second)] == ["k-2", "k-4"]
    assert len(head.split()) == len(first.split()) - 1 == len(second.split()) - 1
    assert after == "next: aectl eval all/k-* --report all/report.html"
    if how:
        lines = [line.partition(": ")[::2] for line in done.err.splitlines()]
        epochs = [(name, said.split("  ")[0]) for name, said in lines if "epoch " in said]
        assert epochs == [(k, f"epoch {n}/2") for n in (1, 2) for k in ("k-2", "k-4")]
