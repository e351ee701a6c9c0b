"""The table of a verb that writes a row an input."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from aectl.data.storage.folders import OnBad
    from aectl.inference.in_numpy import InNumpy
    from aectl.outputs.rows import Rows
    from aectl.outputs.tables import Table
    from aectl.verbs.use import Use


class Tabular(Protocol):
    """The results of a verb that writes one row per input."""

    @property
    def use(self) -> "Use": ...
    def key(self) -> dict[str, object]: ...
    def compute(self, network: Any, batches: Iterable[Any], to_tensor: Any) -> Any: ...
    @property
    def in_numpy(self) -> "Callable[[InNumpy, Iterable[Any]], Iterator[Any]] | None": ...
    def rows(self, result: Any) -> "Rows": ...


Each: TypeAlias = "Callable[[Any, OnBad], None]"
"""Is called with each result before its rows are written."""


def tabulate(
    results: Tabular,
    table: "Table",
    on_bad: "OnBad",
    each: Each,
    shown: Callable[[Iterator[Any]], Iterator[Any]] = iter,
) -> None:
    """Writes the rows of all inputs after the last one in a table, which is completed; `shown`
    passes on the results, and may show how many they are."""
    from aectl.outputs.rows import finite_rows

    with (
        table,
        results.use.results(results.compute, table.position, in_numpy=results.in_numpy) as found,
    ):
        for result in shown(found):
            each(result, on_bad)
            table.write(finite_rows(results.rows(result), on_bad))


def nothing_more(result: Any, on_bad: "OnBad") -> None:
    """For results of which only the rows are written."""
