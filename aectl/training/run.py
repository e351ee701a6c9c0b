"""A run: from a config and its images to a trained network and the card beside it."""

import math
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

import aectl
from aectl.architecture import Architecture
from aectl.config import Config
from aectl.data.datasets import ImageSet
from aectl.data.images import Pixels
from aectl.data.splits import few_labels, split
from aectl.errors import ConfigError, DivergedError
from aectl.metrics import ClassificationMetrics, ReconstructionMetrics
from aectl.model_file import ModelCard
from aectl.models import Autoencoder, Classifier, Network
from aectl.models.codes import BatchTopK, TopK
from aectl.objective import Objective, objective
from aectl.training.loop import (
    CPU,
    Means,
    MemorySet,
    Position,
    Progress,
    compiled,
    mean_losses,
    train_epochs,
)
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

    `config` is resolved for the images; `held_out` are the places of those that it does not learn
    from, none without `validation`. Raises ConfigError where config, images and start do not fit
    together. Where the state of a run is to be restored, its `architecture` stands for a start.
    """

    def __init__(
        self,
        config: Config,
        images: ImageSet,
        device: torch.device,
        start: Start | None = None,
        architecture: Architecture | None = None,
    ) -> None:
        self.config, self.images, self.device = config, images, device
        start = start or Start()
        self.architecture = architecture or _architecture(config, images, start)
        _refuse_too_large(self.architecture)
        torch.manual_seed(config.training.seed)
        self.network: Network = self.architecture.build()
        self._generator = torch.Generator().manual_seed(config.training.seed)
        self.network.to(device)
        rows, held_out = split(len(images), config.data.validation, config.training.seed)
        if config.data.labels:
            rows = few_labels(images, rows, config.data.labels, config.training.seed)
        whole = _on_device(images, device)
        self._training = whole.part(torch.from_numpy(rows))
        self._held_out = whole.part(torch.from_numpy(held_out))
        self.held_out = held_out
        self._sample = _sampled(self._training, config.training.seed)
        if isinstance(self.network, Classifier) and self.network.encoder is not None:
            self.network.fine_tune_encoder(config.training.fine_tune)
        self._fresh = start.weights is None
        begin(self.network, config, start, self._sample.whole().images)
        self.rows: list[dict[str, float]] = []
        self.seconds = 0.0
        self._best, self._kept = math.inf, dict[str, Tensor]()
        self._now: _Part | None = None
        self._left: Mapping[str, Any] | None = None

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
        if config.stack:
            yield from self._layers()
        remembered: dict[str, Tensor] = {}
        compute = objective(self.config, remembered=remembered)
        part = _Part(0, self.network, remembered)
        for event in self._trained(part, compute, config.epochs):
            if isinstance(event, Epoch):
                event.row.update(self._measure(compute))
                if config.keep == "best" and event.row["validation_loss"] < self._best:
                    self._best = event.row["validation_loss"]
                    weights = self.network.state_dict()
                    self._kept = {name: value.clone() for name, value in weights.items()}
            yield self._told(event.after(self.planned_epochs - config.epochs))
        if self._kept:
            self.network.load_state_dict(self._kept)
        self.network.eval()

    def _layers(self) -> Iterator[Progress | Epoch]:
        """Trains each layer alone."""
        assert isinstance(self.network, Autoencoder)
        epochs, sample = self.config.training.stack, self._sample.whole().images
        for layer in layers_of(self.network, self.architecture):
            if self._left and self._left["layer"] != layer.number:
                continue
            if self._fresh:
                begin(layer.network, self.config, Start(), layer.below(sample))
            remembered: dict[str, Tensor] = {}
            compute = objective(self.config, layer.below, remembered)
            part = _Part(layer.number, layer.network, remembered)
            for event in self._trained(part, compute, epochs):
                if isinstance(event, Epoch):
                    event.row["layer"] = layer.number
                yield self._told(event.after((layer.number - 1) * epochs))

    def _trained(
        self, part: "_Part", compute: Objective, epochs: int
    ) -> Iterator[Progress | Epoch]:
        """Trains a network for so many epochs; their rows hold the losses and the time."""
        config, images, network = self.config.training, self._training, part.network
        if config.compile:
            compute = compiled(compute)
        size = len(images) if config.optimizer == "lbfgs" else config.batch_size
        part.optimizer = build_optimizer(network, config)
        if not isinstance(network, Classifier):
            constrain(network, config, part.optimizer)
        if self._left:
            part.go_on_from(self._left, self._generator, self.device)
            self._left = None
        self._now = part
        steps_an_epoch = math.ceil(len(images) / size)
        steps, done = epochs * steps_an_epoch, part.at.epochs * steps_an_epoch + part.at.step
        schedule = build_schedule(part.optimizer, config, steps, done)
        code = None if isinstance(network, Classifier) else network.encoder.code
        if config.k_start and isinstance(code, TopK | BatchTopK):
            lower_k(code, config.k_start, part.optimizer, steps, done)
        for progress in train_epochs(
            network, compute, images, part.optimizer, schedule, epochs=epochs, batch_size=size,
            generator=self._generator, position=part.at, precision=config.precision,
            clip_grad=config.clip_grad,
        ):  # fmt: skip
            yield progress
            if progress.losses is None:
                continue
            speed = len(images) / progress.seconds
            time = {"seconds": progress.seconds, "images_per_second": speed}
            yield Epoch({"epoch": progress.epoch, "lr": part.at.lr} | progress.losses | time)

    def _told(self, event: Progress | Epoch) -> Progress | Epoch:
        """The same; an epoch's row is kept, and the time that it took."""
        if isinstance(event, Epoch):
            self.rows.append(event.row)
            self.seconds += event.row["seconds"]
        return event

    def state(self) -> dict[str, Any]:
        """All that it takes to go on from here, bit for bit, while `epochs()` waits in an epoch or
        after one. Raises DivergedError where the weights are no finite numbers.
        """
        assert self._now is not None
        weights = self.network.state_dict()
        if not all(value.isfinite().all() for value in weights.values()):
            raise DivergedError(
                "the weights are no longer finite: training diverged; a smaller --lr or --clip-grad"
                " helps"
            )
        return {
            "architecture": self.architecture.to_json(),
            "whole": weights,
            "fresh": self._fresh,
            "rows": self.rows,
            "seconds": self.seconds,
            "best": self._best,
            "kept": self._kept,
            **self._now.state(self._generator, self.device),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Lets `epochs()` go on from the state of a run with the same config and images."""
        self.network.load_state_dict(state["whole"])
        self.rows, self.seconds = list(state["rows"]), state["seconds"]
        self._fresh = state["fresh"]
        self._best, self._kept = state["best"], dict(state["kept"])
        self._left = state

    def weights(self) -> dict[str, NDArray[Any]]:
        """The parameters by name."""
        named = self.network.named_parameters()
        return {name: parameter.detach().cpu().numpy() for name, parameter in named}

    @torch.inference_mode()
    def reconstructions(self, images: Pixels) -> Pixels:
        """What the autoencoder makes of images by now, both (n, channels, height, width), 0 to 255.

        For use while `epochs()` waits after an epoch.
        """
        assert not isinstance(self.network, Classifier)
        x = torch.from_numpy(images).to(self.device).float() / 255
        made = self.network.eval().reconstruct(x).clamp(0, 1) * 255
        return made.round().byte().cpu().numpy()

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
                "data_sha256": self.images.checksum,
                "seconds": round(self.seconds, 3),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "device": self.device.type,
                "threads": torch.get_num_threads(),
                "versions": versions(),
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


def versions() -> dict[str, str]:
    """The versions of what decides the weights."""
    return {
        "aectl": aectl.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


@dataclass
class _Part:
    """A part of a run: the training of one layer alone (from 1), or that of the whole (0)."""

    layer: int
    network: Network
    remembered: dict[str, Tensor]
    at: Position = field(default_factory=Position)
    optimizer: Optimizer | None = None

    def state(self, generator: torch.Generator, device: torch.device) -> dict[str, Any]:
        """What `go_on_from` needs."""
        assert self.optimizer is not None
        at = self.at
        return {
            "layer": self.layer,
            "network": self.network.state_dict() if self.layer else {},
            "optimizer": self.optimizer.state_dict()["state"],
            "remembered": self.remembered,
            "position": {
                "epochs": at.epochs,
                "step": at.step,
                "seconds": at.seconds,
                "lr": at.lr,
                "sums": at.sums.sums,
                "images": at.sums.images,
            },
            "order": at.order if at.step else generator.get_state(),
            "chance": torch.get_rng_state(),
            "chance_on_device": (
                None if device.type == "cpu" else torch.get_device_module(device).get_rng_state()
            ),
        }

    def go_on_from(
        self, state: Mapping[str, Any], generator: torch.Generator, device: torch.device
    ) -> None:
        """Puts the state of the same part in place."""
        assert self.optimizer is not None
        self.network.load_state_dict(state["network"] if self.layer else state["whole"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})
        self.remembered.update({k: v.to(device) for k, v in state["remembered"].items()})
        position = state["position"]
        sums = {name: value.to(device) for name, value in position["sums"].items()}
        self.at = Position(
            position["epochs"], position["step"], state["order"],
            Means(sums, position["images"]), position["seconds"], position["lr"],
        )  # fmt: skip
        generator.set_state(state["order"])
        torch.set_rng_state(state["chance"])
        if device.type != "cpu" and state["chance_on_device"] is not None:
            torch.get_device_module(device).set_rng_state(state["chance_on_device"])


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


def _refuse_too_large(architecture: Architecture) -> None:
    """Raises ConfigError for a network whose weights and gradients no memory here can hold."""
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in architecture.build().parameters())
    if 2 * 4 * weights > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise ConfigError(
            f"a network of {weights:,} weights is larger than this machine's memory; a smaller"
            " --hidden or --size makes it smaller"
        )


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
