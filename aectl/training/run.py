"""A run: from a config and its images to a trained network and the card beside it."""

import math
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import aectl
from aectl.architecture import Architecture
from aectl.config import Config
from aectl.data.datasets import ImageSet
from aectl.data.splits import few_labels, split
from aectl.errors import ConfigError
from aectl.metrics import ClassificationMetrics, ReconstructionMetrics
from aectl.model_file import ModelCard
from aectl.models import Autoencoder, Classifier, Network
from aectl.models.codes import BatchTopK, TopK
from aectl.objective import Objective, objective
from aectl.training.loop import CPU, MemorySet, Progress, compiled, mean_losses, train_epochs
from aectl.training.optimizers import build_optimizer, constrain
from aectl.training.schedules import build_schedule, lower_k
from aectl.training.stack import layers_of
from aectl.training.start import Start, begin

MEASURED_IMAGES = 10_000
EVALUATION_BATCH = 1000
SMALL_STEP = 10_000_000


@dataclass(frozen=True)
class Epoch:
    """An epoch that is over: a row of `metrics.csv`."""

    row: dict[str, float]

    def after(self, epochs: int) -> "Epoch":
        """The same, counted on from so many epochs before."""
        return Epoch({**self.row, "epoch": self.row["epoch"] + epochs})


class Run:
    """One training run. `epochs()` trains; `network` and `card()` are its result at any time.

    `config` is resolved for the images. Raises ConfigError where config, images and start do not
    fit together.
    """

    def __init__(
        self, config: Config, images: ImageSet, device: torch.device, start: Start | None = None
    ) -> None:
        self.config, self.images, self.device = config, images, device
        start = start or Start()
        torch.manual_seed(config.training.seed)
        self.architecture = _architecture(config, images, start)
        self.network: Network = self.architecture.build()
        self._generator = torch.Generator().manual_seed(config.training.seed)
        self.network.to(device)
        rows, held_out = split(len(images), config.data.validation, config.training.seed)
        if config.data.labels:
            rows = few_labels(images, rows, config.data.labels, config.training.seed)
        whole = _on_device(images, device)
        self._training = whole.part(torch.from_numpy(rows))
        self._held_out = whole.part(torch.from_numpy(held_out))
        self._sample = _sampled(self._training, config.training.seed)
        self._fresh = start.weights is None
        begin(self.network, config, start, self._sample.whole().images)
        self.seconds = 0.0

    @property
    def trained_images(self) -> int:
        """How many images it learns from: those not held out, or those of a few labels."""
        return len(self._training)

    @property
    def small(self) -> bool:
        """Whether a step is so little work that more than one CPU thread only slows it down."""
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        return parameters * self.config.training.batch_size < SMALL_STEP

    @property
    def planned_epochs(self) -> int:
        """How many epochs training takes, those of each layer alone included."""
        config = self.config.training
        assert config.epochs is not None
        return config.epochs + config.stack * len(self.architecture.hidden)

    def epochs(self) -> Iterator[Progress | Epoch]:
        """Trains, and yields how far it is and what each epoch came to.

        With `stack`, each layer is first trained alone. Raises DivergedError where the loss is no
        longer a finite number.
        """
        config = self.config.training
        assert config.epochs is not None
        began = time.monotonic()
        if config.stack:
            yield from self._layers()
        compute = objective(self.config)
        best = math.inf
        kept: dict[str, Tensor] = {}
        for event in self._trained(self.network, compute, config.epochs):
            if isinstance(event, Epoch):
                event.row.update(self._measure(compute))
                if config.keep == "best" and event.row["validation_loss"] < best:
                    best = event.row["validation_loss"]
                    weights = self.network.state_dict()
                    kept = {name: value.clone() for name, value in weights.items()}
                self.seconds = time.monotonic() - began
            yield event.after(self.planned_epochs - config.epochs)
        if kept:
            self.network.load_state_dict(kept)
        self.network.eval()

    def _layers(self) -> Iterator[Progress | Epoch]:
        """Trains each layer alone."""
        assert isinstance(self.network, Autoencoder)
        epochs, sample = self.config.training.stack, self._sample.whole().images
        for layer in layers_of(self.network, self.architecture):
            if self._fresh:
                begin(layer.network, self.config, Start(), layer.below(sample))
            compute = objective(self.config, layer.below)
            for event in self._trained(layer.network, compute, epochs):
                if isinstance(event, Epoch):
                    event.row["layer"] = layer.number
                yield event.after((layer.number - 1) * epochs)

    def _trained(
        self, network: Network, compute: Objective, epochs: int
    ) -> Iterator[Progress | Epoch]:
        """Trains a network for so many epochs; their rows hold the losses and the time."""
        config, images = self.config.training, self._training
        if config.compile:
            compute = compiled(compute)
        size = len(images) if config.optimizer == "lbfgs" else config.batch_size
        optimizer = build_optimizer(network, config)
        steps = epochs * math.ceil(len(images) / size)
        schedule = build_schedule(optimizer, config, steps)
        if not isinstance(network, Classifier):
            constrain(network, config, optimizer)
            code = network.encoder.code
            if config.k_start and isinstance(code, TopK | BatchTopK):
                lower_k(code, config.k_start, optimizer, steps)
        began, lr = time.monotonic(), schedule.get_last_lr()[0]
        for progress in train_epochs(
            network, compute, images, optimizer, schedule,
            epochs=epochs, batch_size=size, generator=self._generator, precision=config.precision,
        ):  # fmt: skip
            yield progress
            if progress.losses is None:
                continue
            seconds = time.monotonic() - began
            speed = {"seconds": seconds, "images_per_second": len(images) / seconds}
            yield Epoch({"epoch": progress.epoch, "lr": float(lr)} | progress.losses | speed)
            began, lr = time.monotonic(), schedule.get_last_lr()[0]

    def card(self) -> ModelCard:
        """What the model file says of this run."""
        return ModelCard(
            self.architecture,
            self.images.classes if self.architecture.classes else (),
            {
                "options": {
                    name: list(value) if isinstance(value, tuple) else value
                    for name, value in self.config.values().items()
                },
                "images": len(self._training),
                "seconds": round(self.seconds, 3),
                "versions": {
                    "aectl": aectl.__version__,
                    "torch": torch.__version__,
                    "numpy": np.__version__,
                    "python": platform.python_version(),
                },
            },
        )

    def _measure(self, compute: Objective) -> dict[str, float]:
        """The figures after an epoch: of the held-out images, or of a sample of the others."""
        if self._held_out:
            name, images = "validation", self._held_out
            losses = mean_losses(self.network, compute, images, EVALUATION_BATCH)
            measured = {"validation_loss": losses["loss"]}
        else:
            name, measured, images = "train", {}, self._sample
        figures = _figures(self.network, images)
        return measured | {f"{name}_{figure}": value for figure, value in figures.items()}


