"""The evidence of anomaly scores that autoencoders of images give."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from aectl.config.scores import CODE, ERROR
from aectl.inference.anomaly_scores import Evidence, Examined
from aectl.inference.apply import ToTensor, refuse_overflow, traced
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.networks import PooledAutoencoder


@torch.inference_mode()
def examine(
    network: AutoencoderBase, batches: Iterable[Any], to_tensor: ToTensor, needed: Collection[str]
) -> Iterator[Examined]:
    """Yields each batch with the evidence that is needed.

    Raises ModelFileError for results that are not finite.
    """
    for batch in batches:
        inputs, count = to_tensor(batch), len(batch.paths)
        errors = code = None
        if ERROR in needed:
            targets = network.targets(inputs)
            code, made = traced(network, targets, count)
            errors = _squared_errors(targets[:count], made)
            refuse_overflow(code, errors)
        if CODE in needed:
            if code is None or isinstance(network, PooledAutoencoder):
                code = network.encode(inputs)[:count]
                refuse_overflow(code)
            yield Examined(batch, Evidence(errors, _without_places(network, code).cpu()))
        else:
            yield Examined(batch, Evidence(errors))


def _squared_errors(targets: Tensor, made: Tensor) -> Tensor:
    """The mean squared error of each image, (n,), summed in 64 bits on the CPU; both are (n,
    channels, height, width)."""
    differences = (made - targets).flatten(1).cpu()
    return differences.square().sum(1, dtype=torch.float64) / differences.shape[1]


def _without_places(network: AutoencoderBase, code: Tensor) -> Tensor:
    """Codes, (n, code_size); of maps the mean and the standard deviation of each channel over all
    places, (n, 2 channels): a place of an image is rarely the same place of the next."""
    if network.places == 1:
        return code
    maps = code.view(len(code), -1, network.places)
    return torch.cat([maps.mean(2), maps.std(2, correction=0)], 1)
