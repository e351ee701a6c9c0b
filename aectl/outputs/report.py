"""The error report: one model or several side by side, as JSON, CSV or a table to read."""

import csv
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aectl import spelling
from aectl.spelling import spelt_out

Result = Mapping[str, Any]
"""The figures of one model, with `model`, `dataset` and `n`."""

CLASSES_SHOWN = 20
DIFFERENCE = "difference"
OF_EACH_CLASS = ("precision", "recall")


class Group(NamedTuple):
    """Results that differ by their seed alone stand in one column, under a common name."""

    name: str
    results: Sequence[Result]


def to_json(results: Sequence[Result]) -> str:
    """A list, an object a model; a figure that is no finite number is null."""
    return json.dumps([_jsonable(result) for result in results], indent=2, allow_nan=False) + "\n"


def to_csv(results: Sequence[Result]) -> str:
    """A row a model; what is a list, of classes or of their figures, is JSON in its cell."""
    columns = list(dict.fromkeys(name for result in results for name in result))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for result in results:
        writer.writerow(
            {
                name: json.dumps(_jsonable(value)) if is_list(value) else _in_csv(value)
                for name, value in result.items()
            }
        )
    return text.getvalue()


def _in_csv(value: object) -> object:
    """A name as text that no spreadsheet computes; a number as it is."""
    return spelling.cell(spelling.spelt(value)) if isinstance(value, str) else value


def is_list(value: object) -> bool:
    """Whether a figure is one of each class, and not one number of the model."""
    return isinstance(value, list | tuple)


def _jsonable(value: Any) -> Any:
    """The same with null for every number that JSON has not, and bytes of texts spelt out."""
    if isinstance(value, Mapping):
        return {name: _jsonable(inner) for name, inner in value.items()}
    if is_list(value):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, str):
        return spelling.spelt(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def to_cells(groups: Sequence[Group]) -> list[list[str]]:
    """The same table as rows of text, the first with the names of the columns."""
    head = [""]
    for number, group in enumerate(groups):
        head += [group.name, DIFFERENCE] if number else [group.name]
    rows = [head]
    for figure in dict.fromkeys(name for group in groups for name in group.results[0]):
        if figure == "model" or any(is_list(group.results[0].get(figure)) for group in groups):
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
        return _number(statistics.mean(values))
    return f"{_number(statistics.mean(values))} ± {_number(statistics.stdev(values))}"


def _difference(first: Group, other: Group, figure: str) -> str:
    a, b = _values(first, figure), _values(other, figure)
    same_data = first.results[0].get("dataset") == other.results[0].get("dataset")
    if not (a and b) or not isinstance(a[0], float) or not same_data:
        return ""
    change = statistics.mean(b) - statistics.mean(a)
    return ("+" if change > 0 else "") + _number(change)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _confusion_table(result: Result, classes: Sequence[str]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="a row a true class, a column a prediction", box=None, pad_edge=False,
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
        shares = (Text(_number(result[name][number])) for name in of_class)
        table.add_row(Text(spelt_out(classes[number])), *counts, *shares)
    return table
