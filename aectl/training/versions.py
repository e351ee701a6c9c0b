"""The versions of what decides the weights of a training."""

import platform

import numpy as np
import torch

import aectl
from aectl.training import distributed

PROCESSES = "processes"


def versions() -> dict[str, str]:
    """The versions of what decides the weights, and the number of processes, if it is not 1."""
    return {
        "aectl": aectl.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        **({PROCESSES: str(count)} if (count := distributed.processes()) > 1 else {}),
    }
