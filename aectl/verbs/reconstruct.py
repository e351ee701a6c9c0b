"""Reconstructions of inputs."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from aectl.config.kinds import with_a_code
from aectl.verbs.input_options import InputOptions
from aectl.verbs.torch_settings import lent
from aectl.verbs.use import Use, use_of

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
        yield from lent(self.results())

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

    >>> for result in aectl.reconstruct("model.safetensors", "photos/", count=2):
    ...     print(result.paths, result.reconstruction.shape)
    ['photos/0.png', 'photos/1.png'] (2, 1, 8, 8)

    `model` is a .safetensors file or a run folder. Without `inputs`, it reconstructs the test split
    of what the model was trained on. `device` is "auto", "cpu", "cuda" or "mps", and `threads` the
    number of CPU threads. Further `options` are those of `InputOptions`.

    Returns an iterable. Each item is the result for n inputs, computed when it is asked for:
    `paths` and `labels`, n each, and `reconstruction`. For images, that is float32 (n, channels,
    height, width), in [0, 1] unless the output activation is linear, and `originals` are the images
    as the model takes them, of the same shape, 0 to 255. For text, `reconstruction`, `original` and
    `shorter` (texts of the bottleneck, or None) are lists of n texts.

    Raises ModelFileError for a file that is no autoencoder or whose output is not finite,
    ConfigError for options that do not go together, and DataError for inputs that do not exist;
    inputs that cannot be read are left out and passed to `on_bad`.
    """
    use = use_of(model, "reconstruct", with_a_code(), inputs, options, device, threads)
    use.refuse({})
    return Reconstruction(use, count)
