"""`aectl eval`: the error report of one model or several."""

import collections
import contextlib
import math
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from aectl import run_files
from aectl.cli import options, texts
from aectl.cli.console import Console
from aectl.cli.portrait import metrics_beside, portrait
from aectl.cli.stdout import for_tables, show
from aectl.cli.verb import Session, named_by, on_stdout, read_card, write_each
from aectl.errors import ConfigError, ModelFileError, OutputError
from aectl.files import refuse_existing
from aectl.sections import WITH_A_CODE

if TYPE_CHECKING:
    from aectl.data.inputs import Batches, Inputs
    from aectl.evaluation import Evaluation
    from aectl.inference import Measured
    from aectl.inspection import Inspection
    from aectl.model_file import ModelCard
    from aectl.models import ImageNetwork
    from aectl.outputs.formats import Rows
    from aectl.outputs.report import Group

CLASSES_NAMED = 10

Models = Annotated[
    list[Path],
    typer.Argument(metavar="MODEL", help="Model files or run folders, side by side."),
]


@options.with_common_options
def evaluate(
    common: options.Common,
    models: Models,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            metavar="INPUT",
            help="A dataset, file, folder or - as for INPUT; may be given several times.",
            show_default="the test split of what the model was trained on",
        ),
    ] = None,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Error of a linear classifier on the features, trained on the train split.",
        ),
    ] = False,
    pca: Annotated[
        bool,
        typer.Option(
            "--pca", help="Error of PCA with as many components, fitted on the train split."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, an object a model.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a row a model.")] = False,
    per_image: Annotated[
        Path | None,
        typer.Option(
            "--per-image",
            metavar="FILE",
            help="Write a table with the mse of each image, or the token_accuracy of each text; "
            "- is CSV on stdout, and the metrics go to stderr.",
        ),
    ] = None,
    sort: Annotated[bool, typer.Option("--sort", help="--per-image: the worst first.")] = False,
    report_file: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="FILE", help="Write a web page that shows the models, a .html file."
        ),
    ] = None,
    map_by: Annotated[
        Literal["pca", "tsne", "umap"],
        typer.Option(
            "--map",
            help="--report: lay the codes out by this too; tsne takes seconds, umap needs"
            " umap-learn.",
        ),
    ] = "pca",
    skip_unknown: Annotated[
        bool,
        typer.Option(
            "--skip-unknown",
            help="For a classifier, leave out inputs of classes that it does not know; the report "
            "shows their number as unknown.",
        ),
    ] = False,
    relative_to: options.RelativeTo = None,
    absolute: options.Absolute = False,
) -> int:
    """Measure models: reconstruction error, sparsity of the code, or accuracy of a classifier; of
    text, how much of it comes back.

    Models that differ by their seed alone are shown as mean and standard deviation.

    Example: aectl eval runs/dense runs/sparse --pca --report compared.html
    """
    _check(models, dataset, per_image, sort, [as_json, as_csv], pca or probe)
    _check_report(report_file, map_by, common.overwrite)

    from aectl.inspection import Inspection
    from aectl.outputs import page, run_folder, tables

    tables.check_destination(on_stdout(per_image), common.overwrite)
    session, naming = Session(common, per_image), named_by(relative_to, absolute)
    cards = [_card(path, first=path == models[0]) for path in models]
    if per_image and cards[0].architecture.kind == "classifier":
        raise ConfigError("--per-image measures autoencoders; aectl classify gives a row an input")
    if skip_unknown and all(card.architecture.kind != "classifier" for card in cards):
        raise ConfigError("--skip-unknown has no effect without a classifier; leave it out")
    if any(card.vocabulary for card in cards):
        texts.refuse(session, pca=pca, probe=probe, report=report_file is not None)
        if len({(card.vocabulary is None, card.architecture.kind) for card in cards}) > 1:
            raise ConfigError("models of text are measured beside others of their kind alone")
        results, status = texts.evaluate(
            session, models, cards, dataset, per_image, sort, naming, skip_unknown
        )
        _show(session.console, results, cards, as_json, as_csv, per_image)
        return status
    found = [
        session.inputs(
            dataset,
            card,
            labels=bool(probe or report_file or per_image or card.classes),
            naming=naming,
        )
        for card in cards
    ]
    measuring = _Measuring(session, per_image, sort, pca, probe)
    results = []
    portraits: list[page.Portrait] = []
    for path, card, inputs in zip(models, cards, found, strict=True):
        evaluation = _evaluation(session, path, card, skip_unknown)
        inspection = Inspection(evaluation.network, card.classes) if report_file else None
        result = measuring.result(path, evaluation, inputs, inspection)
        if result is None:
            return session.outcome.status(0)
        results.append(result)
        if inspection:
            named = " ".join(map(inputs.called, inputs.words))
            metrics = metrics_beside(path)
            portraits.append(portrait(str(path), named, evaluation, inspection, metrics, [map_by]))
    if report_file:
        title = str(models[0]) if len(models) == 1 else "aectl report"
        text = page.to_html(title, portraits, _grouped(cards, results))
        run_folder.save_text(report_file, text)
    _show(session.console, results, cards, as_json, as_csv, per_image)
    return session.outcome.status(results[0]["n"])


