"""Tables of codes: what other programs write is read, and what lies is refused by what is wrong."""

import gzip
import io
import os
import zipfile

import numpy as np
import polars
import pytest
import scipy.sparse

from aectl.data.codes import code_tables as module
from aectl.data.codes.code_tables import read_codes
from aectl.errors import DataError

DENSE = np.array([[0, 1.5, 0, -2], [0, 0, 0, 0], [3, 0, 0, 0.1]], np.float32)
CSR = scipy.sparse.csr_matrix(DENSE)
SOUND = {
    "format": np.array(b"csr"), "shape": np.array([3, 4]), "indptr": CSR.indptr,
    "indices": CSR.indices, "data": CSR.data, "path": np.array(["a", "b", "c"]),
}  # fmt: skip


def read(path, units=4):
    codes = read_codes(path, None, units)
    values = codes.part(slice(None))
    assert values.dtype == np.float32
    return list(codes.names), values


def npz(folder, arrays, **how):
    path = folder / "t.npz"
    np.savez(path, **arrays) if not how else np.savez_compressed(path, **arrays)
    return path


def integers(*values):
    return np.array(values, np.int32)


LIES = {
    "an index beyond the units": ({"indices": integers(1, 4, 0, 3)}, "row 1 has unit 4, beyond"),
    "a negative index": ({"indices": integers(1, 3, -1, 3)}, "row 3 has unit -1, beyond"),
    "an index beyond 32 bits": ({"indices": np.array([1, 3, 0, 2**40])}, "row 3 has unit"),
    "a unit twice in a row": ({"indices": integers(1, 1, 0, 3)}, "row 1 has the same unit twice"),
    "indices of floats": ({"indices": np.array([1, 3, 0, 3], float)}, "indices .*whole numbers"),
    "indices of text": ({"indices": np.array(["1", "3", "0", "3"])}, "indices .*whole numbers"),
    "indices of objects": ({"indices": np.array([1, 3, 0, 3], object)}, "numbers nor strings"),
    "too few indices": ({"indices": integers(1, 3)}, "2 indices for 4 values"),
    "indices in two dimensions": ({"indices": integers([1, 3], [0, 3])}, "whole numbers"),
    "ends that fall": ({"indptr": integers(0, 3, 2, 4)}, "does not rise"),
    "an end beyond the values": ({"indptr": integers(0, 2, 2, 9)}, "does not rise"),
    "ends that begin late": ({"indptr": integers(1, 2, 2, 4)}, "does not rise"),
    "a negative end": ({"indptr": integers(0, -2, 2, 4)}, "does not rise"),
    "too few ends": ({"indptr": integers(0, 2, 4)}, "3 numbers, not 4"),
    "ends of floats": ({"indptr": np.array([0, 2, 2, 4.0])}, "whole numbers"),
    "ends beyond 63 bits": ({"indptr": np.array([0, 2, 2, 2**64 - 1], np.uint64)}, "too large"),
    "a shape of more rows": ({"shape": np.array([4, 4])}, "not 5"),
    "a shape of all memory": ({"shape": np.array([2**62, 4])}, "4 numbers, not"),
    "a shape of more units": ({"shape": np.array([3, 5])}, "5 features a row"),
    "a negative shape": ({"shape": np.array([-3, 4])}, "two whole numbers"),
    "a shape of one": ({"shape": np.array([3])}, "two whole numbers"),
    "values of text": ({"data": np.array(["1"] * 4)}, "not numbers"),
    "values of objects": ({"data": np.array([1.0] * 4, object)}, "numbers nor strings"),
    "a value of infinity": ({"data": np.array([1, 2, np.inf, 1])}, "row 3 has a feature"),
    "a value that is none": ({"data": np.array([np.nan, 2, 3, 1])}, "row 1 has a feature"),
    "a value beyond 32 bits": ({"data": np.array([1, 2, 3, 1e39])}, "row 3 has a feature"),
    "another matrix": ({"format": np.array(b"csc")}, "tocsr"),
    "another matrix, without ends": ({"format": np.array(b"coo"), "indptr": None}, "tocsr"),
    "a format of numbers": ({"format": np.array(3)}, "strings"),
    "too few paths": ({"path": np.array(["a"])}, "1 paths for 3 rows"),
    "paths of numbers": ({"path": np.arange(3)}, "strings"),
    "half a character": ({"path": np.array(["a", "\ud800", "c"])}, "unpaired surrogate"),
}


