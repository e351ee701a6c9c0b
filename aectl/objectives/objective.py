"""Objectives of training, made from a config: a network with its loss, as one module."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl.config.configuration import Config
from aectl.config.sparsity import KL, NONE, RULES
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.language import LanguageModel, nats_of_texts, with_end
from aectl.models.networks import Classifier, ThroughWords
from aectl.models.text_autoencoder import ThroughText, ThroughVector
from aectl.objectives import losses
from aectl.objectives.corruptions import NOISE, flipped, shifted, swapped
from aectl.objectives.fused import Fused, fits
from aectl.objectives.penalties import Penalty, Trace, penalties_of, uncompiled

DRAWS = 2
"""Choices of words that are drawn for each text of a step."""

MEAN, DEVIATION = "mean", "deviation"
"""Names of what a standardisation remembers."""

LEAST_VARIANCE, LARGEST_SCALE, LARGEST_SHIFT = 1e-5, 3.0, 1.0
"""The variance that is added to that of a batch, and the largest factor and the largest shift by
which a batch may differ from what its units follow (Ioffe 2017, section 4)."""

QUALITY_STEPS = 1000
"""Steps over which the weight of the quality of a shorter text rises from 0."""


class Batch(NamedTuple):
    """A training batch. inputs: images (batch, channels, height, width), in [0, 1], or the tokens
    of text (batch, length); labels: (batch,), or None.
    """

    inputs: Tensor
    labels: Tensor | None


class Losses(NamedTuple):
    """loss: a scalar, whose gradient trains; terms: its terms, without gradients, by the names of
    their columns in `metrics.csv`.
    """

    loss: Tensor
    terms: dict[str, Tensor]


Compute = Callable[[Any, Batch], Losses]
"""Gives the losses of a network for a batch."""


class Objective(nn.Module):
    """A network with its loss: the module that is trained.

    Its `forward` is called once a step and contains all use of the weights, so that
    DistributedDataParallel, torch.compile and CUDA graphs can wrap it.
    """

    def __init__(self, network: nn.Module, compute: Compute) -> None:
        super().__init__()
        self.network = network
        self._compute = compute

    def forward(self, batch: Batch) -> Losses:
        """The losses of a batch; in training mode, with its random changes."""
        return self._compute(self.network, batch)


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
    compute = OBJECTIVES.get(config.model.model, reconstruction)(config, remembered)
    if below is not None:
        compute = _from_below(compute, below)
    if config.training.optimizer == "lbfgs" and config.training.weight_decay:
        compute = _with_weight_decay(compute, config.training.weight_decay)
    if config.data.shift:
        compute = _with_changed_inputs(compute, partial(shifted, most=config.data.shift))
    if config.data.flip:
        compute = _with_changed_inputs(compute, flipped)
    return Objective(network, compute)


def reconstruction(config: Config, remembered: dict[str, Tensor]) -> Compute:
    """An autoencoder's objective: the reconstruction loss, and the penalties on its code."""
    corrupt = NOISE.get(config.loss.noise)
    distance = partial(_distance, config.loss.loss)
    penalties = penalties_of(config, distance, remembered)
    in_place = _in_place(config) if _is_plain(config, penalties) else None

    def compute(network: AutoencoderBase, batch: Batch) -> Losses:
        inputs = batch.inputs
        if corrupt is not None and network.training:
            inputs = corrupt(inputs, config.loss.noise_level)
        if in_place and network.training and torch.is_grad_enabled():
            found = in_place(network, inputs, batch.inputs)
            if found is not None:
                return found
        preactivation = network.encoder.preactivation(inputs)  # type: ignore[operator]
        code = network.encoder.code(preactivation)  # type: ignore[operator]
        loss = distance(network, network.decoder(code), batch.inputs)
        terms = {"reconstruction": loss.detach()}
        trace = Trace(network, batch.inputs, inputs, preactivation, code)
        return _with_penalties(loss, terms, penalties, trace)

    return compute


def _with_penalties(
    loss: Tensor, terms: dict[str, Tensor], penalties: dict[str, Penalty], trace: Trace
) -> Losses:
    for name, penalty in penalties.items():
        value = penalty(trace)
        loss = loss + value
        terms[name] = value.detach()
    return Losses(loss, terms)


