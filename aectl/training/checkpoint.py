"""Checkpoints: the state of a training as safetensors and JSON, protected by one digest."""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from aectl.config.run_files import CHECKPOINT, CHECKPOINT_FOLDER, FINISHED
from aectl.errors import ModelFileError
from aectl.files import replacing, temporaries, writing
from aectl.models import tensor_file
from aectl.training.state import TrainingState, built, flat

FORMAT_VERSION = 3
KEY, DIGEST = "aectl-checkpoint", "sha256"

TENSOR, ITEMS = "tensor of this file", "items of a mapping"
"""Keys that mark, in the JSON, a tensor and a mapping whose keys are not strings."""


def path_in(run: Path) -> Path:
    """The path of the checkpoint of a run folder whose training is not finished."""
    return run / CHECKPOINT_FOLDER / CHECKPOINT


def finished_in(run: Path) -> Path:
    """The path of the state at the end of training."""
    return run / CHECKPOINT_FOLDER / FINISHED


def is_finished(run: Path) -> bool:
    """Whether the training of a run folder is finished and its last state was kept."""
    return not path_in(run).is_file() and finished_in(run).is_file()


def is_kept(run: Path) -> bool:
    """Whether there is a state from which training can continue."""
    return path_in(run).is_file() or finished_in(run).is_file()


def save(run: Path, state: TrainingState) -> None:
    """Writes the state of a training into its run folder, replacing an earlier one.

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
    """Marks the last saved state as that of a finished training. Raises OutputError."""
    with writing(finished_in(run)):
        path_in(run).replace(finished_in(run))


def remove(run: Path) -> None:
    """Removes the saved states from a run folder, and no other file."""
    remove_half_written(run)
    for path in (path_in(run), finished_in(run)):
        with contextlib.suppress(OSError):
            path.unlink()
    with contextlib.suppress(OSError):
        (run / CHECKPOINT_FOLDER).rmdir()


def remove_half_written(run: Path) -> None:
    """Removes the files of a process that was killed while it saved."""
    with contextlib.suppress(OSError):
        for temporary in temporaries(path_in(run)):
            temporary.unlink(missing_ok=True)


def load(run: Path) -> TrainingState:
    """The state that was last saved in a run folder.

    Raises ModelFileError where there is none, or the file was changed or damaged.
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
    """SHA-256 of a checkpoint: its JSON, then the header entry and the values of each tensor."""
    found = hashlib.sha256(content.encode())
    header = tensor_file.described(tensors)
    for name, entry in header.items():
        found.update(json.dumps([name, entry]).encode())
        found.update(tensor_file.values(tensors[name]))
    return found.hexdigest()


def _refuse_absent(run: Path, path: Path) -> None:
    """Raises ModelFileError where a run folder has no checkpoint; names folders that have one."""
    if not run.is_dir():
        raise ModelFileError(f"there is no run folder {run}")
    if path.is_file():
        return
    runs = sorted(one for one in run.iterdir() if is_kept(one))
    if left := [str(one) for one in runs if not is_finished(one)]:
        raise ModelFileError(f"{run} holds several trainings; {', '.join(left)} can go on")
    if runs:
        raise ModelFileError(
            f"{run} holds several finished trainings; --resume takes the folder of one"
        )
    raise ModelFileError(
        f"{run} has no checkpoint to continue from; --load starts a new training from a model's"
        " weights"
    )


def _packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON types; tensors are moved into `tensors` and replaced by their names."""
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
