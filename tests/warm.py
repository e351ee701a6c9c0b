"""`aectl`, and Python, in processes that have loaded torch: a start takes each of them two seconds.

A server loads aectl's modules and what they import, uses none of them, and forks for each command.
A command has the arguments, folder, environment, streams and cores of its caller. The caller is a
`Process`, or this file, run as a program, where it stands for `aectl` or `python` in a script.
Others have loaded what decodes images and what reads Parquet, and fork for each `Decoder` and each
`Reader`. A server loads its modules at its first command, and serves all processes that share the
tests.
"""

import array
import contextlib
import gc
import importlib
import json
import os
import re
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
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

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables of the environment with the number of threads that numpy, scipy and torch begin."""

LATER = re.compile(r"^ +(?:from (\S+) )?import \(?([\w., ]+)", re.MULTILINE)
"""An import in a function."""

COMMANDS, DECODERS, READERS, FORKED = (
    f"AECTL_TEST_{name}" for name in ("COMMANDS", "DECODERS", "READERS", "FORKED")
)
"""Variables of the environment: the sockets of the servers, and whether the processes that a
command begins are forked, too."""

ENDINGS = []
"""The servers that this process has started, and their folders."""

MOST = 1 << 17
"""Bytes of the arguments and the environment of a command."""


def start():
    """Starts the servers, for this process and those that it starts."""
    for variable in (COMMANDS, DECODERS, READERS):
        folder = Path(tempfile.mkdtemp())
        process = subprocess.Popen(
            [sys.executable, __file__, variable, folder / "socket"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, **dict.fromkeys(THREADS, "1")},
        )  # fmt: skip
        ENDINGS.append((process, folder))
        assert process.stdout.readline() == b"listening\n"
        os.environ[variable] = str(folder / "socket")
        for name in ("aectl", "python"):
            words = f"{sys.executable} -SE {__file__} {folder}/socket {name}"
            (folder / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            (folder / name).chmod(0o755)


def end():
    """Ends the servers that this process has started."""
    for process, folder in ENDINGS:
        process.communicate()
        shutil.rmtree(folder)


def scripts():
    """A folder with programs that stand for `aectl` and `python`."""
    return Path(os.environ[COMMANDS]).parent


class Process:
    """A running program, as `subprocess.Popen` shows it, with three streams of its caller's.

    `words` begin with `aectl` or `python`."""

    SERVER = COMMANDS

    def __init__(self, words, folder, environment, streams):
        path = os.environ[self.SERVER]
        self.pid, self._server = begin(path, words, folder, environment, streams)
        self.returncode, self._waiting = None, threading.Lock()

    def send_signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self):
        if self.returncode is None:
            self.send_signal(signal.SIGKILL)

    def wait(self, timeout=None):
        with self._waiting:  # as of Popen, several threads may wait for one process
            if self.returncode is None:
                self._server.settimeout(timeout)
                self.returncode = int(self._server.recv(MOST))
                self._server.close()
        return self.returncode


class Command(Process):
    """A running program whose streams are pipes."""

    def __init__(self, *words, folder):
        pipes = [os.pipe() for _ in STREAMS]
        theirs = pipes[0][0], pipes[1][1], pipes[2][1]
        self.stdin = os.fdopen(pipes[0][1], "wb")
        self.stdout, self.stderr = (os.fdopen(pipe[0], "rb") for pipe in pipes[1:])
        super().__init__(list(map(str, words)), str(folder), dict(os.environ), theirs)
        for stream in theirs:
            os.close(stream)

    def communicate(self, text=b"", timeout=None):
        with ThreadPoolExecutor() as threads:
            shown = [threads.submit(stream.read) for stream in (self.stdout, self.stderr)]
            with contextlib.suppress(BrokenPipeError), self.stdin:
                self.stdin.write(text)
            self.wait(timeout)
        return tuple(one.result() for one in shown)

    def close(self):
        """Ends it, if it has not ended."""
        self.kill()
        self.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.close()


class Decoder(Process):
    """Stands for `subprocess.Popen` where `aectl` starts a process that decodes images."""

    SERVER = DECODERS

    def __init__(self, command, stdin, stdout, stderr, pass_fds):
        assert (stdin, stdout, stderr) == (subprocess.PIPE, subprocess.PIPE, subprocess.DEVNULL)
        pipes = [os.pipe() for _ in range(2)]
        theirs = pipes[0][0], pipes[1][1], os.open(os.devnull, os.O_WRONLY)
        self.stdin, self.stdout = os.fdopen(pipes[0][1], "wb"), os.fdopen(pipes[1][0], "rb")
        *_, described = command
        super().__init__([described], os.getcwd(), dict(os.environ), (*theirs, *pass_fds))
        for stream in theirs:
            os.close(stream)


class Reader(Process):
    """Stands for `subprocess.Popen` where `aectl` starts a process that reads Parquet."""

    SERVER = READERS

    def __init__(self, command, stdin, stdout, stderr):
        assert (stdin, stdout, stderr) == (subprocess.DEVNULL, subprocess.PIPE, subprocess.DEVNULL)
        out, theirs = os.pipe()
        self.stdout, nothing = os.fdopen(out, "rb"), os.open(os.devnull, os.O_RDWR)
        super().__init__(
            ["python", *command[1:]], os.getcwd(), dict(os.environ), (nothing, theirs, nothing)
        )
        os.close(theirs)
        os.close(nothing)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stdout.close()
        self.wait()


def begin(path, words, folder, environment, streams):
    """Has the server at `path` begin a command; returns its number, and where its status comes.

    Of the first three streams, those that are None are closed in the command.
    """
    closed = [number for number, stream in enumerate(streams) if stream is None]
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    caller.connect(path)
    sent = array.array("i", [stream for stream in streams if stream is not None])
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)
    caller.sendmsg([json.dumps([words, folder, environment, closed]).encode()], [rights])
    return int(caller.recv(MOST)), caller


def python(code, *arguments, folder="."):
    """What a program in Python prints, in a process of its own; it must end well."""
    with contextlib.closing(Command("python", "-c", code, *arguments, folder=folder)) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


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
    from aectl.outputs import page

    page._plotly()  # which is compressed once in a process
    make_commands_once()
    for command in typer.main.get_command(app).commands.values():
        for parameter in command.params:
            parameter.get_runtime_param()
    only_thread()
    return lambda streams, words: run(words, program)


def make_commands_once():
    """Typer makes all commands from their functions whenever a program begins."""
    import typer

    make, made = typer.main.get_command, []

    def get_command(app):
        of = [app, *app.registered_commands]
        if not made or made[0] != of:
            made[:] = of, make(app)
        return made[1]

    typer.main.get_command = get_command


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
    become = None
    while 0 not in select.select([0, listener], [], [])[0]:
        become = become or loaded(load)
        caller = listener.accept()[0]
        if os.fork() == 0:
            listener.close()
            attend(caller, become)
        caller.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    with contextlib.suppress(ChildProcessError):
        while os.wait():  # so that their processor time counts
            pass


def loaded(load):
    """What `load` gives; what it loads stays, and is shared with the children."""
    become = load()
    gc.freeze()
    return become


def only_thread():
    threads = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    assert len(threads) == 1, f"a fork loses the other threads: {threads}"


def imported_later(file):
    """The modules that the functions of a file import when they are called."""
    for module, names in LATER.findall(file.read_text()):
        for name in names.split(","):
            name = name.split()[0]
            yield from (module, f"{module}.{name}") if module else (name,)


def attend(caller, become):
    """Runs a command in a child, and tells the caller its number and its status."""
    asked, streams, _, _ = socket.recv_fds(caller, MOST, len(STREAMS) + 1)
    if hasattr(os, "sched_setaffinity"):
        peer = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4)
        os.sched_setaffinity(0, os.sched_getaffinity(int.from_bytes(peer, sys.byteorder)))
    number = os.fork()
    if number == 0:
        caller.close()
        words, folder, environment, closed = json.loads(asked)
        take_over(streams, closed, folder, environment)
        become(streams[len(STREAMS) - len(closed) :], words)
        os._exit(0)
    for stream in streams:
        os.close(stream)
    with contextlib.suppress(BrokenPipeError):  # the caller has ended
        caller.send(str(number).encode())
        if caller in select.select([caller, os.pidfd_open(number)], [], [])[0]:
            os.kill(number, signal.SIGKILL)
        caller.send(str(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])).encode())
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


def is_open(number):
    with contextlib.suppress(OSError):
        return bool(os.fstat(number))
    return False


def fork_all():
    """Processes that decode images, or read Parquet, are forked where they would load numpy anew
    each time."""
    from aectl.data import frame_process
    from aectl.data.images import decoders

    pipes = {"PIPE": subprocess.PIPE, "DEVNULL": subprocess.DEVNULL}
    decoders.subprocess = SimpleNamespace(Popen=Decoder, **pipes)
    frame_process.subprocess = SimpleNamespace(Popen=Reader, **pipes)


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
    elif sys.argv:
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
    servers = {COMMANDS: load_commands, DECODERS: load_decoders, READERS: load_readers}
    if sys.argv[1] in servers:
        listen(sys.argv[2], servers[sys.argv[1]])
    else:
        there = [number if is_open(number) else None for number in range(len(STREAMS))]
        pid, ending = begin(sys.argv[1], sys.argv[2:], os.getcwd(), dict(os.environ), there)
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda number, frame: os.kill(pid, number))
        status = int(ending.recv(MOST))
        sys.exit(status if status >= 0 else 128 - status)
