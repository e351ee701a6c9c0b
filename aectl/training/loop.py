"""The loop: fetch a batch, call the objective, step, yield progress."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from aectl.config.shapes import Sides
from aectl.errors import DivergedError
from aectl.models.placing import placed
from aectl.objectives.step import Batch, Drawn, UnmadeBatch
from aectl.training import distributed
from aectl.training.means import Means
from aectl.training.products import products_in
from aectl.training.schedules import Schedule
from aectl.training.steps import Steps
from aectl.training.thread_trial import ThreadTrial

PROGRESS_SECONDS = 0.2

CPU = torch.device("cpu")


@dataclass(frozen=True)
class TrainingProgress:
    """How far training is; `losses`, its means over the epoch, stand at an epoch's end alone.

    `seconds` have been spent on the epoch so far. `doing`: the work before the first step, where
    there is some; its `steps` are inputs, and it cannot be saved.
    """

    epoch: int
    step: int
    steps: int
    losses: dict[str, float] | None = None
    seconds: float = 0.0
    doing: str = ""

    def after(self, epochs: int) -> "TrainingProgress":
        """The same, after a number of earlier epochs."""
        return dataclasses.replace(self, epoch=self.epoch + epochs)


class TrainingSet(Protocol):
    """A training set of any modality."""

    def __len__(self) -> int: ...

    def shuffled(
        self, size: int, generator: torch.Generator, first: int = 0, epoch: int = 0
    ) -> Iterator[Drawn]:
        """Every input once, in a random order, from batch number `first` on; `epoch` is the number
        of those before, for a set whose order is not that of the generator alone."""

    def in_order(self, size: int) -> Iterator[Batch]:
        """Every input once, in the order of the set."""


def batches_of(
    rows: Iterable[Tensor], make: Callable[[Tensor, int], Batch], here: bool
) -> Iterator[Drawn]:
    """The batches that `make` makes of the rows of this process, and the number of others: a step
    makes them itself if all is `here`, on the device on which they are made."""
    for own, others in map(distributed.mine, rows):
        yield UnmadeBatch(own, make, others) if here else make(own, others)


@dataclass(frozen=True)
class MemorySet:
    """A set of images, whose batches are made on `device`; several sets may share the images.

    images: (n, channels, height, width), uint8; labels: (n,) or None; rows: (m,), those of the
    images that are of the set. All three may lie in another memory than the device's. `crop`: the
    height and width of the part of each image, drawn anew each time, that `shuffled` gives instead
    of the whole.
    """

    images: Tensor
    labels: Tensor | None
    rows: Tensor
    device: torch.device = CPU
    crop: Sides | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, rows: Tensor) -> "MemorySet":
        """Some of the set, by their places in it: (k,)."""
        return dataclasses.replace(self, rows=self.rows[rows.to(self.rows.device)])

    def middle(self, sides: Sides) -> "MemorySet":
        """The middle of each image, with this height and width."""
        (top, height), (left, width) = (
            ((side - part) // 2, part)
            for side, part in zip(self.images.shape[2:], sides, strict=True)
        )
        images = self.images[:, :, top : top + height, left : left + width]
        return dataclasses.replace(self, images=images)

    def whole(self) -> Batch:
        """All images as one batch."""
        return self._batch(self.rows)

    def shuffled(
        self, size: int, generator: torch.Generator, first: int = 0, epoch: int = 0
    ) -> Iterator[Drawn]:
        """Every image once, in a random order, from batch number `first` on.

        The places of the crops depend on the generator's state alone, and not on `size` or `first`.
        """
        order = torch.randperm(len(self), generator=generator)
        corners = None if self.crop is None else self._corners(self.crop, generator)
        if self.crop is None or corners is None:
            rows = self.rows[placed(order, self.rows.device)]
            here = self.images.device.type == self.device.type
            yield from batches_of(torch.split(rows, size)[first:], self._batch, here)
            return
        every = self.rows.cpu()  # once an epoch, since a copy from a GPU waits for it
        for places, others in map(distributed.mine, torch.split(order, size)[first:]):
            yield self._cropped(every[places], corners[places].tolist(), self.crop, others)

    def in_order(self, size: int) -> Iterator[Batch]:
        """Every image once, in the order of the set."""
        return map(self._batch, torch.split(self.rows, size))

    def _corners(self, crop: Sides, generator: torch.Generator) -> Tensor:
        """The top and the left of a crop of each image, all places equally probable: (m, 2)."""
        within = zip(self.images.shape[2:], crop, strict=True)
        drawn = [
            torch.randint(side - part + 1, (len(self),), generator=generator)
            for side, part in within
        ]
        return torch.stack(drawn, 1)

    def _cropped(self, rows: Tensor, corners: list[list[int]], crop: Sides, others: int) -> Batch:
        """A part of each image, whose top left corner is (top, left). The rows are on the CPU."""
        height, width = crop
        parts = [
            self.images[row, :, top : top + height, left : left + width]
            for row, (top, left) in zip(rows.tolist(), corners, strict=True)
        ]
        return self._floats(torch.stack(parts), placed(rows, self.rows.device), others)

    def _batch(self, rows: Tensor, others: int = 0) -> Batch:
        """Some of the images."""
        return self._floats(self.images.index_select(0, rows), rows, others)

    def _floats(self, pixels: Tensor, rows: Tensor, others: int) -> Batch:
        """Pixels of images, as float32 in [0, 1], with the labels of their rows."""
        images = placed(pixels, self.device) / 255
        labels = None if self.labels is None else placed(self.labels[rows], self.device)
        return Batch(images, labels, others)


@dataclass
class TrainingPosition:
    """Completed epochs, and completed steps of the current epoch.

    `order` is the random state from which that epoch's order was drawn, `lr` the learning rate of
    its first step; `sums` are of its losses, and `seconds` what its steps took.
    """

    epochs: int = 0
    step: int = 0
    order: Tensor | None = None
    sums: Means = field(default_factory=Means)
    seconds: float = 0.0
    lr: float = 0.0


def train_epochs(
    take: Steps,
    inputs: TrainingSet,
    schedule: Schedule,
    *,
    epochs: int,
    batch_size: int,
    generator: torch.Generator,
    position: TrainingPosition | None = None,
    turn: int | None = None,
    trial: ThreadTrial | None = None,
) -> Iterator[TrainingProgress]:
    """Trains by steps that `take` makes, from `position` on to the end of `epochs`.

    Yields at the start, now and then, after each `turn` steps, and at the end of each epoch;
    `position` then says where training is. `trial`: chooses the number of CPU threads. Raises
    DivergedError if the loss is not finite.
    """
    steps = math.ceil(len(inputs) / batch_size)
    at, trial = position or TrainingPosition(), trial or ThreadTrial()
    yield TrainingProgress(at.epochs + 1, at.step, steps, seconds=at.seconds)
    while at.epochs < epochs:
        take.objective.train()
        if at.step and at.order is not None:
            generator.set_state(at.order)
        else:
            at.lr = schedule.lr
        at.order = generator.get_state()
        began = last = time.monotonic()
        trial.begin()
        with products_in(take.precision):
            for batch in inputs.shuffled(batch_size, generator, at.step, at.epochs):
                found = take(batch, at.sums)
                at.step += 1
                now = time.monotonic()
                pause = now - last > PROGRESS_SECONDS
                if pause or found["loss"].is_cpu:
                    _refuse_divergence(found["loss"].item(), at, schedule)
                schedule.step()
                trial.stepped()
                pause = pause or distributed.is_ending()
                if (pause or (turn and at.step % turn == 0)) and at.step < steps:
                    at.seconds += now - began
                    with products_in("fp32"):
                        yield TrainingProgress(at.epochs + 1, at.step, steps, seconds=at.seconds)
                    began = last = time.monotonic()
                    trial.begin()
        losses = at.sums.means()
        _refuse_divergence(losses["loss"], at, schedule)
        seconds = at.seconds + time.monotonic() - began
        at.epochs, at.step, at.order, at.seconds = at.epochs + 1, 0, None, 0.0
        at.sums.restart()
        yield TrainingProgress(at.epochs, steps, steps, losses, seconds)


def _refuse_divergence(loss: float, at: TrainingPosition, schedule: Schedule) -> None:
    if not math.isfinite(loss):
        raise DivergedError(
            f"the loss is {loss} at step {at.step:,} of epoch {at.epochs + 1}, with a learning rate"
            f" of {schedule.lr:.3g}: training diverged; a smaller --lr or"
            " --clip-grad helps",
            lost_after=at.epochs if at.step == 1 else None,
        )


@torch.no_grad()
def mean_losses(objective: nn.Module, inputs: TrainingSet, batch_size: int) -> dict[str, float]:
    """The loss and its terms over a set that is not trained on."""
    objective.eval()
    sums = Means()
    for batch in inputs.in_order(batch_size):
        loss, terms = objective(batch)
        sums.add({"loss": loss, **terms}, len(batch.inputs))
    return sums.means()
