"""Servers that load what commands need, use none of it, and fork for each command.

One has loaded aectl's modules and what they import, others what decodes images and what reads
Parquet. A server loads its modules at its first command.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import re
import runpy
import select
import signal
import socket
import sys
from pathlib import Path

from warm import COMMANDS, DECODERS, FORKED, READERS, fork_all, make_commands_once
from warm_caller import MOST, STREAMS

LIGHT = ("aectl.config.decoding", "aectl.data.images.worker")
"""What a process that decodes images loads."""

OF_PARQUET = (
    "polars", "aectl.data.codes.code_frames", "aectl.data.images.index_files",
    "aectl.data.images.parquet_images", "aectl.data.vectors.vector_tables",
)  # fmt: skip
"""What a process that reads Parquet loads."""

COMMANDS_OWN = (
    "onnxruntime", "polars", "sklearn", "torch._dynamo", "torch.utils.tensorboard", "torchvision",
)  # fmt: skip
"""Modules that a command loads itself: they begin threads, or few commands need them."""

HUGE, COLLAPSE = 1 << 21, 25
"""Bytes of a huge page of memory, and the advice MADV_COLLAPSE of madvise(2)."""

LATER = re.compile(r"^ +(?:from (\S+) )?import \(?([\w., ]+)", re.MULTILINE)
"""An import in a function."""


def load_commands():
    """Loads what commands need; gives what turns a process into one."""
    root = Path(__file__).parents[1]
    files = sorted((root / "aectl").rglob("*.py"))
    for file in files:
        if file.stem not in ("__main__", "__init__"):
            importlib.import_module(".".join(file.relative_to(root).with_suffix("").parts))
    for name in {name for file in files for name in imported_later(file)}:
        with contextlib.suppress(ImportError):  # of an extra, or the name is no module's
            if not name.startswith(COMMANDS_OWN):
                importlib.import_module(name)
    import typer

    from aectl.cli import program
    from aectl.cli.app import app
    from aectl.inference import in_numpy
    from aectl.outputs import page

    page._plotly()  # which is compressed once in a process
    in_numpy._blas()  # for which all libraries of a process are looked at
    make_commands_once()
    for command in typer.main.get_command(app).commands.values():
        for parameter in command.params:
            parameter.get_runtime_param()
    only_thread()
    return lambda streams, words: run(words, program)


def load_decoders():
    """Loads what decoding needs; gives what turns a process into one that decodes."""
    for name in LIGHT:
        importlib.import_module(name)
    only_thread()
    return decode


def load_readers():
    """Loads what reading Parquet needs; gives what turns a process into one that reads it."""
    os.putenv("POLARS_MAX_THREADS", "1")
    for name in OF_PARQUET:
        importlib.import_module(name)
    return lambda streams, words: run(words)


def listen(path, load):
    """Forks for each caller, until stdin is closed; what is loaded makes of the child what the
    caller wants."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    print("listening", flush=True)
    become, running, waiting = None, [], True
    while waiting or running:
        awaited = [0, listener] * waiting + [end for child in running for end in child.ends]
        ready = select.select(awaited, [], [])[0]
        running = [child for child in running if not child.over(ready)]
        if 0 in ready:
            waiting = False
        elif listener in ready:
            become = become or loaded(load)
            caller = listener.accept()[0]
            asked, streams, _, _ = socket.recv_fds(caller, MOST, len(STREAMS) + 1)
            number = os.fork()
            if number == 0:
                for end in (listener, *(end for child in running for end in child.ends)):
                    os.close(end if isinstance(end, int) else end.detach())
                attend(caller, asked, streams, become)
            for stream in streams:
                os.close(stream)
            running.append(Child(number, caller))


