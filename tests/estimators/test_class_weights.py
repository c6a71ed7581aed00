"""Weights of classes, with the meaning that they have in scikit-learn."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_sample_weight

import rhohat
from rhohat import FeedforwardClassifier, SoftmaxRegression
from rhohat.estimators.class_weights import weights_by_class


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    rows = np.r_[0:50, 50:80, 100:110]
    return X[rows], np.array(["setosa", "versicolor", "virginica"])[y[rows]]


WEIGHTS = ["balanced", {"setosa": 1.0, "versicolor": 2.5, "virginica": 7.0}, {"virginica": 4}]


@pytest.mark.parametrize("class_weight", WEIGHTS)
def test_weights_are_those_of_scikit_learn(class_weight, iris):
    y = iris[1]
    np.testing.assert_allclose(weights_by_class(class_weight, y, None), compute_sample_weight(class_weight, y))


@pytest.mark.parametrize("class_weight", WEIGHTS)
def test_a_fit_is_that_with_the_same_sample_weights(class_weight, iris):
    X, y = iris
    given = np.random.default_rng(0).uniform(0.5, 2, len(y))
    one = SoftmaxRegression(class_weight=class_weight, max_iter=50, tol=1e-3, random_state=0).fit(X, y, given)
    weights = weights_by_class(class_weight, y, given)
    other = SoftmaxRegression(max_iter=50, tol=1e-3, random_state=0).fit(X, y, weights)
    np.testing.assert_array_equal(one.theta_, other.theta_)
    assert one.cost(X, y, given) == other.cost(X, y, weights)


@pytest.mark.parametrize("class_weight", WEIGHTS)
def test_probabilities_are_those_of_logistic_regression(class_weight, iris):
    X, y = iris
    total = compute_sample_weight(class_weight, y).sum()
    ours = SoftmaxRegression(class_weight=class_weight, weight_decay=1e-2, tol=1e-8, max_iter=3000, random_state=0)
    theirs = LogisticRegression(C=1 / (1e-2 * total), class_weight=class_weight, tol=1e-10, max_iter=5000)
    found = ours.fit(X, y).predict_proba(X)
    np.testing.assert_allclose(found, theirs.fit(X, y).predict_proba(X), atol=1e-4)


def test_sums_of_balanced_weights_are_equal_for_all_classes(iris):
    y = iris[1]
    weights = weights_by_class("balanced", y, np.linspace(1, 3, len(y)))
    sums = [weights[y == one].sum() for one in np.unique(y)]
    np.testing.assert_allclose(sums, sums[0])


def test_a_model_file_keeps_the_weights(iris, tmp_path):
    X, y = iris
    model = FeedforwardClassifier(hidden_layer_sizes=(3,), class_weight=WEIGHTS[1], tol=1, random_state=0)
    rhohat.save(model.fit(X, y), tmp_path / "model.safetensors")
    assert rhohat.load(tmp_path / "model.safetensors").class_weight == WEIGHTS[1]


def test_weights_that_fit_no_class_or_are_no_numbers_are_refused(iris):
    X, y = iris
    with pytest.raises(ValueError, match=r"'Setosa'.*not among them.*'setosa'"):
        SoftmaxRegression(class_weight={"Setosa": 2.0}).fit(X, y)
    with pytest.raises(ValueError, match="finite numbers that are not negative"):
        SoftmaxRegression(class_weight={"setosa": -1}).fit(X, y)
    with pytest.raises(ValueError, match="class_weight"):
        SoftmaxRegression(class_weight="even").fit(X, y)
    with pytest.raises(ValueError, match="cannot be used with partial_fit"):
        SoftmaxRegression(class_weight="balanced", solver="adam").partial_fit(X, y)
