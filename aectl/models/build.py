"""Builds networks from architectures; kinds of model and sparsity rules are rows of tables."""

import math
from collections.abc import Callable
from typing import Any, cast

from aectl.config.patching import Patching
from aectl.config.shapes import Shape
from aectl.models import codes, footprint
from aectl.models.architecture import Architecture
from aectl.models.conv_wta_autoencoder import MapFeatures, MapsAutoencoder
from aectl.models.networks import (
    Autoencoder,
    Classifier,
    ConvAutoencoder,
    ConvWTAAutoencoder,
    MapAutoencoder,
    Network,
    PatchAutoencoder,
    ThroughText,
    ThroughVector,
    ThroughWords,
)
from aectl.models.patch_autoencoder import PatchEncoder
from aectl.models.scaling import scaling_of


def build_network(described: Architecture) -> Network:
    """Builds the network, with weights initialised from torch's random state."""
    network = NETWORKS[described.kind](described)
    network.scaling = scaling_of(described.config, math.prod(described.input))
    network.one_at_a_time = footprint.one_at_a_time(described)
    return network


def _autoencoder(described: Architecture) -> Network:
    config = described.config
    return Autoencoder(
        described.shape, described.hidden, config.activation, _code(described),
        config.output_activation, tied=config.tied, dropout=config.dropout,
        input_dropout=config.input_dropout, center=config.center,
    )  # fmt: skip


def _conv_autoencoder(described: Architecture) -> Network:
    config = described.config
    network = MapAutoencoder if config.code_is_map else ConvAutoencoder
    return network(
        described.shape, described.hidden, config.activation, _code(described),
        config.output_activation, center=config.center,
    )  # fmt: skip


def _patch_autoencoder(described: Architecture) -> Network:
    config = described.config
    patching = Patching.of(config)
    shape = cast(Shape, described.layer_input)
    of_patches = Autoencoder(
        (shape[0], *patching.sides), described.hidden, config.activation,
        _code(described), "linear", tied=config.tied, dropout=config.dropout,
        input_dropout=config.input_dropout,
    )  # fmt: skip
    encoder = PatchEncoder(shape, patching, of_patches, _encoder(described))
    return PatchAutoencoder(described.shape, encoder)


def _conv_wta_autoencoder(described: Architecture) -> Network:
    config = described.config
    whitened, shape = config.whitening is not None, cast(Shape, described.layer_input)
    of_maps = MapsAutoencoder(
        shape, described.hidden, config.activation, config.rate,
        "linear" if whitened or described.stacked else config.output_activation,
        kernel=config.kernel_size, side=config.filter_size, center=config.center,
    )  # fmt: skip
    patching = Patching.of(config)
    encoder = MapFeatures(shape, patching, whitened, of_maps, _encoder(described))
    return ConvWTAAutoencoder(described.shape, encoder)


def _encoder(described: Architecture) -> Any:
    """The encoder on which a network stands, if any."""
    return build_network(described.encoder).encoder if described.encoder else None


def _classifier(described: Architecture) -> Network:
    config = described.config
    return Classifier(
        described.input, described.hidden, described.classes, config.activation, config.dropout,
        config.input_dropout, config.standardize, _encoder(described),
    )  # fmt: skip


def _text_autoencoder(described: Architecture) -> Network:
    length, tokens = described.text
    return BOTTLENECKS[described.config.bottleneck](described, length, tokens)


def _through_vector(described: Architecture, length: int, tokens: int) -> Network:
    code = _code(described)
    return ThroughVector(tokens, length, described.hidden[0], described.code_size, code)


def _through_words(described: Architecture, length: int, tokens: int) -> Network:
    config = described.config
    return ThroughWords(
        tokens, length, described.hidden[0], config.choice, config.ratio, config.words
    )


def _through_text(described: Architecture, length: int, tokens: int) -> Network:
    return ThroughText(tokens, length, described.hidden[0], described.config.ratio)


NETWORKS: dict[str, Callable[[Architecture], Network]] = {
    "autoencoder": _autoencoder,
    "conv-autoencoder": _conv_autoencoder,
    "patch-autoencoder": _patch_autoencoder,
    "conv-wta-autoencoder": _conv_wta_autoencoder,
    "classifier": _classifier,
    "text-autoencoder": _text_autoencoder,
}
"""The networks by the names of the kinds of model."""

BOTTLENECKS: dict[str, Callable[[Architecture, int, int], Network]] = {
    "vector": _through_vector,
    "words": _through_words,
    "text": _through_text,
}
"""The text autoencoders by the names of their bottlenecks."""


def _code(described: Architecture) -> codes.Code:
    make = CODES.get(described.config.sparsity)
    return make(described) if make else codes.Code(described.config.code_activation)


def _topk(described: Architecture) -> codes.Code:
    config = described.config
    assert config.k is not None
    return codes.TopK(config.code_activation, config.k, config.alpha)


def _batch_topk(described: Architecture) -> codes.Code:
    config = described.config
    assert config.k is not None
    return codes.BatchTopK(config.code_activation, config.k)


CODES: dict[str, Callable[[Architecture], codes.Code]] = {
    "topk": _topk,
    "batch-topk": _batch_topk,
    "jumprelu": lambda described: codes.JumpReLU(described.hidden[-1], described.config.bandwidth),
    "gated": lambda described: codes.Gated(described.hidden[-1]),
    "omp-1": lambda described: codes.MatchingPursuit(),
    "wta": lambda described: codes.WinnerTakeAll(
        described.config.code_activation, described.config.rate
    ),
}
"""The codes of the sparsity rules that are more than an activation."""
