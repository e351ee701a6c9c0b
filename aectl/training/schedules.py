"""Schedules of training: the learning rate, the number of units that stay active, and the power of
a penalty."""

import itertools
import math
from collections.abc import Callable

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from aectl.config.configuration import Config
from aectl.config.training_options import TrainingConfig
from aectl.models.codes import BatchTopK, Code, TopK


def build_schedule(
    optimizer: Optimizer, config: TrainingConfig, steps: int, done: int = 0
) -> LambdaLR:
    """The learning rate over `steps` steps, `done` of which lie behind."""
    return LambdaLR(optimizer, lambda step: factor(config, steps, done + step))


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


def schedule_sparsity(
    network: nn.Module, config: Config, optimizer: Optimizer, steps: int, done: int = 0
) -> None:
    """Lets what the options `k_start` and `p_end` say of the codes of a network change with its
    steps."""
    k_start, p_end = config.training.k_start, config.loss.p_end
    for code in network.modules():
        if k_start and isinstance(code, TopK | BatchTopK):
            lower_k(code, k_start, optimizer, steps, done)
        if p_end < 1 and isinstance(code, Code):
            lower_p(code, p_end, optimizer, steps, done)


def lower_k(
    code: TopK | BatchTopK, start: int, optimizer: Optimizer, steps: int, done: int = 0
) -> None:
    """Lets the active units fall from `start` to k over the first half of `steps` steps, `done` of
    which lie behind.

    Linearly, as Makhzani & Frey 2013 do (section 4.2.1): units that would never be among the k
    largest learn before the competition grows hard.
    """
    k, counted = code.kept, itertools.count(done)

    def lower(*_: object) -> None:
        code.kept = round(start + (k - start) * min(1.0, 2 * next(counted) / steps))

    lower()
    optimizer.register_step_post_hook(lower)


def lower_p(code: Code, end: float, optimizer: Optimizer, steps: int, done: int = 0) -> None:
    """Lets the power of a penalty fall linearly from 1 to `end` over `steps` steps, `done` of which
    lie behind (p-annealing: Karvonen et al. 2024, Measuring progress in dictionary learning).
    """
    counted = itertools.count(done)

    def lower(*_: object) -> None:
        code.power = 1 + (end - 1) * min(1.0, next(counted) / max(1, steps - 1))

    lower()
    optimizer.register_step_post_hook(lower)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}
