"""The one place where a config becomes a loss: `objective(network, batch) -> (loss, parts)`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from aectl import losses
from aectl.config import Config
from aectl.models import Classifier
from aectl.models.autoencoder import AutoencoderBase


class Batch(NamedTuple):
    """images: (batch, channels, height, width), in [0, 1]; labels: (batch,), or None."""

    images: Tensor
    labels: Tensor | None


Parts = dict[str, Tensor]
Objective = Callable[[Any, Batch], tuple[Tensor, Parts]]


def objective(config: Config) -> Objective:
    """The loss that `config` asks for, with its named parts."""
    return classification if config.model.model == "classifier" else reconstruction(config)


def reconstruction(config: Config) -> Objective:
    """An autoencoder's objective: the reconstruction loss, and the penalties on its code."""
    name = config.loss.loss
    reconstruction_loss = losses.RECONSTRUCTION[name]
    penalty = _PENALTIES.get(config.loss.sparsity)

    def compute(network: AutoencoderBase, batch: Batch) -> tuple[Tensor, Parts]:
        code = network.encode(batch.images)
        output = network.decoder(code)
        if name not in losses.OF_LOGITS:
            output = network.output_activation(output)
        loss = reconstruction_loss(output, batch.images)
        parts = {"reconstruction": loss.detach()}
        if penalty is not None:
            value = config.loss.beta * penalty(code, config)
            loss = loss + value
            parts["sparsity"] = value.detach()
        return loss, parts

    return compute


def classification(network: Classifier, batch: Batch) -> tuple[Tensor, Parts]:
    """A classifier's objective: the cross-entropy of the labels, mean over the batch."""
    assert batch.labels is not None
    loss = F.cross_entropy(network(batch.images), batch.labels)
    return loss, {"cross_entropy": loss.detach()}


_PENALTIES: dict[str, Callable[[Tensor, Config], Tensor]] = {
    "kl": lambda code, config: losses.kl_sparsity(code, config.loss.rho),
}
