"""The classifier: an MLP over pixels or over a trained encoder's code."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from aectl.models.activations import ACTIVATIONS
from aectl.types import Shape


class Classifier(nn.Module):
    """logits = W_n ... dropout(activation(W_1 x + b_1)) ... + b_n, x the pixels or their code."""

    def __init__(
        self,
        shape: Shape,
        hidden: Sequence[int],
        classes: int,
        activation: str = "relu",
        dropout: float = 0.0,
        encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.classes_count = classes
        self.encoder = encoder
        features = math.prod(shape) if encoder is None else encoder.code_size
        widths = [features, *hidden, classes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))  # type: ignore[arg-type]
        self.activation = ACTIVATIONS[activation]
        self.dropout = nn.Dropout(dropout)

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width), in [0, 1] -> logits: (batch, classes)."""
        x = self._features(images)
        *inner, last = self.layers
        for layer in inner:
            x = self.dropout(self.activation(layer(x)))
        logits: Tensor = last(x)
        return logits

    def probabilities(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> (batch, classes), rows that sum to 1."""
        return self(images).softmax(1)  # type: ignore[no-any-return]

    def filter_responses(self, images: Tensor) -> Tensor:
        """images -> (batch, units): what the first layer answers before its activation."""
        answers: Tensor = self.layers[0](self._features(images))
        return answers

    def freeze_encoder(self) -> None:
        """From now on the encoder is not trained, and nothing of it dropped."""
        if self.encoder is not None:
            self.encoder.requires_grad_(False)
            for module in self.encoder.modules():
                if isinstance(module, nn.Dropout):
                    module.p = 0.0

    def _features(self, images: Tensor) -> Tensor:
        features: Tensor = images.flatten(1) if self.encoder is None else self.encoder(images)
        return features
