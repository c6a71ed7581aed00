import numpy as np
import pytest
from scipy.linalg import inv, sqrtm
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import rhohat
from rhohat.data import PatchNormalizer, RangeScaler, ZCAWhitening, open_rows
from tests.tolerances import EXACT, FLOAT32


@pytest.fixture
def patches(rng):
    """Patches of which a few have outliers beyond three standard deviations."""
    X = rng.normal(size=(200, 16)) * rng.random((200, 1)) + 5 * rng.random((200, 1))
    X[:10, 3] += 20
    return X


@pytest.fixture
def correlated(rng):
    return rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)


@parametrize_with_checks([PatchNormalizer(), RangeScaler(), ZCAWhitening()])
def test_the_contract_of_scikit_learn_is_kept(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("n_deviations", "low", "high"), [(3.0, 0.1, 0.9), (1.0, -1.0, 2.0)])
def test_normalized_patches_are_those_of_the_formula(patches, n_deviations, low, high):
    normalizer = PatchNormalizer(n_deviations=n_deviations, low=low, high=high)
    centred = patches - patches.mean(axis=1)[:, None]
    limit = n_deviations * np.sqrt(np.mean(centred**2))
    expected = low + (high - low) * (np.minimum(np.maximum(centred, -limit), limit) / limit + 1) / 2
    result = normalizer.fit_transform(patches)
    np.testing.assert_allclose(result, expected, rtol=EXACT, atol=1e-14)
    assert (result.min() >= low) & (result.max() == high)
    np.testing.assert_allclose(normalizer.scale_, limit, rtol=EXACT)


def test_new_patches_are_clipped_at_the_limit_of_the_training_set(patches):
    normalizer = PatchNormalizer().fit(patches)
    half = np.repeat([1.0, -1.0], 8)
    np.testing.assert_allclose(
        normalizer.transform([half * normalizer.scale_ / 2, half * normalizer.scale_ * 2]),
        [0.5 + 0.2 * half, 0.5 + 0.4 * half],
        rtol=EXACT,
    )


def test_the_inverse_is_exact_for_unclipped_patches_up_to_their_means(patches):
    normalizer = PatchNormalizer().fit(patches)
    centred = patches - patches.mean(axis=1, keepdims=True)
    back = normalizer.inverse_transform(normalizer.transform(patches))
    clipped = np.any(np.abs(centred) > normalizer.scale_, axis=1)
    assert 10 <= clipped.sum() < 100
    np.testing.assert_allclose(back[~clipped], centred[~clipped], atol=1e-12)
    assert np.all(np.abs(back[clipped] - centred[clipped]).max(axis=1) > 1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [3, 49, 192])
def test_constant_patches_become_the_middle_whatever_their_level(width, dtype, rng):
    """The mean of equal numbers is rounded; the trace of that is not blown up."""
    X = np.repeat(1000 * rng.random((50, 1)), width, axis=1).astype(dtype)
    normalizer = PatchNormalizer().fit(X)
    assert normalizer.scale_ == 1
    np.testing.assert_allclose(normalizer.transform(X), 0.5, atol=1e3 * np.finfo(dtype).eps)


@pytest.mark.parametrize("scale", [1e-300, 1e-155, 1e-12, 1e12, 1e77, 1e155, 1e300])
def test_normalized_patches_do_not_depend_on_the_unit_of_measurement(patches, scale):
    np.testing.assert_allclose(
        PatchNormalizer().fit_transform(scale * patches), PatchNormalizer().fit_transform(patches), rtol=EXACT
    )


def test_whitened_data_are_uncorrelated_with_variance_1(correlated):
    Z = ZCAWhitening(epsilon=0).fit_transform(correlated)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(Z.T @ Z / len(Z), np.eye(6), atol=1e-9)


