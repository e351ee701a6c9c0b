"""Means of the losses of several batches, summed in the memory of the device."""

from collections.abc import Mapping

import torch
from torch import Tensor


class Means:
    """Means of named scalars, weighted by the size of their batch.

    Once something has been added, the sums stay in the same memory, so that a recorded step can add
    to them; the number of inputs, `inputs`, is counted beside it.
    """

    def __init__(self, sums: Mapping[str, Tensor] | None = None, inputs: int = 0) -> None:
        self._names = tuple(sums or ())
        self._total = torch.stack([*sums.values()]) if sums else torch.zeros(())
        self.inputs = inputs

    def add(self, values: Mapping[str, Tensor], inputs: int) -> None:
        """Adds the mean values of a batch, of the same names each time; `inputs` is its size."""
        self.add_uncounted(values, inputs)
        self.inputs += inputs

    def add_uncounted(self, values: Mapping[str, Tensor], inputs: int) -> None:
        """The same, except that the inputs are not counted."""
        now = torch.stack([*values.values()]) * inputs
        if self._names and self._total.device == now.device:
            self._total += now
        else:
            self._total = self._total.to(now.device) + now if self._names else now
        self._names = tuple(values)

    def restart(self) -> None:
        """Begins again with nothing added."""
        self._total.zero_()
        self.inputs = 0

    @property
    def memory(self) -> Tensor:
        """All sums: (names,), or a scalar if nothing has been added yet."""
        return self._total

    @property
    def sums(self) -> dict[str, Tensor]:
        """The sum of each value over all inputs; empty if there are none."""
        return dict(zip(self._names, self._total, strict=True)) if self.inputs else {}

    def means(self) -> dict[str, float]:
        """The mean of each value over all inputs."""
        return {name: (total / self.inputs).item() for name, total in self.sums.items()}
