import json
import re
import warnings
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    mean_absolute_error,
    mean_squared_error,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import rhohat
from rhohat import (
    Adam,
    AutoencoderDetector,
    DenoisingAutoencoder,
    Evaluation,
    FeedforwardClassifier,
    FeedforwardRegressor,
    PatchNormalizer,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoder,
    evaluate,
    open_rows,
)
from rhohat.inspection.metrics import explained_variance
from rhohat.inspection.metrics.predictions import root_mean_squared_error
from rhohat.terms.penalties import KLSparsity
from tests.tolerances import EXACT

pytestmark = pytest.mark.filterwarnings("ignore:.*iterations? (was|were) done:sklearn.exceptions.ConvergenceWarning")

AUTOENCODERS = {
    "sparse": SparseAutoencoder(n_components=9, sparsity=0.05, sparsity_weight=0.3, max_iter=15, random_state=0),
    "tanh": SparseAutoencoder(
        n_components=9, activation="tanh", sparsity=0.2, sparsity_weight=0.3, max_iter=15, random_state=0
    ),
    "relu": DenoisingAutoencoder(
        n_components=9, activation="relu", solver=Adam(batch_size=50), max_iter=3, random_state=0
    ),
    "stack": StackedAutoencoder(
        [
            SparseAutoencoder(n_components=9, sparsity=0.1, max_iter=10),
            SparseAutoencoder(n_components=5, activation="tanh", sparsity=0.1, max_iter=10),
        ],
        random_state=0,
    ),
}
THRESHOLDS = {"sparse": 0.1, "tanh": -0.8, "relu": 0.0, "stack": -0.8}


@pytest.fixture(params=["random", "mnist"])
def rows(request, rng):
    """Rows in [0, 1]: as many as are read in two blocks, or a few real ones."""
    if request.param == "random":
        return rng.random((300, 12)) * np.linspace(0.1, 1, 12)
    path = request.getfixturevalue("data_dir") / "mnist" / "t10k-images-idx3-ubyte.gz"
    with open_rows(path, transform=lambda rows: rows / 255) as source:
        return source.read(0, 600)


@pytest.fixture
def small_blocks(monkeypatch):
    """Row sources are read some hundred rows at a time."""
    monkeypatch.setattr("rhohat.data.rows.base._BYTES_AT_ONCE", 2**13)


def by_definition(X, made, codes, threshold):
    """The metrics that every autoencoder has, of all rows at once."""
    active = codes > threshold
    return {
        "n_samples": len(X),
        "n_features": X.shape[1],
        "n_units": codes.shape[1],
        "threshold": threshold,
        "explained_variance": 1 - ((X - made) ** 2).sum() / ((X - X.mean(axis=0)) ** 2).sum(),
        "mean_squared_error": ((X - made) ** 2).mean(),
        "l0": active.sum(axis=1).mean(),
        "constant_fraction": np.mean(codes.std(axis=0) <= 0.02 * np.abs(codes.mean(axis=0))),
        "dead_fraction": 1 - active.any(axis=0).mean(),
        "activation_frequency": active.mean(axis=0),
        "mean_activation": codes.mean(axis=0),
        "largest_activation": codes.max(axis=0),
    }


def assert_equal(first, second):
    assert isinstance(first, Evaluation)
    for field in fields(Evaluation):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name), err_msg=field.name)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", AUTOENCODERS)
