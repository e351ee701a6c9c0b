"""Steps of training that are recorded once, and then replayed: on a GPU, as CUDA graphs.

A short step spends most of its time on the start of its many operations. A replay starts all of
them at once, on the same memory: inputs are copied to where the recorded step reads them, and all
state is changed in place.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from aectl.config.configuration import Config
from aectl.errors import first_line
from aectl.objectives.step import Drawn, Objective
from aectl.training import distributed
from aectl.training.means import Means
from aectl.training.optimizers import RECORDABLE, recordable
from aectl.training.process_state import same_random_numbers
from aectl.training.recording import CudaGraphs, NamedTensors, Recorder
from aectl.training.steps import Eager

WARM_UP = 20
"""Which step of each kind is recorded: a recording takes as long as many steps, and some kinds are
few. The earlier ones make the optimiser's state, and let the libraries choose their kernels."""

MOST = 100
"""Maximum number of recorded steps; each keeps its memory. The oldest make room for others: while
the number of active units falls, those with more of them do not come again."""

LARGEST = 2**30
"""Maximum bytes of weights and state. The steps of larger networks take so long that recording them
would gain nothing."""

NEARLY = 0.01
"""How much the change that a replay makes may differ from that of an eager step, as a fraction of
its length: sums on a GPU may be in another order each time."""


class Replayed:
    """The steps of `eager`: of each kind, the first are eager; one is recorded, and the later ones
    are replayed.

    `remembered`: the state that the objective keeps between batches. Before a recording is used,
    its replay is compared with an eager step of the same batch. If a step cannot be recorded, or
    the two differ, `told` is called with the reason, and all further steps are eager.
    """

    def __init__(
        self,
        eager: Eager,
        remembered: dict[str, Tensor],
        recorder: Recorder,
        told: Callable[[str], None],
    ) -> None:
        self._eager, self._remembered, self._recorder = eager, remembered, recorder
        self._told, self._refused = told, False
        self._eager_steps: Counter[Hashable] = Counter()
        self._recorded: dict[Hashable, Recorded] = {}
        assert isinstance(eager.objective, Objective)
        self.objective, self.precision = eager.objective, eager.precision
        for group in eager.optimizer.param_groups:
            group["lr"] = torch.tensor(group["lr"], device=group["params"][0].device)

    def __call__(self, drawn: Drawn, sums: Means) -> NamedTensors:
        """Makes one step; returns the loss and its terms before it, by name, which are added to
        the sums. The next step may overwrite them."""
        self.objective.prepare(drawn.rows)
        found = self._taken(drawn, sums)
        sums.inputs += drawn.rows
        return found

    def _taken(self, drawn: Drawn, sums: Means) -> NamedTensors:
        """Makes the step in one of the ways."""
        kind = self._kind(drawn, sums)
        if kind in self._recorded:
            return self._recorded[kind].replay(drawn)
        self._eager_steps[kind] += 1
        if self._refused or self._eager_steps[kind] < WARM_UP - 1:
            return self._step(drawn, sums)
        if self._eager_steps[kind] < WARM_UP:
            found, waits = self._recorder.waiting(lambda: self._step(drawn, sums))
            if waits:
                self._refuse(f"a step waits for the device ({waits})")
            return found
        return self._tried(kind, drawn, sums)

    def _kind(self, drawn: Drawn, sums: Means) -> Hashable:
        """The shapes of the tensors that a batch is made of, and what else decides which operations
        on which memory a step consists of."""
        read = ((one.shape, one.dtype) if isinstance(one, Tensor) else one for one in drawn)
        return (*read, self.objective.variant, sums)

    def _step(self, drawn: Drawn, sums: Means) -> NamedTensors:
        """An eager step, which changes all that is remembered, and the sums, in place."""
        before = dict(self._remembered)
        found = self._eager.step(drawn.made())
        sums.add_uncounted(found, drawn.rows)
        with torch.no_grad():
            for name, held in before.items():
                if self._remembered[name] is not held:
                    held.copy_(self._remembered[name])
                    self._remembered[name] = held
        return found

    def _tried(self, kind: Hashable, drawn: Drawn, sums: Means) -> NamedTensors:
        """An eager step, after which those of its kind are replayed if a replay does the same."""
        state, remembered = [*self._state(), sums.memory], dict(self._remembered)
        if sum(one.nbytes for one in state) > LARGEST:
            self._refuse("the network is so large that replays would gain nothing")
            return self._step(drawn, sums)
        before: list[Tensor] = []
        recorded = Recorded(drawn)
        try:
            before = [one.clone() for one in state]
            with recordable(self._eager.optimizer):
                recorded.record(self._recorder, lambda held: self._step(held, sums))
            with same_random_numbers(sums.memory.device):
                replayed = {name: one.clone() for name, one in recorded.replay(drawn).items()}
            after = [one.clone() for one in state]
        except RuntimeError as error:
            self._remembered.update(remembered)
            self._refuse(first_line(error))
        if before:
            _put(state, before)
        found = self._step(drawn, sums)
        if self._refused:
            return found
        changes = zip(
            (*before, *(torch.zeros_like(one) for one in found.values())),
            (*after, *(replayed[name] for name in found)),
            (*state, *found.values()),
            strict=True,
        )
        if all(alike(*change) for change in changes):
            self._keep(kind, recorded)
        else:
            self._refuse("a replayed step has other results")
        return found

    def _keep(self, kind: Hashable, recorded: "Recorded") -> None:
        if len(self._recorded) == MOST:
            oldest = next(iter(self._recorded))
            del self._recorded[oldest], self._eager_steps[oldest]
        self._recorded[kind] = recorded

    def _state(self) -> list[Tensor]:
        """All tensors that a step changes, but the sums."""
        of_optimizer = [
            value
            for held in self._eager.optimizer.state.values()
            for value in held.values()
            if isinstance(value, Tensor)
        ]
        own = (*self.objective.parameters(), *self.objective.buffers())
        return [*(one.detach() for one in own), *of_optimizer, *self._remembered.values()]

    def _refuse(self, reason: str) -> None:
        self._refused = True
        self._recorded.clear()
        self._told(reason)


