"""The import of torch, while other threads work."""

import contextlib
import ctypes
import gc
import importlib.util
import os
import sys

LARGEST_LIBRARY = "lib/libtorch_cpu.so"
"""Path of the largest library below the package torch; loading it takes a seventh of the import."""


USUAL_THREADS = list[int]()
"""The number of CPU threads that torch had when `start_torch` imported it; empty before."""


def start_torch() -> None:
    """Imports torch, in less time than an import statement.

    Its largest library is loaded first, without Python's global lock, so that other threads can
    list the inputs and hand tasks to the workers meanwhile. The garbage collector is off during the
    import, which leaves hardly any unreachable objects.
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
        import torch

        USUAL_THREADS.append(torch.get_num_threads())
    finally:
        if collects:
            gc.enable()
