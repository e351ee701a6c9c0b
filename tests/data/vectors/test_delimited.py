"""CSV that is read in pieces."""

import subprocess
import sys

import numpy as np
import pytest

from aectl.data.codes.table_content import TableError
from aectl.data.vectors import delimited
from aectl.data.vectors.columns import Wanted

NUMBERS = "".join(f"{n},{n / 7}\r\n" for n in range(50)).encode()
TABLES = {
    "names": b"id,a,b\n" + b"".join(b"row %d, %d,\n" % (n, n) for n in range(50)),
    "no names": NUMBERS,
    "a line that does not end": NUMBERS.strip(),
    "empty lines": NUMBERS.replace(b"7,", b"\n7,") + b"\n" * 9,
    "a word at the end": b"\xef\xbb\xbfa,b\n" + NUMBERS + b"3,high\n",
    "a word at the start": b"a,b\n1,NA\nlow,3\n" + NUMBERS,
    "fewer values": NUMBERS + b"9\n" + NUMBERS,
    "quoted": b"a,b\n" + b'"1\n2",3\n' * 30,
}


@pytest.mark.parametrize("size", [1, 40, 300])
@pytest.mark.parametrize("content", TABLES.values(), ids=TABLES)
def test_a_table_in_pieces_has_the_columns_of_the_whole(monkeypatch, content, size):
    whole = delimited.of_delimited_content(content, Wanted())
    monkeypatch.setattr(delimited, "PIECE", size)
    monkeypatch.setattr(delimited, "ROWS", 1)
    found = delimited.of_delimited_content(content, Wanted())
    assert [*found] == [*whole]
    for name, column in whole.items():
        assert type(found[name]) is type(column)
        np.testing.assert_array_equal(found[name], column)


@pytest.mark.parametrize(
    ("last", "reason"),
    [(b"1,2,3\n", "more values than the first line"), (b"\xff,2\n", "it is not UTF-8")],
)
def test_what_is_wrong_in_a_later_piece_is_said(monkeypatch, last, reason):
    monkeypatch.setattr(delimited, "PIECE", 40)
    monkeypatch.setattr(delimited, "ROWS", 1)
    with pytest.raises(TableError, match=reason):
        delimited.of_delimited_content(NUMBERS + last + b"1,2\n" * 20, Wanted())


READ = """
import resource, sys
from pathlib import Path
from aectl.data.vectors import delimited
from aectl.data.vectors.columns import Wanted
delimited.PIECE = 1 << 20
most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
delimited.of_delimited_content(b"1,2\\n" * 300_000, Wanted())
before = most()
delimited.of_delimited(Path(sys.argv[1]), 0, Wanted())
print(most() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="units of ru_maxrss differ")
def test_reading_takes_less_than_twice_the_memory_of_the_file(tmp_path):
    path = tmp_path / "v.csv"
    row = ",".join(map(str, np.random.default_rng(0).random(40)))
    path.write_text(f"{row}\n" * 60_000)
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, check=True)
    assert int(done.stdout) < 2 * path.stat().st_size