@pytest.mark.parametrize("lie, said", LIES.values(), ids=LIES)
def test_a_matrix_that_lies_is_refused_by_what_is_wrong(tmp_path, lie, said):
    arrays = {name: array for name, array in (SOUND | lie).items() if array is not None}
    path = npz(tmp_path, arrays)
    with pytest.raises(DataError, match=said) as refused:
        read(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("kind", [np.int64, np.uint64, np.int16, ">i4"])
def test_a_matrix_is_what_scipy_reads(tmp_path, kind):
    arrays = SOUND | {name: SOUND[name].astype(kind) for name in ("indptr", "indices")}
    names, values = read(npz(tmp_path, arrays))
    assert names == ["a", "b", "c"]
    np.testing.assert_array_equal(values, scipy.sparse.load_npz(tmp_path / "t.npz").toarray())
    np.testing.assert_array_equal(values, DENSE)


def test_units_of_a_row_may_stand_in_any_order(tmp_path):
    arrays = SOUND | {"indices": CSR.indices[[1, 0, 3, 2]], "data": CSR.data[[1, 0, 3, 2]]}
    np.testing.assert_array_equal(read(npz(tmp_path, arrays))[1], DENSE)


def test_some_rows_of_a_sparse_table_are_those_of_all(tmp_path):
    codes = read_codes(npz(tmp_path, SOUND), None, 4)
    for rows in (slice(0, 1), slice(1, 2), slice(1, 3), slice(2, 9), slice(3, 3)):
        np.testing.assert_array_equal(codes.part(rows), DENSE[rows])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<f2", "<i4", "|u1"])
def test_a_dense_array_of_any_numbers_is_read(tmp_path, kind, order):
    features = np.asarray(np.abs(DENSE), kind, order=order)
    wanted = features.astype(np.float32)
    np.testing.assert_array_equal(read(npz(tmp_path, {"features": features}))[1], wanted)
    packed = npz(tmp_path, {"features": features}, compressed=True)
    names, values = read(packed)
    np.testing.assert_array_equal(values, wanted)
    assert names == ["0", "1", "2"]


def test_a_path_in_bytes_that_are_not_utf8_is_read(tmp_path):
    arrays = {"features": DENSE, "path": np.array([b"a", b"\xff.png", b"c"])}
    assert os.fsencode(read(npz(tmp_path, arrays))[0][1]) == b"\xff.png"


NO_FEATURES = {
    "semicolons": ("t.csv", "path;f0;f1\na;1;2\n"),
    "UTF-16": ("t.csv", "path,f0,f1\na,1,2\n".encode("utf-16")),
    "other names": ("t.csv", "path,x,y\na,1,2\n"),
    "other fields": ("t.jsonl", '{"path":"a","x":1}\n'),
}


@pytest.mark.parametrize("name, text", NO_FEATURES.values(), ids=NO_FEATURES)
def test_a_table_without_features_says_which_columns_hold_them(tmp_path, name, text):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match="columns f0 to f3 separated by commas, features, or"):
        read(tmp_path / name)


def test_an_index_in_json_that_is_no_whole_number_is_called_an_index(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"indices":[0,1.0],"values":[1,2]}\n')
    with pytest.raises(DataError, match="row 1 has an index that is not a whole number"):
        read(tmp_path / "t.jsonl")


def test_an_array_of_three_dimensions_is_refused_for_them(tmp_path):
    with pytest.raises(DataError, match="array features has 3 dimensions"):
        read(npz(tmp_path, {"features": DENSE[None]}))


