"""Lines of a journal: read back, and refused where they are damaged."""

import json
import zlib
from pathlib import Path

import pytest

from aectl.data.named_inputs import Position
from aectl.errors import OutputError
from aectl.outputs import journal
from aectl.outputs.journal import NOTHING, Kept, kept_of, notes_of

KEPT = Kept(3, 120, 77, Position(4, "abc"), [("x.png", "is damaged")])


def line(**changes):
    """A line with some fields changed, and a checksum that is right."""
    note = {**json.loads(json.dumps(KEPT.as_json())), **changes}
    del note["sum"]
    return {**note, "sum": zlib.crc32(json.dumps(note).encode())}


def test_a_state_comes_back_from_its_line():
    assert kept_of(json.loads(json.dumps(KEPT.as_json())), NOTHING) == KEPT
    assert kept_of(line(rows=9), KEPT).rows == 9


def test_the_checksum_is_the_crc_of_the_other_fields():
    note = KEPT.as_json()
    found = note.pop("sum")
    assert found == zlib.crc32(json.dumps(note).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": -1}, {"rows": "3"}, {"rows": True}, {"size": 1.5}, {"crc": None},
        {"position": [4]}, {"position": ["4", "abc"]}, {"position": [4, 5]}, {"position": None},
        {"position": [-1, "abc"]}, {"bad": [["x.png"]]}, {"bad": [["x.png", 3]]}, {"bad": 3},
    ],
    ids=str,
)  # fmt: skip
def test_a_field_of_another_form_is_refused_though_the_checksum_is_right(changes):
    with pytest.raises((ValueError, TypeError)):
        kept_of(line(**changes), NOTHING)


@pytest.mark.parametrize("changes", [{"rows": 2}, {"size": 119}, {"position": [3, "abc"]}], ids=str)
def test_a_state_does_not_go_back_behind_the_one_before(changes):
    kept_of(line(**changes), NOTHING)
    with pytest.raises(ValueError, match=r"^$"):
        kept_of(line(**changes), KEPT)


def test_a_line_whose_checksum_is_wrong_or_absent_is_refused():
    with pytest.raises(ValueError, match=r"^$"):
        kept_of({**line(), "rows": 4}, NOTHING)
    with pytest.raises(KeyError):
        kept_of({name: value for name, value in line().items() if name != "sum"}, NOTHING)


def test_an_incomplete_last_line_is_dropped_and_another_is_named_by_its_number():
    path = Path("j.jsonl")
    assert notes_of(b'{"a": 1}\n{"b": 2}\n{"c', path) == [{"a": 1}, {"b": 2}]
    assert notes_of(b'{"a": 1}', path) == []
    for wrong in (b"rubbish", b"[1]", b"[" * 100_000, b""):
        with pytest.raises(OutputError, match=r"j\.jsonl is damaged in line 2; --overwrite starts"):
            notes_of(b'{"a": 1}\n' + wrong + b"\n{}\n", path)


def test_the_checksum_of_a_file_is_zlib_s_over_any_part_and_goes_on(tmp_path):
    path, content = tmp_path / "x", bytes(range(256)) * 9000
    path.write_bytes(content)
    assert len(content) > 2 * journal.PIECE
    assert journal.checksum(path) == zlib.crc32(content)
    assert journal.checksum(path, 100, 1_500_000) == zlib.crc32(content[100:1_500_000])
    half = journal.checksum(path, 0, 1000)
    assert journal.checksum(path, 1000, None, half) == zlib.crc32(content)
