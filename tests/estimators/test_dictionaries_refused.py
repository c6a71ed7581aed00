"""Dictionaries and bad input: what is refused and how, what is warned of, and what is computed nevertheless."""

import warnings

import numpy as np
import pytest

from rhohat import (
    Adam,
    BatchTopKAutoencoder,
    GatedAutoencoder,
    JumpReLUAutoencoder,
    L1Autoencoder,
    MatryoshkaAutoencoder,
    TopKAutoencoder,
    Transcoder,
    fit_together,
    open_rows,
)
from rhohat.common.exceptions import DeadLatentsWarning
from tests.estimators.dictionaries import KINDS, dictionary, rows

X = rows()


def check_fit(model, rows_in):
    """Check that whatever is learned from rows is finite, and return the fitted dictionary."""
    model.fit(rows_in)
    assert all(np.isfinite(array).all() for array in [*model.coefs_, *model.intercepts_])
    assert np.isfinite(model.loss_curve_).all()
    assert model.threshold_ is None or 0 < model.threshold_ < np.inf
    assert np.isfinite(model.transform(rows_in).toarray()).all()
    assert np.isfinite(model.reconstruct(rows_in)).all()
    return model


# Parameters.


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (TopKAutoencoder(8, 9), r"k=9 must not exceed n_components=8\."),
        (BatchTopKAutoencoder(8, 8.5), r"k=8\.5 must not exceed n_components=8\."),
        (MatryoshkaAutoencoder(8, 9), r"k=9 must not exceed n_components=8\."),
        (TopKAutoencoder(8, 0), r"The 'k' parameter of TopKAutoencoder must be an int in the range \[1, inf\)\. Got 0"),
        (TopKAutoencoder(8, -1), r"'k' parameter .* Got -1"),
        (TopKAutoencoder(8, 2.5), r"'k' parameter .* must be an int .* Got 2\.5"),
        (BatchTopKAutoencoder(8, 0), r"'k' parameter .* must be a float in the range \(0\.0, inf\)\. Got 0"),
        (BatchTopKAutoencoder(8, np.nan), r"'k' parameter .* Got nan"),
        (TopKAutoencoder(0, 1), r"'n_components' parameter .* must be an int in the range \[1, inf\)\. Got 0"),
        (L1Autoencoder(8, sparsity_weight=-1), r"'sparsity_weight' parameter .* Got -1"),
        (GatedAutoencoder(8, target_l0=0), r"'target_l0' parameter .* Got 0"),
        (JumpReLUAutoencoder(8, bandwidth=0), r"'bandwidth' parameter .* Got 0"),
        (TopKAutoencoder(8, 2, normalize="norm"), r"'normalize' parameter .* 'layer_norm' and 'mean_norm'"),
        (TopKAutoencoder(8, 2, solver="lbfgs"), r"'solver' parameter .* 'adam' and 'sgd'.* Got 'lbfgs'"),
        (TopKAutoencoder(8, 2, max_iter=0), r"'max_iter' parameter .* Got 0"),
    ],
)
def test_parameters_out_of_range_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(X)
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize(
    "prefixes", [[], [4, 4, 8], [8, 4], [0, 8], [-1, 8], [2, 9], [2, 7], [2.5, 8], [np.nan, 8], [[2, 8]], [2, "b"]]
)
def test_prefixes_are_integers_that_rise_to_the_number_of_latents(prefixes):
    with pytest.raises(ValueError, match=r"prefixes must be positive integers that rise, up to n_components=8; got \["):
        MatryoshkaAutoencoder(8, 2, prefixes=prefixes).fit(X)


@pytest.mark.parametrize("prefixes", [None, [8], (1, 8), np.array([2, 5, 8])])
def test_prefixes_of_any_sequence(prefixes):
    model = check_fit(dictionary("matryoshka", 8, prefixes=prefixes), X)
    assert model.coefs_[1].shape == (8, 6)


@pytest.mark.parametrize("settings", [{"early_stopping": True}, {"max_gradient_norm": 1.0}])
@pytest.mark.parametrize("kind", KINDS)
def test_solvers_that_stop_early_or_clip_are_refused(kind, settings):
    model = dictionary(kind, solver=Adam(**settings))
    for learn in (model.fit, model.partial_fit, lambda rows: fit_together([model], rows)):
        with pytest.raises(ValueError, match=r"early stopping|max_gradient_norm"):
            learn(X)
    assert not hasattr(model, "coefs_")


# Rows in memory.


@pytest.mark.parametrize("kind", KINDS)
def test_nan_in_an_array_is_refused_before_the_training(kind):
    bad, calls = X.copy(), []
    bad[150, 2] = np.nan
    with pytest.raises(ValueError, match=r"Input X contains NaN\. The first missing value is in row 150, column 2\."):
        dictionary(kind, callbacks=[calls.append]).fit(bad)
    assert calls == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.1, 1e6 + 0.1, -3e30])
