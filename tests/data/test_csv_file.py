"""Tables of text: columns by name, and what is no table in a line."""

import numpy as np
import pytest

from dimref.data import DataError
from dimref.data.csv_file import numbers_of, read_csv


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a,b\n1,2\n3,4.5\n", {"a": [1.0, 3.0], "b": [2.0, 4.5]}),
        ("\ufeff a ;b\n1; x, y \n\n3;z\n", {"a": [1.0, 3.0], "b": ["x, y", "z"]}),
        ("1\t2\n3\t-4e1\n", {"1": [1.0, 3.0], "2": [2.0, -40.0]}),
        ('n,"a ""b"""\n"1","x\nz"\n', {"n": [1.0], 'a "b"': ["x\nz"]}),
        ("a\n", {"a": []}),
    ],
)
def test_columns_have_names_and_are_numbers_where_all_entries_are(text, columns, tmp_path):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    found = read_csv(tmp_path / "t.csv")
    assert {name: column.tolist() for name, column in found.items()} == columns
    assert all(column.dtype.kind in "fU" for column in found.values())


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "expected a table, found an empty file"),
        (b"a,b\n1\n", "expected 2 entries in each row, found 1 in row 1"),
        (b"a,a\n1,2\n", "expected a name for each column, found 'a' twice"),
        ("a,b\n1,2\n".encode("utf-16"), "expected a table as text in UTF-8"),
    ],
)
def test_what_is_no_table_is_reported_in_a_line(content, line, tmp_path):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=line):
        read_csv(tmp_path / "t.csv")
    with pytest.raises(DataError, match="no such file"):
        read_csv(tmp_path / "none.csv")


def test_the_first_text_in_a_column_is_named(tmp_path):
    with pytest.raises(DataError, match=r"t.csv, column 'a': expected numbers .*--categorical.*, found '' in row 2"):
        numbers_of(tmp_path / "t.csv", "a", np.array(["1", "", "x"]))
