"""The metrics of one or several models as JSON, CSV or the cells of a table."""

import contextlib
import csv
import io
import json
import math
import os
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aectl.config import spelling

ModelMetrics = Mapping[str, Any]
"""The metrics of one model, with `model`, `dataset` and `n`."""

OF_SEED = re.compile(r"[-/]seed-\d+$")
"""The end of the name of a run's folder, where there are several with other seeds."""

DIFFERENCE = "difference"
OF_EACH_CLASS = ("precision", "recall")
ROUGE_BY_WORDS = "rouge_by_words"
"""The metric that is a list of the ROUGE of outputs, an object for each bracket of lengths."""


class Group(NamedTuple):
    """Results that differ only in their seed, which are shown in one column with a common name."""

    name: str
    results: Sequence[ModelMetrics]


def grouped(options: Sequence[Mapping[str, Any]], results: Sequence[ModelMetrics]) -> list[Group]:
    """Groups the results of models whose options of training differ only in the seed."""
    groups: dict[str, dict[object, ModelMetrics]] = {}
    for number, (given, result) in enumerate(zip(options, results, strict=True)):
        trained = dict(given)
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
    without = {OF_SEED.sub("", model) for model in models}
    if len(without) == 1:
        return f"{without.pop()} ({len(models)} seeds)"
    with contextlib.suppress(ValueError):
        return f"{os.path.commonpath(models) or models[0]} ({len(models)} seeds)"
    return f"{models[0]} ... ({len(models)} seeds)"


def to_json(results: Sequence[ModelMetrics]) -> str:
    """A JSON list with one object per model; metrics that are not finite are null."""
    return json.dumps([_jsonable(result) for result in results], indent=2, allow_nan=False) + "\n"


def to_csv(results: Sequence[ModelMetrics]) -> str:
    """CSV with one row per model; lists, such as metrics of each class, are JSON in their cell."""
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
    """A value as it is written in CSV: text that a spreadsheet would compute is escaped."""
    return spelling.cell(spelling.spelt(value)) if isinstance(value, str) else value


def is_list(value: object) -> bool:
    """Whether a metric is a list with a value for each class."""
    return isinstance(value, list | tuple)


def _jsonable(value: Any) -> Any:
    """The value with null for numbers that are not finite, and strings `spelt`."""
    if isinstance(value, Mapping):
        return {name: _jsonable(inner) for name, inner in value.items()}
    if is_list(value):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, str):
        return spelling.spelt(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_cells(groups: Sequence[Group]) -> list[list[str]]:
    """The cells of a table as text: one row per metric, one column per group, with differences from
    the first group; the first row has the names of the columns.

    Several seeds are shown as mean and sample standard deviation.
    """
    head = [""]
    for number, group in enumerate(groups):
        head += [group.name, DIFFERENCE] if number else [group.name]
    rows = [head]
    for metric in dict.fromkeys(name for group in groups for name in group.results[0]):
        if metric == "model" or any(is_list(group.results[0].get(metric)) for group in groups):
            continue
        cells = [metric]
        for number, group in enumerate(groups):
            cells.append(_cell(group, metric))
            if number:
                cells.append(_difference(groups[0], group, metric))
        rows.append(cells)
    return rows


def _values(group: Group, metric: str) -> list[Any]:
    return [result[metric] for result in group.results if metric in result]


def _cell(group: Group, metric: str) -> str:
    values = _values(group, metric)
    if not values:
        return ""
    if len(values) == 1 or not isinstance(values[0], float):
        return number_text(values[0])
    if not all(map(math.isfinite, values)):
        return number_text(statistics.mean(values))
    return f"{number_text(statistics.mean(values))} ± {number_text(statistics.stdev(values))}"


def _difference(first: Group, other: Group, metric: str) -> str:
    a, b = _values(first, metric), _values(other, metric)
    same_data = first.results[0].get("dataset") == other.results[0].get("dataset")
    if not (a and b) or not isinstance(a[0], float) or not same_data:
        return ""
    change = statistics.mean(b) - statistics.mean(a)
    return ("+" if change > 0 else "") + number_text(change)


def number_text(value: Any) -> str:
    """A number with 4 significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
