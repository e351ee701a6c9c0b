"""`aectl eval`: the metrics of one or several models."""

import collections
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aectl.cli import options
from aectl.cli.detect import AlarmRate, FitTo, Normal, ScoreName
from aectl.cli.eval_checks import card_of, check_files, check_options
from aectl.cli.session import Session, on_stdout, write_each
from aectl.errors import ConfigError

if TYPE_CHECKING:
    from aectl.models.model_card import ModelCard
    from aectl.outputs.metrics_table import Group
    from aectl.outputs.page import Portrait
    from aectl.verbs.evaluate import Evaluation
    from aectl.verbs.input_options import InputOptions
    from aectl.verbs.use import Use

Models = Annotated[
    list[Path],
    typer.Argument(
        metavar="MODEL",
        parser=options.path_or_url,
        help="Model files or run folders to compare, or their URLs.",
    ),
]
Dataset = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset", metavar="INPUT",
        help="Inputs to measure on: a dataset, file, folder or -, as INPUT of the other "
        "commands; may be given several times.",
        show_default="the test split of the training dataset, or the files held out of a folder",
    ),
]  # fmt: skip
Probe = Annotated[
    bool,
    typer.Option(
        "--probe",
        help="Report the error of a linear classifier on the features, trained on the train split.",
    ),
]
Pca = Annotated[
    bool,
    typer.Option(
        "--pca",
        help="Report the error of PCA with as many components as the code has units, fitted on "
        "the train split.",
    ),
]
Ssim = Annotated[
    bool,
    typer.Option("--ssim", help="Report the structural similarity of images, 11x11 or larger."),
]
Judge = Annotated[
    Path | None,
    typer.Option(
        "--judge", metavar="FILE",
        help="Report the perplexity of shorter texts by the n-grams of the lines of this text, "
        "which the models should not have seen.",
    ),
]  # fmt: skip
References = Annotated[
    bool,
    typer.Option(
        "--references",
        help="Read each line as a text, a tab and its reference summary, and report the ROUGE of "
        "shorter texts against it, beside that of the first words of each text.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per model.")]
InCsv = Annotated[bool, typer.Option("--csv", help="Print CSV, one row per model.")]
PerImage = Annotated[
    Path | None,
    typer.Option(
        "--per-image", "--per-row", metavar="FILE",
        help="Write a table with the mse of each image or vector, or the token_accuracy and the "
        "rouge_l of each text; with -, CSV on stdout, and the metrics on stderr.",
    ),
]  # fmt: skip
PerColumn = Annotated[
    Path | None,
    typer.Option(
        "--per-column", metavar="FILE",
        help="Write a table with the mse and the explained_variance of each feature of vectors.",
    ),
]  # fmt: skip
Sort = Annotated[bool, typer.Option("--sort", help="With --per-image: the worst inputs first.")]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report", metavar="FILE", help="Write a web page that shows the models, a .html file."
    ),
]
Map = Annotated[
    Literal["pca", "tsne", "umap"],
    typer.Option(
        "--map",
        help="With --report: also draw a map of the codes by this method; tsne takes seconds, "
        "umap needs umap-learn.",
    ),
]
Match = Annotated[
    bool,
    typer.Option(
        "--match",
        help="Match the directions of the decoders of several models one to one, and report the "
        "mean cosine, the fractions of cosines above 0.7 and 0.9, and the mean of random ones.",
    ),
]
Truth = Annotated[
    str | None,
    typer.Option(
        "--truth", metavar="FILE",
        help="Compare the directions of the decoder with the true ones in this file of vectors, or "
        "of the synthetic vectors that it names.",
    ),
]  # fmt: skip
Detect = Annotated[
    bool,
    typer.Option(
        "--detect",
        help="Also measure the models as detectors of anomalies: inputs in folders named good are "
        "normal, all others anomalies, with masks in ground_truth; calibrated by the model file or "
        "--normal.",
    ),
]
SkipUnknown = Annotated[
    bool,
    typer.Option(
        "--skip-unknown",
        help="For a classifier, leave out inputs of classes that it was not trained on; their "
        "number is reported as unknown.",
    ),
]


@options.with_common_options
def evaluate(
    common: options.Common,
    models: Models,
    dataset: Dataset = None,
    probe: Probe = False,
    pca: Pca = False,
    ssim: Ssim = False,
    judge: Judge = None,
    references: References = False,
    as_json: Json = False,
    as_csv: InCsv = False,
    per_image: PerImage = None,
    per_column: PerColumn = None,
    sort: Sort = False,
    report_file: Report = None,
    map_by: Map = "pca",
    skip_unknown: SkipUnknown = False,
    match: Match = False,
    truth: Truth = None,
    detect: Detect = False,
    normal: Normal = None,
    fit_to: FitTo = None,
    score: ScoreName = None,
    alarm_rate: AlarmRate = None,
    relative_to: options.RelativeTo = None,
    absolute: options.Absolute = False,
) -> int:
    """Measure one or several models.

    For autoencoders, it reports the reconstruction error and the sparsity of the code; for text,
    the accuracy of reconstructed tokens; for classifiers, the accuracy.

    Models that differ only in their seed are shown as mean and standard deviation.

    Example: aectl eval runs/dense runs/sparse --pca --report compared.html
    """
    twice = pca or probe or detect
    calibrating, styles = [*(normal or []), *(fit_to or [])], [as_json, as_csv]
    check_options(models, dataset, per_image, per_column, sort, match, styles, twice, calibrating)
    check_files(report_file, map_by, [on_stdout(per_image), per_column], common.overwrite)

    from aectl.verbs.detect import Asked
    from aectl.verbs.detector import detectors_of
    from aectl.verbs.evaluate import Evaluation, judge_of, refuse_useless

    session, inspected = Session(common, per_image), report_file is not None
    models, cards = _opened(models, per_image)
    how = session.input_options(relative_to=relative_to, absolute=absolute)
    how["label_from_folder"] = bool(probe or inspected or per_image)
    uses = _uses(session, models, cards, dataset, how, references)
    given = pca, probe, skip_unknown, inspected, ssim, judge is not None, per_column is not None
    refuse_useless(uses, *given, match, truth is not None)
    judging = judge_of(judge, session.outcome.on_bad) if judge else None
    asked = pca, probe, skip_unknown, inspected, session.console, ssim, judging, truth
    detectors = detectors_of(uses, detect, Asked(normal or None, fit_to or None, score, alarm_rate))
    each = [Evaluation(use, *asked, one) for use, one in zip(uses, detectors, strict=True)]
    results, portraits = _measured(session, each, per_image, per_column, sort, map_by, match)
    style = "json" if as_json else "csv" if as_csv else "table"
    _show(session, cards, results, portraits, report_file, style)
    return session.status(uses[0], results[0]["n"])


