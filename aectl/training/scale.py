"""The size of a training: weights and memory, counted before anything is built."""

import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.config.model_options import ModelConfig
from aectl.config.shapes import Sides
from aectl.config.sparsity import RULES
from aectl.config.training_options import BF16
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.objectives.objective import objective
from aectl.objectives.step import Batch, Objective
from aectl.training.metering import Meter, metered, without_compiler
from aectl.training.optimizer_state import bytes_of_state, bytes_of_step
from aectl.training.optimizers import IN_BFLOAT16

SPARE, MARGIN = 1.15, 1 << 26
"""Of the memory of all tensors, and bytes beside it: what the allocator cannot use again, and what
the libraries keep. Measured as the resident memory of trainings of many kinds."""

FEWEST_UNITS = 8
"""A layer of fewer is not suggested."""


@dataclass(frozen=True)
class Scale:
    """`weights`: the number of parameters; `memory`: bytes that training needs at once, without the
    training set."""

    weights: int
    memory: int


class Change(NamedTuple):
    """An option of which a smaller value needs less memory: its value now; a function from a
    smaller value to the training and to the words that ask for it; the power of the value with
    which most of the memory grows; and the least value that is of use."""

    now: int
    smaller: Callable[[int], tuple["Sketch", str]]
    power: int = 1
    least: int = 1


@dataclass(frozen=True)
class Sketch(ABC):
    """A training, as its options describe it, of which nothing is built.

    `config` is resolved; `inputs`: how many there are, those held out included; `stored`: bytes of
    the training set, which are yet to be read into memory if they are at most `kept`; `settled`:
    whether the network is that of a model, or stands on one. A subclass knows its modality.
    """

    config: Config
    architecture: Architecture
    inputs: int
    stored: int = 0
    kept: float = 0
    settled: bool = False

    @abstractmethod
    def batch(self, count: int) -> Batch:
        """A batch of `count` inputs on the current device."""

    def step_batch(self, count: int) -> Batch:
        """A batch of `count` inputs as a step has them."""
        return self.batch(count)

    @abstractmethod
    def begin(self, network: Any) -> Tensor | None:
        """Puts the weights of a network in place, as before the first step; gives what stays in
        memory, if anything does."""

    def trained(self, network: Any) -> Any:
        """The module of a network that is trained."""
        return network

    def below(self, network: Any) -> Callable[[Tensor], Tensor] | None:
        """The function of the inputs of the module that is trained, if it is not the identity."""
        return None

    def settle(self, network: Any, batches: Iterable[Batch], inputs: int) -> None:
        """Sets the threshold of a code, if its rule settles one, with a sample of so many training
        inputs; the network is in evaluation mode."""
        if RULES[self.config.model.sparsity].settles:
            encoder, below = self.trained(network).encoder, self.below(network)
            each = (batch.inputs if below is None else below(batch.inputs) for batch in batches)
            encoder.code.settle(map(encoder.preactivation, each), inputs)

    def objective(self, network: Any, remembered: dict[str, Tensor] | None = None) -> Objective:
        """The module that is trained with its loss; `remembered`: state kept between batches."""
        return objective(self.config, self.trained(network), self.below(network), remembered)

    def held_out_objective(self, network: Any, whole: Objective) -> Objective:
        """The loss that is measured on what is held out: by default, the one that is trained."""
        return whole

    def held_out_batch(self, count: int) -> Batch:
        """A batch of `count` inputs as they are measured after an epoch."""
        return self.batch(count)

    @property
    def trained_fraction(self) -> float:
        """The values of an input in training for each of those that are measured."""
        return 1.0

    @abstractmethod
    def measure(self, network: Any, batch: Batch) -> None:
        """Measures a batch, as in evaluation."""

    @property
    @abstractmethod
    def evaluation_batch(self) -> int:
        """Number of inputs per batch in evaluation."""

    @property
    @abstractmethod
    def measured(self) -> int:
        """The number of inputs that are measured after each epoch."""

    @abstractmethod
    def resized(self) -> Change:
        """The change of the size of an input."""

    @property
    def sides(self) -> Sides:
        """Those of an input that has some."""
        return 1, 1

    @property
    def held_out(self) -> int:
        """Number of inputs that are held out."""
        fraction: float = self.config.data.validation
        return round(fraction * self.inputs)

    @property
    def learnt(self) -> int:
        """Number of inputs that are trained on."""
        return max(1, self.config.data.labels or self.inputs - self.held_out)

    @property
    def batch_size(self) -> int:
        """Number of inputs per step."""
        config = self.config.training
        return min(self.learnt, self.learnt if config.optimizer == "lbfgs" else config.batch_size)

    def scale(self) -> Scale:
        """The count of one step, and of one batch in evaluation."""
        return _scale(self)

    @property
    def needed(self) -> int:
        """Bytes of memory that must be free before the training."""
        needed: int = self.scale().memory + self.to_read
        return needed

    @property
    def to_read(self) -> int:
        """Bytes of the training set that are yet to be read into memory."""
        return self.stored if self.stored <= self.kept else 0

    def changes(self) -> list[Change]:
        """The options of which a smaller value needs less memory."""
        found, hidden = self.pieces(), self.architecture.hidden
        if not self.settled:
            found.append(self.resized())
        if not self.settled or self.architecture.encoder:
            found.append(Change(max(hidden, default=0), self._narrower, least=FEWEST_UNITS))
        if self.config.training.optimizer != "lbfgs":
            found.append(Change(self.batch_size, self._fewer))
        if self._has_float32_moments:
            found.append(Change(2, self._with_half_the_moments))
        return found

    def pieces(self) -> list[Change]:
        """The options that give the network less of an input at a time."""
        return []

    def other_models(self) -> Iterator[tuple["Sketch", str]]:
        """The same training of models whose weights do not follow from the size of an input, with
        the words that ask for them; none where those of this model do not either.
        """
        return iter(())

    def with_model(self, model: ModelConfig) -> "Sketch":
        """The same with other options of the model."""
        return dataclasses.replace(
            self,
            config=dataclasses.replace(self.config, model=model),
            architecture=dataclasses.replace(self.architecture, config=model),
        )

    @property
    def free_model(self) -> ModelConfig:
        """The options of the model, without `k` if that follows from the widths."""
        model = self.config.model
        free = dataclasses.replace(model, k=None)
        return free if model.k and free.resolved(1, self.sides).k == model.k else model

    @property
    def usual(self) -> bool:
        """Whether the widths are those that the kind of model has by default."""
        return False

    def _narrower(self, width: int) -> tuple["Sketch", str]:
        model = self.free_model
        width = max(_round(width), model.k or 1)
        hidden = tuple(min(width, one) for one in self.architecture.hidden)
        found = self.with_model(dataclasses.replace(model, hidden=hidden).resolved(1, self.sides))
        return found, f"--hidden {','.join(map(str, hidden))}"

    def _fewer(self, count: int) -> tuple["Sketch", str]:
        training = dataclasses.replace(self.config.training, batch_size=count)
        config = dataclasses.replace(self.config, training=training)
        return dataclasses.replace(self, config=config), f"--batch-size {count}"

    @property
    def _has_float32_moments(self) -> bool:
        """Whether the optimiser keeps moments in float32 that it could keep in bfloat16."""
        config = self.config.training
        return config.optimizer in IN_BFLOAT16 and config.optimizer_state != BF16

    def _with_half_the_moments(self, _: int) -> tuple["Sketch", str]:
        training = dataclasses.replace(self.config.training, optimizer_state=BF16)
        config = dataclasses.replace(self.config, training=training)
        return dataclasses.replace(self, config=config), f"--optimizer-state {BF16}"


