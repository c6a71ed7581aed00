from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest

from rhohat.common.randomness import RowStreams
from rhohat.terms.corruption import (
    CORRUPTIONS,
    Corruption,
    GaussianNoise,
    MaskingNoise,
    SaltAndPepperNoise,
    as_corruption,
    corrupt_rows,
)
from tests.tolerances import EXACT


class SignNoise(Corruption):
    """A corruption that the package does not know: flips the sign of half of the entries."""

    name: ClassVar[str] = "sign"
    draws: ClassVar[str] = "normal"

    def apply(self, X, noise):
        X *= np.sign(noise)


corruptions = pytest.mark.parametrize("corruption", [cls() for cls in CORRUPTIONS.values()] + [SignNoise()])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def rows_of(n_rows, n_features, dtype=np.float64):
    """Rows without any value that a corruption puts there."""
    return np.random.default_rng(5).uniform(0.1, 0.9, (n_rows, n_features)).astype(dtype)


@dtypes
@corruptions
def test_a_row_is_corrupted_alike_in_any_company(corruption, dtype):
    X = rows_of(1300, 7, dtype)
    together = corrupt_rows(corruption, X, seed=3, epoch=2)
    for edges in ([0, 1300], [0, 1, 511, 514, 1300], range(0, 1301, 100)):
        blocks = [corrupt_rows(corruption, X[a:b], 3, 2, rows=range(a, b)) for a, b in pairwise(edges)]
        np.testing.assert_array_equal(np.concatenate(blocks), together)
    order = np.random.default_rng(0).permutation(1300)
    np.testing.assert_array_equal(corrupt_rows(corruption, X[order], 3, 2, rows=order), together[order])
    some = order[:600]
    np.testing.assert_array_equal(corrupt_rows(corruption, X[some], 3, 2, rows=some), together[some])
    block = slice(700, 703)
    np.testing.assert_array_equal(corrupt_rows(corruption, X[block], 3, 2, rows=block), together[block])


@dtypes
@corruptions
def test_a_block_with_given_scratch_is_corrupted_as_the_whole(corruption, dtype):
    X = rows_of(40, 7, dtype)
    out, noise = np.empty((2, 10, 7), dtype)
    corruption.corrupt(X[20:30], slice(20, 30), RowStreams(3, "corruption", 2), out, noise)
    np.testing.assert_array_equal(out, corrupt_rows(corruption, X, 3, 2)[20:30])


@corruptions
def test_every_seed_and_epoch_corrupts_afresh(corruption):
    X = rows_of(50, 20)
    first, *others = (corrupt_rows(corruption, X, *key) for key in [(0, 0), (0, 1), (1, 0)])
    for other in others:
        assert not np.array_equal(other, first)
    np.testing.assert_array_equal(corrupt_rows(corruption, X, 0), first)


@dtypes
@corruptions
def test_precision_is_kept_and_the_clean_rows_too(corruption, dtype):
    X = rows_of(30, 9, dtype)
    before = X.copy()
    corrupted = corrupt_rows(corruption, X, 0)
    assert corrupted.dtype == dtype
    assert not np.array_equal(corrupted, before)
    np.testing.assert_array_equal(X, before)


@corruptions
def test_the_copy_goes_where_it_is_wanted(corruption):
    X = rows_of(30, 9)
    expected, out = corrupt_rows(corruption, X, 0), np.full((30, 9), np.nan)
    assert corrupt_rows(corruption, X, 0, out=out) is out
    np.testing.assert_array_equal(out, expected)
    corrupt_rows(corruption, X, 0, out=X)
    np.testing.assert_array_equal(X, expected)


@corruptions
def test_integers_fortran_order_and_no_rows_are_accepted(corruption):
    X = np.arange(24).reshape(4, 6)
    expected = corrupt_rows(corruption, X.astype(float), 0)
    assert expected.dtype == np.float64
    np.testing.assert_array_equal(corrupt_rows(corruption, X, 0), expected)
    np.testing.assert_array_equal(corrupt_rows(corruption, np.asfortranarray(X.astype(float)), 0), expected)
    assert corrupt_rows(corruption, np.empty((0, 6)), 0).shape == (0, 6)


@dtypes
@pytest.mark.parametrize("q", [0.1, 0.25, 0.9])
def test_masking_zeroes_a_fraction_q_and_touches_nothing_else(q, dtype):
    X = rows_of(1000, 100, dtype)
    corrupted = corrupt_rows(MaskingNoise(q), X, 0)
    masked = corrupted == 0
    np.testing.assert_array_equal(corrupted[~masked], X[~masked])
    assert abs(masked.mean() - q) < 5 * np.sqrt(q * (1 - q) / X.size)


@dtypes
@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_gaussian_noise_has_mean_0_and_the_given_deviation(scale, dtype):
    X = rows_of(1000, 100, dtype)
    noise = (corrupt_rows(GaussianNoise(scale), X, 0).astype(float) - X) / scale
    assert abs(noise.mean()) < 5 / np.sqrt(X.size)
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / X.size)
    assert abs((noise**4).mean() - 3) < 5 * np.sqrt(96 / X.size)


