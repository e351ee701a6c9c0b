"""The `.safetensors` file of a model: functions to write, verify and load it.

The weights are its tensors; all else is JSON in its metadata under the key `aectl`, and ends with
the digest of the text before it.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from aectl.config import run_files
from aectl.config.spelling import is_utf_8, shell_word
from aectl.errors import ModelFileError
from aectl.files import opened, replacing
from aectl.models import metadata, tensor_file
from aectl.models.architecture import Architecture
from aectl.models.calibration import NORMAL, PREFIX
from aectl.models.model_card import FORMAT_VERSION, ModelCard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from aectl.models.networks import Network

T = TypeVar("T")

KEY = "aectl"
FILE_NAME = run_files.MODEL
LARGEST_HEADER = 8 * 2**20
"""Maximum bytes of the header, with names, shapes and metadata; a longer header is not read."""

LONGEST_MESSAGE = 300

MOST_AXES = 8
"""Maximum number of dimensions of a tensor."""


def resolve(path: Path) -> Path:
    """The model file that `path` names: the file itself, or the one in a run folder.

    Raises ModelFileError if there is none.
    """
    if path.is_dir():
        if not (path / FILE_NAME).is_file():
            begun = (path / run_files.CHECKPOINT_FOLDER).is_dir()
            why = f" yet; aectl train --resume {shell_word(str(path))} continues" if begun else ""
            raise ModelFileError(f"the folder {path} holds no {FILE_NAME}{why}")
        return path / FILE_NAME
    if not path.exists():
        raise ModelFileError(f"no model file {path}")
    if not path.is_file():
        raise ModelFileError(f"{path} is not a model: it is not a regular file")
    return path


def read_card(path: Path) -> ModelCard:
    """Reads the card of a model file, without loading torch. Raises ModelFileError."""
    return _open(resolve(path)).card


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The name and shape of each tensor of a model file. Raises ModelFileError."""
    return _open(resolve(path)).shapes


def save(
    path: Path,
    network: "Network",
    card: ModelCard,
    tensors: "Mapping[str, Tensor] | None" = None,
    calibrated: "Mapping[str, Tensor] | None" = None,
) -> None:
    """Writes a model file, with `tensors` instead of the network's own, if given; `calibrated`: the
    tensors of the card's calibration.

    Raises OutputError.
    """
    named = dict(network.state_dict() if tensors is None else tensors)
    named |= {f"{PREFIX}{name}": tensor for name, tensor in (calibrated or {}).items()}
    weights = digest((name, named[name].cpu().numpy()) for name in sorted(named))
    card = dataclasses.replace(card, weights_sha256=weights, format_version=FORMAT_VERSION)
    header = {KEY: metadata.write(card.to_json())}
    with replacing(path, durable=True) as temporary:
        tensor_file.write(temporary, named, header)


def digest(tensors: "Iterable[tuple[str, NDArray[np.float32]]]") -> str:
    """SHA-256 of the weights: for each tensor, sorted by name, a line with its name and shape, and
    its values as they are in the file.
    """
    found = hashlib.sha256()
    for name, value in tensors:
        found.update(f"{name} {list(value.shape)}\n".encode())
        found.update(value.astype("<f4", order="C", copy=False).data)
    return found.hexdigest()


class Verified(NamedTuple):
    """Whether the weights and the description are verified; format version 1 has no digest of the
    description.
    """

    weights: bool
    description: bool


def verify(path: Path) -> Verified:
    """Verifies the digests in a model file, without loading torch: that of the weights, and that of
    the description, which contains the first.

    Raises ModelFileError if a digest does not match, or the file has none of its weights.
    """
    from safetensors import safe_open

    path = resolve(path)
    card, shapes, described = _open(path)
    if card.weights_sha256 is None:
        raise ModelFileError(f"{path} has no digest of its weights: an older aectl wrote it")
    if card.format_version > 1 and not metadata.is_as_written(described):
        raise ModelFileError(f"{path}: its description was changed after it was saved")
    with safe_open(path, framework="numpy") as file:
        found = digest((name, file.get_tensor(name)) for name in sorted(shapes))
    if card.weights_sha256 != found:
        raise ModelFileError(f"{path}: its weights are not those that were saved")
    return Verified(weights=True, description=card.format_version > 1)


