"""Objectives of training, made from a config: a network with its loss, as one module."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.config.configuration import Config
from aectl.config.sparsity import KL, NONE
from aectl.config.training_options import BF16
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.networks import Classifier
from aectl.models.precision import exactly, single
from aectl.models.whole_batch import whole
from aectl.objectives import losses
from aectl.objectives.corruptions import NOISE, flipped, shifted
from aectl.objectives.dead_units import Dead
from aectl.objectives.fused import Fused, fits
from aectl.objectives.penalties import Trace, penalties_of
from aectl.objectives.step import (
    Batch,
    Compute,
    Losses,
    Objective,
    dead_units_of,
    with_changed_inputs,
    with_penalties,
)
from aectl.objectives.text_objectives import text_reconstruction


def objective(
    config: Config,
    network: nn.Module,
    below: Callable[[Tensor], Tensor] | None = None,
    remembered: dict[str, Tensor] | None = None,
) -> Objective:
    """The network with the loss of a config.

    Random changes of images are made only in training mode. With `below`, the input of the network
    is the output of that function. `remembered`: state that is kept between batches.
    """
    remembered = {} if remembered is None else remembered
    dead = Dead(remembered) if config.loss.aux_k or config.loss.revive else None
    compute = OBJECTIVES.get(config.model.model, reconstruction)(config, remembered, dead)
    if below is not None:
        compute = _from_below(compute, below)
    if config.training.optimizer == "lbfgs" and config.training.weight_decay:
        compute = _with_weight_decay(compute, config.training.weight_decay)
    if config.data.shift:
        shift = partial(shifted, most=config.data.shift)
        compute = with_changed_inputs(compute, lambda images: whole().changed(shift, images))
    if config.data.flip:
        compute = with_changed_inputs(compute, lambda images: whole().changed(flipped, images))
    return Objective(network, compute, dead)


def reconstruction(config: Config, remembered: dict[str, Tensor], dead: Dead | None) -> Compute:
    """An autoencoder's objective: the reconstruction loss, and the penalties on its code."""
    corrupt = NOISE.get(config.loss.noise)
    distance = partial(_distance, config.loss.loss)
    penalties = penalties_of(config, distance, remembered)
    dead_units = dead_units_of(dead, config)
    in_place = _in_place(config) if _is_plain(config, penalties) else None

    def compute(network: AutoencoderBase, batch: Batch) -> Losses:
        inputs = batch.inputs
        if corrupt is not None and network.training:
            level = config.loss.noise_level
            inputs = whole().changed(lambda images: corrupt(images, level), inputs)
        if in_place and network.training and torch.is_grad_enabled():
            found = in_place(network, inputs, batch.inputs)
            if found is not None:
                return found
        preactivation, code, output = network.passed(inputs)
        loss = distance(network, output, batch.inputs)
        terms = {"reconstruction": loss.detach()}
        now_dead = dead_units(code, network.training)
        trace = Trace(network, batch.inputs, inputs, preactivation, code, now_dead)
        return with_penalties(loss, terms, penalties, trace)

    return compute


def _is_plain(config: Config, penalties: Collection[str]) -> bool:
    """Whether the loss is half the squared error and, at most, the KL penalty."""
    return (
        config.loss.loss == "mse"
        and config.model.sparsity in (NONE, KL)
        and set(penalties) <= {"sparsity"}
        and config.training.optimizer != "lbfgs"
        and not config.training.compile
        and config.training.precision != BF16
    )


def _in_place(
    config: Config,
) -> Callable[[nn.Module, Tensor, Tensor], Losses | None]:
    """The same loss, computed without autograd; it returns None for a network that is not plain."""
    known: dict[nn.Module, Fused | None] = {}

    rho, beta = config.loss.rho, config.loss.beta

    def penalty(rho_hat: Tensor) -> tuple[Tensor, Tensor]:
        value = losses.kl_sparsity(rho_hat[None], rho)
        return beta * value, beta * losses.kl_sparsity_slope(rho_hat, rho)

    def compute(network: nn.Module, inputs: Tensor, images: Tensor) -> Losses | None:
        if network not in known:
            known[network] = Fused(network) if fits(network) else None
        fused = known[network]
        if fused is None:
            return None
        found = fused(inputs, images, penalty if config.model.sparsity == KL else None)
        terms = {"reconstruction": found.reconstruction}
        if found.penalty is not None:
            terms["sparsity"] = found.penalty
        return Losses(found.loss, terms)

    return compute


def classification(config: Config, remembered: dict[str, Tensor], dead: Dead | None) -> Compute:
    """A classifier's objective: the cross-entropy of the labels, or the loss of linear SVMs."""
    term = "squared_hinge" if config.loss.svm else "cross_entropy"
    of_labels = losses.squared_hinge if config.loss.svm else F.cross_entropy

    def compute(network: Classifier, batch: Batch) -> Losses:
        assert batch.labels is not None
        loss = of_labels(network(batch.inputs), batch.labels)
        return Losses(loss, {term: loss.detach()})

    return compute


OBJECTIVES: dict[str, Callable[[Config, dict[str, Tensor], Dead | None], Compute]] = {
    "classifier": classification,
    "text-autoencoder": text_reconstruction,
}
"""The objectives of models other than autoencoders of images."""


def _distance(loss: str, network: AutoencoderBase, decoded: Tensor, images: Tensor) -> Tensor:
    """The reconstruction loss of the decoder's output, given before its activation."""
    decoded = single(decoded)
    if loss not in losses.OF_LOGITS:
        decoded = network.output_activation(decoded)
    with exactly(images):
        return losses.RECONSTRUCTION[loss](decoded, images)


def _from_below(compute: Compute, below: Callable[[Tensor], Tensor]) -> Compute:
    """The objective with the inputs replaced by a function of them, in float32: they are what is to
    be reconstructed, too."""
    return lambda network, batch: compute(
        network, batch._replace(inputs=single(below(batch.inputs)))
    )


def _with_weight_decay(compute: Compute, weight_decay: float) -> Compute:
    """The objective plus an L2 penalty on all weights, for an optimiser without weight decay."""

    def decayed(network: Any, batch: Batch) -> Losses:
        loss, terms = compute(network, batch)
        weights = [p for p in network.parameters() if p.ndim > 1 and p.requires_grad]
        penalty = weight_decay * losses.squared_weights(weights)
        return Losses(loss + penalty, {**terms, "weight_decay": penalty.detach()})

    return decayed
