"""Metrics of dense and of sparse codes, beside NumPy's dense arithmetic."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array, csc_array, csr_array, csr_matrix

from rhohat.inspection.metrics import (
    ActivationStatistics,
    activation_frequency,
    constant_fraction,
    dead_fraction,
    dense_fraction,
    density_histogram,
    l0,
    l0_histogram,
    l1,
    mean_activation,
)
from tests.inspection.parts import in_blocks, merged_anyhow, numbers, scales
from tests.tolerances import EXACT

COUNTED = ["n_samples", "l0", "dead_fraction", "constant_fraction"]
EXACT_ARRAYS = ["activation_frequency", "largest_activation", "smallest_activation", "l0_histogram", "constant"]
SUMS = ["mean_activation", "l1"]


@pytest.fixture
def codes(rng):
    """Codes of which a fifth is above 0; the first unit is dead, the second is active on every row."""
    codes = np.maximum(rng.normal(-0.85, 1, size=(131, 40)), 0)
    codes[:, 0], codes[:, 1], codes[7] = 0, 1 + codes[:, 1], 0
    return codes


def assert_same(statistics, expected):
    for name in COUNTED:
        assert getattr(statistics, name) == getattr(expected, name), name
    for name in EXACT_ARRAYS:
        np.testing.assert_array_equal(getattr(statistics, name), getattr(expected, name), err_msg=name)
        assert getattr(statistics, name).dtype == getattr(expected, name).dtype
    for name in SUMS:
        np.testing.assert_allclose(getattr(statistics, name), getattr(expected, name), rtol=EXACT, err_msg=name)
    assert statistics.dense_fraction(0.3) == expected.dense_fraction(0.3)
    np.testing.assert_array_equal(statistics.density_histogram.counts, expected.density_histogram.counts)


@pytest.mark.parametrize("n_rows", [1, 7, 1000])
@pytest.mark.parametrize("threshold", [0.0, 0.5, -1.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
@pytest.mark.parametrize("kind", [csr_array, csc_array, coo_array, csr_matrix])
def test_sparse_codes_have_the_statistics_of_the_dense_array(codes, n_rows, threshold, dtype, kind):
    codes = (10 * codes).astype(dtype)
    sparse = ActivationStatistics(threshold)
    for start in range(0, len(codes), n_rows):
        sparse.update(kind(codes[start : start + n_rows]))
    assert_same(sparse, in_blocks(ActivationStatistics(threshold), n_rows, codes))


@given(numbers, st.integers(-900, 900), st.data())
def test_sparse_parts_merged_anyhow_have_the_statistics_of_all_rows(H, threshold, data):
    H = np.ldexp(H.astype(float), np.array([data.draw(scales) for _ in H])[:, None])
    H[data.draw(st.integers(0, len(H) - 1))] = 0
    new = partial(ActivationStatistics, threshold)
    whole, merged = new(), merged_anyhow(data, new, csr_array(H))
    whole.update(H)
    for name in ("n_samples", "l0", "dead_fraction"):
        assert getattr(merged, name) == getattr(whole, name)
    for name in ("activation_frequency", "largest_activation", "smallest_activation", "l0_histogram"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))
    size = np.abs(H).max()
    np.testing.assert_allclose(merged.mean_activation, whole.mean_activation, rtol=0, atol=EXACT * size)
    np.testing.assert_allclose(merged.l1, whole.l1, rtol=EXACT)


def test_the_functions_take_sparse_codes(codes):
    sparse = csr_array(codes)
    for function in (l0, l0_histogram, activation_frequency, dead_fraction, dense_fraction, constant_fraction):
        np.testing.assert_array_equal(function(sparse), function(codes))
    for function in (mean_activation, l1):
        np.testing.assert_allclose(function(sparse), function(codes), rtol=EXACT)
    np.testing.assert_array_equal(density_histogram(sparse, 0.5).counts, density_histogram(codes, 0.5).counts)


def test_zeros_that_are_stored_count_as_zeros_and_repeated_elements_as_their_sum():
    indices, indptr = np.array([0, 2, 1, 1]), np.array([0, 2, 4])
    sparse = csr_array((np.array([0.0, 3.0, 2.0, -0.5]), indices, indptr), shape=(2, 3))
    statistics = ActivationStatistics()
    statistics.update(sparse)
    assert_same(statistics, in_blocks(ActivationStatistics(), 2, np.array([[0.0, 0.0, 3.0], [0.0, 1.5, 0.0]])))
    assert (statistics.l0, statistics.dead_fraction) == (1, 1 / 3)
    assert sparse.nnz == 4  # it was not changed


def test_a_unit_whose_every_activation_is_stored_may_have_extremes_on_one_side_of_zero():
    statistics = ActivationStatistics()
    statistics.update(csr_array([[2.0, -3.0, 1.0], [4.0, -1.0, 0.0]]))
    assert statistics.smallest_activation.tolist() == [2, -3, 0]
    assert statistics.largest_activation.tolist() == [4, -1, 1]


def test_wide_codes_are_not_made_dense(rng):
    n_rows, n_units, n_active = 2000, 20_000, 10
    units = np.sort(rng.integers(0, n_units, (n_rows, n_active)), axis=1)
    edges = np.arange(0, n_rows * n_active + 1, n_active)
    sparse = csr_array((np.ones(n_rows * n_active), units.ravel(), edges), shape=(n_rows, n_units))
    tracemalloc.start()
    statistics = ActivationStatistics()
    statistics.update(sparse)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300 * (n_units + sparse.nnz) < n_rows * n_units  # bytes; a dense array of a byte each is larger
    np.testing.assert_allclose(statistics.l1, n_active)


def test_sums_of_the_largest_sparse_numbers_do_not_overflow(codes):
    largest = np.finfo(np.float64).max
    codes *= largest / codes.max()
    statistics = in_blocks(ActivationStatistics(), 50, csr_array(codes))
    expected = codes.astype(np.longdouble)
    np.testing.assert_allclose(statistics.mean_activation, expected.mean(axis=0).astype(float), rtol=EXACT)
    assert statistics.l1 == np.inf
    codes /= 64
    statistics = in_blocks(ActivationStatistics(), 50, csr_array(codes))
    np.testing.assert_allclose(statistics.l1, float(np.abs(codes.astype(np.longdouble)).sum(axis=1).mean()), rtol=EXACT)


def test_l1_and_the_histogram_of_l0_are_those_of_the_definitions(codes):
    codes[:, 3] *= -1
    np.testing.assert_allclose(l1(codes), np.abs(codes).sum(axis=1).mean(), rtol=EXACT)
    of_rows = (codes > 0.2).sum(axis=1)
    histogram = l0_histogram(codes, 0.2)
    assert histogram.tolist() == [(of_rows == number).sum() for number in range(of_rows.max() + 1)]
    assert histogram.sum() == 131
    assert l0_histogram(np.zeros((3, 2))).tolist() == [3]


def test_histograms_of_blocks_with_few_and_with_many_active_units_are_added():
    statistics = in_blocks(ActivationStatistics(), 1, np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]))
    assert statistics.l0_histogram.tolist() == [1, 0, 1, 1]


def test_dense_units_are_active_on_more_than_a_share_of_the_rows():
    codes = np.zeros((30, 4))
    codes[:3, 1], codes[:4, 2], codes[:, 3] = 1, 1, 1
    assert dense_fraction(codes) == 0.5  # 3 of 30 rows are a tenth, not more
    assert dense_fraction(codes, 0.05) == 0.75
    assert dense_fraction(codes, 1) == 0
    assert dense_fraction(codes * 0.1, 0.1, threshold=0.1) == 0


def test_densities_are_counted_by_decades_and_dead_units_apart():
    fired = [0, 0, 1, 9, 10, 99, 100, 999, 1000]  # on how many of 1,000 rows
    codes = (np.arange(1000)[:, None] < fired).astype(float)
    histogram = density_histogram(codes)
    assert histogram.n_dead == 2
    assert histogram.counts.tolist() == [2, 2, 3]
    assert histogram.edges.tolist() == [0.001, 0.01, 0.1, 1]


@pytest.mark.parametrize(("n_rows", "n_decades"), [(1, 1), (2, 1), (10, 1), (11, 2), (100, 2), (101, 3)])
def test_the_decades_reach_down_to_a_single_row(n_rows, n_decades):
    codes = np.zeros((n_rows, 2))
    codes[0, 0] = 1
    histogram = density_histogram(codes)
    assert len(histogram.counts) == n_decades
    assert (histogram.counts.sum(), histogram.n_dead) == (1, 1)
    assert histogram.edges[0] <= 1 / n_rows


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_sparse_numbers_that_are_not_finite_are_refused(codes, bad):
    codes[5, 5] = bad
    statistics = ActivationStatistics()
    for function in (l0, l1, l0_histogram, mean_activation, density_histogram, statistics.update):
        with pytest.raises(ValueError, match="H contains NaN or infinity"):
            function(csr_array(codes))
    assert statistics.n_samples == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: l0(csr_array((0, 3))), r"at least one row and one column; got an array of shape \(0, 3\)"),
        (lambda: l1(csr_array((3, 0))), "at least one row and one column"),
        (lambda: l0(coo_array(np.ones(3))), r"shape \(3,\)"),
        (lambda: l0(csr_array(np.ones((2, 2)) * 1j)), "H must be an array of numbers.*complex128"),
        (lambda: dense_fraction(np.ones((2, 2)), 1.5), r"density must be a share of the rows, in \[0, 1\]; got 1.5"),
        (lambda: dense_fraction(np.ones((2, 2)), np.nan), "got nan"),
        (lambda: ActivationStatistics().l1, "there are no rows to compute"),
        (lambda: ActivationStatistics().l0_histogram, "there are no rows to compute"),
        (lambda: ActivationStatistics().density_histogram, "there are no rows to compute"),
        (lambda: ActivationStatistics().dense_fraction(), "there are no rows to compute"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_sparse_rows_of_another_width_are_refused(codes):
    statistics = in_blocks(ActivationStatistics(), 50, csr_array(codes))
    with pytest.raises(ValueError, match="H must have 40 columns, like the earlier rows; got 39"):
        statistics.update(csr_array(codes[:, 1:]))
