"""Dead units, which have long been inactive, counted without waiting for a GPU in a step."""

import torch
from torch import Tensor

from aectl.models.whole_batch import whole

DEAD_AFTER = 10_000
"""Minimum number of consecutive inputs for which a dead unit was inactive."""

LOOK_EVERY, ON_OTHERS = {"cpu": 1}, 32
"""Minimum number of steps from one check of the counts to the next: on a CPU, and on other devices,
which a check waits for."""

NAME = "inactive"


class Dead:
    """Finds dead units: those that were inactive for the last 10,000 inputs of training.

    The number of inputs for which each unit was inactive is kept in `remembered`. Between steps,
    `look` checks whether any unit can be dead, so that the losses of dead units are skipped while
    none can, and no step has to read a value from the device. Before the first check, any unit can
    be dead. `possible` says what the last check found.
    """

    def __init__(self, remembered: dict[str, Tensor]) -> None:
        self._remembered = remembered
        self.possible, self._left = True, 0

    def look(self, inputs: int) -> None:
        """Checks, before a step with so many `inputs`, whether a unit can be dead after it.

        From the counts follows the number of inputs during which no unit can be dead; meanwhile
        they are not read again. They are read at most once in `LOOK_EVERY` or `ON_OTHERS` steps: if
        a unit can be dead before the next check, losses of dead units are computed until then.
        """
        self._left -= inputs
        if self._left >= 0:
            return
        counts = self._remembered.get(NAME)
        longest = 0 if counts is None else int(counts.max())
        alive = DEAD_AFTER - 1 - longest
        steps = 1 if counts is None else LOOK_EVERY.get(counts.device.type, ON_OTHERS)
        at_least = steps * inputs
        self.possible = alive < at_least
        self._left = max(alive, at_least) - inputs

    def __call__(self, code: Tensor, training: bool) -> Tensor | None:
        """code: (batch, code_size) -> whether each unit is dead, (code_size,), including this
        batch; None if no unit can be dead."""
        count = self._remembered.get(NAME)
        if count is None:
            count = torch.zeros_like(code[0])
        if training:
            is_active = (code.detach() != 0).view(torch.uint8)
            active = whole().total(is_active.amax(0).to(count))  # half the time of any(0) on a CPU
            count = torch.where(active == 0, count + whole().rows(len(code)), 0.0)
            self._remembered[NAME] = count
        return count >= DEAD_AFTER if self.possible else None
