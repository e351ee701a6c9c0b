"""The classifier: an MLP on pixels or on the code of a trained encoder.

With an encoder of text, `images` are tokens of text.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Self, cast

from torch import Tensor, nn

from aectl.config.shapes import InputShape, Shape
from aectl.models.activations import ACTIVATIONS
from aectl.models.autoencoder import Encoder
from aectl.models.conv_autoencoder import ConvEncoder
from aectl.models.text_autoencoder import VectorEncoder


class Classifier(nn.Module):
    """logits = W_n ... dropout(activation(W_1 x + b_1)) ... + b_n, x the pixels or their code.

    `input_dropout` is applied to the pixels, or to the code of a frozen encoder. `dropout` is
    applied to the hidden layers and, if the encoder is fine-tuned, to its layers and its code. The
    sparsity rule of the code is always that at inference.
    """

    one_at_a_time = False
    """Whether inputs are processed one by one at inference, because more would need much memory."""

    def __init__(
        self,
        shape: InputShape,
        hidden: Sequence[int],
        classes: int,
        activation: str = "relu",
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        encoder: Encoder | ConvEncoder | VectorEncoder | None = None,
    ) -> None:
        super().__init__()
        self._shape = shape
        self.classes_count = classes
        self.encoder = encoder
        features = math.prod(shape) if encoder is None else encoder.code_size
        widths = [features, *hidden, classes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.activation = ACTIVATIONS[activation]
        self.dropout = nn.Dropout(dropout)
        self.input_dropout = nn.Dropout(input_dropout)
        self._fine_tuned = False

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of the input images; must not be used for text."""
        return cast(Shape, self._shape)

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width), in [0, 1] -> logits: (batch, classes)."""
        logits: Tensor = self.layers[-1](self.last_features(images))
        return logits

    def last_features(self, images: Tensor) -> Tensor:
        """images -> (batch, features): the input of the last layer."""
        x = self._features(images)
        for layer in self.layers[:-1]:
            x = self.dropout(self.activation(layer(x)))
        return x

    def probabilities(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> (batch, classes), rows that sum to 1."""
        return self(images).softmax(1)  # type: ignore[no-any-return]

    def filter_responses(self, images: Tensor) -> Tensor:
        """images -> (batch, units): the pre-activations of the first layer."""
        preactivations: Tensor = self.layers[0](self._features(images))
        return preactivations

    def fine_tune_encoder(self, wanted: bool) -> None:
        """Sets whether the encoder is trained too, with this classifier's dropout in its layers."""
        assert self.encoder is not None
        self._fine_tuned = wanted
        self.encoder.requires_grad_(wanted)
        if wanted and isinstance(self.encoder, Encoder):
            self.encoder.dropout, self.encoder.input_dropout = self.dropout, self.input_dropout

    def train(self, mode: bool = True) -> Self:
        """Sets training mode for all layers that are trained."""
        super().train(mode)
        if self.encoder is not None:
            self.encoder.train(mode and self._fine_tuned)
            self.encoder.code.eval()
        return self

    def _features(self, images: Tensor) -> Tensor:
        if self.encoder is None:
            pixels: Tensor = self.input_dropout(images.flatten(1))
            return pixels
        drop = self.dropout if self._fine_tuned else self.input_dropout
        code: Tensor = drop(self.encoder(images))
        return code