def _show(
    console: Console,
    results: list[dict[str, Any]],
    cards: "Sequence[ModelCard]",
    as_json: bool,
    as_csv: bool,
    per_image: Path | None,
) -> None:
    """Writes the metrics to stdout, or to stderr where a table stands there."""
    from aectl.outputs import report

    for unknown in {result["unknown"] for result in results if result.get("unknown")}:
        console.warning(f"inputs left out, of classes that the model does not know: {unknown:,}")
    _tell_of_nan(console, results)
    if as_json:
        show(report.to_json(results))
    elif as_csv:
        for_tables().write(report.to_csv(results).encode("utf-8", "surrogateescape"))
    else:
        aside = per_image is not None and on_stdout(per_image) is None
        width = shutil.get_terminal_size((120, 24)).columns
        colour = sys.stdout.isatty() and not aside
        table = report.to_table(_grouped(cards, results), cards[0].classes, width, colour)
        if aside:
            console.notice(table.rstrip("\n"))
        else:
            show(table)


NAN = {"precision": "that are never predicted", "recall": "of which there are no inputs"}
"""The metrics of each class that may not be defined, and for which classes."""


def _tell_of_nan(console: Console, results: list[dict[str, Any]]) -> None:
    """Says for which classes a metric of each class is not defined, once for all models."""
    for metric, which in NAN.items():
        undefined = {
            name: None
            for result in results
            for name, value in zip(result.get("classes", ()), result.get(metric, ()), strict=True)
            if math.isnan(value)
        }
        if undefined:
            named = ", ".join(list(undefined)[:CLASSES_NAMED])
            more = ", ..." if len(undefined) > CLASSES_NAMED else ""
            console.notice(f"{metric} is nan for classes {which}: {named}{more}")


def _card(path: Path, first: bool) -> "ModelCard":
    """The card of a model. Raises ModelFileError, which names --dataset after the first model."""
    try:
        return read_card(path, "eval", (*WITH_A_CODE, "classifier"))
    except ModelFileError as error:
        if first or path.suffix == ".safetensors" or (path / run_files.CHECKPOINT_FOLDER).is_dir():
            raise
        raise ModelFileError(f"{error}; images to measure are given by --dataset") from error


def _check(
    models: list[Path],
    dataset: list[str] | None,
    per_image: Path | None,
    sort: bool,
    as_json_or_csv: list[bool],
    twice: bool,
) -> None:
    """Raises ConfigError for options that do not go together."""
    if all(as_json_or_csv):
        raise ConfigError("give either --json or --csv, not both")
    if per_image and on_stdout(per_image) is None and any(as_json_or_csv):
        raise ConfigError("--per-image -, --json and --csv all use stdout; give --per-image a file")
    if sort and not per_image:
        raise ConfigError("--sort orders the table of --per-image; name one")
    if per_image and len(models) > 1:
        raise ConfigError("--per-image measures one model; several are given")
    if dataset and "-" in dataset and (twice or len(models) > 1):
        raise ConfigError(
            "paths on stdin can be read once; several models, --pca and --probe read them again"
        )


def _check_report(path: Path | None, map_by: str, overwrite: bool) -> None:
    """Raises ConfigError or OutputError where no page could be written."""
    if path is None:
        if map_by != "pca":
            raise ConfigError("--map draws in the page of --report; name one")
        return
    if path.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{path}: the page is a .html file")
    refuse_existing(path, overwrite)


def _evaluation(
    session: Session, path: Path, card: "ModelCard", skip_unknown: bool
) -> "Evaluation":
    """The model, ready to be measured."""
    from aectl import model_file
    from aectl.evaluation import Evaluation

    return Evaluation(
        cast("ImageNetwork", model_file.load(path)[0]),
        card,
        session.device(),
        session.batch_size(card.architecture),
        session.console,
        skip_unknown,
    )


