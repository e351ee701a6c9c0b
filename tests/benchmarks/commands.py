"""What the benchmarks share: running `aectl` as a user does, timing it, and telling of it."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

CORES = len(os.sched_getaffinity(0))
AECTL = [sys.executable, "-m", "aectl"]

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode


def aectl(*words: object) -> str:
    """What a command prints on stdout; what it says on stderr is seen as it comes."""
    command = [*AECTL, *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def trained(folder: Path, *words: object) -> Path:
    """The run folder of a training; trained only where it is not there already."""
    if not (folder / "model.safetensors").exists():
        aectl("train", "--overwrite", *words, "--out", folder)
    return folder


def reports(*models: Path, dataset: Path | None = None) -> list[dict[str, Any]]:
    """The error reports of models on a dataset, or else on their test set."""
    data = ("--dataset", dataset) if dataset else ()
    found: list[dict[str, Any]] = json.loads(aectl("eval", "-q", "--json", *models, *data))
    return found


def said(errors: list[float]) -> str:
    """Their mean and standard deviation."""
    return f"{statistics.mean(errors):.2f} ± {statistics.stdev(errors):.2f}"


def peak_memory(command: list[object]) -> float:
    """Bytes: the largest sum of the proportional set sizes of a process and its children."""
    process = subprocess.Popen([str(word) for word in command])
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(map(proportional_size, [process.pid, *children(process.pid)])))
        time.sleep(0.02)
    assert process.returncode == 0
    return peak


def children(pid: int) -> list[int]:
    try:
        own = Path(f"/proc/{pid}/cmdline").read_bytes()
        tasks = Path(f"/proc/{pid}/task")
        return [
            int(child)
            for task in tasks.iterdir()
            for child in (task / "children").read_text().split()
            if Path(f"/proc/{child}/cmdline").read_bytes() != own  # else about to become one
        ]
    except OSError:
        return []


def proportional_size(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * float(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def in_turns(cases: Mapping[str, Callable[[], float]], runs: int) -> dict[str, float]:
    """The median of what each case gives in so many runs, in turns, after one to warm up."""
    found: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(runs + 1):
        for name, case in cases.items():
            value = case()
            if number:
                found[name].append(value)
    return {name: statistics.median(values) for name, values in found.items()}


def seconds(command: list[object]) -> float:
    """How long a process takes, from its start to its end."""
    begun = time.perf_counter()
    run(command)
    return time.perf_counter() - begun


def run(command: list[object]) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


def spread(values: list[float]) -> str:
    digits = 0 if min(values) >= 100 else 2
    return f"({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def say(what: str, value: float, unit: str = "", more: str = "") -> None:
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    print(f"  {what:<42} {shown:>9} {unit:<4}{more}".rstrip(), flush=True)
