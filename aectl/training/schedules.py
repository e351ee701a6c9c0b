"""Schedules of training: the learning rate, the number of units that stay active, and the power of
a penalty."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aectl.config.configuration import Config
from aectl.config.training_options import TrainingConfig
from aectl.models.codes import BatchTopK, Code, TopK

Annealing = Callable[[int], None]
"""Sets what a step, by its number, needs."""


class Schedule:
    """Sets the learning rate of each step, and what each annealing sets."""

    def __init__(
        self,
        optimizer: Optimizer,
        factor_of: Callable[[int], float],
        annealed: Sequence[Annealing] = (),
        done: int = 0,
    ) -> None:
        self._groups = [(group, float(group["lr"])) for group in optimizer.param_groups]
        self._factor_of, self._annealed, self._done = factor_of, annealed, done
        self.lr = 0.0
        self._set()

    def step(self) -> None:
        """Prepares the next step; to be called after each."""
        self._done += 1
        self._set()

    def _set(self) -> None:
        part = self._factor_of(self._done)
        for group, highest in self._groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(highest * part)
            else:
                group["lr"] = highest * part
        self.lr = self._groups[0][1] * part
        for anneal in self._annealed:
            anneal(self._done)


def build_schedule(
    optimizer: Optimizer,
    config: TrainingConfig,
    steps: int,
    done: int = 0,
    annealed: Sequence[Annealing] = (),
) -> Schedule:
    """The learning rate over `steps` steps, `done` of which lie behind."""
    return Schedule(optimizer, lambda step: factor(config, steps, step), annealed, done)


def factor(config: TrainingConfig, steps: int, step: int) -> float:
    """The learning rate of step `step` (from 0) of `steps`, as a fraction of the highest: a linear
    warm-up, then the schedule's course.

    Of an optimiser that sees all images at each step, the rate stays what it is.
    """
    if config.optimizer == "lbfgs":
        return 1.0
    warm = config.warmup * steps
    if step < warm:
        return (step + 1) / math.ceil(warm)
    return SCHEDULES[config.schedule]((step - warm) / max(1.0, steps - warm))


def annealing_of(network: nn.Module, config: Config, steps: int) -> list[Annealing]:
    """The annealing of the codes of a network, by the options `k_start` and `p_end`."""
    k_start, p_end = config.training.k_start, config.loss.p_end
    device = next(network.parameters()).device
    found: list[Annealing] = []
    for code in network.modules():
        if k_start and isinstance(code, TopK | BatchTopK):
            found.append(lower_k(code, k_start, steps))
        if p_end < 1 and isinstance(code, Code):
            found.append(lower_p(code, p_end, steps, device))
    return found


def lower_k(code: TopK | BatchTopK, start: int, steps: int) -> Annealing:
    """Lets the active units fall from `start` to k over the first half of `steps` steps.

    Linearly, as Makhzani & Frey 2013 do (section 4.2.1): units that would never be among the k
    largest learn before the competition grows hard.
    """
    k = code.kept

    def lower(step: int) -> None:
        code.kept = round(start + (k - start) * min(1.0, 2 * step / steps))

    return lower


def lower_p(code: Code, end: float, steps: int, device: torch.device) -> Annealing:
    """Lets the power of a penalty fall linearly from 1 to `end` over `steps` steps (p-annealing:
    Karvonen et al. 2024, Measuring progress in dictionary learning).
    """
    power = code.power = torch.ones((), device=device)

    def lower(step: int) -> None:
        power.fill_(1 + (end - 1) * min(1.0, step / max(1, steps - 1)))

    return lower


SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}
