"""The worker process: reads tasks, one per line, on stdin, and decodes images into shared memory.

A task is JSON: the slot of the shared memory for its images; the path of each file, or the number
of bytes of its content that follow the line; the indices of images to skip. The reply, a line on
stdout, lists the images that could not be read, with the reason, and the remarks on the others.
"""

import contextlib
import json
import math
import mmap
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aectl.config.decoding import Decoding, Remark
from aectl.config.shapes import Shape
from aectl.data.images.decode import decode_bytes, read, unchecked_by_pillow
from aectl.data.images.pixels import Pixels
from aectl.errors import ImageError

NICENESS = 10
"""Lower priority of workers, so that decoding ahead does not slow down the network."""

NOTHING = -1
"""The index that means that a worker is not decoding an image."""


class Memory(NamedTuple):
    """The layout of the memory that the workers share."""

    shape: Shape
    images: int
    slots: int
    workers: int

    @property
    def size(self) -> int:
        """The total number of bytes."""
        return 4 * self.workers + self.slots * self.images * math.prod(self.shape)

    def current(self, shared: mmap.mmap) -> NDArray[np.int32]:
        """The index, in the task of each worker, of the image being decoded: (workers,)."""
        return np.frombuffer(shared, np.int32, self.workers)

    def pixels(self, shared: mmap.mmap) -> Pixels:
        """The images: (slots, images, channels, height, width)."""
        flat = np.frombuffer(shared, np.uint8, offset=4 * self.workers)
        return flat.reshape(self.slots, self.images, *self.shape)


def serve(descriptor: int, worker: int, memory: Memory, decoding: Decoding) -> None:
    """Decodes until stdin is closed; `worker`: its index among those that share `descriptor`."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process ends its workers
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("900")  # if memory runs out, a worker is killed first, and is replaced
    shared = mmap.mmap(descriptor, memory.size)
    slots, current = memory.pixels(shared), memory.current(shared)
    with unchecked_by_pillow():
        for line in sys.stdin.buffer:
            task = json.loads(line)
            reply = _decoded(
                task, slots[task["slot"]], current[worker : worker + 1], memory.shape, decoding
            )
            sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n")
            sys.stdout.buffer.flush()


def _decoded(
    task: Mapping[str, Any],
    slot: Pixels,
    current: NDArray[np.int32],
    shape: Shape,
    decoding: Decoding,
) -> tuple[list[tuple[int, str]], list[tuple[int, tuple[Remark, ...]]]]:
    """Decodes the images of a task into its slot; writes the index of each to `current`, (1,)."""
    contents = [x if isinstance(x, str) else sys.stdin.buffer.read(x) for x in task["images"]]
    skipped = set(task["skipped"])
    bad, remarks = [], []
    for number, content in enumerate(contents):
        if number in skipped:
            continue
        current[0] = number
        try:
            encoded = read(content, decoding) if isinstance(content, str) else content
            image = decode_bytes(encoded, shape, decoding)
            slot[number] = image.pixels
            if image.remarks:
                remarks.append((number, image.remarks))
        except ImageError as error:
            bad.append((number, str(error)))
    current[0] = NOTHING
    return bad, remarks