def test_an_evaluation_is_that_of_the_definitions(name, rows):
    model = clone(AUTOENCODERS[name]).fit(rows)
    evaluation = evaluate(model, rows)
    codes = model.transform(rows)
    expected = by_definition(rows, model.reconstruct(rows), codes, THRESHOLDS[name])
    for metric, value in expected.items():
        np.testing.assert_allclose(getattr(evaluation, metric), value, rtol=EXACT, atol=EXACT, err_msg=metric)
    np.testing.assert_allclose(evaluation.explained_variance, model.score(rows), rtol=EXACT, atol=EXACT)
    cost, terms = model.cost(rows)
    assert evaluation.terms == pytest.approx(terms, rel=EXACT)
    np.testing.assert_allclose([evaluation.cost, sum(evaluation.terms.values())], cost, rtol=EXACT)
    assert evaluation.score is None
    if name in ("sparse", "tanh"):
        assert evaluation.sparsity == model.sparsity
        np.testing.assert_allclose(evaluation.kl_to_target * 0.3, terms["kl_sparsity"], rtol=EXACT)
    else:
        last = model.autoencoders_[-1] if hasattr(model, "autoencoders_") else model
        assert evaluation.sparsity == getattr(last, "sparsity", None)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_target_is_that_of_the_penalty_that_counts(rows):
    """Not that of a parameter whose weight is 0."""
    quick = {"n_components": 3, "sparsity_weight": 0, "max_iter": 3, "random_state": 0}
    free = evaluate(SparseAutoencoder(**quick).fit(rows), rows)
    assert (free.sparsity, free.kl_to_target) == (None, None)
    other = evaluate(SparseAutoencoder(**quick, penalties=[KLSparsity(0.2, 3.0)]).fit(rows), rows)
    assert other.sparsity == 0.2
    assert 3 * other.kl_to_target == pytest.approx(other.terms["kl_sparsity"])


@pytest.mark.usefixtures("small_blocks")
def test_a_pipeline_is_evaluated_on_rows_as_its_network_sees_them(rows):
    model = make_pipeline(PatchNormalizer(), clone(AUTOENCODERS["sparse"])).fit(rows)
    seen = model[0].transform(rows)
    evaluation = evaluate(model, rows)
    expected = by_definition(seen, model[1].reconstruct(seen), model[1].transform(seen), 0.1)
    for metric, value in expected.items():
        np.testing.assert_allclose(getattr(evaluation, metric), value, rtol=EXACT, atol=EXACT, err_msg=metric)
    np.testing.assert_allclose(evaluation.cost, model[1].cost(seen)[0], rtol=EXACT)


def test_a_pipeline_may_change_the_number_of_features(rng):
    rows = rng.random((100, 6))
    model = make_pipeline(PCA(3), FunctionTransformer(np.tanh), clone(AUTOENCODERS["sparse"])).fit(rows)
    evaluation = evaluate(model, rows)
    seen = np.tanh(model[0].transform(rows))
    assert evaluation.n_features == 3
    expected = explained_variance(seen, model[-1].reconstruct(seen))
    np.testing.assert_allclose(evaluation.explained_variance, expected, rtol=EXACT)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", [*AUTOENCODERS, "pipeline", "classifier"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_file_gives_the_numbers_that_the_same_rows_in_memory_give(name, rows, dtype, tmp_path):
    rows = rows.astype(dtype)
    y = None
    if name == "classifier":
        y = (rows.mean(axis=1) > rows.mean()).astype(int)
        model = FeedforwardClassifier(hidden_layer_sizes=[4], max_iter=5, random_state=0).fit(rows, y)
    elif name == "pipeline":
        model = make_pipeline(PatchNormalizer(), clone(AUTOENCODERS["sparse"])).fit(rows)
    else:
        model = clone(AUTOENCODERS[name]).fit(rows)
    np.save(tmp_path / "rows.npy", rows)
    in_memory = evaluate(model, rows, y)
    assert_equal(evaluate(model, tmp_path / "rows.npy", y), in_memory)
    with open_rows(tmp_path / "rows.npy") as source:
        assert_equal(evaluate(model, source, y), in_memory)
        assert source.read(0, 1).shape == (1, rows.shape[1])  # it stays open


