import gc
import warnings
from functools import partial
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as whole_arrays
from scipy.spatial.distance import cdist
from sklearn.metrics import explained_variance_score, r2_score

from rhohat import KLSparsity, SparseAutoencoder, open_rows
from rhohat.inspection.metrics import (
    ActivationStatistics,
    ReconstructionStatistics,
    activation_frequency,
    constant_fraction,
    dead_fraction,
    default_threshold,
    explained_variance,
    kl_to_target,
    l0,
    match_dictionaries,
    mean_activation,
    mean_squared_error,
)
from rhohat.layers.activations import ACTIVATIONS, as_activation
from tests.inspection.parts import in_blocks, merged_anyhow, numbers, scales
from tests.tolerances import EXACT

BLOCKS = [1, 3, 7, 64, 1000]  # rows in a block; the last is more than there are


def variance_explained(X, made):
    """By definition, in the widest floats there are."""
    X, made = X.astype(np.longdouble), made.astype(np.longdouble)
    return float(1 - ((X - made) ** 2).sum() / ((X - X.mean(axis=0)) ** 2).sum())


@pytest.fixture
def rows(rng):
    return rng.normal(size=(131, 5)) * [1, 2, 3, 4, 0] + [0, 10, -3, 5, 7]


@pytest.fixture
def made(rows, rng):
    return rows + rng.normal(scale=0.3, size=rows.shape)


@pytest.fixture
def codes(rng):
    codes = np.maximum(rng.normal(size=(131, 6)), 0)
    codes[:, 2] = 0
    return codes


@pytest.mark.parametrize("n_rows", BLOCKS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_reconstruction_statistics_are_those_of_the_definitions(rows, made, n_rows, dtype):
    rows, made = rows.astype(dtype), made.astype(dtype)
    statistics = in_blocks(ReconstructionStatistics(), n_rows, rows, made)
    residual = rows.astype(np.float64) - made
    assert statistics.n_samples == 131
    np.testing.assert_allclose(statistics.mean_squared_error, (residual**2).mean(), rtol=1e-13)
    np.testing.assert_allclose(statistics.explained_variance, variance_explained(rows, made), rtol=1e-13)


def test_explained_variance_is_about_the_column_means(rows, made):
    about_zero = 1 - ((rows - made) ** 2).sum() / (rows**2).sum()
    about_one_mean = 1 - ((rows - made) ** 2).sum() / ((rows - rows.mean()) ** 2).sum()
    for wrong in (about_zero, about_one_mean):
        assert abs(explained_variance(rows, made) - wrong) > 1e-3
    offset = rows + 1000
    np.testing.assert_allclose(explained_variance(offset, made + 1000), explained_variance(rows, made), rtol=1e-10)
    np.testing.assert_allclose(explained_variance(rows, np.tile(rows.mean(axis=0), (131, 1))), 0, atol=1e-13)


def test_explained_variance_agrees_with_scikit_learn(rows, made):
    expected = r2_score(rows[:, :4], made[:, :4], multioutput="variance_weighted")
    np.testing.assert_allclose(explained_variance(rows[:, :4], made[:, :4]), expected, rtol=1e-12)
    unbiased = made - (made - rows).mean(axis=0)  # scikit-learn takes the residual about its mean
    expected = explained_variance_score(rows[:, :4], unbiased[:, :4], multioutput="variance_weighted")
    np.testing.assert_allclose(explained_variance(rows[:, :4], unbiased[:, :4]), expected, rtol=1e-12)


@pytest.mark.parametrize("n_rows", BLOCKS)
def test_a_large_offset_takes_nothing_from_the_precision(rng, n_rows):
    rows = 1e6 + rng.normal(size=(2000, 3))
    made = rows + rng.normal(scale=0.1, size=rows.shape)
    statistics = in_blocks(ReconstructionStatistics(), n_rows, rows, made)
    unexplained = 1 - variance_explained(rows, made)
    np.testing.assert_allclose(1 - statistics.explained_variance, unexplained, rtol=1e-6)


def test_the_order_in_which_statistics_are_merged_does_not_matter(rows, made, codes):
    edges = [0, 2, 50, 51, 131]
    orders = [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)]
    for new, arrays, names in (
        (ReconstructionStatistics, (rows, made), ("explained_variance", "mean_squared_error")),
        (
            ActivationStatistics,
            (codes,),
            (
                "l0",
                "mean_activation",
                "activation_frequency",
                "dead_fraction",
                "constant_fraction",
                "largest_activation",
            ),
        ),
    ):
        whole = new()
        whole.update(*arrays)
        for order in orders:
            merged = new()
            for number in order:
                part = new()
                part.update(*(array[edges[number] : edges[number + 1]] for array in arrays))
                merged.merge(part)
            merged.merge(new())  # of no rows
            for name in names:
                np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-13)


