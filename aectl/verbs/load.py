"""The network of a model file, as a torch module."""

from typing import TYPE_CHECKING

from aectl.modalities import modality_of
from aectl.models import model_file
from aectl.verbs.hub import located

if TYPE_CHECKING:
    import os

    from aectl.models.networks import Network


def load(path: "str | os.PathLike[str]") -> "Network":
    """The network in a model file or a run folder, or at the URL of either: a torch module, on the
    CPU, in eval mode.

    >>> model = aectl.load("model.safetensors")
    >>> image = model.image("photos/0.png")
    >>> image.shape, model.encode(image[None]).shape, model.reconstruct(image[None]).shape
    (torch.Size([1, 8, 8]), torch.Size([1, 32]), torch.Size([1, 1, 8, 8]))

    Its parameters have no gradient; `requires_grad_()` lets you train it. The settings of torch
    stay as they are: on a GPU, convolutions are in tf32 unless `torch.backends.cudnn.allow_tf32`
    is set to False, as the commands do.

    An autoencoder has `encode`, `decode` and `reconstruct`, a classifier `probabilities`, all on
    float32 tensors of shape (batch, channels, height, width) in [0, 1]. `image(path)` gives such
    a tensor, (channels, height, width), with the preprocessing of the model; `classes` are the
    names of a classifier's classes. A text autoencoder takes rows of tokens, (batch, length), int64
    and 0 after the end of each: its `vocabulary` encodes text and decodes tokens.

    An autoencoder of vectors takes float32 rows, (batch, features), in the order of its `columns`,
    if these have names; its `scaling`, if it has one, is not part of `encode` and `decode`.

    Raises aectl.errors.ModelFileError for a file that is no model of aectl.
    """
    network, card = model_file.load(located(path))
    network.requires_grad_(False)
    modality_of(card).equip(network, card)
    network.classes = card.classes  # type: ignore[assignment]
    return network
