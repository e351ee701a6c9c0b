"""What a terminal shows of a training, as a terminal of its own sees it."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pyte
import pytest
import warm

DEADLINE = 600
TRAIN = ("train", "--dataset", "digits", "--hidden", "12", "--epochs", "30", "--out", "run")
ESCAPE = b"\x1b"
COLOUR = re.compile(rb"\x1b\[[0-9;]*m")


def in_terminal(*arguments, folder, columns=80, lines=40, stop=None, **environment):
    """The exit status and the bytes that a command writes to a terminal of this size."""
    theirs, ours = pty.openpty()[::-1]
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    cleared = {"NO_COLOR", "COLORTERM", "FORCE_COLOR", "COLUMNS", "LINES"}
    known = {name: value for name, value in os.environ.items() if name not in cleared}
    settings = {"TERM": "xterm-256color", "LANG": "C.UTF-8", **known, **environment}
    settings["TERM"] = environment.get("TERM", "xterm-256color")
    with command_in(theirs, list(map(str, arguments)), folder, settings) as process:
        seen, until = b"", time.monotonic() + DEADLINE
        while time.monotonic() < until:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # it has closed the terminal
                break
            if stop is not None and stop in seen:
                process.send_signal(signal.SIGINT)
                stop = None
        os.close(ours)
        return process.wait(DEADLINE), seen


@contextlib.contextmanager
def command_in(terminal, words, folder, settings):
    """A command whose streams are the terminal; warmed, unless Python is to begin otherwise."""
    if "PYTHONUTF8" in settings:
        process = subprocess.Popen(
            [sys.executable, "-m", "aectl", *words], cwd=folder, env=settings,
            stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        )  # fmt: skip
    else:
        process = warm.Process(["aectl", *words], str(folder), settings, (terminal,) * 3)
    os.close(terminal)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def screen_of(seen, columns=80, lines=40):
    """The lines that such a terminal shows in the end, without the empty ones."""
    screen = pyte.HistoryScreen(columns, lines, history=1000)
    pyte.ByteStream(screen).feed(seen)
    assert not screen.cursor.hidden
    return [line.rstrip() for line in screen.display if line.strip()]


def plain_lines(lines):
    return [line for line in lines if re.match(r"epoch \d+/30 {2}loss", line)]


def assert_preview(seen, columns):
    """Originals above reconstructions, in colour."""
    blocks = [line for line in screen_of(seen, columns) if "▀" in line]
    assert len(blocks) == 2 * 4  # eight pixels are four characters
    assert all(line == " ".join(["▀" * 8] * 8) for line in blocks)
    assert b"38;2;0;0;0;48;2;0;0;0m" in seen  # a corner of a digit is black


@pytest.mark.parametrize("columns", [80, 160])
def test_a_terminal_shows_the_last_epochs_the_course_of_the_loss_and_a_preview(tmp_path, columns):
    status, seen = in_terminal(*TRAIN, folder=tmp_path, columns=columns, COLORTERM="truecolor")
    assert status == 0
    lines = [line for line in screen_of(seen, columns) if "▀" not in line]
    assert_preview(seen, columns)
    head = next(n for n, line in enumerate(lines) if line.startswith("epoch"))
    assert lines[head].split()[:3] == ["epoch", "loss", "train_mse"]
    assert lines[head].split()[-2:] == ["images/s", "s"]
    rows = lines[head + 1 : head + 9]
    assert [row.split()[0] for row in rows] == [str(epoch) for epoch in range(23, 31)]
    assert re.fullmatch(r"loss █[▁▂▃▄▅▆▇█]{28}▁", lines[head + 9])
    assert lines[-3:] == [
        "run/model.safetensors", "look: run/report.html in a browser", "next: aectl eval run",
    ]  # fmt: skip


@pytest.mark.parametrize("settings", [{"lines": 24}, {"TERM": "xterm-mono"}])
def test_there_is_no_preview_without_colour_or_room(tmp_path, settings):
    status, seen = in_terminal(*TRAIN, folder=tmp_path, **settings)
    assert status == 0
    assert "▀".encode() not in seen


def test_no_colour_is_none_and_no_preview(tmp_path):
    _, seen = in_terminal(*TRAIN, folder=tmp_path, NO_COLOR="1")
    assert "▀".encode() not in seen
    numbers = {part for code in COLOUR.findall(seen) for part in code[2:-1].split(b";")}
    assert numbers <= {b"", b"0", b"1", b"2"}  # bold and dim are no colours


def test_an_ascii_terminal_gets_ascii(tmp_path):
    settings = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    status, seen = in_terminal(*TRAIN, folder=tmp_path, **settings)
    assert status == 0
    assert seen.isascii()


def test_a_narrow_terminal_gets_fewer_columns_and_whole_figures(tmp_path):
    _, seen = in_terminal(*TRAIN, folder=tmp_path, columns=30)
    lines = screen_of(seen, 30)
    head = next(n for n, line in enumerate(lines) if line.startswith("epoch  "))
    assert lines[head].split() == ["epoch", "loss", "train_mse"]
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("how", [("--plain",), {"TERM": "dumb"}])
def test_plain_lines_come_where_a_terminal_cannot_move_or_is_told_so(tmp_path, how):
    options, settings = (how, {}) if isinstance(how, tuple) else ((), how)
    status, seen = in_terminal(*TRAIN, *options, folder=tmp_path, **settings)
    assert status == 0
    assert ESCAPE not in seen
    lines = seen.decode().splitlines()
    assert len(plain_lines(lines)) == 11
    assert max(map(len, lines)) <= 80


def test_quiet_says_nothing_but_the_result(tmp_path):
    status, seen = in_terminal(*TRAIN, "--quiet", folder=tmp_path)
    assert (status, seen) == (0, b"run/model.safetensors\r\n")


def test_an_interruption_leaves_the_terminal_as_it_was(tmp_path):
    options = (*TRAIN[:-4], "--epochs", "5000", "--out", "run")
    status, seen = in_terminal(*options, folder=tmp_path, stop=b"images/s")
    assert status == 130
    lines = screen_of(seen)
    assert "interrupted" in " ".join(lines)
    assert "--resume run" in " ".join(lines)


SWEEP = (
    "train", "--dataset", "v.npy", "--hidden", "12", "--sparsity", "topk", "--k", "1,3,10",
    "--shuffle-buffer", "100", "--out", "run",
)  # fmt: skip


def test_runs_side_by_side_have_a_row_each_until_they_are_compared(tmp_path):
    np.save(tmp_path / "v.npy", np.random.default_rng(0).random((400, 8)))
    status, seen = in_terminal(*SWEEP, "--epochs", "3", folder=tmp_path, columns=120)
    assert status == 0
    lines = screen_of(seen, 120)
    assert [line.split()[:2] for line in lines if "train_mse" in line] == [["loss", "train_mse"]]
    assert [line.split()[0] for line in lines[-4:-1]] == ["k-1", "k-3", "k-10"]
    for rows in (rb"\nk-1  +[0-3]", rb"\nk-10 +[0-3]", rb"epoch [1-3]/3  \xe2\x94\x81"):
        assert re.search(rows, COLOUR.sub(b"", seen))


def test_an_interruption_leaves_the_last_epoch_of_each_run(tmp_path):
    np.save(tmp_path / "v.npy", np.random.default_rng(0).random((400, 8)))
    options = (*SWEEP, "--epochs", "5000")
    status, seen = in_terminal(*options, folder=tmp_path, columns=60, stop=b"train_mse")
    assert status == 130
    lines = screen_of(seen, 60)
    head = next(n for n, line in enumerate(lines) if line.split()[:2] == ["epoch", "loss"])
    rows = [line.split() for line in lines[head + 1 : head + 4]]
    assert [name for name, *_ in rows] == ["k-1", "k-3", "k-10"]
    assert all(int(epoch.replace(",", "")) > 0 for _, epoch, *_ in rows)
    assert "━" not in "".join(lines)


def test_stdout_stays_clean_while_stderr_is_a_terminal(tmp_path):
    theirs, ours = pty.openpty()[::-1]
    with open(os.devnull) as nothing, (tmp_path / "out").open("w") as out:
        streams = nothing.fileno(), out.fileno(), theirs
        process = warm.Process(["aectl", *TRAIN], str(tmp_path), dict(os.environ), streams)
    os.close(theirs)
    while True:
        try:
            os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    assert process.wait(DEADLINE) == 0
    assert (tmp_path / "out").read_bytes() == b"run/model.safetensors\n"
