"""What a page says of predictions, of rows held out, and of how a fit ended."""

import re
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_wine
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from rhohat import (
    Adam,
    FeedforwardClassifier,
    FeedforwardRegressor,
    ModelCard,
    SoftmaxRegression,
    SparseAutoencoder,
    open_rows,
    report,
)
from rhohat.inspection.reporting.charts import draw_scatter
from rhohat.inspection.reporting.confusion import Confusion
from tests.inspection.reporting.pages import figures_of

QUICK = {"max_iter": 1000, "tol": 1e-2, "random_state": 0}


def section_of(page, name):
    found = re.findall(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    return found[0] if found else None


@pytest.fixture(scope="module")
def wine():
    data, target = load_wine(return_X_y=True)
    classifier = FeedforwardClassifier(hidden_layer_sizes=(4,), **QUICK)
    return make_pipeline(StandardScaler(), classifier).fit(data[::3], target[::3]), data, target


def test_a_confusion_matrix_counts_what_is_taken_for_what(wine):
    model, data, target = wine
    found = section_of(report(model, data, y=target), "confusion")
    lines = re.findall(r'<tr><th scope="row">([^<]*)</th>(.*?)</tr>', found)
    expected = confusion_matrix(target, model.predict(data))
    assert np.count_nonzero(expected - np.diag(np.diag(expected))) > 0
    for number, (name, cells) in enumerate(lines[:-1]):
        assert name == str(number)
        *counts, recall = re.findall(r"<td[^>]*>([^<]*)</td>", cells)
        assert [int(count) for count in counts] == expected[number].tolist()
        assert float(recall) == pytest.approx(expected[number, number] / expected[number].sum(), rel=1e-2)
    name, cells = lines[-1]
    assert name == "precision"
    precisions = [float(cell) for cell in re.findall(r"<td[^>]*>([^<]+)</td>", cells)]
    assert precisions == pytest.approx((np.diag(expected) / expected.sum(axis=0)).tolist(), rel=1e-2)


def test_a_page_about_rows_of_the_training_says_so(tmp_path, wine):
    _, data, target = wine
    for name in ("old.csv", "new.csv"):
        np.savetxt(tmp_path / name, data, delimiter=",")
    with open_rows(tmp_path / "old.csv") as rows:
        model = SoftmaxRegression(**QUICK).fit(rows, target)
    said = "The model has learned from these rows; only other rows tell how well it does on new ones."
    assert said in report(model, tmp_path / "old.csv")
    assert "has learned from" not in report(model, tmp_path / "new.csv")
    model.model_card_ = ModelCard(held_out={"accuracy": 0.9})
    assert "has learned from most of these rows; the figures on rows held out, below," in (
        report(model, tmp_path / "old.csv")
    )


def test_without_targets_or_classes_there_is_no_confusion_matrix(wine):
    model, data, _ = wine
    assert section_of(report(model, data), "confusion") is None
    autoencoder = SparseAutoencoder(n_components=2, **QUICK).fit(MinMaxScaler().fit_transform(data))
    page = report(autoencoder, MinMaxScaler().fit_transform(data), y=np.zeros(len(data)))
    assert section_of(page, "confusion") is None


def test_names_of_classes_are_texts_and_rows_of_unknown_classes_are_left_out(wine):
    _, data, target = wine
    labels = np.array(["<b>Barolo</b>", "Grignolino", "Barbera"])[target]
    model = make_pipeline(StandardScaler(), SoftmaxRegression(**QUICK)).fit(data, labels)
    asked = labels.astype(object)
    asked[:5] = "Riesling"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = section_of(report(model, data, y=asked.astype(str)), "confusion")
    assert "<b>" not in found
    assert "&lt;b&gt;Barolo" in found
    counts = [int(count) for count in re.findall(r'<td class="(?:right|wrong)[^"]*">(\d+)</td>', found)]
    assert sum(counts) == len(data) - 5


def test_of_many_classes_the_most_frequent_mistakes_are_told():
    counts = 10 * np.eye(30, dtype=np.intp)
    counts[3, 7], counts[20, 1] = 5, 9
    found = Confusion([f"class {number}" for number in range(30)], counts)
    assert not found.is_whole
    assert found.mistakes == [("class 20", "class 1", 9), ("class 3", "class 7", 5)]
    images = load_digits().data / 16
    labels = np.arange(len(images)) % 30
    model = SoftmaxRegression(**QUICK).fit(images, labels)
    section = section_of(report(model, images, y=labels), "confusion")
    assert "There are 30 classes, too many for a table of all" in section
    assert section.count('<th scope="row">') == 15


def test_predictions_of_a_regressor_lie_beside_its_values(wine):
    _, data, _ = wine
    regressor = FeedforwardRegressor(
        hidden_layer_sizes=(4,), weight_decay=1e-3, max_iter=1000, tol=1e-3, random_state=0
    )
    model = make_pipeline(StandardScaler(), regressor).fit(data[:, 1:], data[:, 0])
    page = report(model, data[:, 1:], y=data[:, 0])
    found = section_of(page, "predicted")
    (dots,) = re.findall(r'<path class="dots many" d="([^"]*)"', found)
    across, up = np.array([dot.split() for dot in re.findall(r"M([\d.]+ [\d.]+)h0", dots)], np.float64).T
    assert np.corrcoef(across, data[:, 0])[0, 1] == pytest.approx(1, abs=1e-4)
    assert np.corrcoef(-up, model.predict(data[:, 1:]))[0, 1] == pytest.approx(1, abs=1e-4)
    (line,) = re.findall(r'class="target" x1="([\d.]+)" x2="([\d.]+)" y1="([\d.]+)" y2="([\d.]+)"', found)
    x1, x2, y1, y2 = map(float, line)
    shares = (across - x1) / (x2 - x1) - (up - y1) / (y2 - y1)  # how far dots are below the line
    np.testing.assert_allclose(np.sign(shares), np.sign(data[:, 0] - model.predict(data[:, 1:])))
    figures = figures_of(page)
    assert figures["mean absolute error"] == pytest.approx(
        np.abs(data[:, 0] - model.predict(data[:, 1:])).mean(), rel=1e-3
    )
    assert section_of(report(model, data[:, 1:]), "predicted") is None
    several = FeedforwardRegressor(hidden_layer_sizes=(4,), **QUICK).fit(data[:, 2:], data[:, :2])
    found = section_of(report(several, data[:, 2:], y=data[:, :2]), "predicted")
    assert re.findall("<h3>([^<]*)</h3>", found) == ["target 0", "target 1"]


@pytest.mark.parametrize("values", [np.ones(5), np.array([-1e300, 1e300]), np.array([1e-5, 1.2345e-5])])
def test_dots_of_any_size_are_drawn(values):
    texts = {"across": "value", "up": "prediction", "title": "", "description": ""}
    svg = draw_scatter("dots", values, values[::-1].copy(), **texts)
    assert svg.count("h0") == len(values)
    assert "nan" not in svg


def test_the_card_of_a_model_is_shown_with_its_figures_on_rows_held_out(wine):
    model, data, _ = wine
    page = report(model, data)
    assert section_of(page, "held-out") is None
    assert "<dt>Note</dt>" not in page
    held_out = {"accuracy": 0.9512, "log loss": float("nan")}
    model[-1].model_card_ = ModelCard("For <b>Ann</b>.", "60 rows of wine.csv.", {"accuracy": 1.0, "L0": 3}, held_out)
    try:
        page = report(model, data)
    finally:
        del model[-1].model_card_
    found = section_of(page, "held-out")
    assert re.search(r'<th scope="row">accuracy</th><td><b>0.9512</b></td><td>1</td>', found)
    assert re.search(r'<th scope="row">log loss</th><td><b>unknown</b></td><td></td>', found)
    assert "For &lt;b&gt;Ann&lt;/b&gt;." in page
    assert "60 rows of wine.csv." in page


def status_of(page):
    return re.findall(r'<span class="status (\w+)">([^<]*)</span>', page)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_end_at_the_largest_number_of_iterations_is_no_warning_where_the_cost_has_flattened(rng):
    X = rng.random((60, 5))
    model = SparseAutoencoder(n_components=2, sparsity=0.3, max_iter=20, tol=1e-12, random_state=0).fit(X)
    for curve, expected in (([1 + 2.0**-k for k in range(100)], "neutral"), ([100.0 - k for k in range(99)], "warn")):
        model.loss_curve_, model.terms_curve_, model.solver_status_ = curve, {}, "max_iter"
        assert status_of(report(model, X)) == [(expected, "stopped at max_iter")]
    model.solver_status_ = "converged"
    assert status_of(report(model, X)) == [("good", "converged")]
    model.solver_status_ = "diverged"
    assert status_of(report(model, X)) == [("warn", "diverged")]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_terms_that_are_always_0_are_left_out_and_costs_on_rows_held_out_are_shown(rng):
    X = rng.random((200, 5))
    solver = Adam(batch_size=50, early_stopping=True, validation_fraction=0.2)
    model = SparseAutoencoder(n_components=2, max_iter=3, weight_decay=0.0, solver=solver, random_state=0).fit(X)
    assert not np.any(model.terms_curve_.get("weight_decay", [0.0]))
    model.terms_curve_ = {**model.terms_curve_, "weight_decay": [0.0] * 3}
    section = section_of(report(model, X), "training")
    assert "weight decay" not in section
    assert "squared error" in section
    assert "J on rows kept back for early stopping" in section
