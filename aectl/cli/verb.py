"""What the verbs that use a model have in common: opening it, and its inputs."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from aectl import model_file
from aectl.cli.console import Console, Outcome, data_dir, torch_device
from aectl.cli.options import Common
from aectl.errors import DataError, ModelFileError, OutputError
from aectl.model_file import ModelCard
from aectl.sections import AUTOENCODERS
from aectl.types import Shape

if TYPE_CHECKING:
    import torch

    from aectl.data.inputs import InputBatch, Inputs
    from aectl.models import Classifier
    from aectl.models.autoencoder import AutoencoderBase


def read_card(path: Path, verb: str, kinds: tuple[str, ...]) -> ModelCard:
    """What a model file says. Raises ModelFileError for a model that `verb` has no use for."""
    card = model_file.read_card(path)
    if card.architecture.kind not in kinds:
        wanted = "an autoencoder" if kinds == AUTOENCODERS else f"a {kinds[0]}"
        kind = card.architecture.kind
        article = "an" if kind == "autoencoder" else "a"
        raise ModelFileError(f"{verb} needs {wanted}; {path} is {article} {kind}")
    return card


def load_autoencoder(path: Path) -> "AutoencoderBase":
    """The autoencoder in a model file whose card has been read. Raises ModelFileError."""
    return cast("AutoencoderBase", model_file.load(path)[0])


def load_classifier(path: Path) -> "Classifier":
    """The classifier in a model file whose card has been read. Raises ModelFileError."""
    return cast("Classifier", model_file.load(path)[0])


class Session:
    """One call of a verb: what goes to stderr, the account of its inputs, and where it runs."""

    def __init__(self, common: Common, out: Path | None = None) -> None:
        if out is not None and out == common.errors:
            raise OutputError(f"--out and --errors name the same file, {out}")
        self.common = common
        self.console = Console(common.quiet)
        self.outcome = Outcome(self.console, common.errors, common.overwrite)

    def inputs(self, words: list[str] | None, card: ModelCard, labels: bool = False) -> "Inputs":
        """The inputs that the user named, or else the dataset that the model was trained on.

        `labels` takes an image's label from the sub-folder in which it lies.
        """
        from aectl.data.datasets import is_dataset
        from aectl.data.inputs import Inputs

        if not words:
            if not card.dataset:
                raise DataError("the model does not say what it was trained on; name an INPUT")
            words = [card.dataset.partition(":")[0] if is_dataset(card.dataset) else card.dataset]
            if Path(card.dataset).is_dir():
                self.console.notice(f"measured on {card.dataset}, on which it was trained")
            elif not is_dataset(card.dataset):
                raise DataError(
                    f"the model was trained on {card.dataset}, which is not found from here;"
                    " name an INPUT"
                )
        return Inputs(
            words,
            data_dir(self.common.data_dir),
            sys.stdin.buffer,
            null_separated=self.common.null,
            labels_from_folders=labels,
        )

    def batches(
        self, inputs: "Inputs", shape: Shape, most: int | None = None
    ) -> "Iterator[InputBatch]":
        """The images of the inputs, in batches of `most` images at the most.

        What cannot be read is told to the outcome.
        """
        size = min(self.common.batch_size, most or self.common.batch_size)
        return inputs.batches(shape, size, self.outcome.on_bad)

    def device(self) -> "torch.device":
        """The device that --device names."""
        return torch_device(self.common.device, self.common.threads)
