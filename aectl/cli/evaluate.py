"""`aectl eval`: the metrics of one or several models."""

import collections
import contextlib
import math
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aectl.cli import options
from aectl.cli.console import Console
from aectl.cli.session import Session, on_stdout, write_each
from aectl.cli.stdout import for_tables, show
from aectl.config import run_files
from aectl.config.kinds import KINDS
from aectl.errors import ConfigError, ModelFileError, OutputError
from aectl.files import refuse_existing

if TYPE_CHECKING:
    from aectl.inference.inspection import Inspection
    from aectl.models.model_file import ModelCard
    from aectl.outputs.metrics_table import Group
    from aectl.verbs.evaluate import Evaluation

CLASSES_NAMED = 10

Models = Annotated[
    list[Path],
    typer.Argument(metavar="MODEL", help="Model files or run folders to compare."),
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
            help="Inputs to measure on: a dataset, file, folder or -, as INPUT of the other "
            "commands; may be given several times.",
            show_default="the test split of the training dataset",
        ),
    ] = None,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Report the error of a linear classifier on the features, trained on the train "
            "split.",
        ),
    ] = False,
    pca: Annotated[
        bool,
        typer.Option(
            "--pca",
            help="Report the error of PCA with as many components as the code has units, fitted on "
            "the train split.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one object per model.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one row per model.")] = False,
    per_image: Annotated[
        Path | None,
        typer.Option(
            "--per-image",
            metavar="FILE",
            help="Write a table with the mse of each image, or the token_accuracy of each text; "
            "with -, CSV on stdout, and the metrics on stderr.",
        ),
    ] = None,
    sort: Annotated[
        bool, typer.Option("--sort", help="With --per-image: the worst inputs first.")
    ] = False,
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
            help="With --report: also draw a map of the codes by this method; tsne takes seconds, "
            "umap needs umap-learn.",
        ),
    ] = "pca",
    skip_unknown: Annotated[
        bool,
        typer.Option(
            "--skip-unknown",
            help="For a classifier, leave out inputs of classes that it was not trained on; their "
            "number is reported as unknown.",
        ),
    ] = False,
    relative_to: options.RelativeTo = None,
    absolute: options.Absolute = False,
) -> int:
    """Measure models: reconstruction error, sparsity of the code, or accuracy of a classifier; for
    text, the accuracy of reconstructed tokens.

    Models that differ only in their seed are shown as mean and standard deviation.

    Example: aectl eval runs/dense runs/sparse --pca --report compared.html
    """
    _check(models, dataset, per_image, sort, [as_json, as_csv], pca or probe)
    _check_report(report_file, map_by, common.overwrite)

    from aectl.outputs import page, run_folder, tables
    from aectl.verbs.evaluate import Evaluation
    from aectl.verbs.report_page import metrics_beside, of_evaluation

    tables.check_destination(on_stdout(per_image), common.overwrite)
    session = Session(common, per_image)
    cards = [_card(path, first=path == models[0]) for path in models]
    _check_kinds(cards, per_image, skip_unknown)
    evaluations: list[Evaluation] = []
    for path, card in zip(models, cards, strict=True):
        how = session.input_options(
            label_from_folder=bool(probe or report_file or per_image or card.classes),
            relative_to=relative_to,
            absolute=absolute,
        )
        use = session.use(path, card, dataset, how, told=not evaluations)
        use.refuse({"pca": pca, "probe": probe, "report": report_file is not None})
        _ = use.stream  # inputs that do not exist are refused before any is measured
        evaluations.append(Evaluation(use, pca, probe, skip_unknown, session.console))
    results, portraits, known = [], list[page.Portrait](), dict[tuple[object, ...], float]()
    fitted: set[str] = set()
    for evaluation in evaluations:
        inspection = _measured(session, evaluation, per_image, sort, report_file is not None)
        if not evaluation.measurement.count:
            return session.status(evaluation.use, 0)
        if (pca or probe) and not evaluation.use.card.classes:
            _tell_what_is_fitted(session.console, evaluation, fitted)
        results.append(evaluation.report(known))
        if inspection:
            metrics = metrics_beside(evaluation.use.path)
            portraits.append(of_evaluation(evaluation, inspection, metrics, [map_by]))
    if report_file:
        title = str(models[0]) if len(models) == 1 else "aectl report"
        text = page.to_html(title, portraits, _grouped(cards, results))
        run_folder.save_text(report_file, text)
    _show(session.console, results, cards, as_json, as_csv, per_image)
    return session.status(evaluations[0].use, results[0]["n"])


def _tell_what_is_fitted(console: Console, evaluation: "Evaluation", told: set[str]) -> None:
    """Prints the data that the baselines are fitted on, unless it is in `told`; adds it there."""
    asked = [
        name for name, given in (("PCA", evaluation.pca), ("the probe", evaluation.probe)) if given
    ]
    if (on := evaluation.fitted_on()) not in told:
        told.add(on)
        console.notice(f"fitted on {on}: {' and '.join(asked)}")


