"""IDX files that are packed by hand."""

import gzip
import struct

import numpy as np
import pytest

from aectl.data.images import idx
from aectl.errors import DataError


def packed(values, kind=8):
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, kind, values.ndim, *values.shape)
    return header + values.tobytes()


VALUES = np.arange(2 * 3 * 300, dtype=np.uint8).reshape(2, 3, 300)


@pytest.mark.parametrize("values", [VALUES, VALUES[0, 0], VALUES[:0]], ids=["3", "1", "none"])
@pytest.mark.parametrize("zipped", [False, True])
def test_values_come_back_in_their_shape(tmp_path, values, zipped):
    path = tmp_path / "images-idx"
    assert not idx.present(path)
    if zipped:
        (tmp_path / "images-idx.gz").write_bytes(gzip.compress(packed(values)))
    else:
        path.write_bytes(packed(values))
    assert idx.present(path)
    assert np.array_equal(idx.read(path), values)
    assert idx.read(path).shape == values.shape


def test_a_plain_file_comes_before_a_packed_one(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(packed(VALUES)))
    (tmp_path / "x").write_bytes(packed(VALUES[0]))
    assert idx.read(tmp_path / "x").shape == (3, 300)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0\0\x08", packed(VALUES)[:-1], packed(VALUES) + b"\0", packed(VALUES, kind=9),
        b"\1" + packed(VALUES)[1:], b"\0\0\x08\xff" + bytes(100),
    ],
)  # fmt: skip
def test_another_content_is_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match="is not an IDX file of bytes, or is cut short"):
        idx.read(tmp_path / "x")


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-9], lambda c: c[5:], lambda c: c[:30] + b"\xff" * 9]
)
def test_a_damaged_packing_is_refused_with_the_way_out(tmp_path, damage):
    (tmp_path / "x.gz").write_bytes(damage(gzip.compress(packed(VALUES))))
    with pytest.raises(DataError, match=r"x\.gz is damaged .* without it, it is downloaded again"):
        idx.read(tmp_path / "x")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no x"):
        idx.read(tmp_path / "x")
