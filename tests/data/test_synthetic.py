"""Rows of known features: the probability model, and that a row is the same however it is read."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2

from rhohat import SparseAutoencoder, SyntheticFeatures, synthetic_features
from rhohat.data import synthetic
from tests.tolerances import EXACT, FLOAT32

_SIGMAS = 5.0  # how many standard errors a mean may be off; the seeds are fixed
N = 60_000


def fires(rows):
    """Return in which rows which feature fires, of shape (n_samples, n_features)."""
    return (rows.codes(0, len(rows)) != 0).toarray()


def off_by(found, expected, standard_error):
    """Return the largest deviation from what was expected, in standard errors."""
    return np.max(np.abs(found - expected) / standard_error)


def correlations(found):
    """Return the correlation coefficients of columns, and their standard errors by the delta method."""
    units = (found - found.mean(axis=0)) / found.std(axis=0)
    products, squares = units[:, :, None] * units[:, None, :], units**2
    coefficients = products.mean(axis=0)
    influence = products - coefficients * (squares[:, :, None] + squares[:, None, :]) / 2
    return coefficients, influence.std(axis=0) / len(found) ** 0.5


# What the features are


def test_probabilities_follow_zipfs_law():
    """Weights 1, 1/2, 1/3 and 1/4 add up to 25/12, so one feature in a row means 12/25 for the first."""
    rows = synthetic_features(1, 2, 4, n_active=1, exponent=1, random_state=0)
    assert_allclose(rows.probabilities, [12 / 25, 6 / 25, 4 / 25, 3 / 25], rtol=EXACT)
    assert rows.parents.tolist() == [-1] * 4


def test_no_root_fires_in_more_than_half_of_the_rows_and_the_others_make_up_for_it():
    """Without the limit, 1.2 features in a row would mean 0.576 for the first; 0.7 are left for the others."""
    rows = synthetic_features(1, 2, 4, n_active=1.2, exponent=1, random_state=0)
    rest = 0.7 * 12 / 13
    assert_allclose(rows.probabilities, [0.5, rest / 2, rest / 3, rest / 4], rtol=EXACT)
    assert_allclose(synthetic_features(1, 2, 4, n_active=2, exponent=1).probabilities, 0.5, rtol=EXACT)


@pytest.mark.parametrize("n_active", [0.1, 3, 17.3, 40])
@pytest.mark.parametrize("exponent", [0, 0.5, 3, 10])
def test_probabilities_add_up_to_the_active_features(n_active, exponent):
    for tree in ({}, {"n_children": 3, "depth": 2, "child_probability": 0.9}):
        p = synthetic_features(1, 2, 100, n_active=n_active, exponent=exponent, **tree).probabilities
        assert_allclose(p.sum(), n_active, rtol=EXACT)
        assert p.max() <= 0.5
        assert p.min() > 0
    full = synthetic_features(1, 2, 8, n_active=3.8, exponent=exponent, n_children=1, child_probability=0.9)
    assert_allclose(full.probabilities, [0.5] * 4 + [0.45] * 4, rtol=EXACT)  # as many as there can be


def test_trees_are_numbered_level_by_level_and_what_is_left_over_is_roots():
    """Two trees of a root and two children, and two roots without: 2 × (1 + 2 · 0.5) + 2 features fire per root's p."""
    rows = synthetic_features(1, 2, 8, n_active=1.2, exponent=0, n_children=2, random_state=0)
    assert rows.parents.tolist() == [-1, -1, -1, -1, 0, 0, 1, 1]
    assert_allclose(rows.probabilities, [0.2] * 4 + [0.1] * 4, rtol=EXACT)
    deep = synthetic_features(1, 2, 7, n_active=0.7, n_children=2, depth=2, child_probability=0.25, random_state=0)
    assert deep.parents.tolist() == [-1, 0, 0, 1, 1, 2, 2]
    assert_allclose(deep.probabilities, [0.4, 0.1, 0.1, 0.025, 0.025, 0.025, 0.025], rtol=EXACT)