def _architecture(config: Config, images: ImageSet, start: Start) -> Architecture:
    if config.model.model != "classifier":
        return Architecture(config.model, images.shape)
    if images.labels is None:
        raise ConfigError(
            f"a classifier learns from labels, and {images.name} has none;"
            " a folder has them where each class is a sub-folder"
        )
    encoder = start.encoder[1].architecture if start.encoder else None
    return Architecture(config.model, images.shape, len(images.classes), encoder)


def _on_device(images: ImageSet, device: torch.device) -> MemorySet:
    """All images, on the device where half of its memory has room; none is copied on the CPU."""
    pixels = images.images if images.images.flags.writeable else images.images.copy()
    fits = device.type != "cuda" or pixels.nbytes < torch.cuda.mem_get_info(device)[0] / 2
    there = device if fits else CPU
    labels = None if images.labels is None else torch.from_numpy(images.labels).to(there)
    rows = torch.arange(len(images), device=there)
    return MemorySet(torch.from_numpy(pixels).to(there), labels, rows, device)


def _sampled(images: MemorySet, seed: int) -> MemorySet:
    """So many of the images, drawn at random, that measuring them costs little."""
    if len(images) <= MEASURED_IMAGES:
        return images
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)[:MEASURED_IMAGES]
    return images.part(order)


@torch.no_grad()
def _figures(network: Network, images: MemorySet) -> dict[str, float]:
    network.eval()
    if isinstance(network, Classifier):
        labels = ClassificationMetrics(network.classes_count)
        for batch in images.in_order(EVALUATION_BATCH):
            assert batch.labels is not None
            labels.update(network(batch.images).argmax(1), batch.labels)
        return {"error": float(labels.result()["error"])}  # type: ignore[arg-type]
    metrics = ReconstructionMetrics(network.active_above)
    for batch in images.in_order(EVALUATION_BATCH):
        code = network.encode(batch.images)
        metrics.update(batch.images, network.decode(code), code)
    result = metrics.result()
    return {name: result[name] for name in ("mse", "mean_activation", "l0", "dead")}
