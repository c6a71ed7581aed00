"""Some rows of a source are a source of their own, wherever the rows are."""

import pickle
from itertools import pairwise

import numpy as np
import pytest

from rhohat import open_rows
from rhohat.data.rows import DaskRows, SelectedRows, select_rows
from tests.data.test_rows import as_array, as_dask, write_csv, write_hdf5, write_npy, write_parquet

N_ROWS = 1300
CHOSEN = {
    "every third": np.arange(0, N_ROWS, 3),
    "few": np.array([0, 7, N_ROWS - 1]),
    "successive": np.arange(300, 900),
    "one": np.array([500]),
    "all": np.arange(N_ROWS),
}


@pytest.fixture(name="X")
def rows_of_numbers(rng):
    return rng.normal(size=(N_ROWS, 6)).round(4)


@pytest.mark.parametrize("write", [as_array, write_npy, write_csv, write_parquet, write_hdf5, as_dask])
@pytest.mark.parametrize("chosen", CHOSEN)
def test_rows_are_selected_by_their_numbers(write, chosen, X, tmp_path):
    numbers = CHOSEN[chosen]
    with open_rows(write(tmp_path, X)) as rows:
        some = select_rows(rows, numbers)
        assert isinstance(some, DaskRows if write is as_dask else SelectedRows)
        assert (some.name, some.dtype, some.feature_names) == (rows.name, rows.dtype, rows.feature_names)
        assert some.shape == (len(numbers), 6)
        expected = X[numbers]
        np.testing.assert_array_equal(some.read(0, len(some)), expected)
        np.testing.assert_array_equal(some.read(len(some) // 2, len(some)), expected[len(some) // 2 :])
        np.testing.assert_array_equal(some.take(np.array([len(some) - 1, 0])), expected[[-1, 0]])
        np.testing.assert_array_equal(some.extents(), [expected.min(axis=0), expected.max(axis=0)])
        assert some.fingerprint() == open_rows(expected).fingerprint()
        some.close()
        np.testing.assert_array_equal(rows.read(0, 9), X[:9])  # whoever opened it closes it


def test_selected_rows_belong_to_the_labels_that_were_read_with_them(X, tmp_path):
    with open_rows(write_npy(tmp_path, X)) as rows:
        rows.kept, rows.targets = np.arange(N_ROWS) * 2, X[:, 0]
        some = select_rows(rows, CHOSEN["few"])
        np.testing.assert_array_equal(some.kept, 2 * CHOSEN["few"])
        np.testing.assert_array_equal(some.targets, X[CHOSEN["few"], 0])


@pytest.mark.parametrize("write", [as_array, write_npy, write_csv])
@pytest.mark.parametrize("transform", [None, np.negative])
def test_selected_rows_are_opened_in_another_process(write, transform, X, tmp_path):
    with open_rows(write(tmp_path, X), transform=transform) as rows:
        numbers = CHOSEN["every third"]
        edges = [0, 10, 200, len(numbers)]
        recipes = pickle.loads(pickle.dumps(select_rows(rows, numbers).recipes(edges)))  # noqa: S301 - our own
        expected = (X if transform is None else -X)[numbers]
        for recipe, (start, stop) in zip(recipes, pairwise(edges), strict=True):
            with recipe() as part:
                np.testing.assert_array_equal(part.read(0, stop - start), expected[start:stop])


def test_rows_made_of_a_dask_array_are_selected_here(X):
    rows = select_rows(open_rows(as_dask(None, X), transform=np.negative), CHOSEN["every third"])
    parts = rows.recipes([0, 100, len(rows)])
    np.testing.assert_array_equal(np.concatenate(parts), -X[CHOSEN["every third"]])
