"""Two processes, which torchrun starts, train the model that one process trains."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
import together
import torch
import warm
from conftest import LINES, on_all_cores, shell
from safetensors import safe_open
from safetensors.torch import load_file

from aectl.training import memory
from aectl.verbs import machine

RTOL, DEADLINE = 1e-5, 600.0
ROUNDED = 0.03
"""In bfloat16: the gradients of both processes are rounded to 8 bits before they are added."""

TURNED = 1e-3
"""With moments in bfloat16: a last bit of a gradient decides which way a moment is rounded."""

PAIR = ["python", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

DENSE = {"dataset": ["digits"], "hidden": [32], "batch_size": 100, "epochs": 3}
"""45 steps, of which three have 18 and 19 rows in the two processes."""

SOME_DEAD = {**DENSE, "hidden": [200], "lr": 0.02, "batch_size": 400, "epochs": 9}
"""Units are inactive for more than the 10,000 images after which they are dead."""

FEW = {"dataset": ["digits:test"], "batch_size": 50, "epochs": 5}
SLOWLY_MEASURED = {"batch_size": 9, "epochs": 2}
VECTORS = {"dataset": ["vectors.csv"], "batch_size": 100, "epochs": 4, "hidden": [32]}
TEXT = {
    "dataset": ["lines.txt"], "model": "text-autoencoder", "hidden": [24], "vocabulary": 300,
    "batch_size": 16, "epochs": 3,
}  # fmt: skip

CASES = {
    "none": DENSE,
    "kl": {**DENSE, "sparsity": "kl"},
    "kl of two layers": {**DENSE, "sparsity": "kl", "hidden": [40, 20], "loss": "bce"},
    "l1": {**SOME_DEAD, "sparsity": "l1", "beta": 0.5, "revive": 0.01},
    "p-annealing": {**DENSE, "sparsity": "l1", "p_end": 0.7},
    "topk": {**SOME_DEAD, "sparsity": "topk", "k": 2, "aux_k": 4},
    "batch-topk": {**SOME_DEAD, "sparsity": "batch-topk", "k": 2, "revive": 0.01},
    "jumprelu": {**SOME_DEAD, "sparsity": "jumprelu", "aux_k": 3},
    "gated": {**DENSE, "sparsity": "gated"},
    "wta": {**DENSE, "sparsity": "wta"},
    "omp-1": {**DENSE, "sparsity": "omp-1"},
    "random": {
        **DENSE, "noise": "masking", "dropout": 0.2, "input_dropout": 0.1, "shift": 1, "flip": True,
    },
    "regularised": {
        **DENSE, "contractive": 0.01, "weight_decay": 0.01, "clip_grad": 1.0, "optimizer": "adamw",
    },
    "one row left": {**DENSE, "batch_size": 359, "epochs": 8, "validation": 0},
    "classifier": {**DENSE, "model": "classifier", "dropout": 0.2, "flip": True},
    "conv": {
        **FEW, "model": "conv-autoencoder", "hidden": [8, 16], "sparsity": "batch-topk", "k": 3,
    },
    "crops": {**FEW, "model": "conv-autoencoder", "hidden": [8, 16], "crop": [4, 8]},
    "conv-wta": {**FEW, **SLOWLY_MEASURED, "model": "conv-wta-autoencoder", "hidden": [8, 8]},
    "patches": {
        **FEW, **SLOWLY_MEASURED, "model": "patch-autoencoder", "patches": 600, "sparsity": "none",
    },
    "vectors": {**VECTORS, "sparsity": "batch-topk", "k": 3},
    "labelled vectors": {**VECTORS, "model": "classifier", "label_column": "label"},
    "text": {**TEXT, "bottleneck": "vector", "hidden": [24, 16], "swap": 0.1},
    "words": {**TEXT, "bottleneck": "words", "choice": "random", "lm_epochs": 2},
    "best": {**DENSE, "epochs": 5, "keep": "best", "validation": 0.2, "noise": "gaussian"},
    "state in bf16": {**DENSE, "optimizer_state": "bf16", "noise": "masking"},
    "dense in bf16": {**DENSE, "precision": "bf16"},
    "topk in bf16": {**DENSE, "precision": "bf16", "sparsity": "topk", "k": 2, "aux_k": 4},
    "conv in bf16": {**FEW, "precision": "bf16", "model": "conv-autoencoder", "hidden": [8, 16]},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of all cases, trained by one pair of processes, and their data."""
    made = write_data(tmp_path_factory.mktemp("together"))
    (made / "cases.json").write_text(json.dumps(CASES))
    training = Pair(made, together.__file__, "cases.json", ".")
    assert training.end()[1] == ""
    assert training.launcher.returncode == 0
    return made


