"""Damaged checkpoints: bytes, fields of other types, tensors of other shapes, and lies that carry
a right digest.
"""

import dataclasses
import itertools
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import torch
from damage import DAMAGES
from damaged_models import change
from torch import Tensor

from aectl.data.storage.folders import ignore
from aectl.errors import DataError
from aectl.models import tensor_file
from aectl.progress import silent
from aectl.training import checkpoint
from aectl.training.reading import Reading
from aectl.training.state import TrainingCommand, TrainingState
from aectl.training.versions import versions
from aectl.verbs import machine, resuming
from aectl.verbs.planning import new_run, prepare, prepare_again

READING = Reading(Path("none"), ignore)
TEXTS = "".join(f"{who} sees {n}\n" for who in ("he", "she") for n in range(30))
KINDS: tuple[dict[str, Any], ...] = (
    {"hidden": "5,4", "dropout": 0.1},
    {"sparsity": "topk", "k": 2, "k_start": 3, "hidden": 4, "aux_k": 1},
    {"model": "classifier", "hidden": 4, "validation": 0.2, "keep": "best"},
    {"optimizer": "sgd", "stack": 1, "hidden": "5,4"},
    {"optimizer": "muon", "hidden": 4},
    {"optimizer": "lbfgs", "hidden": 3},
    {"model": "text-autoencoder", "hidden": "4,3", "vocabulary": 300, "length": 4},
)
EVENTS_BEFORE, EVENTS_AFTER = 4, 4


@cache
def folder() -> Path:
    """A folder with a file of texts, and with no other files."""
    made = Path(tempfile.mkdtemp())
    (made / "t.txt").write_text(TEXTS)
    return made


@cache
def written(number: int) -> bytes:
    """A sound checkpoint of one of the kinds."""
    options = KINDS[number]
    dataset = str(folder() / "t.txt") if "text" in options.get("model", "") else "digits"
    config, data = prepare({"dataset": dataset, "epochs": 3, **options}, {}, READING)
    run = new_run(config, data, torch.device("cpu"), None)
    events = run.epochs()
    for event in itertools.islice(events, EVENTS_BEFORE + number % 2):
        last = event
    if getattr(last, "losses", None) is not None:
        next(events)  # its row
    session = TrainingCommand(
        options=config.values(), asked=dict(options), continued=[], cwd=os.fspath(folder()),
        data_dir="none", data_sha256=data.checksum, device="cpu", threads=1,
        versions=versions(), name="", following={},
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        checkpoint.save(Path(place), TrainingState(session, run.state()))
        return checkpoint.path_in(Path(place)).read_bytes()


def taken_apart(content: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The JSON and the tensors of a sound checkpoint."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        tensors, metadata = tensor_file.read(Path(file.name))
    return json.loads(metadata[checkpoint.KEY]), tensors


def put_together(described: Any, tensors: dict[str, Tensor], forged: bool) -> bytes:
    """A checkpoint of these; only a `forged` one has the digest of its content."""
    content = json.dumps(described)
    found = checkpoint.digest(content, tensors) if forged else "0" * 64
    with tempfile.NamedTemporaryFile() as file:
        metadata = {checkpoint.KEY: content, checkpoint.DIGEST: found}
        tensor_file.write(Path(file.name), tensors, metadata)
        return Path(file.name).read_bytes()


def other(tensor: Tensor, chance: Random) -> Tensor:
    """A tensor of another type, shape or content."""
    ways = (
        lambda: tensor.to(chance.choice((torch.float64, torch.int32, torch.uint8, torch.bool))),
        lambda: tensor[None].expand(chance.choice((0, 2)), *tensor.shape).contiguous(),
        lambda: tensor.flatten()[: tensor.numel() // 2].clone(),
        lambda: torch.full_like(tensor, chance.choice((0, 1, 127))),
        lambda: torch.full((), 3.0),
        lambda: torch.zeros(chance.choice((1, 7, 100_000))),
        lambda: tensor + float("nan") if tensor.is_floating_point() else ~tensor,
    )
    return chance.choice(ways)()


def damaged_checkpoint(number: int) -> bytes:
    """The damaged checkpoint of this number."""
    chance = Random(number)
    content = written(number % len(KINDS))
    kind = chance.random()
    if kind < 0.3:
        for _ in range(chance.choice((1, 1, 2))):
            content = chance.choice(DAMAGES)(content, chance) or b"\0"
        return content
    described, tensors = taken_apart(content)
    if kind < 0.75:
        for _ in range(chance.choice((1, 1, 3))):
            state = described["state"]
            inner = state.get("run")
            change(inner if isinstance(inner, dict) and chance.random() < 0.6 else state, chance)
    for _ in range(0 if kind < 0.7 else chance.choice((1, 2))):
        name = chance.choice(list(tensors))
        tensors[name] = other(tensors[name], chance)
    return put_together(described, tensors, forged=chance.random() < 0.8)


def go_on(path: Path) -> None:
    """Lets training go on from it for a few steps, as `train --resume` does."""
    with tempfile.TemporaryDirectory() as place:
        run_folder = Path(place)
        checkpoint.path_in(run_folder).parent.mkdir()
        checkpoint.path_in(run_folder).write_bytes(path.read_bytes())
        state = resuming.load(run_folder, {}, others=False)
        session = state.session
        try:
            os.chdir(session.cwd)
        except OSError as error:
            raise DataError(str(error)) from None  # as the command line says it
        config, data = prepare_again({}, session.options, READING, state.run)
        if config.training.compile:
            return  # half a minute of the C++ compiler, whatever else is in the file
        resuming.compare(session, data, silent)
        device = machine.torch_device(session.device, session.threads)
        torch.set_num_threads(1)
        run = new_run(config, data, device, None, state.run)
        resuming.restore(run, state, {}, silent)
        for _ in itertools.islice(run.epochs(), EVENTS_AFTER):
            run.card()
        dataclasses.asdict(session)
