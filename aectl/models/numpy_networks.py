"""Dense networks of arrays: what `models.autoencoder` and `models.classifier` compute at inference.

They are for use on a CPU: to import torch takes as long as to encode ten thousand small images. A
kind of model that has one is a row of NETWORKS.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.models import footprint, model_file
from aectl.models.architecture import Architecture
from aectl.models.numpy_elements import (
    ACTIVATIONS,
    Element,
    FloatArray,
    code_of,
    shapes_of_code,
    softmax,
)
from aectl.models.numpy_scaling import NumpyScaling

Shapes = dict[str, tuple[int, ...]]
"""The shapes of tensors, by their names in a model file."""

ROWS = 128
"""Inputs that are processed at a time. The order of summation in a matrix product depends on the
number of its rows: as it is always the same, an output depends on no other input."""


@dataclass(frozen=True)
class Layers:
    """x -> W_n ... activation(W_1 x + b_1) ... + b_n, of rows."""

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    activation: Element

    @classmethod
    def of(cls, tensors: Mapping[str, FloatArray], count: int, activation: str) -> "Layers":
        """Those of a network, by the names of their tensors."""
        weights = tuple(tensors[f"layers.{layer}.weight"] for layer in range(count))
        biases = tuple(tensors[f"layers.{layer}.bias"] for layer in range(count))
        return cls(weights, biases, ACTIVATIONS[activation])

    def inner(self, x: FloatArray, layer: int) -> FloatArray:
        """The output of a layer, from 1, after the activation; 0 is the input."""
        for number in range(layer):
            x = self.activation(self._product(x, number))
        return x

    def last(self, x: FloatArray) -> FloatArray:
        """The output of the last layer."""
        return self._product(self.inner(x, len(self.weights) - 1), len(self.weights) - 1)

    def _product(self, x: FloatArray, layer: int) -> FloatArray:
        found: FloatArray = x @ self.weights[layer].T
        found += self.biases[layer]
        return found


@dataclass(frozen=True)
class DenseEncoder:
    """Rows of inputs, in [0, 1] or scaled, (n, features) -> codes, (n, units)."""

    layers: Layers
    center: FloatArray | None
    code: Element

    @classmethod
    def of(cls, described: Architecture, tensors: Mapping[str, FloatArray]) -> "DenseEncoder":
        """That of an autoencoder, with the tensors of its encoder."""
        layers = Layers.of(tensors, len(described.hidden), described.config.activation)
        code = code_of(described, below("code", tensors))
        return cls(layers, tensors.get("center"), code)

    def encode(self, x: FloatArray, layer: int | None = None) -> FloatArray:
        """The code, or the output of a hidden layer, from 1."""
        centered = x if self.center is None else x - self.center
        if layer is None:
            return self.code(self.layers.last(centered))
        return self.layers.inner(centered, layer)


@dataclass(frozen=True)
class DenseClassifier:
    """Rows of inputs, (n, features) -> the probabilities of classes, (n, classes)."""

    layers: Layers
    encoder: DenseEncoder | None
    mean: FloatArray | None
    deviation: FloatArray | None

    @classmethod
    def of(cls, described: Architecture, tensors: Mapping[str, FloatArray]) -> "DenseClassifier":
        """That of a description, with its tensors."""
        layers = Layers.of(tensors, len(described.hidden) + 1, described.config.activation)
        encoder = None
        if described.encoder:
            encoder = DenseEncoder.of(described.encoder, below("encoder", tensors))
        return cls(layers, encoder, tensors.get("mean"), tensors.get("deviation"))

    def probabilities(self, x: FloatArray) -> FloatArray:
        """The probability of each class; each row sums to 1."""
        features = self.encoder.encode(x) if self.encoder else x
        if self.mean is not None and self.deviation is not None:
            features = (features - self.mean) / self.deviation
        return softmax(self.layers.last(features))


@dataclass(frozen=True)
class NumpyNetwork:
    """A network with its scaling of vectors, if any, and the number of `rows` that it takes."""

    network: Any
    scaling: NumpyScaling | None
    rows: int

    def apply(
        self, use: Callable[[FloatArray], FloatArray], inputs: NDArray[Any], unit: int = 1
    ) -> FloatArray:
        """The results of `use` of the network for inputs, (n, ...), each for itself: (n, ...).
        `unit`: the number in them that is 1 for the network.
        """
        made = []
        for first in range(0, len(inputs), self.rows):
            some = inputs[first : first + self.rows].reshape(-1, math.prod(inputs.shape[1:]))
            block = np.zeros((self.rows, some.shape[1]), np.float32)
            block[: len(some)] = some if self.scaling is None else self.scaling(some)
            block /= unit
            made.append(use(block)[: len(some)])
        return np.concatenate(made)


def below(name: str, tensors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The tensors of a part of a network, by their names there."""
    start = f"{name}."
    return {one.removeprefix(start): tensors[one] for one in tensors if one.startswith(start)}


def covers(described: Architecture) -> bool:
    """Whether there is such a network for a description."""
    return described.kind in NETWORKS and (
        described.encoder is None or described.encoder.kind == "autoencoder"
    )


def load(path: Path) -> NumpyNetwork:
    """The network of a model file that is covered. Raises ModelFileError as `model_file.load`."""
    card, tensors = model_file.load_arrays(path, shapes_of)
    described = card.architecture
    network = NETWORKS[described.kind](described, tensors)
    scaling = NumpyScaling.of(described.config, below("scaling", tensors))
    return NumpyNetwork(network, scaling, footprint.fitting(described, ROWS))


NETWORKS: dict[str, Callable[[Architecture, Mapping[str, FloatArray]], Any]] = {
    "autoencoder": lambda described, tensors: DenseEncoder.of(described, below("encoder", tensors)),
    "classifier": DenseClassifier.of,
}
"""The networks by the names of the kinds of model."""


def shapes_of(described: Architecture) -> Shapes:
    """The shapes of all tensors of a network that is covered, also of those of its decoder."""
    features = math.prod(described.input)
    found = NumpyScaling.shapes(described.config, features)
    if described.classes:
        return found | _of_classifier(described, features)
    widths = [features, *described.hidden]
    decoder = _of_layers("decoder.layers", widths[::-1])
    if described.config.tied:
        decoder = {name: shape for name, shape in decoder.items() if name.endswith("bias")}
    return found | decoder | _of_encoder(described)


def _of_encoder(described: Architecture) -> Shapes:
    widths = [math.prod(described.input), *described.hidden]
    found = _of_layers("encoder.layers", widths)
    if described.config.center:
        found["encoder.center"] = (widths[0],)
    of_code = shapes_of_code(described)
    return found | {f"encoder.code.{name}": shape for name, shape in of_code.items()}


def _of_classifier(described: Architecture, features: int) -> Shapes:
    encoder = _of_encoder(described.encoder) if described.encoder else {}
    first = described.encoder.code_size if described.encoder else features
    standard: Shapes = {}
    if described.config.standardize:
        standard = {"mean": (first,), "deviation": (first,)}
    return encoder | standard | _of_layers("layers", [first, *described.hidden, described.classes])


def _of_layers(name: str, widths: list[int]) -> Shapes:
    found: Shapes = {}
    for layer, (a, b) in enumerate(pairwise(widths)):
        found[f"{name}.{layer}.weight"], found[f"{name}.{layer}.bias"] = (b, a), (b,)
    return found
