"""Dense networks in NumPy, for inference on a CPU, as `models.autoencoder` and `models.classifier`.

Importing torch takes as long as encoding ten thousand small images. Each kind of model that NumPy
can compute is a row of NETWORKS.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
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
"""Maximum number of inputs of a block, which are processed at a time; a power of two."""

COMPARED, TRIED = 1 << 14, 1 << 22
"""Results that are compared to find out whether a product depends on the position of a row, unless
these take more values of inputs than the second number; at least one block is compared."""


@dataclass(frozen=True)
class Layers:
    """x -> W_n ... activation(W_1 x + b_1) ... + b_n, for each row x of a block.

    weights: (outputs, inputs) each; biases: (outputs,) each.
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    activation: Element

    @classmethod
    def of(cls, tensors: Mapping[str, FloatArray], count: int, activation: str) -> "Layers":
        """Takes the first `count` layers from the tensors of a network, by name."""
        weights = tuple(tensors[f"layers.{layer}.weight"] for layer in range(count))
        biases = tuple(tensors[f"layers.{layer}.bias"] for layer in range(count))
        return cls(weights, biases, ACTIVATIONS[activation])

    def inner(self, x: FloatArray, layer: int) -> FloatArray:
        """(n, features) -> the output of a layer, from 1, after the activation: (n, units); layer 0
        is the input."""
        for number in range(layer):
            x = self.activation(self._product(x, number))
        return x

    def last(self, x: FloatArray) -> FloatArray:
        """(n, features) -> the output of the last layer, without an activation: (n, outputs)."""
        return self._product(self.inner(x, len(self.weights) - 1), len(self.weights) - 1)

    def _product(self, x: FloatArray, layer: int) -> FloatArray:
        found: FloatArray = x @ self.weights[layer].T
        found += self.biases[layer]
        return found


@dataclass(frozen=True)
class DenseEncoder:
    """The encoder of a dense autoencoder; its inputs are pixels in [0, 1], or scaled vectors."""

    layers: Layers
    center: FloatArray | None
    code: Element

    @classmethod
    def of(cls, described: Architecture, tensors: Mapping[str, FloatArray]) -> "DenseEncoder":
        """Makes the encoder of an autoencoder from the tensors of that encoder, by name."""
        layers = Layers.of(tensors, len(described.hidden), described.config.activation)
        code = code_of(described, below("code", tensors))
        return cls(layers, tensors.get("center"), code)

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """The weights of all layers, (outputs, inputs) each."""
        return self.layers.weights

    def encode(self, x: FloatArray, layer: int | None = None) -> FloatArray:
        """(n, features) -> the code, or the output of a hidden `layer`, from 1: (n, units)."""
        centered = x if self.center is None else x - self.center
        if layer is None:
            return self.code(self.layers.last(centered))
        return self.layers.inner(centered, layer)


@dataclass(frozen=True)
class DenseClassifier:
    """A classifier of pixels, of scaled vectors, or of the code of a dense encoder.

    mean, deviation: (features,), of the standardization of pixels or codes; None without it.
    """

    layers: Layers
    encoder: DenseEncoder | None
    mean: FloatArray | None
    deviation: FloatArray | None

    @classmethod
    def of(cls, described: Architecture, tensors: Mapping[str, FloatArray]) -> "DenseClassifier":
        """Makes the classifier that is described, from its tensors, by name."""
        layers = Layers.of(tensors, len(described.hidden) + 1, described.config.activation)
        encoder = None
        if described.encoder:
            encoder = DenseEncoder.of(described.encoder, below("encoder", tensors))
        return cls(layers, encoder, tensors.get("mean"), tensors.get("deviation"))

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """The weights of all layers, (outputs, inputs) each, also of those of the encoder."""
        return self.layers.weights + (self.encoder.weights if self.encoder else ())

    def probabilities(self, x: FloatArray) -> FloatArray:
        """(n, features) -> the probabilities of the classes, (n, classes); each row sums to 1."""
        features = self.encoder.encode(x) if self.encoder else x
        if self.mean is not None and self.deviation is not None:
            features = (features - self.mean) / self.deviation
        return softmax(self.layers.last(features))


