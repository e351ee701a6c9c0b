"""A step of training: a batch goes in, the losses of a network for it come out."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from aectl.config.configuration import Config
from aectl.models.codes import BatchTopK, TopK
from aectl.objectives.dead_units import Dead
from aectl.objectives.penalties import Penalty, Trace


class Batch(NamedTuple):
    """A training batch. inputs: images (batch, channels, height, width), in [0, 1], or the tokens
    of text (batch, length); labels: (batch,), or None; others: the rows of the same batch that
    other processes have.
    """

    inputs: Tensor
    labels: Tensor | None
    others: int = 0

    @property
    def rows(self) -> int:
        """The number of rows of the whole batch."""
        return len(self.inputs) + self.others

    def made(self) -> "Batch":
        """The batch itself."""
        return self


class UnmadeBatch(NamedTuple):
    """A batch that is yet to be made, by a function of the places of its inputs in a set, (batch,),
    and of `others`, as of a batch.

    The places are on the device, as is all that the function reads, so that a recorded step can
    make the batch.
    """

    places: Tensor
    make: Callable[[Tensor, int], Batch]
    others: int = 0

    @property
    def rows(self) -> int:
        """The number of rows of the whole batch."""
        return len(self.places) + self.others

    def made(self) -> Batch:
        """The batch."""
        return self.make(self.places, self.others)


Drawn = Batch | UnmadeBatch
"""A batch as a training set gives it."""

T = TypeVar("T")


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

    def __init__(self, network: nn.Module, compute: Compute, dead: Dead | None = None) -> None:
        super().__init__()
        self.network = network
        self._compute, self._dead = compute, dead
        self._competing = [one for one in network.modules() if isinstance(one, TopK | BatchTopK)]

    @property
    def variant(self) -> Hashable:
        """Values that decide, with the shapes of a batch, which operations a step consists of."""
        possible = self._dead is not None and self._dead.possible
        return possible, *(code.kept for code in self._competing)

    def prepare(self, inputs: int) -> None:
        """Prepares the next step, which has so many `inputs`: reads the values from the device that
        a step must not wait for."""
        if self._dead is not None:
            self._dead.look(inputs)

    def forward(self, batch: Batch) -> Losses:
        """The losses of a batch; in training mode, with its random changes."""
        return self._compute(self.network, batch)


def uncompiled(count: Callable[..., T], config: Config) -> Callable[..., T]:
    """The function, excluded from --compile: its state would be in memory that a captured graph
    overwrites.
    """
    if not config.training.compile:
        return count  # does not load the compiler, which takes a second
    left_out: Callable[..., T] = torch.compiler.disable(count)  # type: ignore[no-untyped-call]
    return left_out


def dead_units_of(dead: Dead | None, config: Config) -> Callable[[Tensor, bool], Tensor | None]:
    """Returns a function: (code, whether in training) -> whether each unit is dead, as `Dead` does;
    always None if no loss depends on dead units."""
    if dead is None:
        return lambda code, training: None
    return uncompiled(dead.__call__, config)


def with_penalties(
    loss: Tensor, terms: dict[str, Tensor], penalties: dict[str, Penalty], trace: Trace
) -> Losses:
    """The loss plus the penalties, each of which is a term, too."""
    for name, penalty in penalties.items():
        value = penalty(trace)
        loss = loss + value
        terms[name] = value.detach()
    return Losses(loss, terms)


def with_changed_inputs(compute: Compute, change: Callable[[Tensor], Tensor]) -> Compute:
    """The objective with inputs changed at random in training, the target along with them."""

    def changed(network: Any, batch: Batch) -> Losses:
        if network.training:
            batch = batch._replace(inputs=change(batch.inputs))
        return compute(network, batch)

    return changed