class Child:
    """A process that was forked for a caller."""

    def __init__(self, number, caller):
        self.number, self.caller = number, caller
        self.ends = (caller, os.pidfd_open(number))
        """What can be read when the caller has ended, and when the child has."""
        self.tell(number)

    def tell(self, what):
        with contextlib.suppress(BrokenPipeError):  # the caller has ended
            self.caller.send(str(what).encode())

    def over(self, ready):
        """Whether the child has ended; one whose caller has ended is ended, too."""
        caller, own = self.ends
        if own not in ready and caller in ready:
            os.kill(self.number, signal.SIGKILL)
        elif own not in ready:
            return False
        self.tell(os.waitstatus_to_exitcode(os.waitpid(self.number, 0)[1]))
        os.close(own)
        caller.close()
        return True


def loaded(load):
    """What `load` gives; what it loads stays, and is shared with the children."""
    become = load()
    gc.collect()
    gc.freeze()
    use_huge_pages()
    return become


def use_huge_pages():
    """Gathers memory in pages of 2 MB where the system can: a fork copies an entry for each page,
    most of what it does."""
    advise = ctypes.CDLL(None).madvise
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, access, *_ = line.split()
        begin, end = (int(address, 16) for address in place.split("-"))
        if access == "rw-p":
            for address in range(-(-begin // HUGE) * HUGE, end - HUGE + 1, HUGE):
                advise(ctypes.c_void_p(address), ctypes.c_size_t(HUGE), COLLAPSE)


def only_thread():
    threads = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    assert len(threads) == 1, f"a fork loses the other threads: {threads}"


def imported_later(file):
    """The modules that the functions of a file import when they are called."""
    for module, names in LATER.findall(file.read_text()):
        for name in names.split(","):
            name = name.split()[0]
            yield from (module, f"{module}.{name}") if module else (name,)


def attend(caller, asked, streams, become):
    """Runs a command in this process, on the caller's cores."""
    if hasattr(os, "sched_setaffinity"):
        peer = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4)
        os.sched_setaffinity(0, os.sched_getaffinity(int.from_bytes(peer, sys.byteorder)))
    caller.close()
    words, folder, environment, closed = json.loads(asked)
    take_over(streams, closed, folder, environment)
    become(streams[len(STREAMS) - len(closed) :], words)
    os._exit(0)


def take_over(streams, closed, folder, environment):
    """Gives this process the caller's streams, folder and environment."""
    os.setsid()
    theirs = iter(streams)
    for number, (name, mode) in enumerate(STREAMS):
        if number in closed:  # as Python begins where a stream is closed
            setattr(sys, name, None)
            os.close(number)
        else:
            stream = next(theirs)
            os.dup2(stream, number)
            os.close(stream)
            setattr(sys, name, os.fdopen(number, mode))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)


def run(words, aectl=None):
    """Turns this process into `aectl`, or into `python`."""
    if FORKED in os.environ:
        fork_all()
    name, *sys.argv = words
    if name == "aectl":
        sys.argv.insert(0, name)
        aectl()
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    if sys.argv[:1] in (["-P"], ["-u"]):
        sys.argv.pop(0)
    if sys.argv[:1] == ["-m"]:
        sys.argv.pop(0)
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    elif sys.argv[:1] == ["-c"]:
        exec(sys.argv.pop(1), {"__name__": "__main__"})
    elif sys.argv and sys.argv[0] != "-":
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        exec(sys.stdin.read(), {"__name__": "__main__"})
    sys.stdout.flush()


def decode(descriptors, arguments):
    """Turns this process into one that decodes images, as `decoders.START` does."""
    from aectl.config.decoding import Decoding
    from aectl.data.images.worker import Memory, serve

    _, worker, (shape, *sizes), decoding = json.loads(*arguments)
    serve(*descriptors, worker, Memory(tuple(shape), *sizes), Decoding(*decoding))


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's `&` has the tests ignore it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    servers = {COMMANDS: load_commands, DECODERS: load_decoders, READERS: load_readers}
    listen(sys.argv[2], servers[sys.argv[1]])
