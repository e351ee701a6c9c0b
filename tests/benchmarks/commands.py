"""What the benchmarks share: running `aectl` as a user does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def aectl(*words: object) -> str:
    """What a command prints on stdout; what it says on stderr is seen as it comes."""
    command = [sys.executable, "-m", "aectl", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def trained(folder: Path, *words: object) -> Path:
    """The run folder of a training; trained only where it is not there already."""
    if not (folder / "model.safetensors").exists():
        aectl("train", "--overwrite", *words, "--out", folder)
    return folder


def reports(*models: Path) -> list[dict[str, Any]]:
    """The error reports of models on their test set."""
    found: list[dict[str, Any]] = json.loads(aectl("eval", "-q", "--json", *models))
    return found
