"""Reconstructions of inputs from the first units of their codes alone."""

from typing import Any

from torch import Tensor

from aectl.inference.explained_variance import explained_variance
from aectl.models.codes import prefix
from aectl.models.scaling import unscaled


class PrefixErrors:
    """The squared errors of reconstructions by the first units of the code of a network, for each
    of the `widths`, over all calls of `update`."""

    def __init__(self, network: Any, widths: tuple[int, ...]) -> None:
        self._network = network
        self._squares = {width: 0.0 for width in widths if width < network.code_size}

    def update(self, inputs: Tensor, code: Tensor) -> None:
        """Adds a batch: inputs, (batch, ...), in their own units; code, (batch, units)."""
        for width in self._squares:
            made = self._network.decode(prefix(code, width))
            made = unscaled(self._network.scaling, made, inputs)
            errors = (made.to(inputs.device) - inputs).flatten(1)
            self._squares[width] += errors.square().sum(1).double().sum().item()

    def explained(self, variation: Tensor) -> dict[str, float]:
        """The explained variance of each prefix, by the name of the metric; `variation`: the sum of
        squares around the mean input."""
        return {
            f"explained_variance_{width}": explained_variance(squares, variation).item()
            for width, squares in self._squares.items()
        }
