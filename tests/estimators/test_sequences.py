"""Estimators of sequences: whatever form X has gives the same bits, and what is past the end counts for nothing."""

from contextlib import ExitStack

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from rhohat import (
    GRU,
    LSTM,
    Dense,
    FeedforwardClassifier,
    Recurrent,
    RecurrentAutoencoder,
    RecurrentClassifier,
    RecurrentRegressor,
    as_sequences,
    check_gradient,
    open_rows,
)
from rhohat.data import RowSource
from tests.estimators.sequences import (
    KINDS,
    LABELS,
    LENGTHS,
    NUMBERS,
    SEQUENCES,
    STEP_LABELS,
    STEP_NUMBERS,
    assert_same,
    autoencoder,
    classifier,
    outputs,
    padded,
    regressor,
)
from tests.tolerances import EXACT, FLOAT32, GRADIENT

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The code is the same for every row:UserWarning"),
]


def whole(folder):
    return padded()


def listed(folder):
    return [one.tolist() for one in SEQUENCES]


def with_lengths(folder):
    return as_sequences(padded(with_what=1e6), LENGTHS)


def source_of_an_array(folder):
    return open_rows(padded())


def npy(folder):
    np.save(folder / "rows.npy", padded())
    return open_rows(folder / "rows.npy", row_axes=1)


def borrowed(folder):
    return open_rows(npy(folder))


def npz(folder):
    np.savez(folder / "rows.npz", rows=padded())
    return open_rows(folder / "rows.npz", row_axes=1)


def hdf5(folder):
    with pytest.importorskip("h5py").File(folder / "rows.h5", "w") as file:
        file.create_dataset("rows", data=padded(), chunks=(7, 7, 2))
    return open_rows(folder / "rows.h5", row_axes=1)


def zarr(folder):
    stored = pytest.importorskip("zarr").open_array(
        str(folder / "rows.zarr"), mode="w", shape=(40, 7, 2), chunks=(9, 7, 2), dtype="f8"
    )
    stored[:] = padded()
    return open_rows(folder / "rows.zarr", row_axes=1)


def shards(folder):
    (folder / "shards").mkdir()
    for number, part in enumerate(np.split(padded(), [13, 30])):
        np.save(folder / "shards" / f"rows-{number}.npy", part)
    return open_rows(folder / "shards", row_axes=1)


def dask_array(folder):
    return pytest.importorskip("dask.array").from_array(padded(), chunks=(40, 7, 2))


