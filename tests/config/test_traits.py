"""Traits of rows, by one rule for every table."""

from dataclasses import dataclass

import pytest

from aectl.config.traits import with_trait


@dataclass(frozen=True)
class Row:
    switch: bool = False
    amount: float | None = None


ROWS = {"none": Row(), "on": Row(switch=True), "zero": Row(amount=0.0), "both": Row(True, 2.0)}


@pytest.mark.parametrize(
    ("trait", "having"), [("switch", ("on", "both")), ("amount", ("zero", "both"))]
)
def test_a_trait_is_had_where_its_field_is_neither_none_nor_false(trait, having):
    assert with_trait(ROWS, trait) == having


def test_a_trait_that_no_row_has_a_field_for_is_refused():
    with pytest.raises(ValueError, match="there is no trait 'size'"):
        with_trait(ROWS, "size")
