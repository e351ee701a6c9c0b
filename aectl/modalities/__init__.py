"""The kinds of input that models take: all that depends on which stands behind one interface.

A new modality is a module beside `images` and `text` and a row of MODALITIES; its name stands in
`config.kinds`, with the kinds of model that read it, its shape in
`models.architecture.INPUT_SPECS`, and its networks in `models.build`. An example is in
tests/modalities.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

from aectl.config.configuration import Config
from aectl.config.declaration import flag
from aectl.config.decoding import MAX_PIXELS, REFUSE, OnRemark
from aectl.config.kinds import IMAGES, TEXT
from aectl.config.shapes import Shape, TextShape
from aectl.data.inputs import Naming, Position
from aectl.data.layout import layout_of
from aectl.data.selection import EVERY_IMAGE, Selection, Skipped, of_options
from aectl.data.sources import Names, SourceKind
from aectl.data.storage.folders import OnBad, ignore
from aectl.errors import ConfigError, DataError, UnknownInputError
from aectl.models.architecture import Architecture

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from aectl.inference.apply import ToTensor
    from aectl.models.model_card import ModelCard
    from aectl.outputs.rows import Column
    from aectl.training.initialisation import Start
    from aectl.training.reading import Reading
    from aectl.training.run import Run
    from aectl.training.state import RunState


def silent(message: str) -> None:
    """For messages that nobody wants to see."""


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

    Without `words`, the inputs are the test split of what the model was trained on. Inputs that
    cannot be read are passed to `on_bad`, remarks on others to `on_remark`, searches record what
    they skip in `skipped`, and `notice` and `warning` take messages.
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


class InputStream(ABC):
    """The inputs of a request, in their order, as batches for one model."""

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
    def described(self) -> str:
        """The words of the request, as a report names what was measured."""

    @abstractmethod
    def notices(self) -> list[str]:
        """Messages about inputs that were read, for the end."""


def requested_selection(
    card: "ModelCard", request: Request, usual: tuple[str, ...] = ()
) -> Selection:
    """The files of a folder that are read: those that the request asks for; if it asks for none and
    names no input, those that the model was trained on. `usual` are extensions.
    """
    chosen = request.selection.usually(usual)
    as_trained = not request.words and chosen == Selection(usual)
    return of_options(card.options, usual) if as_trained else chosen


def trained_on(
    card: "ModelCard", request: Request, names: Names, usual: tuple[str, ...] = ()
) -> list[str]:
    """The data that a model was trained on, as words of a request.

    Datasets are named without their splits; of a folder with splits, one that was not trained on.
    Raises DataError where data is not there.
    """
    if not card.trained_on:
        raise DataError(
            "the model does not say what it was trained on; name an INPUT (eval: --dataset)"
        )
    selection = of_options(card.options, usual)
    return [_measured_on(word, request, names, selection) for word in card.trained_on]


def _measured_on(word: str, request: Request, names: Names, selection: Selection) -> str:
    """The word for inputs like those that a model was trained on, if possible other ones."""
    try:
        source = names.source(word)
    except UnknownInputError:
        raise DataError(
            f"the model was trained on {word}, which is not found from here; name an INPUT (eval:"
            " --dataset)"
        ) from None
    if source.kind is SourceKind.STDIN:
        raise DataError("the model was trained on a list on stdin; name an INPUT (eval: --dataset)")
    if source.in_memory:
        return source.name if source.is_dataset else word
    layout = layout_of(word, selection) if source.is_folder else None
    unseen = layout and (layout.test or layout.validation)
    if unseen:
        request.notice(f"measured on {unseen}")
        return unseen
    request.warning(f"measured on {word}, the data that it was trained on")
    return word


class DatasetInfo(NamedTuple):
    """Properties of training data that are known before they are read: the options they determine,
    and what `training_set` need not look for again."""

    settled: dict[str, object]
    splits: Any


class EncodedRows(NamedTuple):
    """The codes of a batch, as a table has them: vectors, (n, features), or columns."""

    vectors: Any | None
    columns: "Mapping[str, Column]"


class Modality(ABC):
    """A kind of input, as a model takes it.

    `noun` is the plural for messages; `pictured`: whether reconstructions are shown as pictures,
    else as lines or a table; `worst_first` is the column of `columns` that orders inputs
    from the worst to the best, and whether that is in descending order.
    """

    name: str
    noun: str
    worst_first: tuple[str, bool]
    pictured: bool

    @abstractmethod
    def refused(self, card: "ModelCard") -> Mapping[str, str]:
        """The options that have no effect for a model, each with the reason, in a few words."""

    def refuse(self, given: Iterable[str], card: "ModelCard") -> None:
        """Raises ConfigError for the first of the options `given` that has no effect."""
        refused = self.refused(card)
        for name in given:
            if name in refused:
                raise ConfigError(f"{flag(name)} has no effect with {refused[name]}")

    @abstractmethod
    def equip(self, network: Any, card: "ModelCard") -> None:
        """Gives a network what makes its input of a file or a text, for use in Python."""

    @abstractmethod
    def stream(self, card: "ModelCard", request: Request) -> InputStream:
        """The inputs of a request. Raises DataError where they do not exist."""

    @abstractmethod
    def tensor(self, batch: Any, rows: int, device: "torch.device") -> "Tensor":
        """The input of the network for a batch, filled up to `rows` rows."""

    @abstractmethod
    def leading_columns(self, batch: Any, labelled: bool, request: Request) -> "dict[str, Column]":
        """The first columns of a table: the path, the label if any input has one, and remarks."""

    @abstractmethod
    def code(
        self, card: "ModelCard", code: Any, count: int, vectors: Callable[..., Any]
    ) -> EncodedRows:
        """The first `count` codes that a network gave for a batch; `vectors` makes those of a
        tensor what a table is to have."""

    @abstractmethod
    def reconstruct(
        self, card: "ModelCard", network: Any, batches: Iterable[Any], to_tensor: "ToTensor"
    ) -> Iterator[Any]:
        """Each batch with its reconstructions; `first(n)` of one is that of its first n inputs.

        Raises ModelFileError for results that are not finite.
        """

    @abstractmethod
    def shown(self, reconstructed: Any) -> "dict[str, Column]":
        """A result of `reconstruct`, as columns of a table."""

    @abstractmethod
    def metrics(self, card: "ModelCard", network: Any) -> Any:
        """The metrics of an autoencoder's reconstructions, yet without inputs."""

    @abstractmethod
    def measure(
        self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor", metrics: Any
    ) -> Iterator[Any]:
        """Every input goes into the `metrics`; gives each batch with those of its inputs.

        Raises ModelFileError for results that are not finite.
        """

    @abstractmethod
    def columns(self, measured: Any) -> "dict[str, Column]":
        """The metrics of each input of a batch that `measure` gave, as columns of a table."""

    def look(self, asked: Mapping[str, object]) -> DatasetInfo:
        """Properties of the training data, before they are read. Raises DataError."""
        return DatasetInfo({}, None)

    def settled_by_encoder(self, card: "ModelCard") -> dict[str, object]:
        """The options of a training on the code of a model that the model settles."""
        return {}

    @abstractmethod
    def settled_by_start(self, card: "ModelCard", asked: Mapping[str, object]) -> dict[str, object]:
        """The options of a training that starts from a model's weights that the model settles.

        Raises ConfigError for options that it cannot start with.
        """

    @abstractmethod
    def training_set(
        self, config: Config, reading: "Reading", found: DatasetInfo, asked: Mapping[str, object]
    ) -> tuple[Config, Any]:
        """The training set of a config, and the config resolved for it.

        Raises ConfigError or DataError.
        """

    @abstractmethod
    def training_set_again(self, config: Config, reading: "Reading") -> Any:
        """The training set of a resolved config. Raises ConfigError or DataError."""

    @abstractmethod
    def input_again(self, data: Any, resumed: "RunState", found: Architecture) -> Shape | TextShape:
        """The shape of the input of the network of a run that is resumed.

        Raises ModelFileError where the state lacks what it takes to read the data.
        """

    @abstractmethod
    def run(
        self,
        config: Config,
        data: Any,
        device: "torch.device",
        start: "Start | None" = None,
        resumed: "RunState | None" = None,
        architecture: Architecture | None = None,
    ) -> "Run":
        """A run on a training set; with the architecture of the one that is resumed, if any."""

    @abstractmethod
    def fill(
        self, folder: Path, run: "Run", card: "ModelCard", data_dir: Path, logs: Any | None
    ) -> None:
        """Writes what a run folder shows of a trained model: pictures or lines, and the report."""

    @abstractmethod
    def size(self, architecture: Architecture) -> str:
        """The size of an input, for messages."""

    @abstractmethod
    def shown_metrics(self, rule: str) -> tuple[str, ...]:
        """The metrics that are shown while a model with a rule of sparsity is trained."""

    @abstractmethod
    def remedy(self, config: Config) -> str:
        """The advice in the warning about dead units."""

    def preview(self, run: "Run", count: int) -> Any | None:
        """At most `count` inputs whose reconstructions a terminal can show as small pictures; None
        where there are none.
        """
        return None


USUAL_REMEDY = "a lower --lr, or another --code-activation,"

MODALITIES = {IMAGES: "aectl.modalities.images", TEXT: "aectl.modalities.text"}
"""The modules of the modalities, loaded when they are needed."""


def modality_named(name: str) -> Modality:
    """The modality of a name."""
    found: Modality = importlib.import_module(MODALITIES[name]).MODALITY
    return found


def modality_of(card: "ModelCard") -> Modality:
    """The modality of a model."""
    return modality_named(card.architecture.modality)