@pytest.mark.usefixtures("small_blocks")
def test_a_classifier_is_scored_where_there_are_labels(rows):
    y = np.where(rows.mean(axis=1) > rows.mean(), "bright", "dark")
    model = FeedforwardClassifier(hidden_layer_sizes=[7], activation="tanh", max_iter=10, random_state=0).fit(rows, y)
    evaluation = evaluate(model, rows, y)
    assert evaluation.score == model.score(rows, y)
    assert (evaluation.cost, evaluation.terms) == model.cost(rows, y)
    assert evaluation.explained_variance is None
    assert (evaluation.mean_squared_error, evaluation.kl_to_target, evaluation.sparsity) == (None, None, None)
    hidden = np.tanh(rows @ model.coefs_[0] + model.intercepts_[0])
    np.testing.assert_allclose(evaluation.mean_activation, hidden.mean(axis=0), rtol=1e-9)
    assert evaluation.l0 == (hidden > -0.8).sum(axis=1).mean()
    without = evaluate(model, rows)
    assert (without.score, without.cost, without.terms) == (None, None, {})
    assert evaluate(model, rows, y, cost=False).cost is None


def test_the_cost_of_what_learns_from_targets_is_had_where_it_is_defined(rng):
    rows, y = rng.random((60, 5)), np.arange(60) % 3
    regressor = FeedforwardRegressor(hidden_layer_sizes=(3,), output_activation="tanh", random_state=0)
    regressor.fit(rows, rows[:, 0])
    evaluation = evaluate(regressor, rows, 5 * rows[:, 1])  # beyond what the output reaches
    assert evaluation.cost == regressor.cost(rows, 5 * rows[:, 1])[0]
    assert list(evaluation.terms) == ["squared_error", "weight_decay"]
    pipeline = make_pipeline(PatchNormalizer(), SoftmaxRegression(random_state=0)).fit(rows, y)
    seen = pipeline[0].transform(rows)
    assert evaluate(pipeline, rows, y).cost == pytest.approx(pipeline[-1].cost(seen, y)[0], rel=1e-12)
    with pytest.warns(
        UserWarning, match="20 of 60 labels are not classes of the model; the first of these labels is 3"
    ):
        unknown = evaluate(pipeline, rows, y + 1)
    assert unknown.cost is None
    assert unknown.score is not None
    tangents = rng.normal(size=(60, 1, 5))
    model = SoftmaxRegression(tangent_weight=0.1, random_state=0).fit(rows, y, tangents=tangents)
    assert evaluate(model, rows, y).cost is None
    assert model.cost(rows, y, tangents=tangents)[1]["tangent_propagation"] > 0


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("n_targets", [None, 1, 2])
def test_a_regressor_is_scored_by_r2(rng, n_targets):
    rows = rng.random((200, 5))
    y = rows @ rng.normal(size=(5, n_targets or 1))
    y = y[:, 0] if n_targets is None else y
    model = FeedforwardRegressor(hidden_layer_sizes=[4], max_iter=20, random_state=0).fit(rows, y)
    evaluation = evaluate(model, rows, y)
    np.testing.assert_allclose(evaluation.score, r2_score(y, model.predict(rows)), rtol=EXACT)
    np.testing.assert_allclose(evaluation.score, model.score(rows, y), rtol=EXACT)


def test_where_there_is_no_hidden_layer_the_units_are_those_of_the_output(rng):
    rows = rng.random((50, 4))
    model = SoftmaxRegression(max_iter=50, random_state=0).fit(rows, np.arange(50) % 3)
    evaluation = evaluate(model, rows)
    assert evaluation.n_units == 3
    np.testing.assert_allclose(evaluation.mean_activation, model.predict_proba(rows).mean(axis=0), rtol=EXACT)


def test_units_that_are_unbounded_have_no_divergence(rng):
    rows = rng.random((50, 4))
    model = SparseAutoencoder(activation="relu", n_components=3, sparsity_weight=0, max_iter=5, random_state=0)
    evaluation = evaluate(model.fit(rows), rows)
    assert (evaluation.sparsity, evaluation.kl_to_target) == (None, None)


