"""Results of a network for batches of inputs; each has the paths and the labels of its inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aectl.data.images.image_batches import InputBatch
    from aectl.data.text.text_batches import TextBatch
    from aectl.inference.marking import Marked

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Result:
    """The result for a batch of n inputs; `batch` has the inputs themselves."""

    batch: Any = field(repr=False)

    @property
    def paths(self) -> list[str]:
        """The path of each input: n."""
        return self.batch.paths  # type: ignore[no-any-return]

    @property
    def labels(self) -> list[str | None]:
        """The label of each input, None where it is not known: n."""
        return self.batch.labels  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Encoded(Result):
    """The codes of n inputs: `code`, (n, features); None if they are text, which is in `columns`,
    by name, n values each.
    """

    code: NDArray[Any] | None
    columns: Mapping[str, Sequence[Any] | NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Classified(Result):
    """The k most probable classes of n inputs, most probable first: both (n, k).

    `predictions` are indices of classes.
    """

    predictions: NDArray[np.int64]
    probabilities: Floats


@dataclass(frozen=True, eq=False)
class Detected(Result):
    """The anomaly scores of n inputs, their p-values, and whether each is an anomaly: (n,) each.

    `marked`: the maps of images and their marked regions, if they are asked for.
    """

    score: Floats
    p_value: NDArray[np.float64]
    anomaly: NDArray[np.bool_]
    marked: "Marked | None" = None


@dataclass(frozen=True, eq=False)
class Reconstructed(Result):
    """The reconstructions of n images: (n, channels, height, width), in [0, 1] unless the model's
    output activation is linear.
    """

    batch: "InputBatch" = field(repr=False)
    reconstruction: Floats

    @property
    def originals(self) -> NDArray[np.uint8]:
        """The images as the model takes them: of the same shape, 0 to 255."""
        return self.batch.images

    def first(self, count: int) -> Self:
        """The result for the first `count` images."""
        return type(self)(rows_of_batch(self.batch, range(count)), self.reconstruction[:count])


@dataclass(frozen=True, eq=False)
class ReconstructedTexts(Result):
    """Texts and their reconstructions, n each; `shorter`: texts of the bottleneck, None if the
    codes are vectors. A text with more tokens than the model reads is cut in `original`.
    """

    batch: "TextBatch" = field(repr=False)
    original: list[str]
    shorter: list[str] | None
    reconstruction: list[str]

    def first(self, count: int) -> Self:
        """The result for the first `count` texts."""
        shorter = None if self.shorter is None else self.shorter[:count]
        batch = rows_of_batch(self.batch, range(count))
        return type(self)(batch, self.original[:count], shorter, self.reconstruction[:count])


@dataclass(frozen=True, eq=False)
class Measured(Result):
    """The metrics of n inputs: the `mse` of each image, (n,).

    `classified`: the class that a classifier predicts for each input, and its probability, both
    (n,).
    """

    mse: Floats | None = None
    classified: tuple[NDArray[np.int64], Floats] | None = None


@dataclass(frozen=True, eq=False)
class MeasuredTexts(Result):
    """The `token_accuracy` and the ROUGE-L of the reconstructions of n texts, (n,) each."""

    token_accuracy: Floats
    rouge_l: Floats


def rows_of_batch(batch: Any, rows: Sequence[int]) -> Any:
    """A batch with only some of its inputs, which `rows` are the indices of."""
    return batch._replace(
        **{
            name: column[list(rows)]
            if isinstance(column, np.ndarray)
            else [column[n] for n in rows]
            for name, column in batch._asdict().items()
            if isinstance(column, list | np.ndarray)
        }
    )
