"""Recovery of known features, beside loops over dense codes."""

import pickle
from functools import partial
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as whole_arrays
from scipy.sparse import csc_array, csr_array

from rhohat.inspection.metrics import FeatureRecovery, feature_recovery, mean_correlation, uniqueness, weights
from tests.inspection.parts import in_blocks, merged_anyhow
from tests.tolerances import EXACT

FIGURES = ["precision", "recall", "f1", "shrinkage", "mean_shrinkage", "mean_correlation", "uniqueness"]


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def directions(rng):
    return unit(rng.normal(size=(7, 10)))


@pytest.fixture
def decoder(directions, rng):
    """Nine latents: of features 4, 1, 1, 0, 5, 6, 4, 2 and 3, some with the opposite sign, of different lengths."""
    noisy = directions[[4, 1, 1, 0, 5, 6, 4, 2, 3]] + 0.05 * rng.normal(size=(9, 10))
    return noisy * rng.choice([-1, 1], size=(9, 1)) * rng.uniform(0.5, 2, size=(9, 1))


@pytest.fixture
def true_codes(rng):
    codes = np.maximum(rng.normal(-0.5, 1, size=(90, 7)), 0)
    codes[:, 6] = 0
    return codes


@pytest.fixture
def learned_codes(true_codes, rng):
    """Latents that miss some rows, fire on others, and shrink; latent 3 never fires."""
    codes = 0.7 * true_codes[:, [4, 1, 1, 0, 5, 6, 4, 2, 3]] * rng.uniform(0.5, 1, size=(90, 9))
    codes *= rng.random((90, 9)) < 0.9
    codes += (rng.random((90, 9)) < 0.1) * rng.random((90, 9))
    codes[:, 3] = 0
    return codes


def by_loops(directions, decoder, true_codes, learned_codes, pairs):
    """Return precision, recall, F1 and shrinkage of pairs (latent, feature), from dense codes."""
    figures = []
    for latent, feature in pairs:
        fires, truly = learned_codes[:, latent] > 0, true_codes[:, feature] > 0
        together = (fires & truly).sum()
        precision = together / fires.sum() if fires.any() else 0
        recall = together / truly.sum() if truly.any() else 0
        f1 = 2 * precision * recall / (precision + recall) if together else 0
        lengths = np.linalg.norm(decoder[latent]) / np.linalg.norm(directions[feature])
        ratios = [
            learned * lengths / true
            for learned, true in zip(learned_codes[:, latent], true_codes[:, feature], strict=True)
            if learned > 0 and true > 0
        ]
        figures.append((precision, recall, f1, np.mean(ratios) if ratios else np.nan))
    return np.array(figures).T


@pytest.mark.parametrize("n_rows", [1, 7, 1000])
@pytest.mark.parametrize("kind", [np.asarray, csr_array, csc_array])
@pytest.mark.parametrize("length", [1.0, 3.0])
def test_figures_of_nearest_features_are_those_of_the_definitions(
    directions, decoder, true_codes, learned_codes, n_rows, kind, length
):
    directions = length * directions
    recovery = FeatureRecovery(directions, decoder)
    for start in range(0, 90, n_rows):
        recovery.update(kind(true_codes[start : start + n_rows]), kind(learned_codes[start : start + n_rows]))
    pairs = list(enumerate([4, 1, 1, 0, 5, 6, 4, 2, 3]))
    assert list(zip(recovery.latents, recovery.features, strict=True)) == pairs
    expected = by_loops(directions, decoder, true_codes, learned_codes, pairs)
    for name, values in zip(FIGURES[:4], expected, strict=True):
        np.testing.assert_allclose(getattr(recovery, name), values, rtol=EXACT, err_msg=name)
    np.testing.assert_allclose(recovery.mean_shrinkage, np.nanmean(expected[3]), rtol=EXACT)
    assert np.isnan(recovery.shrinkage[[3, 5]]).all()  # a latent, and a feature, that never fires
    assert recovery.n_samples == 90