def _show(
    session: Session,
    cards: "Sequence[ModelCard]",
    results: "Sequence[dict[str, Any]]",
    portraits: "Sequence[Portrait]",
    report_file: Path | None,
    style: str,
) -> None:
    """Writes the report page, if any, and shows the metrics."""
    from aectl.cli.metrics_view import show_metrics
    from aectl.outputs.metrics_table import grouped

    groups = grouped([card.options for card in cards], results)
    if report_file:
        _save_report(report_file, [result["model"] for result in results], portraits, groups)
    beside = session.out is not None and on_stdout(session.out) is None
    show_metrics(session.console, results, groups, cards[0].classes, style, beside)


def _uses(
    session: Session,
    models: list[Path],
    cards: "Sequence[ModelCard]",
    dataset: list[str] | None,
    how: "InputOptions",
    references: bool,
) -> "list[Use]":
    """Each model with the inputs; unreadable ones are reported once. Classifiers need labels."""
    uses: list[Use] = []
    for path, card in zip(models, cards, strict=True):
        labelled = how["label_from_folder"] or bool(card.classes)
        options: InputOptions = {**how, "label_from_folder": labelled}
        uses.append(session.use(path, card, dataset, options, not uses, True, references))
    return uses


def _measured(
    session: Session,
    evaluations: "list[Evaluation]",
    per_input: Path | None,
    per_column: Path | None,
    sort: bool,
    map_by: str,
    match: bool,
) -> "tuple[list[dict[str, Any]], list[Portrait]]":
    """The metrics of each model, and its section of the report, if any; and writes the tables
    `per_input` and `per_column`, if any. With `match`, their dictionaries are matched.

    Raises DataError if there are no inputs.
    """
    from aectl.inference.dictionaries import Dictionary, match_metrics
    from aectl.outputs import page, tables
    from aectl.verbs.report_page import of_evaluation

    results, portraits, known = [], list[page.Portrait](), dict[tuple[object, ...], float]()
    fitted_on, dictionaries = set[str](), list[Dictionary]()
    for evaluation in evaluations:
        _measure(session, evaluation, per_input, sort)
        if not evaluation.measurement.count:
            session.status(evaluation.use, 0)  # raises DataError
        if evaluation.fitted and (on := evaluation.baselines.fitted_on()) not in fitted_on:
            fitted_on.add(on)
            session.console.notice(f"fitted on {on}: {' and '.join(evaluation.fitted)}")
        results.append(evaluation.report(known))
        if match:
            dictionaries.append(evaluation.dictionary)
        if evaluation.inspection:
            portraits.append(of_evaluation(evaluation, evaluation.inspection, [map_by]))
            evaluation.inspection = None
    if match:
        matched = match_metrics(dictionaries)
        results = [{**one, **more} for one, more in zip(results, matched, strict=True)]
    if per_column:
        tables.write_file(per_column, [evaluations[0].rows_of_columns()])
    return results, portraits


def _measure(
    session: Session, evaluation: "Evaluation", per_input: Path | None, sort: bool
) -> None:
    """Measures all inputs, and writes the table `per_input`, if any."""
    modality = evaluation.use.modality
    with evaluation.results() as results:
        measured = session.console.counted(results, "measuring", modality.noun)
        if per_input:
            by, descending = modality.worst_first(evaluation.use.card)
            rows = map(evaluation.rows, measured)
            write_each(per_input, rows, by if sort else None, descending)
        collections.deque(measured, maxlen=0)


def _save_report(
    path: Path, models: list[str], portraits: "Sequence[Portrait]", groups: "Sequence[Group]"
) -> None:
    """Writes the web page. Raises OutputError."""
    from aectl.outputs import page, run_folder

    title = models[0] if len(models) == 1 else "aectl report"
    run_folder.save_text(path, page.to_html(title, portraits, groups))


def _opened(models: list[Path], per_image: Path | None) -> tuple[list[Path], list["ModelCard"]]:
    """The files of models, and the descriptions in them. Raises ConfigError for a classifier that
    is to measure each input."""
    from aectl.verbs.hub import located

    models = [located(one) for one in models]
    cards = [card_of(path, first=path == models[0]) for path in models]
    if per_image and cards[0].classes:
        raise ConfigError("--per-image measures autoencoders; classify writes one row per input")
    return models, cards
