"""Decodes many images in parallel in worker processes, and keeps the order of the inputs."""

import collections
import json
import math
import mmap
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import astuple, dataclass, field
from typing import NamedTuple

from aectl.config.decoding import USUAL_DECODING, Decoding, Remark
from aectl.config.shapes import Shape
from aectl.data.found import Found
from aectl.data.images.pixels import Pixels
from aectl.data.images.worker import NOTHING, Memory
from aectl.data.own_process import own_process
from aectl.errors import DataError
from aectl.files import write_all

BUFFER = 32 << 20
"""Bytes of decoded images that may wait for the model; more, if there are many workers."""

SLOT = 4 << 20
"""Maximum bytes of the decoded images of a task."""

MOST_IMAGES = 1024
"""Maximum number of images of a task."""

TASK_BYTES = 32 << 20
"""Maximum bytes of the encoded images, from archives, of a task."""

TASK_SECONDS = 0.05
"""Target duration of a task: the faster the last images were decoded, the larger the next task."""

FIRST_TASK = 16
"""Images of the first tasks, before the time per image is known."""

PATIENCE = 0.5
"""Seconds that decoded images wait for more, so that the model gets a full batch."""

ATTEMPTS = 2
"""Number of workers that an image may crash before it is left out."""

START = (
    "from aectl.config.decoding import Decoding;"
    "from aectl.data.images.worker import Memory, serve;"
    "descriptor, worker, (shape, *sizes), decoding = json.loads(sys.argv[2]);"
    "serve(descriptor, worker, Memory(tuple(shape), *sizes), Decoding(*decoding))"
)
"""The program of a worker."""


class Decoded(NamedTuple):
    """Inputs in their order, and their images: (n, channels, height, width).

    `bad`: the reasons of inputs that could not be read, by their indices; their images are
    meaningless. `remarks`: remarks on inputs, by their indices.
    """

    inputs: list[Found]
    images: Pixels
    bad: Mapping[int, str]
    remarks: Mapping[int, tuple[Remark, ...]]


class _Reply(NamedTuple):
    """A worker's reply to a task: unreadable images and remarks, by the indices of the images."""

    bad: dict[int, str]
    remarks: dict[int, tuple[Remark, ...]]


@dataclass
class _Task:
    """Some inputs, with a slot of the shared memory; `reply`: the future reply of the worker."""

    inputs: list[Found]
    slot: int
    reply: "Future[_Reply]" = field(default_factory=Future)


