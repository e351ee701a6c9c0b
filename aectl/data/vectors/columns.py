"""The columns of a table: those that are features, and those that name and label its rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aectl.config.spelling import first_of, from_table, guarded
from aectl.data.codes.table_content import VECTOR, TableError
from aectl.data.vectors.vector_file import VectorFile, checked

Texts = list[str | None]
Columns = Mapping[str, "NDArray[Any] | Texts"]
"""The columns of a table by name: numbers, (n,), with NaN where one is missing; vectors,
(n, width); or texts."""

IDS = ("path", "id", "ids", "index", "key", "name", "filename", "file", "")
LABELS = ("label", "labels", "class", "classes", "target", "species", "category")
"""Names, in lower case, of columns that name rows and label them, the first first; without a name
is the index of a data frame."""

MOST_NAMED = 8

NAMELESS = "(without a name)"

UNNAMED = re.compile(r"f\d+|column_\d+")
"""Names of columns that say no more than their number."""


@dataclass(frozen=True)
class Wanted:
    """The columns that are asked for: names or patterns of features, and the names of those that
    name and label the rows; `known` are the features of a model, if they have names, and
    `remembered` what named and labelled the rows that it was trained on."""

    features: tuple[str, ...] = ()
    id_column: str | None = None
    label_column: str | None = None
    known: tuple[str, ...] = ()
    remembered: tuple[str | None, str | None] = (None, None)

    def as_text(self, name: str) -> bool:
        """Whether a column names or labels rows, asked for or by its name."""
        if name in (self.id_column, self.label_column, *self.remembered):
            return True
        usual = name.lower() in (*IDS, *LABELS)
        return usual and name not in self.known and not self.names(name)

    def names(self, column: str) -> bool:
        """Whether a column is a feature by its own name, and not only by a pattern."""
        return any(column in (word, *_parts(word)) for word in self.features)


def vectors_of(columns: Columns, wanted: Wanted) -> VectorFile:
    """The vectors of a table. Raises TableError if it has none, or lacks a column."""
    chosen = _Choice(columns, wanted)
    names = chosen.features()
    numbers = [_numbers(name, columns[name]) for name in names]
    if any(column.ndim == 2 for column in numbers) and len(names) > 1:
        raise TableError(f"its columns {first_of(names, MOST_NAMED)} are not all single numbers")
    if len(names) == 1 and numbers[0].ndim == 2:
        rows, names = np.asarray(numbers[0]), []
    else:
        rows = np.empty((len(numbers[0]), len(numbers)), np.float32)
        with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, and is refused
            for place, column in enumerate(numbers):
                rows[:, place] = column
    if names and all(map(UNNAMED.fullmatch, names)):
        names = []
    return VectorFile(
        checked(rows), False, tuple(names), chosen.ids(), chosen.labels(), tuple(chosen.remarks)
    )


def _parts(word: str) -> list[str]:
    """The names or patterns in a word, which commas separate."""
    return [part.strip() for part in word.split(",")]


def _numbers(name: str, column: "NDArray[Any] | Texts") -> NDArray[Any]:
    """A column of numbers. Raises TableError for any other."""
    if isinstance(column, list):
        sample = repr(next(filter(None, column), ""))[:40]
        raise TableError(f"its column {name} does not hold numbers, such as {sample}")
    return column


ALL = Wanted()


class _Choice:
    """The columns of a table, sorted by their use."""

    def __init__(self, columns: Columns, wanted: Wanted) -> None:
        self._columns, self._wanted = columns, wanted
        self.remarks: list[str] = []
        before_id, before_label = wanted.remembered
        self._id = self._named(wanted.id_column, before_id, IDS, "--id-column", "rows are named by")
        self._label = self._named(
            wanted.label_column, before_label, LABELS, "--label-column", "labels are in"
        )

    def _named(
        self, asked: str | None, before: str | None, usual: Sequence[str], option: str, doing: str
    ) -> str | None:
        """The column that is asked for, or has a usual name; if that is guessed, it is remarked."""
        if asked is not None:
            if asked not in self._columns:
                raise TableError(f"it has no column {asked}, which {option} names; {self._there()}")
            return asked
        if before in self._columns:
            return before
        for name in usual:
            for column in self._columns:
                if column.lower() != name or not self._wanted.as_text(column):
                    continue
                if not _is_vector(self._columns[column]):
                    self.remarks.append(f"{doing} the column {column or NAMELESS}")
                    return column
        return None

    def features(self) -> list[str]:
        """The names of the columns that are features."""
        if self._wanted.features:
            return self._asked()
        others = {k: v for k, v in self._columns.items() if k not in (self._id, self._label)}
        if {"indices", "values"} <= others.keys():
            raise TableError("its vectors are sparse: write them with --layout columns or vector")
        vectors = [name for name, column in others.items() if _is_vector(column)]
        if self._wanted.known and not vectors and not all(map(UNNAMED.fullmatch, others)):
            return self._known()
        if len(vectors) > 1 and VECTOR not in vectors:
            raise TableError(
                f"it has several columns of vectors ({first_of(vectors, MOST_NAMED)}): choose one"
                " with --columns"
            )
        naming = [name for name in others if self._wanted.as_text(name) and name not in vectors]
        unnamed = {k: v for k, v in others.items() if k not in naming}
        texts = [name for name, column in unnamed.items() if isinstance(column, list)]
        numbers = [name for name, column in unnamed.items() if not isinstance(column, list)]
        found = [VECTOR if VECTOR in vectors else vectors[0]] if vectors else numbers
        if not found:
            raise TableError(f"it has no columns of numbers; {self._there()}")
        if naming:
            self.remarks.append(
                "columns that seem to name or label rows, too, are left out:"
                f" {first_of([name or NAMELESS for name in naming], MOST_NAMED)}"
            )
        if texts:
            self.remarks.append(
                f"columns that hold no numbers are left out: {first_of(texts, MOST_NAMED)}"
            )
        more = [name for name in numbers if name != found[0]] if vectors else []
        if more:
            self.remarks.append(
                f"beside the vectors in {found[0]}, left out: {first_of(more, MOST_NAMED)}"
            )
        return found

    def _known(self) -> list[str]:
        """Those of the model; the others are not read."""
        missing = [name for name in self._wanted.known if name not in self._columns]
        if missing:
            raise TableError(
                f"it lacks columns of the model: {first_of(missing, MOST_NAMED)}; {self._there()}"
            )
        return list(self._wanted.known)

    def _asked(self) -> list[str]:
        """Those that are asked for, by name or by pattern, in the order in which they are."""
        found: dict[str, None] = {}
        for word in self._wanted.features:
            names = [word] if word in self._columns else []
            for pattern in [] if names else _parts(word):
                matching = [name for name in self._columns if fnmatchcase(name, pattern)]
                if pattern in self._columns:
                    matching = [pattern]
                if not matching:
                    raise TableError(
                        f"it has no column {pattern}, which --columns names; {self._there()}"
                    )
                names += [name for name in matching if name not in (self._id, self._label)]
            found |= dict.fromkeys(names)
        return list(found)

    def ids(self) -> Sequence[str]:
        """The name of each row; none without a column for that."""
        return () if self._id is None else names_in(self._columns, self._id)

    def labels(self) -> Sequence[str | None]:
        """The label of each row; none without a column for that."""
        return () if self._label is None else labels_in(self._columns, self._label)

    def _there(self) -> str:
        return f"it has {first_of(self._columns, MOST_NAMED) or 'no columns'}"


def names_in(columns: Columns, name: str) -> list[str]:
    """The names of rows in a column, as aectl writes them; none without the column."""
    if name not in columns:
        return []
    return [guarded(from_table(one or "")) for one in _as_texts(columns[name])]


def labels_in(columns: Columns, name: str) -> Texts:
    """The labels of rows in a column; none without the column."""
    return _as_texts(columns[name]) if name in columns else []


def _is_vector(column: "NDArray[Any] | Texts") -> bool:
    return not isinstance(column, list) and column.ndim == 2


def _as_texts(column: "NDArray[Any] | Texts") -> Texts:
    """A column as text: whole numbers without a point; None where a value is missing."""
    if isinstance(column, list):
        return column
    return [_number(value) for value in column.tolist()]


def _number(value: float) -> str | None:
    if value != value:
        return None
    return str(int(value)) if float(value).is_integer() else repr(value)
