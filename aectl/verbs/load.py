"""The network of a model file, as a torch module."""

from pathlib import Path
from typing import TYPE_CHECKING

from aectl.modalities import modality_of
from aectl.models import model_file

if TYPE_CHECKING:
    import os

    from aectl.models.networks import Network


def load(path: "str | os.PathLike[str]") -> "Network":
    """The network in a model file or a run folder: a torch module, on the CPU, ready for use.

    Its parameters ask for no gradient; `requires_grad_()` lets it be trained on.

    An autoencoder has `encode`, `decode` and `reconstruct`, a classifier `probabilities`, all on
    float32 tensors of shape (batch, channels, height, width) in [0, 1]. `image(path)` gives such
    a tensor, (channels, height, width), with the preprocessing of the model; `classes` are the
    names of a classifier's classes. A text autoencoder takes rows of tokens, (batch, length), int64
    and 0 behind the end of each: its `vocabulary` encodes texts and decodes tokens.

    Raises aectl.errors.ModelFileError for a file that is no model of aectl.
    """
    network, card = model_file.load(Path(path))
    network.requires_grad_(False)
    modality_of(card).equip(network, card)
    network.classes = card.classes  # type: ignore[assignment]
    return network
