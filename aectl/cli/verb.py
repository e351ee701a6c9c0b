"""What the verbs that use a model have in common: opening it, and its inputs."""

import hashlib
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from aectl import __version__, footprint, model_file
from aectl.architecture import Architecture
from aectl.cli import machine
from aectl.cli.console import Console, Outcome, data_dir
from aectl.cli.machine import cores, torch_device
from aectl.cli.options import Common
from aectl.cli.stdout import for_tables
from aectl.decoding import KEEP, Decoding
from aectl.errors import ConfigError, DataError, ModelFileError, OutputError
from aectl.model_file import ModelCard
from aectl.sections import AUTOENCODERS

if TYPE_CHECKING:
    import torch

    from aectl.data.inputs import Batches, InputBatch, Inputs, Naming, Position
    from aectl.data.selection import Selection
    from aectl.models import Classifier
    from aectl.models.autoencoder import AutoencoderBase
    from aectl.outputs.formats import Rows
    from aectl.outputs.tables import Table

BATCH_VALUES = 1 << 20
"""Pixels, in all channels, that a batch holds unless it would be too small a batch."""

LEAST_BATCH, LARGEST_BATCH = 32, 256


def read_card(path: Path, verb: str, kinds: tuple[str, ...]) -> ModelCard:
    """What a model file says. Raises ModelFileError for a model that `verb` has no use for."""
    card = model_file.read_card(path)
    _refuse_too_large(path, card.architecture)
    if card.architecture.kind not in kinds:
        wanted = "an autoencoder" if kinds[0] in AUTOENCODERS else f"a {kinds[0]}"
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


def trained_with(card: ModelCard) -> Mapping[str, Any]:
    """The options of a model's training; none where its file does not tell them."""
    options: Mapping[str, Any] = card.training.get("options", {})
    return options


def _usual_endings(card: ModelCard) -> tuple[str, ...]:
    """Those of the files of a folder that a model takes; none stands for those of images."""
    from aectl.data.texts import ENDINGS

    return ENDINGS if card.vocabulary else ()


def load_autoencoder(path: Path) -> "AutoencoderBase":
    """The autoencoder in a model file whose card has been read. Raises ModelFileError."""
    return cast("AutoencoderBase", model_file.load(path)[0])


def load_classifier(path: Path) -> "Classifier":
    """The classifier in a model file whose card has been read. Raises ModelFileError."""
    return cast("Classifier", model_file.load(path)[0])


def named_by(relative_to: str | None, absolute: bool) -> "Naming":
    """What a table calls a file. Raises ConfigError for both ways at once."""
    from aectl.data.inputs import Naming

    if relative_to is not None and absolute:
        raise ConfigError("give either --relative-to or --absolute, not both")
    if relative_to is not None and not os.path.exists(relative_to):
        raise ConfigError(f"--relative-to {relative_to}: there is no such folder or archive")
    return Naming(relative_to, absolute)


def write_each(path: Path, rows: "Iterable[Rows]", by: str | None, descending: bool = False) -> int:
    """Writes the table of --per-image, of which `-` is stdout, in the order of a column `by` name.

    Returns how many rows there are.
    """
    from aectl.outputs.tables import write_file

    return write_file(on_stdout(path), rows, by, descending, for_tables())


def on_stdout(path: Path | None) -> Path | None:
    """A path of a table, None where that is stdout."""
    return None if path == Path("-") else path


def stdin() -> BinaryIO | None:
    """The stream under the buffer of stdin, which gives what there is; None where it is closed."""
    return None if sys.stdin is None else getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)


