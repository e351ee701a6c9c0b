"""The metrics of models as the user sees them: a table, JSON or CSV, and notices about them."""

import io
import math
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from aectl.cli.console import Console
from aectl.cli.stdout import for_tables, show
from aectl.config.spelling import first_of, spelt_out
from aectl.outputs.metrics_table import (
    DIFFERENCE,
    OF_EACH_CLASS,
    ROUGE_BY_WORDS,
    Group,
    ModelMetrics,
    number_text,
    to_cells,
    to_csv,
    to_json,
)

CLASSES_SHOWN, CLASSES_NAMED = 20, 10

NAN = {"precision": "that are never predicted", "recall": "of which there are no inputs"}
"""Metrics of a class that may be undefined, and the classes for which they are."""


def show_metrics(
    console: Console,
    results: Sequence[ModelMetrics],
    groups: Sequence[Group],
    classes: Sequence[str],
    style: str,
    beside: bool,
) -> None:
    """Writes the metrics to stdout as a "table", "json" or "csv"; the table to stderr if another
    one, which they are `beside`, is written to stdout.
    """
    for unknown in {result["unknown"] for result in results if result.get("unknown")}:
        console.warning(f"inputs left out, of classes that the model does not know: {unknown:,}")
    _tell_of_nan(console, results)
    if style == "json":
        show(to_json(results))
    elif style == "csv":
        for_tables().write(to_csv(results).encode("utf-8", "surrogateescape"))
    else:
        width = shutil.get_terminal_size((120, 24)).columns
        table = to_table(groups, classes, width, colour=sys.stdout.isatty() and not beside)
        if beside:
            console.notice(table.rstrip("\n"))
        else:
            show(table)


def _tell_of_nan(console: Console, results: Sequence[ModelMetrics]) -> None:
    """Prints the classes for which a metric is undefined, once for all models."""
    for metric, which in NAN.items():
        undefined = {
            name: None
            for result in results
            for name, value in zip(result.get("classes", ()), result.get(metric, ()), strict=True)
            if math.isnan(value)
        }
        if undefined:
            named = first_of(undefined, CLASSES_NAMED)
            console.notice(f"{metric} is nan for classes {which}: {named}")


def to_table(groups: Sequence[Group], classes: Sequence[str], width: int, colour: bool) -> str:
    """The metrics as a table of `width` characters.

    `classes`: the names of the rows of the confusion matrix, which is shown for a single
    classifier.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    head, *rows = to_cells(groups)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", overflow="fold")
    for name in head[1:]:
        dim = "dim" if name == DIFFERENCE else None
        table.add_column(Text(spelt_out(name)), justify="right", style=dim, overflow="fold")
    for row in rows:
        table.add_row(*(Text(spelt_out(cell)) for cell in row))
    text = io.StringIO()
    console = Console(
        file=text, width=width, force_terminal=colour, no_color=not colour, highlight=False
    )
    console.print(table)
    alone = len(groups) == len(groups[0].results) == 1
    if alone and "confusion" in groups[0].results[0] and len(classes) <= CLASSES_SHOWN:
        console.print(_confusion_table(groups[0].results[0], classes))
    for result in (one for group in groups for one in group.results if ROUGE_BY_WORDS in one):
        of = "" if alone else f": {result['model']}"
        title = Text(spelt_out(f"ROUGE by words of the output{of}"), style="italic")
        console.print(title, soft_wrap=True)
        console.print(_rouge_table(result[ROUGE_BY_WORDS]))
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def _rouge_table(by_words: Sequence[ModelMetrics]) -> Any:
    """The ROUGE of outputs against references: a row for each bracket of their lengths."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in by_words[0]:
        table.add_column(name, justify="left" if name == "output" else "right")
    for row in by_words:
        table.add_row(*map(number_text, row.values()))
    return table


def _confusion_table(result: ModelMetrics, classes: Sequence[str]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="rows: true class, columns: predicted class", box=None, pad_edge=False,
        title_justify="left", title_style="italic", header_style="bold",
    )  # fmt: skip
    table.add_column("", style="bold")
    for name in classes:
        table.add_column(Text(spelt_out(name)), justify="right")
    of_class = [name for name in OF_EACH_CLASS if name in result]
    for name in of_class:
        table.add_column(name, justify="right", style="italic")
    for number, row in enumerate(result["confusion"]):
        counts = [
            Text(str(count), style="green" if column == number else "red" if count else "dim")
            for column, count in enumerate(row)
        ]
        shares = (Text(number_text(result[name][number])) for name in of_class)
        table.add_row(Text(spelt_out(classes[number])), *counts, *shares)
    return table
