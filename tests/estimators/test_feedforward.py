"""What classifiers and regressors share: the cost of rows and targets, for study, and where a fit starts."""

import numpy as np
import pytest

from rhohat import (
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoderClassifier,
    check_gradient,
    open_rows,
)
from tests.estimators.test_supervised import BINARY, X_IRIS, Y_IRIS, classifier, outputs, regressor
from tests.tolerances import EXACT, GRADIENT

# How far a fit gets is not what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def decay(model):
    return model.weight_decay / 2 * sum(np.sum(W**2) for W in model.coefs_)


def cross_entropy(model, X, labels):
    return -np.mean(np.log(outputs(model, X)[np.arange(len(X)), labels]))


@pytest.mark.parametrize("make", [classifier, lambda **p: SoftmaxRegression(max_iter=9, random_state=0, **p)])
def test_the_cost_of_a_classifier_is_that_of_the_textbook(make):
    model = make(weight_decay=0.3).fit(X_IRIS, Y_IRIS)
    value, terms = model.cost(X_IRIS, Y_IRIS)
    np.testing.assert_allclose(value, model.loss_curve_[-1], rtol=EXACT)
    np.testing.assert_allclose(value, cross_entropy(model, X_IRIS, Y_IRIS) + decay(model), rtol=EXACT)
    assert list(terms) == ["softmax_cross_entropy", "weight_decay"]
    assert value == sum(terms.values()) == model.objective(X_IRIS, Y_IRIS)(model.theta_)[0]
    some = model.cost(X_IRIS[:60], Y_IRIS[:60])[0]  # of two classes of the three
    np.testing.assert_allclose(some, cross_entropy(model, X_IRIS[:60], Y_IRIS[:60]) + decay(model), rtol=EXACT)


def test_the_cost_of_a_regressor_is_that_of_the_textbook():
    model = regressor(weight_decay=0.3).fit(X_IRIS[:, :2], X_IRIS[:, 2:])
    value, terms = model.cost(X_IRIS[:, :2], X_IRIS[:, 2:])
    scaled = (X_IRIS[:, 2:] - model.target_shift_) / model.target_scale_
    residual = outputs(model, X_IRIS[:, :2]) - scaled
    np.testing.assert_allclose(value, np.mean(np.sum(residual**2, axis=1)) / 2 + decay(model), rtol=EXACT)
    np.testing.assert_allclose(value, model.loss_curve_[-1], rtol=EXACT)
    assert list(terms) == ["squared_error", "weight_decay"]


@pytest.mark.parametrize("covariance", [[[2.0, 0.3], [0.3, 1.0]], "estimate"])
@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_the_cost_of_a_regressor_with_noise_is_that_of_its_covariance(covariance, output):
    X, y = X_IRIS[:, :2], X_IRIS[:, 2:]
    model = regressor(noise_covariance=covariance, output_activation=output, max_covariance_updates=2)
    before = model.objective(X, y).evaluate(model.initial_theta(X, y))[2]
    assert ("squared_error" in before) == (covariance == "estimate")
    model.fit(X, y)
    residual = y - model.predict(X)
    expected = 0.5 * np.mean(np.sum(residual @ np.linalg.inv(model.noise_covariance_) * residual, axis=1))
    np.testing.assert_allclose(model.cost(X, y)[1]["gaussian"], expected, rtol=1e-9)
    if covariance != "estimate":
        np.testing.assert_allclose(model.cost(X, y)[0], model.loss_curve_[-1], rtol=EXACT)


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("rows", [X_IRIS, open_rows(X_IRIS)], ids=["array", "source"])
def test_the_objective_has_weights_and_tangents_and_a_right_gradient(fitted, rows, rng):
    tangents, weights = rng.normal(size=(150, 2, 4)), rng.integers(0, 4, 150)
    for model, y in (
        (classifier(tangent_weight=0.3), Y_IRIS),
        (classifier(tangent_weight=0.3, output_activation="sigmoid"), BINARY),
        (regressor(tangent_weight=0.3, output_activation="tanh"), X_IRIS[:, :2]),
    ):
        if fitted:
            model.fit(rows, y, weights, tangents)
        theta = model.initial_theta(rows, y)
        J = model.objective(rows, y, weights, tangents)
        assert check_gradient(J, theta, indices=30).relative_difference <= GRADIENT
        often = [array.repeat(weights, axis=0) for array in (X_IRIS, y, tangents)]
        repeated = model.objective(*often[:2], None, often[2])
        np.testing.assert_allclose(J(theta)[0], repeated(theta)[0], rtol=1e-10)
        np.testing.assert_allclose(J(theta)[1], repeated(theta)[1], rtol=1e-8, atol=1e-12)
        if fitted:
            assert model.cost(rows, y, weights, tangents)[0] == J.cost(model.theta_)[0]
            with pytest.raises(ValueError, match="needs tangents of every row"):
                model.cost(rows, y)


