"""The formats of models of other programs, told by the names of files; pickles are refused."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aectl.errors import ModelFileError
from aectl.models import model_file

if TYPE_CHECKING:
    from aectl.models.imported.foreign_model import ForeignModel


class FolderFormat(NamedTuple):
    """A format that is a folder: the program, and the names of its config and of its weights."""

    program: str
    config: str
    weights: str


SAE_LENS = FolderFormat("SAELens", "cfg.json", "sae_weights.safetensors")
SPARSIFY = FolderFormat("sparsify", "cfg.json", "sae.safetensors")
DICTIONARY_LEARNING = FolderFormat("dictionary_learning", "config.json", "ae.safetensors")
FOLDERS = (SAE_LENS, SPARSIFY, DICTIONARY_LEARNING)

SAFETENSORS = ".safetensors"
WHY_NOT = "a pickle can run any program when it is loaded, so aectl loads none"
OF_TORCH = (
    "from torch import load, is_tensor; from safetensors.torch import save_file;"
    " d = load({source!r}, map_location='cpu', weights_only=True); d = d.get('state_dict', d);"
    " save_file({{k: v.clone().contiguous() for k, v in d.items() if is_tensor(v)}}, {target!r})"
)
OF_KERAS = (
    "import keras; from safetensors.numpy import save_file;"
    " m = keras.models.load_model({source!r}, compile=False);"
    " save_file({{w.path: w.numpy() for w in m.weights}}, {target!r})"
)
OF_NUMPY = (
    "import numpy; from safetensors.numpy import save_file;"
    " save_file(dict(numpy.load({source!r})), {target!r})"
)
CONVERSIONS = {
    **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle"), (WHY_NOT, OF_TORCH)),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), ("Keras alone reads it", OF_KERAS)),
    ".npz": ("an archive of NumPy may contain pickles", OF_NUMPY),
}
"""By endings, the reason against a file, and the Python that makes a safetensors file of it."""


def read(source: Path, like: Path | None) -> "ForeignModel":
    """The model in a folder, or in a file of tensors with a config that it is `like`.

    Raises ModelFileError for anything else.
    """
    if not source.is_dir() and not source.is_file():
        raise ModelFileError(f"no file or folder {source}")
    if source.is_dir():
        if like is not None:
            raise ModelFileError(f"{source} is a folder: --like describes a state dict, a file")
        return _of_folder(source)
    weights = {one.weights for one in FOLDERS if (source.parent / one.config).is_file()}
    if like is None and source.name in weights:
        return _of_folder(source.parent)
    if source.suffix.lower() in CONVERSIONS:
        raise ModelFileError(_refusal(source, source.with_suffix(SAFETENSORS)))
    if like is None:
        _refuse_own(source)
        raise ModelFileError(
            f"{source}: a state dict needs --like FILE, an aectl config that describes its network"
            " (aectl help import)"
        )
    from aectl.models.imported import dense_state_dict

    return dense_state_dict.read(source, like)


def _of_folder(folder: Path) -> "ForeignModel":
    for one in FOLDERS:
        if (folder / one.config).is_file() and (folder / one.weights).is_file():
            return _read(one, folder)
    pickled = sorted(one for one in folder.iterdir() if one.suffix.lower() in CONVERSIONS)
    for one in FOLDERS:
        if (folder / one.config).is_file() and pickled:
            raise ModelFileError(_refusal(pickled[0], folder / _weights_of(pickled[0], one)))
    _refuse_own(folder)
    raise unknown(folder)


def unknown(folder: "Path | str") -> ModelFileError:
    """The error for a folder that has none of the formats."""
    known = "; ".join(f"{one.config} and {one.weights} ({one.program})" for one in FOLDERS)
    return ModelFileError(f"{folder} is no model that aectl reads: those have {known}")


def _weights_of(pickled: Path, told: FolderFormat) -> str:
    """The name of the weights beside a config, after those of a pickle where several have it."""
    named = {Path(one.weights).stem: one.weights for one in FOLDERS if one.config == told.config}
    return named.get(pickled.stem, told.weights)


def _read(found: FolderFormat, folder: Path) -> "ForeignModel":
    """The model in a folder of a format."""
    from aectl.models.imported import dictionary_learning_folder, sae_lens_folder, sparsify_folder
    from aectl.models.imported.foreign_files import ForeignConfig, ForeignTensors

    readers = {
        SAE_LENS: sae_lens_folder.read,
        SPARSIFY: sparsify_folder.read,
        DICTIONARY_LEARNING: dictionary_learning_folder.read,
    }
    config = ForeignConfig.of_file(folder / found.config)
    return readers[found](config, ForeignTensors(folder / found.weights))


def _refuse_own(source: Path) -> None:
    """Raises ModelFileError for a model of aectl."""
    try:
        model_file.read_card(source)
    except ModelFileError:
        return
    raise ModelFileError(f"{source} is a model of aectl already")


def _refusal(pickled: Path, target: Path) -> str:
    """The reason against a file, and the command that makes a safetensors file of it."""
    why, code = CONVERSIONS[pickled.suffix.lower()]
    line = code.format(source=str(pickled), target=str(target))
    return (
        f"{pickled}: {why}; this makes {target.name} of it:\n  {shlex.join(['python', '-c', line])}"
    )
