"""Labels in files of text are what they look like, and none of them is missing."""

import warnings

import numpy as np
import pytest

from rhohat.data.rows.positioned import PositionedFile
from rhohat.data.tables.labels import as_labels, as_numbers_or_texts, read_text_labels


@pytest.fixture
def labels(tmp_path):
    """A function that reads labels of a file with some content, without heeding warnings."""

    def read(content, n_samples=None):
        path = tmp_path / "y.csv"
        path.write_text(content)
        file = PositionedFile(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                return read_text_labels(file, "y.csv", n_samples).tolist()
            finally:
                file.close()

    return read


@pytest.mark.parametrize(
    ("content", "n_samples", "expected"),
    [
        (",target\n0,1.5\n1,2.5\n", 2, [1.5, 2.5]),  # as pandas writes it
        (",target\n5,1.5\n3,2.5\n", None, [1.5, 2.5]),
        ('"","x"\n"1","cat"\n"2","dog"\n', 2, ["cat", "dog"]),  # as R does
        ("label\n1\n2\n", None, [1, 2]),
        ("0\n1\n2\n", 2, [1, 2]),  # the name of a series without one
        ("0\n1\n2\n", 3, [0, 1, 2]),
        ("0\n1\n2\n", None, [0, 1, 2]),
        ("cat\ndog\ncat\n", 3, ["cat", "dog", "cat"]),
        ("cat\ndog\ncat\n", 2, ["dog", "cat"]),
        ("cat\ndog\ncat\n", None, ["cat", "dog", "cat"]),
        ("kind\ncat\ndog\ncat\ndog\n", None, ["cat", "dog", "cat", "dog"]),
        ("to be\nor not\n", None, ["to be", "or not"]),
        ("New York\nLos Angeles\nNew York\n", 3, ["New York", "Los Angeles", "New York"]),
        ("a,b\n1,2.5\n3,4\n", 2, [[1, 2.5], [3, 4]]),
        ("1\n2\n\n\n", 2, [1, 2]),
        ("None\nSome\nNone\nSome\n", 4, ["None", "Some", "None", "Some"]),
    ],
)
def test_labels_are_told_from_names_and_row_numbers(content, n_samples, expected, labels):
    assert labels(content, n_samples) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["E10", "1"], ["E10", "1"]),
        (["0E8", "0E9"], ["0E8", "0E9"]),
        (["1E3", "1000"], ["1E3", "1000"]),
        (["1e3", "2"], ["1e3", "2"]),
        (["007", "7"], ["007", "7"]),
        (["1", "2.5"], [1.0, 2.5]),
        (["-1", "+1"], [-1, 1]),
        (["1e-05", "0.5"], [1e-05, 0.5]),
        (["inf", "1"], ["inf", "1"]),
        (["12345678901234567891", "12345678901234567892"], ["12345678901234567891", "12345678901234567892"]),
        (["1.1", "1.10"], ["1.1", "1.10"]),
        (["1.0", "2", "1.0"], [1.0, 2.0, 1.0]),
    ],
)
def test_labels_are_texts_unless_each_is_a_plain_number(texts, expected):
    found = as_numbers_or_texts(texts)
    assert found.tolist() == expected
    assert len(np.unique(found)) == len(set(texts))


@pytest.mark.parametrize("cell", ["?", "", "NaN", "nan", "NA", "null"])
@pytest.mark.parametrize("content", ["y\ncat\n{}\ndog\n", "cat\ncat\n{}\ndog\n", ",y\n0,1\n1,{}\n2,3\n"])
def test_a_missing_label_is_named_with_its_line(content, cell, labels):
    with pytest.raises(ValueError, match=r"y has missing values: in line 3 of y\.csv, column .* (is empty|holds)"):
        labels(content.format(cell))


def test_missing_labels_of_any_type_are_refused():
    for nothing in (None, float("nan"), "", "?"):
        with pytest.raises(
            ValueError, match="y has missing values: column 'y' has no value in 1 of 2 rows, first in row 1"
        ):
            as_labels(np.array([["a"], [nothing]], object), "column 'y'")