FORMS = [whole, listed, with_lengths, source_of_an_array, npy, borrowed, npz, hdf5, zarr, shards, dask_array]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_sequences_give_the_same_bits_whatever_form_they_have(kind, form, tmp_path):
    model, targets = KINDS[kind]
    expected = clone(model).fit(SEQUENCES, *targets)
    X = form(tmp_path)
    with ExitStack() as opened:
        for source in (X, getattr(X, "_source", None)):
            if isinstance(source, RowSource):
                opened.callback(source.close)
        fitted = clone(model).fit(X, *targets)
        np.testing.assert_array_equal(fitted.theta_, expected.theta_)
        assert fitted.loss_curve_ == expected.loss_curve_
        assert fitted.input_shape_ == (7, 2)
        assert_same(outputs(fitted, X), outputs(expected, SEQUENCES))
        assert fitted.cost(X, *targets) == expected.cost(SEQUENCES, *targets)
        assert fitted.score(X, *targets) == pytest.approx(expected.score(SEQUENCES, *targets), rel=EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_limited_memory_and_flat_rows_change_nothing(kind):
    model, targets = KINDS[kind]
    expected = clone(model).fit(SEQUENCES, *targets)
    limited = clone(model).set_params(memory_limit="200 MB").fit(padded().astype(object).astype(np.float64), *targets)
    flat = clone(model).set_params(input_shape=(7, 2)).fit(padded().reshape(40, 14), *targets)
    for other in (limited, flat):
        np.testing.assert_array_equal(other.theta_, expected.theta_)
    assert_same(outputs(flat, padded().reshape(40, 14)), outputs(expected, SEQUENCES))


@pytest.mark.parametrize("kind", KINDS)
def test_a_longer_room_for_steps_leaves_the_mathematics_as_it_is(kind):
    model, targets = KINDS[kind]
    expected = clone(model).fit(SEQUENCES, *targets)
    roomy = clone(model).set_params(input_shape=(12, 2)).fit(SEQUENCES, *targets)
    assert roomy.input_shape_ == (12, 2)
    assert roomy.loss_curve_[0] == pytest.approx(expected.loss_curve_[0], rel=EXACT)
    assert len(roomy.theta_) == len(expected.theta_)
    longer = np.random.default_rng(3).normal(size=(5, 12, 2))
    assert outputs(roomy, longer).keys() == outputs(expected, SEQUENCES).keys()
    long_and_short = outputs(roomy, [*SEQUENCES, *longer])
    for name, made in outputs(roomy, SEQUENCES).items():
        np.testing.assert_allclose(made, long_and_short[name][: len(made)], rtol=1e-12, atol=1e-14) if (
            made.dtype.kind == "f"
        ) else np.testing.assert_array_equal(made, long_and_short[name][: len(made)])


@pytest.mark.parametrize("kind", KINDS)
def test_shorter_sequences_need_no_padding_at_the_time_of_prediction(kind):
    model, targets = KINDS[kind]
    fitted = clone(model).fit(SEQUENCES, *targets)
    short = [one[:2] for one in SEQUENCES]
    expected = outputs(fitted, padded(sequences=short))
    for X in (short, padded(sequences=short, n_steps=2), padded(sequences=short, n_steps=9)):
        assert_same(outputs(fitted, X), expected)
    single = [one[:1] for one in SEQUENCES]
    for name, made in outputs(fitted, single).items():
        assert len(made) == 40, name


@pytest.mark.parametrize("kind", ["classifier", "regressor", "autoencoder", "regressor of steps"])
def test_sequences_of_a_single_step_or_a_single_sequence_are_learned_from(kind):
    model, targets = KINDS[kind]
    first = [one[:1] for one in SEQUENCES]
    targets = [[one[:1] for one in y] if isinstance(y, list) else y for y in targets]
    fitted = clone(model).fit(first, *targets)
    assert fitted.input_shape_ == (1, 2)
    assert np.isfinite(fitted.theta_).all()
    if kind.startswith("regressor"):
        assert np.isfinite(clone(model).fit(SEQUENCES[:1], targets[0][:1] if kind == "regressor" else STEP_NUMBERS[:1])
                           .theta_).all()  # fmt: skip


def test_sequences_of_one_channel_may_lack_the_axis_of_channels():
    expected = classifier().fit([one[:, :1] for one in SEQUENCES], LABELS)
    assert expected.input_shape_ == (7, 1)
    for X in ([one[:, 0] for one in SEQUENCES], padded()[:, :, 0], padded()[:, :, :1], open_rows(padded()[:, :, 0])):
        fitted = classifier().fit(X, LABELS)
        np.testing.assert_array_equal(fitted.theta_, expected.theta_)
        np.testing.assert_array_equal(
            fitted.predict_proba(X), expected.predict_proba([one[:, :1] for one in SEQUENCES])
        )
    equal = np.random.default_rng(0).normal(size=(20, 5))
    np.testing.assert_array_equal(
        classifier().fit(equal.tolist(), LABELS[:20]).theta_, classifier().fit(equal[:, :, None], LABELS[:20]).theta_
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("garbage", [0.0, 1e300, np.inf, -7.0])
def test_what_is_past_the_end_changes_no_bit(kind, garbage):
    model, targets = KINDS[kind]
    expected, X = clone(model).fit(SEQUENCES, *targets), as_sequences(padded(with_what=garbage), LENGTHS)
    J, theta = clone(model).objective(X, *targets), expected.theta_
    value, gradient = clone(model).objective(SEQUENCES, *targets)(theta)
    assert J(theta)[0] == value
    np.testing.assert_array_equal(J(theta)[1], gradient)
    assert_same(outputs(expected, X), outputs(expected, SEQUENCES))


@pytest.mark.parametrize("garbage", [0.0, 1e300, np.inf, np.nan])
def test_targets_past_the_end_count_for_nothing(garbage):
    for settings in ({}, {"output_activation": "tanh"}):
        model = regressor(per_step=True, **settings)
        expected = clone(model).fit(SEQUENCES, STEP_NUMBERS)
        fitted = clone(model).fit(padded(), padded(garbage, STEP_NUMBERS))
        np.testing.assert_array_equal(fitted.theta_, expected.theta_)
        np.testing.assert_array_equal(fitted.predict(SEQUENCES), expected.predict(SEQUENCES))
        assert fitted.score(padded(), padded(garbage, STEP_NUMBERS)) == expected.score(SEQUENCES, STEP_NUMBERS)
    labels = [(one == "up").astype(int) for one in STEP_LABELS]
    expected = classifier(per_step=True).fit(SEQUENCES, labels)
    array = padded(9, labels).astype(int)
    fitted = classifier(per_step=True).fit(padded(), array)
    np.testing.assert_array_equal(fitted.classes_, [0, 1])
    np.testing.assert_array_equal(fitted.theta_, expected.theta_)
    for X in (SEQUENCES, padded(), open_rows(padded())):
        assert fitted.score(X, array) == expected.score(SEQUENCES, labels)
    np.testing.assert_array_equal(classifier(per_step=True).fit(open_rows(padded()), array).theta_, expected.theta_)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_step_is_not_a_step_of_zeros(kind):
    model, targets = KINDS[kind]
    X, zeros = SEQUENCES, padded(0.0)
    up = [np.append(one, ["up"] * (7 - len(one))) for one in STEP_LABELS]
    steps = {"regressor of steps": padded(0.0, STEP_NUMBERS), "classifier of steps": up}
    filled = [steps.get(kind, y) for y in targets]
    fitted = clone(model).fit(X, *targets)
    assert fitted.cost(X, *targets)[0] != clone(model).objective(zeros, *filled)(fitted.theta_)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_their_gradients_are_right(kind):
    model, targets = KINDS[kind]
    J = clone(model).objective(SEQUENCES, *targets)
    theta = clone(model).initial_theta(SEQUENCES, *targets)
    assert check_gradient(J, theta, epsilon=1e-5).relative_difference <= GRADIENT


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_says_how_often_a_sequence_counts(kind):
    model, targets = KINDS[kind]
    weights = np.array([2.0, 0.0, 1.0, 1.0] * 10)
    numbers = np.repeat(np.arange(40), weights.astype(int))
    repeated = [SEQUENCES[number] for number in numbers]
    again = [[y[number] for number in numbers] if isinstance(y, list) else y[numbers] for y in targets]
    theta = clone(model).initial_theta(SEQUENCES, *targets)
    weighted = clone(model).objective(SEQUENCES, *targets, sample_weight=weights)(theta)
    twice = clone(model).set_params(input_shape=(7, 2)).objective(repeated, *again)(theta)
    assert weighted[0] == pytest.approx(twice[0], rel=EXACT)
    np.testing.assert_allclose(weighted[1], twice[1], rtol=1e-9, atol=1e-12)
    fitted = clone(model).fit(SEQUENCES, *targets, sample_weight=weights)
    other = [one if weight else one * 1000 for one, weight in zip(SEQUENCES, weights, strict=True)]
    np.testing.assert_array_equal(
        clone(model).fit(other, *targets, sample_weight=weights).theta_, fitted.theta_, err_msg="weight 0"
    )
    score = fitted.score(SEQUENCES, *targets, sample_weight=weights)
    assert score == pytest.approx(fitted.score(repeated, *again), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_sequences_are_computed_in_float32(kind):
    model, targets = KINDS[kind]
    single = [one.astype(np.float32) for one in SEQUENCES]
    fitted = clone(model).fit(single, *targets)
    assert fitted.coefs_[0].dtype == np.float32
    floats = {"transform", "reconstruct", "predict_proba"}
    assert {made.dtype for name, made in outputs(fitted, single).items() if name in floats} <= {np.dtype(np.float32)}
    double = clone(model).set_params(max_iter=1).fit(SEQUENCES, *targets)
    few = clone(model).set_params(max_iter=1).fit(single, *targets)
    assert np.linalg.norm(few.theta_ - double.theta_) <= 10 * FLOAT32 * np.linalg.norm(double.theta_)


def test_they_are_cloned_and_stand_in_pipelines():
    for model, _ in KINDS.values():
        assert clone(model).get_params() == model.get_params()
    halved = FunctionTransformer(lambda X: [one / 2 for one in X])
    pipeline = make_pipeline(halved, classifier()).fit(SEQUENCES, LABELS)
    np.testing.assert_array_equal(
        pipeline.predict_proba(SEQUENCES),
        classifier().fit([one / 2 for one in SEQUENCES], LABELS).predict_proba([one / 2 for one in SEQUENCES]),
    )
    codes = make_pipeline(autoencoder(), FeedforwardClassifier(hidden_layer_sizes=(3,), max_iter=5, random_state=0))
    assert codes.fit(SEQUENCES, LABELS).predict(SEQUENCES).shape == (40,)


def test_they_are_validated_across_folds_and_searched():
    scores = cross_val_score(classifier(input_shape=(7, 2)), SEQUENCES, LABELS, cv=4)
    assert scores.shape == (4,)
    np.testing.assert_array_equal(scores, cross_val_score(classifier(), padded(), LABELS, cv=4))
    steps = cross_val_score(regressor(per_step=True), padded(), padded(sequences=STEP_NUMBERS), cv=2)
    assert np.isfinite(steps).all()
    layers = [[LSTM(2)], [GRU(3, bidirectional=True), Dense(2)], [Recurrent(2), Recurrent(3)]]
    search = GridSearchCV(classifier(max_iter=8), {"layers": layers, "weight_decay": [0.0, 0.1]}, cv=2)
    search.fit(padded(), LABELS)
    assert search.best_params_["layers"] in layers
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_what_they_predict_for_steps_has_the_shape_of_the_steps():
    fitted = classifier(per_step=True).fit(SEQUENCES, STEP_LABELS)
    predicted = fitted.predict(SEQUENCES)
    assert [one.shape for one in predicted] == [(length,) for length in LENGTHS]
    assert predicted[0].dtype.kind == "U"
    probabilities = fitted.predict_proba(SEQUENCES)
    assert probabilities.shape == (40, 7, 2)
    missing = np.arange(7) >= LENGTHS[:, None]
    np.testing.assert_array_equal(np.isnan(probabilities).all(axis=2), missing)
    np.testing.assert_allclose(probabilities[~missing].sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(fitted.predict_log_proba(SEQUENCES)[~missing], np.log(probabilities[~missing]))
    longest = [one for one in SEQUENCES if len(one) == 7]
    assert fitted.predict(longest).shape == (len(longest), 7)
    for targets, shape in ((STEP_NUMBERS, (40, 7, 2)), ([one[:, 0] for one in STEP_NUMBERS], (40, 7))):
        predicted = regressor(per_step=True).fit(SEQUENCES, targets).predict(SEQUENCES)
        assert predicted.shape == shape
        np.testing.assert_array_equal(np.isnan(predicted).reshape(40, 7, -1).all(axis=2), missing)


def test_the_codes_and_reconstructions_of_an_autoencoder():
    missing = np.repeat(np.arange(7) >= LENGTHS[:, None], 2, axis=1)
    fitted = autoencoder(layers=[LSTM(5), LSTM(3)], max_iter=20).fit(SEQUENCES)
    codes, reconstructed = fitted.transform(SEQUENCES), fitted.reconstruct(SEQUENCES)
    assert codes.shape == (40, 3)
    assert (fitted.code_layer_, fitted.n_features_in_, fitted.input_shape_) == (2, 14, (7, 2))
    np.testing.assert_array_equal(np.isnan(reconstructed), missing)
    for H in (codes, codes.tolist(), open_rows(codes)):
        decoded = fitted.inverse_transform(H)
        assert np.isfinite(decoded).all()
        np.testing.assert_array_equal(decoded[~missing], reconstructed[~missing])
    out = np.empty_like(reconstructed)
    assert fitted.reconstruct(SEQUENCES, out=out) is out
    np.testing.assert_array_equal(out, reconstructed)
    flat = padded().reshape(40, 14)[~missing].reshape(-1, 2)
    residual = ((flat - reconstructed[~missing].reshape(-1, 2)) ** 2).sum()
    expected = 1 - residual / ((flat - flat.mean(axis=0)) ** 2).sum()
    assert fitted.score(SEQUENCES) == pytest.approx(expected, rel=1e-12)
    assert fitted.set_output(transform="pandas").transform(SEQUENCES).shape == (40, 3)

    steps = autoencoder(layers=[Recurrent(3, return_sequences=True)]).fit(SEQUENCES)
    codes = steps.transform(SEQUENCES)
    assert codes.shape == (40, 21)
    np.testing.assert_array_equal(np.isnan(codes), np.arange(21) // 3 >= LENGTHS[:, None])
    for H in (codes, open_rows(codes)):
        np.testing.assert_array_equal(steps.inverse_transform(H), steps.reconstruct(SEQUENCES))
    np.testing.assert_allclose(steps.mean_activation_, np.nanmean(codes.reshape(-1, 3), axis=0), rtol=1e-12)


def test_the_score_of_an_autoencoder_is_exact_far_from_zero():
    fitted = autoencoder().fit(SEQUENCES)
    fitted.coefs_ = [1e-3 * one for one in fitted.coefs_]
    far = [one + 1e8 for one in SEQUENCES]
    with pytest.warns(UserWarning, match="Most of these rows lie far outside"):
        reconstructed = fitted.reconstruct(far)
    flat = np.concatenate(far)
    made = reconstructed[~np.isnan(reconstructed)].reshape(-1, 2)
    expected = 1 - ((flat - made) ** 2).sum() / ((flat - flat.mean(axis=0)) ** 2).sum()
    with pytest.warns(UserWarning, match="Most of these rows lie far outside"):
        assert fitted.score(far) == pytest.approx(expected, rel=1e-6)


def test_dask_arrays_of_sequences_stay_dask_arrays():
    chunks = pytest.importorskip("dask.array").from_array(padded(), chunks=(15, 7, 2))
    fitted = autoencoder().fit(SEQUENCES)
    for name in ("transform", "reconstruct"):
        lazy = getattr(fitted, name)(chunks)
        assert hasattr(lazy, "dask")
        np.testing.assert_allclose(lazy.compute(), getattr(fitted, name)(SEQUENCES), rtol=1e-12, atol=1e-14)
    decoded = fitted.inverse_transform(fitted.transform(chunks)).compute()
    np.testing.assert_allclose(decoded, fitted.inverse_transform(fitted.transform(SEQUENCES)), rtol=1e-12, atol=1e-14)


def test_labels_of_steps_may_be_arrays_lists_or_strings():
    X = np.random.default_rng(5).normal(size=(12, 4, 2))
    labels = np.where(X[:, :, 0] > 0, 2, 7)
    expected = classifier(per_step=True).fit(X, labels)
    for y in (labels.tolist(), list(labels), labels.astype(float)):
        np.testing.assert_array_equal(classifier(per_step=True).fit(X, y).theta_, expected.theta_)
    words = np.array(["a", "two", "x"])[np.clip(np.cumsum(X[:, :, 0] > 0, axis=1), 0, 2)]
    fitted = classifier(per_step=True).fit(X, words)
    np.testing.assert_array_equal(fitted.classes_, ["a", "two", "x"])
    assert set(fitted.predict(X).ravel()) <= {"a", "two", "x"}
    assert fitted.score(X, words) == np.mean(fitted.predict(X) == words)
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(labels, columns=["one", "two", "three", "four"])
    np.testing.assert_array_equal(classifier(per_step=True).fit(X, table).theta_, expected.theta_)


def test_scores_of_steps_are_plain_averages_over_steps():
    fitted = classifier(per_step=True).fit(SEQUENCES, STEP_LABELS)
    right = [made == true for made, true in zip(fitted.predict(SEQUENCES), STEP_LABELS, strict=True)]
    assert fitted.score(SEQUENCES, STEP_LABELS) == pytest.approx(np.concatenate(right).mean(), rel=EXACT)
    weights = np.arange(40.0)
    weighted = sum(w * one.sum() for w, one in zip(weights, right, strict=True)) / (weights @ LENGTHS)
    assert fitted.score(SEQUENCES, STEP_LABELS, weights) == pytest.approx(weighted, rel=EXACT)
    model = regressor(per_step=True).fit(SEQUENCES, STEP_NUMBERS)
    predicted = model.predict(SEQUENCES)
    true, made = np.concatenate(STEP_NUMBERS), predicted[~np.isnan(predicted).any(axis=2)]
    assert model.score(SEQUENCES, STEP_NUMBERS) == pytest.approx(r2_score(true, made), rel=1e-10)
    assert model.score(SEQUENCES, STEP_NUMBERS, weights) == pytest.approx(
        r2_score(true, made, sample_weight=np.repeat(weights, LENGTHS)), rel=1e-10
    )


def test_steps_without_targets_have_no_loss():
    known = [one.copy() for one in STEP_NUMBERS]
    for one in known[::3]:
        one[::2] = np.nan
    settings = {"per_step": True, "weight_decay": 0.0, "scale_targets": False}
    model = regressor(**settings).fit(SEQUENCES, known)
    predicted, targets = model.predict(SEQUENCES), padded(sequences=known)
    exists = ~(np.isnan(targets) | np.isnan(predicted)).any(axis=2)
    expected = 0.5 * ((predicted - targets)[exists] ** 2).sum() / 40
    assert model.cost(SEQUENCES, known)[0] == pytest.approx(expected, rel=1e-12)
    assert model.score(SEQUENCES, known) == pytest.approx(r2_score(targets[exists], predicted[exists]), rel=1e-10)
    other = [np.where(np.isnan(one), np.nan, one) for one in known]
    np.testing.assert_array_equal(regressor(**settings).fit(SEQUENCES, other).theta_, model.theta_)


def test_targets_of_steps_are_standardised_over_the_steps_that_have_some():
    model = regressor(per_step=True).fit(SEQUENCES, [1000 * one + 500 for one in STEP_NUMBERS])
    steps = 1000 * np.concatenate(STEP_NUMBERS) + 500
    n_steps = len(model.target_shift_) // steps.shape[1]
    np.testing.assert_allclose(model.target_shift_, np.tile(steps.mean(axis=0), n_steps))
    np.testing.assert_allclose(model.target_scale_, np.tile(steps.std(axis=0), n_steps))
    np.testing.assert_allclose(
        model.predict(SEQUENCES),
        1000 * regressor(per_step=True).fit(SEQUENCES, STEP_NUMBERS).predict(SEQUENCES) + 500,
        rtol=1e-6,
    )


def test_binary_targets_of_steps_have_the_cross_entropy_of_each():
    notes = [(one > 0).astype(float) for one in STEP_NUMBERS]
    model = RecurrentRegressor(
        layers=[LSTM(4)],
        per_step=True,
        output_activation="sigmoid",
        loss="binary_cross_entropy",
        weight_decay=0.01,
        solver="lbfgs",
        max_iter=10,
        random_state=0,
    ).fit(SEQUENCES, notes)
    predicted, targets = model.predict(SEQUENCES), padded(sequences=notes)
    exists = ~np.isnan(targets)
    p, t = predicted[exists], targets[exists]
    loss = -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum() / 40
    decay = 0.005 * sum((W**2).sum() for W in model.coefs_)
    J, terms = model.cost(SEQUENCES, notes)
    assert terms["binary_cross_entropy"] == pytest.approx(loss, rel=1e-12)
    assert pytest.approx(loss + decay, rel=1e-12) == J


def test_the_loss_of_a_classifier_of_steps_is_the_sum_over_its_steps():
    model = classifier(per_step=True, weight_decay=0.0).fit(SEQUENCES, STEP_LABELS)
    p = model.predict_proba(SEQUENCES)
    expected = 0.0
    for row, labels in zip(p, STEP_LABELS, strict=True):
        expected -= np.log(row[np.arange(len(labels)), np.searchsorted(model.classes_, labels)]).sum()
    assert model.cost(SEQUENCES, STEP_LABELS)[0] == pytest.approx(expected / 40, rel=1e-12)


def test_other_estimators_take_recurrent_layers_as_well():
    fitted = FeedforwardClassifier(layers=[GRU(3)], activation="tanh", max_iter=3, random_state=0).fit(
        SEQUENCES, LABELS
    )
    other = RecurrentClassifier(layers=[GRU(3)], solver="lbfgs", max_iter=3, random_state=0).fit(SEQUENCES, LABELS)
    np.testing.assert_array_equal(fitted.theta_, other.theta_)
    np.testing.assert_array_equal(fitted.predict(SEQUENCES), other.predict(SEQUENCES))


def test_layers_that_are_not_recurrent_take_sequences_of_equal_length():
    from rhohat import Convolution, MaxPooling

    X = np.random.default_rng(0).normal(size=(20, 6, 2))
    for layers in ([Convolution(3, 2), LSTM(3)], [Dense(4, per_step=True), LSTM(3)], [5], [],
                   [LSTM(3, return_sequences=True), MaxPooling(2), Dense(3)]):  # fmt: skip
        fitted = classifier(layers=layers).fit(X, LABELS[:20])
        assert fitted.input_shape_ == (6, 2)
        assert fitted.predict(X).shape == (20,)


@pytest.mark.parametrize("layers", [[LSTM(4)], [GRU(4, bidirectional=True)], [Recurrent(4), Dense(3)]])
def test_an_autoencoder_mirrors_its_layers(layers):
    fitted = RecurrentAutoencoder(layers=layers, solver="lbfgs", max_iter=3, random_state=0).fit(SEQUENCES)
    sizes = fitted.network_.layer_sizes
    assert sizes[0] == sizes[-1] == 14
    assert fitted.transform(SEQUENCES).shape == (40, sizes[fitted.code_layer_])
    assert fitted.code_layer_ == len(layers)


def test_numbers_are_predicted_from_sequences():
    fitted = regressor(layers=[Recurrent(4, activation="identity")], weight_decay=0.0, max_iter=200).fit(
        SEQUENCES, NUMBERS
    )
    assert fitted.score(SEQUENCES, NUMBERS) > 0.99