def test_directions_are_unit_vectors_without_a_preferred_direction():
    directions = synthetic_features(1, 20, 5_000, n_active=1, dtype="float64", random_state=0).directions
    assert directions.shape == (5_000, 20)
    assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=EXACT)
    assert off_by(directions.mean(axis=0), 0, (1 / 20 / 5_000) ** 0.5) < _SIGMAS
    cosines = directions[:2_500] @ directions[0] * (directions[2_500:] @ directions[1])
    assert abs(cosines[2:].mean()) < _SIGMAS / 20 / 2_500**0.5


# What fires


@pytest.mark.parametrize(
    "options", [{}, {"correlation": 0.4, "group_size": 4}, {"n_children": 3, "depth": 2}, {"exponent": 1.5}]
)
def test_features_fire_as_often_as_they_should(options):
    rows = synthetic_features(N, 4, 52, n_active=6, random_state=1, **options)
    p = rows.probabilities
    found = fires(rows)
    assert off_by(found.mean(axis=0), p, (p * (1 - p) / N) ** 0.5) < _SIGMAS
    counts = found.sum(axis=1)
    assert off_by(counts.mean(), 6, counts.std() / N**0.5) < _SIGMAS


def test_independent_features_fire_together_as_often_as_by_chance():
    """And the number of rows of a block in which a feature fires is binomial."""
    rows = synthetic_features(N, 4, 12, n_active=5, random_state=2)
    found, errors = correlations(fires(rows))
    pairs = ~np.eye(12, dtype=bool)
    assert off_by(found[pairs], 0, errors[pairs]) < _SIGMAS
    half = synthetic_features(1024 * 500, 4, 2, n_active=1, random_state=2)
    in_blocks = fires(half)[:, 0].reshape(500, 1024).sum(axis=1)
    statistic = np.sum((in_blocks - 512) ** 2) / (1024 / 4)
    assert chi2.ppf(1e-4, 500) < statistic < chi2.ppf(1 - 1e-4, 500)
    at_a_place = fires(half)[:, 0].reshape(500, 1024).mean(axis=0)
    assert off_by(at_a_place, 0.5, (1 / 4 / 500) ** 0.5) < _SIGMAS  # the first and the last row of blocks among them


def test_successive_rows_are_independent():
    found = fires(synthetic_features(N, 4, 8, n_active=3, correlation=0.5, group_size=4, random_state=3)) * 1.0
    for lag in (1, 7, 1024):
        after = [np.corrcoef(found[:-lag, g], found[lag:, g])[0, 1] for g in range(8)]
        assert off_by(np.array(after), 0, N**-0.5) < _SIGMAS


@pytest.mark.parametrize("correlation", [0.1, 0.5, 0.95])
def test_equally_frequent_roots_of_a_group_have_the_given_correlation(correlation):
    rows = synthetic_features(N, 4, 20, 2, exponent=0, correlation=correlation, group_size=5, random_state=4)
    found, errors = correlations(fires(rows))
    groups = np.arange(20) // 5
    same, others = groups[:, None] == groups, ~np.eye(20, dtype=bool)
    assert off_by(found[same & others], correlation, errors[same & others]) < _SIGMAS
    assert off_by(found[~same], 0, errors[~same]) < _SIGMAS


