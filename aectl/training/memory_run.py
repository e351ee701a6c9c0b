"""A run on a set in memory, images or vectors: an autoencoder of them, or a classifier."""

from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.config.kinds import KINDS
from aectl.data.splits import few_labels, held_out
from aectl.errors import ConfigError
from aectl.models.architecture import Architecture
from aectl.models.networks import Autoencoder, Classifier, ImageNetwork, PooledAutoencoder
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch
from aectl.training.capacity import explained
from aectl.training.initialisation import Start, begin, standardize
from aectl.training.loop import CPU, TrainingSet
from aectl.training.measured import Errors
from aectl.training.memory_sketch import MemorySketch
from aectl.training.run import Run
from aectl.training.stack import Layer, layers_of
from aectl.training.stages import Stage


class PartedSet(TrainingSet, Protocol):
    """A training set in memory, of which some can be a set of their own."""

    def part(self, rows: Tensor) -> Any:
        """Some of the set, by their places in it: (k,)."""

    def whole(self) -> Batch:
        """All inputs as one batch."""


P = TypeVar("P", bound=PartedSet)


class MemoryRun(Run):
    """A run on a set in memory; with `stack`, each layer is first trained alone."""

    labels_are: str
    """Where labels are found, for a message."""

    sketch_class: type[MemorySketch]
    network: ImageNetwork
    sketch: MemorySketch
    _sample: PartedSet

    def __init__(
        self,
        config: Config,
        data: Any,
        device: torch.device,
        start: Start | None = None,
        architecture: Architecture | None = None,
    ) -> None:
        self.config, self.data = config, data
        start = start or Start()
        self.architecture = architecture or self._described(start)
        self.sketch = self._sketch(start)
        super().__init__(config, device, start)
        with explained(self.sketch):
            self._read(*self._split(), start)

    def _split(self) -> tuple[Any, Any]:
        """The inputs that are learnt, and those that are held out."""
        data, config = self.data, self.config
        part, seed = config.data.validation, config.training.seed
        rows, self.held_out = held_out(data, part, seed, self.noun)
        if config.data.labels:
            rows = few_labels(data, rows, config.data.labels, seed)
        whole = self._on_device()
        return whole.part(torch.from_numpy(rows)), whole.part(torch.from_numpy(self.held_out))

    @property
    @abstractmethod
    def _stored(self) -> tuple[int, float]:
        """Bytes of the training set, and up to how many of them are yet to be read into memory."""

    @abstractmethod
    def _on_device(self) -> PartedSet:
        """The whole training set, with batches on the device."""

    def _place(self, size: int) -> torch.device:
        """Where a training set of so many bytes is kept: on the device, where half of its memory
        has room, else on the CPU."""
        fits = self.device.type != "cuda" or size < torch.cuda.mem_get_info(self.device)[0] / 2
        return self.device if fits else CPU

    @abstractmethod
    def _measured_on(self, inputs: Any) -> dict[str, float]:
        """The metrics on some inputs, as columns of `metrics.csv`."""

    def _described(self, start: Start) -> Architecture:
        """The network. Raises ConfigError for a classifier of data without labels."""
        config, data = self.config, self.data
        if KINDS[config.model.model].has_code:
            return Architecture(config.model, data.shape, encoder=start.below)
        if data.labels is None:
            raise ConfigError(
                f"a classifier learns from labels, and {data.name} has none; {self.labels_are}"
            )
        return Architecture(config.model, data.shape, len(data.classes), start.below)

    def _sketch(self, start: Start) -> MemorySketch:
        """The training, of which nothing is built yet."""
        settled = start.weights is not None or self.architecture.encoder is not None
        return self.sketch_class(
            self.config, self.architecture, len(self.data), *self._stored, settled
        )

    def _read(self, inputs: Any, held_out: Any, start: Start) -> None:
        """Takes what is trained on, and begins."""
        self._take(inputs, held_out)
        self._begin(start)

    def _take(self, inputs: Any, held_out: Any) -> None:
        """Sets what is trained on and what is measured, of inputs that are learnt and held out."""
        self._training, self._held_out = inputs, held_out
        self._sample = sampled(inputs, self.sketch.sampled, self.config.training.seed)

    def _begin(self, start: Start) -> None:
        """Initialises the weights."""
        if isinstance(self.network, Classifier) and self.network.encoder is not None:
            self.network.fine_tune_encoder(self.config.training.fine_tune)
        assert not isinstance(self.network, PooledAutoencoder)
        begin(self.network, self.config, start, self._sample.whole().inputs)
        if isinstance(self.network, Classifier) and start.weights is None:
            batches = self._sample.in_order(self.evaluation_batch)
            standardize(self.network, self.config, (batch.inputs for batch in batches))

    @property
    def stage_epochs(self) -> list[int]:
        """The epochs of each layer alone."""
        stack = self.config.training.stack
        return [stack] * len(self.architecture.hidden) if stack else []

    def _stages(self) -> Iterator[Stage]:
        """Each layer, with `stack`."""
        if not self.config.training.stack:
            return
        assert isinstance(self.network, Autoencoder)
        sample = self._sample.whole().inputs
        for layer in layers_of(self.network, self.architecture):
            yield Stage(
                layer.number,
                partial(objective, self.config, layer.network, layer.below),
                partial(_begin_layer, layer, self.config, sample),
            )

    def _metrics(self) -> dict[str, float]:
        return self._measured_on(self._held_out if len(self._held_out) else self._sample)

    def _errors(self) -> Errors | None:
        if isinstance(self.network, Classifier) or not len(self._held_out):
            return None
        both = (self._sample, self._held_out)
        return Errors(*(self._measured_on(inputs)["mse"] for inputs in both))


def _begin_layer(layer: Layer, config: Config, sample: Tensor) -> None:
    begin(layer.network, config, Start(), layer.below(sample))


def sampled(inputs: P, count: int, seed: int) -> P:
    """So many of the inputs, drawn at random, that measuring them costs little."""
    if len(inputs) <= count:
        return inputs
    generator = torch.Generator().manual_seed(seed)
    found: P = inputs.part(torch.randperm(len(inputs), generator=generator)[:count])
    return found