@pytest.mark.parametrize("kind", KINDS)
def test_equal_rows_are_reconstructed(kind, value, dtype):
    equal = np.full((50, 6), value, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadLatentsWarning)  # nothing is left for them
        model = check_fit(dictionary(kind, auxiliary_weight=0), equal)
    assert model.scaling_.factor == 1
    np.testing.assert_allclose(model.reconstruct(equal), equal, atol=0.1 + 1e-5 * abs(value))


@pytest.mark.parametrize("normalize", ["mean_norm", "layer_norm", None])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_zeros_are_reconstructed(kind, normalize):
    model = dictionary(kind, normalize=normalize, dead_after=10**6)
    zeros = np.zeros((50, 6))
    check_fit(model, zeros)
    np.testing.assert_allclose(model.reconstruct(zeros), zeros, atol=0.1)
    assert model.threshold_ is None or kind in ("batch_topk", "matryoshka")


@pytest.mark.parametrize("kind", ["batch_topk", "matryoshka"])
def test_batches_without_an_active_latent_leave_the_threshold_alone(kind):
    """With zero codes there is no threshold, and codes are then those above 0."""
    model = check_fit(dictionary(kind, max_iter=1, dead_after=10**6), np.zeros((40, 6)))
    assert model.threshold_ is None
    assert model.transform(np.zeros((2, 6))).nnz == 0
    then = model.partial_fit(X).threshold_
    assert 0 < then < np.inf


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_any_scale_are_learned_alike(kind, scale):
    model, scaled = check_fit(dictionary(kind), X), check_fit(dictionary(kind), scale * X)
    np.testing.assert_allclose(scaled.loss_curve_, model.loss_curve_, rtol=1e-6)
    np.testing.assert_allclose(scaled.reconstruct(scale * X) / scale, model.reconstruct(X), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("some", "n_components"),
    [(X[:7], 16), (X[:1], 16), (X[:, :1], 16), (X, 1), (X, 4), (X[:1, :1], 1)],
    ids=["fewer than a batch", "one row", "one feature", "one latent", "fewer latents than features", "one of all"],
)
def test_small_rows_and_dictionaries_are_trained(kind, some, n_components):
    model = check_fit(dictionary(kind, n_components, dead_after=10**6), some)
    assert model.transform(some).shape == (len(some), n_components)
    assert model.n_samples_fit_ == 3 * len(some)
    batches = -(-len(some) // 20)
    assert model.n_steps_ == 3 * batches


@pytest.mark.parametrize("k", [0.001, 0.1, 0.5])
@pytest.mark.parametrize("n_rows", [2, 3, 200])
def test_a_batch_keeps_at_least_one_entry(k, n_rows):
    model = check_fit(BatchTopKAutoencoder(8, k, max_iter=1, random_state=0), X[:n_rows])
    assert model.measures_curve_["l0"] == [max(1, round(k * n_rows)) / n_rows]


# Rows from files and iterators.


@pytest.mark.parametrize("kind", KINDS)
def test_nan_in_a_late_batch_of_a_source_leaves_what_was_learned_before(kind, tmp_path):
    bad = X.copy()
    bad[150, 2] = np.nan
    np.save(tmp_path / "rows.npy", bad)
    model = dictionary(kind, random_state=1)
    message = r"rows\.npy contains NaN or infinity, first in row 150, column 2\. .* is kept\.$"
    with open_rows(tmp_path / "rows.npy") as source, pytest.raises(ValueError, match=message):
        model.fit(source)
    assert model.solver_status_ == "not_finite"
    assert 1 <= model.n_steps_ < 12
    assert model.n_samples_fit_ == 20 * model.n_steps_
    assert all(np.isfinite(array).all() for array in [*model.coefs_, *model.intercepts_])
    assert np.isfinite(model.reconstruct(X)).all()


def test_a_source_without_a_finite_row_is_refused(tmp_path):
    np.save(tmp_path / "rows.npy", np.full((30, 4), np.nan))
    with open_rows(tmp_path / "rows.npy") as source, pytest.raises(ValueError, match=r"none of those .* is finite\.$"):
        dictionary("topk").fit(source)


def test_a_call_of_partial_fit_that_fails_changes_nothing(tmp_path):
    bad = X.copy()
    bad[150, 2] = np.inf
    np.save(tmp_path / "rows.npy", bad)
    model = dictionary("topk").partial_fit(X)
    before, codes = model.loss_curve_.copy(), model.transform(X).toarray()
    message = r"first in row 150, column 2\. The dictionary is what it was before this call\.$"
    with open_rows(tmp_path / "rows.npy") as source, pytest.raises(ValueError, match=message):
        model.partial_fit(source)
    assert model.loss_curve_ == before
    np.testing.assert_array_equal(model.transform(X).toarray(), codes)


def test_dictionaries_that_are_fitted_together_keep_nothing_of_a_fit_that_fails(tmp_path):
    bad = X.copy()
    bad[150, 2] = np.nan
    np.save(tmp_path / "rows.npy", bad)
    models = [dictionary("topk"), dictionary("l1")]
    with (
        open_rows(tmp_path / "rows.npy") as source,
        pytest.raises(ValueError, match=r"row 150, column 2\. Nothing is kept"),
    ):
        fit_together(models, source)
    assert not any(hasattr(model, "n_iter_") for model in models)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([], "ended before it yielded any rows"),
        ([X[:0], X[:0]], "ended before it yielded any rows"),
        ([X[0]], r"two-dimensional arrays, .*; got one of shape \(6,\)"),
        ([X, X[:, :3]], "yielded rows of 3 columns after row 240, but the rows before had 6"),
        ([X, None], r"got one of shape \(\)"),
        ([X[:, :0]], r"at least one column; got one of shape \(240, 0\)"),
        ([X.astype(complex)], "must yield real numbers; got an array of complex128"),
        ([X, np.full((3, 6), np.nan)], "the iterator .* first in row 240, column 0. What was learned before"),
        ([np.full((3, 6), np.nan)], "none of those .* is finite"),
    ],
)
def test_iterators_that_yield_something_else_are_refused(pieces, message):
    with pytest.raises(ValueError, match=message):
        dictionary("topk", max_iter=1).fit(iter(pieces))


