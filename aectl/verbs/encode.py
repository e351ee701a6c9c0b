"""Codes of inputs."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from aectl.config.kinds import with_a_code
from aectl.errors import ConfigError
from aectl.inference.features import Features
from aectl.inference.results import Encoded
from aectl.verbs.input_options import InputOptions
from aectl.verbs.torch_settings import lent
from aectl.verbs.use import Use, use_of

if TYPE_CHECKING:
    import os

    from aectl.inference.apply import ToTensor
    from aectl.inference.in_numpy import InNumpy
    from aectl.outputs.rows import Rows


@dataclass(frozen=True)
class Encoding:
    """The codes of all inputs; iterating over it computes them, a batch at a time."""

    use: Use
    features: Features

    def __iter__(self) -> Iterator[Encoded]:
        yield from lent(self.use.results(self.compute, in_numpy=self.in_numpy))

    def key(self) -> dict[str, object]:
        """All that decides the rows, beside the model and the inputs."""
        return {**dataclasses.asdict(self.features), **self.use.key()}

    def rows(self, result: Encoded) -> "Rows":
        """The rows of a table for a batch."""
        from aectl.outputs.rows import Rows

        columns = self.use.leading_columns(result.batch)
        return Rows({**columns, **result.columns}, result.code, result.batch.position)

    def compute(
        self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor"
    ) -> Iterator[Encoded]:
        """The codes of some batches."""
        from aectl.inference import apply as inference

        def vectors(code: Any) -> Any:
            return self.features.of(code.cpu().numpy())

        for padded in inference.encode(network, batches, to_tensor, self._hidden_layer):
            count = len(padded.paths)
            made = self.use.modality.code(self.use.card, padded.code, count, vectors)
            yield Encoded(padded.batch, made.vectors, made.columns)

    def in_numpy(self, network: "InNumpy", batches: Iterable[Any]) -> Iterator[Encoded]:
        """The same as `compute`, in NumPy."""
        for batch, code in network.encode(batches, self._hidden_layer):
            yield Encoded(batch, self.features.of(code), {})

    @property
    def _hidden_layer(self) -> int | None:
        """The hidden layer whose output is wanted, from 1; None for the code."""
        depth = len(self.use.card.architecture.hidden)
        return None if self.features.layer == depth else self.features.layer


def encode(
    model: "str | os.PathLike[str]",
    inputs: str | Sequence[str] | None = None,
    *,
    layer: int | None = None,
    normalize: str = "none",
    dtype: str = "float32",
    device: str = "auto",
    threads: int | None = None,
    shard: str | None = None,
    **options: Unpack[InputOptions],
) -> Encoding:
    """Encodes inputs with an autoencoder: one or several files, folders, archives or datasets.

    >>> for result in aectl.encode("model.safetensors", "photos/"):
    ...     print(result.paths[0], result.code.shape)
    photos/0.png (3, 32)

    `model` is a .safetensors file or a run folder. Without `inputs`, it encodes the test split of
    what the model was trained on. `layer`, counted from 1, gives the output of a hidden layer of
    the encoder instead of the code; `normalize` "l2" scales each row to length 1; `dtype` is
    "float32" or "float16"; `device` is "auto", "cpu", "cuda" or "mps", and `threads` the number of
    CPU threads. With `shard`, such as "3/64", only that share of the inputs is read. Further
    `options` are those of `InputOptions`.

    Returns an iterable. Each item is the result for n inputs, computed when it is asked for:
    `paths` and `labels`, n each, and `code`, (n, features). If the code of a model of text is a
    text, `code` is None and `columns["bottleneck"]` has n texts.

    Raises ModelFileError for a file that is no autoencoder, ConfigError for options that do not go
    together, and DataError for inputs that do not exist; inputs that cannot be read are left out
    and passed to `on_bad`.
    """
    use = use_of(model, "encode", with_a_code(), inputs, options, device, threads, shard)
    given = {
        "layer": layer is not None,
        "normalize": normalize != "none",
        "dtype": dtype != "float32",
    }
    use.refuse(given)
    depth = len(use.card.architecture.hidden)
    if layer is not None and layer > depth:
        raise ConfigError(f"--layer must be at most {depth}, the layers of this encoder")
    return Encoding(use, Features(layer, normalize, dtype))