@dataclass
class _Measuring:
    """How each model is measured; images that cannot be read are told with the first alone."""

    session: Session
    per_image: Path | None
    sort: bool
    pca: bool
    probe: bool
    known: dict[tuple[object, ...], float] = field(default_factory=dict)
    """The errors of PCA so far."""
    told: bool = False
    told_of: set[str] = field(default_factory=set)
    """The training sets that were named."""

    def result(
        self,
        path: Path,
        evaluation: "Evaluation",
        inputs: "Inputs",
        inspection: "Inspection | None",
    ) -> dict[str, Any] | None:
        """What the report says of a model, None without images; those of a page are looked into."""
        architecture = evaluation.card.architecture
        with self.session.batches(inputs, architecture, told=not self.told) as batches:
            self.told = True
            measured = _measured(evaluation, batches, self.session.console, inspection)
            if self.per_image:
                rows = _rows(measured, inputs.labelled)
                write_each(self.per_image, rows, "mse" if self.sort else None, descending=True)
            collections.deque(measured, maxlen=0)
        if evaluation.images == 0:
            return None
        result = _result(path, evaluation, inputs)
        if architecture.kind != "classifier":
            self._tell_what_is_fitted(evaluation.fitted_on(inputs))
            if self.pca:
                result["pca_mse"] = _pca_mse(evaluation, inputs, self.known)
            if self.probe:
                result["probe_error"] = evaluation.probe_error(inputs)
        return result

    def _tell_what_is_fitted(self, on: str) -> None:
        """Prints, once for each training set, on what the baselines are fitted."""
        asked = [name for name, given in (("PCA", self.pca), ("the probe", self.probe)) if given]
        if asked and on not in self.told_of:
            self.told_of.add(on)
            self.session.console.notice(f"fitted on {on}: {' and '.join(asked)}")


def _measured(
    evaluation: "Evaluation",
    batches: "Batches",
    console: Console,
    inspection: "Inspection | None",
) -> "Iterator[Measured]":
    """Measures every image; those of a report are looked into."""
    for measured in console.counted(evaluation.measured(batches), "measuring"):
        if inspection:
            inspection.add(measured)
        yield measured


def _rows(results: "Iterator[Measured]", labelled: bool) -> "Iterator[Rows]":
    """A table of the paths and errors of what has been measured."""
    from aectl.outputs import tables
    from aectl.outputs.formats import Rows

    for measured in results:
        columns = tables.leading_columns(measured.batch, labelled)
        assert measured.mse is not None
        yield Rows({**columns, "mse": measured.mse})


def _result(path: Path, evaluation: "Evaluation", inputs: "Inputs") -> dict[str, Any]:
    """What the report says of a model that has been measured."""
    classes = evaluation.card.classes
    return {
        "model": str(path),
        "dataset": " ".join(inputs.words),
        "n": evaluation.images,
        **({"classes": list(classes)} if classes else {}),
        **evaluation.figures(),
    }


def _pca_mse(
    evaluation: "Evaluation", inputs: "Inputs", known: dict[tuple[object, ...], float]
) -> float:
    """The error of PCA, computed once for models of the same images and as many units."""
    card = evaluation.card
    of = (card.dataset, *inputs.words, card.shape, card.architecture.code_size)
    if of not in known:
        known[of] = evaluation.pca_mse(inputs)
    return known[of]


def _grouped(cards: "Sequence[ModelCard]", results: list[dict[str, Any]]) -> "list[Group]":
    """Results of models whose options differ by the seed alone, together."""
    from aectl.outputs.report import Group

    groups: dict[str, dict[object, dict[str, Any]]] = {}
    for number, (card, result) in enumerate(zip(cards, results, strict=True)):
        trained = dict(card.training.get("options", {}))
        seed = trained.pop("seed", None)
        alike = groups.setdefault(repr(sorted(trained.items())), {})
        if seed in alike:  # the same training again is no further seed
            alike = groups.setdefault(f"model {number}", {})
        alike[seed] = result
    return [
        Group(_name([result["model"] for result in alike.values()]), list(alike.values()))
        for alike in groups.values()
    ]


def _name(models: list[str]) -> str:
    if len(models) == 1:
        return models[0]
    with contextlib.suppress(ValueError):
        return f"{os.path.commonpath(models) or models[0]} ({len(models)} seeds)"
    return f"{models[0]} ... ({len(models)} seeds)"
