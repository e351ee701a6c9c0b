"""The file from which a training goes on: its state as safetensors and JSON, under one digest."""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from aectl import tensor_file
from aectl.errors import ModelFileError
from aectl.files import replacing, temporaries, writing
from aectl.run_files import CHECKPOINT, CHECKPOINT_FOLDER, FINISHED
from aectl.training.state import TrainingState, built, flat

FORMAT_VERSION = 2
KEY, DIGEST = "aectl-checkpoint", "sha256"

TENSOR, ITEMS = "tensor of this file", "items of a mapping"
"""What stands in the JSON for a tensor, and for a mapping whose keys are no texts."""


def path_in(run: Path) -> Path:
    """Where the checkpoint of a run folder lies while its training is not over."""
    return run / CHECKPOINT_FOLDER / CHECKPOINT


def finished_in(run: Path) -> Path:
    """Where the state at the end of training lies."""
    return run / CHECKPOINT_FOLDER / FINISHED


def is_finished(run: Path) -> bool:
    """Whether the training of a run folder is over, and its state kept."""
    return not path_in(run).is_file() and finished_in(run).is_file()


def is_kept(run: Path) -> bool:
    """Whether there is a state to go on from."""
    return path_in(run).is_file() or finished_in(run).is_file()


def save(run: Path, state: TrainingState) -> None:
    """Writes the state of a training into its run folder, in the place of an earlier one.

    Raises OutputError.
    """
    tensors: dict[str, Tensor] = {}
    content = json.dumps({"format_version": FORMAT_VERSION, "state": _packed(flat(state), tensors)})
    with writing(path_in(run).parent):
        path_in(run).parent.mkdir(exist_ok=True)
    with replacing(path_in(run), durable=True) as temporary:
        metadata = {KEY: content, DIGEST: digest(content, tensors)}
        tensor_file.write(temporary, tensors, metadata)
    with writing(finished_in(run)):
        finished_in(run).unlink(missing_ok=True)


def finish(run: Path) -> None:
    """Keeps the last state as that of a training that is over. Raises OutputError."""
    with writing(finished_in(run)):
        path_in(run).replace(finished_in(run))


def remove(run: Path) -> None:
    """Removes what is kept in a run folder, and nothing else."""
    remove_half_written(run)
    for path in (path_in(run), finished_in(run)):
        with contextlib.suppress(OSError):
            path.unlink()
    with contextlib.suppress(OSError):
        (run / CHECKPOINT_FOLDER).rmdir()


def remove_half_written(run: Path) -> None:
    """Removes what a process that was killed while it saved has left."""
    with contextlib.suppress(OSError):
        for temporary in temporaries(path_in(run)):
            temporary.unlink(missing_ok=True)


def load(run: Path) -> TrainingState:
    """The state that was saved last in a run folder.

    Raises ModelFileError where there is none, or it is not what was saved.
    """
    path = finished_in(run) if is_finished(run) else path_in(run)
    _refuse_absent(run, path)
    try:
        tensors, metadata = tensor_file.read(path)
        content = metadata[KEY]
        described = json.loads(content)
        version = described["format_version"]
        if version == FORMAT_VERSION and metadata[DIGEST] == digest(content, tensors):
            return built(_unpacked(described["state"], tensors))
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        reason = f": {error}" if type(error) is ValueError else ""
        raise ModelFileError(f"{path} is not a checkpoint of aectl{reason}") from error
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"{path} was written by another version of aectl; continue with that version"
        )
    raise ModelFileError(
        f"{path} is damaged: its content was changed after it was saved; restore a copy, or"
        " --load RUN starts a new training from the last model"
    )


def digest(content: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a checkpoint: of its JSON, and of each tensor's entry in the header and values."""
    found = hashlib.sha256(content.encode())
    header = tensor_file.described(tensors)
    for name, entry in header.items():
        found.update(json.dumps([name, entry]).encode())
        found.update(tensor_file.values(tensors[name]))
    return found.hexdigest()


def _refuse_absent(run: Path, path: Path) -> None:
    """Raises ModelFileError where a run folder holds no checkpoint, and says what does."""
    if not run.is_dir():
        raise ModelFileError(f"there is no run folder {run}")
    if path.is_file():
        return
    below = sorted(str(seed) for seed in run.glob("seed-*") if path_in(seed).is_file())
    if below:
        raise ModelFileError(
            f"{run} holds the trainings of several seeds; {', '.join(below)} can go on"
        )
    if any(is_finished(seed) for seed in run.glob("seed-*")):
        raise ModelFileError(
            f"{run} holds finished trainings of several seeds; --resume takes the folder of one"
        )
    raise ModelFileError(
        f"{run} has no checkpoint to continue from; --load starts a new training from a model's"
        " weights"
    )


def _packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON knows it; its tensors go into `tensors`, and their names stand for them."""
    if isinstance(value, Tensor):
        name = f"{len(tensors)}"
        tensors[name] = value
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
