"""A step of training: forward, backward, and the optimiser's change of the weights."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aectl.config.training_options import BF16
from aectl.errors import ConfigError, first_line
from aectl.models.precision import in_bfloat16
from aectl.objectives.step import Batch, Drawn, Losses, Objective
from aectl.training import distributed
from aectl.training.means import Means


class Steps(Protocol):
    """Makes the steps of a training, of an objective, with a `precision`."""

    @property
    def objective(self) -> nn.Module: ...
    @property
    def precision(self) -> str: ...
    def __call__(self, drawn: Drawn, sums: Means) -> dict[str, Tensor]:
        """Makes one step; returns the loss and its terms before it, by name, which are added to
        the sums."""


@dataclass
class Eager:
    """Steps whose operations are carried out one by one.

    `clip_grad`: the maximum gradient norm. Of the values of `precision`, a name of
    `products.PRECISIONS`, only bf16 has an effect here; `products_in` sets the others.
    """

    objective: "Objective | Compiled"
    optimizer: Optimizer
    clip_grad: float | None = None
    precision: str = "fp32"

    def __call__(self, drawn: Drawn, sums: Means) -> dict[str, Tensor]:
        """Makes one step; returns the loss and its terms before it, by name, which are added to
        the sums."""
        self.objective.prepare(drawn.rows)
        found = self.step(drawn.made())
        sums.add(found, drawn.rows)
        return found

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """The same, of an objective that is prepared, without adding anything."""
        found: list[dict[str, Tensor]] = []

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            with distributed.shared(batch) as fraction:
                with in_bfloat16(batch.inputs, self.precision == BF16):
                    losses: Losses = self.objective(batch)
                parameters = self.objective.parameters()
                found.append(distributed.backward(losses, fraction, parameters))
            if self.clip_grad is not None:
                nn.utils.clip_grad_norm_(self.objective.parameters(), self.clip_grad)
            return losses.loss

        self.optimizer.step(closure)  # type: ignore[arg-type]
        return found[0]


class Compiled(nn.Module):
    """An objective through torch.compile; on CUDA, as graphs that are captured once.

    Batches of another size than `size`, as the last of an epoch, are computed uncompiled: compiling
    for them, too, would take as long again.

    Raises ConfigError, when called, where this machine cannot compile.
    """

    def __init__(self, objective: Objective, size: int) -> None:
        super().__init__()
        self.objective, self._size, self.prepare = objective, size, objective.prepare
        self._faster = torch.compile(objective.forward, mode="reduce-overhead")

    def forward(self, batch: Batch) -> Losses:
        """The losses of a batch."""
        from torch._dynamo.exc import TorchDynamoException  # a second to import

        if len(batch.inputs) != self._size:
            losses: Losses = self.objective(batch)
            return losses
        try:
            return self._faster(batch)
        except TorchDynamoException as error:
            reason = first_line(error)
            raise ConfigError(f"--compile does not work on this machine: {reason}") from error
