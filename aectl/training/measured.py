"""The errors of a trained network: what it has memorised, and how it labels."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from aectl.inference.metrics import ClassificationMetrics
from aectl.objectives.step import Batch

MEMORISED = 2.0
"""The held-out error, divided by the training error, above which a network has memorised."""


class Errors(NamedTuple):
    """The `mse` of a trained network on training inputs, and on those held out."""

    trained: float
    held_out: float

    @property
    def memorised(self) -> bool:
        """Whether the network has memorised its training inputs."""
        return self.held_out > MEMORISED * self.trained

    def described(self, noun: str) -> str:
        """Both, and whether the network has memorised its training inputs, called `noun`."""
        told = f"memorised its training {noun}" if self.memorised else "not memorised them"
        return (
            f"mse {self.held_out:.3g} on held-out and {self.trained:.3g} on training {noun}: the"
            f" model has {told}"
        )


class Labelling(Protocol):
    """Gives logits, (batch, classes), for a batch of inputs."""

    @property
    def classes_count(self) -> int: ...
    def __call__(self, inputs: Tensor) -> Tensor: ...


@torch.no_grad()
def mean_error(network: Labelling, batches: Iterable[Batch]) -> dict[str, float]:
    """The error of a classifier in evaluation mode, in percent, by its name."""
    labels = ClassificationMetrics(network.classes_count)
    for batch in batches:
        assert batch.labels is not None
        labels.update(network(batch.inputs).argmax(1), batch.labels)
    return {"error": float(labels.result()["error"])}  # type: ignore[arg-type]