@dataclass(frozen=True)
class NumpyNetwork:
    """A network, its scaling of vectors, if any, and the maximum number of rows of a block.

    An output is the same to the last bit whatever inputs are beside it: all blocks of a process
    have the same number of rows, with which matrix products do not depend on the position of a row.
    """

    network: Any
    scaling: NumpyScaling | None
    most_rows: int = ROWS

    @cached_property
    def rows(self) -> int:
        """The number of rows of a block: the largest power of two that `_is_uniform` allows.

        It depends on the processor and on the number of threads.
        """
        sizes = (ROWS >> halvings for halvings in range(ROWS.bit_length()))
        return next(
            rows
            for rows in sizes
            if rows <= self.most_rows
            and all(_is_uniform(weight, rows) for weight in self.network.weights)
        )

    def apply(
        self, use: Callable[[FloatArray], FloatArray], inputs: NDArray[Any], unit: int = 1
    ) -> FloatArray:
        """Applies `use`, a method of the network, to inputs, (n, ...) -> results, (n, m).

        `unit`: the value in the inputs that is 1 for the network, such as 255.
        """
        made = []
        for first in range(0, len(inputs), self.rows):
            some = inputs[first : first + self.rows].reshape(-1, math.prod(inputs.shape[1:]))
            block = np.zeros((self.rows, some.shape[1]), np.float32)
            block[: len(some)] = some if self.scaling is None else self.scaling(some)
            block /= unit
            made.append(use(block)[: len(some)])
        return np.concatenate(made)


def _is_uniform(weight: FloatArray, rows: int) -> bool:
    """Whether the product of blocks with weights, (units, features), gives each row the same result
    to the last bit at every position of a block.

    Many libraries of linear algebra sum up the rows of a block in different orders. This shows in
    blocks whose rows are shifted by one, if enough of their results are compared.
    """
    units, features = weight.shape
    blocks = max(1, min(COMPARED // (rows * units), TRIED // (rows * features)))
    return rows == 1 or all(_is_same_shifted(weight, rows, seed) for seed in range(blocks))


def _is_same_shifted(weight: FloatArray, rows: int, seed: int) -> bool:
    block = np.random.default_rng(seed).random((rows, weight.shape[1]), np.float32)
    expected = np.roll(block @ weight.T, 1, 0)
    return np.array_equal(np.roll(block, 1, 0) @ weight.T, expected, equal_nan=True)


def below(name: str, tensors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Selects the tensors of a part of a network, such as "encoder", by their names there."""
    start = f"{name}."
    return {one.removeprefix(start): tensors[one] for one in tensors if one.startswith(start)}


def covers(described: Architecture) -> bool:
    """Whether NumPy can compute the network that is described."""
    return described.kind in NETWORKS and (
        described.encoder is None or described.encoder.kind == "autoencoder"
    )


def load(path: Path) -> NumpyNetwork:
    """Loads the network of a model file, which `covers` allows.

    Raises ModelFileError for the same files as `model_file.load`.
    """
    card, tensors = model_file.load_arrays(path, shapes_of)
    described = card.architecture
    network = NETWORKS[described.kind](described, tensors)
    scaling = NumpyScaling.of(described.config, below("scaling", tensors))
    return NumpyNetwork(network, scaling, footprint.fitting(described, ROWS))


NETWORKS: dict[
    str, Callable[[Architecture, Mapping[str, FloatArray]], DenseEncoder | DenseClassifier]
] = {
    "autoencoder": lambda described, tensors: DenseEncoder.of(described, below("encoder", tensors)),
    "classifier": DenseClassifier.of,
}
"""Functions that make a network from its description and tensors, by the kind of model."""


def shapes_of(described: Architecture) -> Shapes:
    """The shapes of all tensors of a network, by name, including those of its decoder; `covers`
    allows the network."""
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
