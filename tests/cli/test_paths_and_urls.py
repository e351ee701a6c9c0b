"""Every option that takes a path: it works at a URL, or refuses one in a line."""

from pathlib import Path

import fsspec
import pytest
import typer

from aectl.cli.app import app

PATHS = ("FILE", "DIR", "INPUT", "RUN")
"""The words that stand for paths in the help."""

READ = {"--dataset", "--normal", "--fit-to", "--calibrate", "--relative-to"}
"""Options that take a URL of inputs; other files test that they read it."""

WRITTEN = {
    ("reconstruct", "--out"), ("encode", "--out"), ("classify", "--out"), ("detect", "--out"),
    ("merge", "--out"),
}  # fmt: skip
"""Options that take a URL of a file to write, beside --errors of all commands."""

NEEDED = {
    "export": ("--out", "x.onnx"),
    "import": ("--out", "x.safetensors"),
    "train": ("--dataset", "digits", "--epochs", "1", "--hidden", "2"),
}

COMMANDS = typer.main.get_command(app).commands

OPTIONS = [
    (command, one.opts[0])
    for command, made in COMMANDS.items()
    for one in made.params
    if any(word in (one.metavar or "") for word in PATHS) and one.opts[0].startswith("-")
]


def test_the_options_are_found():
    assert len(OPTIONS) > 40
    assert {option for _, option in OPTIONS} >= {*READ, "--maps", "--report", "--truth", "--like"}


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_an_option_takes_a_url_or_refuses_it(aectl, dense, command, option):
    if option in READ:
        return
    url = "memory://test-of-options/none/x.csv"
    needed = NEEDED.get(command, ())
    words = [] if command == "train" else [dense]
    done = aectl(command, *words, *(() if option in needed else needed), option, url)
    if (command, option) in WRITTEN or option == "--errors":
        assert "takes a path of this machine" not in done.err
    else:
        assert (done.status, done.out) == (2, "")
        assert done.err == f"aectl: {option} takes a path of this machine, not a URL\n"
        assert not fsspec.filesystem("memory").exists(url)
        assert not list(Path().iterdir())
    assert not list(Path().glob("memory*"))
    if fsspec.filesystem("memory").exists("/test-of-options"):
        fsspec.filesystem("memory").rm("/test-of-options", recursive=True)


def test_patches_and_clusters_refuse_urls(aectl, dense, monkeypatch):
    done = aectl("train", "--dataset", "patches:memory://x/y", "--out", "run")
    assert (done.status, done.out) == (2, "")
    assert "patches: cuts from a folder of this machine, not from a URL; copy it first" in done.err
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    done = aectl("encode", dense, "digits", "--engine", "ray", "--out", "memory://x/y.csv")
    assert done.status == 2
    assert "--engine on a cluster writes to a folder that all machines share" in done.err
