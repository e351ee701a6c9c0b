"""What the verbs that use a model have in common: opening it, and its inputs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from aectl import model_file
from aectl.cli import console
from aectl.errors import DataError, ModelFileError
from aectl.model_file import ModelCard
from aectl.sections import AUTOENCODERS

if TYPE_CHECKING:
    from aectl.data.inputs import Inputs
    from aectl.models import Classifier
    from aectl.models.autoencoder import AutoencoderBase


def read_card(path: Path, verb: str, kinds: tuple[str, ...]) -> ModelCard:
    """What a model file says. Raises ModelFileError for a model that `verb` has no use for."""
    card = model_file.read_card(path)
    if card.architecture.kind not in kinds:
        wanted = "an autoencoder" if kinds == AUTOENCODERS else f"a {kinds[0]}"
        raise ModelFileError(f"{verb} needs {wanted}; {path} is a {card.architecture.kind}")
    return card


def load_autoencoder(path: Path) -> "AutoencoderBase":
    """The autoencoder in a model file whose card has been read. Raises ModelFileError."""
    return cast("AutoencoderBase", model_file.load(path)[0])


def load_classifier(path: Path) -> "Classifier":
    """The classifier in a model file whose card has been read. Raises ModelFileError."""
    return cast("Classifier", model_file.load(path)[0])


def open_inputs(
    words: list[str] | None,
    card: ModelCard,
    data_dir: Path | None,
    *,
    null: bool = False,
    labels_from_folders: bool = False,
) -> "Inputs":
    """The inputs that the user named, or else the dataset that the model was trained on."""
    from aectl.data.inputs import Inputs

    if not words:
        if not card.dataset:
            raise DataError("the model does not say what it was trained on; name an INPUT")
        words = [card.dataset]
    return Inputs(
        words,
        console.data_dir(data_dir),
        sys.stdin.buffer,
        null_separated=null,
        labels_from_folders=labels_from_folders,
    )