def test_a_penalty_among_others_is_a_term(rng):
    rows = rng.random((50, 4))
    model = clone(AUTOENCODERS["relu"]).set_params(activation="sigmoid", penalties=[KLSparsity(0.1, 2.0)])
    evaluation = evaluate(model.fit(rows), rows)
    assert evaluation.sparsity == 0.1
    assert evaluation.terms["kl_sparsity"] > 0


def test_the_threshold_can_be_chosen_and_the_cost_left_out(rng):
    rows = rng.random((60, 5))
    model = clone(AUTOENCODERS["sparse"]).fit(rows)
    evaluation = evaluate(model, rows, threshold=0.04, cost=False)
    codes = model.transform(rows)
    assert evaluation.threshold == 0.04
    assert evaluation.l0 == (codes > 0.04).sum(axis=1).mean()
    assert (evaluation.cost, evaluation.terms) == (None, {})


def test_columns_with_names_are_no_reason_to_warn(rng):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(rng.random((40, 3)), columns=["a", "b", "c"])
    model = clone(AUTOENCODERS["sparse"]).fit(table)
    np.testing.assert_allclose(evaluate(model, table).explained_variance, model.score(table), rtol=EXACT)
    shuffled = table.assign(d="text")[["b", "a", "d", "c"]]
    np.testing.assert_allclose(evaluate(model, shuffled).explained_variance, model.score(table), rtol=EXACT)
    with pytest.raises(ValueError, match="lacks columns that the model was fitted to: 'c'"):
        evaluate(model, table[["b", "a"]])


def test_json_holds_an_evaluation(rng):
    rows = rng.random((60, 5))
    evaluation = evaluate(clone(AUTOENCODERS["tanh"]).fit(rows), rows)
    read = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert list(read) == [field.name for field in fields(Evaluation)]
    for name, value in read.items():
        np.testing.assert_array_equal(value, getattr(evaluation, name))


def test_an_evaluation_is_shown_as_a_table(rng):
    rows = rng.random((60, 5))
    evaluation = evaluate(clone(AUTOENCODERS["sparse"]).fit(rows), rows)
    table = dict(line.rsplit("  ", 1) for line in str(evaluation).splitlines())
    table = {name.strip(): value for name, value in table.items()}
    assert table["rows"] == "60 with 5 features"
    assert table["units"] == "9"
    assert float(table["explained variance"]) == pytest.approx(evaluation.explained_variance, rel=1e-5)
    assert float(table["J"]) == pytest.approx(evaluation.cost, rel=1e-5)
    assert float(table["kl_sparsity"]) == pytest.approx(evaluation.terms["kl_sparsity"], rel=1e-5)
    assert "score" not in table
    y = np.arange(60) % 2
    table = str(evaluate(SoftmaxRegression(random_state=0).fit(rows, y), rows, y))
    assert "accuracy" in table
    assert "\n  softmax_cross_entropy" in table
    assert not any(
        name in table for name in ("explained", "KL", "L0", "units", "mean activation")
    )  # outputs are no units
    table = str(evaluate(SoftmaxRegression(random_state=0).fit(rows, y), rows))
    assert not any(name in table for name in ("J ", "accuracy"))


