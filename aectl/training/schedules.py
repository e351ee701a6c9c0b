"""Schedules of training: the learning rate, and the number of units that stay active."""

import itertools
import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from aectl.config.training_options import TrainingConfig
from aectl.models.codes import BatchTopK, TopK


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


SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}
