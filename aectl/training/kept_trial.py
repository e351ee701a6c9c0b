"""A trial, before the first step on a GPU, of the two ways to compute products with a wide code."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.config.training_options import BF16
from aectl.errors import first_line
from aectl.models.autoencoder import Autoencoder
from aectl.models.codes import BatchTopK, TopK
from aectl.models.precision import in_bfloat16
from aectl.objectives.step import Batch, Objective
from aectl.training import distributed
from aectl.training.process_state import same_random_numbers
from aectl.training.products import products_in
from aectl.training.recording import NamedTensors, Recorder, Work

ROUNDS = 4
"""Number of forward and backward passes each way; the shortest of their times counts."""

FASTER = 0.9
"""Kept units alone are computed if this takes at most this fraction of the time of all units: a
smaller difference might be the other way round in the next training."""

TOLERANCE = {"fp32": 1e-4, "tf32": 1e-2, BF16: 5e-2}
"""How much the gradient of a weight may differ, as a fraction of its length. The products of all
units are rounded to 24, 11 and 8 bits; those of kept units are in float32."""

ALL, KEPT = "all units", "the kept units alone"


class _Measured(NamedTuple):
    """The loss, its terms, and the gradients of a step, and its seconds."""

    values: list[Tensor]
    seconds: float


def choose_products(
    device: torch.device,
    config: Config,
    objective: Objective,
    remembered: dict[str, Tensor],
    first_batch: Callable[[], Batch],
    recorder: Recorder | None,
    told: Callable[[str], None],
) -> None:
    """Chooses how a network with a wide code is trained on CUDA; `told` is called with the choice.
    `recorder`: that of the steps of the training, if they are recorded.

    Several processes, and --compile, use all units.
    """
    network, k = objective.network, config.model.k
    if device.type != "cuda" or config.training.compile or distributed.processes() > 1:
        return
    if isinstance(network, Autoencoder) and network.encoder.few_active and k:
        precision = config.training.precision or "fp32"
        told(tried(objective, network, remembered, first_batch, precision, k, recorder))


def tried(
    objective: Objective,
    network: Autoencoder,
    remembered: dict[str, Tensor],
    first_batch: Callable[[], Batch],
    precision: str,
    k: int,
    recorder: Recorder | None = None,
) -> str:
    """Lets a network compute its products from kept units, once these are no more than k, if this
    is right and faster; returns the choice, in words.

    Both ways get the same batch; their losses and gradients must agree. With a recorder, steps are
    recorded, and their replays measured: starting the operations of a short step takes longer than
    they do. Neither weights nor the state of the training change. Any error in the trial means that
    all units are used.
    """
    network.kept_up_to = 0
    try:
        batch = first_batch()
        with products_in(precision), _keeping(k, network):
            with _unchanged(objective, remembered):
                every = _measured(objective, batch, precision, recorder)
            network.kept_up_to = k
            with _unchanged(objective, remembered):
                kept = _measured(objective, batch, precision, recorder)
        differences = [_difference(*pair) for pair in zip(kept.values, every.values, strict=True)]
    except Exception as error:  # whatever it is, all units can be used
        network.kept_up_to = 0
        return f"from {ALL} rather than from {KEPT} ({first_line(error)})"
    if wrong := [one for one in differences if not one <= TOLERANCE[precision]]:
        network.kept_up_to = 0
        return f"from {ALL} rather than from {KEPT} (which differ by {wrong[0]:.1%})"
    faster = kept.seconds <= FASTER * every.seconds
    network.kept_up_to = k if faster else 0
    ways = [(KEPT, kept), (ALL, every)] if faster else [(ALL, every), (KEPT, kept)]
    told = [f"from {name} ({1000 * took.seconds:.3g} ms a step)" for name, took in ways]
    return " rather than ".join(told)


def _difference(one: Tensor, other: Tensor) -> float:
    """The length of the difference of two tensors, as a fraction of the second's length."""
    distance, length = (one - other).norm().item(), other.norm().item()
    return distance / length if length else math.inf if distance else 0.0


def _measured(
    objective: Objective, batch: Batch, precision: str, recorder: Recorder | None
) -> _Measured:
    """Makes steps without their updates."""
    trained = [one for one in objective.parameters() if one.requires_grad]

    def step() -> NamedTensors:
        with in_bfloat16(batch.inputs, precision == BF16):
            loss, terms = objective(batch)
        gradients = torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)
        values = (loss.detach(), *terms.values(), *gradients)
        return {str(number): value for number, value in enumerate(values)}

    take = step if recorder is None else _recorded(step, recorder)
    device, seconds = batch.inputs.device, math.inf
    for _ in range(ROUNDS):
        found: NamedTensors = {}  # else the results of two rounds are in memory
        torch.manual_seed(0)
        began = _time(device)
        found = take()
        seconds = min(seconds, _time(device) - began)
    return _Measured([*found.values()], seconds)


def _recorded(step: Work, recorder: Recorder) -> Work:
    """The same step as a replay, unless it cannot be one."""
    _, waits = recorder.waiting(step)
    if waits:
        return step
    found, repeat = recorder.record(step)

    def replay() -> NamedTensors:
        repeat()
        return found

    return replay


def _time(device: torch.device) -> float:
    """The time in seconds when a device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@contextlib.contextmanager
def _keeping(k: int, network: Autoencoder) -> Iterator[None]:
    """Lets the code keep k units in the block, which --k-start may have given others."""
    code = network.encoder.code
    assert isinstance(code, TopK | BatchTopK)
    before, code.kept = code.kept, k
    try:
        yield
    finally:
        code.kept = before


@contextlib.contextmanager
def _unchanged(objective: Objective, remembered: dict[str, Tensor]) -> Iterator[None]:
    """Restores after the block the random numbers, and all state that steps change but weights."""
    held = [(buffer, buffer.clone()) for buffer in objective.buffers()]
    before, training = dict(remembered), objective.training
    try:
        with same_random_numbers(next(objective.parameters()).device):
            objective.train()
            yield
    finally:
        objective.train(training)
        for buffer, value in held:
            buffer.copy_(value)
        remembered.clear()
        remembered.update(before)
