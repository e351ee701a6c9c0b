"""A model and the inputs that it is used on: what all verbs but `train` start with."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aectl.config.decoding import MAX_PIXELS, REFUSE
from aectl.config.kinds import KINDS
from aectl.config.spelling import first_of
from aectl.data.named_inputs import Position
from aectl.data.shares import InputShare
from aectl.data.sources import STDIN
from aectl.errors import DataError, ModelFileError
from aectl.modalities import Modality, modality_of
from aectl.modalities.mismatches import noted_in_use
from aectl.modalities.request import InputStream, Request
from aectl.models import footprint, model_file
from aectl.models.architecture import Architecture
from aectl.models.model_card import ModelCard
from aectl.models.numpy_networks import covers, load
from aectl.verbs import machine
from aectl.verbs.hub import located
from aectl.verbs.input_options import InputOptions, request
from aectl.verbs.start_torch import start_torch

if TYPE_CHECKING:
    import torch

    from aectl.inference.apply import ToTensor
    from aectl.inference.in_numpy import InNumpy
    from aectl.outputs.rows import Column

MOST_NAMED = 3
"""Words that a message names."""


def read_card(path: Path, verb: str, kinds: tuple[str, ...]) -> ModelCard:
    """The description in a model file. Raises ModelFileError for a model of other kinds than those
    that `verb` takes, or too large for this machine.
    """
    card = model_file.read_card(path)
    _refuse_too_large(path, card.architecture)
    if card.architecture.kind not in kinds:
        wanted = "an autoencoder" if KINDS[kinds[0]].has_code else f"a {kinds[0]}"
        kind = card.architecture.kind
        article = "an" if kind == "autoencoder" else "a"
        raise ModelFileError(f"{verb} needs {wanted}; {path} is {article} {kind}")
    return card


def _refuse_too_large(path: Path, architecture: Architecture) -> None:
    """Raises ModelFileError where this machine has too little memory for a single input."""
    weights = model_file.resolve(path).stat().st_size
    needed = weights + footprint.activation_bytes(architecture)
    needed += footprint.measuring_bytes(architecture)
    if needed > machine.memory():
        raise ModelFileError(
            f"{path} needs {needed / 2**30:,.1f} GiB of memory for a single input; this machine has"
            f" {machine.memory() / 2**30:,.1f} GiB: use a larger machine or a smaller model"
        )


def use_of(
    model: "str | os.PathLike[str]",
    verb: str,
    kinds: tuple[str, ...],
    inputs: str | Sequence[str] | None,
    options: InputOptions,
    device: str,
    threads: int | None,
    shard: str | None = None,
) -> "Use":
    """A model of one of the kinds that `verb` takes, and inputs.

    Raises ModelFileError or ConfigError.
    """
    path = located(model)
    card = read_card(path, verb, kinds)
    return Use(path, card, request(inputs, options, shard=shard), device, threads)


@dataclass(frozen=True)
class Use:
    """A model, and the inputs of a request.

    On a CPU the network has one thread unless `threads` says more: the other cores decode, and if
    several threads of torch share a tensor, the last bits of a sigmoid depend on where a row is.
    """

    path: Path
    card: ModelCard
    request: Request
    device: str = "auto"
    threads: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The state for another process, which looks for the inputs itself."""
        return {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}

    @cached_property
    def modality(self) -> Modality:
        """The modality of the model."""
        return modality_of(self.card)

    @cached_property
    def stream(self) -> InputStream[Any]:
        """The inputs. Raises DataError where they do not exist."""
        with self.noted():
            return self.modality.stream(self.card, self.request)

    @cached_property
    def share(self) -> InputShare | None:
        """The share of the inputs that is read; None if all are.

        Raises DataError where they do not exist.
        """
        with self.noted():
            return self.stream.take(self.request.shard) if self.request.shard else None

    def noted(self) -> AbstractContextManager[None]:
        """Adds to a DataError of its block which words the model cannot take."""
        return noted_in_use(self.modality, self.request.named_by_extension)

    @property
    def nothing(self) -> str:
        """The message where there are no inputs."""
        words = ("stdin" if word == STDIN else word for word in self.stream.words)
        return f"there are no {self.modality.noun} in {first_of(words, MOST_NAMED)}"

    def refuse_empty(self, count: int) -> None:
        """Raises DataError if the number of inputs is 0."""
        if not count:
            with self.noted():
                raise DataError(self.nothing)

    def refuse(self, given: Mapping[str, bool]) -> None:
        """Raises ConfigError for the first option that was given and has no effect."""
        request = self.request
        of_request = {
            "null": request.null,
            "max_pixels": request.max_pixels != MAX_PIXELS,
            "truncated": request.truncated != REFUSE,
            "columns": bool(request.wanted.features),
            "id_column": request.wanted.id_column is not None,
            "label_column": request.wanted.label_column is not None,
            "paths_column": request.paths_column is not None,
            "references": request.references,
        }
        asked = (name for name, is_given in {**given, **of_request}.items() if is_given)
        self.modality.refuse(asked, self.card)

    def key(self) -> dict[str, object]:
        """The properties of the inputs on which the rows of a table depend."""
        stream = self.stream
        found = {"labelled": stream.labelled, "batch_size": stream.batch_size}
        if self.share is None:
            return {**found}
        of_all = {"inputs": self.share.total, "list": self.share.digest}
        return {**found, "shard": str(self.request.shard), **of_all}

    def leading_columns(self, batch: Any) -> "dict[str, Column]":
        """The first columns of a table for a batch."""
        return self.modality.leading_columns(batch, self.stream.labelled, self.request)

    def network(self) -> Any:
        """The network, on the CPU. Raises ModelFileError."""
        return model_file.load(self.path)[0]

    def torch_device(self) -> "torch.device":
        """The device that the network runs on."""
        return machine.torch_device(self.device, self.threads or 1)

    @contextmanager
    def results(
        self,
        compute: "Callable[[Any, Iterable[Any], ToTensor], Iterator[Any]]",
        after: Position | None = None,
        most: int | None = None,
        in_numpy: "Callable[[InNumpy, Iterable[Any]], Iterator[Any]] | None" = None,
    ) -> Iterator[Iterator[Any]]:
        """The results of a computation on all batches after a position.

        `in_numpy`: the same computation without torch, which replaces it if the network is dense
        and the device is the CPU.

        Decoding starts before the network is loaded, and ends with the context.
        """
        _ = self.share  # which restricts the stream
        with self.stream.batches(after, most) as batches:
            if in_numpy and covers(self.card.architecture) and machine.is_cpu(self.device):
                yield in_numpy(self._without_torch(), batches)
                return
            start_torch()
            from aectl.inference.apply import on_device

            network = self.network()
            of_network = partial(self.modality.tensor, network)
            to_tensor = on_device(network, self.torch_device(), of_network)
            yield compute(network, batches, to_tensor)

    def _without_torch(self) -> "InNumpy":
        """The network in NumPy. Raises ModelFileError."""
        from aectl.inference.in_numpy import InNumpy

        modality = self.modality
        return InNumpy(load(self.path), modality.stored, modality.unit, self.threads or 1)