def test_the_initial_theta_is_where_a_fit_starts():
    for model, y in (
        (classifier(), Y_IRIS),
        (classifier(activation="parametric_relu"), Y_IRIS),
        (regressor(), X_IRIS[:, :2]),
        (regressor(output_activation="tanh"), X_IRIS[:, 0]),
        (regressor(noise_covariance=np.eye(2)), X_IRIS[:, :2]),
        (SoftmaxRegression(random_state=0), BINARY),
    ):
        theta = model.initial_theta(X_IRIS, y)
        model.set_params(tol=1e9).fit(X_IRIS, y)  # which ends where it starts
        assert model.n_iter_ == 0
        np.testing.assert_array_equal(model.theta_, theta)


def test_after_a_fit_the_cost_is_that_of_the_fitted_network():
    model = classifier().fit(X_IRIS, Y_IRIS)
    value = model.cost(X_IRIS, Y_IRIS)[0]
    model.set_params(hidden_layer_sizes=(9, 9), activation="tanh")
    assert model.cost(X_IRIS, Y_IRIS)[0] == value
    with pytest.raises(ValueError, match=r"y has the classes \[3\], which are not among the classes of the fit"):
        model.cost(X_IRIS, Y_IRIS + 1)
    with pytest.raises(ValueError, match="X has 2 features"):
        model.objective(X_IRIS[:, :2], Y_IRIS)
    fitted = regressor().fit(X_IRIS[:, :2], X_IRIS[:, 2:])
    with pytest.raises(ValueError, match="y must have 2 columns, as in the first fit; got 1"):
        fitted.cost(X_IRIS[:, :2], X_IRIS[:, 2])


def test_the_objective_of_a_stack_with_classes_is_that_of_its_fine_tuning():
    layers = [SparseAutoencoder(n_components=3, sparsity=0.2, max_iter=3)]
    model = StackedAutoencoderClassifier(layers, max_iter=3, random_state=0)
    J = model.objective(X_IRIS, Y_IRIS)
    assert J.network.layer_sizes == (4, 3, 3)
    model.fit(X_IRIS, Y_IRIS)
    np.testing.assert_allclose(model.cost(X_IRIS, Y_IRIS)[0], model.loss_curve_[-1], rtol=EXACT)
    assert J.cost(model.theta_)[0] == model.cost(X_IRIS, Y_IRIS)[0]
    with pytest.raises(ValueError, match="its layers are trained one after the other"):
        model.initial_theta(X_IRIS, Y_IRIS)


def test_partial_fit_of_a_stack_with_classes_says_what_it_needs():
    stack = StackedAutoencoderClassifier([SparseAutoencoder()], solver="adam")
    assert not hasattr(stack, "partial_fit")
    with pytest.raises(
        AttributeError, match="partial_fit can only be called after fit, because the pre-training needs all rows"
    ):
        stack.partial_fit(X_IRIS, Y_IRIS)
    with pytest.raises(AttributeError, match=r"has no attribute 'partial_fit'.*got solver='lbfgs'"):
        classifier().partial_fit(X_IRIS, Y_IRIS)


@pytest.mark.parametrize("weights", [-np.ones(150), np.zeros(150), np.ones(3)])
def test_scores_refuse_weights_that_are_none(weights):
    for model, y in ((classifier(), Y_IRIS), (regressor(), X_IRIS[:, 0])):
        model.fit(X_IRIS, y)
        with pytest.raises(ValueError, match="weight"):
            model.score(X_IRIS, y, weights)
