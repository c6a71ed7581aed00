import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhohat.ops import numpy_kernels as kernels
from tests.tolerances import EXACT, FLOAT32_COST

# Around the shapes at which the form of an operation changes.
shapes = st.tuples(st.integers(1, 2100), st.integers(1, 70), st.integers(1, 70))


def draw(shape, dtype=np.float64):
    return np.random.default_rng(shape[0]).normal(size=shape).astype(dtype)


def assert_sums_agree(found, expected, terms):
    """Sums of products of normal draws, in another order."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=EXACT * terms)


@given(shapes)
def test_products_in_stacks_equal_products_at_once(shape):
    n_rows, k, n = shape
    A, B, D = draw((n_rows, k)), draw((k, n)), draw((n_rows, n))
    out, back, gradient = np.empty((n_rows, n)), np.empty((n_rows, k)), np.empty((k, n))
    kernels.multiply(A, B, out)
    assert_sums_agree(out, A @ B, k)
    kernels.multiply(D, B.T, back)
    assert_sums_agree(back, D @ B.T, n)
    kernels.multiply_transposed(A, D, gradient)
    assert_sums_agree(gradient, A.T @ D, n_rows)


@pytest.mark.parametrize("n_rows", [625, 626, 1250, 1251, 2512, 2519])
def test_narrow_products_are_taken_as_stacks_with_or_without_a_rest(n_rows):
    A, W, delta = draw((n_rows, 64)), draw((64, 25)), draw((n_rows, 25))
    rows = kernels._rows_of_small_product(n_rows, W.size)
    assert rows == n_rows if n_rows == 625 else rows * W.size <= 1e6
    out, back, gradient = np.empty((n_rows, 25)), np.empty((n_rows, 64)), np.empty((64, 25))
    kernels.multiply(A, W, out)
    kernels.multiply(delta, W.T, back)
    kernels.multiply_transposed(A, delta, gradient)
    assert_sums_agree(out, A @ W, 64)
    assert_sums_agree(back, delta @ W.T, 25)
    assert_sums_agree(gradient, A.T @ delta, n_rows)


def test_wide_products_are_taken_at_once():
    assert kernels._rows_of_small_product(512, 784 * 196) == 512


@given(st.integers(1, 200), st.integers(1, 900), st.sampled_from([np.float32, np.float64]))
def test_rows_joined_give_the_same_bits(n_rows, n_columns, dtype):
    X, row = draw((n_rows, n_columns), dtype), draw((n_columns,), dtype)
    added, subtracted = X.copy(), X.copy()
    kernels.add_row(added, row)
    kernels.subtract_from_row(row, subtracted)
    np.testing.assert_array_equal(added, X + row)
    np.testing.assert_array_equal(subtracted, row - X)


def test_rows_of_a_view_with_gaps_are_left_apart():
    X, row = draw((64, 10)), draw((4,))
    expected = X.copy()
    expected[:, 2:6] += row
    kernels.add_row(X[:, 2:6], row)
    np.testing.assert_array_equal(X, expected)
    expected[:, 2:6] = row - expected[:, 2:6]
    kernels.subtract_from_row(row, X[:, 2:6])
    np.testing.assert_array_equal(X, expected)


def test_reciprocal_is_rounded_correctly():
    X = np.array([[1.0, 3.0, -7.0, np.inf]])
    kernels.reciprocal(X)
    np.testing.assert_array_equal(X, [[1.0, 1 / 3, -1 / 7, 0.0]])


precisions = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def skewed(shape, dtype):
    """Numbers of one sign, few of which are large: what is added to their sum is small beside it."""
    rng = np.random.default_rng(1)
    return np.where(rng.random(shape) < 0.05, 1, 0.01 * rng.random(shape)).astype(dtype)


def tolerance(dtype):
    return FLOAT32_COST / 4 if dtype == np.float32 else EXACT


@precisions
@pytest.mark.parametrize("shape", [(1,), (4096,), (4097,), (3, 700), (2496, 64), (2501, 63), (512, 784), (3_000_017,)])
def test_a_sum_of_squares_is_exact_however_many_there_are(shape, dtype):
    X = skewed(shape, dtype)
    found = kernels.sum_of_squares(X)
    assert isinstance(found, float)
    assert found == pytest.approx(np.sum(X.astype(float) ** 2), rel=tolerance(dtype))


def test_a_sum_of_squares_takes_transposed_matrices():
    X = skewed((300, 200), np.float32)
    assert kernels.sum_of_squares(X.T) == pytest.approx(np.sum(X.astype(float) ** 2), rel=tolerance(np.float32))


@precisions
@pytest.mark.parametrize("n", [1, 1024, 1025, 50_000, 1_000_003])
def test_products_of_rows_are_exact_however_long_they_are(n, dtype):
    A, B = skewed((3, n), dtype), skewed((3, n), dtype)
    found = kernels.row_products(A, B)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, (A.astype(float) * B).sum(axis=1), rtol=tolerance(dtype))


@precisions
@pytest.mark.parametrize("n", [1, 25, 784])
@pytest.mark.parametrize("n_rows", [1, 32, 256, 257, 300, 2496, 2503, 20_000])
def test_sums_of_rows_are_exact_however_many_there_are(n_rows, n, dtype):
    """257 and 2503 are prime, so rows are left over."""
    X, ones, out = skewed((n_rows, n), dtype), np.ones((1, n_rows), dtype), np.full((1, n), np.nan, dtype)
    tolerance = FLOAT32_COST if dtype == np.float32 else EXACT
    expected = X.sum(axis=0, dtype=np.float64)
    kernels.sum_rows(X, ones, out)
    np.testing.assert_allclose(out[0], expected, rtol=tolerance)
    columns = kernels.column_sums(X)
    assert columns.dtype == dtype
    np.testing.assert_allclose(columns, expected, rtol=tolerance)
    weights = np.random.default_rng(2).uniform(0.5, 2, (1, n_rows)).astype(dtype)
    kernels.sum_rows(X, ones, out, weights)
    np.testing.assert_allclose(out[0], weights[0].astype(float) @ X.astype(float), rtol=tolerance)


def test_rows_of_float32_may_be_summed_into_float64():
    X, ones, out = skewed((2503, 25), np.float32), np.ones((1, 2503), np.float32), np.empty((1, 25))
    for weights in (None, ones):
        kernels.sum_rows(X, ones, out, weights)
        np.testing.assert_allclose(out[0], X.sum(axis=0, dtype=np.float64), rtol=FLOAT32_COST)