@given(numbers, st.data())
def test_parts_merged_anyhow_have_the_statistics_of_the_reconstructions_of_all_rows(X, data):
    made = X + data.draw(whole_arrays.arrays(np.int64, X.shape, elements=st.integers(-10, 10)))
    each_row = [data.draw(scales) for _ in X]  # so that units of parts differ
    X, made = (np.ldexp(array.astype(float), np.array(each_row)[:, None]) for array in (X, made))
    whole, merged = ReconstructionStatistics(), merged_anyhow(data, ReconstructionStatistics, X, made)
    whole.update(X, made)
    assert merged.n_samples == whole.n_samples == len(X)
    np.testing.assert_allclose(merged.mean_squared_error, whole.mean_squared_error, rtol=EXACT)
    np.testing.assert_allclose(merged.explained_variance, whole.explained_variance, rtol=EXACT, atol=EXACT)


@given(numbers, st.integers(-900, 900), st.data())
def test_parts_merged_anyhow_have_the_statistics_of_the_activations_of_all_rows(H, threshold, data):
    H = np.ldexp(H.astype(float), np.array([data.draw(scales) for _ in H])[:, None])
    new = partial(ActivationStatistics, threshold)
    whole, merged = new(), merged_anyhow(data, new, H)
    whole.update(H)
    for name in ("n_samples", "l0", "dead_fraction"):
        assert getattr(merged, name) == getattr(whole, name)
    for name in ("activation_frequency", "largest_activation", "smallest_activation"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))
    size = np.abs(H).max()
    np.testing.assert_allclose(merged.mean_activation, whole.mean_activation, rtol=0, atol=EXACT * size)


def test_merging_leaves_the_other_statistics_as_they_were(rows, made, codes):
    for new, arrays in ((ReconstructionStatistics, (rows, made)), (ActivationStatistics, (codes,))):
        first, second = new(), new()
        first.update(*arrays)
        before = {name: np.copy(value) for name, value in vars(first).items()}
        second.merge(first)
        second.update(*(5 * array + 1 for array in arrays))
        for name, value in before.items():
            np.testing.assert_array_equal(getattr(first, name), value)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6 + 0.1])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_without_variance_are_explained_as_an_autoencoders_score_has_it(constant, dtype):
    rows = np.full((70, 3), constant, dtype)
    perfect, wrong = (in_blocks(ReconstructionStatistics(), 7, rows, made) for made in (rows, rows + 1))
    assert (perfect.explained_variance, perfect.mean_squared_error) == (1, 0)
    assert wrong.explained_variance == 0
    np.testing.assert_allclose(wrong.mean_squared_error, 1, rtol=1e-6)


@pytest.mark.parametrize("n_rows", [60, 5000])
@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300])
def test_many_rows_that_are_the_same_have_no_variance(n_rows, scale, rng):
    """However the sum over them is rounded."""
    rows = np.tile(scale * rng.random(6), (n_rows, 1))
    assert explained_variance(rows, rows) == 1
    assert explained_variance(rows, 1.5 * rows) == 0