BY_SOCKETS = ["batch-topk", "classifier"]
"""Cases with all kinds of exchange: sums, tensors of all, and the least values."""


def test_processes_of_several_machines_train_the_model_of_one(folder):
    """They share no memory. These are of one machine, and are told that each has its own."""
    (folder / "few.json").write_text(json.dumps({name: CASES[name] for name in BY_SOCKETS}))
    (folder / "apart").mkdir()
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    machines = (
        f"WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 MASTER_ADDR=localhost MASTER_PORT={port}"
    )
    settings = os.environ | dict(one.split("=") for one in machines.split())
    words = ["python", together.__file__, "few.json", "apart"]
    with (folder / "said").open("w") as said, on_all_cores():
        streams = (None, said.fileno(), said.fileno())
        both = [
            warm.Process(words, str(folder), settings | {"RANK": str(rank)}, streams)
            for rank in range(2)
        ]
    assert [one.wait(DEADLINE) for one in both] == [0, 0], (folder / "said").read_text()
    for name in BY_SOCKETS:
        files = (folder / place / f"{name}.safetensors" for place in ("apart", "."))
        close(*map(load_file, files))


def write_data(made):
    """The files that cases learn from; gives their folder."""
    (made / "lines.txt").write_text("\n".join(LINES) + "\n")
    values = torch.randn(440, 12, generator=torch.Generator().manual_seed(0)).tolist()
    rows = [[*row, "ab"[row[0] > row[1]]] for row in values]
    header = [*(f"x{column}" for column in range(12)), "label"]
    table = "\n".join(",".join(map(str, row)) for row in [header, *rows])
    (made / "vectors.csv").write_text(table + "\n")
    return made


@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_the_model_of_one(folder, name, monkeypatch):
    monkeypatch.chdir(folder)
    path = folder / f"{name}.safetensors"
    with safe_open(path, "pt") as file:
        found = json.loads(file.metadata()["rows"])
    state, rows = together.trained(CASES[name])
    rounded = {"precision": ROUNDED, "optimizer_state": TURNED}
    tolerance = max(rounded.get(option, RTOL) for option in CASES[name])
    close(load_file(path), state, tolerance)
    for row, expected in zip(found, rows, strict=True):
        assert row.keys() == expected.keys()
        for column in (one for one in row if "second" not in one and tolerance == RTOL):
            assert row[column] == pytest.approx(expected[column], rel=1e-4, abs=1e-6), column
    dead = [row["train_dead"] for row in rows[-2:]] if "revive" in CASES[name] else []
    assert all(dead), "the loss that reactivates units needs dead ones"


def close(found, expected, rtol=RTOL):
    """All weights together differ by a small fraction of their length."""
    assert found.keys() == expected.keys()
    apart, length = (
        torch.cat([(change(name)).double().flatten() for name in expected]).norm()
        for change in (lambda name: found[name] - expected[name], expected.__getitem__)
    )
    assert apart <= rtol * length


def until(reached):
    """Waits until something holds; fails where it never does."""
    end = time.monotonic() + DEADLINE
    while not reached():
        assert time.monotonic() < end, "this took too long"
        time.sleep(0.05)


class Pair:
    """A program, with its words, in two processes that torchrun starts.

    A test has one core, on which each of them would wait for the other."""

    def __init__(self, folder, *words, looks_every=0.1):
        """`looks_every`: seconds, after which torchrun ends the others if one is lost."""
        settings = {**os.environ, "PYTHON_EXEC": str(warm.scripts() / "python")}
        self.files = [folder / "out", folder / "err"]
        with self.files[0].open("w") as out, self.files[1].open("w") as err, on_all_cores():
            streams = (None, out.fileno(), err.fileno())
            command = [*PAIR, "--monitor-interval", str(looks_every), *map(str, words)]
            self.launcher = warm.Process(command, str(folder), settings, streams)

    def ranks(self):
        """The process numbers, that of the first one first."""
        tasks = Path(f"/proc/{self.launcher.pid}/task").iterdir()
        return sorted(int(one) for task in tasks for one in (task / "children").read_text().split())

    def end(self):
        """stdout, and stderr without the lines of torchrun."""
        self.launcher.wait(DEADLINE)
        return [path.read_text() for path in self.files]

    def close(self):
        self.launcher.kill()
        self.launcher.wait()


