"""Reconstructions of inputs."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from aectl.config.kinds import with_a_code
from aectl.verbs.use import InputOptions, Use, use_of

if TYPE_CHECKING:
    import os

    from aectl.inference.apply import ToTensor


@dataclass(frozen=True)
class Reconstruction:
    """The reconstructions of the first `count` inputs, or of all; iterating over it computes them,
    a batch at a time.
    """

    use: Use
    count: int | None = None

    def __iter__(self) -> Iterator[Any]:
        with self.results() as results:
            yield from results

    def results(self) -> AbstractContextManager[Iterator[Any]]:
        """The same batches; reading ends with the context."""
        return self.use.results(self.compute, most=self.count)

    def compute(self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor") -> Iterator[Any]:
        """The reconstructions of the first inputs of some batches."""
        left = self.count
        for result in self.use.modality.reconstruct(self.use.card, network, batches, to_tensor):
            if left is None or left > len(result.paths):
                yield result
                left = None if left is None else left - len(result.paths)
            else:
                yield result.first(left)
                return


def reconstruct(
    model: "str | os.PathLike[str]",
    inputs: str | Sequence[str] | None = None,
    *,
    count: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    **options: Unpack[InputOptions],
) -> Reconstruction:
    """Reconstructs the first `count` inputs, or all: files, folders, archives or datasets.

    Without `inputs`, it reconstructs the test split of what the model was trained on.

    Returns an iterable of batches: `batch.paths`, and `reconstruction`: images, float32 (n,
    channels, height, width), or n texts.

    Raises ModelFileError for a file that is no autoencoder or whose output is not finite,
    ConfigError for options that do not go together, and DataError for inputs that do not exist.
    """
    use = use_of(model, "reconstruct", with_a_code(), inputs, options, device, threads)
    use.refuse({})
    return Reconstruction(use, count)