def test_figures_of_three_rows_by_hand():
    true = [[2.0, 0.0], [4.0, 1.0], [0.0, 2.0]]
    learned = [[1.0, 0.0], [0.0, 1.0], [3.0, 1.0]]
    recovery = feature_recovery(np.eye(2), [[2.0, 0.0], [0.0, 1.0]], true, learned)
    assert recovery.precision.tolist() == [1 / 2, 1]
    assert recovery.recall.tolist() == [1 / 2, 1]
    assert recovery.f1.tolist() == [1 / 2, 1]
    assert recovery.shrinkage.tolist() == [1, (1 + 1 / 2) / 2]
    assert recovery.mean_shrinkage == (1 + 0.75) / 2


@pytest.mark.parametrize("swap", [False, True])
def test_one_to_one_the_pairs_have_the_largest_mean_correlation(directions, decoder, swap, rng):
    if swap:
        directions, decoder = decoder, directions
    true_codes, learned_codes = rng.random((30, len(directions))) - 0.5, rng.random((30, len(decoder))) - 0.5
    recovery = feature_recovery(
        directions, decoder, true_codes, csr_array(np.maximum(learned_codes, 0)), matching="one_to_one"
    )
    cosine = abs(unit(decoder) @ unit(directions).T)
    small = cosine if len(decoder) < len(directions) else cosine.T
    best = max(small[range(7), list(chosen)].sum() for chosen in permutations(range(9), 7)) / 7
    np.testing.assert_allclose(recovery.mean_correlation, best, rtol=EXACT)
    np.testing.assert_allclose(mean_correlation(decoder, directions), best, rtol=EXACT)
    assert len(set(recovery.latents)) == len(set(recovery.features)) == 7
    np.testing.assert_allclose(cosine[recovery.latents, recovery.features].mean(), best, rtol=EXACT)
    pairs = zip(recovery.latents, recovery.features, strict=True)
    expected = by_loops(directions, decoder, true_codes, learned_codes, pairs)
    for name, values in zip(FIGURES[:4], expected, strict=True):
        np.testing.assert_allclose(getattr(recovery, name), values, rtol=EXACT, err_msg=name)


def test_uniqueness_counts_each_feature_once(directions, decoder):
    assert uniqueness(decoder, directions) == FeatureRecovery(directions, decoder).uniqueness == 7 / 9
    assert uniqueness(decoder[:3], directions) == 2 / 3
    assert uniqueness(directions, directions) == 1


def test_nearest_features_do_not_depend_on_blocks(rng, monkeypatch):
    directions, decoder = rng.normal(size=(40, 5)), rng.normal(size=(60, 5))
    expected = abs(unit(decoder) @ unit(directions).T).argmax(axis=1)
    for at_once in (1, 40 * 7, 10**6):
        monkeypatch.setattr(weights, "_COSINES_AT_ONCE", at_once)
        np.testing.assert_array_equal(FeatureRecovery(directions, decoder).features, expected)


def test_a_perfect_dictionary_in_another_order_is_recovered(directions, true_codes, rng):
    order = rng.permutation(7)
    true_codes[:, 6] = 1
    recovery = feature_recovery(directions, 4 * directions[order], csr_array(true_codes), true_codes[:, order] / 4)
    for name in FIGURES:
        np.testing.assert_allclose(getattr(recovery, name), 1, rtol=EXACT, err_msg=name)


codes_of = st.integers(1, 20).flatmap(
    lambda n_rows: st.tuples(*(whole_arrays.arrays(np.int64, (n_rows, n), elements=st.integers(-1, 3)) for n in (4, 5)))
)


@pytest.mark.parametrize("matching", ["nearest", "one_to_one"])
@given(codes_of, st.data())
def test_parts_merged_anyhow_have_the_figures_of_all_rows(matching, codes, data):
    rng = np.random.default_rng(0)
    new = partial(FeatureRecovery, rng.normal(size=(4, 3)), rng.normal(size=(5, 3)), matching=matching)
    true_codes, learned_codes = (array.astype(float) for array in codes)
    kind = data.draw(st.sampled_from([np.asarray, csr_array]))
    whole, merged = new(), merged_anyhow(data, new, kind(true_codes), kind(learned_codes))
    whole.update(true_codes, learned_codes)
    assert merged.n_samples == whole.n_samples
    for name in FIGURES[:3]:
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))
    for name in ("shrinkage", "mean_shrinkage"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=EXACT)


