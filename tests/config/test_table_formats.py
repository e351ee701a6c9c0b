"""The table of formats: each is listed, written and read."""

import pkgutil

import pytest

from aectl.config.table_formats import TABLE_FORMATS

each_format = pytest.mark.parametrize("ending", TABLE_FORMATS)


@each_format
def test_its_names_are_those_of_a_class_and_a_function(ending):
    row = TABLE_FORMATS[ending]
    assert isinstance(pkgutil.resolve_name(row.writer), type)
    assert callable(pkgutil.resolve_name(row.reader))


@pytest.mark.parametrize("verb", ["encode", "classify"])
def test_the_help_of_out_lists_every_format(aectl, verb):
    shown = " ".join(aectl(verb, "--help").out.replace("│", " ").split())
    assert f"its extension ({' '.join(TABLE_FORMATS)}) sets the format" in shown


@each_format
def test_a_table_of_codes_that_is_written_is_read(aectl, dense, tmp_path, ending):
    codes = tmp_path / f"codes{ending}"
    assert aectl("encode", dense, "digits:test/0", "--out", codes).status == 0
    made = aectl("reconstruct", dense, "--from-codes", codes, "--out", tmp_path / "made.png")
    assert (made.status, made.err) == (0, "")
