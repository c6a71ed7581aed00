"""Estimators made of weights that come from elsewhere do all that fitted ones do."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from rhohat import (
    Adam,
    ContractiveAutoencoder,
    DeepAutoencoder,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    FeedforwardRegressor,
    Maxout,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoder,
    StackedAutoencoderClassifier,
    evaluate,
    load,
    plot_loss_curve,
    report,
    save,
)
from tests.tolerances import ORACLE

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).random((40, 6))
LABELS = np.array(["a", "b", "c"])[np.arange(40) % 3]
QUICK = {"max_iter": 4, "random_state": 0}
UNSCALED = {"hidden_layer_sizes": (4,), "scale_targets": False, **QUICK}

FITTED = {
    "sparse": lambda: SparseAutoencoder(n_components=3, sparsity=0.2, **QUICK).fit(X),
    "tied": lambda: SparseAutoencoder(n_components=3, activation="tanh", tied_weights=True, **QUICK).fit(X),
    "linear decoder": lambda: SparseAutoencoder(n_components=3, output_activation="identity", **QUICK).fit(X),
    "denoising": lambda: DenoisingAutoencoder(n_components=3, **QUICK).fit(X),
    "contractive": lambda: ContractiveAutoencoder(n_components=3, tied_weights=False, **QUICK).fit(X),
    "deep": lambda: DeepAutoencoder(hidden_layer_sizes=(5, 2), loss="binary_cross_entropy", **QUICK).fit(X),
    "maxout": lambda: DeepAutoencoder(hidden_layer_sizes=(5, 2), activation=Maxout(3), **QUICK).fit(X),
    "slopes": lambda: DeepAutoencoder(hidden_layer_sizes=(5, 2), activation="parametric_relu", **QUICK).fit(X),
    "classifier": lambda: FeedforwardClassifier(hidden_layer_sizes=(5, 4), **QUICK).fit(X, LABELS),
    "two classes": lambda: FeedforwardClassifier(
        hidden_layer_sizes=(5,), output_activation="sigmoid", **QUICK
    ).fit(X, LABELS == "a"),
    "softmax": lambda: SoftmaxRegression(**QUICK).fit(X, LABELS),
    "regressor": lambda: FeedforwardRegressor(**UNSCALED).fit(X, X[:, :2] ** 2),
    "one number": lambda: FeedforwardRegressor(**UNSCALED).fit(X, X[:, 0] ** 2),
}  # fmt: skip
each = pytest.mark.parametrize("name", FITTED)


def targets(model):
    """Return what a model learns from, beside rows."""
    if hasattr(model, "classes_"):
        return (LABELS if len(model.classes_) == 3 else LABELS == "a",)
    return (X[:, : model.n_outputs_] ** 2,) if isinstance(model, FeedforwardRegressor) else ()


def made_again(model, dtype=np.float64, **changes):
    """Return an estimator of the weights of a fitted one, and of its parameters that say what those mean."""
    names = ("activation", "loss", "tied_weights", "sparsity", "weight_decay", "max_iter", "random_state", "solver")
    parameters = {name: value for name, value in model.get_params(deep=False).items() if name in names}
    if not isinstance(model, SoftmaxRegression):
        parameters["output_activation"] = model.network_.activations[-1].name
    if hasattr(model, "classes_"):
        parameters["classes"] = model.classes_
    given = [[one.astype(dtype) for one in part] for part in (model.coefs_, model.intercepts_)]
    own = [one.astype(dtype) for one in model.activation_parameters_]
    return type(model).from_weights(*given, activation_parameters=own, **{**parameters, **changes})


def outputs(model, rows=X):
    names = ("transform", "reconstruct", "predict", "predict_proba", "maximal_inputs")
    found = {name: getattr(model, name) for name in names if hasattr(model, name)}
    return {name: method() if name == "maximal_inputs" else method(rows) for name, method in found.items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_the_oracle_of_another_program_is_met(data_dir):
    """Weights that an R package trained, and the cost that its textbook reports of them."""
    stored = np.load(data_dir / "cran_autoencoder.npz")
    rows = 0.001 + 0.998 * stored["X"]
    for h, cost, error in ((25, 2.2456820439, 3.9877819229), (100, 2.0265400791, 3.1404532803)):
        coefs = [stored[f"W1_{h}"].T, stored[f"W2_{h}"].T]
        model = SparseAutoencoder.from_weights(
            coefs, [stored[f"b1_{h}"], stored[f"b2_{h}"]], sparsity=0.01, sparsity_weight=6.0, weight_decay=2e-4
        )
        assert (model.n_components, model.output_activation_) == (h, "sigmoid")
        value, gradient = model.objective(rows)(model.theta_)
        np.testing.assert_allclose([value, model.cost(rows)[0]], cost, rtol=ORACLE)
        assert np.abs(gradient).max() < 2e-5
        residual = rows - model.reconstruct(rows)
        np.testing.assert_allclose(np.mean(np.sum(residual**2, axis=1)), error, rtol=ORACLE)


@each
def test_it_does_what_the_fitted_one_does(name):
    model = FITTED[name]()
    again = made_again(model)
    check_is_fitted(again)
    assert again.network_ == model.network_
    assert again.n_features_in_ == 6
    np.testing.assert_array_equal(again.theta_, model.theta_)
    assert_same(outputs(again), outputs(model))
    if name != "tied":
        assert again.cost(X, *targets(model)) == clone_with(model, again).cost(X, *targets(model))
    assert again.score(X, *targets(model)) == model.score(X, *targets(model))


def clone_with(model, again):
    """Return the fitted one with the parameters of the other."""
    return model.set_params(**again.get_params(deep=False))


@each
def test_its_record_is_that_of_no_iteration(name):
    model = made_again(FITTED[name]())
    assert (model.loss_curve_, model.terms_curve_, model.validation_curve_) == ([], {}, [])
    assert (model.n_iter_, model.n_evaluations_, model.warm_up_evaluations_) == (0, 0, {})
    assert (model.solver_status_, model.n_samples_fit_, model.data_name_) == ("given", 0, None)
    assert not hasattr(model, "mean_activation_")
    assert not hasattr(model, "feature_names_in_")


@each
def test_it_is_saved_loaded_shown_and_measured(name, tmp_path):
    model = made_again(FITTED[name]())
    save(model, tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert_same(outputs(loaded), outputs(model))
    assert loaded.solver_status_ == "given"
    page = report(model, X, tmp_path / "report.html", *targets(model))
    assert "given" in page
    assert len(plot_loss_curve(model).lines[0].get_xdata()) == 0
    assert evaluate(model, X, *targets(model)).cost == pytest.approx(model.cost(X, *targets(model))[0], rel=1e-12)


@each
def test_training_goes_on_from_it(name):
    model = made_again(FITTED[name]())
    before = model.theta_
    assert np.array_equal(model.set_params(warm_start=True).initial_theta(X, *targets(model)), before)
    start = model.cost(X, *targets(model))[0]
    assert model.fit(X, *targets(model)).loss_curve_[-1] < start
    model = made_again(FITTED[name](), solver=Adam(1e-3, batch_size=8))
    model.partial_fit(X, *targets(model)).partial_fit(X, *targets(model))
    assert model.n_iter_ == 2
    assert not np.array_equal(model.theta_, before)
    assert model.cost(X, *targets(model))[0] < 1.1 * start


@each
def test_float32_stays_float32(name):
    model = made_again(FITTED[name](), np.float32)
    assert {array.dtype for array in (*model.coefs_, *model.intercepts_, model.theta_)} == {np.dtype(np.float32)}
    names = ("activation", "tied_weights", "output_activation")
    mixed = type(model).from_weights(
        model.coefs_,
        [one.astype(np.float64) for one in model.intercepts_],
        activation_parameters=model.activation_parameters_,
        **{key: value for key, value in model.get_params(deep=False).items() if key in names},
    )
    assert mixed.coefs_[0].dtype == np.float64


def test_a_later_fit_of_it_is_any_fit():
    again = made_again(FITTED["sparse"]())
    parameters = {**again.get_params(deep=False), "output_activation": "sigmoid"}
    expected = SparseAutoencoder(**parameters).fit(X)
    np.testing.assert_array_equal(again.fit(X).theta_, expected.theta_)
    assert clone(again).n_components == 3


def test_the_weights_of_the_encoder_are_enough_where_they_are_tied():
    model = FITTED["tied"]()
    half = SparseAutoencoder.from_weights(
        model.coefs_[:1], model.intercepts_, activation="tanh", tied_weights=True, output_activation="sigmoid"
    )
    np.testing.assert_array_equal(half.theta_, model.theta_)
    np.testing.assert_array_equal(half.coefs_[1], model.coefs_[0].T)


def test_what_is_given_is_not_changed_by_training():
    W, b = [np.full((6, 2), 0.1), np.full((2, 6), 0.1)], [np.zeros(2), np.zeros(6)]
    model = SparseAutoencoder.from_weights(W, b, solver="adam")
    model.partial_fit(X)
    assert all((one == 0.1).all() for one in W)
    assert not any(one.any() for one in b)


def test_classes_are_numbered_where_none_are_named():
    model = SoftmaxRegression.from_weights([np.eye(3)], [np.zeros(3)])
    np.testing.assert_array_equal(model.predict(np.eye(3)), [0, 1, 2])
    one = FeedforwardClassifier.from_weights([np.ones((3, 1))], [np.zeros(1)], output_activation="sigmoid")
    np.testing.assert_array_equal(one.classes_, [0, 1])


W = [np.zeros((6, 2)), np.zeros((2, 6))]
B = [np.zeros(2), np.zeros(6)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SparseAutoencoder.from_weights(W[:1], B),
            "coefs and intercepts must each have one array for every layer",
        ),
        (
            lambda: SparseAutoencoder.from_weights([], []),
            "coefs and intercepts must each have one array for every layer",
        ),
        (lambda: SparseAutoencoder.from_weights(W, [B[0], B[0]]), r"intercepts\[1\] must have 6 numbers.*got 2"),
        (lambda: SparseAutoencoder.from_weights([W[0].T, W[1]], B), r"intercepts\[0\] must have 6 numbers"),
        (lambda: SparseAutoencoder.from_weights([W[0], W[0].T[:, :5]], [B[0], B[0][:1]]), r"intercepts\[1\] must have"),
        (
            lambda: SparseAutoencoder.from_weights([np.zeros((5, 2)), W[1]], B),
            r"coefs\[1\] must have the shape \(2, 5",
        ),
        (lambda: SparseAutoencoder.from_weights([W[0] + np.nan, W[1]], B), r"coefs\[0\] must be a matrix of finite"),
        (lambda: SparseAutoencoder.from_weights(W, [B[0], B[1] + np.inf]), r"intercepts\[1\] must be a vector of fin"),
        (lambda: SparseAutoencoder.from_weights([B[0], W[1]], B), r"coefs\[0\] must be a matrix"),
        (lambda: SparseAutoencoder.from_weights([W[0] + 1j, W[1]], B), r"coefs\[0\] must be a matrix of finite real"),
        (
            lambda: SparseAutoencoder.from_weights(W, B, n_components=3),
            "n_components must be 2, which follows from the weights",
        ),
        (lambda: SparseAutoencoder.from_weights(W, B, sparsity=2.0), "'sparsity' parameter"),
        (
            lambda: SparseAutoencoder.from_weights(W, B, activation="parametric_relu"),
            r"activation_parameters\[0\]",
        ),
        (
            lambda: SparseAutoencoder.from_weights(W, B, activation_parameters=[None]),
            "an entry for each of the 2 layers",
        ),
        (
            lambda: SparseAutoencoder.from_weights(W, B, activation_parameters=[np.ones(2), None]),
            r"activation_parameters\[0\] must have 0 numbers",
        ),
        (
            lambda: SparseAutoencoder.from_weights([W[0], W[1] + 1], B, tied_weights=True),
            "the decoder in coefs must be the transposed matrices of the encoder",
        ),
        (
            lambda: SparseAutoencoder.from_weights(
                [W[0], np.zeros((2, 2)), np.zeros((2, 2)), W[1]], [B[0]] * 3 + B[1:]
            ),
            "has one hidden layer, but coefs belong to 3 hidden layers; use DeepAutoencoder.from_weights",
        ),
        (
            lambda: DeepAutoencoder.from_weights([W[0], np.zeros((2, 2)), W[1]], [B[0], B[0], B[1]]),
            "as many matrices for the decoder as for the encoder; got 3",
        ),
        (lambda: SparseAutoencoder.from_weights(W, B, size=3), "size"),
        (
            lambda: SoftmaxRegression.from_weights(W, B),
            "SoftmaxRegression has one layer of weights; coefs has 2 layers",
        ),
        (
            lambda: SoftmaxRegression.from_weights(W[:1], B[:1], classes=["b", "a"]),
            "classes must be 2 different labels, sorted, for 2 output units",
        ),
        (
            lambda: FeedforwardClassifier.from_weights(W[:1], B[:1], output_activation="sigmoid"),
            "two output units with the output activation 'softmax', and one with any other; got 2 output units with",
        ),
        (
            lambda: FeedforwardRegressor.from_weights([W[0]], B[:1], output_activation=Maxout(3)),
            "the last array of intercepts must have 3 numbers for each output unit.*; got 2 numbers",
        ),
        (lambda: StackedAutoencoder.from_weights(W, B), "use DeepAutoencoder.from_weights"),
        (lambda: StackedAutoencoderClassifier.from_weights(W, B), "or FeedforwardClassifier.from_weights"),
    ],
)
def test_weights_that_are_none_are_refused_with_a_sentence(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
