"""The inputs that a user asks for, and the stream of them that a modality makes for a model."""

import dataclasses
import io
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Generic, Protocol, TypeVar, cast

from aectl.config.decoding import MAX_PIXELS, REFUSE, OnRemark
from aectl.data.named_inputs import NamedInputs, Naming, Position
from aectl.data.read_once import ReadOnce
from aectl.data.selection import EVERY_IMAGE, Selection, Skipped
from aectl.data.shares import InputShare, Shard
from aectl.data.sources import SourceKind
from aectl.data.storage.folders import OnBad, ignore
from aectl.data.vectors.columns import ALL, Wanted
from aectl.progress import silent

IN_MEMORY = 64 << 20
"""Bytes of stdin that are kept in memory, to be read twice; what is longer is on the disk."""


Streamed = TypeVar("Streamed", bound=NamedInputs)


class StreamBatch(Protocol):
    """Some inputs: their paths and labels, n each; `size` is how many a full batch has; `position`
    is the position in the inputs after the last one."""

    @property
    def paths(self) -> list[str]: ...
    @property
    def labels(self) -> list[str | None]: ...
    @property
    def size(self) -> int: ...
    @property
    def position(self) -> Position: ...


@dataclass(frozen=True)
class Request:
    """The inputs that a user asks for; the fields have the names of the options.

    Without `words`, the inputs are the test split of what the model was trained on; with `unseen`,
    those that were held out of a folder that has none, if they can be told. Inputs that
    cannot be read are passed to `on_bad`, remarks on others to `on_remark`, searches record what
    they skip in `skipped`, and `notice` and `warning` take messages. With `references`, each line
    of text has a reference summary after a tab. Of tables of vectors, `wanted` columns are read.
    With `unlearnt`, inputs that the model learnt from are left out; with `once`, those that were
    read before, too. With a `shard`, only that share of the inputs is read. `paths_column`: the
    column of paths, in tables that list images.
    """

    words: Sequence[str] | None
    data_dir: Path
    stdin: BinaryIO | None = None
    null: bool = False
    label_from_folder: bool = False
    selection: Selection = EVERY_IMAGE
    naming: Naming = field(default_factory=Naming)
    batch_size: int | None = None
    workers: int = 1
    max_pixels: int = MAX_PIXELS
    truncated: str = REFUSE
    on_bad: OnBad = ignore
    on_remark: OnRemark = ignore
    skipped: Skipped = field(default_factory=Skipped)
    notice: Callable[[str], None] = silent
    warning: Callable[[str], None] = silent
    unseen: bool = False
    references: bool = False
    wanted: Wanted = ALL
    unlearnt: bool = False
    once: ReadOnce | None = None
    shard: Shard | None = None
    paths_column: str | None = None

    @property
    def named_by_extension(self) -> Sequence[str]:
        """The words, but for those of tables of which an option says what they hold."""
        return named_by_extension(self.words or (), self.paths_column)

    def __getstate__(self) -> dict[str, Any]:
        """The state for another process: no callbacks, and of streams only those in memory."""
        kept = self.stdin if isinstance(self.stdin, io.BytesIO) else None
        told = {"on_bad": ignore, "on_remark": ignore, "notice": silent, "warning": silent}
        return {**vars(self), **told, "stdin": kept, "skipped": Skipped()}


def named_by_extension(words: Sequence[str], paths_column: str | None) -> Sequence[str]:
    """The words whose files are known by their extensions; with a column of paths, folders alone,
    in which tables are not read."""
    return [word for word in words if os.path.isdir(word)] if paths_column else words


class InputStream(ABC, Generic[Streamed]):
    """The inputs of a request, in their order, as batches for one model."""

    inputs: Streamed
    words: Sequence[str]
    batch_size: int
    labelled: bool

    @abstractmethod
    def called(self) -> list[str]:
        """The words of the request, datasets with their split."""

    @abstractmethod
    def batches(
        self, after: Position | None = None, most: int | None = None
    ) -> AbstractContextManager[Iterable[Any]]:
        """The batches after a position, of at most `most` inputs; reading ends with the context.

        Raises DataError where the inputs up to the position are not those of before.
        """

    @abstractmethod
    def listed(self, inputs: Streamed) -> Iterator[tuple[str, int]]:
        """The names of inputs like those of the stream, in their order, each with the number of
        inputs that it stands for; nothing is decoded.
        """

    def take(self, shard: Shard) -> InputShare:
        """Restricts the stream to a share, and returns that; stdin is kept, to be read twice.

        Raises DataError where inputs do not exist.
        """
        inputs = self.inputs
        kept: BinaryIO | None = None
        if any(one.kind is SourceKind.STDIN for one in inputs.sources) and inputs.stdin:
            kept = _copy(inputs.stdin)
            inputs = dataclasses.replace(inputs, stdin=kept)
        share = InputShare.of(shard, self.listed(dataclasses.replace(inputs, skipped=Skipped())))
        if kept is not None:
            kept.seek(0)
        self.inputs = dataclasses.replace(inputs, share=share)
        return share

    def described(self) -> str:
        """The words of the request, as a report names what was measured."""
        return " ".join(self.words)

    def notices(self) -> list[str]:
        """Messages about inputs that were read, for the end."""
        return []


def _copy(stream: BinaryIO) -> BinaryIO:
    """All of a stream, from its start."""
    made = cast(BinaryIO, tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115
    shutil.copyfileobj(stream, made)
    made.seek(0)
    return made