@pytest.mark.filterwarnings("ignore:only .* made:UserWarning")
def test_an_iterator_may_end_anywhere():
    model = dictionary("topk", max_iter=1).fit(iter([X[:33], X[:0], X[33:50].tolist(), X[50:51]]))
    assert (model.n_samples_fit_, model.n_steps_) == (51, 3)
    assert model.n_features_in_ == 6


# L0.


@pytest.mark.parametrize("kind", [L1Autoencoder, GatedAutoencoder, JumpReLUAutoencoder])
@pytest.mark.parametrize("target", [500.0, 0.001])
def test_a_target_that_is_out_of_reach_is_warned_of_once_with_the_l0_found(kind, target):
    for fit in (lambda model: model.fit(X), lambda model: fit_together([model], X)):
        model = kind(16, target_l0=target, max_iter=3, random_state=0)
        with pytest.warns(UserWarning) as warned:  # noqa: PT030 - the message is compared below
            fit(model)
        found = model.measures_curve_["l0"][-1]
        [warning] = warned
        assert (
            f"a row had {found:.3g} active latents on average, far from the target of {target:g} (target_l0)."
            in str(warning.message)
        )
        assert warning.filename == __file__


def test_a_target_that_is_met_is_not_warned_of():
    model = JumpReLUAutoencoder(16, target_l0=3, sparsity_weight=3.0, max_iter=60, random_state=0)
    model.set_params(solver=Adam(learning_rate=0.02, batch_size=60)).fit(X)
    assert abs(model.measures_curve_["l0"][-1] - 3) < 1.5


# Use.


def test_dictionaries_refuse_rows_of_another_width():
    model = dictionary("topk").fit(X)
    message = r"X has 2 features, but TopKAutoencoder is expecting 6 features as input"
    for method in (model.transform, model.reconstruct, model.score, model.partial_fit):
        with pytest.raises(ValueError, match=message):
            method(X[:, :2])
        with pytest.raises(ValueError, match=message):
            method(open_rows(X[:, :2]))
    with pytest.raises(ValueError, match=r"H must have 16 columns, one for each latent; got 4"):
        model.inverse_transform(np.ones((2, 4)))


def test_a_source_with_nan_is_refused_by_a_fitted_dictionary():
    model, bad = dictionary("topk").fit(X), X.copy()
    bad[3, 3] = np.inf
    for method in (model.transform, model.reconstruct):
        with pytest.raises(ValueError, match="contains NaN or infinity, first in row 3, column 3"):
            method(open_rows(bad))


def test_transcoders_refuse_what_does_not_belong_together():
    with pytest.raises(ValueError, match=r"dictionary must be a dictionary, such as TopKAutoencoder\(\); got None\."):
        Transcoder(None).fit(X, X)
    transcoder = Transcoder(dictionary("topk"))
    with pytest.raises(ValueError, match=r"X and Y must both be row sources, or both be arrays\."):
        transcoder.fit(open_rows(X), X)
    with pytest.raises(ValueError, match=r"240 rows of X; got 239"):
        transcoder.fit(X, X[1:])
    bad = X.copy()
    bad[2, 2] = np.nan
    with pytest.raises(ValueError, match=r"Input Y contains NaN"):
        transcoder.fit(X, bad)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([], "at least one dictionary"),
        ([Transcoder(TopKAutoencoder(8, 2))], "at least one dictionary"),
        ([dictionary("l1", random_state=1)], r"same random_state; got 0 and 1\."),
        ([dictionary("l1", max_iter=4)], r"same max_iter; got 3 and 4\."),
        ([dictionary("l1", batch_size=7)], r"same batch size; got 20, 7\. Give all"),
        ([dictionary("l1", warm_start=True)], "must have warm_start=False"),
        ([dictionary("l1", checkpoint="folder")], "checkpoint=None"),
    ],
)
def test_dictionaries_that_do_not_fit_together_are_refused(others, message):
    with pytest.raises(ValueError, match=message):
        fit_together([dictionary("topk"), *others] if others and hasattr(others[0], "max_iter") else others, X)