def _round(number: int) -> int:
    """The number, rounded down to two digits."""
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return number // unit * unit


@functools.lru_cache
def _scale(sketch: Sketch) -> Scale:
    return without_compiler(lambda: _counted(sketch))


def _counted(sketch: Sketch) -> Scale:
    config, architecture = sketch.config.training, sketch.architecture
    with metered() as meter:
        network = build_network(architecture)
        weights = meter.live
        count: int = sum(parameter.numel() for parameter in network.parameters())
        staying = sketch.begin(network)  # noqa: F841
        first, before = meter.peak, meter.live
        step, evaluation = _step(sketch, network, meter), _evaluation(sketch, network, meter)
        parameters = sketch.trained(network).parameters()
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        state = bytes_of_state(config, trained)
        gradients: int = sum(parameter.nbytes for parameter in trained)
        update = before + gradients + bytes_of_step(config, trained)
    kept = weights if config.keep == "best" else 0
    memory = kept + max(first, state + max(step, evaluation, update))
    return Scale(count, round(SPARE * memory) + MARGIN)


def _step(sketch: Sketch, network: Any, meter: Meter) -> int:
    """The peak of a step; where more stays in memory after it than its batch and gradients, of a
    smaller one after it, too: the last batch of an epoch may be smaller."""
    size, whole, before = sketch.batch_size, sketch.objective(network), meter.live
    meter.restart()
    whole.train()
    batch = sketch.step_batch(size)
    own = meter.live - before
    whole(batch).loss.backward()
    own += sum(one.grad.nbytes for one in whole.parameters() if one.grad is not None)
    if sketch.learnt % size and meter.live > before + own:
        whole.zero_grad()
        batch = sketch.step_batch(sketch.learnt % size)
        whole(batch).loss.backward()
    return meter.peak


@torch.no_grad()
def _evaluation(sketch: Sketch, network: Any, meter: Meter) -> int:
    """The peak of measuring a batch."""
    whole = sketch.held_out_objective(network, sketch.objective(network))
    meter.restart()
    whole.eval()
    size = min(sketch.evaluation_batch, max(1, sketch.measured))
    if sketch.held_out:
        whole(sketch.held_out_batch(size))
    sketch.measure(network, sketch.batch(size))
    return meter.peak