def test_roots_of_unequal_frequency_are_correlated_as_documented():
    rows = synthetic_features(N, 4, 6, 1.5, exponent=1, correlation=0.5, group_size=4, random_state=5)
    odds = rows.probabilities / (1 - rows.probabilities)
    expected = 0.5 * np.sqrt(np.outer(odds, odds)) / odds[[0, 0, 0, 0, 4, 4]]
    groups = np.array([0, 0, 0, 0, 1, 1])
    pairs = (groups[:, None] == groups) & ~np.eye(6, dtype=bool)
    found, errors = correlations(fires(rows))
    assert off_by(found[pairs], expected[pairs], errors[pairs]) < _SIGMAS


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_a_child_fires_only_with_its_parent_and_then_as_often_as_it_should(correlation):
    share = 0.3
    rows = synthetic_features(
        N, 4, 100, 5, n_children=3, depth=2, child_probability=share, correlation=correlation, random_state=6
    )
    found, children = fires(rows), np.flatnonzero(rows.parents >= 0)
    assert len(children) == 7 * 12
    for child in children:
        with_parent = found[found[:, rows.parents[child]], child]
        assert not np.any(found[:, child] & ~found[:, rows.parents[child]])
        assert off_by(with_parent.mean(), share, (share * (1 - share) / len(with_parent)) ** 0.5) < _SIGMAS
    first, second = children[:2]
    assert rows.parents[first] == rows.parents[second]
    siblings = found[found[:, rows.parents[first]]][:, [first, second]]
    assert abs(np.corrcoef(siblings.T)[0, 1]) < _SIGMAS / len(siblings) ** 0.5


def test_magnitudes_are_uniform_around_one():
    magnitudes = synthetic_features(N, 4, 30, n_active=4, random_state=7).codes(0, N).data
    assert magnitudes.dtype == np.float32
    assert magnitudes.min() >= 0.5
    assert magnitudes.max() <= 1.5
    assert off_by(magnitudes.mean(), 1, (1 / 12 / len(magnitudes)) ** 0.5) < _SIGMAS
    assert off_by(magnitudes.var(), 1 / 12, (1 / 180 / len(magnitudes)) ** 0.5) < _SIGMAS


def test_rows_have_the_moments_of_the_model():
    """E c cᵀ is p pᵀ but for its diagonal, which is 13/12 p, as a magnitude's mean square is 1 + 1/12."""
    rows = synthetic_features(N, 5, 9, n_active=2, noise=0.3, dtype="float64", random_state=8)
    p, directions, x = rows.probabilities, rows.directions, rows.read(0, N)
    codes = np.outer(p, p) + np.diag(13 / 12 * p - p**2)
    products = x[:, :, None] * x[:, None, :]
    expected = directions.T @ codes @ directions + 0.09 * np.eye(5)
    assert off_by(products.mean(axis=0), expected, products.std(axis=0) / N**0.5) < _SIGMAS
    assert off_by(x.mean(axis=0), p @ directions, x.std(axis=0) / N**0.5) < _SIGMAS


def test_noise_is_added_to_the_sum_of_the_features_and_differs_in_every_row_and_dimension():
    rows = synthetic_features(5_000, 20, 30, n_active=3, noise=0.2, dtype="float64", random_state=9)
    noise = rows.read(0, 5_000) - rows.codes(0, 5_000) @ rows.directions
    assert off_by(noise.mean(), 0, 0.2 / 100_000**0.5) < _SIGMAS
    assert off_by(noise.var(), 0.04, 0.04 * (2 / 100_000) ** 0.5) < _SIGMAS
    assert len(np.unique(noise)) > 99_000  # but for rounding, all of them


# How rows are read

SOURCES = [{}, {"noise": 0.5}, {"correlation": 0.5, "n_children": 2, "depth": 2, "noise": 0.1, "dtype": "float64"}]


def source(options, n_samples=3_000, random_state=10):
    return synthetic_features(n_samples, 6, 40, n_active=4, random_state=random_state, **options)


@pytest.mark.parametrize("options", SOURCES)
def test_a_row_is_the_same_however_it_is_read(options):
    rows = source(options)
    whole = source(options).read(0, 3_000)
    assert whole.dtype == rows.dtype == np.dtype(options.get("dtype", "float32"))
    for start, stop in [(2_999, 3_000), (1_020, 1_030), (1_024, 2_048), (0, 1), (5, 5), (1_023, 2_049), (0, 3_000)]:
        assert_array_equal(rows.read(start, stop), whole[start:stop])
        out = np.full((stop - start, 6), np.nan, rows.dtype)
        assert_array_equal(rows.read(start, stop, out), whole[start:stop])
    order = np.random.default_rng(0).permutation(3_000)
    assert_array_equal(rows.take(order), whole[order])
    assert_array_equal(rows.take(np.array([2_900, 3])), whole[[2_900, 3]])
    assert_array_equal(np.concatenate(list(rows.blocks(700))), whole)
    assert_array_equal(rows[1_000:2_000].read(10, 90), whole[1_010:1_090])
    rows.release()
    assert_array_equal(rows.read(0, 3_000), whole)
    assert_array_equal(source(options, n_samples=10_000).read(0, 3_000), whole)