def _check_kinds(cards: "Sequence[ModelCard]", per_image: Path | None, skip_unknown: bool) -> None:
    """Raises ConfigError for options that have no effect with the models."""
    if per_image and cards[0].classes:
        raise ConfigError(
            "--per-image measures autoencoders; aectl classify writes one row per input"
        )
    if skip_unknown and not any(card.classes for card in cards):
        raise ConfigError("--skip-unknown has no effect without a classifier; leave it out")
    if len({card.architecture.modality for card in cards}) > 1:
        raise ConfigError("models of different kinds of input cannot be measured side by side")


def _measured(
    session: Session, evaluation: "Evaluation", per_input: Path | None, sort: bool, inspected: bool
) -> "Inspection | None":
    """Measures all inputs, and writes the table `per_input`; collects the contents of a report."""
    from aectl.inference.inspection import Inspection
    from aectl.outputs.formats import Rows

    use, measurement = evaluation.use, evaluation.measurement
    inspection: Inspection | None = None

    def seen(results: "Iterator[Any]") -> "Iterator[Any]":
        nonlocal inspection
        for result in session.console.counted(results, "measuring", use.modality.noun):
            if inspected:
                inspection = inspection or Inspection(measurement.network, use.card.classes)
                inspection.add(result)
            yield result

    with use.results(measurement.results) as results:
        measured = seen(results)
        if per_input:
            by, descending = use.modality.worst_first
            rows = (
                Rows({**use.leading_columns(result.batch), **use.modality.columns(result)})
                for result in measured
            )
            write_each(per_input, rows, by if sort else None, descending)
        collections.deque(measured, maxlen=0)
    return inspection


def _show(
    console: Console,
    results: list[dict[str, Any]],
    cards: "Sequence[ModelCard]",
    as_json: bool,
    as_csv: bool,
    per_image: Path | None,
) -> None:
    """Writes the metrics to stdout, or to stderr if a table is written to stdout."""
    from aectl.cli.side_by_side import to_table
    from aectl.outputs import metrics_table

    for unknown in {result["unknown"] for result in results if result.get("unknown")}:
        console.warning(f"inputs left out, of classes that the model does not know: {unknown:,}")
    _tell_of_nan(console, results)
    if as_json:
        show(metrics_table.to_json(results))
    elif as_csv:
        for_tables().write(metrics_table.to_csv(results).encode("utf-8", "surrogateescape"))
    else:
        aside = per_image is not None and on_stdout(per_image) is None
        width = shutil.get_terminal_size((120, 24)).columns
        colour = sys.stdout.isatty() and not aside
        table = to_table(_grouped(cards, results), cards[0].classes, width, colour)
        if aside:
            console.notice(table.rstrip("\n"))
        else:
            show(table)


NAN = {"precision": "that are never predicted", "recall": "of which there are no inputs"}
"""Metrics of a class that may be undefined, and the classes for which they are."""


def _tell_of_nan(console: Console, results: list[dict[str, Any]]) -> None:
    """Prints the classes for which a metric is undefined, once for all models."""
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
    from aectl.verbs.use import read_card

    try:
        return read_card(path, "eval", tuple(KINDS))
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
    """Raises ConfigError for options that cannot be combined."""
    if all(as_json_or_csv):
        raise ConfigError("give either --json or --csv, not both")
    if per_image and on_stdout(per_image) is None and any(as_json_or_csv):
        raise ConfigError("--per-image -, --json and --csv all use stdout; give --per-image a file")
    if sort and not per_image:
        raise ConfigError("--sort needs --per-image FILE, the table that it sorts")
    if per_image and len(models) > 1:
        raise ConfigError("--per-image measures one model; several are given")
    if dataset and "-" in dataset and (twice or len(models) > 1):
        raise ConfigError(
            "paths on stdin can be read once; several models, --pca and --probe read them again"
        )


def _check_report(path: Path | None, map_by: str, overwrite: bool) -> None:
    """Raises ConfigError or OutputError if the report could not be written."""
    if path is None:
        if map_by != "pca":
            raise ConfigError("--map needs --report FILE, the page that it draws in")
        return
    if path.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{path}: the report must be a .html file")
    refuse_existing(path, overwrite)


def _grouped(cards: "Sequence[ModelCard]", results: list[dict[str, Any]]) -> "list[Group]":
    """Groups the results of models whose options differ only in the seed."""
    from aectl.outputs.metrics_table import Group

    groups: dict[str, dict[object, dict[str, Any]]] = {}
    for number, (card, result) in enumerate(zip(cards, results, strict=True)):
        trained = dict(card.options)
        seed = trained.pop("seed", None)
        alike = groups.setdefault(repr(sorted(trained.items())), {})
        if seed in alike:  # a repeated training is not a further seed
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
