"""Units of a code that have been inactive for long, counted without waiting for a device."""

import torch
from torch import Tensor

from aectl.models.whole_batch import whole

DEAD_AFTER = 10_000
"""Inputs for which a dead unit was inactive, at least."""

LOOK_EVERY, ON_OTHERS = {"cpu": 1}, 32
"""Steps between two looks at the counts, by device; other devices have to be waited for."""

NAME = "inactive"


class Dead:
    """Finds dead units: those that were inactive for the last 10,000 inputs of training.

    The number of inputs for which each unit was inactive is kept in `remembered`. Whether any unit
    can be dead is known between steps, by `look`, so that losses of dead units are left out where
    there are none, though no step asks for a value; before the first look, any can.
    """

    def __init__(self, remembered: dict[str, Tensor]) -> None:
        self._remembered = remembered
        self._possible, self._left = True, 0

    def look(self, inputs: int) -> None:
        """Before a step with so many inputs: finds out whether a unit can be dead after it.

        The counts tell for how many inputs none can, and are not looked at meanwhile. A device is
        waited for once in `LOOK_EVERY` steps at most; until the next look, units can be dead.
        """
        self._left -= inputs
        if self._left >= 0:
            return
        counts = self._remembered.get(NAME)
        longest = 0 if counts is None else int(counts.max())
        alive = DEAD_AFTER - 1 - longest
        steps = 1 if counts is None else LOOK_EVERY.get(counts.device.type, ON_OTHERS)
        at_least = steps * inputs
        self._possible = alive < at_least
        self._left = max(alive, at_least) - inputs

    def __call__(self, code: Tensor, training: bool) -> Tensor | None:
        """code: (batch, code_size) -> whether each unit is dead, (code_size,), including this
        batch; None where none can be.
        """
        count = self._remembered.get(NAME)
        if count is None:
            count = torch.zeros_like(code[0])
        if training:
            active = whole().total((code.detach() != 0).any(0).to(count))
            count = torch.where(active == 0, count + whole().rows(len(code)), 0.0)
            self._remembered[NAME] = count
        return count >= DEAD_AFTER if self._possible else None
