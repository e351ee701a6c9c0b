"""State dicts of dense autoencoders, of PyTorch and of Keras, in safetensors.

An aectl config says what the network is; which tensor is which layer follows from its names and
shapes: `encoder.0.weight` is (outputs, inputs) in PyTorch, `dense/kernel` (inputs, outputs) in
Keras. Whatever is not settled by them is refused.
"""

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.config.kinds import VECTORS
from aectl.config.model_options import ModelConfig
from aectl.config.shapes import InputShape, VectorShape, both
from aectl.config.written_options import read_toml
from aectl.errors import ConfigError, ModelFileError
from aectl.models.architecture import Architecture
from aectl.models.imported.foreign_files import ForeignTensors, listed
from aectl.models.imported.foreign_model import ForeignModel

WITHOUT_PARAMETERS = ("none", "kl", "l1", "topk", "wta", "omp-1")
"""The rules of sparsity that have no numbers of their own at inference."""

MATRICES = {"weight": False, "kernel": True}
"""The names of matrices, and whether they are (inputs, outputs)."""

COLOURS = ("channels", "height", "width")

LayerSizes = tuple[int, int]
"""(inputs, outputs) of a layer."""


@dataclass(frozen=True)
class DenseLayer:
    """The matrix of a layer, (outputs, inputs), its bias, and the names of both in the file."""

    name: str
    weight: Tensor
    bias: Tensor | None
    by_column: bool

    @property
    def sizes(self) -> LayerSizes:
        """Inputs and outputs."""
        return self.weight.shape[1], self.weight.shape[0]

    @property
    def side(self) -> str:
        """encoder or decoder, as the name says; "" if it says neither."""
        said = re.findall("enc|dec", re.sub("auto[-_]?encoder", "", self.name.lower()))
        return {"enc": "encoder", "dec": "decoder"}[said[-1]] if said else ""

    @property
    def stem(self) -> str:
        """The name without its numbers."""
        return re.sub(r"_?\d+", "", self.name)

    @property
    def rank(self) -> tuple[int, ...]:
        """Its place among layers of the same sizes: an encoder's before a decoder's, then by the
        numbers in the names."""
        return int(self.side == "decoder"), *map(int, re.findall(r"\d+", self.name))

    def precedes(self, other: "DenseLayer") -> bool:
        """Whether the names say that it comes before another layer of the same sizes."""
        if (self.side, other.side) == ("encoder", "decoder"):
            return True
        return (self.side, self.stem) == (other.side, other.stem) and self.rank < other.rank


def read(file: Path, like: Path) -> ForeignModel:
    """The model of a file of tensors whose network the config `like` describes.

    Raises ModelFileError and ConfigError.
    """
    given = read_toml(like)
    config = _config(given, like)
    tensors = ForeignTensors(file)
    shapes = {name: tuple(value.shape) for name, value in tensors.left.items()}
    layers, biases = _layers(tensors)
    try:
        settled, shape = _settled(config, layers, like)
        widths = [math.prod(shape), *(settled.hidden or ())]
        weights = _placed(widths, settled.tied, layers, biases)
    except ValueError as error:
        of = f"hidden = {list(config.model.hidden or ())}"
        tied = " and tied = true" if config.model.tied else ""
        raise ModelFileError(f"{file}: {error}, with {of}{tied}: it has {listed(shapes)}") from None
    if len(shape) == len(COLOURS) and shape[0] > 1 and any(one.by_column for one in layers):
        raise ModelFileError(
            f"{file}: a network of Keras takes images of {shape[0]} channels as (height, width,"
            " channels), and aectl as (channels, height, width)"
        )
    origin = {"format": "state dict", "names": sorted(shapes)}
    notes = (tensors.note,) if tensors.note else ()
    return ForeignModel(Architecture(settled, shape), weights, origin, notes)


def _config(given: Mapping[str, object], like: Path) -> Config:
    """The config of a dense autoencoder. Raises ConfigError for anything else."""
    if "hidden" not in given:
        raise ConfigError(f"{like} does not say hidden")
    try:
        config = Config.from_options(given)
    except ConfigError as error:
        raise ConfigError(f"{like}: {error}") from None
    model = config.model
    if model.model != "autoencoder":
        raise ConfigError(f"{like}: --like describes a dense autoencoder (model = 'autoencoder')")
    if given.get("center"):
        raise ConfigError(f"{like}: center: a state dict has no mean of the inputs")
    if given.get("scale", "none") in ("standard", "minmax", "center"):
        raise ConfigError(f"{like}: scale: a state dict has no scaling of the features")
    if model.missing != "refuse":
        raise ConfigError(f"{like}: missing: a state dict has no means of the features")
    if model.sparsity not in WITHOUT_PARAMETERS:
        raise ConfigError(
            f"{like}: sparsity {model.sparsity} has parameters that a state dict of layers does"
            f" not have; it can be {', '.join(WITHOUT_PARAMETERS)}"
        )
    return config


def _settled(
    config: Config, layers: Sequence[DenseLayer], like: Path
) -> tuple[ModelConfig, InputShape]:
    """The model with all its options, and the shape of its input.

    Raises ConfigError where that is not told, and ValueError where no layers fit.
    """
    model = dataclasses.replace(config.model, center=False)
    assert model.hidden is not None
    if model.modality == VECTORS:
        vector = VectorShape(_features(model.hidden, model.tied, layers))
        return model.resolved(vector.features), vector
    if config.data.size is None or config.data.channels is None:
        raise ConfigError(
            f"{like} does not say size and channels of the images; for vectors, it says"
            " modality = 'vectors'"
        )
    sides = both(config.data.size)
    image = (config.data.channels, *sides)
    return model.resolved(math.prod(image), sides), image