def test_explained_variance_is_the_score_of_an_autoencoder(rng):
    X = rng.random((150, 9))
    model = SparseAutoencoder(n_components=4, max_iter=5, random_state=0, callbacks=[lambda _: True]).fit(X)
    np.testing.assert_allclose(explained_variance(X, model.reconstruct(X)), model.score(X), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_no_square_overflows_or_vanishes(rows, made, scale):
    expected = variance_explained(rows, made)
    np.testing.assert_allclose(explained_variance(rows * scale, made * scale), expected, rtol=1e-12)
    assert explained_variance(rows, made * 1e200) == -np.inf
    assert mean_squared_error(np.zeros((2, 2)), np.full((2, 2), 0.5)) == 0.25


@pytest.mark.parametrize("n_rows", [1, 7, 1000])
def test_sums_and_norms_of_the_largest_numbers_do_not_overflow(n_rows, codes, rng):
    """Beside blocks of small ones, too."""
    rows = 2 * rng.random((131, 5)) - 1
    made = np.flip(rows, axis=0)
    largest = np.finfo(np.float64).max
    statistics = in_blocks(ReconstructionStatistics(), n_rows, rows * largest, made * largest)
    np.testing.assert_allclose(statistics.explained_variance, variance_explained(rows, made), rtol=1e-12)
    assert statistics.mean_squared_error == np.inf
    codes *= largest / codes.max()
    codes[50:] *= 1e-9
    seen = in_blocks(ActivationStatistics(), n_rows, codes)
    expected = codes.astype(np.longdouble).mean(axis=0)
    np.testing.assert_allclose(seen.mean_activation, expected.astype(np.float64), rtol=1e-13)
    assert seen.l0 == (codes > 0).sum() / 131


@pytest.mark.parametrize("n_rows", BLOCKS)
@pytest.mark.parametrize("threshold", [0.0, 0.5, -1.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_activation_statistics_are_those_of_the_definitions(codes, n_rows, threshold, dtype):
    codes = codes.astype(dtype)
    statistics = in_blocks(ActivationStatistics(threshold), n_rows, codes)
    active = codes > dtype(threshold)
    assert statistics.n_samples == 131
    assert statistics.l0 == active.sum() / 131
    np.testing.assert_array_equal(statistics.activation_frequency, active.mean(axis=0))
    assert statistics.dead_fraction == (~active.any(axis=0)).mean()
    np.testing.assert_allclose(statistics.mean_activation, codes.mean(axis=0, dtype=np.float64), rtol=1e-13)
    np.testing.assert_array_equal(statistics.largest_activation, codes.max(axis=0))
    np.testing.assert_array_equal(statistics.smallest_activation, codes.min(axis=0))


@pytest.mark.parametrize("n_rows", BLOCKS)
@pytest.mark.parametrize("size", [1e-300, 1.0, 1e307])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_units_are_constant_where_their_standard_deviation_is_at_most_a_fiftieth_of_their_mean(
    n_rows, size, dtype, rng
):
    if dtype == np.float32:
        size = np.float32(size ** (1 / 9))  # float32 reaches from 1e-38 to 1e38
    noise = rng.uniform(-1, 1, (131, 1))
    noise[:2, 0] = -1, 1
    means = np.array([0.1, -0.8, 0.1, -0.8, 0.0, 3.0, 0.5])
    widths = np.array([3e-2, 3e-2, 4e-2, 4e-2, 1e-9, 0.0, 1e-7]) * np.where(means, np.abs(means), 1)
    codes = ((means + widths * noise) * size).astype(dtype)
    exact = codes.astype(np.longdouble)
    expected = (exact / np.longdouble(size)).std(axis=0) <= 0.02 * np.abs((exact / np.longdouble(size)).mean(axis=0))
    assert expected.tolist() == [True, True, False, False, False, True, True]
    statistics = in_blocks(ActivationStatistics(), n_rows, codes)
    np.testing.assert_array_equal(statistics.constant, expected)
    assert statistics.constant_fraction == constant_fraction(codes) == 4 / 7


def test_whether_a_unit_is_constant_does_not_depend_on_its_rarest_rows(rng):
    """The range of many rows is wide where their standard deviation is small: such a unit draws a black square."""
    code = 0.01 * (1 + 0.0026 * rng.normal(size=(10_000, 1)))
    code[:5] *= 1.07
    assert constant_fraction(code) == 1
    code[:5] = 0.9  # five rows that the unit detects
    assert constant_fraction(code) == 0


def test_a_unit_that_is_always_0_is_constant_and_a_single_row_says_nothing():
    assert constant_fraction([[0.0, 0.0], [0.0, 1e-9]]) == 0.5
    assert constant_fraction([[0.0, 0.1]]) == 0


def test_a_unit_at_the_threshold_is_not_active():
    codes = np.array([[0.0, 0.5], [0.0, 0.6]])
    assert (l0(codes), l0(codes, 0.5)) == (1.0, 0.5)
    assert (dead_fraction(codes), dead_fraction(codes, 0.6)) == (0.5, 1.0)


def test_sums_of_float32_are_in_float64():
    codes = np.full((200_000, 1), 0.1, np.float32)
    np.testing.assert_allclose(mean_activation(codes)[0], np.float64(np.float32(0.1)), rtol=1e-12)


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_files_and_row_sources_give_what_arrays_give(rows, made, codes, tmp_path, suffix):
    def saved(name, array):
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "npy":
            np.save(path, array)
        else:
            np.savetxt(path, array, delimiter=",", fmt="%.17g")
        return path

    rows_file, made_file, codes_file = saved("rows", rows), saved("made", made), saved("codes", codes)
    with open_rows(rows_file) as source:
        for function in (explained_variance, mean_squared_error):
            assert function(rows_file, made_file) == function(rows, made)
            assert function(source, made) == function(rows, made)  # twice, so it stays open
    for function in (l0, activation_frequency, dead_fraction, constant_fraction, mean_activation):
        np.testing.assert_array_equal(function(codes_file), function(codes))
    assert l0(codes_file, threshold=0.5) == (codes > 0.5).sum() / len(codes)


def test_what_was_opened_here_is_closed(rows, tmp_path):
    np.save(tmp_path / "rows.npy", rows)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        mean_squared_error(tmp_path / "rows.npy", tmp_path / "rows.npy")
        mean_activation(tmp_path / "rows.npy")
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1)])
def test_kl_to_target_is_the_penalty_without_its_weight(rng, low, high, dtype):
    means = (low + (high - low) * rng.random(9)).astype(dtype)
    fractions = (means.astype(np.float64) - low) / (high - low)
    expected = (0.05 * np.log(0.05 / fractions) + 0.95 * np.log(0.95 / (1 - fractions))).sum()
    np.testing.assert_allclose(kl_to_target(means, 0.05, (low, high)), expected, rtol=1e-6)
    assert kl_to_target(means, 0.05, (low, high)) == KLSparsity(0.05, 1.0).value(means, (low, high), means.dtype)


