"""Tables of numbers as columns: what is a number, what is missing, and what is text."""

import datetime
from decimal import Decimal

import numpy as np
import polars
import pytest

from aectl.data.codes.table_content import TableError
from aectl.data.vectors.columns import Wanted, vectors_of
from aectl.data.vectors.delimited import of_delimited_content
from aectl.data.vectors.vector_tables import of_json_lines, of_parquet

ROOM = 1 << 28
TABLES = {
    "commas": b"a,b\n1,2.5\n3,4\n",
    "semicolons": b"a;b\n1;2.5\n3;4\n",
    "a mark at the start": b"\xef\xbb\xbfa,b\n1,2.5\n3,4\n",
    "line ends of Windows": b"a,b\r\n1,2.5\r\n3,4\r\n",
    "spaces": b"a,b\n 1, 2.5\n3 ,4\n",
    "exponents": b"a,b\n1e0,25e-1\n3.0,+4\n",
    "quotes": b'"a","b"\n"1","2.5"\n3,4\n',
}


def vectors(columns, **wanted):
    return vectors_of(columns, Wanted(**wanted))


@pytest.mark.parametrize("content", TABLES.values(), ids=TABLES)
def test_tables_of_many_kinds_are_the_same_numbers(content):
    file = vectors(of_delimited_content(content, Wanted()))
    assert file.columns == ("a", "b")
    np.testing.assert_array_equal(file.block(0, 2), [[1, 2.5], [3, 4]])


def test_a_first_line_of_numbers_is_a_row_and_columns_have_no_names():
    file = vectors(of_delimited_content(b"1,2\n3,4\n", Wanted()))
    assert (len(file), file.columns) == (2, ())


@pytest.mark.parametrize("word", ["", "NA", "N/A", "nan", "NaN", "null", "None", " "])
def test_words_for_a_missing_value_are_no_text(word):
    file = vectors(of_delimited_content(f"a,b\n1,2\n{word},3\n".encode(), Wanted()))
    np.testing.assert_array_equal(file.block(0, 2), [[1, 2], [np.nan, 3]])


def test_names_and_labels_of_rows_stay_as_they_are_written():
    content = b"id,class,a,b\n007,1.0,1,2\n123456789012345678,x,3,4\n"
    file = vectors(of_delimited_content(content, Wanted()))
    assert (file.ids, file.labels) == (["007", "123456789012345678"], ["1.0", "x"])
    assert file.columns == ("a", "b")
    assert len(file.remarks) == 2


def test_asked_for_columns_name_and_label_rows_and_are_the_features():
    content = b"id,class,a,b\n7,1,1,2\n8,2,3,4\n"
    asked = {"id_column": "a", "label_column": "b", "features": ("class, i*", "id")}
    file = vectors(of_delimited_content(content, Wanted(**asked)), **asked)
    assert (file.ids, file.labels) == (["1", "3"], ["2", "4"])
    assert (file.columns, file.remarks) == (("class", "id"), ())
    np.testing.assert_array_equal(file.block(0, 2), [[1, 7], [2, 8]])


@pytest.mark.parametrize(("asked", "reason"), [
    ({"id_column": "z"}, "no column z, which --id-column names; it has id, a, t"),
    ({"label_column": "z"}, "no column z, which --label-column names"),
    ({"features": ("a,z",)}, "no column z, which --columns names"),
    ({"features": ("t",)}, "its column t does not hold numbers, such as 'x'"),
    ({"known": ("a", "y", "z")}, "lacks columns of the model: y, z"),
])  # fmt: skip
def test_columns_that_are_not_there_are_named(asked, reason):
    columns = of_delimited_content(b"id,a,t\n1,2,x\n", Wanted(**asked))
    with pytest.raises(TableError, match=reason.replace("(", r"\(")):
        vectors(columns, **asked)


def test_columns_of_text_are_left_out_and_named():
    file = vectors(of_delimited_content(b"a,note,b\n1,x,2\n", Wanted()))
    assert file.columns == ("a", "b")
    assert file.remarks == ("columns that hold no numbers are left out: note",)


def parquet(path, **columns):
    polars.DataFrame(columns).write_parquet(path)
    return of_parquet(path, ROOM)


def test_numbers_of_any_type_in_parquet_are_features(tmp_path):
    few = polars.Series([1, 2], dtype=polars.UInt8)
    found = parquet(
        tmp_path / "a.parquet", i=[1, None], f=[0.5, 1.5], b=[True, False],
        d=[Decimal("1.25"), Decimal("2")], h=few, n=[None] * 2,
    )  # fmt: skip
    file = vectors(found)
    assert file.columns == ("i", "f", "b", "d", "h", "n")
    nan = np.nan
    np.testing.assert_array_equal(
        file.block(0, 2), [[1, 0.5, 1, 1.25, 1, nan], [nan, 1.5, 0, 2, 2, nan]]
    )


def test_dates_and_nested_lists_in_parquet_are_no_features(tmp_path):
    found = parquet(
        tmp_path / "a.parquet", day=[datetime.date(2026, 1, 1)], deep=[[[1.0]]], a=[1.0]
    )
    assert vectors(found).columns == ("a",)


@pytest.mark.parametrize("kind", [polars.List(polars.Float32), polars.Array(polars.Float32, 3)])
def test_a_column_of_vectors_in_parquet_is_all_features(tmp_path, kind):
    rows = [[1.0, 2.0, 3.0], [4.0, None, 6.0], None]
    found = parquet(tmp_path / "a.parquet", v=polars.Series(rows, dtype=kind), more=[1, 2, 3])
    file = vectors(found)
    assert file.columns == ()
    assert file.remarks == ("beside the vectors in v, left out: more",)
    nan = np.nan
    np.testing.assert_array_equal(file.block(0, 3), [[1, 2, 3], [4, nan, 6], [nan] * 3])


@pytest.mark.parametrize(("rows", "reason"), [
    ([[1.0], [1.0, 2.0]], "different numbers of values in v"), ([[], []], "holds empty lists"),
])  # fmt: skip
def test_ragged_vectors_in_parquet_are_refused(tmp_path, rows, reason):
    with pytest.raises(TableError, match=reason):
        parquet(tmp_path / "a.parquet", v=rows)


def test_one_of_several_columns_of_vectors_is_chosen_by_name(tmp_path):
    found = parquet(tmp_path / "a.parquet", v=[[1.0]], w=[[2.0]])
    with pytest.raises(TableError, match=r"several columns of vectors \(v, w\)"):
        vectors(found)
    assert vectors(found, features=("w",)).block(0, 1) == 2


def test_objects_of_json_may_lack_a_value(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1, "s": "x"}\n\n{"b": 2.5, "a": null}\n')
    file = vectors(of_json_lines(path, ROOM))
    assert file.columns == ("a", "b")
    nan = np.nan
    np.testing.assert_array_equal(file.block(0, 2), [[1, nan], [nan, 2.5]])


def test_a_number_beyond_floats_in_json_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1%s}\n' % ("0" * 400))
    with pytest.raises(TableError, match="column a has a number beyond"):
        of_json_lines(path, ROOM)
