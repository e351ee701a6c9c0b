"""What a code costs beside its reconstruction: the penalties that a config asks for."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.config.sections import LossConfig
from aectl.models.autoencoder import AutoencoderBase, Encoder
from aectl.models.codes import Code, JumpReLU
from aectl.objectives import losses

AUX_WEIGHT = 1 / 32
DEAD_AFTER = 10_000


class Trace(NamedTuple):
    """What a network made of a batch: `images` are the clean ones, `inputs` what it saw."""

    network: Any
    images: Tensor
    inputs: Tensor
    preactivation: Tensor
    code: Tensor


Penalty = Callable[[Trace], Tensor]
Distance = Callable[[AutoencoderBase, Tensor, Tensor], Tensor]


def penalties_of(
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
            _auxiliary,
            config.loss.aux_k,
            distance,
            uncompiled(Dead(remembered, "auxiliary").__call__, config),
        )
    if config.loss.revive:
        dead_units = uncompiled(Dead(remembered, "revival").__call__, config)
        found["revival"] = partial(_revival, config.loss.revive, dead_units)
    return found


def uncompiled(count: Callable[..., Tensor], config: Config) -> Callable[..., Tensor]:
    """The same, kept out of what --compile compiles: a count would lie where a captured graph
    writes again.
    """
    if not config.training.compile:
        return count  # without a second to load the compiler
    left_out: Callable[..., Tensor] = torch.compiler.disable(count)  # type: ignore[no-untyped-call]
    return left_out


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

    def __call__(self, trace: Trace) -> Tensor:
        """True for the dead units, (code_size,), this batch counted in."""
        before = self._remembered.get(self._name, torch.zeros_like(trace.code[0]))
        if trace.network.training:
            silent = (trace.code == 0).all(0)
            before = torch.where(silent, before + len(trace.code), 0.0)
            self._remembered[self._name] = before
        return before >= DEAD_AFTER


def _auxiliary(
    aux_k: int, distance: Distance, dead_units: Callable[[Trace], Tensor], trace: Trace
) -> Tensor:
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


def _revival(weight: float, dead_units: Callable[[Trace], Tensor], trace: Trace) -> Tensor:
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
