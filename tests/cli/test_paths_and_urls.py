"""Each option that takes a path works with a URL, or refuses it with a message of one line."""

from pathlib import Path

import fsspec
import pytest
import typer

from aectl.cli.app import app

PATHS = ("FILE", "DIR", "INPUT", "RUN")
"""The words that stand for paths in the help."""

READ = {"--dataset", "--normal", "--fit-to", "--calibrate", "--relative-to"}
WRITTEN = {
    ("reconstruct", "--out"), ("encode", "--out"), ("classify", "--out"), ("detect", "--out"),
    ("merge", "--out"),
}  # fmt: skip
"""Options that take a URL of inputs, or, beside --errors, of a file to write: other files test that
these work."""

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


def takes_urls(command, option):
    return option in {*READ, "--errors"} or (command, option) in WRITTEN


@pytest.mark.parametrize(("command", "option"), [one for one in OPTIONS if not takes_urls(*one)])
def test_an_option_that_takes_no_url_refuses_it(aectl, dense, command, option):
    url = "memory://test-of-options/none/x.csv"
    needed = NEEDED.get(command, ())
    words = [] if command == "train" else [dense]
    done = aectl(command, *words, *(() if option in needed else needed), option, url)
    assert (done.status, done.out) == (2, "")
    assert done.err == f"aectl: {option} takes a path of this machine, not a URL\n"
    assert not fsspec.filesystem("memory").exists(url)
    assert not list(Path().iterdir())


@pytest.mark.parametrize("address", ["10.0.0.1:6379", "10.0.0.1", "ray://10.0.0.1:10001"])
def test_clusters_elsewhere_refuse_urls(aectl, dense, monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    done = aectl("encode", dense, "digits", "--engine", "ray", "--out", "memory://x/y.csv")
    assert done.status == 2
    assert "--engine on a cluster cannot write to a URL" in done.err


def test_patches_refuse_urls(aectl):
    done = aectl("train", "--dataset", "patches:memory://x/y", "--out", "run")
    assert (done.status, done.out) == (2, "")
    said = "patches: cuts patches from a folder of this machine, not from a URL; copy it first"
    assert said in done.err
