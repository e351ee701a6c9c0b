"""Objectives of text autoencoders, by their bottlenecks, and of language models."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from aectl.config.configuration import Config
from aectl.config.sparsity import RULES
from aectl.models.language import LanguageModel, nats_of_texts, with_end
from aectl.models.networks import ThroughVector, ThroughWords
from aectl.models.whole_batch import whole
from aectl.objectives import losses
from aectl.objectives.corruptions import swapped
from aectl.objectives.dead_units import Dead
from aectl.objectives.penalties import Trace, penalties_of
from aectl.objectives.step import (
    Batch,
    Compute,
    Losses,
    dead_units_of,
    uncompiled,
    with_changed_inputs,
    with_penalties,
)

DRAWS = 2
"""Choices of words that are drawn for each text of a step."""

MEAN, DEVIATION = "mean", "deviation"
"""Names of what a standardisation remembers."""

LEAST_VARIANCE, LARGEST_SCALE, LARGEST_SHIFT = 1e-5, 3.0, 1.0
"""The variance that is added to that of a batch, and the largest factor and the largest shift by
which a batch may differ from what its units follow (Ioffe 2017, section 4)."""

QUALITY_STEPS = 1000
"""Steps over which the weight of the quality of the kept words rises from 0."""


def text_reconstruction(
    config: Config, remembered: dict[str, Tensor], dead: Dead | None
) -> Compute:
    """A text autoencoder's objective: the cross-entropy of the text, and the code's penalties."""
    compute = THROUGH[config.model.bottleneck](config, remembered, dead)
    if not (fraction := config.data.swap):
        return compute
    return with_changed_inputs(
        compute, lambda tokens: whole().mine(swapped(whole().gathered(tokens), fraction))
    )


def _through_vector(config: Config, remembered: dict[str, Tensor], dead: Dead | None) -> Compute:
    penalties = penalties_of(config, None, remembered)
    dead_units = dead_units_of(dead, config)
    competing = RULES[config.model.sparsity].keeps_k
    standardise = uncompiled(Standardisation(remembered).__call__, config)

    def compute(network: ThroughVector, batch: Batch) -> Losses:
        preactivation = network.encoder.preactivation(batch.inputs)
        if competing and network.training:
            preactivation = standardise(preactivation)
        code = network.encoder.code(preactivation)
        loss = nats_of_texts(network.predict(code, batch.inputs), with_end(batch.inputs)).mean()
        terms = {"reconstruction": loss.detach()}
        now_dead = dead_units(code, network.training)
        trace = Trace(network, batch.inputs, batch.inputs, preactivation, code, now_dead)
        return with_penalties(loss, terms, penalties, trace)

    return compute


class Standardisation:
    """Keeps the units of a code equally likely to be among the largest of a text: else those that
    are active early grow, and most others die.

    This is batch renormalisation (Ioffe 2017) for units whose weights follow the mean and the
    standard deviation of the batches, which are kept in `remembered`: values are as at inference,
    unless they have gone too far, and gradients are those of units with mean 0 and deviation 1.
    """

    def __init__(self, remembered: dict[str, Tensor]) -> None:
        self._remembered = remembered

    def __call__(self, preactivation: Tensor) -> Tensor:
        """(batch, code_size) -> the same, standardised; a single text, which has no deviation, as
        it is.
        """
        if whole().rows(len(preactivation)) < 2:
            return preactivation
        variance, mean = whole().var_mean(preactivation)
        self._remembered[MEAN] = mean.detach()
        self._remembered[DEVIATION] = variance.detach().sqrt()
        deviation = (variance + LEAST_VARIANCE).sqrt()
        scale = deviation.detach().clamp(1 / LARGEST_SCALE, LARGEST_SCALE)
        shift = mean.detach().clamp(-LARGEST_SHIFT, LARGEST_SHIFT)
        return (preactivation - mean) / deviation * scale + shift


class Rise:
    """A factor of the weight of the quality, which rises linearly from 0 to 1 over the first steps
    of training, whose number is kept in `remembered`.
    """

    def __init__(self, remembered: dict[str, Tensor]) -> None:
        self._remembered = remembered

    def __call__(self, network: nn.Module, loss: Tensor) -> Tensor:
        """The factor, a scalar from 0 to 1, on the device of `loss`."""
        if not network.training:
            return loss.new_ones(())
        before = self._remembered.get("steps", loss.new_zeros(()))
        self._remembered["steps"] = before + 1
        return (before / QUALITY_STEPS).clamp(max=1)


def _through_words(config: Config, remembered: dict[str, Tensor], dead: Dead | None) -> Compute:
    """The objective with words of the text as bottleneck.

    Several choices are drawn for each text. The cost of one is the loss of its reconstruction, its
    quality, and `temperature` times the logarithm of its probability, whose mean is the negative
    entropy: without it, the first words are soon the only ones that are tried.
    """
    lambda_q, temperature = config.loss.lambda_q, config.model.temperature
    rise = uncompiled(Rise(remembered).__call__, config)

    def compute(network: ThroughWords, batch: Batch) -> Losses:
        draws = DRAWS if network.training and network.choice.learnt else 1
        inputs = batch.inputs.repeat(draws, 1)
        code = network.encode(batch.inputs, draws)
        nats = network.nats(code, inputs)
        with torch.no_grad():
            weight = lambda_q * rise(network, nats)
            quality = weight * network.language_model.nats(code.text)
        loss = nats.mean() + quality.mean()
        terms = {"reconstruction": nats.mean().detach(), "quality": quality.mean()}
        if draws > 1:
            log_probabilities = code.log_probabilities.view(draws, -1)
            costs = (nats + quality).view(draws, -1) + temperature * log_probabilities
            choice = losses.of_choices(costs, log_probabilities)
            loss = loss + choice - choice.detach()
            terms["choice_entropy"] = -log_probabilities.mean().detach()
        return Losses(loss, terms)

    return compute


THROUGH: dict[str, Callable[[Config, dict[str, Tensor], Dead | None], Compute]] = {
    "vector": _through_vector,
    "words": _through_words,
}
"""The objectives of text autoencoders by the names of their bottlenecks."""


def language_modelling(network: LanguageModel, batch: Batch) -> Losses:
    """A language model's objective: the cross-entropy of each token, given those before it, and of
    the end.
    """
    loss = network.nats(batch.inputs).mean()
    return Losses(loss, {"language_model": loss.detach()})
