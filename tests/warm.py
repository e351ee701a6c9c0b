"""`aectl` in processes that have loaded torch already: a start takes each of them two seconds.

A server loads aectl's modules and what they import, uses none of them, and forks for each command.
A command has the arguments, folder, environment and streams that its caller sends. The caller is a
`Process`, or this file, run as a program, where it stands for `aectl` in a script. Another server
has loaded what decodes images, and forks for each `Decoder`.
"""

import array
import contextlib
import functools
import gc
import importlib
import json
import os
import re
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

COMMANDS_OWN = (
    "onnxruntime", "polars", "sklearn", "torch._dynamo", "torch.utils.tensorboard", "torchvision",
)  # fmt: skip
"""Modules that a command loads itself: they begin threads, or few commands need them."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables of the environment with the number of threads that numpy, scipy and torch begin."""

LATER = re.compile(r"^ +(?:from (\S+) )?import \(?([\w., ]+)", re.MULTILINE)
"""An import in a function."""

DECODERS = "AECTL_TEST_DECODERS"
"""The variable of the environment with the socket of the server that forks for each `Decoder`, for
a command whose decoders are forked, too."""

ENDINGS = []
"""The servers, and their folders."""

MOST = 1 << 17
"""Bytes of the arguments and the environment of a command."""


@functools.cache
def server(what="serve"):
    """The server, and a folder with its socket and with an `aectl` for scripts."""
    folder = Path(tempfile.mkdtemp())
    command = [sys.executable, __file__, what, folder / "socket"]
    one_thread = {**os.environ, **dict.fromkeys(THREADS, "1")}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=one_thread
    )
    ENDINGS.append((process, folder))
    assert process.stdout.readline() == b"ready\n"
    script = folder / "aectl"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -SE {__file__} {folder}/socket "$@"\n')
    script.chmod(0o755)
    return process, folder


def end():
    """Ends the servers that there are."""
    for process, folder in ENDINGS:
        process.communicate()
        shutil.rmtree(folder)


class Process:
    """A running `aectl`, as `subprocess.Popen` shows it, with three streams of its caller's."""

    SERVER = "serve"

    def __init__(self, arguments, folder, environment, streams):
        path = self.socket()
        self.pid, self._server = begin(path, arguments, folder, environment, streams)
        self.returncode, self._waiting = None, threading.Lock()

    def socket(self):
        return str(server(self.SERVER)[1] / "socket")

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
    """A running `aectl` whose streams are pipes."""

    def __init__(self, *arguments, folder):
        pipes = [os.pipe() for _ in STREAMS]
        theirs = pipes[0][0], pipes[1][1], pipes[2][1]
        self.stdin = os.fdopen(pipes[0][1], "wb")
        self.stdout, self.stderr = (os.fdopen(pipe[0], "rb") for pipe in pipes[1:])
        super().__init__(list(map(str, arguments)), str(folder), dict(os.environ), theirs)
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

    SERVER = "decode"

    def __init__(self, command, stdin, stdout, stderr, pass_fds):
        assert (stdin, stdout, stderr) == (subprocess.PIPE, subprocess.PIPE, subprocess.DEVNULL)
        pipes = [os.pipe() for _ in range(2)]
        theirs = pipes[0][0], pipes[1][1], os.open(os.devnull, os.O_WRONLY)
        self.stdin, self.stdout = os.fdopen(pipes[0][1], "wb"), os.fdopen(pipes[1][0], "rb")
        *_, described = command
        super().__init__([described], os.getcwd(), dict(os.environ), (*theirs, *pass_fds))
        for stream in theirs:
            os.close(stream)

    def socket(self):
        return os.environ.get(DECODERS) or super().socket()


def begin(path, arguments, folder, environment, streams):
    """Has the server at `path` begin a command; returns its number, and where its status comes.

    Of the first three streams, those that are None are closed in the command.
    """
    closed = [number for number, stream in enumerate(streams) if stream is None]
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    caller.connect(path)
    sent = array.array("i", [stream for stream in streams if stream is not None])
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)
    caller.sendmsg([json.dumps([arguments, folder, environment, closed]).encode()], [rights])
    return int(caller.recv(MOST)), caller


def serve(path):
    """Serves commands until stdin is closed."""
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
    listen(path, lambda streams, words: run_command(program, words))


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


def serve_decoders(path):
    """Serves processes that decode images until stdin is closed."""
    for name in LIGHT:
        importlib.import_module(name)
    listen(path, decode)


def listen(path, become):
    """Forks for each caller, and has the child `become` what the caller wants."""
    threads = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    assert len(threads) == 1, f"a fork loses the other threads: {threads}"
    gc.freeze()  # what is loaded stays, and is shared with the children
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    print("ready", flush=True)
    while 0 not in select.select([0, listener], [], [])[0]:
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


def imported_later(file):
    """The modules that the functions of a file import when they are called."""
    for module, names in LATER.findall(file.read_text()):
        for name in names.split(","):
            name = name.split()[0]
            yield from (module, f"{module}.{name}") if module else (name,)


def attend(caller, become):
    """Runs a command in a child, and tells the caller its number and its status."""
    asked, streams, _, _ = socket.recv_fds(caller, MOST, len(STREAMS) + 1)
    number = os.fork()
    if number == 0:
        caller.close()
        arguments, folder, environment, closed = json.loads(asked)
        take_over(streams, closed, folder, environment)
        become(streams[len(STREAMS) - len(closed) :], arguments)
        os._exit(0)
    for stream in streams:
        os.close(stream)
    with contextlib.suppress(BrokenPipeError):  # the caller has ended
        caller.send(str(number).encode())
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


def fork_decoders():
    """Processes that decode images are forked where they would load numpy anew each time."""
    from aectl.data.images import decoders

    pipes = {"PIPE": subprocess.PIPE, "DEVNULL": subprocess.DEVNULL}
    decoders.subprocess = SimpleNamespace(Popen=Decoder, **pipes)


def run_command(program, arguments):
    """Turns this process into `aectl`."""
    if DECODERS in os.environ:
        fork_decoders()
    sys.argv = ["aectl", *arguments]
    program()


def decode(descriptors, arguments):
    """Turns this process into one that decodes images, as `decoders.START` does."""
    from aectl.config.decoding import Decoding
    from aectl.data.images.worker import Memory, serve

    _, worker, (shape, *sizes), decoding = json.loads(*arguments)
    serve(*descriptors, worker, Memory(tuple(shape), *sizes), Decoding(*decoding))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    elif sys.argv[1] == "decode":
        serve_decoders(sys.argv[2])
    else:
        there = [number if is_open(number) else None for number in range(len(STREAMS))]
        _, ending = begin(sys.argv[1], sys.argv[2:], os.getcwd(), dict(os.environ), there)
        status = int(ending.recv(MOST))
        sys.exit(status if status >= 0 else 128 - status)
