"""Tables of text give the numbers in the columns that are asked for, or say which cell holds none."""

import gzip
import re
import warnings
import zipfile
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from rhohat import open_rows, open_table
from rhohat.data.tables import text


@pytest.fixture
def write(tmp_path):
    """A function that writes a table, and gives its path."""

    def write_table(content, name="t.csv", encoding="utf-8"):
        (tmp_path / name).write_bytes(content.encode(encoding) if isinstance(content, str) else content)
        return tmp_path / name

    return write_table


def read(path, **how):
    """Return all rows, the names of their columns, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with open_rows(path, **how) as rows:
            return rows.read(0, len(rows)).tolist(), rows.feature_names, [str(one.message) for one in caught]


# Columns.


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("by", ["name", "number"])
def test_columns_come_in_the_order_in_which_they_are_asked_for(by, suffix, tmp_path):
    frame = pd.DataFrame({"a": [1.0, 4.0], "b": [2.0, 5.0], "c": [3.0, 6.0], "word": ["x", "y"]})
    path = tmp_path / f"t{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
    subsets = [wanted for n in (1, 2, 3) for wanted in permutations("abc", n)]
    for wanted in subsets:
        columns = list(wanted) if by == "name" else ["abc".index(name) for name in wanted]
        rows, names, _ = read(path, columns=columns)
        assert names == list(wanted)
        assert rows == frame[list(wanted)].to_numpy().tolist()
    with pytest.raises(ValueError, match="has no column named 'd'"):
        read(path, columns=["a", "d"])


def test_all_columns_may_be_asked_for_in_another_order(write):
    path = write("a,b,c\n1,2,3\n4,5,6\n")
    assert read(path, columns=["c", "b", "a"])[0] == [[3, 2, 1], [6, 5, 4]]
    assert read(path, columns=[2, 1, 0])[0] == [[3, 2, 1], [6, 5, 4]]


def test_columns_are_left_out_by_name_or_number(write):
    path = write("a,b,c\n1,x,3\n4,y,6\n")
    assert read(path, drop=["b"])[:2] == ([[1, 3], [4, 6]], ["a", "c"])
    assert read(path, drop=[1])[:2] == ([[1, 3], [4, 6]], ["a", "c"])
    assert read(path, columns=["c", "b"], drop=["b"])[0] == [[3], [6]]
    with pytest.raises(ValueError, match=r"no column .* is left to be read"):
        read(path, drop=["a", "b", "c"])
    with pytest.raises(ValueError, match="must be sequences of names or numbers"):
        read(path, drop="b")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", "frame"])
def test_columns_of_one_name_are_told_apart_or_refused(suffix, tmp_path, write):
    frame = pd.DataFrame([[1.0, 2, 3, 4], [5, 6, 7, 8]], columns=["id", "x", "x", "y"])
    data = frame
    if suffix == ".csv":
        data = write("id,x,x,y\n1,2,3,4\n5,6,7,8\n")
    elif suffix == ".parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        data = tmp_path / "t.parquet"
        pq.write_table(pa.Table.from_arrays([pa.array(frame.iloc[:, k]) for k in range(4)], names=list("ixxy")), data)
        frame.columns = list("ixxy")
    first = frame.columns[0]
    assert read(data)[0] == frame.to_numpy().tolist()
    assert read(data, columns=[first, "x", "x", "y"])[0] == frame.to_numpy().tolist()
    assert read(data, columns=["y", "x", "x"])[0] == [[4, 2, 3], [8, 6, 7]]
    assert read(data, columns=[2, 0])[0] == [[3, 1], [7, 5]]
    with pytest.raises(ValueError, match="has 2 columns named 'x'; choose among them by number, such as 1"):
        read(data, columns=["x", "y"])


# Headers.


@pytest.mark.parametrize(
    ("content", "names", "n_rows"),
    [
        ("0,1,2\n.1,.2,.3\n.4,.5,.6", ["0", "1", "2"], 2),
        ("0,1,2,3,4\n9,8,7,6,5\n1,0,3,5,9\n", list("01234"), 2),
        ("1,2,3\n.1,.2,.3\n", ["1", "2", "3"], 1),
        ("0,1\n.5,.6\n", ["0", "1"], 1),
        ("0.0,1.0,2.0\n.5,.6,.7\n", ["0.0", "1.0", "2.0"], 1),
        ("x,1990,1991,1992\n5,1,2,3\n", ["x", "1990", "1991", "1992"], 1),
    ],
)
def test_numbers_that_count_columns_are_their_names_and_this_is_said(content, names, n_rows, write):
    rows, found, said = read(write(content))
    assert found == names
    assert len(rows) == n_rows
    assert [message for message in said if "taken for the names" in message] or names[0] == "x"
    rows, found, said = read(write(content), header=names[0] == "x")
    assert not said


@pytest.mark.parametrize(
    "content",
    ["1,2,3\n4,5,6\n", "0,1,2\n3,4,5\n", "0,1\n1,0\n", "5\n6\n", "0\n1\n", ".5,1,2\n.1,.2,.3\n", "1,3,2\n.5,.5,.5\n"],
)
def test_a_first_line_of_other_numbers_is_a_row(content, write):
    rows, names, said = read(write(content))
    assert names is None
    assert not said
    assert len(rows) == 2


def test_a_line_of_texts_above_numbers_names_columns_that_counts_stand_among(write):
    path = write("Coffee Type,1,2\nlatte,.1,.2\nmocha,.3,.4\n")
    rows, names, said = read(path, drop=[0])
    assert (rows, names) == ([[0.1, 0.2], [0.3, 0.4]], ["1", "2"])
    assert "pass header=False" in said[0]


def test_who_knows_the_header_says_so(write):
    path = write("0,1,2\n.1,.2,.3\n")
    assert read(path, header=False) == ([[0, 1, 2], [0.1, 0.2, 0.3]], None, [])
    assert read(path, header=True) == ([[0.1, 0.2, 0.3]], ["0", "1", "2"], [])
    assert read(write("5,6\n7,8\n"), header=True)[:2] == ([[7, 8]], ["5", "6"])


def test_a_header_may_be_a_comment_or_end_in_a_separator(write):
    assert read(write("# a,b\n1,2\n"))[:2] == ([[1, 2]], ["a", "b"])
    assert read(write("# made on a Monday\n1,2\n"))[:2] == ([[1, 2]], None)
    for content in ("a,b,\n1,2,\n3,4,\n", "a,b,\n1,2\n3,4\n", "a,b\n1,2,\n3,4,\n"):
        assert read(write(content)) == ([[1, 2], [3, 4]], ["a", "b"], [])


def test_lines_may_be_as_long_as_they_like(write, tmp_path, rng):
    names = [f"{'gene ' * 90}{number}" for number in range(10_000)]
    X = rng.integers(0, 99, (3, len(names)))
    pd.DataFrame(X, columns=names).to_csv(tmp_path / "wide.csv", index=False)
    assert len((tmp_path / "wide.csv").read_text().split("\n")[0]) > 2**22
    with open_rows(tmp_path / "wide.csv") as rows:
        assert rows.feature_names == names
        assert np.array_equal(rows.read(0, 3), X)


# An index.


@pytest.mark.parametrize(
    "content",
    [
        ",a,b\n0,1,2\n1,3,4\n",
        ",a,b\n43,1,2\n7,3,4\n",
        '"","a","b"\n"1",1,2\n"2",3,4\n',
        '"","a","b"\n"first",1,2\n"second",3,4\n',
        '"a" "b"\n"first" 1 2\n"second" 3 4\n',
        "Unnamed: 0,a,b\n0,1,2\n1,3,4\n",
    ],
)
def test_a_column_without_a_name_that_numbers_or_names_rows_is_left_out_and_this_is_said(content, write):
    rows, names, said = read(write(content))
    assert (rows, names) == ([[1, 2], [3, 4]], ["a", "b"])
    assert any("has no name and numbers or names the rows, so it is left out" in message for message in said)
    assert read(write(content), columns=["b"])[0] == [[2], [4]]
    assert read(write(content), columns=[0])[0] == [[1], [3]]


def test_column_numbers_beside_an_index_are_names(write):
    rows, names, _ = read(write(",0,1\n0,.1,.2\n1,.3,.4\n"))
    assert (rows, names) == ([[0.1, 0.2], [0.3, 0.4]], ["0", "1"])


@pytest.mark.parametrize("content", [",a\n1,2\n1,4\n", ",a\n0.5,2\n0.6,4\n", "n,a\n0,2\n1,4\n"])
def test_what_does_not_number_rows_or_has_a_name_is_a_feature(content, write):
    assert np.shape(read(write(content))[0]) == (2, 2)


# Notations.


@pytest.mark.parametrize(
    ("content", "how"),
    [
        ("a;b\n1,5;2\n3;4\n", {"decimal": ","}),
        ("sep=;\na;b\n1.5;2\n3;4\n", {}),
        ("a|b\n1.5|2\n3|4\n", {}),
        ("a\tb\n1.5\t2\n3\t4\n", {}),
        ("a b\n 1.5   2\n3 4 \n", {}),
        ("a_1.5_2\n".replace("a_", "a_b\n", 1).replace("\n1", "\n1") + "3_4\n", {"separator": "_"}),
        ("a,b\r\n1.5,2\r\n3,4\r\n", {}),
        ("a,b\r1.5,2\r3,4\r", {}),
        ("a,b\n\n1.5,2\n\n3,4\n\n\n", {}),
        ('a,b\n"1.5","2"\n"3", 4\n', {}),
    ],
)
def test_tables_are_read_in_many_notations(content, how, write):
    rows, names, _ = read(write(content), **how)
    assert (rows, names) == ([[1.5, 2], [3, 4]], ["a", "b"])


def test_groups_of_digits_may_be_set_apart(write):
    assert read(write('a,b\n"1,234,567.5",2\n"3",4\n'), thousands=",")[0] == [[1234567.5, 2], [3, 4]]
    assert read(write("a;b\n1.234,5;2\n3;4\n"), thousands=".", decimal=",")[0] == [[1234.5, 2], [3, 4]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_are_told_by_their_first_bytes(encoding, write):
    assert read(write("größe,b\n1,2\n", encoding=encoding))[:2] == ([[1, 2]], ["größe", "b"])


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
def test_other_encodings_are_said(encoding, write):
    path = write("größe,b\n1,2\n", encoding=encoding)
    assert read(path, encoding=encoding)[:2] == ([[1, 2]], ["größe", "b"])
    if encoding == "latin-1":
        with pytest.raises(
            ValueError,
            match=r"is not text in the encoding utf-8 .*\. Pass the encoding that it is in, such as encoding=",
        ):
            open_rows(path)


def test_a_wrong_byte_far_down_is_one_in_another_encoding(write):
    path = write(b"a,b\n" + b"1,2\n" * 5000 + "1,ä\n".encode("latin-1"))
    with pytest.raises(ValueError, match="encoding='latin-1'"):
        open_rows(path)


def test_other_columns_may_hold_anything(write):
    content = 'day,note,a\n2020-01-01,"one\nand two",1\n2020-01-02,"three, four",2\n'
    assert read(write(content), columns=["a"])[0] == [[1], [2]]


def test_truth_values_are_numbers(write):
    assert read(write("a,is_warm\n1,True\n2,False\n3,TRUE\n"))[0] == [[1, 1], [2, 0], [3, 1]]
    with pytest.raises(ValueError, match="in line 1002, column 'is_warm' holds 'maybe'"):
        open_rows(write("a,is_warm\n" + "1,True\n" * 1000 + "1,maybe\n"))


# Missing values.


@pytest.mark.parametrize("cell", ["", "NA", "NaN", "nan", "?", "null", "N/A"])
def test_missing_values_are_refused_left_out_or_kept(cell, write):
    path = write(f"a,b\n1,2\n3,{cell}\n5,6\n")
    with pytest.raises(ValueError, match=r"missing values: in line 3 of .*t\.csv, column 'b' (is empty|holds)"):
        open_rows(path)
    with open_rows(path, missing="drop") as rows:
        assert rows.read(0, 2).tolist() == [[1, 2], [5, 6]]
        assert rows.kept.tolist() == [0, 2]
        assert "1 of the 3 rows of" in rows.notes[-1]
    with open_rows(path, missing="keep") as rows:
        assert np.isnan(rows.read(0, 3)).tolist() == [[False, False], [False, True], [False, False]]
    assert read(path, columns=["a"])[0] == [[1], [3], [5]]


def test_missing_values_of_parquet_files_are_those_of_texts(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0, None], "n": pd.array([4, None, 6], "Int64"), "t": [True, None, False]})
    frame.to_parquet(tmp_path / "t.parquet")
    with (
        open_rows(tmp_path / "t.parquet") as rows,
        pytest.raises(ValueError, match="in its column 'a', first in row 2"),
    ):
        rows.read(0, 3)
    with open_rows(tmp_path / "t.parquet", missing="drop") as rows:
        assert rows.read(0, 1).tolist() == [[1, 4, 1]]
    with open_rows(tmp_path / "t.parquet", missing="keep") as rows:
        assert np.isnan(rows.read(0, 3)).sum() == 3


def test_a_table_of_nothing_but_missing_values_has_no_rows(write):
    with pytest.raises(ValueError, match="has no row without missing values"):
        open_rows(write("a,b\n1,\n,2\n"), missing="drop")
    with pytest.raises(ValueError, match="missing must be 'error', 'drop' or 'keep'"):
        open_rows(write("a,b\n1,2\n"), missing="mean")


# What is wrong is said.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n3,4,5\n", "has 3 cells in line 3, but 2 cells in its first row"),
        ("a,b\n" + "1,2\n" * 3000 + "1,2,3\n", "has 3 cells in line 3002"),
        ("a,b,c\n1,2\n", "names 3 columns, but has 2 columns"),
        ("a;b;c\n1;2;3\n1;2\n1;2;3;4\n1;2;3\n", "has 4 cells in line 4, but 3 cells in its first row"),
        ("a,b\n", "has no rows below the line that names its columns"),
        ("\n\n", "has no rows"),
        ("a,b,c\nx,1,y\n", "in line 2, column 'a' holds 'x', column 'c' holds 'y'. Choose other columns"),
        ("a;b\n1,5;2\n", "pass decimal=','"),
        ("a;b\n1.234,5;2\n", "pass decimal=',' and thousands='.'"),
        ('a,b\n"1,234.5",2\n', "pass thousands=','"),
        ("a,b\n" + "1,2\n" * 99_999 + "1,x\n", "in line 100001, column 'b' holds 'x'"),
        ('a,b\n"1\n",2\n"x\n",3\n', "in line 5, column 'a' holds 'x'"),
    ],
)
def test_the_line_and_the_column_of_what_is_no_number_are_named(content, message, write):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        open_rows(write(content))


def test_more_cells_than_are_chosen_are_noticed(write):
    with pytest.raises(ValueError, match="has 3 cells in line 3, but 2 cells in its first row"):
        open_rows(write("a,b\n1,2\n3,4,5\n"), columns=["a"])


# Parsing.


def test_numbers_have_the_bits_that_were_written(rng, tmp_path, monkeypatch):
    X = rng.normal(size=(3000, 7)) * 10.0 ** rng.integers(-300, 300, (3000, 7))
    pd.DataFrame(X).to_csv(tmp_path / "t.csv", index=False, header=False)
    np.savetxt(tmp_path / "t.txt", X, "%.17g")
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write((tmp_path / "t.csv").read_text())
    monkeypatch.setattr(text, "_CELLS_AT_ONCE", 5000)
    for name in ("t.csv", "t.txt", "t.csv.gz"):
        with open_rows(tmp_path / name) as rows:
            assert np.array_equal(rows.read(0, 3000), X)


def test_a_table_is_parsed_once(rng, tmp_path, monkeypatch):
    np.savetxt(tmp_path / "t.csv", rng.random((100, 3)), delimiter=",")
    opened = []
    monkeypatch.setattr(text, "open_text", lambda *args, **kw: opened.append(1) or _open_text(*args, **kw))
    _open_text = text.__dict__["find_dialect"].__globals__["open_text"]
    with open_rows(tmp_path / "t.csv") as rows:
        for _ in range(5):
            rows.read(0, 100)
        rows.extent()
    assert len(opened) == 1


def test_rows_stay_when_the_file_changes_or_goes(write):
    path = write("a,b\n1,2\n3,4\n")
    with open_rows(path) as rows:
        path.unlink()
        assert rows.read(0, 2).tolist() == [[1, 2], [3, 4]]


def test_a_missing_parser_is_named_with_its_extra(write, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install .*\[tables\]'"):
        open_rows(write("1,2\n3,4\n"))


# Targets.


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_to_be_predicted_comes_with_the_rows(suffix, tmp_path):
    frame = pd.DataFrame({"a": [1.0, 3], "kind": ["x", "y"], "b": [2.0, 4], "mass": [5, 6]})
    path = tmp_path / f"t{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
    rows, y = open_table(path, "kind", drop=["mass"])
    with rows:
        assert (rows.feature_names, y.tolist()) == (["a", "b"], ["x", "y"])
    rows, y = open_table(path, ["mass", "b"], columns=["a", "b"])
    with rows:
        assert (rows.feature_names, y.tolist()) == (["a"], [[5, 2], [6, 4]])
    rows, y = open_table(path, 3, columns=["a"])
    with rows:
        assert y.tolist() == [5, 6]
    with pytest.raises(ValueError, match=r"has no column named 'masse'.* Did you mean 'mass'"):
        open_table(path, "masse")
    with pytest.raises(ValueError, match="at least one column"):
        open_table(path, [])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("missing", ["", None, "?", "NaN", "NA"])
def test_a_missing_label_is_no_class(missing, suffix, tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2, 3], "y": ["1", missing, "2"]})
    path = tmp_path / f"t{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
    with pytest.raises(
        ValueError, match=r"column 'y'.* has no value in 1 of (the )?3 rows.* first in (line 3|row 1)\."
    ):
        open_table(path, "y")
    for how in ("drop", "keep"):
        rows, y = open_table(path, "y", missing=how)
        with rows:
            assert rows.read(0, 2).tolist() == [[1], [3]]
            assert rows.kept.tolist() == [0, 2]
            assert [str(label) for label in y] == ["1", "2"]


@pytest.mark.parametrize("texts", ["error", "code"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_with_missing_cells_are_kept_if_they_have_a_target(suffix, texts, tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2, None, 4], "y": [3.5, None, 5.5, 6.5]})
    path = tmp_path / f"t{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
    rows, y = open_table(path, "y", missing="keep", texts=texts)
    with rows:
        np.testing.assert_array_equal(rows.read(0, 3)[:, 0], [1, np.nan, 4])
        assert (y.tolist(), rows.n_rows_found) == ([3.5, 5.5, 6.5], 4)
        assert "1 of the 4 rows of" in rows.notes[-1]
        assert "has no value in the column 'y', which is to be predicted, and is left out" in rows.notes[-1]


def test_missing_cells_and_missing_targets_are_named_together(write):
    with pytest.raises(ValueError, match=r"in line 2 of .*, column 'a' is empty; in line 3, column 'y' is empty"):
        open_table(write("a,y\n,1\n2,\n3,3\n"), "y")


def test_only_a_table_has_columns_to_be_predicted(tmp_path):
    np.save(tmp_path / "t.npy", np.ones((3, 2)))
    with pytest.raises(ValueError, match="target columns are read from tables"):
        open_table(tmp_path / "t.npy", 1)
    with pytest.raises(ValueError, match="is a folder"):
        open_table(tmp_path, 1)


def test_wide_tables_are_read_as_others_are(write, monkeypatch):
    monkeypatch.setattr(text, "_WIDE", 1)
    assert read(write(",a,b\n5,1.5,True\n7,3,false\n"))[:2] == ([[1.5, 1], [3, 0]], ["a", "b"])
    assert read(write("a;b\n1,5;2\n3;4\n"), decimal=",")[0] == [[1.5, 2], [3, 4]]
    assert read(write("a,word,b\n1,x,2\n\n3,y,4\n"), columns=["b", "a"])[0] == [[2, 1], [4, 3]]
    assert read(write("a,b\n1,\n3,4\n"), missing="drop")[0] == [[3, 4]]
    rows, y = open_table(write("a,word\n1,x\n3,y\n"), "word")
    with rows:
        assert y.tolist() == ["x", "y"]
    for content, message in (
        ("a,b\n1,2\n3,x\n", "in line 3, column 'b' holds 'x'"),
        ("a,b\n1,2\n3,4,5\n", "has 3 cells in line 3"),
        ("a,b\n1,2\n3,\n", "missing values: in line 3"),
    ):
        with pytest.raises(ValueError, match=message):
            open_rows(write(content))


# What is expected decides, and what is unclear is said.


def test_names_that_are_asked_for_tell_the_line_of_names(write):
    path = write("1,2,year\n5,6,7\n8,9,10\n")  # all numbers or all texts say nothing
    assert read(path, columns=["year"])[:2] == ([[7], [10]], ["year"])
    path = write("a,b,c\nx,1,y\nz,2,w\n")
    assert read(path, columns=["b"])[:2] == ([[1], [2]], ["b"])
    rows, y = open_table(
        write("kind,x\nsmall,big\nbig,small\n".replace("x\n", "1990\n").replace(",big", ",5").replace(",small", ",6")),
        "kind",
    )
    with rows:
        assert (rows.feature_names, y.tolist()) == (["1990"], ["small", "big"])


@pytest.mark.parametrize("header", ["1990,1995,2000", "10,20,30"])
def test_different_whole_numbers_above_decimals_are_names_and_this_is_said(header, write):
    rows, names, said = read(write(f"{header}\n0.5,1.5,2.5\n3.5,4.5,5.5\n"))
    assert (names, len(rows)) == (header.split(","), 2)
    assert "taken for the names of its columns" in said[0]


@pytest.mark.parametrize(
    ("content", "how", "expected"),
    [
        ("1,5;2,5\n3,5;4,5\n", {"decimal": ","}, [[1.5, 2.5], [3.5, 4.5]]),
        ("1,5\n2,5\n3,5\n", {"decimal": ","}, [[1.5], [2.5], [3.5]]),
        ("x\n0,63\n0,26\n", {"decimal": ","}, [[0.63], [0.26]]),
        ("1,000;2\n3,000;4\n", {"thousands": ","}, [[1000, 2], [3000, 4]]),
        ("1 000;2\n3 000;4\n", {"thousands": " "}, [[1000, 2], [3000, 4]]),
    ],
)
def test_a_sign_within_numbers_does_not_separate_them(content, how, expected, write):
    assert read(write(content), **how)[0] == expected


@pytest.mark.parametrize("separator", ["\t", ";", "|"])
def test_texts_with_spaces_do_not_hide_the_separator(separator, write):
    lines = [["height", "weight", "class"], *([f"17{i}.5", f"{60 + i}.5", f"class {i % 2}"] for i in range(9))]
    path = write("\n".join(separator.join(cells) for cells in lines))
    rows, names, said = read(path, columns=["weight", "height"])
    assert (rows[0], names, said) == ([60.5, 170.5], ["weight", "height"], [])
    rows, y = open_table(path, "class")
    with rows:
        assert (rows.feature_names, set(y)) == (["height", "weight"], {"class 0", "class 1"})


@pytest.mark.parametrize("content", ["1 2\t3\n4 5\t6\n", "1\t2 3\n4\t5 6\n"])
def test_spaces_and_tabs_may_stand_between_numbers(content, write):
    assert read(write(content))[0] == [[1, 2, 3], [4, 5, 6]]


def test_a_row_with_more_cells_than_names_is_not_shifted(write):
    """Unless the cells before it tell the rows apart, as R's names of rows do."""
    with pytest.raises(
        ValueError, match=r"names 1 column, but has 2 columns\. If its lines are split in the wrong places"
    ):
        read(write("x\n0,63\n0,26\n"))
    assert read(write("x\n1,63\n2,26\n"))[:2] == ([[63], [26]], ["x"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(encoding, write):
    marked = "\ufeffa,b\n1,2\n" if encoding != "utf-16" else "a,b\n1,2\n"
    assert read(write(marked, encoding=encoding), encoding=encoding)[:2] == ([[1, 2]], ["a", "b"])


# Indices.


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (",,a\nx,0,5\nx,1,6\ny,0,7\n", ["a"]),
        ("Unnamed: 0.1,Unnamed: 0,a\n0,0,5\n1,1,6\n2,2,7\n", ["a"]),
        (",a\nann,5\nann,6\nbob,7\n", ["a"]),
        ("Unnamed: 0,a\n3,5\n1,6\n2,7\n", ["a"]),
        (",Unnamed: 0,a\n0,9,5\n1,9,6\n2,8,7\n", ["a"]),
    ],
)
def test_columns_without_names_that_tell_rows_apart_are_left_out_together(content, names, write):
    rows, found, said = read(write(content))
    assert (rows, found) == ([[5], [6], [7]], names)
    assert "left out" in said[0]
    assert read(write(content), columns=[0])[1] == ["a"]


