"""The one place where a config becomes a loss: `objective(network, batch) -> (loss, parts)`."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aectl import losses
from aectl.config import Config
from aectl.corruptions import NOISE, shifted, swapped
from aectl.fused import Fused, fits
from aectl.models import Classifier
from aectl.models.autoencoder import AutoencoderBase, Encoder
from aectl.models.codes import Code, JumpReLU
from aectl.models.text_autoencoder import LanguageModel, ThroughText, ThroughVector, with_end
from aectl.sections import TEXT_AUTOENCODER, LossConfig

AUX_WEIGHT = 1 / 32
DEAD_AFTER = 10_000

QUALITY_STEPS = 1000
"""Steps over which the weight of the quality of a shorter text rises from 0."""


class Batch(NamedTuple):
    """inputs: images (batch, channels, height, width), in [0, 1], or the tokens of texts (batch,
    length); labels: (batch,), or None.
    """

    inputs: Tensor
    labels: Tensor | None


class Trace(NamedTuple):
    """What a network made of a batch: `images` are the clean ones, `inputs` what it saw."""

    network: Any
    images: Tensor
    inputs: Tensor
    preactivation: Tensor
    code: Tensor


Parts = dict[str, Tensor]
Objective = Callable[[Any, Batch], tuple[Tensor, Parts]]
Penalty = Callable[[Trace], Tensor]


def objective(
    config: Config,
    below: Callable[[Tensor], Tensor] | None = None,
    remembered: dict[str, Tensor] | None = None,
) -> Objective:
    """The loss that `config` asks for, with its named parts.

    What chance does to images happens only to a network in training mode. With `below`, it is the
    loss of a network that sees what that makes of images. What it keeps in mind from batch to batch
    stands in `remembered`.
    """
    remembered = {} if remembered is None else remembered
    compute = OBJECTIVES.get(config.model.model, reconstruction)(config, remembered)
    if below is not None:
        compute = _from_below(compute, below)
    if config.training.optimizer == "lbfgs" and config.training.weight_decay:
        compute = _with_weight_decay(compute, config.training.weight_decay)
    return _with_shifts(compute, config.data.shift) if config.data.shift else compute


def reconstruction(config: Config, remembered: dict[str, Tensor]) -> Objective:
    """An autoencoder's objective: the reconstruction loss, and the penalties on its code."""
    corrupt = NOISE.get(config.loss.noise)
    distance = partial(_distance, config.loss.loss)
    penalties = _penalties(config, distance, remembered)
    in_place = _in_place(config) if _is_plain(config) else None

    def compute(network: AutoencoderBase, batch: Batch) -> tuple[Tensor, Parts]:
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
        parts = {"reconstruction": loss.detach()}
        trace = Trace(network, batch.inputs, inputs, preactivation, code)
        return _with_penalties(loss, parts, penalties, trace)

    return compute


def _with_penalties(
    loss: Tensor, parts: Parts, penalties: dict[str, Penalty], trace: Trace
) -> tuple[Tensor, Parts]:
    for name, penalty in penalties.items():
        value = penalty(trace)
        loss = loss + value
        parts[name] = value.detach()
    return loss, parts


def _is_plain(config: Config) -> bool:
    """Whether the loss is half the squared error and, at most, the KL penalty."""
    return (
        config.loss.loss == "mse"
        and config.model.sparsity in ("none", "kl")
        and not config.loss.contractive
        and config.training.optimizer != "lbfgs"
        and not config.training.compile
    )


def _in_place(
    config: Config,
) -> Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Parts] | None]:
    """The same loss, found without autograd; None for a network that is not plain."""
    known: dict[nn.Module, Fused | None] = {}

    rho, beta = config.loss.rho, config.loss.beta

    def penalty(rho_hat: Tensor) -> tuple[Tensor, Tensor]:
        value = losses.kl_sparsity(rho_hat[None], rho)
        return beta * value, beta * losses.kl_sparsity_slope(rho_hat, rho)

    def compute(network: nn.Module, inputs: Tensor, images: Tensor) -> tuple[Tensor, Parts] | None:
        if network not in known:
            known[network] = Fused(network) if fits(network) else None
        fused = known[network]
        if fused is None:
            return None
        found = fused(inputs, images, penalty if config.model.sparsity == "kl" else None)
        parts = {"reconstruction": found.reconstruction}
        if found.penalty is not None:
            parts["sparsity"] = found.penalty
        return found.loss, parts

    return compute


def classification(config: Config, remembered: dict[str, Tensor]) -> Objective:
    """A classifier's objective: the cross-entropy of the labels, mean over the batch."""

    def compute(network: Classifier, batch: Batch) -> tuple[Tensor, Parts]:
        assert batch.labels is not None
        loss = F.cross_entropy(network(batch.inputs), batch.labels)
        return loss, {"cross_entropy": loss.detach()}

    return compute


def text_reconstruction(config: Config, remembered: dict[str, Tensor]) -> Objective:
    """A text autoencoder's objective: the cross-entropy of the text, and what its code costs."""
    through = _through_text if config.model.bottleneck == "text" else _through_vector
    compute = through(config, remembered)
    return _with_swaps(compute, config.data.swap) if config.data.swap else compute