class Session:
    """One call of a verb: what goes to stderr, the account of its inputs, and where it runs."""

    def __init__(self, common: Common, out: Path | None = None) -> None:
        if out is not None and out == common.errors:
            raise OutputError(f"--out and --errors name the same file, {out}")
        self.common = common
        self.console = Console(common.quiet, common.plain)
        self.outcome = Outcome(self.console, common.errors, common.overwrite, common.strict)

    def inputs(
        self,
        words: list[str] | None,
        card: ModelCard,
        *,
        labels: bool = False,
        naming: "Naming | None" = None,
    ) -> "Inputs":
        """The inputs that the user named, or else the dataset that the model was trained on.

        `labels` takes an image's label from the sub-folder in which it lies; `naming` says which
        path of a file stands in the table.
        """
        from aectl.data.datasets import is_dataset
        from aectl.data.inputs import Inputs, Naming

        common = self.common
        for word in words or ():
            if is_dataset(word) and Path(word).is_dir():
                self.console.warning(f"{word} is read as a dataset; the folder is ./{word}")
        return Inputs(
            words or self._trained_on(card),
            data_dir(common.data_dir),
            stdin(),
            null_separated=common.null,
            labels_from_folders=labels,
            selection=self.selection(words, card),
            naming=naming or Naming(),
            workers=common.workers or cores(),
            decoding=Decoding(card.value_range, common.max_pixels, common.truncated),
            skipped=self.outcome.skipped,
        )

    def truncated(self, batch: "InputBatch") -> frozenset[int] | None:
        """The images that were cut short, by number, where the table is to mark them."""
        return batch.truncated if self.common.truncated == KEEP else None

    def selection(self, words: list[str] | None, card: ModelCard) -> "Selection":
        """Which files of a folder are taken: those that the options ask for; if they ask for none
        and no input is named, those that the model was trained on."""
        from aectl.data.selection import Selection, of_options

        usual = _usual_endings(card)
        chosen = of_options(vars(self.common), usual)
        as_trained = not words and chosen == Selection(usual)
        return of_options(trained_with(card), usual) if as_trained else chosen

    def _trained_on(self, card: ModelCard) -> list[str]:
        """The dataset or folder that the model was trained on, as an INPUT."""
        from aectl.data.datasets import is_dataset
        from aectl.data.patches import is_patches

        if is_patches(card.dataset):
            return [card.dataset]
        return [self.trained_on(card, is_dataset, os.path.isdir)]

    def trained_on(
        self, card: ModelCard, is_named: Callable[[str], bool], is_there: Callable[[str], bool]
    ) -> str:
        """The dataset by name, or the folder or file, that the model was trained on, as an INPUT.

        Raises DataError where it is not there.
        """
        from aectl.data.layout import layout_of
        from aectl.data.selection import of_options

        word = card.dataset
        if not word:
            raise DataError("the model does not say what it was trained on; name an INPUT")
        if is_named(word):
            return word.partition(":")[0]
        if not is_there(word):
            raise DataError(
                f"the model was trained on {word}, which is not found from here; name an INPUT"
            )
        layout = layout_of(word, of_options(trained_with(card), _usual_endings(card)))
        unseen = layout and (layout.test or layout.validation)
        if unseen:
            self.console.notice(f"measured on {unseen}")
            return unseen
        self.console.warning(f"measured on {word}, the data that it was trained on")
        return word

    def batch_size(self, architecture: Architecture) -> int:
        """How many images the network sees at a time: 256, or fewer of large ones."""
        shape = architecture.shape
        if footprint.one_at_a_time(architecture):
            return 1
        fitting = BATCH_VALUES // math.prod(shape)
        return self.common.batch_size or max(LEAST_BATCH, min(LARGEST_BATCH, fitting))

    def batches(
        self,
        inputs: "Inputs",
        architecture: Architecture,
        most: int | None = None,
        after: "Position | None" = None,
        told: bool = True,
    ) -> "Batches":
        """The images of the inputs `after` a position, in batches of `most` images at the most.

        What cannot be read is `told` to the outcome, unless it was when it was read before.
        """
        from aectl.data.folders import ignore

        size, shape = self.batch_size(architecture), architecture.shape
        on_bad = self.outcome.on_bad if told else ignore
        on_remark = self.outcome.on_remark if told else ignore
        return inputs.batches(shape, min(size, most or size), on_bad, after, on_remark)

    def table(
        self, verb: str, path: Path, out: Path | None, resume: bool, **how: object
    ) -> "Table":
        """The table of a run of `verb` with the model at `path`: the same rows for the same `how`.

        Raises OutputError.
        """
        from aectl.outputs.tables import Table

        model = hashlib.sha256(model_file.resolve(path).read_bytes()).hexdigest()
        key = {
            "aectl": __version__,
            "verb": verb,
            "model": model,
            "device": self.common.device,
            "threads": self.common.threads,
            "max_pixels": self.common.max_pixels,
            "truncated": self.common.truncated,
            **how,
        }
        return Table(
            out,
            for_tables(),
            layout=str(how.get("layout", "columns")),
            key=key,
            resume=resume,
            bad=self.outcome.bad,
        )

    def tell_if_whole(self, table: "Table", out: Path | None) -> None:
        """Says so where a run that was resumed had come to its end before."""
        if table.whole:
            self.console.notice(
                f"{out} is complete; nothing is left to do (--overwrite writes it again)"
            )

    def device(self) -> "torch.device":
        """The device that --device names.

        On a CPU torch has one thread: the other cores decode, and where several threads share in
        a tensor, the last bits of a sigmoid depend on where in it a row stands.
        """
        return torch_device(self.common.device, self.common.threads or 1)
