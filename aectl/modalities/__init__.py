"""The kinds of input that models take: all that depends on which stands behind one interface.

A new modality is a module beside `images` and `text` and a row of MODALITIES; its name stands in
`config.kinds`, with the kinds of model that read it, its shape in
`models.architecture.INPUT_SPECS`, and its networks in `models.build`. An example is in
tests/modalities.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aectl.config.configuration import Config
from aectl.config.declaration import flag
from aectl.config.kinds import IMAGES, TEXT, VECTORS, encoding
from aectl.config.scores import OF_ALL
from aectl.config.shapes import InputShape
from aectl.data.selection import Skipped
from aectl.data.sources import Names
from aectl.errors import ConfigError
from aectl.modalities.request import InputStream, Request
from aectl.models.architecture import Architecture

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from aectl.data.training_sources import TrainingSources
    from aectl.inference.anomaly_scores import Evidence, Examined
    from aectl.inference.apply import ToTensor
    from aectl.models.graphs import Graph
    from aectl.models.model_card import ModelCard
    from aectl.outputs.rows import Column
    from aectl.training.initialisation import Start
    from aectl.training.reading import Reading, TrainingRequest
    from aectl.training.run import Run
    from aectl.training.state import RunState


class EncodedRows(NamedTuple):
    """The codes or the reconstructions of a batch, as a table has them: vectors, (n, features),
    and columns."""

    vectors: Any | None
    columns: "Mapping[str, Column]"


class Modality(ABC):
    """A kind of input, as a model takes it.

    `names` are the words that name its inputs. For messages, `noun` is the plural, `known_by_name`
    a dataset of them, and `readable` the inputs to train on. `pictured`: whether reconstructions
    are shown as pictures, else as lines or a table. `lined`: whether a terminal
    shows reconstructions as lines, and not as a table. `unit`: the difference of two of the
    `values` of a batch that is 1 in the metrics. `swept`: whether one training set serves runs with
    several values of an option.
    """

    name: str
    noun: str
    names: Names
    known_by_name: str
    readable: str
    pictured: bool
    lined = False
    unit = 1
    swept = False

    @abstractmethod
    def refused(self, card: "ModelCard") -> Mapping[str, str]:
        """The options that have no effect for a model, each with the reason, in a few words."""

    def refuse(self, given: Iterable[str], card: "ModelCard") -> None:
        """Raises ConfigError for the first of the options `given` that has no effect."""
        refused = self.refused(card)
        for name in given:
            if name in refused:
                raise ConfigError(f"{flag(name)} has no effect with {refused[name]}")

    def has(self, word: str) -> bool:
        """Whether a word names inputs of this modality, and not of others that a kind of model
        reads too."""
        return self.names.claims(word)

    def refuse_others(self, words: Iterable[str]) -> None:
        """Raises ConfigError for a word that can only name inputs of another modality."""
        for word in words:
            claiming = [one for one in map(modality_named, MODALITIES) if one.names.claims(word)]
            if claiming and self not in claiming:
                other, *_ = claiming
                raise ConfigError(
                    f"{word} is {other.known_by_name}, which --model {encoding(other.name)[0]}"
                    f" learns from; a model of {self.name} needs --dataset with {self.readable}"
                )

    @abstractmethod
    def equip(self, network: Any, card: "ModelCard") -> None:
        """Gives a network what makes its input of a file or a text, for use in Python."""

    @abstractmethod
    def stream(self, card: "ModelCard", request: Request) -> InputStream[Any]:
        """The inputs of a request. Raises DataError where they do not exist."""

    @abstractmethod
    def tensor(self, network: Any, batch: Any, rows: int, device: "torch.device") -> "Tensor":
        """The input of a network for a batch, filled up to `rows` rows."""

    @abstractmethod
    def leading_columns(self, batch: Any, labelled: bool, request: Request) -> "dict[str, Column]":
        """The first columns of a table: the path, the label if any input has one, and remarks."""

    def code(
        self, card: "ModelCard", code: Any, count: int, vectors: Callable[..., Any]
    ) -> EncodedRows:
        """The first `count` codes that a network gave for a batch; `vectors` makes those of a
        tensor what a table is to have."""
        return EncodedRows(vectors(code)[:count], {})

    @abstractmethod
    def reconstruct(
        self, card: "ModelCard", network: Any, batches: Iterable[Any], to_tensor: "ToTensor"
    ) -> Iterator[Any]:
        """Each batch with its reconstructions; `first(n)` of one is that of its first n inputs.

        Raises ModelFileError for results that are not finite.
        """

    @abstractmethod
    def shown(self, card: "ModelCard", reconstructed: Any) -> EncodedRows:
        """A result of `reconstruct`, as rows of a table."""

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

    def evidence(self, card: "ModelCard") -> Collection[str]:
        """The evidence that a model gives of an input, for anomaly scores."""
        return OF_ALL

    def examine(
        self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor", needed: Collection[str]
    ) -> "Iterator[Examined]":
        """Each batch with the evidence that is needed; by default, of inputs like images.

        Raises ModelFileError for results that are not finite.
        """
        from aectl.inference import examined_images

        return examined_images.examine(network, batches, to_tensor, needed)

    def evidence_of(
        self, network: Any, prepared: "Tensor", stored: "Tensor", needed: Collection[str]
    ) -> "Evidence":
        """The evidence that is needed of the inputs of a network, which are `stored` so; by
        default, of inputs like images."""
        from aectl.inference import examined_images

        return examined_images.evidence(network, prepared, needed)

    def usual_score(self, card: "ModelCard") -> str:
        """The anomaly score that is the default."""
        return "error"

    def held_out(self, run: "Run", card: "ModelCard") -> Iterable[Any]:
        """Batches of inputs that a run has not learnt from, as `stream` gives them; at most so many
        that they take little time. By default, none."""
        return ()

    def learnt(self, run: "Run", card: "ModelCard") -> Iterable[Any]:
        """Batches of inputs that a run has learnt from, to fit the usual score to, in the same
        way."""
        return ()

    def worst_first(self, card: "ModelCard") -> tuple[str, bool]:
        """The column of `columns` that orders inputs from the worst to the best, and whether that
        is in descending order."""
        return "mse", True

    def values(self, batch: Any) -> "NDArray[Any]":
        """The numbers of the inputs of a batch, (n, ...), where they have some."""
        raise NotImplementedError

    def stored(self, batch: Any) -> "NDArray[Any]":
        """The inputs of a batch, (n, ...), as an exported program takes them."""
        raise NotImplementedError

    def told(self, card: "ModelCard") -> dict[str, str]:
        """More that an exported file says of itself, texts by name."""
        return {}

    def graph(self, network: Any, part: str) -> "Graph":
        """The part of a network that is exported. Raises ConfigError where none is."""
        raise ConfigError(f"models of {self.noun} cannot be exported")

    def of_features(self, card: "ModelCard", metrics: Any) -> "dict[str, Column]":
        """The `metrics` of each feature of the inputs, where they have features of their own."""
        raise NotImplementedError

    def settled_by_data(
        self, found: "TrainingSources", skipped: Skipped, asked: Mapping[str, object]
    ) -> dict[str, object]:
        """The options of a training that its data settle before they are read, beneath those that
        are `asked` for; `skipped` records what a search skips."""
        return {}

    def settled_by_encoder(self, card: "ModelCard") -> dict[str, object]:
        """The options of a training on the code of a model that the model settles."""
        return {}

    def settled_by_start(self, card: "ModelCard", asked: Mapping[str, object]) -> dict[str, object]:
        """The options of a training that starts from a model's weights that the model settles: as
        for one on its code.

        Raises ConfigError for options that it cannot start with.
        """
        return self.settled_by_encoder(card)

    @abstractmethod
    def training_set(
        self, config: Config, reading: "Reading", request: "TrainingRequest"
    ) -> tuple[Config, Any]:
        """The training set of a config, and the config resolved for it.

        Raises ConfigError or DataError.
        """

    def resolved(self, config: Config, data: Any, encoder: "ModelCard | None") -> Config:
        """Another config resolved for a training set that is read, where runs are `swept`."""
        raise NotImplementedError

    @abstractmethod
    def training_set_again(
        self, config: Config, reading: "Reading", found: "TrainingSources"
    ) -> Any:
        """The training set of a resolved config. Raises ConfigError or DataError."""

    @abstractmethod
    def input_again(self, data: Any, resumed: "RunState", found: Architecture) -> InputShape:
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

    def network(self, architecture: Architecture) -> str:
        """The sizes of a network from its input to its output, for the report page."""
        size = self.size(architecture)
        widths = [str(units) for units in architecture.widths]
        return " - ".join([size, *widths, str(architecture.classes or size)])

    def inspection(self, network: Any, card: "ModelCard") -> Any:
        """Collects the contents of a report page while a network is measured: `add` each result,
        then ask for the `findings`. Only where `refused` does not name `report`.
        """
        raise NotImplementedError

    @abstractmethod
    def shown_metrics(self, rule: str) -> tuple[str, ...]:
        """The metrics that are shown while a model with a rule of sparsity is trained."""

    def remedy(self, config: Config) -> str:
        """The advice in the warning about dead units: centring, if it is off."""
        return USUAL_REMEDY if config.model.center else "--center"

    def preview(self, run: "Run", count: int) -> Any | None:
        """At most `count` inputs whose reconstructions a terminal can show as small pictures; None
        where there are none.
        """
        return None


OF_SHORTER_TEXTS = ("judge", "references")
"""Options of eval that have an effect only where a text is encoded as a shorter one."""

USUAL_REMEDY = "a lower --lr, or another --code-activation,"

MODALITIES = {
    IMAGES: "aectl.modalities.images",
    TEXT: "aectl.modalities.text",
    VECTORS: "aectl.modalities.vectors",
}
"""The modules of the modalities, loaded when they are needed."""


def modality_named(name: str) -> Modality:
    """The modality of a name."""
    found: Modality = importlib.import_module(MODALITIES[name]).MODALITY
    return found


def modality_of(card: "ModelCard") -> Modality:
    """The modality of a model."""
    return modality_named(card.architecture.modality)