@dtypes
@pytest.mark.parametrize(("q", "low", "high"), [(0.25, 0.0, 1.0), (0.8, -2.0, 5.0)])
def test_salt_and_pepper_are_half_each_and_touch_nothing_else(q, low, high, dtype):
    X = rows_of(1000, 100, dtype)
    corrupted = corrupt_rows(SaltAndPepperNoise(q, low, high), X, 0)
    pepper, salt = corrupted == low, corrupted == high
    for fraction in (pepper.mean(), salt.mean()):
        assert abs(fraction - q / 2) < 5 * np.sqrt(q / 2 * (1 - q / 2) / X.size)
    clean = ~(pepper | salt)
    np.testing.assert_array_equal(corrupted[clean], X[clean])


@pytest.mark.parametrize("cls", [MaskingNoise, SaltAndPepperNoise])
def test_probability_0_changes_nothing(cls):
    X = rows_of(30, 9)
    np.testing.assert_array_equal(corrupt_rows(cls(q=0.0), X, 0), X)


def test_a_draw_that_is_the_probability_itself_changes_nothing():
    X, noise = np.array([[2.0, 3.0, 4.0]]), np.array([[0.125, 0.25, 0.5]])
    masked, replaced = X.copy(), X.copy()
    MaskingNoise(0.25).apply(masked, noise.copy())
    SaltAndPepperNoise(0.25, low=-1.0, high=9.0).apply(replaced, noise.copy())
    np.testing.assert_array_equal(masked, [[0, 3, 4]])
    np.testing.assert_array_equal(replaced, [[9, 3, 4]])


@dtypes
@corruptions
def test_a_batch_gets_the_draws_that_the_corruption_asks_for(corruption, dtype):
    """Uniform ones or normal ones, straight from the generator of the batch."""
    ours, theirs, out = np.random.default_rng(8), np.random.default_rng(8), np.empty((4, 3), dtype)
    corruption.draw(ours, out)
    draw = theirs.random if corruption.draws == "uniform" else theirs.standard_normal
    np.testing.assert_array_equal(out, draw((4, 3), dtype), strict=True)


@corruptions
def test_changes_of_neighbouring_entries_rows_and_epochs_are_independent(corruption):
    X = np.full((501, 201), 0.3)  # so that every corruption changes an entry by chance alone
    this, other_epoch = (corrupt_rows(corruption, X, 0, epoch) for epoch in (0, 1))
    for a, b in [(this[1:], this[:-1]), (this[:, 1:], this[:, :-1]), (this, other_epoch)]:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size)


def test_a_corruption_from_outside_is_applied():
    X = rows_of(200, 50)
    corrupted = corrupt_rows(SignNoise(), X, 0)
    np.testing.assert_allclose(np.abs(corrupted), X, rtol=EXACT)
    assert abs((corrupted < 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(X.size)
    noise = np.empty_like(X)
    RowStreams(0, "corruption").normal(range(200), noise)
    np.testing.assert_array_equal(corrupted < 0, noise < 0)


def test_a_name_an_object_or_none_is_accepted_and_nothing_else():
    masking = MaskingNoise(0.5)
    assert as_corruption(masking) is masking
    assert as_corruption(None) is None
    for name, cls in CORRUPTIONS.items():
        assert as_corruption(name) == cls()
    known = r"corruption must be one of \['gaussian', 'masking', 'salt_and_pepper'\].*got "
    for other in ("dropout", 0.25, MaskingNoise, ["masking"]):
        with pytest.raises(ValueError, match=known):
            as_corruption(other)


@pytest.mark.parametrize(
    ("cls", "parameters", "message"),
    [
        (MaskingNoise, {"q": 1.0}, r"q, the probability .* must lie in \[0, 1\); got 1.0"),
        (MaskingNoise, {"q": -0.1}, "q, the probability that an entry is lost, must lie in"),
        (MaskingNoise, {"q": np.nan}, "q, the probability that an entry is lost, must lie in"),
        (GaussianNoise, {"scale": 0.0}, r"scale \(σ\), a standard deviation, must be finite and positive; got 0.0"),
        (GaussianNoise, {"scale": -1.0}, "scale"),
        (GaussianNoise, {"scale": np.inf}, "scale"),
        (SaltAndPepperNoise, {"q": 1.5}, "q, the probability that an entry is lost, must lie in"),
        (SaltAndPepperNoise, {"low": 1.0}, "low must be below high; got low=1.0 and high=1.0"),
        (SaltAndPepperNoise, {"high": np.inf}, "low and high must be finite"),
    ],
)
def test_parameters_out_of_range_are_refused(cls, parameters, message):
    with pytest.raises(ValueError, match=message):
        cls(**parameters)


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (np.ones((4, 3)), {"rows": range(3)}, "rows must have the length n_rows.*3 row numbers"),
        (np.ones((4, 3)), {"rows": [0, 1, 2, -1]}, "counted from 0"),
        (np.ones((4, 3)), {"out": np.ones((4, 2))}, r"same shape .*\(4, 3\) and \(4, 2\)"),
        (np.ones(4), {}, r"^X and out must have the same shape .* n_rows; got the shapes \(4,\) and"),
        (np.ones((4, 3)), {"seed": -1}, "non-negative"),
    ],
)
def test_rows_that_do_not_fit_are_refused(X, options, message):
    with pytest.raises(ValueError, match=message):
        corrupt_rows(MaskingNoise(), X, **{"seed": 0, **options})


def test_gaussian_noise_is_added_with_its_sign():
    X, noise = np.array([[1.0, 2.0, 3.0]]), np.array([[0.0, 1.0, -2.0]])
    GaussianNoise(0.5).apply(X, noise)
    np.testing.assert_allclose(X, [[1.0, 2.5, 2.0]], rtol=EXACT)
