"""What the verbs do with a model of text: lines in, rows or figures out."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aectl import footprint, model_file
from aectl.cli.console import data_dir
from aectl.cli.stdout import for_tables, show
from aectl.cli.verb import Session, load_classifier, stdin, write_each
from aectl.decoding import MAX_PIXELS, REFUSE
from aectl.errors import ConfigError
from aectl.model_file import ModelCard

if TYPE_CHECKING:
    from aectl.data.inputs import Naming, Position
    from aectl.data.texts import TextBatch
    from aectl.inference import Classified
    from aectl.models import TextNetwork
    from aectl.outputs.formats import Column, Rows
    from aectl.text_inference import EncodedTexts, MeasuredTexts
    from aectl.vocabulary import Vocabulary

NOUN = "texts"


def refuse(session: Session, what: str = "a model of text", **options: bool) -> None:
    """Raises ConfigError for an option that was given and has no meaning with what is used."""
    common = session.common
    of_images = {
        "null": common.null,
        "max_pixels": common.max_pixels != MAX_PIXELS,
        "truncated": common.truncated != REFUSE,
    }
    for name, given in {**options, **of_images}.items():
        if given:
            raise ConfigError(f"--{name.replace('_', '-')} has no effect with {what}")


class Reading:
    """The texts that a verb reads, with what is to be said of them, unless it was `told` before."""

    def __init__(
        self,
        session: Session,
        card: ModelCard,
        words: list[str] | None,
        labels: bool = False,
        naming: "Naming | None" = None,
        told: bool = True,
    ) -> None:
        from aectl.data.folders import ignore
        from aectl.data.inputs import Naming
        from aectl.data.text_datasets import is_text_dataset
        from aectl.data.texts import TextInputs

        self._session, self._card, self._told = session, card, told
        self._on_bad = session.outcome.on_bad if told else ignore
        self.inputs: TextInputs = TextInputs(
            words or [session.trained_on(card, is_text_dataset, os.path.exists)],
            data_dir(session.common.data_dir),
            stdin(),
            labels,
            session.selection(words, card),
            naming or Naming(),
            skipped=session.outcome.skipped,
        )

    @property
    def vocabulary(self) -> "Vocabulary":
        """That of the model."""
        assert self._card.vocabulary is not None
        return self._card.vocabulary

    @property
    def batch_size(self) -> int:
        """How many texts the network sees at a time."""
        from aectl.data.texts import batch_size

        if footprint.one_at_a_time(self._card.architecture):
            return 1
        usual = batch_size(self._card.shape[2], len(self.vocabulary))
        return self._session.common.batch_size or usual

    def batches(
        self, most: int | None = None, after: "Position | None" = None
    ) -> "Iterator[TextBatch]":
        """The texts `after` a position, the first `most` or all of them."""
        length, size = self._card.shape[2], self.batch_size
        return self.inputs.batches(self.vocabulary, length, size, self._on_bad, after, most)

    def status(self, count: int) -> int:
        """The exit status after so many texts; says how many lines were empty, or too long."""
        self.tell()
        return self._session.outcome.status(count, NOUN)

    def tell(self) -> None:
        """Says how many lines were empty, or too long, unless it was `told` before."""
        account, said = self.inputs.account, []
        if account.cut:
            length = self._card.shape[2]
            said.append(f"lines of more than {length} tokens, cut: {account.cut:,}")
        if account.empty:
            said.append(f"empty lines, passed over: {account.empty:,}")
        if said and self._told:
            self._session.console.notice("; ".join(said))


@dataclass(frozen=True)
class Rowed:
    """A verb that writes a row a text: where to, and how it goes on."""

    session: Session
    model: Path
    card: ModelCard
    words: list[str] | None
    labels: bool
    naming: "Naming"
    out: Path | None
    resume: bool

    def encode(self, normalize: str, dtype: str, layout: str) -> int:
        """Each text's path, its label where known, and its code, or the shorter text."""

        def results(reading: Reading, batches: "Iterator[TextBatch]") -> "Iterator[EncodedTexts]":
            from aectl import inference, text_inference

            network, device = _load(self.model), self.session.device()
            features = inference.Features(normalize=normalize, dtype=dtype)
            return text_inference.encode(network, batches, device, reading.vocabulary, features)

        def columns(result: "EncodedTexts") -> "dict[str, Column]":
            return {} if result.shorter is None else {"bottleneck": result.shorter}

        return self._written(
            "encode", "encoding", results, columns, normalize=normalize, dtype=dtype, layout=layout
        )

    def classify(self, top_k: int) -> int:
        """Each text's path, its label where known, and its likeliest classes."""
        from aectl.outputs import tables

        def results(_: Reading, batches: "Iterator[TextBatch]") -> "Iterator[Classified]":
            from aectl import inference, text_inference

            network, device = load_classifier(self.model), self.session.device()
            return inference.classify(network, batches, device, top_k, text_inference.full)

        def columns(result: "Classified") -> "dict[str, Column]":
            classes = self.card.classes
            return tables.of_classes(classes, result.predictions, result.probabilities)

        return self._written("classify", "classifying", results, columns, top_k=top_k)

    def _written(
        self,
        verb: str,
        doing: str,
        results: "Callable[[Reading, Iterator[TextBatch]], Iterator[Any]]",
        columns: "Callable[[Any], dict[str, Column]]",
        **how: object,
    ) -> int:
        """The exit status, after the rows of all results; `how` is what else decides them."""
        from aectl.outputs import tables
        from aectl.outputs.formats import Rows

        session = self.session
        reading = Reading(session, self.card, self.words, self.labels, self.naming)
        labelled = reading.inputs.labelled
        how |= {"labelled": labelled, "batch_size": reading.batch_size}
        with session.table(verb, self.model, self.out, self.resume, **how) as table:
            found = results(reading, reading.batches(after=table.position))
            for result in session.console.counted(found, doing, NOUN):
                leading = tables.leading_columns(result.batch, labelled)
                code = getattr(result, "code", None)
                rows = Rows({**leading, **columns(result)}, code, result.batch.position)
                table.write(tables.finite_rows(rows, session.outcome.on_bad))
        session.tell_if_whole(table, self.out)
        return reading.status(table.count)