def test_a_column_without_a_name_that_is_read_is_said(write):
    rows, _, said = read(write(",a\n1,5\n1,6\n"))
    assert rows == [[1, 5], [1, 6]]
    assert "leave it out with drop=[0]" in said[0]


def test_an_index_of_parquet_with_a_name_is_left_out_with_a_word_and_read_by_name(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [5.0, 6.0]})
    frame.set_index("a").to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    rows, names, said = read(tmp_path / "t.parquet")
    assert (rows, names) == ([[3, 5], [4, 6]], ["b", "c"])
    assert "index of" in said[0]
    assert "'a', is left out" in said[0]
    for columns in (["c", "a"], ["a"], ["a", "b", "c"]):
        assert read(tmp_path / "t.parquet", columns=columns) == read(tmp_path / "t.csv", columns=columns)
    rows, y = open_table(tmp_path / "t.parquet", "a")
    with rows:
        assert (rows.feature_names, y.tolist()) == (["b", "c"], [1.0, 2.0])
    pd.DataFrame({"b": [1.0, 2.0]}, index=[7, 9]).to_parquet(tmp_path / "u.parquet")
    assert read(tmp_path / "u.parquet") == ([[1], [2]], ["b"], [])


# Cells.


def test_rows_that_begin_like_comments_are_rows(write):
    content = "#ff0000,0.5,1\n#00ff00,0.6,2\n#0000ff,0.7,3\n"
    assert read(write(content), columns=[1, 2])[0] == [[0.5, 1], [0.6, 2], [0.7, 3]]
    assert read(
        write("colour,x\n" + content.replace(",1\n", "\n").replace(",2\n", "\n").replace(",3\n", "\n")), drop=[0]
    )[0] == [[0.5], [0.6], [0.7]]


