"""The error report: one model or several side by side, as JSON, CSV or a table to read."""

import csv
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Result = Mapping[str, Any]
"""The figures of one model, with `model`, `dataset` and `n`."""

CLASSES_SHOWN = 20
DIFFERENCE = "difference"


class Group(NamedTuple):
    """Results that differ by their seed alone stand in one column, under a common name."""

    name: str
    results: Sequence[Result]


def to_json(results: Sequence[Result]) -> str:
    """A list, an object a model; a figure that is no finite number is null."""
    finite = [
        {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in result.items()
        }
        for result in results
    ]
    return json.dumps(finite, indent=2) + "\n"


def to_csv(results: Sequence[Result]) -> str:
    """A row a model; the confusion matrix is left out."""
    names = list(dict.fromkeys(name for result in results for name in result))
    names = [name for name in names if name != "confusion"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(results)
    return text.getvalue()


def to_table(groups: Sequence[Group], classes: Sequence[str], width: int, colour: bool) -> str:
    """A figure a row, a group a column, with the difference from the first group.

    Several seeds stand as mean and sample standard deviation. `classes` name the rows of the
    confusion matrix, which is shown for a classifier on its own.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    head, *rows = to_cells(groups)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", overflow="fold")
    for name in head[1:]:
        dim = "dim" if name == DIFFERENCE else None
        table.add_column(Text(name), justify="right", style=dim, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    text = io.StringIO()
    console = Console(
        file=text, width=width, force_terminal=colour, no_color=not colour, highlight=False
    )
    console.print(table)
    confusion = groups[0].results[0].get("confusion")
    alone = len(groups) == len(groups[0].results) == 1
    if confusion and alone and len(classes) <= CLASSES_SHOWN:
        console.print(_confusion_table(confusion, classes))
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def to_cells(groups: Sequence[Group]) -> list[list[str]]:
    """The same table as rows of text, the first with the names of the columns."""
    head = [""]
    for number, group in enumerate(groups):
        head += [group.name, DIFFERENCE] if number else [group.name]
    rows = [head]
    for figure in dict.fromkeys(name for group in groups for name in group.results[0]):
        if figure in ("model", "confusion"):
            continue
        cells = [figure]
        for number, group in enumerate(groups):
            cells.append(_cell(group, figure))
            if number:
                cells.append(_difference(groups[0], group, figure))
        rows.append(cells)
    return rows


def _values(group: Group, figure: str) -> list[Any]:
    return [result[figure] for result in group.results if figure in result]


def _cell(group: Group, figure: str) -> str:
    values = _values(group, figure)
    if not values:
        return ""
    if len(values) == 1 or not isinstance(values[0], float):
        return _number(values[0])
    if not all(map(math.isfinite, values)):
        return _number(math.fsum(values) / len(values))
    return f"{_number(statistics.mean(values))} ± {_number(statistics.stdev(values))}"


def _difference(first: Group, other: Group, figure: str) -> str:
    a, b = _values(first, figure), _values(other, figure)
    same_data = first.results[0].get("dataset") == other.results[0].get("dataset")
    if not (a and b) or not isinstance(a[0], float) or not same_data:
        return ""
    change = math.fsum(b) / len(b) - math.fsum(a) / len(a)
    return ("+" if change > 0 else "") + _number(change)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _confusion_table(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="a row a true class, a column a prediction", box=None, pad_edge=False,
        title_justify="left", title_style="italic", header_style="bold",
    )  # fmt: skip
    table.add_column("", style="bold")
    for name in classes:
        table.add_column(Text(name), justify="right")
    for number, row in enumerate(confusion):
        counts = [
            Text(str(count), style="green" if column == number else "red" if count else "dim")
            for column, count in enumerate(row)
        ]
        table.add_row(Text(classes[number]), *counts)
    return table
