"""The loop: fetch a batch, ask the objective for the loss, step, yield progress."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from aectl.errors import ConfigError, DivergedError
from aectl.objective import Batch, Objective

PROGRESS_SECONDS = 0.2

CPU = torch.device("cpu")

PRECISIONS = {"fp32": "highest", "tf32": "high", "bf16": "medium"}
"""What torch calls the precisions of matrix products that users type."""


@dataclass(frozen=True)
class Progress:
    """How far training is; `losses`, its means over the epoch, stand at an epoch's end alone."""

    epoch: int
    step: int
    steps: int
    losses: dict[str, float] | None = None

    def after(self, epochs: int) -> "Progress":
        """The same, counted on from so many epochs before."""
        return dataclasses.replace(self, epoch=self.epoch + epochs)


@dataclass(frozen=True)
class MemorySet:
    """A set of images, whose batches are made on `device`; several sets may be parts of the same.

    images: (n, channels, height, width), uint8; labels: (n,) or None; rows: (m,), those of the
    images that are of the set. All three may lie in another memory than the device's.
    """

    images: Tensor
    labels: Tensor | None
    rows: Tensor
    device: torch.device = CPU

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, rows: Tensor) -> "MemorySet":
        """Some of the set, by their places in it: (k,)."""
        return dataclasses.replace(self, rows=self.rows[rows.to(self.rows.device)])

    def whole(self) -> Batch:
        """All images as one batch."""
        return self._batch(self.rows)

    def shuffled(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Every image once, in a random order."""
        order = torch.randperm(len(self), generator=generator).to(self.rows.device)
        return map(self._batch, torch.split(self.rows[order], size))

    def in_order(self, size: int) -> Iterator[Batch]:
        """Every image once, in the order of the set."""
        return map(self._batch, torch.split(self.rows, size))

    def _batch(self, rows: Tensor) -> Batch:
        """Some of the images, as float32 in [0, 1]."""
        images = self.images.index_select(0, rows).to(self.device) / 255
        labels = None if self.labels is None else self.labels[rows].to(self.device)
        return Batch(images, labels)


def train_epochs(
    network: nn.Module,
    objective: Objective,
    images: MemorySet,
    optimizer: Optimizer,
    schedule: LRScheduler,
    *,
    epochs: int,
    batch_size: int,
    generator: torch.Generator,
    precision: str = "fp32",
) -> Iterator[Progress]:
    """Trains `network`, and yields now and then, and at the end of each epoch.

    `precision` is a name of `PRECISIONS`. Raises DivergedError where the mean loss of an epoch is
    no finite number.
    """
    steps = math.ceil(len(images) / batch_size)
    for epoch in range(1, epochs + 1):
        network.train()
        sums = Means()
        last = time.monotonic()
        with _matrix_products(precision):
            for step, batch in enumerate(images.shuffled(batch_size, generator), 1):
                found = _step(network, objective, batch, optimizer)
                schedule.step()
                sums.add(found, len(batch.images))
                if time.monotonic() - last > PROGRESS_SECONDS:
                    last = time.monotonic()
                    yield Progress(epoch, step, steps)
        losses = sums.means()
        if not math.isfinite(losses["loss"]):
            raise DivergedError(
                f"the loss is {losses['loss']} after epoch {epoch}: training diverged;"
                " a smaller --lr helps"
            )
        yield Progress(epoch, steps, steps, losses)


def compiled(compute: Objective) -> Objective:
    """The same objective through torch.compile; on CUDA, as graphs that are captured once.

    Raises ConfigError, when called, where this machine cannot compile.
    """
    from torch._dynamo.exc import TorchDynamoException  # a second to import

    faster = torch.compile(compute, mode="reduce-overhead")

    def call(network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        try:
            return faster(network, batch)
        except TorchDynamoException as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"--compile does not work on this machine: {reason}") from error

    return call


@contextlib.contextmanager
def _matrix_products(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(PRECISIONS[precision])
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _step(
    network: nn.Module, objective: Objective, batch: Batch, optimizer: Optimizer
) -> dict[str, Tensor]:
    """One step; returns the loss and its parts before it."""
    found: list[dict[str, Tensor]] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss, parts = objective(network, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        found.append({"loss": loss.detach(), **parts})
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    return found[0]


@torch.no_grad()
def mean_losses(
    network: nn.Module, objective: Objective, images: MemorySet, batch_size: int
) -> dict[str, float]:
    """The objective and its parts over a set that is not trained on."""
    network.eval()
    sums = Means()
    for batch in images.in_order(batch_size):
        loss, parts = objective(network, batch)
        sums.add({"loss": loss, **parts}, len(batch.images))
    return sums.means()


class Means:
    """Means of named scalars, weighted by the size of their batch and summed on the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Any] = {}
        self._images = 0

    def add(self, values: dict[str, Tensor], images: int) -> None:
        """Takes in the mean values of a batch of so many images."""
        self._images += images
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * images

    def means(self) -> dict[str, float]:
        """The mean of each value over all images."""
        return {name: (total / self._images).item() for name, total in self._sums.items()}
