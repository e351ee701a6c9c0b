"""A run: from a config and its data to a trained network and the card beside it."""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from aectl.config.configuration import Config
from aectl.errors import DivergedError, ModelFileError
from aectl.models.architecture import Architecture
from aectl.models.autoencoder import AutoencoderBase
from aectl.models.build import build_network
from aectl.models.model_card import ModelCard
from aectl.models.networks import Network
from aectl.objectives.step import Objective
from aectl.training import distributed
from aectl.training.capacity import checked, explained, has_room_twice
from aectl.training.initialisation import Start
from aectl.training.kept_trial import choose_products
from aectl.training.loop import TrainingProgress, TrainingSet, mean_losses, train_epochs
from aectl.training.measured import Errors
from aectl.training.optimizers import build_optimizer, constrain
from aectl.training.products import usual_precision
from aectl.training.replayed import Replayed, recorder_on
from aectl.training.scale import Sketch
from aectl.training.schedules import annealing_of, build_schedule, factor
from aectl.training.stages import CurrentStage, Stage, restoring
from aectl.training.state import RunState
from aectl.training.steps import Compiled, Eager, Steps
from aectl.training.thread_trial import ThreadTrial
from aectl.training.versions import versions

SMALL_STEP = 10_000_000


@dataclass(frozen=True)
class Epoch:
    """An epoch that is over: a row of `metrics.csv`."""

    row: dict[str, float]

    def after(self, epochs: int) -> "Epoch":
        """The same, after a number of earlier epochs."""
        return Epoch({**self.row, "epoch": self.row["epoch"] + epochs})


