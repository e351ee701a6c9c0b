"""The import of torch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aectl.verbs import start_torch

PROGRAM = """
import gc, sys
if sys.argv[1] == "off":
    gc.disable()
from aectl.verbs.start_torch import start_torch
start_torch()
print("torch" in sys.modules, gc.isenabled())
"""

STANDS_FOR_TORCH = """
import gc
print(gc.isenabled())
def get_num_threads():
    return 1
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the name on Linux")
def test_the_library_that_is_loaded_first_exists():
    """Otherwise the import would be slower, and nothing would show it."""
    assert (Path(torch.__file__).parent / start_torch.LARGEST_LIBRARY).is_file()


@pytest.mark.parametrize(("state", "said"), [("on", "True True"), ("off", "True False")])
def test_the_search_for_unreachable_objects_is_off_while_torch_is_imported_and_then_as_it_was(
    tmp_path, monkeypatch, state, said
):
    """Of a small module of that name: commands import torch itself in the tests of the program."""
    (tmp_path / "torch.py").write_text(STANDS_FOR_TORCH)
    root = Path(start_torch.__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root}")
    command = [sys.executable, "-c", PROGRAM, state]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["False", said]
