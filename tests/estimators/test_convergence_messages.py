"""What a fit says that has not converged: one sentence, once, and only where there is something to do."""

import warnings

import pytest
from sklearn.datasets import load_digits, load_iris

from rhohat import Adam, SoftmaxRegression, SparseAutoencoder, StackedAutoencoder, StackedAutoencoderClassifier
from rhohat.common.exceptions import ConvergenceWarning


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:200] / 16, y[:200]


def said_of(fit):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    return [str(one.message) for one in caught if issubclass(one.category, ConvergenceWarning)]


def layers(*max_iter):
    return [SparseAutoencoder(n_components=5, max_iter=n) for n in max_iter]


def test_the_layers_of_a_stack_are_named_in_one_sentence(digits):
    (said,) = said_of(lambda: StackedAutoencoder(layers(3, 3), random_state=0).fit(digits[0]))
    assert said.startswith("3 iterations were done in layer 0 and layer 1 and J was still falling, by ")
    assert said.endswith(" in the last iteration; try max_iter=10, or accept the cost reached.")


def test_a_layer_that_has_converged_is_not_named(digits):
    loose = SparseAutoencoder(n_components=5, tol=10)
    (said,) = said_of(lambda: StackedAutoencoder([loose, *layers(3)], random_state=0).fit(digits[0]))
    assert said.startswith("3 iterations were done in layer 1 and J")


def test_a_stacked_classifier_says_it_once_of_all_its_steps(digits):
    classifier = StackedAutoencoderClassifier(layers(3), max_iter=4, random_state=0, warm_start=True)
    (said,) = said_of(lambda: classifier.fit(*digits))
    assert "3 iterations were done in layer 0 and J" in said
    assert "4 iterations were done in softmax and fine-tuning and J" in said
    (said,) = said_of(lambda: classifier.fit(*digits))
    assert "layer 0" not in said, "a fit that goes on trains no layer again"


@pytest.mark.parametrize("solver", ["lbfgs", Adam(1e-7)])
def test_nothing_is_said_where_the_cost_had_flattened(solver):
    X, y = load_iris(return_X_y=True)
    fitted = []
    said = said_of(
        lambda: fitted.append(SoftmaxRegression(solver=solver, max_iter=300, tol=0, random_state=0).fit(X, y))
    )
    assert said == []
    if fitted[0].solver_status_ == "max_iter":
        assert "J had flattened" in fitted[0].solver_message_
