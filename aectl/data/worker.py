"""The process that decodes images: a task a line on stdin, the pixels into shared memory.

A task is JSON: the slot of the shared memory for its images; the paths of the files, or how many
bytes of an image's content follow the line; the numbers of images to pass over. The answer, a line
on stdout, lists the images that could not be read, with the reason.
"""

import contextlib
import json
import math
import mmap
import os
import signal
import sys
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aectl.data.images import Pixels, decode_bytes, read
from aectl.errors import ImageError
from aectl.types import Shape

NICENESS = 10
"""The network and the table, for which all of it waits, come before decoding ahead of them."""

NOTHING = -1
"""The number of the image that a worker is on when it is on none."""


class Memory(NamedTuple):
    """The memory that the workers share, and how it is divided."""

    shape: Shape
    images: int
    slots: int
    workers: int

    @property
    def size(self) -> int:
        """Bytes in all."""
        return 4 * self.workers + self.slots * self.images * math.prod(self.shape)

    def current(self, shared: mmap.mmap) -> NDArray[np.int32]:
        """For each worker the number, in its task, of the image that it is on: (workers,)."""
        return np.frombuffer(shared, np.int32, self.workers)

    def pixels(self, shared: mmap.mmap) -> Pixels:
        """The images: (slots, images, channels, height, width)."""
        flat = np.frombuffer(shared, np.uint8, offset=4 * self.workers)
        return flat.reshape(self.slots, self.images, *self.shape)


def serve(descriptor: int, worker: int, memory: Memory) -> None:
    """Decodes until stdin is closed, as `worker` of those that share the file `descriptor`."""
    warnings.simplefilter("ignore")
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started us ends us
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("900")  # where memory runs out, a worker can be replaced
    shared = mmap.mmap(descriptor, memory.size)
    slots, current = memory.pixels(shared), memory.current(shared)
    tasks, answers = sys.stdin.buffer, sys.stdout.buffer
    for line in tasks:
        task = json.loads(line)
        contents = [x if isinstance(x, str) else tasks.read(x) for x in task["images"]]
        passed_over = set(task["pass_over"])
        bad = []
        for number, content in enumerate(contents):
            if number in passed_over:
                continue
            current[worker] = number
            try:
                encoded = read(content) if isinstance(content, str) else content
                slots[task["slot"], number] = decode_bytes(encoded, memory.shape)
            except ImageError as error:
                bad.append((number, str(error)))
        current[worker] = NOTHING
        answers.write(json.dumps(bad).encode() + b"\n")
        answers.flush()