class Recorded:
    """A recorded step, with the memory of the tensors from which it makes its batch."""

    def __init__(self, drawn: Drawn) -> None:
        held: list[Any] = [one.clone() if isinstance(one, Tensor) else one for one in drawn]
        self._drawn: Drawn = type(drawn)(*held)
        self._found: NamedTensors = {}
        self._repeat: Callable[[], None] = lambda: None

    def record(self, recorder: Recorder, step: Callable[[Drawn], NamedTensors]) -> None:
        """Records a step."""
        self._found, self._repeat = recorder.record(lambda: step(self._drawn))

    def replay(self, drawn: Drawn) -> NamedTensors:
        """Makes a step of a batch of the same kind."""
        for held, now in zip(self._drawn, drawn, strict=True):
            if isinstance(held, Tensor) and isinstance(now, Tensor):
                held.copy_(now)
        self._repeat()
        return self._found


def reason_against(config: Config) -> str:
    """Why the steps of a training cannot be recorded; empty if they may be."""
    optimizer = config.training.optimizer
    if distributed.processes() > 1:
        return "several processes train together"
    if optimizer not in RECORDABLE:
        return f"--optimizer {optimizer} computes numbers on the CPU in each step"
    if config.training.decoder_columns == "orthonormal":
        return "--decoder-columns orthonormal waits for the device in each step"
    return ""


def recorder_on(
    device: torch.device, config: Config, roomy: Callable[[], bool], told: Callable[[str], None]
) -> Recorder | None:
    """The recorder of the steps of a training on CUDA; None if they are not to be recorded, or
    cannot be, and then `told` is called with the reason. Those of --compile have graphs of their
    own.

    `roomy` says whether the device has room for a step twice: a recording keeps the memory of one.
    """
    wanted = config.training.cuda_graphs and not config.training.compile
    if device.type != "cuda" or not wanted:
        return None
    reason = reason_against(config)
    if not reason and not roomy():
        reason = "the GPU has no room for a recording beside a step"
    if reason:
        told(reason)
        return None
    return CudaGraphs()


@torch.no_grad()
def _put(state: list[Tensor], values: list[Tensor]) -> None:
    for one, value in zip(state, values, strict=True):
        one.copy_(value)


def alike(before: Tensor, one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have changed by about the same since `before`."""
    if one.equal(other):
        return True
    distance, change = (one - other).double().norm(), (other - before).double().norm()
    return bool(distance <= NEARLY * change)
