"""Optimisers and the course of their learning rate, by the names that users type."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from aectl.sections import TrainingConfig


def build_optimizer(network: nn.Module, config: TrainingConfig) -> Optimizer:
    """The optimiser of all parameters that are trained; only weights, not biases, decay."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[config.optimizer](groups, config)


def build_schedule(optimizer: Optimizer, config: TrainingConfig, steps: int) -> LambdaLR:
    """The learning rate over `steps` steps: a linear warm-up, then the schedule's course."""
    warm = config.warmup * steps
    course = SCHEDULES[config.schedule]

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / math.ceil(warm)
        return course((step - warm) / max(1.0, steps - warm))

    return LambdaLR(optimizer, factor)


Groups = list[dict[str, Any]]

OPTIMIZERS: dict[str, Callable[[Groups, TrainingConfig], Optimizer]] = {
    "adam": lambda groups, config: torch.optim.Adam(groups, config.lr, fused=True),
    "adamw": lambda groups, config: torch.optim.AdamW(groups, config.lr, fused=True),
    "sgd": lambda groups, config: torch.optim.SGD(
        groups, config.lr, momentum=config.momentum, fused=True
    ),
}

SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}