def test_merging_leaves_the_other_figures_as_they_were(directions, decoder, true_codes, learned_codes):
    first, second = (FeatureRecovery(directions, decoder) for _ in range(2))
    first.update(true_codes, learned_codes)
    before = [getattr(first, name) for name in FIGURES]
    second.merge(first)
    second.update(true_codes, 2 * learned_codes)
    for name, value in zip(FIGURES, before, strict=True):
        np.testing.assert_array_equal(getattr(first, name), value)
    assert (first.n_samples, second.n_samples) == (90, 180)


def test_figures_of_another_process_can_be_merged(directions, decoder, true_codes, learned_codes):
    part = in_blocks(FeatureRecovery(directions, decoder), 50, true_codes, learned_codes)
    merged = FeatureRecovery(directions, decoder)
    merged.merge(pickle.loads(pickle.dumps(part)))  # noqa: S301 - of our own
    np.testing.assert_array_equal(merged.f1, part.f1)


def test_rows_on_which_nothing_fires(directions, decoder):
    recovery = feature_recovery(directions, decoder, csr_array((3, 7)), csr_array((3, 9)))
    for name in ("precision", "recall", "f1"):
        assert getattr(recovery, name).tolist() == [0] * 9
    assert np.isnan([*recovery.shrinkage, recovery.mean_shrinkage]).all()


def test_lengths_whose_squares_overflow_do_not_matter(directions, decoder, true_codes, learned_codes):
    expected = feature_recovery(directions, decoder, true_codes, learned_codes)
    large = feature_recovery(directions, 1e200 * decoder, true_codes, 1e-200 * learned_codes)
    for name in FIGURES:
        np.testing.assert_allclose(getattr(large, name), getattr(expected, name), rtol=EXACT, err_msg=name)


@pytest.mark.parametrize(
    ("true_codes", "learned_codes", "message"),
    [
        (np.ones((3, 6)), np.ones((3, 9)), "true_codes must have 7 columns, one for each row of directions; got 6"),
        (np.ones((3, 7)), np.ones((3, 8)), "learned_codes must have 9 columns, one for each row of decoder; got 8"),
        (np.ones((3, 7)), np.ones((2, 9)), "the same number of rows; got 3 and 2"),
        (np.ones((0, 7)), np.ones((0, 9)), "true_codes must be an array of numbers"),
        (np.full((3, 7), np.nan), np.ones((3, 9)), "true_codes contains NaN or infinity"),
        (np.ones((3, 7)), csr_array(np.full((3, 9), np.inf)), "learned_codes contains NaN or infinity"),
    ],
)
def test_bad_codes_are_refused_and_leave_the_figures_as_they_were(
    directions, decoder, true_codes, learned_codes, message
):
    recovery = FeatureRecovery(directions, decoder)
    with pytest.raises(ValueError, match=message):
        recovery.update(true_codes, learned_codes)
    assert recovery.n_samples == 0


def test_bad_dictionaries_are_refused(directions, decoder):
    for function in (FeatureRecovery, lambda A, B: mean_correlation(B, A), lambda A, B: uniqueness(B, A)):
        with pytest.raises(
            ValueError, match="decoder and directions must have the same number of columns; got 9 and 10"
        ):
            function(directions, decoder[:, :9])
        with pytest.raises(ValueError, match="directions contains NaN or infinity"):
            function(np.where(directions == directions[2, 2], np.nan, directions), decoder)
        with pytest.raises(ValueError, match="decoder must be an array of numbers"):
            function(directions, decoder[:0])
    with pytest.raises(ValueError, match='matching must be "nearest" or "one_to_one"; got \'best\''):
        FeatureRecovery(directions, decoder, matching="best")


def test_figures_of_other_dictionaries_are_not_merged(directions, decoder):
    recovery = FeatureRecovery(directions, decoder)
    for other in (
        FeatureRecovery(directions, 2 * decoder),
        FeatureRecovery(-directions, decoder),
        FeatureRecovery(directions, decoder, matching="one_to_one"),
    ):
        with pytest.raises(ValueError, match="the same directions, decoder and matching"):
            recovery.merge(other)


@pytest.mark.parametrize("name", FIGURES[:5])
def test_figures_of_rows_need_rows(directions, decoder, name):
    with pytest.raises(ValueError, match="there are no rows to compute"):
        getattr(FeatureRecovery(directions, decoder), name)