def test_kl_to_target_of_dead_and_saturated_units_is_finite():
    assert np.isfinite(kl_to_target([0.0, 1.0], 0.1))
    assert kl_to_target([0.1, 0.1], 0.1) == 0


def test_every_activation_has_a_default_threshold_within_its_bounds():
    expected = {"sigmoid": 0.1, "tanh": -0.8, "softmax": 0.1, "relu": 0.0, "identity": 0.0}
    for name in ACTIVATIONS:
        threshold = default_threshold(as_activation(name))
        low, high = as_activation(name).bounds
        assert low <= threshold < high
        if name in expected:
            np.testing.assert_allclose(threshold, expected[name])


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize(("n_first", "n_second"), [(5, 5), (3, 6), (6, 3), (1, 4)])
def test_dictionaries_are_matched_as_well_as_by_trying_all_permutations(rng, n_first, n_second, absolute):
    A, B = rng.normal(size=(n_first, 4)), rng.normal(size=(n_second, 4))
    A[0] = 0
    cosine = 1 - cdist(A[1:], B, "cosine")
    cosine = np.vstack([np.zeros(n_second), cosine])
    cosine = np.abs(cosine) if absolute else cosine
    small, large = (cosine, n_second) if n_first <= n_second else (cosine.T, n_first)
    best = max(small[range(len(small)), list(chosen)].sum() for chosen in permutations(range(large), len(small)))
    match = match_dictionaries(A, B, absolute=absolute)
    n_pairs = min(n_first, n_second)
    assert len(set(match.rows)) == len(set(match.columns)) == len(match.cosine) == n_pairs
    np.testing.assert_allclose(match.cosine, cosine[match.rows, match.columns], atol=1e-14)
    np.testing.assert_allclose(match.mean_cosine, best / n_pairs, rtol=1e-12)


