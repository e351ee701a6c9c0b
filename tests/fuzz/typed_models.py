"""Model files that are sound but for a value of their description, which is of another type."""

import copy
import io
import json
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from safetensors.numpy import load, save
from sklearn.datasets import load_digits

from aectl.cli import main
from aectl.errors import ModelFileError
from aectl.models import model_file

SECONDS = 3.0
"""Of computing, for a command."""

OF_ALL = 60.0
"""Seconds in which all commands are over on a machine that others keep busy."""

DEEP: Any = 0
for _ in range(30):
    DEEP = {"deep": [DEEP]}
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -0.0, 1, -1, 2, 0.5, 3.7, 1e-300, -1e308, 1e308, 2**31, 2**53, 2**63,
    -(2**63), 10**400, float("nan"), float("inf"), float("-inf"), "", "a", "1", "NaN", "</script>",
    "a\nb", "\x1b]0;a\x07", "\u202e", "\ud800", "\udce9", "\0", "x" * 70_000, [], [0], [1.5], [""],
    ["a", "a"], [None], [[]], [-1, 2**40], [0] * 1000, {}, {"a": 1}, {"": None}, {"\ud800": 1},
    DEEP,
)  # fmt: skip
"""Every type of JSON, and of each what is odd."""


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the values of a description stand, with those of lists and objects in it."""
    if at:
        yield at
    if isinstance(value, dict):
        for name, part in value.items():
            yield from places(part, (*at, name))
    elif isinstance(value, list) and len(value) < 20:
        for number, part in enumerate(value):
            yield from places(part, (*at, number))


def typed_model(content: bytes, number: int) -> bytes:
    """A file in whose description a value is another one, is missing, or has one beside it."""
    chance = Random(number)
    length = int.from_bytes(content[:8], "little")
    text = json.loads(content[8 : 8 + length])["__metadata__"]["aectl"]
    described = json.loads(text)
    for _ in range(chance.choice((1, 1, 1, 2))):
        _change(described, chance)
    if chance.random() < 0.02:
        text = text[:-1] + ', "kind": "autoencoder"}'
    else:
        text = json.dumps(described)
        if chance.random() < 0.02:
            text = text.replace("0.", "1e999", 1)
    tensors = load(content)
    if chance.random() < 0.1:
        name = chance.choice(sorted(tensors))
        tensors[name] = np.full_like(tensors[name], chance.choice((3e38, 1e30, -1e20)))
    return save(tensors, {"aectl": text})


def _change(described: dict[str, Any], chance: Random) -> None:
    """Changes one of its values."""
    *way, last = chance.choice(list(places(described)))
    holder: Any = described
    for name in way:
        holder = holder[name]
    kind = chance.random()
    if kind < 0.1:
        del holder[last]
    elif kind < 0.2 and isinstance(holder, dict):
        holder[chance.choice(("more", "", "\ud800", "a\nb"))] = copy.deepcopy(chance.choice(VALUES))
    elif kind < 0.5:
        alike = [value for value in VALUES if isinstance(value, type(holder[last]))]
        holder[last] = copy.deepcopy(chance.choice(alike))
    else:
        holder[last] = copy.deepcopy(chance.choice(VALUES))


@cache
def texts() -> Path:
    """A file with some texts."""
    path = Path(tempfile.mkdtemp()) / "texts.tsv"
    path.write_text("0\tone word\n1\tanother word and another\n")
    return path


@cache
def images() -> Path:
    """A data folder whose MNIST are a few of the digits: some models encode one at a time."""
    folder = Path(tempfile.mkdtemp())
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = (load_digits().images[:50] * 15).astype(np.uint8)
    (raw / "t10k-images-idx3-ubyte").write_bytes(
        struct.pack(">4I", 0x803, 50, 8, 8) + bytes(pixels)
    )
    labels = bytes(range(10)) * 5
    (raw / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 50) + labels)
    return folder


def use(path: Path, within: float = SECONDS) -> None:
    """Runs every command on a model file, each `within` so many seconds of processor time.

    Raises ModelFileError where it is refused, AssertionError where a command fails in another way.
    """
    words = [["info", path], ["info", "--json", "--verify", path]]
    try:
        card = model_file.read_card(path)
    except ModelFileError:
        assert [_run(within, *command) for command in words] == [2, 2]
        raise
    classes = card.architecture.classes
    read = "mnist:test" if card.vocabulary is None else texts()
    more = ["--data-dir", images()] if card.vocabulary is None else []
    verb = [["classify"]] if classes else [["encode"], ["reconstruct", "--out", _beside(path)]]
    if card.calibration:
        verb += [["detect"]]
    words += [[*start, path, read, *more, "--overwrite", "-q"] for start in verb]
    words.append(["eval", path, "--dataset", read, *more, "--json"])
    if card.vocabulary is None:
        words.append(["eval", path, "--dataset", read, *more, "--report",
                      path.with_name("r.html"), "--overwrite"])  # fmt: skip
    statuses = {_run(within, *command) for command in words}
    assert statuses <= {0, 1, 2}
    model_file.load(path)


def _beside(path: Path) -> Path:
    text = model_file.read_card(path).vocabulary is not None
    return path.with_name("made.csv" if text else "made.png")


def _run(within: float, *words: object) -> int:
    """The exit status of a command."""
    before, begun = (sys.argv, sys.stdout, sys.stderr), time.process_time()
    sys.argv = ["aectl", *map(str, words)]
    sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    try:
        status = main()
        said = sys.stderr.getvalue()
    finally:
        sys.argv, sys.stdout, sys.stderr = before
    for wrong in ("defect", "Traceback", "Warning"):
        assert wrong not in said, f"aectl {words[0]}: {said}"
    seconds = time.process_time() - begun  # of this process alone: others may keep the machine busy
    assert seconds < within, f"aectl {words[0]} took {seconds:.1f} s"
    assert status != 2 or said, f"aectl {words[0]} says nothing"
    return status
