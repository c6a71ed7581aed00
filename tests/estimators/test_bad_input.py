"""Bad input gets a clear error before any work starts."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from rhohat import (
    Adam,
    ContractiveAutoencoder,
    DeepAutoencoder,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    FeedforwardRegressor,
    GradientDescent,
    L1Sparsity,
    LabelNoiseCrossEntropy,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoder,
    StackedAutoencoderClassifier,
    WeightDecay,
)
from rhohat.terms.penalties import WeightPenalty

GOOD = np.random.default_rng(0).random((20, 4))
LABELS = np.arange(20) % 3
TARGETS = 3 * GOOD[:, :2] - 1


def never_called(state):
    raise AssertionError("work was started")


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.where(GOOD > 0.9, np.nan, GOOD), ValueError, "contains NaN"),
        (np.where(GOOD > 0.9, np.inf, GOOD), ValueError, "infinity"),
        (np.empty((0, 4)), ValueError, "0 sample"),
        (np.empty((4, 0)), ValueError, "0 feature"),
        (GOOD[0], ValueError, "Expected 2D array, got 1D array"),
        (
            GOOD.reshape(5, 4, 4),
            ValueError,
            r"the shape \(5, 4, 4\), but each row must be flat; pass X.reshape\(len\(X\), -1\)",
        ),
        (np.array([["a", "b"], ["c", "d"]]), ValueError, "string"),
        (np.array([["1", "2"], ["3", "4"]]), ValueError, "string"),
        (np.array([["a", "b"]], dtype=object), ValueError, "could not convert string"),
        (sparse.csr_matrix(GOOD), TypeError, "dense data is required"),
        (GOOD + 1j, ValueError, "Complex data not supported"),
    ],
    ids=["nan", "inf", "no rows", "no columns", "1-D", "3-D", "strings", "digits", "objects", "sparse", "complex"],
)
def test_data(X, error, message):
    estimator = SparseAutoencoder(callbacks=[never_called])
    with pytest.raises(error, match=message):
        estimator.fit(X)
    with pytest.raises(error, match=message):
        estimator.objective(X)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sparsity", 0.0),
        ("sparsity", 1.0),
        ("sparsity", -0.1),
        ("sparsity", np.nan),
        ("sparsity_weight", -1.0),
        ("weight_decay", -1e-9),
        ("n_components", 0),
        ("n_components", 2.5),
        ("activation", "swish"),
        ("output_activation", "swish"),
        ("solver", "newton"),
        ("initial_weights", "zeros"),
        ("max_iter", 0),
        ("tol", -1.0),
        ("random_state", "seed"),
        ("n_jobs", 1.5),
        ("warm_start", "yes"),
    ],
)
def test_parameters(name, value):
    estimator = SparseAutoencoder(**{"callbacks": [never_called], name: value})
    with pytest.raises(ValueError, match=f"The '{name}' parameter of SparseAutoencoder must be"):
        estimator.fit(GOOD)


@pytest.mark.parametrize("callbacks", [[1], [never_called, "progress"]])
def test_callbacks_that_cannot_be_called(callbacks):
    with pytest.raises(ValueError, match="callbacks must be a list of callables"):
        SparseAutoencoder(callbacks=callbacks).fit(GOOD)


def test_zero_threads():
    with pytest.raises(ValueError, match="n_jobs must be None"):
        SparseAutoencoder(n_jobs=0, callbacks=[never_called]).fit(GOOD)


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("name", ["sparsity_weight", "weight_decay"])
def test_weights_that_are_not_finite(name, value):
    with pytest.raises(ValueError, match="must be"):
        SparseAutoencoder(**{name: value, "callbacks": [never_called]}).fit(GOOD)


@pytest.mark.parametrize(
    ("output", "X", "interval"),
    [
        ("sigmoid", 2 * GOOD, r"\[0, 1\]"),
        ("sigmoid", GOOD - 0.5, r"\[0, 1\]"),
        ("tanh", 3 * GOOD, r"\[-1, 1\]"),
        ("tanh", GOOD - 2, r"\[-1, 1\]"),
    ],
)
def test_an_output_that_cannot_reach_the_data_names_the_remedy(output, X, interval):
    remedy = f"only reaches the range {interval}; use output_activation='identity'.*scale X"
    with pytest.raises(ValueError, match=remedy):
        SparseAutoencoder(output_activation=output, callbacks=[never_called]).fit(X)


def test_sparsity_of_unbounded_units_names_the_alternative():
    with pytest.raises(ValueError, match="use 'sigmoid' or 'tanh' for the hidden units, L1Sparsity"):
        SparseAutoencoder(activation="identity", callbacks=[never_called]).fit(GOOD)


@pytest.mark.parametrize("method", ["transform", "reconstruct", "score", "cost"])
def test_rows_of_another_width_after_the_fit(method):
    fitted = SparseAutoencoder(n_components=2, tol=1.0, random_state=0).fit(GOOD)
    with pytest.raises(ValueError, match="X has 3 features, but SparseAutoencoder is expecting 4"):
        getattr(fitted, method)(GOOD[:, :3])
    with pytest.raises(ValueError, match="H must have 2 columns"):
        fitted.inverse_transform(GOOD)


def interrupt(state):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("parameters", "X", "error"),
    [
        ({}, np.full((5, 4), np.nan), ValueError),
        ({"output_activation": "sigmoid"}, np.full((5, 3), 2.0), ValueError),
        ({"callbacks": [interrupt], "tol": 0.0}, GOOD[:, :3], KeyboardInterrupt),
    ],
    ids=["bad rows", "bad range and width", "Ctrl-C"],
)
def test_a_fit_that_fails_leaves_an_earlier_one_as_it_was(parameters, X, error):
    fitted = SparseAutoencoder(n_components=2, tol=1.0, random_state=0).fit(GOOD)
    before = fitted.transform(GOOD)
    with pytest.raises(error):
        fitted.set_params(**parameters).fit(X)
    np.testing.assert_array_equal(fitted.transform(GOOD), before)


def test_a_misspelt_parameter_is_refused():
    with pytest.raises(TypeError, match="sparsty"):
        SparseAutoencoder(sparsty=0.1)
    with pytest.raises(TypeError, match="rate"):
        GradientDescent(rate=0.1)


# Every family member refuses before work.


def small(kind, **parameters):
    """Make a small estimator that must not start to work."""
    sizes = {
        DeepAutoencoder: {"hidden_layer_sizes": (3, 2)},
        FeedforwardClassifier: {"hidden_layer_sizes": (3,)},
        FeedforwardRegressor: {"hidden_layer_sizes": (3,)},
        SparseAutoencoder: {"n_components": 3},
        DenoisingAutoencoder: {"n_components": 3},
        ContractiveAutoencoder: {"n_components": 3},
    }
    settings = {"max_iter": 3, "random_state": 0, "callbacks": [never_called], **sizes.get(kind, {}), **parameters}
    return kind(**settings)


def fitted_for_a_while(kind, *data, method="fit", **parameters):
    """Fit it a little, and make it refuse to work from then on."""
    fitted = small(kind, **{"tol": 1e9, "callbacks": None, **parameters})
    return getattr(fitted, method)(*data).set_params(callbacks=[never_called])


class FirstOrder(WeightPenalty):
    """A penalty that knows its gradient only."""

    name, weight = "first_order", 1.0

    def value(self, weights):
        return 0.0

    def add_gradient(self, weights, gradients):
        pass


SIZES = "hidden_layer_sizes must be a sequence of integers, each at least 1"
DECODER = "must be one activation for all hidden layers, or a sequence of 2, one for each layer; got a sequence of"


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        (DeepAutoencoder, {"hidden_layer_sizes": ()}, rf"{SIZES}.*got \(\)"),
        (DeepAutoencoder, {"hidden_layer_sizes": (3, 0)}, rf"{SIZES}.*got \(3, 0\)"),
        (DeepAutoencoder, {"hidden_layer_sizes": (3, 2.5)}, SIZES),
        (DeepAutoencoder, {"hidden_layer_sizes": np.ones((2, 2), int)}, SIZES),
        (DeepAutoencoder, {"hidden_layer_sizes": 0}, "'hidden_layer_sizes' parameter of DeepAutoencoder must be"),
        (DeepAutoencoder, {"hidden_layer_sizes": "3, 2"}, "'hidden_layer_sizes' parameter of DeepAutoencoder must be"),
        (DeepAutoencoder, {"activation": ["sigmoid"]}, f"activation {DECODER} 1"),
        (DeepAutoencoder, {"activation": ["sigmoid"] * 4}, f"activation {DECODER} 4"),
        (DeepAutoencoder, {"activation": ["sigmoid", "swish"]}, "activation must be one of .*got 'swish'"),
        (DeepAutoencoder, {"sparsity_layers": [3], "sparsity_weight": 1.0}, r"layers \(3,\), but this network has 3"),
        (DeepAutoencoder, {"sparsity_layers": [-1], "sparsity_weight": 1.0}, r"layers \(-1,\), but this network has 3"),
        (DeepAutoencoder, {"sparsity_layers": 1}, "'sparsity_layers' parameter of DeepAutoencoder must be"),
        (
            SparseAutoencoder,
            {"activation": ["sigmoid", "tanh"]},
            "a sequence of 1, one for each layer; got a sequence of 2",
        ),
        (SparseAutoencoder, {"activation": "relu"}, "KL sparsity .* use 'sigmoid' or 'tanh' .* L1Sparsity in place"),
        (SparseAutoencoder, {"activation": "relu"}, r"or no penalty on activations \(sparsity_weight=0\)"),
        (
            SparseAutoencoder,
            {"activation": "maxout", "tied_weights": True},
            "tied weights need .* don't tie the weights",
        ),
        (SparseAutoencoder, {"tied_weights": "yes"}, "'tied_weights' parameter of SparseAutoencoder must be"),
        (
            SparseAutoencoder,
            {"loss": "binary_cross_entropy", "output_activation": "identity"},
            "'binary_cross_entropy' needs output_activation='sigmoid', but the output activation is 'identity'",
        ),
        (SparseAutoencoder, {"loss": "hinge"}, "'loss' parameter of SparseAutoencoder must be"),
        (SparseAutoencoder, {"loss": "softmax_cross_entropy"}, "softmax_cross_entropy needs targets .* add up to 1"),
        (
            SparseAutoencoder,
            {"penalties": [1]},
            "penalties must be a sequence of Penalty objects; one of its items is 1",
        ),
        (
            SparseAutoencoder,
            {"penalties": [WeightDecay]},
            "penalties must be a sequence of Penalty objects; one of its items is <class",
        ),
        (SparseAutoencoder, {"penalties": WeightDecay}, "'penalties' parameter of SparseAutoencoder must be"),
        (SparseAutoencoder, {"penalties": None}, "'penalties' parameter of SparseAutoencoder must be"),
        (SparseAutoencoder, {"penalties": [L1Sparsity(1.0, (1,))]}, r"l1_sparsity is set to act .* \(1,\), .* has 1"),
        (SparseAutoencoder, {"corruption": "dropout"}, "'corruption' parameter of SparseAutoencoder must be"),
        (DenoisingAutoencoder, {"corruption": 0.3}, "'corruption' parameter of DenoisingAutoencoder must be"),
        (DenoisingAutoencoder, {"n_corruptions": 0}, "'n_corruptions' parameter of DenoisingAutoencoder must be"),
        (
            ContractiveAutoencoder,
            {"contraction_weight": -1.0},
            "'contraction_weight' parameter of Contractive.* must be",
        ),
        (SparseAutoencoder, {"solver": "newton_cg", "penalties": [FirstOrder()]}, "no second derivative"),
        (
            SparseAutoencoder,
            {"solver": Adam(early_stopping=True, validation_fraction=0.99)},
            "early stopping holds out 20 of 20 rows, so no row is left",
        ),
    ],
)
def test_an_autoencoder_that_cannot_be(kind, parameters, message):
    with pytest.raises(ValueError, match=message):
        small(kind, **parameters).fit(GOOD)


@pytest.mark.parametrize("X", [3 * GOOD, GOOD - 0.5], ids=["above", "below"])
def test_binary_cross_entropy_of_rows_outside_the_unit_interval_names_the_remedy(X):
    message = r"binary_cross_entropy needs targets in \[0, 1\].*scale them, or use loss='squared_error'"
    for kind in (SparseAutoencoder, DenoisingAutoencoder, DeepAutoencoder):
        with pytest.raises(ValueError, match=message):
            small(kind, loss="binary_cross_entropy").fit(X)


@pytest.mark.parametrize("kind", [StackedAutoencoder, StackedAutoencoderClassifier])
@pytest.mark.parametrize(
    "layers",
    [[], ["sparse"], [SparseAutoencoder], [SparseAutoencoder(), SoftmaxRegression()]],
    ids=["none", "a name", "a class", "a classifier"],
)
def test_layers_that_are_no_autoencoders(kind, layers):
    data = (GOOD,) if kind is StackedAutoencoder else (GOOD, LABELS)
    with pytest.raises(ValueError, match=r"layers must be a sequence of autoencoders, such as \[SparseAutoencoder"):
        kind(layers).fit(*data)
    with pytest.raises(ValueError, match="'layers' parameter"):
        kind(SparseAutoencoder()).fit(*data)


@pytest.mark.parametrize(
    ("kind", "parameters", "second", "message"),
    [
        (StackedAutoencoder, {}, {"sparsity": -1.0}, "'sparsity' parameter"),
        (StackedAutoencoder, {}, {"activation": "relu"}, "KL sparsity needs"),
        (StackedAutoencoderClassifier, {"tangent_weight": 1.0}, {}, "needs tangents of every row"),
        (StackedAutoencoderClassifier, {"penalties": [L1Sparsity(1.0, (9,))]}, {}, "l1_sparsity is set to act on"),
        (StackedAutoencoderClassifier, {"penalties": [1]}, {}, "penalties must be a sequence of Penalty objects"),
        (StackedAutoencoderClassifier, {"softmax_weight_decay": -1.0}, {}, "'softmax_weight_decay' parameter"),
        (StackedAutoencoderClassifier, {"fine_tuning_weight_decay": -1.0}, {}, "'fine_tuning_weight_decay' parameter"),
        (StackedAutoencoder, {"n_jobs": 0}, {}, "n_jobs must be"),
        (StackedAutoencoderClassifier, {"n_jobs": 0}, {}, "n_jobs must be"),
        (StackedAutoencoderClassifier, {"callbacks": [1]}, {}, "callbacks must be a list"),
        (
            StackedAutoencoderClassifier,
            {"solver": "newton_cg", "penalties": [FirstOrder()]},
            {},
            "FirstOrder has no second derivative",
        ),
    ],
    ids=[
        "a later layer's range",
        "a later layer's units",
        "no tangents",
        "a penalty's layer",
        "no penalty",
        "the softmax's decay",
        "the fine-tuning's decay",
        "threads of the stack",
        "threads",
        "callbacks",
        "no second derivative",
    ],
)
def test_a_stack_refuses_before_its_first_layer_is_trained(kind, parameters, second, message):
    layers = [small(SparseAutoencoder), small(SparseAutoencoder, **{"callbacks": None, **second})]
    data = (GOOD,) if kind is StackedAutoencoder else (GOOD, LABELS)
    with pytest.raises(ValueError, match=message):
        kind(layers, **parameters).fit(*data)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (GOOD[:, 0], "use FeedforwardRegressor. Unknown label type: continuous"),
        (LABELS + 0.5, "use FeedforwardRegressor. Unknown label type: continuous"),
        (np.where(LABELS == 1, np.nan, LABELS), "NaN"),
        (LABELS[:-1], "y must have an entry for each of the 20 rows of X; got 19"),
        (None, "requires y to be passed"),
        (np.eye(3)[LABELS], "y should be a 1d array"),
        (np.full(20, 7), "at least two classes, but has only one class, .*7"),
        (np.full(20, "cat"), "at least two classes, but has only one class, .*cat"),
    ],
    ids=["fractions", "half", "nan", "shorter", "none", "columns", "one class", "one name"],
)
def test_labels_that_are_no_classes(y, message):
    layers = [small(SparseAutoencoder)]
    for classifier in (
        small(FeedforwardClassifier),
        small(FeedforwardClassifier, output_activation="sigmoid"),
        small(SoftmaxRegression),
        small(StackedAutoencoderClassifier, layers=layers),
    ):
        with pytest.raises(ValueError, match=message):
            classifier.fit(GOOD, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (TARGETS[:-1], "y must have an entry for each of the 20 rows of X; got 19"),
        (None, "requires y to be passed"),
        (np.where(TARGETS > 1, np.nan, TARGETS), "Input y contains NaN"),
        (np.where(TARGETS > 1, np.inf, TARGETS), "Input y contains infinity"),
        (np.full(20, "a"), "could not convert string to float"),
        (TARGETS[:, :, None], "dim 3"),
        (TARGETS + 1j, "Complex data not supported"),
    ],
    ids=["shorter", "none", "nan", "inf", "strings", "3-D", "complex"],
)
def test_targets_that_are_no_numbers(y, message):
    with pytest.raises(ValueError, match=message):
        small(FeedforwardRegressor).fit(GOOD, y)
    with pytest.raises(ValueError, match=message):
        small(FeedforwardRegressor, solver="adam").partial_fit(GOOD, y)


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        (FeedforwardClassifier, {"hidden_layer_sizes": (3, 0)}, SIZES),
        (
            FeedforwardClassifier,
            {"activation": ["tanh", "tanh"]},
            "a sequence of 1, one for each layer; got a sequence of 2",
        ),
        (FeedforwardClassifier, {"activation": "swish"}, "'activation' parameter of FeedforwardClassifier must be"),
        (
            FeedforwardClassifier,
            {"loss": "binary_cross_entropy", "output_activation": "softmax"},
            "needs output_activation='sigmoid', but the output activation is 'softmax'",
        ),
        (
            FeedforwardClassifier,
            {"loss": "softmax_cross_entropy", "output_activation": "sigmoid"},
            "needs output_activation='softmax', but the output activation is 'sigmoid'",
        ),
        (
            FeedforwardClassifier,
            {"loss": LabelNoiseCrossEntropy(0.1), "output_activation": "softmax"},
            "'label_noise_cross_entropy' needs .*'sigmoid'",
        ),
        (
            FeedforwardClassifier,
            {"penalties": ["l1"]},
            "penalties must be a sequence of Penalty objects; one of its items is 'l1'",
        ),
        (
            FeedforwardClassifier,
            {"tangent_weight": -1.0},
            "'tangent_weight' parameter of FeedforwardClassifier must be",
        ),
        (FeedforwardClassifier, {"tangent_weight": 1.0}, "tangent_propagation needs tangents of every row"),
        (SoftmaxRegression, {"tangent_weight": 1.0}, "tangent_propagation needs tangents of every row"),
        (SoftmaxRegression, {"penalties": [L1Sparsity(1.0, (0,))]}, r"l1_sparsity is set to act .* this network has 0"),
        (SoftmaxRegression, {"weight_decay": -1.0}, "'weight_decay' parameter of SoftmaxRegression must be"),
        (FeedforwardRegressor, {"tangent_weight": 1.0}, "tangent_propagation needs tangents of every row"),
        (FeedforwardRegressor, {"output_activation": "auto"}, "activation must be one of .*got 'auto'"),
        (FeedforwardRegressor, {"loss": "binary_cross_entropy"}, "needs output_activation='sigmoid'"),
        (
            FeedforwardRegressor,
            {"noise_covariance": [[1.0, 2.0], [2.0, 1.0]]},
            "positive definite, .* eigenvalue is -1;",
        ),
        (FeedforwardRegressor, {"noise_covariance": np.zeros((2, 2))}, "must be positive definite"),
        (FeedforwardRegressor, {"noise_covariance": [[1.0, 0.5], [0.0, 1.0]]}, "must be symmetric"),
        (
            FeedforwardRegressor,
            {"noise_covariance": np.eye(3)},
            r"shape \(2, 2\) for targets of 2 columns; got \(3, 3\)",
        ),
        (FeedforwardRegressor, {"noise_covariance": [[1.0]]}, r"shape \(2, 2\) for targets of 2 columns; got \(1, 1\)"),
        (
            FeedforwardRegressor,
            {"noise_covariance": [1.0, 1.0]},
            r"must be a square matrix; got an array of shape \(2,\)",
        ),
        (FeedforwardRegressor, {"noise_covariance": [[np.nan, 0], [0, 1]]}, "noise covariance must be finite"),
        (FeedforwardRegressor, {"noise_covariance": "full"}, "'noise_covariance' parameter of Feed.* must be"),
        (FeedforwardRegressor, {"noise_covariance": 1.0}, "'noise_covariance' parameter of Feed.* must be"),
        (FeedforwardRegressor, {"max_covariance_updates": 0}, "'max_covariance_updates' parameter of Feed.* must be"),
    ],
)
def test_a_supervised_network_that_cannot_be(kind, parameters, message):
    with pytest.raises(ValueError, match=message):
        small(kind, **parameters).fit(GOOD, TARGETS if kind is FeedforwardRegressor else LABELS)


@pytest.mark.parametrize("epsilon", [-0.1, 0.5, 1.0, np.nan])
def test_a_probability_of_wrong_labels_from_one_half_on(epsilon):
    with pytest.raises(ValueError, match=r"epsilon, .* must lie in \[0, 0.5\); got .* swap the classes"):
        LabelNoiseCrossEntropy(epsilon)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(19), r"\(19,\), expected \(20,\)"),
        (np.ones((20, 1)), "1D array"),
        (np.linspace(-1, 1, 20), "Negative values"),
        (np.zeros(20), "at least one non-zero|not 0 for every row"),
        (np.full(20, np.nan), "NaN"),
        (np.full(20, np.inf), "infinity"),
    ],
    ids=["shorter", "2-D", "negative", "zero", "nan", "inf"],
)
@pytest.mark.parametrize("kind", [FeedforwardClassifier, FeedforwardRegressor, SoftmaxRegression])
def test_weights_of_rows(kind, weights, message):
    y = TARGETS if kind is FeedforwardRegressor else LABELS
    with pytest.raises(ValueError, match=message):
        small(kind).fit(GOOD, y, sample_weight=weights)
    with pytest.raises(ValueError, match=message):
        small(kind, solver="adam").partial_fit(GOOD, y, sample_weight=weights)


@pytest.mark.parametrize(
    ("tangents", "message"),
    [
        (np.ones((20, 4)), r"tangents must have the shape \(20, n_tangents, 4\).*got \(20, 4\)"),
        (np.ones((19, 2, 4)), r"tangents must have the shape \(20, n_tangents, 4\).*got \(19, 2, 4\)"),
        (np.ones((20, 2, 3)), r"tangents must have the shape \(20, n_tangents, 4\).*got \(20, 2, 3\)"),
        (np.ones((20, 0, 4)), "needs tangents of every row|0 "),
        (np.full((20, 1, 4), np.nan), "Input tangents contains NaN"),
    ],
    ids=["2-D", "fewer rows", "fewer features", "none", "nan"],
)
@pytest.mark.parametrize("kind", [FeedforwardClassifier, FeedforwardRegressor, SoftmaxRegression])
def test_tangents_that_are_none(kind, tangents, message):
    y = TARGETS if kind is FeedforwardRegressor else LABELS
    with pytest.raises(ValueError, match=message):
        small(kind, tangent_weight=1.0).fit(GOOD, y, tangents=tangents)


def test_partial_fit_wants_to_know_all_classes():
    first = small(FeedforwardClassifier, solver="adam")
    with pytest.raises(ValueError, match=r"only one class, .*7.*pass all classes to the first call, with classes="):
        first.partial_fit(GOOD, np.full(20, 7))
    with pytest.raises(
        ValueError, match=r"y has the classes \[2\], which are not among the known classes \[0 1\]; pass all"
    ):
        first.partial_fit(GOOD, LABELS, classes=[0, 1])
    with pytest.raises(
        ValueError, match=r"y has the classes \[0 1 2\], which are not among the known classes \['a' 'b'\]"
    ):
        first.partial_fit(GOOD, LABELS, classes=["a", "b"])
    begun = fitted_for_a_while(FeedforwardClassifier, GOOD, LABELS, method="partial_fit", solver="adam")
    with pytest.raises(ValueError, match=r"y has the classes \[3\], which are not among the known classes \[0 1 2\]"):
        begun.partial_fit(GOOD, LABELS + 1)
    with pytest.raises(ValueError, match=r"classes must be the same as in the first call, \[0 1 2\]; got \[0, 1\]"):
        begun.partial_fit(GOOD, LABELS % 2, classes=[0, 1])
    with pytest.raises(ValueError, match=r"layer sizes \(4, 3, 3\) .* now require \(4, 5, 3\)"):
        begun.set_params(hidden_layer_sizes=(5,)).partial_fit(GOOD, LABELS)


def test_warm_start_of_a_classifier_refuses_other_classes():
    fitted = fitted_for_a_while(FeedforwardClassifier, GOOD, LABELS, warm_start=True)
    with pytest.raises(
        ValueError, match=r"continues a classifier with the classes \[0 1 2\], .* \[0 1\]; set warm_start="
    ):
        fitted.fit(GOOD, LABELS % 2)


def test_an_epoch_cannot_estimate_a_covariance():
    for covariance in ("estimate", np.eye(2)):
        with pytest.raises(ValueError, match="partial_fit requires noise_covariance=None"):
            small(FeedforwardRegressor, solver="adam", noise_covariance=covariance).partial_fit(GOOD, TARGETS)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("columns", [1, 3])
def test_a_regressor_that_continues_refuses_another_number_of_targets(method, columns):
    fitted = fitted_for_a_while(FeedforwardRegressor, GOOD, TARGETS, method=method, solver="adam", warm_start=True)
    for y in [GOOD[:, :columns], GOOD[:, 0]]:
        with pytest.raises(
            ValueError, match=f"y must have 2 columns, as in the first fit; got {1 if y.ndim == 1 else columns}"
        ):
            getattr(fitted, method)(GOOD, y)


def test_a_numpy_integer_is_a_size():
    sizes = np.int64(3)
    fitted = DeepAutoencoder(hidden_layer_sizes=sizes, tol=1e9, random_state=0).fit(GOOD)
    assert fitted.network_.layer_sizes == (4, 3, 4)


def test_layers_to_be_sparse_that_are_no_integers():
    with pytest.raises(ValueError, match=r"kl_sparsity|sparsity_layers"):
        small(DeepAutoencoder, sparsity_layers=[0.5], sparsity_weight=1.0).fit(GOOD)


def test_partial_fit_refuses_rows_that_the_output_cannot_reach():
    begun = fitted_for_a_while(SparseAutoencoder, GOOD, method="partial_fit", solver="adam")
    assert begun.output_activation_ == "sigmoid"
    with pytest.raises(ValueError, match=r"only reaches the range \[0, 1\]"):
        begun.partial_fit(3 * GOOD)


def test_partial_fit_of_an_autoencoder_refuses_parameters_of_another_shape():
    begun = fitted_for_a_while(SparseAutoencoder, GOOD, method="partial_fit", solver="adam")
    with pytest.raises(ValueError, match=r"\(4, 3, 4\).*\(4, 5, 4\)"):
        begun.set_params(n_components=5).partial_fit(GOOD)


def test_partial_fit_with_another_solver_names_a_remedy_that_can_be_followed():
    begun = fitted_for_a_while(SparseAutoencoder, GOOD, method="partial_fit", solver="adam")
    with pytest.raises(ValueError, match="solver") as caught:
        begun.set_params(solver="sgd").partial_fit(GOOD)
    assert "MiniBatchState" not in str(caught.value)


FRAME = pd.DataFrame(GOOD, columns=["a", "b", "c", "d"])


@pytest.mark.parametrize(
    "use",
    [
        lambda X: SparseAutoencoder().fit(X),
        lambda X: SoftmaxRegression().fit(X, LABELS),
        lambda X: FeedforwardRegressor().fit(X, TARGETS),
        lambda X: StackedAutoencoder().fit(X),
    ],
    ids=["autoencoder", "classifier", "regressor", "stack"],
)
def test_columns_of_bad_numbers_are_named(use):
    with pytest.raises(ValueError, match=r"string to float: 'Bob'\. In X, the columns 'b', 'd' hold texts: put a"):
        use(FRAME.assign(b="Bob", d="Rome"))
    with pytest.raises(
        ValueError,
        match=r"the column 'c' holds texts: put a rhohat\.TablePreprocessor before the estimator in a pipeline, .*or"
        r" leave it out, for example with drop\(columns=\['c'\]\)",
    ):
        use(FRAME.assign(c="Bob"))
    days = pd.date_range("2024-01-01", periods=len(FRAME))
    with pytest.raises(ValueError, match="In X, the column 'b' holds texts and the column 'd' holds dates"):
        use(FRAME.assign(b="Bob", d=days))
    with pytest.raises(ValueError, match="the column 'b' holds dates: turn dates into numbers, such as days, or leave"):
        use(FRAME.assign(b=days))
    with pytest.raises(ValueError, match="In X, the column 1 holds texts and the column 3 holds dates"):
        use(FRAME.assign(b="Bob", d=days.strftime("%Y-%m-%d")).to_numpy(dtype=object))
    for hole, word, kind in ((np.nan, "NaN", "missing value"), (np.inf, "infinity", "infinite number")):
        holes = FRAME.mask(FRAME.index.to_numpy()[:, None] * [0, 0, 1, 0] == 7, hole)
        with pytest.raises(ValueError, match=rf"(?s)Input X contains {word}.*The first {kind} is in row 7, column 'c'"):
            use(holes)
        with pytest.raises(ValueError, match=rf"(?s)Input X contains {word}.*The first {kind} is in row 7, column 2"):
            use(holes.to_numpy())
    with pytest.raises(
        ValueError, match=r"rhohat.MeanImputer, or leave out rows with missing values, for example with dropna\(\)"
    ):
        use(FRAME.mask(FRAME > 0.9))


def test_columns_of_bad_targets_are_named():
    targets = pd.DataFrame(TARGETS, columns=["x", "y"])
    with pytest.raises(
        ValueError,
        match=r"Input y contains NaN\. There is no value of the target 'y' in 1 of 20 rows, first in row 3\. Leave"
        r" these rows out of X and y, for example with keep = y\.notna\(\)\.all\(axis=1\), X\[keep\] and y\[keep\]",
    ):
        FeedforwardRegressor().fit(FRAME, targets.mask(targets.index.to_numpy()[:, None] * [0, 1] == 3))
    with pytest.raises(ValueError, match=r"Input y contains infinity.*The first infinite number is in row 0"):
        FeedforwardRegressor().fit(FRAME, np.full(20, np.inf))
    with pytest.raises(ValueError, match="y holds texts, but a regressor predicts numbers"):
        FeedforwardRegressor().fit(FRAME, pd.Series(["Oslo", "Rome"] * 10, name="city"))


@pytest.mark.parametrize("dtype", [object, "string", "category"])
@pytest.mark.parametrize("kind", [FeedforwardClassifier, SoftmaxRegression])
def test_missing_labels_are_counted_and_named(kind, dtype):
    city = pd.Series(["Oslo", "Rome", None, "Rome"] * 5, name="city", dtype=dtype)
    with pytest.raises(ValueError, match=r"no value of the target 'city' in 5 of 20 rows, first in row 2\. .*keep = y"):
        kind().fit(FRAME, city)
    with pytest.raises(ValueError, match=r"no value of y in 5 of 20 rows, first in row 2\. Leave these rows out"):
        kind().fit(FRAME, city.astype(object).where(city.notna(), None).tolist())
