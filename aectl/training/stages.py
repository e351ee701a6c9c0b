"""The stages of a run: layers that are trained alone, and the whole network; their state."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aectl.errors import ModelFileError, first_line
from aectl.objectives.step import Objective
from aectl.training.loop import TrainingPosition, TrainingSet
from aectl.training.means import Means
from aectl.training.optimizer_state import restore_state, state_of
from aectl.training.state import LoopState, RunState


@dataclass(frozen=True)
class Stage:
    """Layers that are trained alone before the whole network; `number` starts from 1.

    `begin` initialises them; `objective` makes their network with its loss, given the state that is
    kept between batches. `inputs`: what they are trained on, if not the inputs of the run.
    """

    number: int
    objective: Callable[[dict[str, Tensor]], Objective]
    begin: Callable[[], None]
    inputs: TrainingSet | None = None


@dataclass
class CurrentStage:
    """The stage that is being trained, by its number; 0 is the whole network."""

    number: int
    objective: Objective
    remembered: dict[str, Tensor]
    inputs: TrainingSet
    at: TrainingPosition = field(default_factory=TrainingPosition)
    optimizer: Optimizer | None = None

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        return self.objective.network

    def state(self, generator: torch.Generator, device: torch.device) -> dict[str, Any]:
        """The fields of a RunState that `go_on_from` needs."""
        assert self.optimizer is not None
        at = self.at
        return {
            "stage": self.number,
            "stage_weights": self.network.state_dict() if self.number else {},
            "optimizer": state_of(self.optimizer),
            "remembered": self.remembered,
            "loop": LoopState(at.epochs, at.step, at.seconds, at.lr, at.sums.sums, at.sums.inputs),
            "order": at.order if at.step else generator.get_state(),
            "random": torch.get_rng_state(),
            "device_random": (
                None if device.type == "cpu" else torch.get_device_module(device).get_rng_state()
            ),
        }

    def go_on_from(self, state: RunState, generator: torch.Generator, device: torch.device) -> None:
        """Restores the state of the same stage. Raises ModelFileError where it does not fit."""
        assert self.optimizer is not None
        with restoring():
            if self.number:  # else it is, or is in, the network that is restored
                self.network.load_state_dict(state.stage_weights)
            restore_state(self.optimizer, state.optimizer)
            units = getattr(getattr(self.network, "encoder", None), "code_size", 0)
            for name, counted in state.remembered.items():
                if counted.shape not in ((), (units,)):
                    raise ValueError(f"the counts of {name} are not of {units} units")
                self.remembered[name] = counted.to(device)
            loop = state.loop
            sums = {name: value.view(()).to(device) for name, value in loop.sums.items()}
            self.at = TrainingPosition(
                loop.epochs, loop.step, state.order,
                Means(sums, loop.inputs), loop.seconds, loop.lr,
            )  # fmt: skip
            generator.set_state(state.order)
            torch.set_rng_state(state.random)
            if device.type != "cpu" and state.device_random is not None:
                torch.get_device_module(device).set_rng_state(state.device_random)


@contextlib.contextmanager
def restoring() -> Iterator[None]:
    """Raises ModelFileError for whatever torch cannot put in place."""
    try:
        yield
    except (RuntimeError, ValueError, LookupError, TypeError) as error:
        said = first_line(error)
        raise ModelFileError(f"the checkpoint does not fit its own options: {said}") from error
