"""Cosines, norm ratios, bias and unexplained variance of reconstructions, beside plain arithmetic over all rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as whole_arrays

from rhohat import open_rows
from rhohat.inspection.metrics import (
    ReconstructionStatistics,
    explained_variance,
    fraction_of_variance_unexplained,
    mean_cosine,
    norm_ratio,
    relative_reconstruction_bias,
)
from tests.inspection.parts import in_blocks, merged_anyhow, numbers, scales
from tests.tolerances import EXACT, FLOAT32_COST

FUNCTIONS = [fraction_of_variance_unexplained, mean_cosine, norm_ratio, relative_reconstruction_bias]
NAMES = [function.__name__ for function in FUNCTIONS]


def by_definition(X, made):
    """Return the figures as their definitions have them, in the widest floats there are."""
    X, made = X.astype(np.longdouble), made.astype(np.longdouble)
    unexplained = ((X - made) ** 2).sum() / ((X - X.mean(axis=0)) ** 2).sum()
    norms, made_norms = np.sqrt((X**2).sum(axis=1)), np.sqrt((made**2).sum(axis=1))
    kept = norms > 0
    cosines = [
        (x @ y) / (norm * made_norm) if made_norm else 0
        for x, y, norm, made_norm in zip(X[kept], made[kept], norms[kept], made_norms[kept], strict=True)
    ]
    bias = (made**2).sum() / (X * made).sum()
    return {
        "fraction_of_variance_unexplained": float(unexplained),
        "mean_cosine": float(np.mean(cosines)),
        "norm_ratio": float((made_norms[kept] / norms[kept]).mean()),
        "relative_reconstruction_bias": float(bias),
    }


@pytest.fixture
def rows(rng):
    rows = rng.normal(size=(131, 5)) * [1, 2, 3, 4, 0] + [0, 10, -3, 5, 7]
    rows[17] = 0
    return rows


@pytest.fixture
def made(rows, rng):
    made = 0.8 * rows + rng.normal(scale=0.3, size=rows.shape)
    made[40] = 0
    return made


@pytest.mark.parametrize("n_rows", [1, 3, 64, 1000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_figures_are_those_of_the_definitions(rows, made, n_rows, dtype):
    rows, made = rows.astype(dtype), made.astype(dtype)
    statistics = in_blocks(ReconstructionStatistics(), n_rows, rows, made)
    for name, expected in by_definition(rows, made).items():
        np.testing.assert_allclose(getattr(statistics, name), expected, rtol=EXACT, err_msg=name)
    assert statistics.n_zero_rows == 1


def test_figures_of_two_rows_by_hand():
    X, made = np.array([[3.0, 4.0], [0.0, 2.0]]), np.array([[0.0, 5.0], [0.0, 1.0]])
    np.testing.assert_allclose(mean_cosine(X, made), (20 / 25 + 1) / 2, rtol=EXACT)
    np.testing.assert_allclose(norm_ratio(X, made), (1 + 0.5) / 2, rtol=EXACT)
    np.testing.assert_allclose(relative_reconstruction_bias(X, made), (25 + 1) / (20 + 2), rtol=EXACT)
    # The mean is (1.5, 3): the squared deviations sum to 2 (1.5² + 1), the squared errors to 9 + 1 + 1.
    np.testing.assert_allclose(fraction_of_variance_unexplained(X, made), 11 / 6.5, rtol=EXACT)


@given(numbers, st.data())
def test_parts_merged_anyhow_have_the_figures_of_all_rows(X, data):
    made = X + data.draw(whole_arrays.arrays(np.int64, X.shape, elements=st.integers(-1000, 1000)))
    each_row = [data.draw(scales) for _ in X]  # so that units of parts differ
    X, made = (np.ldexp(array.astype(float), np.array(each_row)[:, None]) for array in (X, made))
    whole, merged = ReconstructionStatistics(), merged_anyhow(data, ReconstructionStatistics, X, made)
    whole.update(X, made)
    assert merged.n_zero_rows == whole.n_zero_rows == (X == 0).all(axis=1).sum()
    for name in ("fraction_of_variance_unexplained", "mean_cosine", "norm_ratio"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=EXACT, atol=EXACT)
    # The inverse is a sum of products that may cancel.
    inverses = [1 / one.relative_reconstruction_bias for one in (merged, whole) if made.any()]
    np.testing.assert_allclose(inverses[:1], inverses[1:], rtol=EXACT, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-160, 1e160, 1e300])
def test_no_square_overflows_or_vanishes(rows, made, scale):
    rows, made = rows * scale, made * scale
    expected = by_definition(rows, made)
    tolerance = EXACT if scale > 1e-310 else 1e-3  # such numbers have only some bits
    for function in FUNCTIONS:
        np.testing.assert_allclose(function(rows, made), expected[function.__name__], rtol=tolerance)


def test_large_rows_beside_small_ones_take_nothing_from_the_figures_of_single_rows(rng):
    """Each row counts the same, whatever its size, and in whichever block it is."""
    X = rng.normal(size=(40, 4))
    made = X + rng.normal(size=X.shape)
    sizes = 10.0 ** rng.choice([-300, -150, 0, 150, 307], size=(40, 1))
    for n_rows in (1, 7, 40):
        statistics = in_blocks(ReconstructionStatistics(), n_rows, X * sizes, made * sizes)
        np.testing.assert_allclose(statistics.mean_cosine, mean_cosine(X, made), rtol=EXACT)
        np.testing.assert_allclose(statistics.norm_ratio, norm_ratio(X, made), rtol=EXACT)


def test_reconstructions_of_other_sizes_than_their_rows(rows, made):
    for scale in (1e-250, 1e250):
        np.testing.assert_allclose(norm_ratio(rows, made * scale), norm_ratio(rows, made) * scale, rtol=EXACT)
        np.testing.assert_allclose(mean_cosine(rows, made * scale), mean_cosine(rows, made), rtol=EXACT)
    assert norm_ratio(np.full((2, 2), 1e-300), np.full((2, 2), 1e300)) == np.inf


def test_a_common_factor_is_the_inverse_of_the_bias(rows):
    for factor in (0.25, 1.0, 3.0):
        np.testing.assert_allclose(relative_reconstruction_bias(rows, factor * rows), factor, rtol=EXACT)
        np.testing.assert_allclose(norm_ratio(rows, factor * rows), factor, rtol=EXACT)
        np.testing.assert_allclose(mean_cosine(rows, factor * rows), 1, rtol=EXACT)


def test_reconstructions_divided_by_their_bias_have_the_smallest_squared_error(rows, made):
    factor = 1 / relative_reconstruction_bias(rows, made)
    assert factor > 1.1
    best = ((rows - factor * made) ** 2).sum()
    assert all(best < ((rows - other * factor * made) ** 2).sum() for other in (0.999, 1.001))


def test_rows_of_zeros_are_left_out_and_counted():
    X, made = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[5.0, 5.0], [2.0, 0.0]])
    statistics = in_blocks(ReconstructionStatistics(), 1, X, made)
    assert (statistics.mean_cosine, statistics.norm_ratio, statistics.n_zero_rows) == (1, 2, 1)


def test_figures_that_are_not_defined_are_nan_or_infinite():
    zeros, ones = np.zeros((3, 2)), np.ones((3, 2))
    assert np.isnan([mean_cosine(zeros, ones), norm_ratio(zeros, ones)]).all()
    assert (mean_cosine(ones, zeros), norm_ratio(ones, zeros)) == (0, 0)
    assert np.isnan(relative_reconstruction_bias(ones, zeros))
    assert relative_reconstruction_bias([[1.0, 0.0]], [[0.0, 1.0]]) == np.inf
    assert relative_reconstruction_bias(zeros, ones) == np.inf


def test_the_fraction_unexplained_and_explained_variance_add_up_to_1(rows, made):
    both = fraction_of_variance_unexplained(rows, made), explained_variance(rows, made)
    np.testing.assert_allclose(sum(both), 1, rtol=EXACT)
    nearly = rows * (1 + 1e-12)
    expected = by_definition(rows, nearly)["fraction_of_variance_unexplained"]
    np.testing.assert_allclose(fraction_of_variance_unexplained(rows, nearly), expected, rtol=1e-3)
    constant = np.full((9, 2), 0.1)
    assert fraction_of_variance_unexplained(constant, constant) == 0
    assert fraction_of_variance_unexplained(constant, constant + 1) == 1


def test_float32_rows_are_compared_in_float64(rows, made):
    for function in FUNCTIONS:
        expected = function(rows, made)
        np.testing.assert_allclose(
            function(rows.astype(np.float32), made.astype(np.float32)), expected, rtol=FLOAT32_COST
        )
    huge = np.full((3, 2), 1e30, np.float32)
    assert norm_ratio(huge, huge) == 1


def test_files_and_row_sources_give_what_arrays_give(rows, made, tmp_path):
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "made.npy", made)
    with open_rows(tmp_path / "rows.npy") as source:
        for function in FUNCTIONS:
            assert function(source, tmp_path / "made.npy") == function(rows, made)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_bad_input_is_refused(function, rows):
    with pytest.raises(ValueError, match=r"shape of X, \(131, 5\); got \(131, 4\)"):
        function(rows, rows[:, :4])
    with pytest.raises(ValueError, match="reconstruction contains NaN or infinity"):
        function(rows, np.where(rows == rows[3], np.nan, rows))
    with pytest.raises(ValueError, match="there are no rows to compute"):
        getattr(ReconstructionStatistics(), function.__name__)


def test_refused_rows_leave_the_figures_as_they_were(rows, made):
    statistics = in_blocks(ReconstructionStatistics(), 1000, rows, made)
    before = [getattr(statistics, name) for name in [*NAMES, "n_zero_rows"]]
    with pytest.raises(ValueError, match="NaN"):
        statistics.update(rows, np.full_like(rows, np.nan))
    assert [getattr(statistics, name) for name in [*NAMES, "n_zero_rows"]] == before
