"""`aectl`, and Python, in processes that have loaded torch: a start takes each of them two seconds.

Servers (`warm_server`) fork for each command; a command has the arguments, folder, environment,
streams and cores of its caller. The caller is a `Process`, or `warm_caller`, which stands for
`aectl` or `python` in a script. The servers serve all processes that share the tests.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

from warm_caller import MOST, STREAMS, begin

HERE = Path(__file__).parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables of the environment with the number of threads that numpy, scipy and torch begin."""

COMMANDS, DECODERS, READERS, FORKED = (
    f"AECTL_TEST_{name}" for name in ("COMMANDS", "DECODERS", "READERS", "FORKED")
)
"""Variables of the environment: the sockets of the servers, and whether the processes that a
command begins are forked, too."""

ENDINGS = []
"""The servers that this process has started, and their folders."""


def start():
    """Starts the servers, for this process and those that it starts."""
    for variable in (COMMANDS, DECODERS, READERS):
        folder = Path(tempfile.mkdtemp())
        process = subprocess.Popen(
            [sys.executable, HERE / "warm_server.py", variable, folder / "socket"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, **dict.fromkeys(THREADS, "1")},
        )  # fmt: skip
        ENDINGS.append((process, folder))
        assert process.stdout.readline() == b"listening\n"
        os.environ[variable] = str(folder / "socket")
        for name in ("aectl", "python"):
            words = f"{sys.executable} -SE {HERE}/warm_caller.py {folder}/socket {name}"
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


def python(code, *arguments, folder="."):
    """What a program in Python prints, in a process of its own; it must end well."""
    with contextlib.closing(Command("python", "-c", code, *arguments, folder=folder)) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def fork_all():
    """Processes that decode images, or read Parquet, are forked where they would load numpy anew
    each time."""
    from aectl.data import frame_process
    from aectl.data.images import decoders

    pipes = {"PIPE": subprocess.PIPE, "DEVNULL": subprocess.DEVNULL}
    decoders.subprocess = SimpleNamespace(Popen=Decoder, **pipes)
    frame_process.subprocess = SimpleNamespace(Popen=Reader, **pipes)


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