@pytest.mark.parametrize("epsilon", [0.1, 2.0])
def test_whitened_data_are_those_of_the_formula(correlated, epsilon):
    whitening = ZCAWhitening(epsilon=epsilon)
    centred = correlated - correlated.mean(axis=0)
    W = inv(sqrtm(np.cov(correlated.T, bias=True) + epsilon * np.eye(6)))
    np.testing.assert_allclose(whitening.fit_transform(correlated), centred @ W, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(whitening.whitening_, W, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(whitening.whitening_, whitening.whitening_.T, atol=1e-13)


def test_the_inverse_undoes_whitening_of_new_rows_too(correlated):
    whitening = ZCAWhitening().fit(correlated[:300])
    new = correlated[300:]
    np.testing.assert_allclose(whitening.inverse_transform(whitening.transform(new)), new, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_singular_data_are_whitened_only_with_an_epsilon(correlated, dtype):
    singular = np.hstack([correlated, correlated[:, :1]]).astype(dtype)
    with pytest.raises(ValueError, match=r"covariance of X is singular.*larger epsilon \(got 0\)"):
        ZCAWhitening(epsilon=0).fit(singular)
    assert np.all(np.isfinite(ZCAWhitening(epsilon=0.1).fit_transform(singular)))


@pytest.mark.parametrize(
    "transformer",
    [
        PatchNormalizer(),
        PatchNormalizer(n_deviations=np.float64(3), low=np.float64(0.1)),
        RangeScaler(),
        ZCAWhitening(),
    ],
)
def test_float32_is_kept_both_ways(transformer, patches):
    single = patches.astype(np.float32)
    there = transformer.fit_transform(single)
    back = transformer.inverse_transform(there)
    assert there.dtype == back.dtype == np.float32
    np.testing.assert_allclose(there, transformer.fit_transform(patches), atol=FLOAT32)
    assert transformer.transform(patches).dtype == np.float64


@pytest.mark.parametrize("transformer", [PatchNormalizer(), RangeScaler(), ZCAWhitening()])
def test_the_inverse_refuses_rows_of_another_width(transformer, patches):
    with pytest.raises(ValueError, match="X must have 16 columns, as the training rows had; got 15"):
        transformer.fit(patches).inverse_transform(patches[:, 1:])


@pytest.mark.parametrize(
    ("transformer", "message"),
    [
        (PatchNormalizer(n_deviations=0), "'n_deviations' parameter"),
        (PatchNormalizer(low="0"), "'low' parameter"),
        (PatchNormalizer(low=0.9, high=0.9), "low must be less than high; got low=0.9 and high=0.9"),
        (RangeScaler(low="0"), "'low' parameter"),
        (RangeScaler(low=2), "low must be less than high; got low=2 and high=1.0"),
        (ZCAWhitening(epsilon=-0.1), "'epsilon' parameter"),
    ],
)
def test_parameters_out_of_range_are_refused(transformer, message, patches):
    with pytest.raises(ValueError, match=message):
        transformer.fit(patches)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 3.0)])
def test_one_scale_serves_all_columns(correlated, low, high):
    scaler = RangeScaler(low=low, high=high).fit(correlated)
    a, b = correlated.min(), correlated.max()
    scaled = scaler.transform(correlated)
    np.testing.assert_allclose(scaled, low + (high - low) * (correlated - a) / (b - a), rtol=EXACT, atol=1e-14)
    np.testing.assert_allclose(scaler.inverse_transform(scaled), correlated, rtol=EXACT, atol=1e-12)
    assert scaler.transform(correlated + b).max() > high  # rows beyond those of the fit lie beyond


def test_constant_rows_are_the_low_end():
    assert RangeScaler().fit_transform(np.full((3, 2), 7.0)).tolist() == [[0, 0]] * 3


@pytest.mark.parametrize("transformer", [PatchNormalizer(), RangeScaler(), ZCAWhitening()])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_a_file_are_as_good_as_rows_in_memory(transformer, dtype, rng, tmp_path):
    """They are read a few thousand at a time, in more than one block, and transformed when they are read."""
    X = (rng.normal(size=(20_000, 6)) @ rng.normal(size=(6, 6)) + 3).astype(dtype)
    np.save(tmp_path / "rows.npy", X)
    expected = clone(transformer).fit_transform(X)
    with open_rows(tmp_path / "rows.npy") as rows:
        assert rows.rows_at_once < len(rows)
        fitted = clone(transformer).fit(rows)
        transformed = fitted.transform(rows)
        assert transformed.shape == X.shape
        assert transformed.dtype == dtype
        tolerance = EXACT if dtype == np.float64 else FLOAT32
        np.testing.assert_allclose(transformed.read(0, len(X)), expected, rtol=tolerance, atol=tolerance)


def test_names_of_columns_come_from_a_row_source_too(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n3,5\n4,4\n")
    with open_rows(tmp_path / "rows.csv") as rows:
        assert list(RangeScaler().fit(rows).feature_names_in_) == ["a", "b"]


def test_rows_of_a_source_that_do_not_fit_are_refused(tmp_path):
    scaler = RangeScaler().fit(np.ones((2, 3)))
    with pytest.raises(ValueError, match="the array has 2 columns, but RangeScaler was fitted to rows of 3 columns"):
        scaler.transform(open_rows(np.ones((2, 2))))
    with pytest.raises(ValueError, match="NaN"):
        scaler.fit(open_rows(np.full((2, 2), np.nan)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.1, 0.9), (-0.3, 0.7)])
