"""The classifier: an MLP on pixels or on the code of a trained encoder.

With an encoder of text, `images` are tokens of text.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Self, cast

import torch
from torch import Tensor, nn

from aectl.config.shapes import InputShape, Shape
from aectl.models.activations import ACTIVATIONS
from aectl.models.conv_autoencoder import ConvEncoder
from aectl.models.conv_wta_autoencoder import MapFeatures
from aectl.models.dense_layers import Encoder
from aectl.models.map_autoencoder import MapEncoder
from aectl.models.patch_autoencoder import PatchEncoder
from aectl.models.precision import single
from aectl.models.scaling import Scaling
from aectl.models.text_autoencoder import VectorEncoder
from aectl.models.whole_batch import Dropout

CodeSource = Encoder | ConvEncoder | MapEncoder | PatchEncoder | MapFeatures | VectorEncoder
"""The encoders that a classifier can stand on."""

SHRINKAGE, TINY = 0.01, 1e-6


class Classifier(nn.Module):
    """logits = W_n ... dropout(activation(W_1 x + b_1)) ... + b_n, x the pixels or their code.

    `input_dropout` is applied to the pixels, or to the code of a frozen encoder. `dropout` is
    applied to the hidden layers and, if the encoder is fine-tuned, to its layers and its code. The
    sparsity rule of the code is always that at inference. With `standardize`, x is less its mean
    over the training set, divided by its standard deviation.
    """

    one_at_a_time = False
    """Whether inputs are processed one by one at inference, because more would need much memory."""

    scaling: Scaling | None
    """The scaling of vectors, if the model has one: what it takes are scaled ones."""

    mean: Tensor | None
    deviation: Tensor | None

    codes_per_image = 1
    """Number of codes of an image; more where its patches are encoded."""

    def __init__(
        self,
        shape: InputShape,
        hidden: Sequence[int],
        classes: int,
        activation: str = "relu",
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        standardize: bool = False,
        encoder: CodeSource | None = None,
    ) -> None:
        super().__init__()
        self.scaling = None
        self._shape = shape
        self.classes_count = classes
        self.encoder = encoder
        if isinstance(encoder, PatchEncoder):
            self.codes_per_image = math.prod(encoder.places)
        features = math.prod(shape) if encoder is None else encoder.code_size
        widths = [features, *hidden, classes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.register_buffer("mean", torch.zeros(features) if standardize else None)
        self.register_buffer("deviation", torch.ones(features) if standardize else None)
        self.activation = ACTIVATIONS[activation]
        self.dropout = Dropout(dropout)
        self.input_dropout = Dropout(input_dropout)
        self._fine_tuned = False

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of the input images; must not be used for text."""
        return cast(Shape, self._shape)

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width), in [0, 1] -> logits: (batch, classes)."""
        return self.classify(self._features(images))

    def classify(self, features: Tensor) -> Tensor:
        """features: (batch, features), standardized -> logits: (batch, classes)."""
        return single(self.layers[-1](self._last(features)))

    @torch.no_grad()
    def fit_standard(self, features: Tensor) -> None:
        """Sets mean and deviation for the features of the training set: (n, features).

        A hundredth of the mean variance is added to each, so that rare features are not amplified.
        """
        assert self.mean is not None and self.deviation is not None
        variance, mean = torch.var_mean(features, 0, correction=0)
        self.mean.copy_(mean)
        self.deviation.copy_((variance + SHRINKAGE * variance.mean()).sqrt().clamp(min=TINY))

    def standardize_(self, features: Tensor) -> Tensor:
        """Standardizes features, (n, features), in place, if the model does."""
        if self.mean is not None and self.deviation is not None:
            features.sub_(self.mean).div_(self.deviation)
        return features

    def raw_features(self, images: Tensor) -> Tensor:
        """images -> (batch, features): the pixels, or their code, not standardized."""
        features: Tensor = images.flatten(1) if self.encoder is None else self.encoder(images)
        return features

    def last_features(self, images: Tensor) -> Tensor:
        """images -> (batch, features): the input of the last layer."""
        return self._last(self._features(images))

    def _last(self, features: Tensor) -> Tensor:
        """The input of the last layer, from standardized features, some of which are dropped."""
        x = self._dropped(features)
        for layer in self.layers[:-1]:
            x = self.dropout(self.activation(layer(x)))
        return x

    def probabilities(self, images: Tensor) -> Tensor:
        """images: (batch, channels, height, width) -> (batch, classes), rows that sum to 1."""
        return self(images).softmax(1)  # type: ignore[no-any-return]

    def filter_responses(self, images: Tensor) -> Tensor:
        """images -> (batch, units): the pre-activations of the first layer."""
        preactivations: Tensor = self.layers[0](self._dropped(self._features(images)))
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
        """The features of images, standardized, if the model does."""
        features = self.raw_features(images)
        return features if self.mean is None else self.standardize_(features.clone())

    def _dropped(self, features: Tensor) -> Tensor:
        drop = self.dropout if self._fine_tuned else self.input_dropout
        kept: Tensor = drop(features)
        return kept
