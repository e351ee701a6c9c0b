"""Trainings that are killed at random moments, and go on to the weights of one in one go."""

import contextlib
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

TRAIN = (sys.executable, "-m", "aectl", "train", "-q")
NEW = ("--threads", "1", "--dataset", "digits", "--epochs", "60")
KINDS = {
    "dense": ("--hidden", "512,64", "--dropout", "0.1"),
    "sparse": ("--sparse", "--hidden", "512"),
    "classifier": ("--model", "classifier", "--hidden", "512,256", "--validation", "0.1",
                   "--keep", "best"),
    "k-sparse": ("--sparsity", "topk", "--hidden", "512", "--k-start", "40", "--k", "5"),
}  # fmt: skip
AT_ONCE = 3


def start(*words: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*TRAIN, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(process: "subprocess.Popen[bytes]") -> None:
    said = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(said.decode())


def half_written(run: Path) -> bool:
    """Whether a checkpoint is being written."""
    with contextlib.suppress(FileNotFoundError):
        return bool(list(run.glob("checkpoint/.*.part")))
    return False


def goes_on(run: Path, whole: Path, kind: str, number: int) -> str:
    """Kills a training, lets it go on, and compares the weights; returns when it was killed."""
    chance = random.Random(number)
    process = start(*NEW, *KINDS[kind], "--out", run)
    while process.poll() is None and not (run / "checkpoint").exists():
        time.sleep(0.001)
    writing = number % 3 == 0
    until = time.monotonic() + chance.uniform(0, 3)
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    while writing and process.poll() is None and not half_written(run):
        pass
    process.kill()
    process.communicate()
    where = "while it wrote a checkpoint" if half_written(run) else "in training"
    if (run / "checkpoint" / "checkpoint.safetensors").exists():
        finish(start("--resume", run))
    else:
        where = "after its end" if (run / "model.safetensors").exists() else "before its start"
        if where == "before its start":
            finish(start(*NEW, *KINDS[kind], "--out", run, "--overwrite"))
    wanted, found = (load_file(x / "model.safetensors") for x in (whole, run))
    assert wanted.keys() == found.keys()
    same = all(np.array_equal(wanted[name], found[name]) for name in wanted)
    debris = {p.name for p in run.iterdir()} - {p.name for p in whole.iterdir()}
    shutil.rmtree(run)
    return where if same and not debris else f"WRONG: killed {where}, {same=}, {debris=}"


def run(count: int, folder: Path) -> bool:
    """Tells of each; returns whether all were right."""
    for kind, words in KINDS.items():
        finish(start(*NEW, *words, "--out", folder / kind))
    kinds = list(KINDS)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = list(
            pool.map(
                lambda n: goes_on(
                    folder / f"{n}", folder / kinds[n % len(kinds)], kinds[n % len(kinds)], n
                ),
                range(count),
            )
        )
    for where in sorted(set(told)):
        print(f"{told.count(where)} killed {where}")
    return not any("WRONG" in where for where in told)
