"""The `.safetensors` file that is a whole model: writing, checking and loading it.

The weights are its tensors; all else stands as JSON in its metadata under the key `aectl`.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl import run_files
from aectl.architecture import Architecture
from aectl.errors import ConfigError, ModelFileError
from aectl.files import replacing
from aectl.types import Shape
from aectl.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aectl.models import Network

FORMAT_VERSION = 1
KEY = "aectl"
FILE_NAME = run_files.MODEL
LARGEST_HEADER = 8 * 2**20
"""Bytes in which names, shapes and metadata must find room: a longer header is not even read."""


@dataclass(frozen=True)
class ModelCard:
    """What a model file says beside its weights.

    `value_range` are the values in a file that become black and white, where the format does not
    say; `classes` are the names of a classifier's classes, `vocabulary` that of a model of text;
    `training` holds the options, the data and the versions of the run that made it, as JSON values;
    `weights_sha256` is the `digest` of the weights, where the file tells.
    """

    architecture: Architecture
    classes: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    weights_sha256: str | None = None
    vocabulary: Vocabulary | None = None
    value_range: tuple[float, float] | None = None

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of the images that the model takes."""
        return self.architecture.shape

    @property
    def dataset(self) -> str:
        """The dataset or the folder that the model was trained on."""
        options = self.training.get("options", {})
        return str(options.get("dataset", "")) if isinstance(options, Mapping) else ""

    def to_json(self) -> dict[str, Any]:
        """The content of the metadata's key `aectl`."""
        vocabulary = {"vocabulary": self.vocabulary.to_json()} if self.vocabulary else {}
        digest = {"weights_sha256": self.weights_sha256} if self.weights_sha256 else {}
        return {
            "format_version": FORMAT_VERSION,
            "kind": self.architecture.kind,
            "architecture": self.architecture.to_json(),
            "preprocessing": self._preprocessing(),
            "classes": self.classes,
            "training": self.training,
            **vocabulary,
            **digest,
        }

    def _preprocessing(self) -> dict[str, Any]:
        channels, height, width = self.shape
        if self.architecture.tokens:
            return {"length": width, **OF_TEXTS}
        values = {} if self.value_range is None else {"value_range": list(self.value_range)}
        sides = {"channels": channels, "height": height, "width": width}
        return {**sides, **PREPROCESSING, **values}

    @classmethod
    def from_json(cls, described: object) -> "ModelCard":
        """The inverse of `to_json`. Raises ModelFileError for anything else."""
        if not isinstance(described, dict):
            raise ModelFileError("its description is no JSON object")
        version = described.get("format_version")
        if type(version) is not int or version < 1:
            raise ModelFileError(f"it has no format version, but {version!r}")
        if version > FORMAT_VERSION:
            raise ModelFileError(
                f"it is of format version {version}, and this aectl reads up to"
                f" {FORMAT_VERSION}: a newer aectl can read it"
            )
        try:
            architecture = Architecture.from_json(described.get("architecture"))
        except ConfigError as error:
            raise ModelFileError(f"its architecture is not one: {error}") from None
        classes, training = described.get("classes"), described.get("training")
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ModelFileError("its classes are no list of names")
        if len(classes) != architecture.classes:
            raise ModelFileError(
                f"it names {len(classes)} classes for {architecture.classes} outputs"
            )
        if not isinstance(training, dict):
            raise ModelFileError("it does not say how it was trained")
        weights_sha256 = described.get("weights_sha256")
        if not isinstance(weights_sha256, str | None):
            raise ModelFileError("the digest of its weights is no text")
        vocabulary = None
        if architecture.tokens:
            vocabulary = Vocabulary.from_json(described.get("vocabulary"))
            if len(vocabulary) != architecture.tokens:
                raise ModelFileError(
                    f"it has {len(vocabulary)} tokens for a network of {architecture.tokens}"
                )
        values = _value_range(described.get("preprocessing"))
        card = cls(architecture, tuple(classes), training, weights_sha256, vocabulary, values)
        for name in ("kind", "preprocessing"):
            if described.get(name) != card.to_json()[name]:
                raise ModelFileError(f"its {name} does not fit its architecture")
        return card


def _value_range(preprocessing: object) -> tuple[float, float] | None:
    """The values that become black and white; older files tell none. Raises ModelFileError."""
    if not isinstance(preprocessing, dict) or "value_range" not in preprocessing:
        return None
    given = preprocessing["value_range"]
    if (
        not isinstance(given, list)
        or len(given) != 2
        or not all(type(value) is float and math.isfinite(value) for value in given)
        or not given[0] < given[1]
    ):
        raise ModelFileError(f"its range of values is {given!r}, not two numbers, the lower first")
    return given[0], given[1]


