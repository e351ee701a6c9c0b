"""Texts beside their reconstructions."""

from types import SimpleNamespace

import pytest

from aectl.outputs.text_rows import to_columns, to_text


def result(shorter=None):
    return SimpleNamespace(original=["a cat", "b"], shorter=shorter, reconstruction=["a", "b c"])


@pytest.mark.parametrize(
    ("shorter", "names"),
    [
        (None, ["original", "reconstruction"]),
        (["x", ""], ["original", "bottleneck", "reconstruction"]),
    ],
)
def test_shorter_texts_stand_between_the_two_where_there_are_any(shorter, names):
    found = to_columns(result(shorter))
    assert list(found) == names
    assert list(found.values())[-1] == ["a", "b c"]
    assert found.get("bottleneck") == shorter


def test_a_text_is_a_line_beside_its_name_and_an_empty_line_parts_the_rows():
    assert to_text(to_columns(result())) == (
        "original        a cat\nreconstruction  a\n\noriginal        b\nreconstruction  b c\n"
    )


def test_characters_that_would_move_the_cursor_are_spelt_out():
    shown = to_text({"original": ["a\x1b[2Jb\nc"]})
    assert shown.count("\n") == 1
    assert "\x1b" not in shown
