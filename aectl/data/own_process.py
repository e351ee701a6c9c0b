"""The command of a separate Python process, for work that a damaged file may crash."""

import json
import sys

PROLOGUE = (
    "import json, os, sys; sys.path[:] = json.loads(sys.argv[1]);"
    "os.environ.update(OPENBLAS_NUM_THREADS='1', MKL_NUM_THREADS='1');"
)
"""Modules are found as here. Numpy is held to one thread: it begins one a core as it is loaded,
which on two cores takes as long as the rest of the start."""


def own_process(program: str, *words: str) -> list[str]:
    """The command that runs a program, in Python, with words: its `sys.argv` from 2 on."""
    return [sys.executable, "-P", "-c", PROLOGUE + program, json.dumps(sys.path), *words]
