"""The tests that need a GPU, in a process that sees it; all others compute on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import HIDDEN, ON_GPU

from aectl.verbs import machine

FINDS_ONE = "import sys, torch; sys.exit(not torch.cuda.is_available())"


@pytest.mark.skipif(machine.is_cpu("auto"), reason="there is no GPU on this machine")
def test_what_needs_a_gpu_passes_on_it():
    seen = {name: one for name, one in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    seen |= {ON_GPU: "1"} | ({"CUDA_VISIBLE_DEVICES": seen[HIDDEN]} if seen[HIDDEN] else {})
    if subprocess.run([sys.executable, "-c", FINDS_ONE], env=seen).returncode:
        pytest.skip("torch finds no GPU")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "gpu", "-n", "0", "-p", "no:cacheprovider"],
        cwd=Path(__file__).parents[1], env=seen, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
