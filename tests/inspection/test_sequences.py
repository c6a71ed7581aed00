"""Sequences in metrics, pictures and reports: only steps that exist count, and activations are drawn over time."""

import numpy as np
import pytest
from matplotlib import pyplot
from sklearn.base import clone

import rhohat
from rhohat import GRU, LSTM, Dense, FeedforwardClassifier, Recurrent, plot_activations
from rhohat.inspection.reporting.units import describe_units
from rhohat.inspection.sequences import activations_over_time, layer_of_steps
from tests.estimators.sequences import (
    KINDS,
    LABELS,
    LENGTHS,
    SEQUENCES,
    STEP_LABELS,
    autoencoder,
    classifier,
    padded,
    regressor,
)
from tests.inspection.reporting.pages import record_of

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The code is the same for every row:UserWarning"),
]

FLAT = padded().reshape(40, 14)
EXISTS = np.arange(7) < LENGTHS[:, None]


@pytest.mark.parametrize("kind", KINDS)
def test_an_evaluation_counts_the_steps_that_exist(kind):
    model, targets = KINDS[kind]
    fitted = clone(model).fit(SEQUENCES, *targets)
    found = rhohat.evaluate(fitted, SEQUENCES, *targets)
    assert found.to_dict() == rhohat.evaluate(fitted, padded(), *targets).to_dict()
    codes = fitted.codes(FLAT)
    if "steps" in kind:
        codes = codes.reshape(40, 7, -1)[EXISTS]
    assert (found.n_samples, found.n_features, found.n_units) == (40, 14, codes.shape[1])
    np.testing.assert_allclose(found.mean_activation, codes.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.largest_activation, codes.max(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.activation_frequency, (codes > found.threshold).mean(axis=0), rtol=1e-12)
    assert found.l0 == pytest.approx((codes > found.threshold).sum(axis=1).mean())
    cost, terms = fitted.cost(SEQUENCES, *targets)
    assert found.cost == pytest.approx(cost, rel=1e-12)
    assert terms.keys() == found.terms.keys()
    if targets:
        assert found.score == pytest.approx(fitted.score(SEQUENCES, *targets), rel=1e-12)
        assert found.score_name == ("accuracy" if "classifier" in kind else "R²")
    else:
        assert found.explained_variance == pytest.approx(fitted.score(SEQUENCES), rel=1e-12)
        residual = (FLAT - fitted.reconstruct(SEQUENCES))[np.repeat(EXISTS, 2, axis=1)]
        assert found.mean_squared_error == pytest.approx((residual**2).mean(), rel=1e-12)
        np.testing.assert_allclose(found.mean_activation, fitted.mean_activation_, rtol=1e-10)


def test_an_evaluation_refuses_what_is_no_sequence():
    fitted = autoencoder().fit(SEQUENCES)
    bad = padded(0.0)
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"sequence 3 of .* has missing numbers before its end"):
        rhohat.evaluate(fitted, bad)
    steps = classifier(per_step=True).fit(SEQUENCES, STEP_LABELS)
    with pytest.raises(ValueError, match="y must have an entry for each step"):
        rhohat.evaluate(steps, SEQUENCES, [*STEP_LABELS[:-1], STEP_LABELS[-1][:-1]])
    with pytest.warns(UserWarning, match="sideways"):
        rhohat.evaluate(steps, SEQUENCES, [*STEP_LABELS[:-1], np.array(["sideways"] * 5)])


@pytest.mark.parametrize(
    ("layers", "layer"),
    [
        ([LSTM(4, peepholes=True)], 1),
        ([GRU(4, bidirectional=True), Recurrent(3)], 2),
        ([Recurrent(4), Dense(5)], 1),
        ([Recurrent(4), Dense(5, per_step=True), LSTM(2), 6], 3),
    ],
    ids=["lstm", "two layers", "dense code", "three layers"],
)
def test_activations_over_time_are_those_of_beginnings_of_sequences(layers, layer):
    fitted = classifier(layers=layers).fit(SEQUENCES, LABELS)
    assert layer_of_steps(fitted) == layer
    found = activations_over_time(fitted, FLAT, layer)
    assert [len(one) for one in found] == LENGTHS.tolist()
    # The last state after each beginning of a sequence; of a layer in both directions, the forward units are the same.
    whole = classifier(layers=layers[:layer]).fit(SEQUENCES, LABELS)
    size = sum(W.size for W in fitted.coefs_[:layer])
    assert size == sum(W.size for W in whole.coefs_[:layer])
    whole.coefs_[:layer], whole.intercepts_[:layer] = fitted.coefs_[:layer], fitted.intercepts_[:layer]
    whole.activation_parameters_[:layer] = fitted.activation_parameters_[:layer]
    if any(getattr(one, "bidirectional", False) for one in layers):
        np.testing.assert_allclose(
            [one[-1] for one in found], whole.codes(FLAT), rtol=1e-12, atol=1e-14
        )  # at the end, the later layer has seen everything
        return
    for n_steps in (1, 2, 5):
        long = n_steps <= LENGTHS
        expected = whole.codes(padded(sequences=[one[:n_steps] for one in SEQUENCES]).reshape(40, 14))[long]
        seen = [one[n_steps - 1] for one, enough in zip(found, long, strict=True) if enough]
        np.testing.assert_allclose(seen, expected, rtol=1e-12, atol=1e-14)


