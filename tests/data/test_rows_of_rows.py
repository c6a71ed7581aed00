"""Whatever rows are made of other rows, and whatever these are read from, they are what an array gives."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhohat import open_rows
from rhohat.data.rows import ConvertedRows, CorruptedRows, select_rows
from rhohat.data.rows.combined import BorrowedRows, ColumnRows, ShardedRows, SplitRows, TransformedRows
from rhohat.terms.corruption import GaussianNoise, corrupt_rows
from tests.data.test_rows import N_FEATURES, N_ROWS, WRITERS

X = np.random.default_rng(0).normal(size=(N_ROWS, N_FEATURES)).round(4)


@pytest.fixture(scope="module", params=WRITERS, ids=[write.__name__ for write in WRITERS])
def source(request, tmp_path_factory):
    with open_rows(request.param(tmp_path_factory.mktemp("rows"), X)) as rows:
        yield rows


def part(draw, rows, array):
    start = draw(st.integers(-N_ROWS, N_ROWS))
    stop = draw(st.integers(-N_ROWS, N_ROWS) | st.none())
    if len(array[start:stop]) == 0:
        with pytest.raises(ValueError, match="at least one row"):
            rows[start:stop]
        return rows, array
    return rows[start:stop], array[start:stop]


def selection(draw, rows, array):
    numbers = draw(st.sets(st.integers(0, len(array) - 1), min_size=1, max_size=50))
    chosen = np.array(sorted(numbers))
    return select_rows(rows, chosen), array[chosen]


def columns(draw, rows, array):
    numbers = draw(st.lists(st.integers(0, array.shape[1] - 1), min_size=1, max_size=4))
    return ColumnRows(rows, numbers), array[:, numbers]


def transformed(draw, rows, array):
    return TransformedRows(rows, np.negative), -array


def converted(draw, rows, array):
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return ConvertedRows(rows, dtype), array.astype(dtype)


def corrupted(draw, rows, array):
    seed, noise = draw(st.integers(0, 9)), GaussianNoise(0.5)
    return CorruptedRows(rows, noise, seed, 1), corrupt_rows(noise, array, seed, 1, range(len(array)))


def borrowed(draw, rows, array):
    return BorrowedRows(rows), array


def twice(draw, rows, array):
    return ShardedRows([rows, rows], "twice"), np.concatenate([array, array])


def made_of(draw, rows, array):
    """Make rows of rows of rows, and do the same to the array."""
    makers = [part, selection, columns, transformed, converted, corrupted, borrowed, twice]
    for make in draw(st.lists(st.sampled_from(makers), max_size=4)):
        rows, array = make(draw, rows, array)
    return rows, array


@settings(max_examples=40)  # of each kind of file
@given(data=st.data())
def test_any_slice_of_any_rows_is_that_of_the_array(source, data):
    rows, expected = made_of(data.draw, source, X)
    assert rows.shape == expected.shape
    start = data.draw(st.integers(0, len(expected)))
    stop = data.draw(st.integers(start, len(expected)))
    np.testing.assert_array_equal(rows.read(start, stop), expected[start:stop], strict=True)


@settings(max_examples=40)
@given(data=st.data())
def test_any_rows_are_taken_by_their_numbers_in_any_order(source, data):
    rows, expected = made_of(data.draw, source, X)
    numbers = data.draw(st.lists(st.integers(0, len(expected) - 1), max_size=30))
    np.testing.assert_array_equal(rows.take(np.array(numbers, dtype=np.intp)), expected[numbers], strict=True)


@given(data=st.data(), n_rows=st.integers(1, 2 * N_ROWS))
def test_blocks_of_any_size_are_all_rows_in_order(data, n_rows):
    rows, expected = made_of(data.draw, open_rows(X), X)
    np.testing.assert_array_equal(np.concatenate(list(rows.blocks(n_rows))), expected, strict=True)


@given(data=st.data())
def test_rows_have_the_fingerprint_of_the_array(data):
    rows, expected = made_of(data.draw, open_rows(X), X)
    assert rows.fingerprint() == open_rows(np.ascontiguousarray(expected)).fingerprint()


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6), data=st.data())
def test_shards_of_any_sizes_are_rows_one_after_the_other(sizes, data):
    edges = np.cumsum([0, *sizes])
    rows = ShardedRows([open_rows(X[start:stop]) for start, stop in pairwise(edges)], "shards")
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows)))
    np.testing.assert_array_equal(rows.read(start, stop), X[start:stop])


@given(shape=st.tuples(st.integers(1, 20), st.integers(1, 5), st.integers(1, 4)), data=st.data())
def test_rows_that_are_several_each_are_those_of_the_array(shape, data):
    array = np.arange(float(np.prod(shape))).reshape(shape)
    rows, expected = SplitRows(open_rows(array), 2), array.reshape(-1, shape[2])
    start = data.draw(st.integers(0, len(expected)))
    stop = data.draw(st.integers(start, len(expected)))
    np.testing.assert_array_equal(rows.read(start, stop), expected[start:stop], strict=True)