def _features(hidden: Sequence[int], tied: bool, layers: Sequence[DenseLayer]) -> int:
    """The number of inputs with which the layers are those of the widths. Raises ValueError."""
    there = Counter(layer.sizes for layer in layers)
    candidates = {inputs for inputs, outputs in there if outputs == hidden[0]}
    fitting = [n for n in candidates if Counter(_sizes([n, *hidden], tied)) == there]
    if len(fitting) != 1:
        raise ValueError("its matrices do not fit")
    return fitting[0]


def _sizes(widths: Sequence[int], tied: bool) -> list[LayerSizes]:
    """The layers of the encoder and, unless it is tied, of the decoder, in their order."""
    encoder = list(pairwise(widths))
    return encoder if tied else encoder + list(pairwise(widths[::-1]))


def _layers(tensors: ForeignTensors) -> tuple[list[DenseLayer], dict[str, Tensor]]:
    """The layers of a file, and biases without a matrix. Raises ModelFileError for other tensors.

    Takes all tensors.
    """
    grouped: dict[str, list[str]] = {}
    for name in tensors.left:
        grouped.setdefault(re.sub(r"[./]?[^./]*$", "", name), []).append(name)
    layers, biases = list[DenseLayer](), dict[str, Tensor]()
    for prefix, inside in grouped.items():
        matrices = [name for name in inside if tensors.left[name].dim() == 2]
        vectors = [name for name in inside if tensors.left[name].dim() == 1]
        if len(matrices) > 1 or len(vectors) > 1 or len(matrices + vectors) < len(inside):
            shapes = {name: tuple(tensors.left[name].shape) for name in inside}
            raise ModelFileError(
                f"{tensors.path}: a layer has one matrix and one bias; {prefix or 'it'} has"
                f" {listed(shapes)}"
            )
        taken = {name: tensors.take(name, *tensors.left[name].shape) for name in inside}
        bias = taken[vectors[0]] if vectors else None
        if matrices:
            layers.append(_layer(matrices[0], taken[matrices[0]], bias, tensors.path))
        elif bias is not None:
            biases[vectors[0]] = bias
    return layers, biases


def _layer(name: str, matrix: Tensor, bias: Tensor | None, path: Path) -> DenseLayer:
    """A layer, once it is known whether its matrix is (outputs, inputs) or (inputs, outputs)."""
    by_column = MATRICES.get(re.split("[./]", name)[-1].partition(":")[0])
    if by_column is None and bias is not None and matrix.shape[0] != matrix.shape[1]:
        by_column = len(bias) == matrix.shape[1]
    if by_column is None:
        raise ModelFileError(
            f"{path}: {name} {list(matrix.shape)} may be (outputs, inputs) or (inputs, outputs);"
            " call it NAME.weight or NAME.kernel"
        )
    weight = matrix.T if by_column else matrix
    if bias is not None and len(bias) != len(weight):
        raise ModelFileError(
            f"{path}: {name} {list(matrix.shape)} has {len(weight)} outputs, and a bias of"
            f" {len(bias)}"
        )
    return DenseLayer(name, weight, bias, by_column)


def _placed(
    widths: Sequence[int], tied: bool, layers: Sequence[DenseLayer], biases: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors of a network by their names. Raises ValueError where they are not settled."""
    wanted = _sizes(widths, tied)
    if Counter(wanted) != Counter(layer.sizes for layer in layers):
        raise ValueError("its matrices do not fit")
    left: dict[LayerSizes, list[DenseLayer]] = {}
    for layer in layers:
        left.setdefault(layer.sizes, []).append(layer)
    for alike in left.values():
        alike.sort(key=lambda layer: layer.rank)
        if not all(one.precedes(other) for one, other in pairwise(alike)):
            names = ", ".join(layer.name for layer in alike)
            raise ValueError(f"the order of {names} does not follow from their names")
    placed = [left[sizes].pop(0) for sizes in wanted]
    depth = len(widths) - 1
    of_one_side = len({layer.side for layer in layers}) == 1
    found: dict[str, Tensor] = {}
    for number, layer in enumerate(placed):
        side, place = ("encoder", number) if number < depth else ("decoder", number - depth)
        if layer.side not in ("", side) and not of_one_side:
            raise ValueError(f"{layer.name} would be a layer of the {side}")
        found[f"{side}.layers.{place}.weight"] = layer.weight
        bias = torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias
        found[f"{side}.layers.{place}.bias"] = bias
    if not tied and biases:
        raise ValueError(f"{', '.join(biases)} belongs to no matrix")
    if tied:
        found |= _tied_biases(widths, biases)
    return found


def _tied_biases(widths: Sequence[int], biases: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The biases of a decoder with the weights of the encoder; all are 0 where it has none."""
    wanted = list(widths[-2::-1])
    if biases and Counter(wanted) != Counter(map(len, biases.values())):
        raise ValueError("its biases without a matrix are not those of the decoder")
    if len(set(wanted)) < len(wanted):
        raise ValueError("two biases of the decoder have the same size")
    by_size = {len(bias): bias for bias in biases.values()}
    return {
        f"decoder.layers.{place}.bias": by_size.get(size, torch.zeros(size))
        for place, size in enumerate(wanted)
    }
