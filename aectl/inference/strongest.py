"""The inputs with the largest values of each of many units, of a stream of inputs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aectl.inference.results import Floats


class StrongInput(NamedTuple):
    """An input by its path and label, with the error of its reconstruction."""

    path: str
    label: str | None
    error: float


class Strongest:
    """Keeps the `most` inputs with the largest values other than 0 of each unit."""

    def __init__(self, most: int) -> None:
        self._most, self._seen = most, 0
        self._values = torch.empty(0, 0)
        self._numbers = torch.empty(0, 0, dtype=torch.int64)
        self._inputs: dict[int, StrongInput] = {}

    def __len__(self) -> int:
        """The number of units."""
        return self._values.shape[1]

    def add(
        self, code: Tensor, paths: Sequence[str], labels: Sequence[str | None], errors: Floats
    ) -> None:
        """Adds a batch of codes, (n, units); the path, the label and the error of each input."""
        largest, rows = code.topk(min(self._most, len(code)), dim=0)
        numbers = (rows + self._seen).where(largest != 0, -1)
        largest = largest.where(largest != 0, -torch.inf)
        if self._seen:
            largest = torch.cat([self._values, largest])
            numbers = torch.cat([self._numbers, numbers])
            largest, places = largest.topk(min(self._most, len(largest)), dim=0)
            numbers = numbers.gather(0, places)
        self._values, self._numbers = largest, numbers
        kept = set(np.unique(numbers.numpy()).tolist())
        self._inputs = {number: one for number, one in self._inputs.items() if number in kept}
        for number in kept:
            if number >= self._seen:
                row = number - self._seen
                self._inputs[number] = StrongInput(paths[row], labels[row], float(errors[row]))
        self._seen += len(code)

    def of_units(
        self, units: NDArray[np.int64]
    ) -> tuple[list[StrongInput], NDArray[np.int64], Floats]:
        """The inputs of some units; for each unit their places among these, -1 where it has fewer,
        and its values, both (units, most), the largest first."""
        numbers, values = self._numbers[:, units].t().numpy(), self._values[:, units].t().numpy()
        different = np.unique(numbers[numbers >= 0])
        places = np.where(numbers < 0, -1, np.searchsorted(different, numbers))
        found = [self._inputs[number] for number in different.tolist()]
        return found, places, np.where(numbers < 0, 0, values)
