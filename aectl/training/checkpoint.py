"""What an interrupted training goes on from: all of its state, as safetensors and JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from aectl.errors import ModelFileError
from aectl.files import replacing, writing
from aectl.run_files import CHECKPOINT, CHECKPOINT_FOLDER

FORMAT_VERSION = 1
KEY = "aectl-checkpoint"

TENSOR, ITEMS = "tensor of this file", "items of a mapping"
"""What stands in the JSON for a tensor, and for a mapping whose keys are no texts."""


def path_in(run: Path) -> Path:
    """Where the checkpoint of a run folder lies."""
    return run / CHECKPOINT_FOLDER / CHECKPOINT


def save(run: Path, state: Mapping[str, Any]) -> None:
    """Writes the state of a training into its run folder, in the place of an earlier one.

    It is made of mappings, lists, tensors, and what JSON knows. Raises OutputError.
    """
    from safetensors.torch import save as serialized

    tensors: dict[str, Tensor] = {}
    described = json.dumps({"format_version": FORMAT_VERSION, "state": _packed(state, tensors)})
    with writing(path_in(run).parent):
        path_in(run).parent.mkdir(exist_ok=True)
    with replacing(path_in(run), durable=True) as temporary:
        temporary.write_bytes(serialized(tensors, {KEY: described}))


def load(run: Path) -> dict[str, Any]:
    """The state that was saved last in a run folder. Raises ModelFileError where there is none."""
    from safetensors import SafetensorError, safe_open

    path = path_in(run)
    if not run.is_dir():
        raise ModelFileError(f"there is no run folder {run}")
    if not path.is_file():
        below = sorted(str(seed) for seed in run.glob("seed-*") if path_in(seed).is_file())
        raise ModelFileError(
            f"{run} holds the trainings of several seeds; {', '.join(below)} can go on"
            if below
            else f"{run} holds no checkpoint: its training is over, or never began"
        )
    try:
        with safe_open(path, framework="pt") as file:
            content = json.loads((file.metadata() or {})[KEY])
            if content["format_version"] == FORMAT_VERSION:
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
                state: dict[str, Any] = _unpacked(content["state"], tensors)
                return state
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path} is no checkpoint of aectl") from error
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
    raise ModelFileError(f"{path} was written by another version of aectl, which can go on with it")


def _packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON knows it; its tensors go into `tensors`, and their names stand for them."""
    if isinstance(value, Tensor):
        name = f"{len(tensors)}"
        tensors[name] = value.detach().cpu().clone()
        return {TENSOR: name}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: _packed(part, tensors) for key, part in value.items()}
        return {ITEMS: [[key, _packed(part, tensors)] for key, part in value.items()]}
    if isinstance(value, list | tuple):
        return [_packed(part, tensors) for part in value]
    return value


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `_packed`."""
    if isinstance(value, list):
        return [_unpacked(part, tensors) for part in value]
    if not isinstance(value, dict):
        return value
    if TENSOR in value:
        return tensors[value[TENSOR]]
    items = value[ITEMS] if ITEMS in value else value.items()
    return {key: _unpacked(part, tensors) for key, part in items}