def _is_plain(config: Config, penalties: Collection[str]) -> bool:
    """Whether the loss is half the squared error and, at most, the KL penalty."""
    return (
        config.loss.loss == "mse"
        and config.model.sparsity in (NONE, KL)
        and set(penalties) <= {"sparsity"}
        and config.training.optimizer != "lbfgs"
        and not config.training.compile
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


def classification(config: Config, remembered: dict[str, Tensor]) -> Compute:
    """A classifier's objective: the cross-entropy of the labels, or the loss of linear SVMs."""
    term = "squared_hinge" if config.loss.svm else "cross_entropy"
    of_labels = losses.squared_hinge if config.loss.svm else F.cross_entropy

    def compute(network: Classifier, batch: Batch) -> Losses:
        assert batch.labels is not None
        loss = of_labels(network(batch.inputs), batch.labels)
        return Losses(loss, {term: loss.detach()})

    return compute


def text_reconstruction(config: Config, remembered: dict[str, Tensor]) -> Compute:
    """A text autoencoder's objective: the cross-entropy of the text, and the code's penalties."""
    compute = THROUGH[config.model.bottleneck](config, remembered)
    if not config.data.swap:
        return compute
    return _with_changed_inputs(compute, partial(swapped, fraction=config.data.swap))


def _through_vector(config: Config, remembered: dict[str, Tensor]) -> Compute:
    penalties = penalties_of(config, None, remembered)
    competing = RULES[config.model.sparsity].keeps_k
    standardise = uncompiled(Standardisation(remembered).__call__, config)

    def compute(network: ThroughVector, batch: Batch) -> Losses:
        preactivation = network.encoder.preactivation(batch.inputs)
        if competing and network.training:
            preactivation = standardise(preactivation)
        code = network.encoder.code(preactivation)
        loss = nats_of_texts(network.predict(code, batch.inputs), with_end(batch.inputs)).mean()
        terms = {"reconstruction": loss.detach()}
        return _with_penalties(
            loss, terms, penalties, Trace(network, batch.inputs, batch.inputs, preactivation, code)
        )

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
        if len(preactivation) < 2:
            return preactivation
        variance, mean = torch.var_mean(preactivation, 0, correction=0)
        self._remembered[MEAN] = mean.detach()
        self._remembered[DEVIATION] = variance.detach().sqrt()
        deviation = (variance + LEAST_VARIANCE).sqrt()
        scale = deviation.detach().clamp(1 / LARGEST_SCALE, LARGEST_SCALE)
        shift = mean.detach().clamp(-LARGEST_SHIFT, LARGEST_SHIFT)
        return (preactivation - mean) / deviation * scale + shift


class Rise:
    """A factor of a weight, which rises linearly from 0 to 1 over the first steps of training.

    The number of completed steps is kept in `remembered`.
    """

    def __init__(self, remembered: dict[str, Tensor], steps: int) -> None:
        self._remembered, self._steps = remembered, steps

    def __call__(self, network: nn.Module, loss: Tensor) -> Tensor:
        """The factor, a scalar from 0 to 1, on the device of `loss`."""
        if not network.training:
            return loss.new_ones(())
        before = self._remembered.get("steps", loss.new_zeros(()))
        self._remembered["steps"] = before + 1
        return (before / self._steps).clamp(max=1)


def _through_text(config: Config, remembered: dict[str, Tensor]) -> Compute:
    """The objective with a shorter text as bottleneck.

    The weight of the quality rises over the first steps. With the full weight from the start, the
    slots become probable text that is unrelated to the input, and the decoder never learns to use
    them.
    """
    lambda_q, lambda_s = config.loss.lambda_q, config.loss.lambda_s
    rise = uncompiled(Rise(remembered, QUALITY_STEPS).__call__, config)

    def compute(network: ThroughText, batch: Batch) -> Losses:
        code = network.encode(batch.inputs)
        loss = nats_of_texts(network.predict(code, batch.inputs), with_end(batch.inputs)).mean()
        terms = {"reconstruction": loss.detach()}
        likely = network.language_model(code.chosen)
        quality = lambda_q * rise(network, loss) * losses.quality(likely, code.chosen, code.lengths)
        sparsity = lambda_s * losses.entropy(code.log_probabilities, code.lengths)
        terms |= {"quality": quality.detach(), "sparsity": sparsity.detach()}
        return Losses(loss + quality + sparsity, terms)

    return compute


def _through_words(config: Config, remembered: dict[str, Tensor]) -> Compute:
    """The objective with words of the text as bottleneck.

    Several choices are drawn for each text. The cost of one is the loss of its reconstruction, its
    quality, and `temperature` times the logarithm of its probability, whose mean is the negative
    entropy: without it, the first words are soon the only ones that are tried.
    """
    lambda_q, temperature = config.loss.lambda_q, config.model.temperature
    rise = uncompiled(Rise(remembered, QUALITY_STEPS).__call__, config)

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


THROUGH: dict[str, Callable[[Config, dict[str, Tensor]], Compute]] = {
    "vector": _through_vector,
    "text": _through_text,
    "words": _through_words,
}
"""The objectives of text autoencoders by the names of their bottlenecks."""


def language_modelling(network: LanguageModel, batch: Batch) -> Losses:
    """A language model's objective: the cross-entropy of each token, given those before it, and of
    the end.
    """
    loss = network.nats(batch.inputs).mean()
    return Losses(loss, {"language_model": loss.detach()})


OBJECTIVES: dict[str, Callable[[Config, dict[str, Tensor]], Compute]] = {
    "classifier": classification,
    "text-autoencoder": text_reconstruction,
}
"""The objectives of models other than autoencoders of images."""


def _distance(loss: str, network: AutoencoderBase, decoded: Tensor, images: Tensor) -> Tensor:
    """The reconstruction loss of the decoder's output, given before its activation."""
    if loss not in losses.OF_LOGITS:
        decoded = network.output_activation(decoded)
    return losses.RECONSTRUCTION[loss](decoded, images)


def _from_below(compute: Compute, below: Callable[[Tensor], Tensor]) -> Compute:
    """The objective with the inputs replaced by a function of them."""
    return lambda network, batch: compute(network, batch._replace(inputs=below(batch.inputs)))


def _with_weight_decay(compute: Compute, weight_decay: float) -> Compute:
    """The objective plus an L2 penalty on all weights, for an optimiser without weight decay."""

    def decayed(network: Any, batch: Batch) -> Losses:
        loss, terms = compute(network, batch)
        weights = [p for p in network.parameters() if p.ndim > 1 and p.requires_grad]
        penalty = weight_decay * losses.squared_weights(weights)
        return Losses(loss + penalty, {**terms, "weight_decay": penalty.detach()})

    return decayed


def _with_changed_inputs(compute: Compute, change: Callable[[Tensor], Tensor]) -> Compute:
    """The objective with inputs changed at random in training, the target along with them."""

    def changed(network: Any, batch: Batch) -> Losses:
        if network.training:
            batch = batch._replace(inputs=change(batch.inputs))
        return compute(network, batch)

    return changed
