"""Greedy layer-wise training: each layer first learns alone, as an autoencoder of what lies below.

Bengio et al. 2007; with noise, Vincent et al. 2010, section 3.5.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.networks import Autoencoder


class Layer(NamedTuple):
    """A layer of a deep autoencoder, `number` from 1, as an autoencoder of its own.

    `network` shares its weights with the whole; it learns what `below` makes of images.
    """

    number: int
    network: Autoencoder
    below: Callable[[Tensor], Tensor]


def layers_of(whole: Autoencoder, architecture: Architecture) -> Iterator[Layer]:
    """Every layer of `whole`, the lowest first, each on the same device."""
    device = whole.encoder.to_code.weight.device
    whole.eval()
    for number in range(1, len(architecture.hidden) + 1):
        alone = _alone(architecture, number)
        network = build_network(alone).to(device)
        assert isinstance(network, Autoencoder)
        network.encoder.layers[0] = whole.encoder.layers[number - 1]
        network.decoder.layers[0] = whole.decoder.layers[-number]
        if number == 1:
            network.encoder.center = whole.encoder.center
        if number == len(architecture.hidden):
            network.encoder.code = whole.encoder.code

        @torch.no_grad()
        def below(images: Tensor, layer: int = number - 1, alone: Architecture = alone) -> Tensor:
            return whole.encode(images, layer).view(len(images), *alone.shape)

        yield Layer(number, network, below)


def _alone(whole: Architecture, number: int) -> Architecture:
    """The autoencoder that a layer is: the whole's rule of sparsity on the layer's activation."""
    config, last = whole.config, len(whole.hidden)
    alone = dataclasses.replace(
        config,
        hidden=(whole.hidden[number - 1],),
        code_activation=config.code_activation if number == last else config.activation,
        output_activation=config.output_activation if number == 1 else _range(config.activation),
        input_dropout=config.input_dropout if number == 1 else config.dropout,
        center=config.center and number == 1,
    )
    shape = whole.shape if number == 1 else (1, 1, whole.hidden[number - 2])
    return Architecture(alone, shape)


def _range(activation: str) -> str:
    """The activation of an output that is to be like what `activation` gives."""
    return "sigmoid" if activation == "sigmoid" else "linear"
