"""Whether a training fits into memory, and what would."""

import contextlib
import logging
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from aectl.errors import ConfigError, is_out_of_memory
from aectl.training import memory

if TYPE_CHECKING:
    import torch

    from aectl.training.scale import Sketch

log = logging.getLogger(__name__)

GIB = 2**30
ALMOST = 0.95
"""The fraction of the memory that options which fit may use: other programs change what there is.
"""

MOST_SAID = 200

ROOMY = 4
"""How many times as much memory as a training needs allows it to keep what it frees, which lies in
pieces: with L-BFGS on many vectors, the process grew to three times what was needed."""


def refuse(sketch: "Sketch", device: "torch.device") -> None:
    """Raises ConfigError where a training does not fit into the memory of the device."""
    scale, needed, room = sketch.scale(), sketch.needed, memory.free(device)
    if needed > room:
        architecture = sketch.architecture
        widths = ", ".join(str(width) for width in architecture.widths)
        raise ConfigError(
            f"{architecture.kind} ({widths}) has {scale.weights:,} weights, and its training needs"
            f" {in_words(needed)} of memory; {device} has {in_words(room)}\n"
            f"{advice(sketch, ALMOST * room)}"
        )


def checked(sketch: "Sketch", device: "torch.device") -> None:
    """The same as `refuse`; a warning says so if other programs leave too little memory."""
    refuse(sketch, device)
    needed = sketch.needed
    if device.type == "cpu" and needed > (left := memory.unused()):
        log.warning(
            "warning: training needs %s of memory, and other programs leave %s: the system may end"
            " it", in_words(needed), in_words(left),
        )  # fmt: skip


def faster_where_roomy(sketch: "Sketch", device: "torch.device") -> AbstractContextManager[None]:
    """Makes training on a CPU faster at the cost of memory, if there is plenty of that."""
    room = min(memory.free(device), memory.unused())
    roomy = device.type == "cpu" and ROOMY * sketch.needed < room
    return memory.keeping_freed() if roomy else contextlib.nullcontext()


def has_room_twice(sketch: "Sketch", device: "torch.device") -> bool:
    """Whether a device has room for all that a training needs, and for as much again."""
    return 2 * sketch.needed < memory.free(device)


def described(sketch: "Sketch") -> str:
    """How many weights a network has, and how much memory its training needs, as a line."""
    scale = sketch.scale()
    memory = in_words(scale.memory + sketch.stored)
    return f"{scale.weights:,} weights, about {memory} of memory to train"


@contextlib.contextmanager
def explained(sketch: "Sketch") -> Iterator[None]:
    """Raises ConfigError, with the options that need less, where memory runs out in the block."""
    try:
        yield
        return
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        said = " ".join(str(error).split())[:MOST_SAID]
    needed = sketch.needed  # when what the block held is free again
    raise ConfigError(
        f"memory ran out, though training needs about {in_words(needed)}{said and f' ({said})'}\n"
        f"{advice(sketch, needed / 2)}, in half of that"
    )


def torch_device(name: str) -> "torch.device":
    """The device that --device names, as far as its memory is one of its own."""
    import torch

    own = name in ("auto", "cuda") and torch.cuda.is_available()
    return torch.device("cuda" if own else "cpu")


def advice(sketch: "Sketch", room: float) -> str:
    """The options with which training fits into `room`, bytes."""
    from aectl.training.fitting import options_that_fit

    found = options_that_fit(sketch, room)
    if not found:
        return "no smaller value of a single option fits: use smaller data, or a larger machine"
    *others, last = found
    return f"{', '.join(others)}{' or ' if others else ''}{last} {'fit' if others else 'fits'}"


def in_words(size: float) -> str:
    """Bytes in a unit that suits them."""
    if size >= GIB:
        return f"{size / GIB:,.1f} GiB"
    return f"{math.ceil(max(size, 0) / 2**20):,} MiB"