PREPROCESSING = {
    "scaling": "0..255 to 0..1",
    "resize": "bilinear, antialiased",
    "transparency": "over white",
}
"""How `data.images` makes pixels out of a file, the same for every model of this version."""

OF_TEXTS = {"text": "UTF-8, a text a line", "tokens": "byte-pair encoding of bytes"}
"""How a model of text makes tokens out of a file."""


def resolve(path: Path) -> Path:
    """The model file that `path` names: itself, or the one in a run folder.

    Raises ModelFileError where there is none.
    """
    if path.is_dir():
        if not (path / FILE_NAME).is_file():
            raise ModelFileError(f"the folder {path} holds no {FILE_NAME}")
        return path / FILE_NAME
    if not path.exists():
        raise ModelFileError(f"no model file {path}")
    return path


def read_card(path: Path) -> ModelCard:
    """What a model file says beside its weights, without loading torch. Raises ModelFileError."""
    return _open(resolve(path))[0]


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The name and shape of each tensor of a model file. Raises ModelFileError."""
    return _open(resolve(path))[1]


def save(path: Path, network: "Network", card: ModelCard) -> None:
    """Writes a model file. Raises OutputError."""
    from safetensors.torch import save as serialized

    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    weights = digest({name: value.numpy() for name, value in tensors.items()})
    described = dataclasses.replace(card, weights_sha256=weights).to_json()
    with replacing(path, durable=True) as temporary:
        temporary.write_bytes(serialized(tensors, {KEY: json.dumps(described)}))


def digest(tensors: "Mapping[str, NDArray[np.float32]]") -> str:
    """SHA-256 of the weights: of each tensor, sorted by name, a line with its name and shape, and
    its values as they stand in the file.
    """
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {list(value.shape)}\n".encode())
        found.update(value.astype("<f4", order="C", copy=False).data)
    return found.hexdigest()


def verify(path: Path) -> None:
    """Computes the digest of the weights in a model file anew, without loading torch.

    Raises ModelFileError where it is not the one that the file tells, or it tells none.
    """
    from safetensors.numpy import load_file

    path = resolve(path)
    card = _open(path)[0]
    if card.weights_sha256 is None:
        raise ModelFileError(f"{path} holds no digest of its weights: an older aectl wrote it")
    if card.weights_sha256 != digest(load_file(path)):
        raise ModelFileError(f"{path}: its weights are not those that were saved")


def load(path: Path) -> "tuple[Network, ModelCard]":
    """The network in a model file, on the CPU and ready for use, and the card beside it.

    Raises ModelFileError where the file is no model, or its tensors are not those that its
    description asks for.
    """
    import torch
    from safetensors.torch import load_file

    path = resolve(path)
    card, shapes = _open(path)
    try:
        with torch.device("meta"):
            network = card.architecture.build()
    except RuntimeError as error:
        raise ModelFileError(f"{path}: its architecture cannot be built: {error}") from None
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    _compare(path, wanted, shapes)
    weights = load_file(path)
    for name, value in weights.items():
        if not value.isfinite().all():
            raise ModelFileError(f"{path}: tensor {name!r} holds values that are no finite numbers")
    network.load_state_dict(weights, assign=True)
    return network.eval(), card


def _open(path: Path) -> tuple[ModelCard, dict[str, tuple[int, ...]]]:
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb") as start:
            length = int.from_bytes(start.read(8), "little")
        if LARGEST_HEADER < length < path.stat().st_size:
            raise ModelFileError(f"{path} is not a model: its header takes {length:,} bytes")
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            types = {part.get_dtype() for part in slices.values()}
    except (SafetensorError, ValueError):
        raise ModelFileError(f"{path} is not a model: no .safetensors file") from None
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from None
    if KEY not in metadata:
        raise ModelFileError(f"{path} is a .safetensors file, but no model of aectl")
    try:
        card = ModelCard.from_json(json.loads(metadata[KEY]))
    except (ValueError, RecursionError):
        raise ModelFileError(f"{path}: its description is no JSON") from None
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    if types - {"F32"}:
        raise ModelFileError(f"{path}: its weights are {', '.join(sorted(types))}, not F32")
    return card, shapes


def _compare(
    path: Path, wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises ModelFileError where the tensors are not those that the architecture needs."""
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise ModelFileError(
                f"{path}: tensor {name!r} should be {wanted.get(name, 'absent')}"
                f" and is {found.get(name, 'absent')}"
            )