def reconstruct(
    session: Session,
    model: Path,
    card: ModelCard,
    words: list[str] | None,
    out: Path | None,
    count: int | None,
) -> int:
    """Writes each text, what it went through, and what was made of that: on a terminal to be read,
    elsewhere as a table.
    """
    from aectl import text_inference
    from aectl.outputs import texts
    from aectl.outputs.formats import Rows
    from aectl.outputs.tables import Table, check_destination

    check_destination(out, session.common.overwrite)
    reading = Reading(session, card, words)
    results = text_inference.reconstruct(
        _load(model), reading.batches(count), session.device(), reading.vocabulary
    )
    seen = 0
    if out is None and sys.stdout.isatty():
        for result in results:
            show(("\n" if seen else "") + texts.to_text(result))
            seen += len(result.reconstruction)
    else:
        with Table(out, for_tables()) as table:
            for result in session.console.counted(results, "reconstructing", NOUN):
                table.write(Rows(texts.to_columns(result)))
            seen = table.count
    return reading.status(seen)


def evaluate(
    session: Session,
    models: Sequence[Path],
    cards: Sequence[ModelCard],
    words: list[str] | None,
    per_text: Path | None,
    sort: bool,
    naming: "Naming",
    skip_unknown: bool,
) -> tuple[list[dict[str, Any]], int]:
    """The figures of each model, and the exit status.

    `per_text` gets a row a text, `-` being stdout; with `sort`, the worst first. Texts of classes
    that a classifier does not know are left out where it may `skip_unknown` ones.
    """
    results: list[dict[str, Any]] = []
    for path, card in zip(models, cards, strict=True):
        labels = bool(card.classes or per_text)
        reading = Reading(session, card, words, labels, naming, told=not results)
        measured, figures = _measured(session, path, card, reading, skip_unknown)
        counted = session.console.counted(measured, "measuring", NOUN)
        if per_text:
            rows = (_row_each(result, reading.inputs.labelled) for result in counted)
            texts = write_each(per_text, rows, "token_accuracy" if sort else None)
        else:
            texts = sum(len(result.batch.paths) for result in counted)
        reading.tell()
        if texts == 0:
            return [], session.outcome.status(0, NOUN)
        named = " ".join(map(reading.inputs.called, reading.inputs.words))
        classes = {"classes": list(card.classes)} if card.classes else {}
        results.append({"model": str(path), "dataset": named, "n": texts, **classes, **figures()})
    return results, session.outcome.status(results[0]["n"], NOUN)


def _measured(
    session: Session, path: Path, card: ModelCard, reading: Reading, skip_unknown: bool
) -> "tuple[Iterator[Any], Callable[[], Mapping[str, Any]]]":
    """The results of a model's measuring, and its figures once they have all gone by."""
    from aectl import inference, text_inference
    from aectl.metrics import ClassificationMetrics, TextMetrics

    batches, device = reading.batches(), session.device()
    if not card.classes:
        of_texts = TextMetrics(_baselines(card))
        return text_inference.measure(_load(path), batches, device, of_texts), of_texts.result
    metrics = ClassificationMetrics(len(card.classes), skip_unknown)
    results = inference.measure_labels(
        load_classifier(path), batches, device, metrics, card.classes, text_inference.full
    )
    return results, metrics.result


def _row_each(result: "MeasuredTexts", labelled: bool) -> "Rows":
    """A table of the accuracy of each text."""
    from aectl.outputs.formats import Rows
    from aectl.outputs.tables import leading_columns

    columns = leading_columns(result.batch, labelled)
    return Rows({**columns, "text": result.batch.texts, "token_accuracy": result.token_accuracy})


def _baselines(card: ModelCard) -> dict[str, list[int]]:
    """What guesses without a model would write, as the model's card tells."""
    from aectl.metrics import BASELINES

    told = card.training.get("baselines", {})
    return {name: told[name] for name in BASELINES if name in told}


def _load(path: Path) -> "TextNetwork":
    return cast("TextNetwork", model_file.load(path)[0])