@pytest.mark.parametrize("content", ["a,b,\n1,2,\n3,4,\n", "1,2,\n3,4,\n", "a;b;\n1;2;\n3;4;\n"])
def test_a_separator_at_the_end_of_each_line_is_no_column(content, write):
    assert read(write(content))[0] == [[1, 2], [3, 4]]


@pytest.mark.parametrize("cell", ["1_000", "1__0", "_1"])
def test_underscores_are_no_part_of_numbers(cell, write):
    with pytest.raises(ValueError, match=f"column 'b' holds '{cell}'"):
        read(write(f"a,b\n1,2\n3,{cell}\n"))


def test_cells_may_be_as_long_as_they_like(write):
    path = write("text,a\n" + f'"{"x" * 300_000}",1\ny,2\n')
    assert read(path, drop=["text"])[0] == [[1], [2]]


def test_what_pandas_cannot_read_is_read_row_by_row(write):
    content = "a,b\n" + "1,2\n" * 300 + ' "3" , 4\n5,6\n'
    assert read(write(content))[0][300:] == [[3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("content", "how", "advice"),
    [
        ('a,b\n"1,000",2\n"3,500",4\n', {}, "pass thousands=','; if it stands before the decimals, pass decimal=','"),
        ('a,b\n"0,5",2\n', {}, "pass decimal=','"),
        ("a;b\n1'000;2\n", {}, 'pass thousands="\'"'),
        ("a;b\n1.5;2\n", {"decimal": ","}, "pass decimal='.'"),
        ("a,b\n1,2\n1.2o,3\n", {}, "Correct this line, or remove it from the table"),
        ("a,b\nx,2\n", {}, "Choose other columns"),
    ],
)
def test_advice_is_of_the_kind_of_what_is_no_number(content, how, advice, write):
    with pytest.raises(ValueError, match=re.escape(advice)):
        read(write(content), **how)


def test_a_workbook_of_excel_is_named_as_such(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(
        ValueError, match="is an Excel workbook, or another document of an office program; save its table as CSV"
    ):
        open_rows(tmp_path / "t.xlsx")


def test_an_encoding_that_does_not_show_is_asked_for(write):
    path = write("a,b\n1,2\n", encoding="utf-16-le")
    with pytest.raises(ValueError, match="pass encoding='utf-16-le'"):
        read(path)
    assert read(path, encoding="utf-16-le")[:2] == ([[1, 2]], ["a", "b"])


# Tables in memory, and in several files.


def test_missing_values_in_memory_are_left_out_or_kept():
    frame = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": [4.0, 5.0, 6.0]})
    for data in (frame, frame.to_numpy(), open_rows(frame.to_numpy())):
        with open_rows(data, missing="drop") as rows:
            assert rows.read(0, 2).tolist() == [[1, 4], [3, 6]]
            assert (rows.kept.tolist(), rows.n_rows_found) == ([0, 2], 3)
            assert "1 of the 3 rows" in rows.notes[0]
        with open_rows(data, missing="keep") as rows:
            assert np.isnan(rows.read(1, 2)[0, 0])
    with open_rows(frame, missing="drop", columns=["b"]) as rows:
        assert len(rows) == 3
    with pytest.raises(ValueError, match="has no row without missing values"):
        open_rows(np.full((2, 2), np.nan), missing="drop")


def test_rows_are_left_out_of_tables_only(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    with pytest.raises(
        ValueError, match=r"left out of tables \(CSV and Parquet files\) and of arrays in memory only; .*x\.npy"
    ):
        open_rows(tmp_path / "x.npy", missing="drop")


def test_other_tables_in_memory(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0], "when": pd.to_datetime(["2020-01-01", "2021-01-01"]), "b": [3, 4]})
    with pytest.raises(ValueError, match=r"its column 'when' holds datetime64.*Choose other columns"):
        open_rows(frame)
    assert read(frame, drop=["when"])[:2] == ([[1, 3], [2, 4]], ["a", "b"])
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.Table.from_pandas(frame[["a", "b"]])
    assert read(table, columns=["b", "a"])[:2] == ([[3, 1], [4, 2]], ["b", "a"])
    dask = pytest.importorskip("dask.dataframe")
    with pytest.raises(ValueError, match="convert this DataFrame into a dense array first"):
        open_rows(dask.from_pandas(frame[["a", "b"]], npartitions=1))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_shards_whose_columns_stand_in_another_order_are_read_in_the_first_ones(suffix, tmp_path):
    for number, names in enumerate((["a", "b", "c"], ["c", "a", "b"])):
        frame = pd.DataFrame({"a": [1.0], "b": [2.0], "c": [3.0]})[names]
        path = tmp_path / f"{number}{suffix}"
        frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    assert read(tmp_path)[:2] == ([[1, 2, 3], [1, 2, 3]], ["a", "b", "c"])
    (tmp_path / "2.csv").write_text("a,b,d\n1,2,3\n")
    with pytest.raises(ValueError, match="has the feature names"):
        read(tmp_path)


def test_rows_left_out_of_shards_and_parts_are_known(tmp_path):
    (tmp_path / "0.csv").write_text("a,b\n1,2\n,3\n4,5\n")
    (tmp_path / "1.csv").write_text("a,b\n,2\n6,7\n")
    with open_rows(tmp_path, missing="drop") as rows:
        assert (rows.n_rows_found, rows.kept.tolist()) == (5, [0, 2, 4])
        part = rows[1:]
        assert (part.n_rows_found, part.kept.tolist()) == (5, [2, 4])
        with open_rows(rows, transform=lambda block: 2 * block) as doubled:
            assert (doubled.n_rows_found, doubled.kept.tolist()) == (5, [0, 2, 4])
