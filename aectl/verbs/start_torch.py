"""The import of torch, beside threads that have work to do."""

import contextlib
import ctypes
import gc
import importlib.util
import os
import sys

LARGEST_LIBRARY = "lib/libtorch_cpu.so"
"""Its path below the package torch; to load it takes a seventh of the import."""


def start_torch() -> None:
    """Imports torch, in less time than the statement takes.

    Its largest library is loaded first, without Python's lock, so that meanwhile other threads find
    inputs and give the workers tasks. As the import leaves hardly any unreachable objects, Python
    does not look for them.
    """
    if "torch" in sys.modules:
        return
    spec = importlib.util.find_spec("torch")
    for folder in (spec and spec.submodule_search_locations) or ():
        with contextlib.suppress(AttributeError, TypeError):  # where the system has no dlopen
            path = os.fsencode(os.path.join(folder, LARGEST_LIBRARY))
            ctypes.CDLL(None).dlopen(path, os.RTLD_NOW)  # if it fails, the import says why
    collects = gc.isenabled()
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        if collects:
            gc.enable()