def test_the_accuracy_stands_first_beside_the_largest_class_and_the_recalls(rows):
    labels = np.where(np.arange(len(rows)) % 5 > 0, "often", "seldom")
    model = SoftmaxRegression(random_state=0).fit(rows, labels)
    found = evaluate(model, rows, labels)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, model.predict(rows)))
    expected = recall_score(labels, model.predict(rows), average=None)
    assert found.recalls == pytest.approx({"often": expected[0], "seldom": expected[1]})
    precise = precision_score(labels, model.predict(rows), average=None, zero_division=np.nan)
    shown = [None if np.isnan(one) else pytest.approx(one) for one in precise]
    assert found.precisions == {"often": shown[0], "seldom": shown[1]}
    np.testing.assert_array_equal(found.confusion, confusion_matrix(labels, model.predict(rows)))
    assert found.classes == ["often", "seldom"]
    assert found.roc_auc == pytest.approx(roc_auc_score(labels == "seldom", model.predict_proba(rows)[:, 1]))
    assert evaluate(model, rows[:3], ["often"] * 3).roc_auc is None
    lines = str(found).splitlines()
    assert lines[1].startswith("accuracy ")
    assert lines[1].endswith("(the largest class, 'often', is 80.0% of the rows)")
    names = ["balanced accuracy ", "  recall of 'often' ", "  recall of 'seldom' ", "AUC "]
    assert [line[: len(name)] for line, name in zip(lines[2:6], names, strict=True)] == names
    assert f"(precision {precise[0]:.6g})" in lines[3]
    assert ("(never predicted)" in lines[4]) == np.isnan(precise[1])


def test_errors_of_a_regressor_are_in_the_units_of_each_target(rows):
    targets = np.column_stack([1000 * rows[:, 0], rows[:, 1] ** 2])
    model = FeedforwardRegressor(hidden_layer_sizes=(4,), max_iter=30, tol=1e-1, random_state=0).fit(rows, targets)
    found = evaluate(model, rows, targets)
    predicted = model.predict(rows)
    for figure, name in ((mean_absolute_error, "mean_absolute_error"), (mean_squared_error, "root_mean_squared_error")):
        expected = figure(targets, predicted, multioutput="raw_values") ** (0.5 if name.startswith("root") else 1)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=EXACT)
    with np.errstate(all="raise"):
        assert root_mean_squared_error([1e300, 0.0], [-1e300, 0.0]).tolist() == pytest.approx([2e300 / np.sqrt(2)])
    assert "root mean squared error" in str(found).splitlines()[3]


def test_of_a_detector_the_share_of_outliers_is_told(rows):
    detector = AutoencoderDetector(contamination=0.1, random_state=0).fit(rows)
    found = evaluate(detector, rows)
    assert found.outlier_fraction == pytest.approx(np.mean(detector.predict(rows) == -1))
    assert str(found).splitlines()[1].split() == ["outliers", f"{found.outlier_fraction:.1%}", "of", "the", "rows"]
    assert evaluate(detector.autoencoder_, rows).outlier_fraction is None


def test_bad_input_is_refused_before_rows_are_read(rng, tmp_path):
    rows = rng.random((60, 5))
    model = clone(AUTOENCODERS["sparse"])
    for unfitted in (model, make_pipeline(PatchNormalizer(), model)):
        with pytest.raises(NotFittedError):
            evaluate(unfitted, tmp_path / "no such file.npy")
    model.fit(rows)
    with pytest.raises(NotFittedError):
        evaluate(make_pipeline(PatchNormalizer(), model), rows)  # of which the second step alone is fitted
    with pytest.raises(ValueError, match="must be an estimator of rhohat"):
        evaluate(PCA(2).fit(rows), rows)
    with pytest.raises(ValueError, match="has 4 columns, but the model was fitted to rows of 5 columns"):
        evaluate(model, rows[:, :4])
    with pytest.raises(ValueError, match="threshold must be a finite number; got nan"):
        evaluate(model, rows, threshold=np.nan)
    with pytest.raises(FileNotFoundError):
        evaluate(model, tmp_path / "no such file.npy")
    classifier = SoftmaxRegression(random_state=0).fit(rows, np.arange(60) % 2)
    with pytest.raises(ValueError, match="one entry for each of the 60 rows; got 3"):
        evaluate(classifier, rows, [0, 1, 0])
    with pytest.raises(ValueError, match="y must be an array in memory"), open_rows(rows[:, :1]) as source:
        evaluate(classifier, rows, source)