def _through_vector(config: Config, remembered: dict[str, Tensor]) -> Objective:
    penalties = _penalties(config, None, remembered)

    def compute(network: ThroughVector, batch: Batch) -> tuple[Tensor, Parts]:
        preactivation = network.encoder.preactivation(batch.inputs)
        code = network.encoder.code(preactivation)
        loss = losses.token_cross_entropy(
            network.predict(code, batch.inputs), with_end(batch.inputs)
        )
        parts = {"reconstruction": loss.detach()}
        return _with_penalties(
            loss, parts, penalties, Trace(network, batch.inputs, batch.inputs, preactivation, code)
        )

    return compute


class Rise:
    """The part of a weight that counts: in training, it rises from 0 over the first steps.

    How many there have been stands in `remembered`.
    """

    def __init__(self, remembered: dict[str, Tensor], steps: int) -> None:
        self._remembered, self._steps = remembered, steps

    # Compiled, the count would lie where a captured graph writes again.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def __call__(self, network: nn.Module, loss: Tensor) -> Tensor:
        """A scalar, up to 1; where `loss` lies."""
        if not network.training:
            return loss.new_ones(())
        before = self._remembered.get("steps", loss.new_zeros(()))
        self._remembered["steps"] = before + 1
        return (before / self._steps).clamp(max=1)


def _through_text(config: Config, remembered: dict[str, Tensor]) -> Objective:
    """The quality's weight rises over the first steps: pulled from the start, the slots say what is
    likely before the decoder has learnt to listen to them, and it never does.
    """
    lambda_q, lambda_s = config.loss.lambda_q, config.loss.lambda_s
    rise = Rise(remembered, QUALITY_STEPS)

    def compute(network: ThroughText, batch: Batch) -> tuple[Tensor, Parts]:
        code = network.encode(batch.inputs)
        loss = losses.token_cross_entropy(
            network.predict(code, batch.inputs), with_end(batch.inputs)
        )
        parts = {"reconstruction": loss.detach()}
        likely = network.language_model(code.chosen)
        quality = lambda_q * rise(network, loss) * losses.quality(likely, code.chosen, code.lengths)
        sparsity = lambda_s * losses.entropy(code.log_probabilities, code.lengths)
        parts |= {"quality": quality.detach(), "sparsity": sparsity.detach()}
        return loss + quality + sparsity, parts

    return compute


def language_modelling(network: LanguageModel, batch: Batch) -> tuple[Tensor, Parts]:
    """A language model's objective: the cross-entropy of the text, each token by those before."""
    loss = losses.token_cross_entropy(network.predict(batch.inputs), batch.inputs)
    return loss, {"language_model": loss.detach()}


OBJECTIVES: dict[str, Callable[[Config, dict[str, Tensor]], Objective]] = {
    "classifier": classification,
    TEXT_AUTOENCODER: text_reconstruction,
}
"""The objectives of the models that are no autoencoders of images."""


def _distance(loss: str, network: AutoencoderBase, decoded: Tensor, images: Tensor) -> Tensor:
    """The reconstruction loss of what the decoder gave, before its activation."""
    if loss not in losses.OF_LOGITS:
        decoded = network.output_activation(decoded)
    return losses.RECONSTRUCTION[loss](decoded, images)


Distance = Callable[[AutoencoderBase, Tensor, Tensor], Tensor]


def _penalties(
    config: Config, distance: Distance | None, remembered: dict[str, Tensor]
) -> dict[str, Penalty]:
    """The penalties that the config asks for, by the names of their columns in `metrics.csv`.

    Some need the `distance` of what the decoder gives from the images.
    """
    found: dict[str, Penalty] = {}
    sparsity, beta = config.model.sparsity, config.loss.beta
    if sparsity in SPARSITY:
        found["sparsity"] = lambda trace: beta * SPARSITY[sparsity](trace, config.loss)
    if sparsity == "gated" and distance:
        found["gate"] = partial(_gate, distance)
    if config.loss.contractive:
        found["contraction"] = lambda trace: config.loss.contractive * _contraction(trace)
    if config.loss.aux_k and distance:
        found["auxiliary"] = partial(
            _auxiliary, config.loss.aux_k, distance, Dead(remembered, "auxiliary")
        )
    if config.loss.revive:
        found["revival"] = partial(_revival, config.loss.revive, Dead(remembered, "revival"))
    return found


def _active_units(trace: Trace, _: LossConfig) -> Tensor:
    """The mean number of active units, by thresholds that learn from it (JumpReLU SAEs, eq. 9)."""
    code = trace.network.encoder.code
    assert isinstance(code, JumpReLU)
    return losses.l1_sparsity(code.active(trace.preactivation))


SPARSITY: dict[str, Callable[[Trace, LossConfig], Tensor]] = {
    "kl": lambda trace, config: losses.kl_sparsity(trace.code, config.rho),
    "l1": lambda trace, _: losses.l1_sparsity(trace.code),
    "jumprelu": _active_units,
    "gated": lambda trace, _: losses.l1_sparsity(trace.preactivation.relu()),
}
"""The penalties of the kinds of sparsity that have one, before their weight beta."""


