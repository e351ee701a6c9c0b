"""Predicted classes of inputs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from aectl.config.kinds import classifiers
from aectl.errors import ConfigError
from aectl.verbs.input_options import InputOptions
from aectl.verbs.torch_settings import lent
from aectl.verbs.use import Use, use_of

if TYPE_CHECKING:
    import os

    from aectl.inference.apply import ToTensor
    from aectl.inference.in_numpy import InNumpy
    from aectl.inference.results import Classified
    from aectl.outputs.rows import Rows


@dataclass(frozen=True)
class Classification:
    """The predicted classes of all inputs; iterating over it computes them, a batch at a time."""

    use: Use
    top_k: int

    def __iter__(self) -> "Iterator[Classified]":
        yield from lent(self.use.results(self.compute, in_numpy=self.in_numpy))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, which `predictions` are indices of."""
        return self.use.card.classes

    def key(self) -> dict[str, object]:
        """All that decides the rows, beside the model and the inputs."""
        return {"top_k": self.top_k, **self.use.key()}

    def compute(
        self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor"
    ) -> "Iterator[Classified]":
        """The predictions for some batches."""
        from aectl.inference import apply as inference

        return inference.classify(network, batches, to_tensor, self.top_k)

    def in_numpy(self, network: "InNumpy", batches: Iterable[Any]) -> "Iterator[Classified]":
        """The same as `compute`, in NumPy."""
        return network.classify(batches, self.top_k)

    def rows(self, result: "Classified") -> "Rows":
        """The rows of a table for a batch."""
        from aectl.outputs.rows import Rows, class_columns

        columns = self.use.leading_columns(result.batch)
        columns |= class_columns(self.classes, result.predictions, result.probabilities)
        return Rows(columns, position=result.batch.position)


def classify(
    model: "str | os.PathLike[str]",
    inputs: str | Sequence[str] | None = None,
    *,
    top_k: int = 1,
    device: str = "auto",
    threads: int | None = None,
    shard: str | None = None,
    **options: Unpack[InputOptions],
) -> Classification:
    """Classifies inputs: one or several files, folders, archives or datasets.

    >>> found = aectl.classify("classifier.safetensors", "photos/", top_k=2)
    >>> for result in found:
    ...     print(result.paths[0], result.probabilities.shape)
    ...     print(found.classes[result.predictions[0, 0]] in "0123456789")
    photos/0.png (3, 2)
    True

    `model` is a .safetensors file or a run folder. Without `inputs`, it classifies the test split
    of what the model was trained on. `device` is "auto", "cpu", "cuda" or "mps", and `threads` the
    number of CPU threads. With `shard`, such as "3/64", only that share is read. Further
    `options` are those of `InputOptions`.

    Returns an iterable with the names of all `classes`. Each item is the result for n inputs,
    computed when it is asked for: `paths` and `labels`, n each, and the `top_k` most probable
    classes of each input, the most probable first: `predictions`, indices of `classes`, and
    `probabilities`, both (n, top_k).

    Raises ModelFileError for a file that is no classifier, ConfigError for options that do not go
    together, and DataError for inputs that do not exist; inputs that cannot be read are left out
    and passed to `on_bad`.
    """
    use = use_of(model, "classify", classifiers(), inputs, options, device, threads, shard)
    use.refuse({})
    classes = len(use.card.classes)
    if top_k > classes:
        raise ConfigError(f"--top-k must be at most {classes}, the number of classes")
    return Classification(use, top_k)