def test_rounding_carries_no_row_beyond_the_interval(dtype, low, high):
    """As a network with sigmoid outputs would else be given rows that it cannot reach."""
    for seed in range(100):
        X = (np.random.default_rng(seed).normal(size=(40, 3)) * 10.0 ** (seed % 7 - 3)).astype(dtype)
        scaled = RangeScaler(low=low, high=high).fit_transform(X)
        assert scaled.min() >= dtype(low)
        assert scaled.max() <= dtype(high)


def finite(*arrays):
    return all(np.isfinite(array).all() for array in arrays)


SIZES = {
    np.float64: [2.0**-1030, 2.0**-1000, 2.0**-520, 2.0**-300, 2.0**256, 2.0**512, 2.0**1000, 2.0**1020],
    np.float32: [2.0**-130, 2.0**-70, 2.0**60, 2.0**100, 2.0**124],
}


@pytest.mark.parametrize("from_source", [False, True])
@pytest.mark.parametrize(("dtype", "size"), [(dtype, size) for dtype in SIZES for size in SIZES[dtype]])
@pytest.mark.parametrize("transformer", [PatchNormalizer(), RangeScaler(), RangeScaler(low=-1.0, high=3.0)])
def test_scaled_rows_do_not_depend_on_their_size(transformer, dtype, size, from_source, patches):
    X = (patches / np.abs(patches).max()).astype(dtype)
    expected = clone(transformer).fit_transform(X)
    rows = X * dtype(size)
    fitted = clone(transformer).fit(open_rows(rows) if from_source else rows)
    scaled = fitted.transform(rows)
    tiny = size < np.finfo(dtype).tiny * 100  # such numbers have fewer digits
    np.testing.assert_allclose(scaled, expected, rtol=1e-2 if tiny else 4 * np.finfo(dtype).eps)
    back, once = fitted.inverse_transform(scaled), clone(transformer).fit(X).inverse_transform(expected)
    np.testing.assert_allclose(back / dtype(size), once, atol=1e-2 if tiny else 16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("from_source", [False, True])
@pytest.mark.parametrize(
    ("dtype", "size"), [(np.float64, 2.0**k) for k in (-1000, -330, 256, 515, 1000)] + [(np.float32, 2.0**-60)]
)
def test_whitening_does_not_depend_on_the_size_of_rows(correlated, dtype, size, from_source):
    X = (correlated / np.abs(correlated).max()).astype(dtype)
    rows = X * dtype(size)
    whitening = ZCAWhitening(epsilon=0).fit(open_rows(rows) if from_source else rows)
    expected = ZCAWhitening(epsilon=0).fit_transform(X)
    np.testing.assert_allclose(whitening.transform(rows), expected, atol=1e3 * np.finfo(dtype).eps)
    np.testing.assert_allclose(whitening.inverse_transform(expected) / dtype(size), X, atol=1e3 * np.finfo(dtype).eps)


def test_epsilon_is_in_units_of_the_data_whatever_their_size(correlated):
    expected = ZCAWhitening(epsilon=0.1).fit(correlated).whitening_
    large = ZCAWhitening(epsilon=0.1 * 2.0**800).fit(correlated * 2.0**400)
    np.testing.assert_allclose(large.whitening_ * 2.0**400, expected, rtol=EXACT, atol=1e-15)
    alone = ZCAWhitening(epsilon=0.25).fit(correlated * 1e-200)
    np.testing.assert_allclose(alone.whitening_, 2 * np.eye(6), rtol=EXACT)


def dependent(rng, n_rows, kind):
    """Rows that vary in fewer directions than they have columns."""
    X = rng.normal(size=(n_rows, 4)) @ rng.normal(size=(4, 4)) + 1
    return {
        "constant": np.full((n_rows, 4), 0.1),
        "one constant column": np.hstack([X, np.full((n_rows, 1), 0.3)]),
        "only one column": np.full((n_rows, 1), 0.1),
        "a mean of others": np.hstack([X, X[:, :1] / 3 + X[:, 1:2] / 2]),
        "far from 0": np.hstack([1e6 + X, 1e6 + X[:, :1] / 2 + X[:, 1:2] / 3]),
        "the same twice": np.hstack([X, X]),
        "fewer rows than columns": X[:3],
        "one row": X[:1],
    }[kind]


@pytest.mark.parametrize("from_source", [False, True])
@pytest.mark.parametrize("size", [1.0, 1e-100, 1e77, 1e155, 1e300])
@pytest.mark.parametrize("n_rows", [5, 300, 20_000])
@pytest.mark.parametrize(
    "kind",
    [
        "constant",
        "one constant column",
        "only one column",
        "a mean of others",
        "far from 0",
        "the same twice",
        "fewer rows than columns",
        "one row",
    ],
)
def test_every_singular_covariance_is_refused_without_an_epsilon(kind, n_rows, size, from_source, rng):
    X = dependent(rng, n_rows, kind)
    for rows in (X / np.abs(X).max() * size, (X / np.abs(X).max()).astype(np.float32)):
        with pytest.raises(ValueError, match=r"covariance of X is singular.*larger epsilon \(got 0\)"):
            ZCAWhitening(epsilon=0).fit(open_rows(rows) if from_source else rows)
        whitening = ZCAWhitening(epsilon=0.1 * np.abs(rows).max().astype(float) ** 2 if size < 1e100 else 0.1)
        if size < 1e100:
            assert finite(whitening.fit_transform(rows), whitening.whitening_, whitening.dewhitening_)


@pytest.mark.parametrize(("dtype", "offset"), [(np.float64, 1e9), (np.float64, 0), (np.float32, 1e3)])
def test_regular_data_are_not_taken_for_singular(dtype, offset, correlated):
    for size in (1.0, 1e-100) if dtype is np.float64 else (1.0, 1e-20):
        X = ((correlated + offset) * size).astype(dtype)
        Z = ZCAWhitening(epsilon=0).fit_transform(X).astype(np.float64)
        np.testing.assert_allclose(np.cov(Z.T, bias=True), np.eye(6), atol=1e-2)


@pytest.mark.parametrize("transformer", [PatchNormalizer(), RangeScaler(), ZCAWhitening()])
@pytest.mark.filterwarnings("ignore:Most of these rows:UserWarning")
def test_rows_that_cannot_be_held_are_refused_with_a_sentence(transformer, patches):
    fitted = clone(transformer).fit(1e-300 * patches)
    far = 1e300 * patches
    if isinstance(transformer, PatchNormalizer):  # which clips
        assert finite(fitted.transform(far))
        far = np.full((1, 16), 1e20, np.float32)
        with pytest.raises(ValueError, match="the restored rows of X exceed the range of float32"):
            clone(transformer).fit(1e300 * patches).inverse_transform(far)
        return
    if isinstance(transformer, ZCAWhitening):
        fitted = ZCAWhitening(epsilon=0).fit(1e-300 * patches)
    with pytest.raises(ValueError, match="the transformed rows of X exceed the range of float64"):
        fitted.transform(far)
    with pytest.raises(ValueError, match="the transformed rows of X exceed the range of float64"):
        fitted.transform(open_rows(far)).read(0, 3)


@pytest.mark.parametrize(
    ("transformer", "X", "message"),
    [
        (
            PatchNormalizer(n_deviations=1e6),
            np.tile([1e307, -1e307], (3, 4)),
            "n_deviations=1000000.0 times the standard deviation of X, 1e\\+307, exceeds the range of float64",
        ),
        (ZCAWhitening(epsilon=0), 1e-310 * np.vstack([np.eye(4), np.zeros((2, 4))]), "X varies so little"),
        (
            RangeScaler(low=-1e308, high=1e308),
            np.eye(4),
            "low, high and their difference must be in the range of float64",
        ),
        (
            RangeScaler(low=-1e39),
            np.eye(4, dtype=np.float32),
            "low, high and their difference must be in the range of float32",
        ),
        (
            PatchNormalizer(high=1e39),
            np.eye(4, dtype=np.float32),
            "low, high and their difference must be in the range of float32",
        ),
    ],
)
def test_a_scale_that_cannot_be_held_is_refused_by_the_fit(transformer, X, message):
    with pytest.raises(ValueError, match=message):
        transformer.fit(X)


@pytest.mark.parametrize(
    "transformer",
    [
        rhohat.PatchNormalizer(),
        rhohat.RangeScaler(),
        rhohat.ZCAWhitening(),
        rhohat.MeanImputer(),
        rhohat.ActivationScaler(),
    ],
    ids=lambda transformer: type(transformer).__name__,
)
def test_rows_that_are_pictures_are_told_how_to_be_flat(transformer):
    """As a file of patches that `rhohat patches` has written, read by NumPy."""
    pictures = np.random.default_rng(0).random((30, 3, 3))
    message = r"each row must be flat; pass X\.reshape\(len\(X\), -1\), or rhohat\.open_rows\(X\)\."
    for call in (transformer.fit, transformer.fit(pictures.reshape(30, -1)).transform):
        with pytest.raises(ValueError, match=message):
            call(pictures)
    expected = transformer.transform(pictures.reshape(30, -1))
    np.testing.assert_array_equal(
        rhohat.open_rows(transformer.transform(rhohat.open_rows(pictures))).read(0, 30), expected
    )