def test_activations_are_drawn_over_time(tmp_path):
    fitted = autoencoder(layers=[LSTM(5)]).fit(SEQUENCES)
    axes = plot_activations(fitted, SEQUENCES, title="five units")
    picture = axes.images[0].get_array()
    assert picture.shape == (5, sum(LENGTHS[:4]) + 3)
    over_time = activations_over_time(fitted, FLAT[:4], 1)
    np.testing.assert_array_equal(np.asarray(picture[:, :3]), over_time[0].T)
    np.testing.assert_array_equal(np.asarray(picture[:, 4:11]), over_time[1].T)
    assert np.ma.getmaskarray(picture)[:, 3].all()
    low, high = axes.images[0].get_clim()
    assert low == -high == -np.abs(np.concatenate(over_time)).max()
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("five units", "step", "unit")
    chosen = plot_activations(fitted, padded(), [3, 1], n_sequences=1, ax=pyplot.subplots()[1])
    np.testing.assert_allclose(np.asarray(chosen.images[0].get_array()), over_time[0][:, [3, 1]].T, rtol=1e-12)
    assert [label.get_text() for label in chosen.get_yticklabels()] == ["3", "1"]
    np.save(tmp_path / "rows.npy", padded())
    with pytest.warns(UserWarning, match="row_axes"):
        assert plot_activations(fitted, tmp_path / "rows.npy", n_sequences=100).images[0].get_array().shape[0] == 5
    many = classifier(layers=[Recurrent(50)], max_iter=1).fit(SEQUENCES, LABELS)
    assert plot_activations(many, SEQUENCES).images[0].get_array().shape[0] == 32


def test_activations_that_cannot_be_drawn():
    dense = FeedforwardClassifier(hidden_layer_sizes=(3,), max_iter=2).fit(np.arange(40.0).reshape(20, 2), LABELS[:20])
    with pytest.raises(ValueError, match="none of its layers goes through the steps"):
        plot_activations(dense, np.zeros((3, 2)))
    fitted = autoencoder().fit(SEQUENCES)
    for units in ([], [3], [-1]):
        with pytest.raises(ValueError, match="units must be numbers from 0 to 2, as the layer has 3 units"):
            plot_activations(fitted, SEQUENCES, units)
    with pytest.raises(ValueError, match="n_sequences must be >= 1; got 0"):
        plot_activations(fitted, SEQUENCES, n_sequences=0)


@pytest.mark.parametrize("kind", KINDS)
def test_reports_of_sequences_say_what_there_is(kind):
    model, targets = KINDS[kind]
    fitted = clone(model).fit(SEQUENCES, *targets)
    page = rhohat.report(fitted, SEQUENCES, y=targets[0] if targets else None)
    assert page == rhohat.report(fitted, padded(), y=targets[0] if targets else None)
    assert "sequences of at most 7 steps with 2 channels" in page
    assert "Activations over time" in page
    assert "row 0, 3 steps" in page
    assert "NaN" not in page
    assert ">nan<" not in page
    record = record_of(page)
    n_units = len(fitted.codes(FLAT)[0]) // (7 if "steps" in kind else 1)
    assert record["n"] == n_units
    assert record["features"][5] == "step 2, ch 1"
    assert sum(record["histogram"]["counts"][0]) == (LENGTHS.sum() if "steps" in kind else 40)
    assert ("averaged over steps" in page) == ("steps" in kind)
    assert ("at step 3, in the middle" in page) == ("steps" in kind)


def test_the_rows_of_a_report_are_those_with_the_largest_activation_at_any_step():
    fitted = autoencoder(layers=[Recurrent(3, return_sequences=True)]).fit(SEQUENCES)
    record = record_of(rhohat.report(fitted, SEQUENCES))
    largest = np.nanmax(fitted.codes(FLAT).reshape(40, 7, 3), axis=1)
    for unit in range(3):
        rows = [record["rows"]["numbers"][place] for place in record["top"]["places"][unit]]
        assert rows == np.argsort(-largest[:, unit], kind="stable")[:12].tolist()
    assert None in np.array(record["top"]["values"], dtype=object).ravel().tolist()  # past the end of a short one


def test_norms_are_those_of_the_weights_of_a_unit_in_its_direction():
    fitted = regressor(layers=[GRU(3, bidirectional=True)]).fit(SEQUENCES, [one.sum() for one in SEQUENCES])
    W = fitted.coefs_[0]
    n_columns = W.shape[1] // 2
    for unit in range(6):
        direction, place = divmod(unit, 3)
        columns = range(direction * n_columns + place, (direction + 1) * n_columns, 3)
        expected = np.linalg.norm(W[:, list(columns)])
        assert describe_units(fitted, None).norms[unit] == pytest.approx(expected, rel=1e-12)


def test_what_a_report_of_flat_sequences_shows_is_no_image():
    X = np.random.default_rng(0).normal(size=(30, 16))  # as many numbers as a picture of 4 × 4 pixels
    page = rhohat.report(autoencoder().fit(X), X)
    assert "sequences of at most 16 steps with 1 channel" in page
    assert '"step 3"' in page