def _gate(distance: Distance, trace: Trace) -> Tensor:
    """The loss of what the gate's own values reconstruct (Gated SAEs, equation 8).

    It teaches the gate, which has no other gradient; the decoder learns nothing from it.
    """
    decoder = trace.network.decoder
    frozen = {name: value.detach() for name, value in decoder.named_parameters()}
    decoded = torch.func.functional_call(decoder, frozen, (trace.preactivation.relu(),))
    return distance(trace.network, decoded, trace.images)


def _contraction(trace: Trace) -> Tensor:
    """||d code / d input||_F^2, mean over the batch (Rifai et al. 2011, equation 5)."""
    encoder = trace.network.encoder
    if isinstance(encoder, Encoder) and len(encoder.layers) == 1:
        pulled_back = torch.func.vjp(encoder.code, trace.preactivation)[1]
        (slopes,) = pulled_back(torch.ones_like(trace.code))
        return losses.contraction(slopes, encoder.to_code.weight)

    def code_of(image: Tensor) -> Tensor:
        code: Tensor = encoder(image[None])[0]
        return code

    jacobian = torch.func.vmap(torch.func.jacrev(code_of), randomness="different")(trace.inputs)
    total: Tensor = jacobian.square().sum() / len(trace.inputs)
    return total


class Dead:
    """Which units have been active for none of the last 10,000 images of training.

    For how many images each has been silent stands in `remembered` under a `name`.
    """

    def __init__(self, remembered: dict[str, Tensor], name: str) -> None:
        self._remembered, self._name = remembered, name

    # Compiled, the count would lie where a captured graph writes again.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def __call__(self, trace: Trace) -> Tensor:
        """True for the dead units, (code_size,), this batch counted in."""
        before = self._remembered.get(self._name, torch.zeros_like(trace.code[0]))
        if trace.network.training:
            silent = (trace.code == 0).all(0)
            before = torch.where(silent, before + len(trace.code), 0.0)
            self._remembered[self._name] = before
        return before >= DEAD_AFTER


def _auxiliary(aux_k: int, distance: Distance, dead_units: Dead, trace: Trace) -> Tensor:
    """The auxiliary loss that gives dead units work (Gao et al. 2024, appendix A.2).

    The `aux_k` most excited of them are added to the code, and learn to reconstruct what it leaves
    unexplained. A scalar; 0 while no unit is dead.
    """
    dead = dead_units(trace)
    if not dead.any():
        return trace.code.new_zeros(())
    excited = trace.preactivation.relu() * dead
    found = excited.topk(min(aux_k, excited.shape[1]), dim=1)
    revived = torch.zeros_like(excited).scatter(1, found.indices, found.values)
    decoded = trace.network.decoder(trace.code.detach() + revived)
    return AUX_WEIGHT * distance(trace.network, decoded, trace.images)


def _revival(weight: float, dead_units: Dead, trace: Trace) -> Tensor:
    """What pulls each dead unit up until it is active again; a scalar.

    The distance of its preactivation to the bar, as in Conerly et al. 2025 (Anthropic, Dictionary
    learning optimization techniques), but only for the image of the batch that comes nearest: a
    unit is to be of use for some image, not for all.
    """
    dead = dead_units(trace)
    if not dead.any():
        return trace.code.new_zeros(())
    code: Code = trace.network.encoder.code
    gaps = code.bar(trace.preactivation.detach()) - trace.preactivation
    return weight * gaps[:, dead].amin(0).relu().sum()


def _from_below(compute: Objective, below: Callable[[Tensor], Tensor]) -> Objective:
    """The objective of what a function makes of the images."""
    return lambda network, batch: compute(network, batch._replace(inputs=below(batch.inputs)))


def _with_weight_decay(compute: Objective, weight_decay: float) -> Objective:
    """The objective and an L2 penalty on all weights, for an optimiser that has none itself."""

    def decayed(network: Any, batch: Batch) -> tuple[Tensor, Parts]:
        loss, parts = compute(network, batch)
        weights = [p for p in network.parameters() if p.ndim > 1 and p.requires_grad]
        penalty = weight_decay * losses.squared_weights(weights)
        return loss + penalty, {**parts, "weight_decay": penalty.detach()}

    return decayed


def _with_shifts(compute: Objective, most: int) -> Objective:
    """The objective of images that were moved at random."""

    def moved(network: Any, batch: Batch) -> tuple[Tensor, Parts]:
        if network.training:
            batch = batch._replace(inputs=shifted(batch.inputs, most))
        return compute(network, batch)

    return moved


def _with_swaps(compute: Objective, part: float) -> Objective:
    """The objective of texts in which a part of the tokens are others, input and target alike."""

    def swapped_first(network: Any, batch: Batch) -> tuple[Tensor, Parts]:
        if network.training:
            batch = batch._replace(inputs=swapped(batch.inputs, part))
        return compute(network, batch)

    return swapped_first
