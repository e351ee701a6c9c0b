"""The classifier: an MLP over pixels or over a trained encoder's code.

What is said of images holds for the tokens of texts too, with an encoder of texts.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Self

from torch import Tensor, nn

from aectl.config.shapes import Shape
from aectl.models.activations import ACTIVATIONS
from aectl.models.autoencoder import Encoder
from aectl.models.conv_autoencoder import ConvEncoder
from aectl.models.text_autoencoder import VectorEncoder


class Classifier(nn.Module):
    """logits = W_n ... dropout(activation(W_1 x + b_1)) ... + b_n, x the pixels or their code.

    What is seen first is dropped with `input_dropout`: the pixels, or the code of an encoder that
    is left as it is. Of one that is fine-tuned, each layer is dropped like any hidden layer, the
    code included. Its code is always what it is in use.
    """

    one_at_a_time = False
    """Whether it sees one input at a time at inference, as more would need much memory."""

    def __init__(
        self,
        shape: Shape | None,
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
        if encoder is None:
            assert shape is not None
            features = math.prod(shape)
        else:
            features = encoder.code_size
        widths = [features, *hidden, classes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.activation = ACTIVATIONS[activation]
        self.dropout = nn.Dropout(dropout)
        self.input_dropout = nn.Dropout(input_dropout)
        self._fine_tuned = False

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of the images that it takes; one of text has no such shape."""
        assert self._shape is not None
        return self._shape

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width), in [0, 1] -> logits: (batch, classes)."""
        logits: Tensor = self.layers[-1](self.last_features(images))
        return logits

    def last_features(self, images: Tensor) -> Tensor:
        """images -> (batch, features): what the last layer sees of them."""
        x = self._features(images)
        for layer in self.layers[:-1]:
            x = self.dropout(self.activation(layer(x)))
        return x

    def probabilities(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> (batch, classes), rows that sum to 1."""
        return self(images).softmax(1)  # type: ignore[no-any-return]

    def filter_responses(self, images: Tensor) -> Tensor:
        """images -> (batch, units): what the first layer answers before its activation."""
        answers: Tensor = self.layers[0](self._features(images))
        return answers

    def fine_tune_encoder(self, wanted: bool) -> None:
        """Whether the encoder is trained too, with this classifier's dropout in its layers."""
        assert self.encoder is not None
        self._fine_tuned = wanted
        self.encoder.requires_grad_(wanted)
        if wanted and isinstance(self.encoder, Encoder):
            self.encoder.dropout, self.encoder.input_dropout = self.dropout, self.input_dropout

    def train(self, mode: bool = True) -> Self:
        """Training mode for all that is trained."""
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