@pytest.fixture
def pair(tmp_path):
    begun = []

    def begin(*arguments, **looks):
        begun.append(Pair(tmp_path, "-m", "aectl", "train", *arguments, **looks))
        return begun[-1]

    yield begin
    for one in begun:
        one.close()


def epochs_of(run):
    """The epochs of which the metrics are written."""
    path = run / "metrics.csv"
    return len(path.read_text().splitlines()) - 1 if path.is_file() else 0


def test_processes_that_end_or_are_killed_leave_what_one_can_go_on_from(aectl, pair, tmp_path):
    run, options = tmp_path / "run", ["--schedule", "constant", "--warmup", "0", "--threads", "1"]
    options += ["--dataset", "digits", "--hidden", "16", "--batch-size", "500"]
    first = pair(*options, "--epochs", 5000, "--out", "run")
    until(lambda: epochs_of(run) >= 2)
    ranks = first.ranks()
    for number in (*ranks, first.launcher.pid):  # as a scheduler does, and torchrun again
        os.kill(number, signal.SIGTERM)
    out, err = first.end()
    assert out == ""
    assert err.count("aectl: terminated\n") == err.count("aectl train --resume run continues") == 1
    assert err.count("loss ") == err.count("epoch ")
    saved = epochs_of(run)

    second = pair("--resume", "run", looks_every=5)  # later than the other process notices
    until(lambda: epochs_of(run) >= saved + 2)
    os.kill(second.ranks()[1], signal.SIGKILL)
    out, err = second.end()
    assert (out, err.count("aectl: another process of this training has ended")) == ("", 1)
    assert second.launcher.returncode == 1
    done = epochs_of(run)

    rest = aectl("train", "--resume", run, "--epochs", done + 5, "--plain")
    assert rest.status == 0
    assert "started with 2 processes and continues with 1" in rest.err
    whole = aectl("train", *options, "--epochs", done + 5, "--out", "whole")
    assert whole.status == 0
    close(*(load_file(folder / "model.safetensors") for folder in (run, tmp_path / "whole")))


REFUSED = {
    "--optimizer lbfgs": "--optimizer lbfgs",
    "--compile": "--compile",
    "--stack 2 --hidden 16,8": "--stack",
    "--seeds 2": "--seeds",
    "--dataset -": "--dataset -",
}
OF_FIRST = "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=1"


@pytest.mark.parametrize("options", REFUSED)
def test_what_several_processes_cannot_do_yet_is_refused(tmp_path, options):
    done = shell(f"{OF_FIRST} aectl train --dataset digits {options}", tmp_path, warmed=True)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"aectl: {REFUSED[options]} cannot be used by 2 processes")
    assert list(tmp_path.iterdir()) == []


def test_the_processes_of_a_machine_share_its_memory_and_cores(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(8), raising=False)
    (tmp_path / "meminfo").write_text("MemAvailable: 40 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    whole = memory.of_machine()
    assert machine.workers() == 8
    for variable in OF_FIRST.split():
        monkeypatch.setenv(*variable.split("="))
    assert memory.of_machine() == whole / 2
    assert memory.unused() == 20 * 1024
    assert (machine.workers(), machine.cores()) == (4, 8)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "9")
    assert machine.workers() == 1


def test_only_the_first_process_checks_and_writes_the_file_of_errors(tmp_path):
    """The others find the one that it has written."""
    (tmp_path / "bad.csv").write_text("kept")
    command = "aectl train --dataset digits --compile --errors bad.csv"
    for rank, said in enumerate(["bad.csv exists", "--compile cannot be used"]):
        one = f"export TORCHELASTIC_ERROR_FILE=why; {OF_FIRST.replace('RANK=0', f'RANK={rank}')}"
        assert shell(f"{one} {command}", tmp_path, warmed=True).status == 2
        assert said in json.loads((tmp_path / "why").read_text())["message"]
    assert (tmp_path / "bad.csv").read_text() == "kept"


def test_other_commands_are_refused_and_only_the_first_process_says_so(tmp_path):
    command = "aectl encode model --out codes.csv"
    done = shell(f"{OF_FIRST} {command}", tmp_path, warmed=True)
    assert (done.status, done.out) == (2, "")
    assert "this command cannot be used by 2 processes" in done.err
    others = OF_FIRST.replace("RANK=0", "RANK=1")
    done = shell(f"export TORCHELASTIC_ERROR_FILE=why; {others} {command}", tmp_path, warmed=True)
    assert (done.status, done.out, done.err) == (2, "", "")
    assert "cannot be used" in json.loads((tmp_path / "why").read_text())["message"]