@pytest.mark.parametrize("options", SOURCES)
def test_codes_are_the_same_however_they_are_read(options):
    rows = source(options)
    whole = rows.codes(0, 3_000).toarray()
    assert whole.shape == (3_000, 40)
    assert whole.dtype == rows.dtype
    for start, stop in [(1_020, 1_030), (0, 1_024), (7, 7), (2_048, 3_000), (2_999, 3_000)]:
        codes = rows.codes(start, stop)
        assert codes.has_sorted_indices
        assert_array_equal(codes.toarray(), whole[start:stop])


def test_without_noise_rows_are_the_product_of_codes_and_directions():
    rows = source({})
    made = rows.codes(0, 3_000).toarray().astype(np.float64) @ rows.directions.astype(np.float64)
    assert_allclose(rows.read(0, 3_000), made, rtol=FLOAT32, atol=FLOAT32)


def test_both_dtypes_have_the_same_features():
    single, double = source({}), source({"dtype": np.float64})
    assert_array_equal(single.directions, double.directions.astype(np.float32))
    assert_array_equal(single.codes(0, 3_000).toarray(), double.codes(0, 3_000).toarray().astype(np.float32))


def test_codes_that_are_changed_do_not_change_the_rows():
    rows = source({})
    before = rows.read(0, 1_024)
    rows.codes(0, 1_024).data[:] = 7
    assert_array_equal(rows.read(0, 1_024), before)


def test_a_block_that_was_read_before_is_not_drawn_again(monkeypatch):
    drawn = []
    draw = synthetic._Firing.draw
    monkeypatch.setattr(synthetic._Firing, "draw", lambda *given: drawn.append(1) or draw(*given))
    rows = source({})
    for start in range(0, 1_024, 128):
        rows.read(start, start + 128)
    assert len(drawn) == 1
    assert rows.codes(0, 1_024).nnz > 0
    assert len(drawn) == 1
    rows.release()
    rows.read(0, 1)
    assert len(drawn) == 2


def test_threads_read_the_rows_that_one_reads_alone():
    options = {"correlation": 0.3, "noise": 0.2}
    whole, rows = source(options, 20_000).read(0, 20_000), source(options, 20_000)
    starts = np.random.default_rng(0).permutation(np.arange(0, 20_000, 500)).tolist() * 2
    with ThreadPoolExecutor(4) as threads:
        for start, part in zip(starts, threads.map(lambda start: rows.read(start, start + 500), starts), strict=True):
            assert_array_equal(part, whole[start : start + 500])


@pytest.mark.parametrize("options", SOURCES)
def test_a_pickle_is_small_and_gives_the_same_rows(options):
    rows = source(options)
    whole = rows.read(0, 3_000)
    pickled = pickle.dumps(rows)
    again = pickle.loads(pickled)  # noqa: S301 - our own
    assert len(pickled) < 1_000
    assert isinstance(again, SyntheticFeatures)
    assert_array_equal(again.read(0, 3_000), whole)
    assert_array_equal(again.directions, rows.directions)
    recipes = pickle.loads(pickle.dumps(rows.recipes([0, 1_000, 3_000])))  # noqa: S301 - our own
    assert_array_equal(np.concatenate([np.asarray(recipe()) for recipe in recipes]), whole)


