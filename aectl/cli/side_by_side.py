"""The metrics of models as a table on a terminal."""

import io
from collections.abc import Sequence
from typing import Any

from aectl.config.spelling import spelt_out
from aectl.outputs.metrics_table import (
    DIFFERENCE,
    OF_EACH_CLASS,
    Group,
    Result,
    number_text,
    to_cells,
)

CLASSES_SHOWN = 20


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
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def _confusion_table(result: Result, classes: Sequence[str]) -> Any:
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
