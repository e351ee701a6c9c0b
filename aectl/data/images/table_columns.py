"""The columns of tables of images that label their rows, and name their files."""

from collections.abc import Sequence
from typing import NamedTuple

from aectl.config.declaration import near_miss
from aectl.config.spelling import first_of
from aectl.data.codes.table_content import TableError
from aectl.data.vectors.columns import LABELS, MOST_NAMED


class LabelColumn(NamedTuple):
    """The column that labels the rows of a table: the one that is `asked` for; else the one that
    labelled what a model was trained on, or one with a usual name."""

    asked: str | None = None
    before: str | None = None

    def among(self, columns: Sequence[str]) -> str | None:
        """That of a table with such columns; None if there is none. Raises TableError for one that
        is asked for and is not there."""
        if self.asked is not None:
            refuse_absent(columns, self.asked, "--label-column")
            return self.asked
        if self.before in columns:
            return self.before
        lower = {name.lower(): name for name in reversed(columns)}
        return next((lower[name] for name in LABELS if name in lower), None)


USUAL_LABELS = LabelColumn()


def refuse_absent(columns: Sequence[str], name: str, option: str) -> None:
    """Raises TableError for a column that an option names and the table does not have."""
    if name not in columns:
        close = near_miss(name, columns)
        raise TableError(f"it has no column {name}, which {option} names{close}; {there(columns)}")


def there(columns: Sequence[str]) -> str:
    """The columns of a table, for a message."""
    return f"it has {first_of(columns, MOST_NAMED) or 'no columns'}"
