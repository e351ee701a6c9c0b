"""Activations and sparsity rules in NumPy, at inference, as in `activations` and `codes`.

Each function takes float32, (n, units), and returns the same shape.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from aectl.models.architecture import Architecture

FloatArray = NDArray[np.float32]
Element = Callable[[FloatArray], FloatArray]
Tensors = Mapping[str, FloatArray]
"""The tensors of a sparsity rule, by their names in `codes`."""

LARGEST_SOFTPLUS, SLOPE = 20, np.float32(0.01)
"""Above the first number, softplus is the identity, as in torch. The second is the slope of leaky
ReLU for negative values."""


def relu(x: FloatArray) -> FloatArray:
    """max(0, x)."""
    found: FloatArray = np.maximum(x, 0)
    return found


def linear(x: FloatArray) -> FloatArray:
    """Returns x unchanged."""
    return x


def sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)); 0 where exp(-x) overflows."""
    found: FloatArray = np.divide(1, 1 + np.exp(-x))
    return found


def _leaky_relu(x: FloatArray) -> FloatArray:
    return np.where(x > 0, x, SLOPE * x)


def _gelu(x: FloatArray) -> FloatArray:
    from scipy.special import erf

    found: FloatArray = x / 2 * (1 + erf(x / np.float32(np.sqrt(2))))
    return found


def _silu(x: FloatArray) -> FloatArray:
    return x * sigmoid(x)


def _elu(x: FloatArray) -> FloatArray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _softplus(x: FloatArray) -> FloatArray:
    return np.where(x > LARGEST_SOFTPLUS, x, np.log1p(np.exp(np.minimum(x, LARGEST_SOFTPLUS))))


def softmax(logits: FloatArray) -> FloatArray:
    """exp(x_j) / sum_i exp(x_i), for each row."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    found: FloatArray = powers / powers.sum(1, keepdims=True)
    return found


ACTIVATIONS: dict[str, Element] = {
    "relu": relu,
    "leaky-relu": _leaky_relu,
    "gelu": _gelu,
    "silu": _silu,
    "elu": _elu,
    "softplus": _softplus,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "linear": linear,
}
"""The activations by the names that users type."""


def largest(code: FloatArray, count: int) -> FloatArray:
    """Keeps the `count` largest values of each row; all others become 0."""
    if count >= code.shape[1]:
        return code
    first = code.shape[1] - count
    found = np.argpartition(code, first, axis=1)[:, first:]
    kept = np.zeros_like(code)
    np.put_along_axis(kept, found, np.take_along_axis(code, found, 1), 1)
    return kept


def _jump(values: FloatArray, thresholds: FloatArray) -> FloatArray:
    kept: FloatArray = values * (values > thresholds) + np.float32(0)  # which makes -0 a 0
    return kept


def _gated(preactivation: FloatArray, factors: FloatArray, offsets: FloatArray) -> FloatArray:
    return (preactivation > 0) * relu(factors * preactivation + offsets)


def _largest_magnitude(preactivation: FloatArray) -> FloatArray:
    best = np.abs(preactivation).argmax(1)[:, None]
    kept = np.zeros_like(preactivation)
    np.put_along_axis(kept, best, np.take_along_axis(preactivation, best, 1), 1)
    return kept


def code_of(described: Architecture, tensors: Tensors) -> Element:
    """Returns the function from pre-activations to codes, of an architecture and the tensors of its
    sparsity rule."""
    config = described.config
    make, activation = CODES.get(config.sparsity), ACTIVATIONS[config.code_activation]
    with np.errstate(over="ignore"):  # of exponentials, as in torch
        return make(described, activation, tensors) if make else activation


def _topk(described: Architecture, activation: Element, _: Tensors) -> Element:
    config = described.config
    assert config.k is not None
    kept = round(config.alpha * config.k)
    return lambda preactivation: largest(activation(preactivation), kept)


def _batch_topk(described: Architecture, activation: Element, tensors: Tensors) -> Element:
    threshold = tensors["threshold"]
    return lambda preactivation: _jump(activation(preactivation), threshold)


def _jumprelu(described: Architecture, activation: Element, tensors: Tensors) -> Element:
    return partial(_jump, thresholds=np.exp(tensors["log_threshold"]))


CODES: dict[str, Callable[[Architecture, Element, Tensors], Element]] = {
    "topk": _topk,
    "batch-topk": _batch_topk,
    "jumprelu": _jumprelu,
    "gated": lambda described, activation, tensors: partial(
        _gated, factors=np.exp(tensors["r"]), offsets=tensors["b"]
    ),
    "omp-1": lambda described, activation, tensors: _largest_magnitude,
}
"""The sparsity rules that are more than an activation at inference, by name."""

TENSORS = {"batch-topk": ("threshold",), "jumprelu": ("log_threshold",), "gated": ("r", "b")}
"""The names of the tensors of each sparsity rule. They have a value for each unit, except
`threshold`, which is a single value for all units."""


def shapes_of_code(described: Architecture) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors of a sparsity rule, by name."""
    rule = described.config.sparsity
    shape = () if rule == "batch-topk" else (described.hidden[-1],)
    return dict.fromkeys(TENSORS.get(rule, ()), shape)