def test_a_source_without_a_seed_stays_the_same_and_differs_from_others():
    rows, other = source({}, random_state=None), source({}, random_state=None)
    whole = rows.read(0, 3_000)
    assert np.any(whole != other.read(0, 3_000))
    rows.release()
    assert_array_equal(rows.read(0, 3_000), whole)
    assert_array_equal(pickle.loads(pickle.dumps(rows)).read(0, 3_000), whole)  # noqa: S301 - our own


def test_other_seeds_make_other_directions_codes_and_noise():
    one, other = source({"noise": 1.0}), source({"noise": 1.0}, random_state=11)
    for part in (
        lambda rows: rows.directions,
        lambda rows: rows.codes(0, 3_000).toarray(),
        lambda rows: rows.read(0, 3_000) - rows.codes(0, 3_000) @ rows.directions,
    ):
        assert abs(np.corrcoef(part(one).ravel(), part(other).ravel())[0, 1]) < 0.3


def test_global_random_numbers_are_neither_used_nor_drawn():
    np.random.seed(0)  # noqa: NPY002 - what this is about
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - what this is about
    whole = source({"noise": 1.0}).read(0, 3_000)
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002 - what this is about
    np.random.seed(1)  # noqa: NPY002 - what this is about
    assert_array_equal(source({"noise": 1.0}).read(0, 3_000), whole)


def test_it_says_how_much_memory_it_holds():
    rows = source({}, 16 * 1_024)
    rows.read(0, len(rows))
    held = [rows._codes_of_block(block) for block in range(16)]
    counted = rows.directions.nbytes + sum(
        codes.data.nbytes + codes.indices.nbytes + codes.indptr.nbytes for codes in held
    )
    assert_allclose(rows.held_bytes, counted, rtol=0.02)


def test_an_estimator_learns_the_same_as_from_the_rows_in_memory():
    def fitted(rows):
        return SparseAutoencoder(n_components=5, tol=0.2, random_state=0).fit(rows)

    rows = source({"noise": 0.1})
    assert_array_equal(fitted(rows).theta_, fitted(rows.read(0, 3_000)).theta_)


# What is refused


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_samples": 0}, "n_samples must be an integer of at least 1; got 0"),
        ({"n_dimensions": 2.0}, "n_dimensions must be an integer"),
        ({"n_features": True}, "n_features must be an integer"),
        ({"group_size": 1}, "group_size must be an integer of at least 2"),
        ({"n_children": -1}, "n_children must be an integer of at least 0"),
        ({"depth": 0}, "depth must be an integer of at least 1"),
        ({"n_active": 0}, "n_active must be a number that is positive; got 0"),
        ({"n_active": "many"}, "n_active must be a number"),
        ({"exponent": -0.1}, "exponent must be a number that is at least 0 and at most 10"),
        ({"exponent": 10.1}, "exponent must be a number that is at least 0 and at most 10"),
        ({"noise": float("inf")}, "noise must be a number that is at least 0"),
        ({"correlation": 1.0}, "correlation must be a number that is at least 0 and less than 1"),
        ({"child_probability": 1.0}, "child_probability must be a number that is more than 0 and less than 1"),
        ({"dtype": "float16"}, "dtype must be float32 or float64; got 'float16'"),
        ({"random_state": -1}, "random_state must be"),
        ({"n_active": 21}, "n_active must be at most 20, .* got 21"),
        ({"n_active": 5.1, "n_children": 39, "child_probability": 0.1, "depth": 1}, r"n_active must be at most 2\.45"),
        ({"n_children": 6, "depth": 2}, "n_features must be at least 43, .*n_children=6 and depth=2; got 40"),
    ],
)
def test_what_is_impossible_is_refused(wrong, message):
    possible = {"n_samples": 10, "n_dimensions": 4, "n_features": 40, "n_active": 2}
    assert len(synthetic_features(**possible)) == 10
    with pytest.raises(ValueError, match=message):
        synthetic_features(**possible | wrong)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 3_001)])
def test_codes_of_rows_that_do_not_exist_are_refused(start, stop):
    with pytest.raises(IndexError, match=f"has 3000 rows; there are no rows {start} to {stop}"):
        source({}).codes(start, stop)
