"""Penalties on the code, added to the reconstruction loss by the options of a config."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.config.loss_options import LossConfig
from aectl.config.sparsity import RULES
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.codes import Code, JumpReLU, prefix
from aectl.models.dense_layers import Encoder
from aectl.models.precision import exactly
from aectl.models.whole_batch import whole
from aectl.objectives import losses

AUX_WEIGHT = 1 / 32


class Trace(NamedTuple):
    """Intermediate results of a forward pass: `images` are clean, `inputs` may be corrupted.

    dead: whether each unit of the code is dead, (code_size,); None if no unit can be dead, or no
    loss depends on dead units.
    """

    network: Any
    images: Tensor
    inputs: Tensor
    preactivation: Tensor
    code: Tensor
    dead: Tensor | None = None


Penalty = Callable[[Trace], Tensor]
Distance = Callable[[AutoencoderBase, Tensor, Tensor], Tensor]


def penalties_of(
    config: Config, distance: Distance | None, remembered: dict[str, Tensor]
) -> dict[str, Penalty]:
    """The penalties of a config, by the names of their columns in `metrics.csv`.

    Some need the `distance` between the decoder's output and the images. `remembered`: state that
    is kept between batches.
    """
    found: dict[str, Penalty] = {}
    sparsity, beta = config.model.sparsity, config.loss.beta
    if sparsity in SPARSITY:
        found["sparsity"] = lambda trace: beta * SPARSITY[sparsity](trace, config.loss)
    if config.loss.p_end < 1:
        annealed = Annealed(remembered)
        found["sparsity"] = lambda trace: beta * annealed(trace)
    if RULES[sparsity].frozen_decoder and distance:
        found["gate"] = partial(_gate, distance)
    if config.loss.prefixes and distance:
        found["prefixes"] = partial(_prefixes, config.loss.prefixes, distance)
    if config.loss.contractive:
        found["contraction"] = lambda trace: config.loss.contractive * _contraction(trace)
    if config.loss.aux_k and distance:
        found["auxiliary"] = partial(_auxiliary, config.loss.aux_k, distance)
    if config.loss.revive:
        found["revival"] = partial(_revival, config.loss.revive)
    return found


def _active_units(trace: Trace, _: LossConfig) -> Tensor:
    """The mean number of active units, differentiable by thresholds (JumpReLU SAEs, equation 9).

    It is not an l1 norm: |x| has slope 0 at 0, and a unit just below its threshold has a gradient.
    """
    code = trace.network.encoder.code
    assert isinstance(code, JumpReLU)
    return code.active(trace.preactivation).sum() / len(trace.preactivation)


SPARSITY: dict[str, Callable[[Trace, LossConfig], Tensor]] = {
    "kl": lambda trace, config: losses.kl_sparsity(
        whole().average(trace.code.mean(0))[None], config.rho
    ),
    "l1": lambda trace, _: losses.l1_sparsity(trace.code),
    "jumprelu": _active_units,
    "gated": lambda trace, _: losses.l1_sparsity(trace.preactivation.relu()),
}
"""The penalties of the sparsity rules that have one, before the weight beta."""


class Annealed:
    """The penalty sum_j |code_j|^p of a code whose power p falls in training (p-annealing).

    Each time that p has fallen, a factor is adjusted so that the penalty of the batch is the same
    as before (Karvonen et al. 2024, with one batch for each step of p). The power and the factor
    are kept in `remembered`.
    """

    def __init__(self, remembered: dict[str, Tensor]) -> None:
        self._remembered = remembered

    def __call__(self, trace: Trace) -> Tensor:
        """The penalty, a scalar, before the weight beta."""
        one = trace.code.new_ones(())
        power, factor = (self._remembered.get(name, one) for name in ("power", "factor"))
        if trace.network.training:
            before, power = power, one * trace.network.encoder.code.power
            with torch.no_grad():
                code = trace.code.detach()
                now = whole().average(losses.power_sparsity(code, power))
                change = whole().average(losses.power_sparsity(code, before)) / now
                factor = factor * change.where(now > 0, one)
            self._remembered |= {"power": power, "factor": factor}
        return factor * losses.power_sparsity(trace.code, power)


def _gate(distance: Distance, trace: Trace) -> Tensor:
    """The reconstruction loss of the gate's own values (Gated SAEs, equation 8).

    It trains the gate, which has no other gradient; the decoder gets no gradient from it.
    """
    decoder = trace.network.decoder
    frozen = {name: value.detach() for name, value in decoder.named_parameters()}
    decoded = torch.func.functional_call(decoder, frozen, (trace.preactivation.relu(),))
    return distance(trace.network, decoded, trace.images)


def _prefixes(widths: tuple[int, ...], distance: Distance, trace: Trace) -> Tensor:
    """The reconstruction losses of the first units of the code, for each of the `widths` that is
    less than all of them (Matryoshka: Bussmann et al. 2025, equation 5); a scalar.
    """
    network, code = trace.network, trace.code
    shorter = [width for width in widths if width < code.shape[1]]
    decoded = (network.decoder(prefix(code, width)) for width in shorter)
    return sum((distance(network, one, trace.images) for one in decoded), code.new_zeros(()))


@torch.enable_grad()
def _contraction(trace: Trace) -> Tensor:
    """||d code / d input||_F^2, mean over the batch (Rifai et al. 2011, equation 5).

    The functions of torch.func would load torch's compiler, which takes seconds.
    """
    with exactly(trace.inputs):
        return _squared_jacobian(trace)


def _squared_jacobian(trace: Trace) -> Tensor:
    encoder = trace.network.encoder
    if isinstance(encoder, Encoder) and len(encoder.layers) == 1:
        before = _differentiable(trace.preactivation)
        total = encoder.code(before).sum()
        (slopes,) = torch.autograd.grad(total, before, create_graph=True)
        return losses.contraction(slopes, encoder.to_code.weight)
    inputs = trace.inputs.detach().requires_grad_()
    by_unit: Tensor = encoder(inputs).sum(0)
    one_each = torch.eye(len(by_unit), dtype=by_unit.dtype, device=by_unit.device)
    (jacobian,) = torch.autograd.grad(
        by_unit, inputs, one_each, create_graph=True, is_grads_batched=True
    )
    return jacobian.square().sum() / len(inputs)


def _differentiable(values: Tensor) -> Tensor:
    """The values, of which something can be differentiated, also where nothing is trained."""
    return values if values.requires_grad else values.detach().requires_grad_()


def _auxiliary(aux_k: int, distance: Distance, trace: Trace) -> Tensor:
    """The auxiliary loss that trains dead units (Gao et al. 2024, appendix A.2).

    The `aux_k` dead units with the largest pre-activations are added to the code, and are trained
    to reconstruct its residual. A scalar; 0 while no unit is dead.
    """
    none = trace.code.new_zeros(())
    if trace.dead is None:
        return none
    excited = trace.preactivation.relu() * trace.dead
    found = excited.topk(min(aux_k, excited.shape[1]), dim=1)
    revived = torch.zeros_like(excited).scatter(1, found.indices, found.values)
    decoded = trace.network.decoder(trace.code.detach() + revived)
    loss = AUX_WEIGHT * distance(trace.network, decoded, trace.images)
    return loss.where(trace.dead.any(), none)


def _revival(weight: float, trace: Trace) -> Tensor:
    """The loss that reactivates dead units; a scalar.

    It is the distance of the pre-activation to the threshold, as in Conerly et al. 2025 (Anthropic,
    Dictionary learning optimization techniques), but only for the image of the batch with the
    smallest distance: a unit should become active for some images, not for all.
    """
    before = trace.preactivation
    if trace.dead is None:
        return trace.code.new_zeros(())
    code: Code = trace.network.encoder.code
    threshold = code.threshold_for(before.detach()).expand_as(before)
    nearest = (threshold - before.detach()).argmin(0, keepdim=True)
    gaps = whole().least(threshold.gather(0, nearest) - before.gather(0, nearest))
    return weight * gaps.relu().where(trace.dead, 0.0).sum()
