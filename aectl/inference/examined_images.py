"""The evidence of anomaly scores that autoencoders of images give."""

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from aectl.config.scores import CODE, DISSIMILARITY, ERROR, MAP, PLACES, REGION
from aectl.inference import error_maps
from aectl.inference.anomaly_scores import Evidence, Examined
from aectl.inference.apply import ToTensor, refuse_overflow, traced
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.networks import PooledAutoencoder

LEAST = 1e-12
"""The least error of a region: one that is reconstructed perfectly has no logarithm."""


@torch.inference_mode()
def examine(
    network: AutoencoderBase, batches: Iterable[Any], to_tensor: ToTensor, needed: Collection[str]
) -> Iterator[Examined]:
    """Yields each batch with the evidence that is needed.

    Raises ModelFileError for results that are not finite.
    """
    for batch in batches:
        yield Examined(batch, evidence(network, to_tensor(batch), needed, len(batch.paths)))


def evidence(
    network: AutoencoderBase, inputs: Tensor, needed: Collection[str], count: int | None = None
) -> Evidence:
    """The evidence that is needed of the first `count` of the inputs of a network, or of all.

    Raises ModelFileError for results that are not finite.
    """
    found: dict[str, Tensor] = {}
    code = None
    if {*needed} - {CODE, PLACES}:
        targets = network.targets(inputs)
        code, made = traced(network, targets, count)
        refuse_overflow(code, made)
        found = _errors(targets[:count].cpu(), made.cpu(), needed)
    if {CODE, PLACES} & {*needed}:
        if code is None or isinstance(network, PooledAutoencoder):
            code = network.encode(inputs)[:count]
            refuse_overflow(code)
        found |= _of_codes(network, code, needed)
    return Evidence(**found)


def _errors(targets: Tensor, made: Tensor, needed: Collection[str]) -> dict[str, Tensor]:
    """The evidence of reconstructions, computed on the CPU; both are (n, channels, height,
    width)."""
    found = {}
    if ERROR in needed:
        squares = (made - targets).flatten(1).square()
        found[ERROR] = squares.sum(1, dtype=torch.float64) / squares.shape[1]
    if {MAP, REGION} & {*needed}:
        maps = error_maps.squared_errors(targets, made)
    if MAP in needed:
        found[MAP] = maps
    if REGION in needed:
        found[REGION] = _over_scales(maps)
    if DISSIMILARITY in needed:
        found[DISSIMILARITY] = _over_scales(error_maps.dissimilarities(targets, made))
    return found


def _of_codes(network: AutoencoderBase, code: Tensor, needed: Collection[str]) -> dict[str, Tensor]:
    """The evidence of codes, (n, code_size)."""
    found = {}
    if CODE in needed:
        found[CODE] = _without_places(network, code).cpu()
    if PLACES in needed:
        found[PLACES] = network.by_place(code).cpu()
    return found


def _over_scales(maps: Tensor) -> Tensor:
    """maps (n, height, width) -> the geometric mean over scales of their worst regions, (n,)."""
    return torch.tensor(
        [
            math.exp(math.fsum(math.log(max(LEAST, value)) for value in worst) / len(worst))
            for worst in error_maps.worst_regions(maps)
        ],
        dtype=torch.float64,
    )


def _without_places(network: AutoencoderBase, code: Tensor) -> Tensor:
    """Codes, (n, code_size); of maps the mean and the standard deviation of each channel over all
    places, (n, 2 channels): a place of an image is rarely the same place of the next."""
    if network.places == 1:
        return code
    maps = code.view(code.shape[0], -1, network.places)
    return torch.cat([maps.mean(2), maps.std(2, correction=0)], 1)