class Decoders:
    """Worker processes that decode inputs as they are found; iterates over results in order.

    `found` yields None before an input that may have to be waited for. A worker is started when
    there is work for it. A worker that dies is replaced; an image that crashes two workers is left
    out.
    """

    def __init__(
        self,
        found: Iterator[Found | None],
        shape: Shape,
        workers: int,
        decoding: Decoding = USUAL_DECODING,
    ) -> None:
        size = math.prod(shape)
        images = max(1, min(MOST_IMAGES, SLOT // size))
        slots = max(2 * workers, BUFFER // (images * size))
        self._memory = Memory(shape, images, slots, workers)
        self._descriptor = _shared_file(self._memory.size)
        shared = mmap.mmap(self._descriptor, self._memory.size)
        self._pixels, self._current = self._memory.pixels(shared), self._memory.current(shared)
        self._decoding = decoding
        self._found, self._found_all = found, False
        self._free = queue.LifoQueue[int]()  # the last slot used, whose memory is there
        for slot in range(slots):
            self._free.put(slot)
        self._tasks: queue.SimpleQueue[_Task | BaseException | None] = queue.SimpleQueue()
        self._task_size = min(FIRST_TASK, images)
        self._taking, self._starting = threading.Lock(), threading.Lock()
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * workers
        self._closed = False
        for worker in range(workers):
            threading.Thread(target=self._work, args=(worker,), daemon=True).start()

    def __iter__(self) -> Iterator[Decoded | None]:
        """Yields the inputs in their order, and None if the next takes longer than `PATIENCE`.

        The images of a result are overwritten once the next one is requested.
        """
        while True:
            try:
                task = self._tasks.get(timeout=PATIENCE)
            except queue.Empty:
                yield None
                continue
            if task is None:
                return
            if isinstance(task, BaseException):
                raise task
            while not wait([task.reply], PATIENCE).done:
                yield None
            yield Decoded(task.inputs, self._pixels[task.slot], *task.reply.result())
            self._free.put(task.slot)

    def close(self) -> None:
        """Ends the workers."""
        with self._starting:
            self._closed = True
            running = [process for process in self._processes if process is not None]
            for process in running:
                process.kill()
            for process in running:
                process.wait()
        self._wake()
        os.close(self._descriptor)

    def _work(self, worker: int) -> None:
        """The loop of a thread: takes tasks, and lets its worker decode them."""
        while task := self._take():
            try:
                started = time.monotonic()
                reply = self._decode(task, worker)
                seconds = max(1e-6, time.monotonic() - started)
                if not any(found.skipped for found in task.inputs):
                    wanted = int(TASK_SECONDS * len(task.inputs) / seconds)
                    self._task_size = max(1, min(self._memory.images, wanted))
                if any(found.content is not None for found in task.inputs):
                    task.inputs = [found._replace(content=None) for found in task.inputs]
                task.reply.set_result(reply)
            except BaseException as error:
                task.reply.set_exception(error)
                return
        process = self._processes[worker]
        if process is not None and process.stdin is not None:
            process.stdin.close()  # the worker ends while its last images are still being received

    def _take(self) -> _Task | None:
        """The next inputs, as a task; only one thread at a time takes inputs, in their order."""
        with self._taking:
            slot = self._free.get()
            if self._closed or self._found_all:
                return None
            task, size, failure = _Task([], slot), 0, None
            try:
                for found in self._found:
                    if found is not None:
                        task.inputs.append(found)
                        size += len(found.content or b"")
                    full = len(task.inputs) >= self._task_size or size >= TASK_BYTES
                    if full or (task.inputs and found is None):
                        break
                else:
                    self._found_all = True
            except BaseException as error:
                self._found_all, failure = True, error
            if task.inputs:
                self._tasks.put(task)
            if self._found_all:
                self._tasks.put(failure)
                self._wake()
            return task if task.inputs else None

    def _wake(self) -> None:
        """Wakes all threads that wait for a slot."""
        for _ in self._processes:
            self._free.put(0)

    def _decode(self, task: _Task, worker: int) -> _Reply:
        """The inputs of a task that cannot be read, with the reason, and the remarks on others."""
        bad = {
            number: found.reason or ""
            for number, found in enumerate(task.inputs)
            if found.skipped or found.reason is not None
        }
        deaths: collections.Counter[int] = collections.Counter()
        while True:
            try:
                reply = self._ask(task, worker, bad)
                return reply._replace(bad=bad | reply.bad)
            except _DiedError as died:
                number = int(self._current[worker])
                deaths[number] += 1
                if deaths[number] < ATTEMPTS:
                    continue
                if number == NOTHING:
                    raise DataError(f"the processes that decode images {died} at once") from None
                bad[number] = f"the process that decoded it {died}"

    def _ask(self, task: _Task, worker: int, skipped: Collection[int]) -> _Reply:
        """Sends a task to a worker, which is started if it does not run; returns its reply."""
        if len(skipped) == len(task.inputs):
            return _Reply({}, {})
        process = self._processes[worker] or self._start(worker)
        assert process.stdin is not None
        assert process.stdout is not None
        described = {
            "slot": task.slot,
            "images": [x.file if x.content is None else len(x.content) for x in task.inputs],
            "skipped": [*skipped],
        }
        try:
            pipe = process.stdin.raw  # type: ignore[attr-defined]
            write_all(pipe, json.dumps(described).encode() + b"\n")
            for found in task.inputs:
                write_all(pipe, found.content or b"")
            reply = process.stdout.readline()
        except BrokenPipeError:
            reply = b""
        if not reply.endswith(b"\n"):
            self._processes[worker] = None
            raise _DiedError(_how_it_ended(process.wait()))
        bad, remarks = json.loads(reply)
        return _Reply(dict(bad), {n: tuple(map(Remark, said)) for n, said in remarks})

    def _start(self, worker: int) -> "subprocess.Popen[bytes]":
        self._current[worker] = NOTHING
        described = json.dumps([self._descriptor, worker, self._memory, astuple(self._decoding)])
        with self._starting:
            if self._closed:
                raise _DiedError("was ended")
            process = subprocess.Popen(  # noqa: S603 - Python itself, with our own arguments
                own_process(START, described),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                pass_fds=[self._descriptor],
            )  # fmt: skip
            self._processes[worker] = process
        return process


class _DiedError(Exception):
    """A worker ended before it replied; the message says how."""


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    if -status == signal.SIGKILL:
        return "was killed, perhaps for want of memory"
    return f"crashed ({signal.Signals(-status).name})"


def _shared_file(size: int) -> int:
    """The descriptor of a file without a name, in memory if the system supports that."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("aectl")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