def test_a_permuted_dictionary_of_other_lengths_is_found_again(rng):
    A = rng.normal(size=(20, 8))
    order = rng.permutation(20)
    lengths = np.exp(rng.normal(size=(20, 1)) * 100)  # squares overflow
    signs = rng.choice([-1, 1], size=(20, 1))
    match = match_dictionaries(A, (A * lengths)[order])
    np.testing.assert_array_equal(order[match.columns], match.rows)
    np.testing.assert_allclose(match.cosine, 1, rtol=1e-12)
    np.testing.assert_allclose(match_dictionaries(A, (A * signs)[order], absolute=True).cosine, 1, rtol=1e-12)
    assert match_dictionaries(A, -A).mean_cosine < 0.9


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(rows, bad):
    broken = rows.copy()
    broken[100, 1] = bad
    with pytest.raises(ValueError, match="X contains NaN or infinity"):
        explained_variance(broken, rows)
    with pytest.raises(ValueError, match="reconstruction contains NaN or infinity"):
        mean_squared_error(rows, broken)
    for function in (l0, activation_frequency, dead_fraction, constant_fraction, mean_activation):
        with pytest.raises(ValueError, match="H contains NaN or infinity"):
            function(broken)
    with pytest.raises(ValueError, match="B contains NaN or infinity"):
        match_dictionaries(rows, broken)


def test_refused_rows_leave_statistics_as_they_were(rows):
    statistics = ReconstructionStatistics()
    statistics.update(rows, rows + 1)
    with pytest.raises(ValueError, match="NaN"):
        statistics.update(np.full((2, 5), np.nan), np.zeros((2, 5)))
    assert statistics.n_samples == 131
    np.testing.assert_allclose(statistics.mean_squared_error, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: explained_variance(np.ones((3, 2)), np.ones((2, 2))), r"shape of X, \(3, 2\); got \(2, 2\)"),
        (lambda: mean_squared_error(np.ones((3, 2)), np.ones((3, 1))), r"shape of X, \(3, 2\); got \(3, 1\)"),
        (lambda: ReconstructionStatistics().update(np.ones((3, 2)), np.ones((2, 2))), "shape of X"),
        (lambda: l0(np.ones((0, 2))), "at least one row"),
        (lambda: l0(np.ones(3)), "two dimensions"),
        (lambda: ActivationStatistics().update(np.ones((0, 2))), "at least one row and one column"),
        (lambda: ActivationStatistics().update([["a"]]), "H must be an array of numbers"),
        (lambda: ActivationStatistics().l0, "there are no rows to compute"),
        (lambda: ReconstructionStatistics().explained_variance, "there are no rows to compute"),
        (
            lambda: ActivationStatistics().update(np.ones((1, 1, 2))),
            "H must be an array of numbers",
        ),
        (lambda: ActivationStatistics(np.nan), "threshold must be a finite number; got nan"),
        (lambda: ActivationStatistics(0.1).merge(ActivationStatistics(0.2)), "same threshold as these statistics, 0.1"),
        (lambda: kl_to_target([0.5], 1.0), "between 0 and 1"),
        (lambda: kl_to_target([0.5], 0.1, (0, np.inf)), "bounded activations"),
        (lambda: kl_to_target([0.5], 0.1, (1, 0)), "in this order"),
        (
            lambda: kl_to_target([0.5, 1.1], 0.1),
            r"the units, \[0, 1\]; got values from 0.5 to 1.1",
        ),
        (lambda: kl_to_target([np.nan], 0.1), "within the bounds"),
        (lambda: kl_to_target([[0.5]], 0.1), r"shape \(n_units,\)"),
        (lambda: kl_to_target([], 0.1), r"shape \(n_units,\)"),
        (lambda: match_dictionaries(np.ones((2, 3)), np.ones((2, 4))), "the same number of columns; got 3 and 4"),
        (lambda: match_dictionaries(np.ones((0, 3)), np.ones((2, 3))), "A must be an array of numbers"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_rows_of_another_width_are_refused(rows, codes):
    statistics = ReconstructionStatistics()
    statistics.update(rows, rows)
    with pytest.raises(ValueError, match="X must have 5 columns, like the earlier rows; got 4"):
        statistics.update(rows[:, :4], rows[:, :4])
    statistics = ActivationStatistics()
    statistics.update(codes)
    with pytest.raises(ValueError, match="H must have 6 columns, like the earlier rows; got 2"):
        statistics.update(codes[:, :2])


def test_a_match_prints_its_headline():
    match = match_dictionaries([[1.0, 0.0], [0.0, 2.0]], [[1.0, 3.0], [1.0, 0.0]])
    assert repr(match) == str(match) == "DictionaryMatch(2 pairs, mean cosine 0.974, 100.0% above 0.9)"
    assert match_dictionaries(np.eye(3), -np.eye(3)).alike_fraction == 0