def load(path: Path) -> "tuple[Network, ModelCard]":
    """Loads the network of a model file, on the CPU and in eval mode, and its card.

    Raises ModelFileError if the file is not a model, or its tensors do not match its description.
    """
    from aectl.models.build import build_network
    from aectl.models.shape_rules import without_values

    path = resolve(path)
    card, shapes, _ = _open(path)
    try:
        with without_values():
            network = build_network(card.architecture)
    except RuntimeError as error:
        raise ModelFileError(f"{path}: its architecture cannot be built: {error}") from None
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    _compare(path, wanted, _of_network(shapes))
    weights = _of_network(_tensors(path))
    for name, value in weights.items():
        _refuse_not_finite(path, name, bool(value.isfinite().all()))
    network.load_state_dict(weights, assign=True)
    return network.eval(), card


def load_arrays(
    path: Path, shapes_of: Callable[[Architecture], Mapping[str, tuple[int, ...]]]
) -> "tuple[ModelCard, dict[str, NDArray[np.float32]]]":
    """Loads the card of a model file and the tensors of its network, without torch.

    shapes_of: returns the shape of each tensor of an architecture, by name.

    Raises ModelFileError if the file is not a model, or its tensors do not match its description.
    """
    import numpy as np

    path = resolve(path)
    card, shapes, _ = _open(path)
    _compare(path, shapes_of(card.architecture), _of_network(shapes))
    weights = _of_network(_arrays(path))
    for name, value in weights.items():
        _refuse_not_finite(path, name, bool(np.isfinite(value).all()))
    return card, weights


def load_calibration(path: Path) -> "dict[str, Tensor]":
    """The tensors of the calibration of a model, by name. Raises ModelFileError."""
    path = resolve(path)
    _open(path)
    found = {
        name.removeprefix(PREFIX): tensor
        for name, tensor in _tensors(path).items()
        if name.startswith(PREFIX)
    }
    for name, tensor in found.items():
        _refuse_not_finite(path, f"{PREFIX}{name}", bool(tensor.isfinite().all()))
    return found


class _Opened(NamedTuple):
    """The card, the shapes of the tensors, and the text of the card."""

    card: ModelCard
    shapes: dict[str, tuple[int, ...]]
    described: str


def _open(path: Path) -> _Opened:
    from safetensors import SafetensorError, safe_open

    try:
        with opened(path) as start:
            length = int.from_bytes(start.read(8), "little")
        if LARGEST_HEADER < length < path.stat().st_size:
            raise ModelFileError(f"{path} is not a model: its header takes {length:,} bytes")
        with safe_open(path, framework="numpy") as file:
            told = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            types = {part.get_dtype() for part in slices.values()}
    except (SafetensorError, ValueError):
        raise ModelFileError(f"{path} is not a model: not a .safetensors file") from None
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from None
    if KEY not in told:
        raise ModelFileError(f"{path} is a .safetensors file, but not a model of aectl")
    try:
        card = ModelCard.from_json(metadata.parse(told[KEY]))
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {_in_short(str(error))}") from None
    if types - {"F32"}:
        raise ModelFileError(f"{path}: its weights are {', '.join(sorted(types))}, not F32")
    for name, shape in shapes.items():
        if len(shape) > MOST_AXES:
            raise ModelFileError(f"{path}: tensor {name!r} has {len(shape)} dimensions")
    wanted = (card.calibration.n,) if card.calibration else None
    kept = any(name.startswith(PREFIX) for name in shapes)
    if shapes.get(PREFIX + NORMAL) != wanted or kept != (wanted is not None):
        raise ModelFileError(f"{path}: its calibration does not fit its tensors")
    return _Opened(card, shapes, told[KEY])


def _in_short(message: str) -> str:
    """Cuts a long message, which may quote much of the file."""
    return message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}..."


def _tensors(path: Path) -> "dict[str, Tensor]":
    from safetensors.torch import load, load_file

    # safetensors opens files by names in UTF-8 alone
    return load_file(path) if is_utf_8(str(path)) else load(path.read_bytes())


def _arrays(path: Path) -> "dict[str, NDArray[np.float32]]":
    from safetensors.numpy import load, load_file

    return load_file(path) if is_utf_8(str(path)) else load(path.read_bytes())


def _of_network(named: Mapping[str, T]) -> dict[str, T]:
    """Selects the entries of the tensors of the network, by name, not those of its calibration."""
    return {name: one for name, one in named.items() if not name.startswith(PREFIX)}


def _refuse_not_finite(path: Path, name: str, finite: bool) -> None:
    if not finite:
        raise ModelFileError(f"{path}: tensor {name!r} contains values that are not finite")


def _compare(
    path: Path, wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises ModelFileError if the tensors are not those of the architecture."""
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise ModelFileError(
                f"{path}: tensor {metadata.shown(name)} should be {wanted.get(name, 'absent')}"
                f" and is {found.get(name, 'absent')}"
            )
