"""Rows of a table by their traits: fields of a dataclass that are neither None nor False."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any


def with_trait(rows: Mapping[str, Any], trait: str) -> tuple[str, ...]:
    """The names of the rows that have a trait. Raises ValueError if rows have no such field."""
    if any(trait not in {field.name for field in fields(row)} for row in rows.values()):
        raise ValueError(f"there is no trait {trait!r}")
    traits = {name: getattr(row, trait) for name, row in rows.items()}
    return tuple(name for name, value in traits.items() if value is not None and value is not False)