class Run(ABC):
    """One training run. `epochs()` trains; `network` and `card()` are its result at any time.

    `config` is resolved for the `data`; `held_out` are the places of those that it does not learn
    from, none without `validation`. Raises ConfigError where config, data and start do not fit
    together. Where the state of a run is to be restored, its `architecture` stands for a start.

    `data` is a training set with `classes`, `labels` if it has some, and a `checksum`; a subclass
    knows its modality.
    """

    noun: str
    """Plural noun for its training inputs."""

    data: Any
    network: Network
    architecture: Architecture
    sketch: Sketch
    held_out: NDArray[np.int64]
    uncalibrated: str | None = None
    """Why its model could not be calibrated on what it held out, where that was tried."""
    _training: TrainingSet
    _held_out: TrainingSet
    _sample: TrainingSet
    """Some of the training inputs, or all, which are looked at after each epoch."""

    def __init__(self, config: Config, device: torch.device, start: Start) -> None:
        precision = config.training.precision or usual_precision(device)
        training = dataclasses.replace(config.training, precision=precision)
        self.config, self.device = dataclasses.replace(config, training=training), device
        checked(self.sketch, device)
        torch.manual_seed(config.training.seed)
        with explained(self.sketch):
            self.network = build_network(self.architecture)
            self.network.to(device)
        self._generator = torch.Generator().manual_seed(config.training.seed)
        self._fresh = start.weights is None
        self.rows: list[dict[str, float]] = []
        self.seconds = 0.0
        self._best, self._kept = math.inf, dict[str, Tensor]()
        self.errors: Errors | None = None
        self._stopped = False
        self.trial = ThreadTrial()
        self.tell: Callable[[str], None] = lambda line: None
        self._now: CurrentStage | None = None
        self._left: RunState | None = None

    @property
    def learnt(self) -> NDArray[np.int64]:
        """The places of the inputs that it may learn from."""
        return np.setdiff1d(np.arange(len(self.data)), self.held_out)

    @abstractmethod
    def _stages(self) -> "Iterator[Stage]":
        """The stages that are trained alone before the whole network, in this order."""

    @abstractmethod
    def _metrics(self) -> dict[str, float]:
        """The metrics after an epoch: of held-out inputs, or of a sample of the others."""

    def _errors(self) -> Errors | None:
        """The errors of the trained network; None if nothing is held out to compare."""
        return None

    @property
    @abstractmethod
    def stage_epochs(self) -> list[int]:
        """The epochs of each stage."""

    @property
    def _input_state(self) -> dict[str, Any] | None:
        """The state, beside the architecture, that makes the same input of the data again."""
        return None

    @property
    def turn(self) -> int | None:
        """Steps after which `epochs()` lets other runs go on that share what is read; None where
        nothing is to be shared, and runs are trained one after the other."""
        return None

    @property
    def evaluation_batch(self) -> int:
        """Number of inputs per batch in evaluation."""
        return self.sketch.evaluation_batch

    @property
    def trained_inputs(self) -> int:
        """Number of inputs to train on, without those held out or, with `labels`, unlabelled."""
        return len(self._training)

    @property
    def small(self) -> bool:
        """Whether a step is so little work that more than one CPU thread only slows it down."""
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        return parameters * self.config.training.batch_size < SMALL_STEP

    @property
    def planned_epochs(self) -> int:
        """How many epochs training takes, those of what is trained before the whole included."""
        config = self.config.training
        assert config.epochs is not None
        return config.epochs + sum(self.stage_epochs)

    @property
    def stalled(self) -> bool:
        """Whether the loss on what is held out has not fallen for `patience` epochs."""
        patience = self.config.training.patience
        losses = [row["validation_loss"] for row in self.rows if "validation_loss" in row]
        if not patience or len(losses) <= patience:
            return False
        return min(losses[-patience:]) >= min(losses[:-patience])

    @property
    def over(self) -> bool:
        """Whether training is over: after all epochs, or when it has stalled."""
        return len(self.rows) == self.planned_epochs or self.stalled

    @property
    def next_lr(self) -> float:
        """The learning rate of the next step of the whole network, once a state is restored."""
        config, left, steps = self.config.training, self._left, self._steps_an_epoch
        assert config.epochs is not None
        done = left.loop.epochs * steps + left.loop.step if left and not left.stage else 0
        return config.lr * factor(config, config.epochs * steps, done)

    @property
    def _batch_size(self) -> int:
        config = self.config.training
        return len(self._training) if config.optimizer == "lbfgs" else config.batch_size

    @property
    def _steps_an_epoch(self) -> int:
        return math.ceil(len(self._training) / self._batch_size)

    def epochs(self) -> Iterator[TrainingProgress | Epoch]:
        """Trains, and yields how far it is and what each epoch came to.

        What is trained alone before the whole comes first. Raises DivergedError where the loss is
        no longer a finite number.
        """
        config = self.config.training
        assert config.epochs is not None
        yield from self._before()
        remembered: dict[str, Tensor] = {}
        whole = self.sketch.objective(self.network, remembered)
        held_out = self.sketch.held_out_objective(self.network, whole)
        current = CurrentStage(0, whole, remembered, self._training)
        for event in () if self._stopped else self._trained(current, config.epochs):
            if isinstance(event, Epoch):
                event.row.update(distributed.told(partial(self._measure, held_out)))
                distributed.alike(self.network)
                if config.keep == "best" and event.row["validation_loss"] < self._best:
                    self._best = event.row["validation_loss"]
                    weights = self.network.state_dict()
                    self._kept = {name: value.clone() for name, value in weights.items()}
            yield self._recorded(event.after(self.planned_epochs - config.epochs))
            if isinstance(event, Epoch) and self.stalled:
                break
        if self._kept:
            self.network.load_state_dict(self._kept)
        self.network.eval()
        self.errors = self._errors() if distributed.is_first() else None

    def _before(self) -> Iterator[TrainingProgress | Epoch]:
        """Trains each stage alone."""
        over = 0
        for stage, epochs in zip(self._stages(), self.stage_epochs, strict=True):
            if not self._left or self._left.stage == stage.number:
                if self._fresh:
                    stage.begin()
                remembered: dict[str, Tensor] = {}
                objective = stage.objective(remembered)
                inputs = self._training if stage.inputs is None else stage.inputs
                current = CurrentStage(stage.number, objective, remembered, inputs)
                for event in self._trained(current, epochs):
                    if isinstance(event, Epoch):
                        event.row["layer"] = stage.number
                    yield self._recorded(event.after(over))
            over += epochs

    def _trained(self, stage: "CurrentStage", epochs: int) -> Iterator[TrainingProgress | Epoch]:
        """Trains a stage up to a number of epochs; their rows hold the losses and the time."""
        config, inputs, network = self.config.training, stage.inputs, stage.network
        stage.optimizer = build_optimizer(network, config)
        self._constrain(stage, stage.optimizer)
        if self._left:
            stage.go_on_from(self._left, self._generator, self.device)
            self._left = None
        self._now = stage
        distributed.alike(self.network)
        steps_an_epoch = math.ceil(len(inputs) / self._batch_size)
        steps, done = epochs * steps_an_epoch, stage.at.epochs * steps_an_epoch + stage.at.step
        annealed = annealing_of(network, self.config, steps)
        schedule = build_schedule(stage.optimizer, config, steps, done, annealed)
        for progress in train_epochs(
            self._steps(stage), inputs, schedule, epochs=epochs, batch_size=self._batch_size,
            generator=self._generator, position=stage.at, turn=self.turn, trial=self.trial,
        ):  # fmt: skip
            yield progress
            if progress.losses is None:
                continue
            speed = len(inputs) / progress.seconds
            time = {"seconds": progress.seconds, f"{self.noun}_per_second": speed}
            yield Epoch({"epoch": progress.epoch, "lr": stage.at.lr} | progress.losses | time)

    def _steps(self, stage: "CurrentStage") -> Steps:
        """Makes the steps of a stage, in the fastest of the ways that give the same weights."""
        config, inputs, device = self.config.training, stage.inputs, self.device
        assert stage.optimizer is not None

        def told(reason: str) -> None:
            self.tell(f"training steps are not replayed as a CUDA graph: {reason}")

        size = min(self._batch_size, len(inputs))
        roomy = partial(has_room_twice, self.sketch, device)
        recorder = recorder_on(device, self.config, roomy, told)
        choose_products(
            device, self.config, stage.objective, stage.remembered,
            lambda: next(iter(inputs.shuffled(size, torch.Generator()))).made(), recorder,
            lambda choice: self.tell(f"training computes products with the wide code {choice}"),
        )  # fmt: skip
        trained = Compiled(stage.objective, size) if config.compile else stage.objective
        eager = Eager(trained, stage.optimizer, config.clip_grad, config.precision or "fp32")
        return eager if recorder is None else Replayed(eager, stage.remembered, recorder, told)

    def _constrain(self, stage: "CurrentStage", optimizer: Optimizer) -> None:
        """Holds the weights of a stage to what the config asks for after each step."""
        if isinstance(stage.network, AutoencoderBase):
            constrain(stage.network, self.config.training, optimizer, now=self._left is None)

    def _recorded(self, event: TrainingProgress | Epoch) -> TrainingProgress | Epoch:
        """The same; an epoch's row is kept, and the time that it took."""
        if isinstance(event, Epoch):
            self.rows.append(event.row)
            self.seconds += event.row["seconds"]
        return event

    def state(self) -> RunState:
        """All that it takes to go on from here, bit for bit, while `epochs()` waits in an epoch or
        after one. Its tensors are those of the run, not copies. Raises DivergedError where the
        weights are no finite numbers.
        """
        assert self._now is not None
        weights = self.network.state_dict()
        if not all(value.isfinite().all() for value in weights.values()):
            raise DivergedError(
                "the weights are no longer finite: training diverged; a smaller --lr or --clip-grad"
                " helps"
            )
        return RunState(
            architecture=self.architecture.to_json(),
            vocabulary=self._input_state,
            fresh=self._fresh,
            rows=self.rows,
            seconds=self.seconds,
            weights=weights,
            best=self._best,
            kept=self._kept,
            **self._now.state(self._generator, self.device),
        )

    def restore(self, state: RunState, longer: bool = False) -> None:
        """Lets `epochs()` go on from the state of a run with the same config and images; one that
        has stalled goes on if it is to be trained for `longer`.

        Raises ModelFileError where it does not fit them.
        """
        self._fresh = state.fresh
        self._refuse_misfit(state)
        with restoring():
            self.network.load_state_dict(state.weights)
        self.rows, self.seconds = list(state.rows), state.seconds
        self._best, self._kept = state.best, dict(state.kept)
        self._left = state
        self._stopped = self.stalled and not longer

    def _refuse_misfit(self, state: RunState) -> None:
        """Raises ModelFileError where a state cannot be one of this run."""
        if not 0 <= state.stage <= len(self.stage_epochs):
            raise ModelFileError("the checkpoint is at a stage that its options do not have")
        before = self.stage_epochs[: state.stage - 1] if state.stage else self.stage_epochs
        needed = {"epoch", "loss", "lr", "seconds", f"{self.noun}_per_second"}
        if len(state.rows) != sum(before) + state.loop.epochs or any(
            needed - row.keys() for row in state.rows
        ):
            raise ModelFileError("the checkpoint does not have one row of metrics for each epoch")
        if state.loop.step and "loss" not in state.loop.sums:
            raise ModelFileError("the checkpoint lacks the losses of the current epoch")
        shapes = {name: value.shape for name, value in self.network.state_dict().items()}
        for tensors in (state.weights, *([state.kept] if state.kept else [])):
            if {name: value.shape for name, value in tensors.items()} != shapes:
                raise ModelFileError("the weights of the checkpoint do not fit its options")

    def weights(self) -> dict[str, NDArray[Any]]:
        """The parameters by their names in a model file."""
        others = dict(self.network.named_buffers())
        named = self.network.state_dict().items()
        return {name: value.cpu().numpy() for name, value in named if name not in others}

    def card(self) -> ModelCard:
        """The description of this run in a model file."""
        return ModelCard(
            self.architecture,
            self.data.classes if self.architecture.classes else (),
            {
                "options": {
                    name: list(value) if isinstance(value, tuple) else value
                    for name, value in self.config.values().items()
                },
                self.noun: len(self._training),
                "data_sha256": self.data.checksum,
                "seconds": round(self.seconds, 3),
                **self._ended(),
                "device": self.device.type,
                "threads": self.trial.threads,
                "versions": versions(),
            },
        )

    @property
    def best_weights(self) -> Mapping[str, Tensor]:
        """Those of the model, were training to end here."""
        return self._kept or self.network.state_dict()

    def _ended(self) -> dict[str, str]:
        """When training ended, or else how far it is."""
        if not self.over:
            return {"unfinished": f"{len(self.rows)} of {self.planned_epochs} epochs"}
        return {"finished": datetime.now(UTC).isoformat(timespec="seconds")}

    def _measure(self, held_out: Objective) -> dict[str, float]:
        """The loss of what is held out, if anything is, and the metrics after an epoch."""
        batches = self._sample.in_order(self._batch_size)  # of which there is memory for a step
        self.sketch.settle(self.network.eval(), batches, len(self._sample))
        name, measured = "train", dict[str, float]()
        if len(self._held_out):
            name = "validation"
            losses = mean_losses(held_out, self._held_out, self.evaluation_batch)
            measured["validation_loss"] = losses["loss"] * self.sketch.trained_fraction
        metrics = self._metrics()
        return measured | {f"{name}_{metric}": value for metric, value in metrics.items()}
