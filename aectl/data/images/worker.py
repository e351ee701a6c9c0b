"""The process that decodes images: a task a line on stdin, the pixels into shared memory.

A task is JSON: the slot of the shared memory for its images; the paths of the files, or how many
bytes of an image's content follow the line; the numbers of images to pass over. The answer, a line
on stdout, lists the images that could not be read, with the reason, and the remarks on the others.
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
from aectl.data.images.decode import Pixels, decode_bytes, read, unchecked_by_pillow
from aectl.errors import ImageError

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


def serve(descriptor: int, worker: int, memory: Memory, decoding: Decoding) -> None:
    """Decodes until stdin is closed, as `worker` of those that share the file `descriptor`."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started us ends us
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("900")  # where memory runs out, a worker can be replaced
    shared = mmap.mmap(descriptor, memory.size)
    slots, current = memory.pixels(shared), memory.current(shared)
    with unchecked_by_pillow():
        for line in sys.stdin.buffer:
            task = json.loads(line)
            answer = _decoded(
                task, slots[task["slot"]], current[worker : worker + 1], memory.shape, decoding
            )
            sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
            sys.stdout.buffer.flush()


def _decoded(
    task: Mapping[str, Any],
    slot: Pixels,
    current: NDArray[np.int32],
    shape: Shape,
    decoding: Decoding,
) -> tuple[list[tuple[int, str]], list[tuple[int, tuple[Remark, ...]]]]:
    """Decodes the images of a task into its slot; `current`, (1,), is the number of the one it is
    on.
    """
    contents = [x if isinstance(x, str) else sys.stdin.buffer.read(x) for x in task["images"]]
    passed_over = set(task["pass_over"])
    bad, remarks = [], []
    for number, content in enumerate(contents):
        if number in passed_over:
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