@pytest.mark.usefixtures("small_blocks")
def test_a_number_that_is_not_finite_is_named_by_its_rows(rng, tmp_path):
    rows = rng.random((600, 12))
    model = clone(AUTOENCODERS["sparse"]).fit(rows)
    rows[500, 3] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(ValueError, match=r"rows\.npy contains NaN or infinity, first in row 500, column 3"):
        evaluate(model, tmp_path / "rows.npy")


@pytest.mark.parametrize("names", [list("abcd"), list("dcba"), ["a", "b", "c", "d", "e"]])
def test_rows_that_a_caller_opened_stay_open(names, tmp_path, rng):
    frame = pd.DataFrame(rng.random((60, len(names))), columns=names)
    frame.to_csv(tmp_path / "t.csv", index=False)
    model = rhohat.SparseAutoencoder(n_components=2, sparsity=0.1, max_iter=2).fit(frame[list("abcd")])
    with rhohat.open_rows(tmp_path / "t.csv") as rows:
        first = rhohat.evaluate(model, rows)
        assert rhohat.evaluate(model, rows).explained_variance == first.explained_variance
        assert "units" in rhohat.report(model, rows)
        rhohat.inspection.metrics.l0(rows)
        assert rows.read(0, 3).shape == (3, len(names))


def test_units_that_do_not_vary_are_counted_and_printed(rows):
    model = clone(AUTOENCODERS["sparse"]).fit(rows)
    model.coefs_[0][:, :2] = 0
    evaluation = evaluate(model, rows)
    assert evaluation.constant_fraction == 2 / evaluation.n_units
    label = "constant units: hardly differ among rows, dead or not"
    assert re.search(rf"{label} +{evaluation.constant_fraction:.1%}", str(evaluation))
    assert evaluation.to_dict()["constant_fraction"] == evaluation.constant_fraction


@pytest.fixture(scope="module")
def of_three_words():
    """A classifier of texts, with its rows and labels."""
    X = np.random.default_rng(0).random((60, 4))
    words = np.array(["ash", "elm", "oak"])[np.arange(60) % 3]
    return FeedforwardClassifier(hidden_layer_sizes=(3,), max_iter=5, random_state=0).fit(X, words), X, words


@pytest.fixture(scope="module")
def of_three_numbers():
    X = np.random.default_rng(0).random((60, 4))
    return SoftmaxRegression(max_iter=5, random_state=0).fit(X, np.arange(60) % 3), X, np.arange(60) % 3


@pytest.mark.parametrize("as_given", [np.asarray, list, pd.Series, lambda y: np.asarray(y, object)])
def test_labels_of_which_none_is_a_class_are_refused(as_given, of_three_words):
    classifier, X, words = of_three_words
    with pytest.raises(ValueError, match="none of the 60 labels of y is a class of the model: the labels are 'ASH'"):
        evaluate(classifier, X, as_given(np.char.upper(words)))


def test_a_fold_of_other_classes_than_the_rest_scores_0(of_three_words):
    """As with the classifiers of scikit-learn: cross-validation goes on, but not in silence."""
    classifier, X, words = of_three_words
    with pytest.warns(
        UserWarning, match="60 of 60 labels are not classes of the model; the first of these labels is 'ASH'"
    ):
        assert classifier.score(X, np.char.upper(words)) == 0


@pytest.mark.parametrize("measure", [lambda c, X, y: evaluate(c, X, y).score, lambda c, X, y: c.score(X, y)])
def test_labels_of_which_some_are_no_class_count_as_wrong_with_a_word(measure, of_three_words, of_three_numbers):
    classifier, X, words = of_three_words
    renamed = np.where(words == "elm", "fir", words)
    with pytest.warns(
        UserWarning, match="20 of 60 labels are not classes .* the first of these labels is 'fir', and the classes"
    ):
        score = measure(classifier, X, renamed)
    assert score == np.mean(classifier.predict(X) == renamed)
    digits, X, numbers = of_three_numbers
    with pytest.warns(
        UserWarning, match="the first of these labels is 10, and the classes are 0, 1, 2"
    ):  # as MATLAB counts digits
        measure(digits, X, np.where(numbers == 0, 10, numbers))


