"""Runs a verb on the machines of a Ray cluster: each task writes a part of the table.

A task is what a run with --shard is, and leaves the same part with the same record; so a task that
was killed continues in its part, a run that was killed leaves finished parts as they are, and the
merged table is that of one machine, byte for byte. Ray Data has checkpoints of its own, but these
tell rows apart by an id, while a path may be named twice, keep no order, and are all in memory.
"""

import contextlib
import dataclasses
import io
import logging
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from aectl.config.decoding import Remark
from aectl.data.shares import MOST_SHARDS, Shard
from aectl.data.sources import STDIN
from aectl.errors import DataError, first_line
from aectl.verbs import machine
from aectl.verbs.tabulating import Each, Tabular, tabulate
from aectl.verbs.use import Use

if TYPE_CHECKING:
    from aectl.outputs.journal import BadInput

PARTS_A_TASK = 2
"""Parts for each task that can run at once: more would balance the load better, but each task lists
all inputs."""

TRIES = 5
"""How often a task is started again after its process was killed."""

CONNECT_SECONDS = 10

WAIT_SECONDS = 0.5
"""Seconds after which a signal is noticed at the latest."""


@dataclass(frozen=True)
class Job:
    """A table in parts: the results, the file, and the `key` of the run but for what tells a part.

    `folder`: the working folder, which relative paths start from.
    """

    results: Tabular
    out: Path
    key: dict[str, object]
    layout: str
    each: Each
    folder: str


class Done(NamedTuple):
    """A finished part: numbers of its rows, the inputs that could not be read, and messages."""

    paths: range
    bad: "list[BadInput]"
    remarks: list[tuple[str, Remark]]
    notices: list[str]


def self_contained(results: Tabular) -> Tabular:
    """The same results, of inputs that each task can read: stdin is read."""
    use = results.use
    if STDIN not in (use.request.words or ()) or use.request.stdin is None:
        return results
    return _on(results, stdin=io.BytesIO(use.request.stdin.read()))


def listed(use: Use) -> int:
    """The number of inputs. Raises DataError where they do not exist."""
    with use.noted():
        total = sum(count for _, count in use.stream.listed(use.stream.inputs))
    if isinstance(use.request.stdin, io.BytesIO):
        use.request.stdin.seek(0)
    return total


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connects to the cluster at an address, or starts one on this machine, for a block, which
    cannot write to stdout: Ray tells there of processes that were killed.

    Raises DataError where there is no cluster.
    """
    import ray

    if address is not None:
        _refuse_unreachable(address)
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    local = {} if address else {"num_cpus": machine.cores(), "include_dashboard": False}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address or "local", log_to_driver=False, configure_logging=False, **local)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise DataError(f"Ray at {address or 'this machine'}: {first_line(error)}") from None
    finally:  # Ray sets handlers of its own
        for number, handler in handlers.items():
            signal.signal(number, handler)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        try:
            yield
        finally:
            ray.shutdown()


class Slots(NamedTuple):
    """How many tasks run at once, and the cores and GPUs that each of them has."""

    tasks: int
    cores: int
    gpus: int


def slots(device: str, workers: int | None) -> Slots:
    """A task a GPU of the cluster, if there are any and `device` takes them, or a task a core;
    `workers`: the number of cores of each, if asked for."""
    import ray

    nodes = [one["Resources"] for one in ray.nodes() if one["Alive"]]
    with_gpus = [one for one in nodes if one.get("GPU", 0) >= 1]
    if with_gpus and device in ("auto", "cuda"):
        there = min(int(one.get("CPU", 0) // one["GPU"]) for one in with_gpus)
        tasks = sum(int(one["GPU"]) for one in with_gpus)
        return Slots(tasks, max(1, min(workers or there, there)), 1)
    cores = max(1, min(workers or 1, max(int(one.get("CPU", 0)) for one in nodes)))
    tasks = sum(int(one.get("CPU", 0)) // cores for one in nodes)
    return Slots(max(1, tasks), cores, 0)


def run(job: Job, each: Slots, total: int) -> Iterator[Done]:
    """Writes all parts of a table of so many inputs; yields each that is finished.

    If parts are there already, they tell how many there are. Raises the error of a task, and
    DataError where Ray gives up.
    """
    import ray

    from aectl.outputs.merging import counts_in, folder_of_parts

    resources = {"num_cpus": each.cores, "num_gpus": each.gpus, "max_retries": TRIES}
    task = ray.remote(**resources)(write_part)
    sent = ray.put(job)
    begun = counts_in(folder_of_parts(job.out))
    count = max(begun, default=max(1, min(PARTS_A_TASK * each.tasks, total, MOST_SHARDS)))
    left = [task.remote(sent, Shard(number + 1, count), each.cores) for number in range(count)]
    while left:
        ready, left = ray.wait(left, timeout=WAIT_SECONDS)
        try:
            yield from map(ray.get, ready)
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error  # that of a task is its exception
            if isinstance(cause, ray.exceptions.RayError):
                raise DataError(f"Ray: {first_line(cause)}") from None
            raise cause from None


def write_part(job: Job, shard: Shard, workers: int) -> Done:
    """Writes a part of the table, or continues it: the work of a task."""
    from aectl.outputs.merging import part_of
    from aectl.outputs.tables import Table

    os.chdir(job.folder)
    bad: list[BadInput] = []
    remarks: list[tuple[str, Remark]] = []

    def on_bad(path: str, reason: str) -> None:
        bad.append((path, reason))

    def on_remark(path: str, remark: Remark) -> None:
        remarks.append((path, remark))

    how = {"workers": workers, "shard": shard, "on_bad": on_bad, "on_remark": on_remark}
    results = _on(job.results, **how)
    use = results.use
    key = {**job.key, **use.key()}
    part = part_of(job.out, shard)
    table = Table(part, layout=job.layout, key=key, resume=True, bad=bad, empty=True)
    tabulate(results, table, on_bad, job.each)
    return Done(range(table.count), bad, remarks, use.stream.notices())


def _on(results: Tabular, **changes: Any) -> Tabular:
    """The results on the inputs of a changed request."""
    use = dataclasses.replace(
        results.use, request=dataclasses.replace(results.use.request, **changes)
    )
    return cast(Tabular, dataclasses.replace(cast(Any, results), use=use))


def _refuse_unreachable(address: str) -> None:
    """Raises DataError where nothing listens at an address such as `host:6379`, which Ray would try
    for minutes."""
    host, port = _place(address)
    if host and port:
        try:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        except OSError as error:
            said = error.strerror or str(error)
            raise DataError(f"there is no Ray cluster at {address}: {said}") from None


def is_here(address: str) -> bool:
    """Whether the address of a cluster is empty, or one of this machine."""
    host, _ = _place(address)
    if host in ("", "auto", "local"):
        return True
    try:
        family = socket.getaddrinfo(host, None)[0][0]
        with socket.socket(family) as one:
            one.bind((host, 0))
    except OSError:
        return False
    return True


def _place(address: str) -> tuple[str, str]:
    """The host and the port of an address such as `host:6379`, `[::1]:6379` or `ray://host`; each
    may be empty."""
    place = address.rpartition("://")[2]
    host, _, port = place.rpartition(":")
    if not port.isdigit():
        host, port = place, ""
    return host.strip("[]"), port
