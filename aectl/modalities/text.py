"""Text: the lines of files, folders and stdin, and named datasets; a sample is (length,) tokens."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aectl.config.configuration import Config
from aectl.config.kinds import TEXT
from aectl.config.scores import ERROR, OF_ALL
from aectl.config.shapes import TextShape
from aectl.data.selection import Skipped
from aectl.data.text import text_inputs as inputs
from aectl.data.text.text_batches import TextBatch, batch_size
from aectl.modalities import OF_SHORTER_TEXTS, USUAL_REMEDY, EncodedRows, Modality
from aectl.modalities.request import Request
from aectl.modalities.text_stream import TextStream
from aectl.models.architecture import Architecture
from aectl.models.vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from aectl.data.text.text_sets import TextSet
    from aectl.data.training_sources import TrainingSources
    from aectl.inference.anomaly_scores import Evidence, Examined
    from aectl.inference.apply import ToTensor
    from aectl.inference.metrics import TextMetrics
    from aectl.inference.results import MeasuredTexts, ReconstructedTexts
    from aectl.inference.text_inspection import TextInspection
    from aectl.models.model_card import ModelCard
    from aectl.models.text_graph import TextGraph
    from aectl.outputs.rows import Column
    from aectl.training.initialisation import Start
    from aectl.training.reading import Reading, TrainingRequest
    from aectl.training.run import Run
    from aectl.training.state import RunState
    from aectl.training.text_run import TextRun

A_MODEL, A_CODE = "a model of text", "a code that is a text"
OF_IMAGES = (
    "null", "max_pixels", "truncated", "layer", "separate", "each", "interpolate", "traverse",
    "from_codes", "pca", "probe", "ssim", "columns", "id_column", "label_column", "paths_column",
    "per_column",
)  # fmt: skip

MOST_HELD_OUT = 10_000
"""Maximum number of lines held out that a trained model is calibrated on."""

OF_VECTORS = ("normalize", "dtype", "layout")


class Text(Modality):
    """Text."""

    name, noun = TEXT, "texts"
    names, known_by_name = inputs.TEXT, "text"
    readable = "text: wikitext-2, or a file or folder"
    pictured, lined = False, True

    def refused(self, card: "ModelCard") -> Mapping[str, str]:
        """Options of images and, where the code is a text, those of vectors."""
        refused = dict.fromkeys(OF_IMAGES, A_MODEL)
        if card.classes:
            refused["report"] = "a classifier of text"
        if not card.architecture.code_is_vector:
            return refused | dict.fromkeys(OF_VECTORS, A_CODE)
        code = "a classifier" if card.classes else "a code that is a vector"
        return refused | dict.fromkeys(OF_SHORTER_TEXTS, code)

    def equip(self, network: Any, card: "ModelCard") -> None:
        """Gives it its `vocabulary`."""
        network.vocabulary = card.vocabulary

    def stream(self, card: "ModelCard", request: Request) -> TextStream:
        """The text of a request. Raises DataError where it does not exist."""
        return TextStream(card, request)

    def tensor(self, network: Any, batch: TextBatch, rows: int, device: "torch.device") -> "Tensor":
        """(rows, length), PAD behind the end of each text; further rows repeat the first."""
        from aectl.inference.apply_text import token_tensor

        return token_tensor(batch, rows, device)

    def stored(self, batch: TextBatch) -> "NDArray[Any]":
        """The tokens, 0 after the end of each."""
        return batch.tokens

    def told(self, card: "ModelCard") -> dict[str, str]:
        """The tokenizer, which gives the numbers of pieces."""
        assert card.vocabulary is not None
        return {"tokenizer": card.vocabulary.as_tokenizer()}

    def graph(self, network: Any, part: str) -> "TextGraph":
        """That of text."""
        from aectl.models.text_graph import TextGraph

        return TextGraph(network, part)

    def leading_columns(
        self, batch: TextBatch, labelled: bool, request: Request
    ) -> "dict[str, Column]":
        """`path`, such as `notes.txt:17`; `label` if any text has one."""
        from aectl.outputs.rows import leading_columns

        return leading_columns(batch, labelled)

    def code(
        self, card: "ModelCard", code: Any, count: int, vectors: Callable[..., Any]
    ) -> EncodedRows:
        """Vectors, (count, features), or the shorter texts in a column `bottleneck`."""
        if card.architecture.code_is_vector:
            return EncodedRows(vectors(code)[:count], {})
        assert card.vocabulary is not None
        rows = code.text[:count].tolist()
        return EncodedRows(None, {"bottleneck": [card.vocabulary.decode(row) for row in rows]})

    def reconstruct(
        self, card: "ModelCard", network: Any, batches: Iterable[Any], to_tensor: "ToTensor"
    ) -> "Iterator[ReconstructedTexts]":
        """Each batch with the texts that are decoded."""
        from aectl.inference import apply_text as text_inference

        assert card.vocabulary is not None
        return text_inference.reconstruct(network, batches, to_tensor, card.vocabulary)

    def shown(self, card: "ModelCard", reconstructed: "ReconstructedTexts") -> EncodedRows:
        """The `original`, the shorter text, if any, and the `reconstruction`."""
        from aectl.outputs.text_rows import to_columns

        return EncodedRows(None, to_columns(reconstructed))

    def settled_by_data(
        self, found: "TrainingSources", skipped: Skipped, asked: Mapping[str, object]
    ) -> dict[str, object]:
        """Of folders with a validation set: the fraction that is held out; of a model whose
        language model is taken: its units and its vocabulary.
        """
        from aectl.training import folder_defaults, text_setup

        by_prior = text_setup.settled_by_prior(asked)
        return folder_defaults.by_splits(found, skipped) | by_prior

    def settled_by_start(self, card: "ModelCard", asked: Mapping[str, object]) -> dict[str, object]:
        """The length and the vocabulary of the model."""
        from aectl.training import text_setup

        return text_setup.settled(card, asked)

    def training_set(
        self, config: Config, reading: "Reading", request: "TrainingRequest"
    ) -> "tuple[Config, TextSet]":
        """All lines, and the config resolved for them."""
        from aectl.training import text_setup

        return text_setup.read(config, reading, request)

    def training_set_again(
        self, config: Config, reading: "Reading", found: "TrainingSources"
    ) -> "TextSet":
        """All lines."""
        from aectl.training import text_setup

        return text_setup.read_again(config, reading, found)

    def input_again(self, data: "TextSet", resumed: "RunState", found: Architecture) -> TextShape:
        """The length of before, and the vocabulary of the state."""
        return TextShape(found.text.length, len(Vocabulary.from_json(resumed.vocabulary)))

    def run(
        self,
        config: Config,
        data: "TextSet",
        device: "torch.device",
        start: "Start | None" = None,
        resumed: "RunState | None" = None,
        architecture: Architecture | None = None,
    ) -> "Run":
        """A run on text, with the vocabulary of the one that is resumed, if any."""
        from aectl.training.text_run import TextRun

        vocabulary = Vocabulary.from_json(resumed.vocabulary) if resumed else None
        return TextRun(config, data, device, start, vocabulary, architecture)

    def fill(
        self, folder: Path, run: "Run", card: "ModelCard", data_dir: Path, logs: Any | None
    ) -> None:
        """Writes reconstructions.txt and report.html; of a classifier, nothing."""
        from aectl.modalities import text_folder

        if not run.architecture.classes:
            text_folder.fill(folder, cast("TextRun", run), card)

    def inspection(self, network: Any, card: "ModelCard") -> "TextInspection":
        """Texts with their reconstructions, units, codes."""
        from aectl.inference.text_inspection import TextInspection

        assert card.vocabulary is not None
        return TextInspection(network, card.vocabulary)

    def network(self, architecture: Architecture) -> str:
        """The bottleneck, the widths, and the size of an input."""
        widths = " - ".join(str(units) for units in architecture.widths)
        bottleneck = architecture.config.bottleneck
        return f"--bottleneck {bottleneck}, {widths}; {self.size(architecture)}"

    def size(self, architecture: Architecture) -> str:
        """The maximum length, and the size of the vocabulary."""
        length, tokens = architecture.text
        return f"at most {length} of {tokens:,} tokens"

    def shown_metrics(self, rule: str) -> tuple[str, ...]:
        """Those of the text that comes back, and of the shorter one."""
        return ("token_accuracy", "perplexity", "bottleneck_perplexity")

    def remedy(self, config: Config) -> str:
        """As for images that are centred."""
        return USUAL_REMEDY

    def metrics(self, card: "ModelCard", network: Any) -> "TextMetrics":
        """The metrics of reconstructed text, beside the baselines that the model's card has."""
        from aectl.inference.metrics import BASELINES, TextMetrics
        from aectl.inference.text_comparison import TextComparison

        assert card.vocabulary is not None
        told = card.training.get("baselines", {})
        baselines = {name: told[name] for name in BASELINES if name in told}
        return TextMetrics(baselines, TextComparison(card.vocabulary.decode))

    def measure(
        self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor", metrics: Any
    ) -> "Iterator[MeasuredTexts]":
        """Each batch with the token accuracy and the ROUGE-L of its texts."""
        from aectl.inference import apply_text as text_inference

        return text_inference.measure(network, batches, to_tensor, metrics)

    def evidence(self, card: "ModelCard") -> Collection[str]:
        """The error, and the code if it is a vector."""
        return OF_ALL if card.architecture.code_is_vector else (ERROR,)

    def held_out(self, run: "Run", card: "ModelCard") -> Iterator[TextBatch]:
        """Lines, at equal distances."""
        from aectl.modalities import text_folder

        size = batch_size(*card.architecture.text)
        return text_folder.batches_of(cast("TextRun", run), MOST_HELD_OUT, size)

    def examine(
        self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor", needed: Collection[str]
    ) -> "Iterator[Examined]":
        """Each batch with the evidence that is needed."""
        from aectl.inference import apply_text as text_inference

        return text_inference.examine(network, batches, to_tensor, needed)

    def evidence_of(
        self, network: Any, prepared: "Tensor", stored: "Tensor", needed: Collection[str]
    ) -> "Evidence":
        """The evidence that is needed of texts."""
        from aectl.inference import apply_text as text_inference

        return text_inference.evidence(network, prepared, needed)

    def worst_first(self, card: "ModelCard") -> tuple[str, bool]:
        """By `token_accuracy`."""
        return "token_accuracy", False

    def columns(self, measured: "MeasuredTexts") -> "dict[str, Column]":
        """Each `text`, and the `token_accuracy` and `rouge_l` of its reconstruction."""
        return {
            "text": measured.batch.texts,
            "token_accuracy": measured.token_accuracy,
            "rouge_l": measured.rouge_l,
        }


MODALITY = Text()