def with_header(folder, header, content=b"", wide=True):
    """An .npz file whose array of features has this header."""
    length = len(header).to_bytes(4 if wide else 2, "little")
    with zipfile.ZipFile(folder / "t.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        begin = b"\x93NUMPY" + (b"\x02\x00" if wide else b"\x01\x00")
        archive.writestr("features.npy", begin + length + header + content)
    return folder / "t.npz"


def claim(shape, descr="<f4"):
    return repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()


HEADERS = {
    "more rows than there are": claim((10**9, 4)),
    "sizes whose product overflows": claim((2**62, 2**62)),
    "a negative size": claim((-1, 4)),
    "sizes of floats": claim((1.0, 4)),
    "seventy dimensions": claim((1,) * 70),
    "objects": claim((1, 4), "|O"),
    "records": claim((1, 4), [("a", "<f4")]),
    "numbers of 99 bytes": claim((1, 4), "<f99"),
    "code": b"__import__('os').system('touch ran')",
    "brackets": b"[" * 9999,
    "no end of them": b"(" * 9999,
    "a huge header": b" " * (1 << 20),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_an_array_whose_header_lies_is_refused(tmp_path, header, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"array features"):
        read(with_header(tmp_path, header, bytes(16)))
    assert not (tmp_path / "ran").exists()


def test_a_header_of_the_older_version_is_read_too(tmp_path):
    path = with_header(tmp_path, claim((3, 4)), DENSE.tobytes(), wide=False)
    np.testing.assert_array_equal(read(path)[1], DENSE)


@pytest.mark.parametrize("name", ["features", "path"])
def test_an_array_that_expands_beyond_the_bound_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(module, "LEAST_ROOM", 1 << 20)
    huge = np.zeros((80_000, 4), np.float32) if name == "features" else np.array(["x" * 400_000])
    path = npz(tmp_path, {"features": DENSE[:1], name: huge}, compressed=True)
    with pytest.raises(DataError, match="expands to more"):
        read(path)
    monkeypatch.setattr(module, "LEAST_ROOM", 4 << 20)
    np.testing.assert_array_equal(
        read(path)[1], np.zeros((80_000, 4)) if name == "features" else DENSE[:1]
    )


def test_compressed_text_that_expands_beyond_the_bound_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LEAST_ROOM", 1 << 20)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"f0,f1,f2,f3\n" + b"0,0,0,0\n" * 200_000))
    with pytest.raises(DataError, match="expands to more"):
        read(path)


def test_a_parquet_file_that_expands_beyond_all_memory_is_refused(tmp_path):
    zeros = polars.select(f0=polars.repeat(0.0, 100_000_000, dtype=polars.Float32))
    zeros.lazy().sink_parquet(tmp_path / "t.parquet")
    assert os.path.getsize(tmp_path / "t.parquet") < 1 << 20
    with pytest.raises(DataError, match="damaged, or expands"):
        read(tmp_path / "t.parquet", 1)


@pytest.mark.usefixtures("processes_of_their_own")
def test_damaged_parquet_is_refused_in_a_line(tmp_path):
    """As one that ends polars with a panic, which is no Exception."""
    path = tmp_path / "t.parquet"
    polars.DataFrame(DENSE, [f"f{n}" for n in range(4)]).write_parquet(path)
    whole = path.read_bytes()
    np.testing.assert_array_equal(read(path)[1], DENSE)
    for place in (5, 40, len(whole) - 30):
        path.write_bytes(whole[:place] + b"\xff" * 20 + whole[place + 20 :])
        with pytest.raises(DataError, match="cannot read") as refused:
            read(path)
        assert len(str(refused.value).splitlines()) == 1


FRAMES = {
    "lists of text": {"indices": [["1"]] * 2, "values": [[1.0]] * 2},
    "negative units": {"indices": [[1], [-1]], "values": [[1.0], [1.0]]},
    "a unit twice": {"indices": [[1, 1], []], "values": [[1.0, 2.0], []]},
    "no unit": {"indices": [[None], [1]], "values": [[1.0], [1.0]]},
    "floats for units": {"indices": [[1.0], [2.0]], "values": [[1.0], [1.0]]},
    "other lengths": {"indices": [[1], [2]], "values": [[1.0, 2.0], []]},
    "ragged vectors": {"features": [[1.0] * 4, [1.0] * 3]},
    "vectors with a hole": {"features": [[1.0] * 4, [1.0, None, 1.0, 1.0]]},
    "no vectors": {"features": [1.0, 2.0]},
    "columns of text": {f"f{n}": ["1", "2"] for n in range(4)},
    "columns of true": {f"f{n}": [True, False] for n in range(4)},
    "a column too few in the middle": {f"f{n}": [1.0, 2.0] for n in (0, 1, 3, 4)},
    "structures": {"features": [{"a": 1}, {"a": 2}]},
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
def test_columns_of_other_kinds_are_refused(tmp_path, ending, frame):
    path, written = tmp_path / f"t{ending}", polars.DataFrame(frame, strict=False)
    if ending == ".parquet":
        written.write_parquet(path)
    else:
        written.write_ndjson(path)
    with pytest.raises(DataError, match="cannot read"):
        read(path)


LINES = {
    "a row too long": ("t.csv", "f0,f1,f2,f3\n1,2,3,4,5\n"),
    "a row too short": ("t.csv", "f0,f1,f2,f3\n1,2,3,4\n1,2\n"),
    "text": ("t.csv", "f0,f1,f2,f3\n1,2,3,true\n"),
    "infinity": ("t.csv", "f0,f1,f2,f3\n1,2,3,inf\n"),
    "a number beyond 32 bits": ("t.csv", "f0,f1,f2,f3\n1,2,3,1e39\n"),
    "a column twice": ("t.csv", "f0,f1,f2,f3,f3\n1,2,3,4,5\n"),
    "a column that is missing": ("t.csv", "f0,f1,f2,f4\n1,2,3,4\n"),
    "no UTF-8": ("t.csv", "path,f0,f1,f2,f3\n\udcff,1,2,3,4\n"),
    "a negative unit": ("t.csv", "indices,values\n-1,1.0\n"),
    "a unit twice in a row": ("t.csv", "indices,values\n1 1,1.0 2.0\n"),
    "a unit beyond": ("t.csv", "indices,values\n4,1.0\n"),
    "a unit of a hundred digits": ("t.csv", f"indices,values\n{'9' * 100},1.0\n"),
    "a value of a thousand digits": ("t.jsonl", '{"indices":[1],"values":[1%s]}' % ("0" * 999)),
    "a unit of a thousand digits": ("t.jsonl", '{"indices":[1%s],"values":[1]}' % ("0" * 999)),
    "true": ("t.jsonl", '{"features":[1,2,3,true]}'),
    "text in a vector": ("t.jsonl", '{"features":[1,2,3,"4"]}'),
    "null": ("t.jsonl", '{"f0":1,"f1":2,"f2":null,"f3":4}'),
    "what JSON has no number for": ("t.jsonl", '{"features":[1,2,3,Infinity]}'),
    "depth": ("t.jsonl", "[" * 200_000),
    "a list": ("t.jsonl", "[1,2,3,4]"),
    "nothing": ("t.jsonl", "\n\n"),
    "half a character": ("t.jsonl", '{"path":"\\ud800","features":[1,2,3,4]}'),
    "other columns": ("t.jsonl", '{"features":[1,2,3,4]}\n{"f0":1,"f1":2,"f2":3,"f3":4}'),
    "no gzip": ("t.csv.gz", "f0\n1\n"),
}  # fmt: skip


@pytest.mark.parametrize("name, text", LINES.values(), ids=LINES)
def test_lines_that_are_no_codes_are_refused_in_a_line(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"cannot read .*t\.") as refused:
        read(tmp_path / name)
    assert len(str(refused.value).splitlines()) == 1


ZIPS = {
    "cut short": lambda whole: whole[:-40],
    "no end": lambda whole: whole[:100],
    "another checksum": lambda whole: whole.replace(DENSE.tobytes(), DENSE[::-1].tobytes()),
    "nothing": lambda whole: b"",
    "an empty archive": lambda whole: b"PK\x05\x06" + bytes(18),
    "encrypted": lambda whole: encrypted(whole),
}


def encrypted(whole):
    """The flag of the first entry in the directory says that it is encrypted."""
    place = whole.index(b"PK\x01\x02") + 8
    return whole[:place] + b"\x01" + whole[place + 1 :]


@pytest.mark.parametrize("damage", ZIPS.values(), ids=ZIPS)
def test_a_damaged_npz_is_refused_in_a_line(tmp_path, damage):
    path = npz(tmp_path, {"features": DENSE})
    whole = path.read_bytes()
    assert damage(whole) != whole
    path.write_bytes(damage(whole))
    with pytest.raises(DataError, match=r"\.npz file|no array features") as refused:
        read(path)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".jsonl", ".parquet", ".npz"])
def test_a_pipe_that_might_never_end_is_refused(tmp_path, ending):
    os.mkfifo(tmp_path / f"t{ending}")
    with pytest.raises(DataError, match="not a regular file"):
        read(tmp_path / f"t{ending}")


def test_csv_on_stdin_is_what_numpy_reads():
    text = b"path,f1,f0\na,0.1,1e-45\nb,3.4028235e38,16777217\n"
    codes = read_codes(module.Path("-"), io.BytesIO(text), 2)
    wanted = np.array([["1e-45", "0.1"], ["16777217", "3.4028235e38"]]).astype(np.float32)
    np.testing.assert_array_equal(codes.part(slice(None)), wanted)