@pytest.mark.parametrize("measure", [lambda c, X, y: evaluate(c, X, y), lambda c, X, y: c.score(X, y)])
def test_texts_and_numbers_are_told_apart(measure, of_three_words, of_three_numbers):
    classifier, X, words = of_three_words
    digits, _, numbers = of_three_numbers
    with pytest.raises(
        ValueError, match="y has labels that are numbers, such as 0, but the model's classes are strings"
    ):
        measure(classifier, X, numbers)
    with pytest.raises(ValueError, match="labels that are strings, such as 'ash', but the model's classes are numbers"):
        measure(digits, X, words)
    with pytest.raises(ValueError, match="strings, such as '0'"):
        measure(digits, X, numbers.astype(str))


def test_labels_that_are_other_types_of_the_same_numbers_are_known(of_three_numbers):
    digits, X, numbers = of_three_numbers
    expected = evaluate(digits, X, numbers).score
    for y in (numbers.astype(float), pd.Series(numbers, dtype="category"), numbers.tolist()):
        assert evaluate(digits, X, y).score == expected


@pytest.fixture(scope="module")
def of_two_columns():
    """A regressor of two columns by name, with rows and targets."""
    X = np.random.default_rng(0).random((60, 4))
    y = pd.DataFrame({"sum": X.sum(axis=1), "first": 100 * X[:, 0]})
    regressor = FeedforwardRegressor(hidden_layer_sizes=(3,), max_iter=5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return regressor.fit(X, y), X, y


def test_columns_of_targets_are_put_in_the_order_of_the_fit(of_two_columns):
    regressor, X, y = of_two_columns
    assert regressor.target_names_ == ("sum", "first")
    turned = y[["first", "sum"]]
    assert evaluate(regressor, X, turned).score == evaluate(regressor, X, y).score
    assert evaluate(regressor, X, turned).cost == evaluate(regressor, X, y).cost
    assert regressor.score(X, turned) == regressor.score(X, y)
    assert regressor.cost(X, turned) == regressor.cost(X, y)


def test_targets_of_other_names_are_refused_or_said(of_two_columns, of_three_words):
    regressor, X, y = of_two_columns
    for other in (y.rename(columns={"sum": "total"}), y.assign(third=0.0)):
        for measure in (evaluate, type(regressor).score):
            with pytest.raises(ValueError, match="y must have the columns 'sum', 'first', which the model was fitted"):
                measure(regressor, X, other)
    classifier, X, words = of_three_words
    assert classifier.target_names_ is None
    named = clone(classifier).fit(X, pd.Series(words, name="tree"))
    assert named.target_names_ == ("tree",)
    with pytest.warns(UserWarning, match="was fitted to predict 'tree', but its predictions are compared with 'bush'"):
        named.score(X, pd.Series(words, name="bush"))
    named.score(X, pd.Series(words))  # without a name


def test_a_fit_that_goes_on_keeps_the_order_of_its_targets(of_two_columns):
    _, X, y = of_two_columns
    settings = {"hidden_layer_sizes": (3,), "solver": Adam(batch_size=20), "random_state": 0}
    straight, turned = FeedforwardRegressor(**settings), FeedforwardRegressor(**settings)
    for columns in (["sum", "first"], ["first", "sum"]):
        straight.partial_fit(X, y)
        turned.partial_fit(X, y[columns])
    assert np.array_equal(straight.theta_, turned.theta_)
    assert turned.target_names_ == ("sum", "first")
    fresh = turned.set_params(max_iter=1).fit(X, y[["first", "sum"]])
    assert fresh.target_names_ == ("first", "sum")
