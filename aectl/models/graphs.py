"""Functions to be exported: from inputs as they are stored, to the results of a command."""

from typing import Any

import torch
from torch import Tensor, nn

from aectl.config.exports import AUTOENCODER, CLASSIFIER, CODE, DECODER, ENCODER


class Graph(nn.Module):
    """A part of a network, with the model's preprocessing: a function of one tensor.

    `takes`: the name of the inputs, as they are stored. `part`: which part of the network.
    """

    takes: str

    def __init__(self, network: Any, part: str) -> None:
        super().__init__()
        self.network, self.part = network, part

    @property
    def input_name(self) -> str:
        """The name of what it takes."""
        return CODE if self.part == DECODER else self.takes

    def forward(self, inputs: Tensor) -> Tensor:
        """The result for inputs as they are stored, or of a decoder for codes: (batch, ...)."""
        if self.part == DECODER:
            return self.finished(self.decoded(inputs), None)
        return self.finished(self.of_prepared(self.prepared(inputs)), inputs)

    def of_prepared(self, inputs: Tensor) -> Tensor:
        """The result for inputs as the network takes them, not yet `finished`."""
        return {ENCODER: self.encoded, AUTOENCODER: self.rebuilt, CLASSIFIER: self.classified}[
            self.part
        ](inputs)

    def prepared(self, inputs: Tensor) -> Tensor:
        """Inputs as they are stored -> as the network takes them."""
        raise NotImplementedError

    def finished(self, result: Tensor, inputs: Tensor | None) -> Tensor:
        """Reconstructions of the network -> those in the units of the inputs, which are None where
        only codes are known; other results stay as they are."""
        return result

    def encoded(self, inputs: Tensor) -> Tensor:
        """The codes."""
        code: Tensor = self.network.encode(inputs)
        return code

    def rebuilt(self, inputs: Tensor) -> Tensor:
        """The reconstructions."""
        made: Tensor = self.network.reconstruct(inputs)
        return made

    def decoded(self, code: Tensor) -> Tensor:
        """The reconstructions from codes."""
        made: Tensor = self.network.decode(code)
        return made

    def classified(self, inputs: Tensor) -> Tensor:
        """The probabilities of all classes."""
        probabilities: Tensor = self.network.probabilities(inputs)
        return probabilities


class ImageGraph(Graph):
    """Of images: uint8 pixels, (batch, channels, height, width); reconstructions are in [0, 1]."""

    takes = "images"

    def prepared(self, inputs: Tensor) -> Tensor:
        """Pixels -> [0, 1]."""
        return inputs.to(torch.float32) / 255
