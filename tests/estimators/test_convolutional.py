"""Estimators whose architecture is a list of layers: shapes of rows, layers that fit, and the promises of all."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import rhohat
from rhohat import (
    Convolution,
    ConvolutionalAutoencoder,
    ConvolutionalClassifier,
    Dense,
    FeedforwardClassifier,
    FeedforwardRegressor,
    Flatten,
    MaxPooling,
    MeanPooling,
    TransposedConvolution,
    Upsampling,
    check_gradient,
)
from rhohat.inspection.reporting.units import describe_units
from rhohat.layers.architecture import build_layers, mirrored
from tests.tolerances import GRADIENT

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The code is the same for every row:UserWarning"),
]

DIGITS = load_digits()
IMAGES, LABELS = DIGITS.images[:400] / 16, DIGITS.target[:400]
LAYERS = [Convolution(6, 3), MaxPooling(2), Dense(12)]


def classifier(**parameters):
    settings = {"layers": LAYERS, "solver": "lbfgs", "max_iter": 15, "random_state": 0, **parameters}
    return ConvolutionalClassifier(**settings)


def autoencoder(**parameters):
    settings = {"layers": LAYERS, "activation": "sigmoid", "solver": "lbfgs", "max_iter": 8, "random_state": 0}
    return ConvolutionalAutoencoder(**{**settings, **parameters})


def test_the_shapes_of_layers_follow_from_that_of_the_rows():
    described = [
        Convolution(20, 5),
        MaxPooling(2),
        Convolution(50, (3, 2), stride=(2, 1), padding="same"),
        MeanPooling(2, stride=1),
        Flatten(),
        30,
        Dense(10, "tanh"),
    ]
    layers, shapes = build_layers(described, (28, 28, 1), "relu")
    assert shapes == [
        (28, 28, 1),
        (24, 24, 20),
        (12, 12, 20),
        (6, 12, 50),
        (5, 11, 50),
        (5 * 11 * 50,),
        (30,),
        (10,),
    ]
    assert len(layers) == 6
    assert [layer.activation.name for layer in layers] == ["relu", "identity", "relu", "identity", "relu", "tanh"]
    assert build_layers([Convolution(4, 3, stride=2), MaxPooling(2)], (20, 3), "tanh")[1] == [(20, 3), (9, 4), (4, 4)]


@pytest.mark.parametrize("shape", [(9, 8, 2), (11, 3)])
def test_a_mirror_leads_back_through_all_shapes(shape):
    described = [Convolution(5, 3, stride=2, padding="same"), MeanPooling(2), Convolution(4, 2), Flatten(), Dense(7)]
    _, shapes = build_layers(described, shape, "tanh")
    decoder = mirrored(described, shapes)
    assert build_layers(decoder, shapes[-1], "tanh")[1] == shapes[::-1]
    _, there = build_layers(decoder, shapes[-1], "tanh")
    assert build_layers(mirrored(decoder, there), shape, "tanh")[1] == shapes


def test_transposed_layers_have_the_smallest_output_unless_it_is_given():
    for description, expected in (
        (TransposedConvolution(2, 3, stride=2), (9, 11, 2)),
        (TransposedConvolution(2, 3, stride=2, padding="same"), (8, 10, 2)),
        (TransposedConvolution(2, 3, stride=2, output_size=(10, 12)), (10, 12, 2)),
        (Upsampling(2), (8, 10, 3)),
        (Upsampling(2, output_size=(9, 11)), (9, 11, 3)),
    ):
        assert build_layers([description], (4, 5, 3), "relu")[1][-1] == expected


def test_rows_may_have_any_number_of_axes():
    flat, with_channels = IMAGES.reshape(-1, 64), IMAGES[..., None]
    fitted = classifier().fit(IMAGES, LABELS)
    assert fitted.input_shape_ == (8, 8, 1)
    assert fitted.n_features_in_ == 64
    expected = fitted.predict_proba(IMAGES)
    for rows in (flat, with_channels, rhohat.open_rows(IMAGES), IMAGES.tolist()):
        assert np.array_equal(fitted.predict_proba(rows), expected)
    for other, rows in (
        (classifier(), with_channels),
        (classifier(), rhohat.open_rows(IMAGES)),
        (classifier(input_shape=(8, 8, 1)), flat),
        (classifier(input_shape=[8, 8, 1]), IMAGES),
    ):
        assert np.array_equal(other.fit(rows, LABELS).predict_proba(flat), expected)
    assert np.array_equal(classifier().initial_theta(IMAGES, LABELS), classifier().initial_theta(with_channels, LABELS))


def test_flat_rows_are_sequences_of_one_channel():
    fitted = classifier(layers=[Convolution(3, 5), MaxPooling(4)]).fit(IMAGES.reshape(-1, 64), LABELS)
    assert fitted.input_shape_ == (64, 1)
    assert [W.shape for W in fitted.coefs_] == [(1, 5, 1, 3), (0,), (45, 10)]


def test_a_convolutional_classifier_learns_digits():
    images, labels = DIGITS.images / 16, DIGITS.target
    fitted = ConvolutionalClassifier(
        layers=[Convolution(16, 3), MaxPooling(2), 40],
        solver=rhohat.Adam(learning_rate=0.003, batch_size=25),
        max_iter=25,
        random_state=0,
    ).fit(images[:1400], labels[:1400])
    assert fitted.score(images[1400:], labels[1400:]) > 0.9


def test_a_convolutional_autoencoder_reconstructs_and_its_code_is_the_middle():
    fitted = autoencoder(max_iter=60).fit(IMAGES)
    codes = fitted.transform(IMAGES)
    assert codes.shape == (400, 12)
    assert fitted.code_layer_ == 3
    assert fitted.reconstruct(IMAGES).shape == (400, 64)
    assert np.array_equal(fitted.inverse_transform(codes), fitted.reconstruct(IMAGES))
    assert fitted.score(IMAGES) > 0.2
    assert fitted.maximal_inputs().shape == (12, 64)
    assert list(fitted.get_feature_names_out())[:1] == ["convolutionalautoencoder0"]


def test_mean_activations_are_those_of_channels():
    fitted = autoencoder(layers=[Convolution(4, 3)], sparsity=0.1, sparsity_weight=2.0, max_iter=60).fit(IMAGES)
    maps = fitted.transform(IMAGES).reshape(400, 6, 6, 4)
    np.testing.assert_allclose(fitted.mean_activation_, maps.mean((0, 1, 2)), rtol=1e-12)
    assert np.abs(fitted.mean_activation_ - 0.1).max() < 0.05


@pytest.mark.parametrize("tied", [False, True])
def test_their_gradients_are_right(tied):
    model = autoencoder(tied_weights=tied, sparsity_weight=1.0, layers=[Convolution(3, 3), MeanPooling(2), Dense(4)])
    assert check_gradient(model.objective(IMAGES[:9]), model.initial_theta(IMAGES)).relative_difference <= GRADIENT
    model = classifier(activation="tanh", layers=[Convolution(2, 3), Dense(4)])
    J = model.objective(IMAGES[:9], LABELS[:9])
    assert check_gradient(J, model.initial_theta(IMAGES[:9], LABELS[:9])).relative_difference <= GRADIENT


@pytest.mark.parametrize(
    "layers",
    [
        [Convolution(3, 3)],
        [Convolution(3, 3), MaxPooling(2)],
        [Convolution(3, 3), MeanPooling(3), Flatten(), 4],
        [Convolution(2, 3, stride=2), TransposedConvolution(3, 2)],
    ],
    ids=["convolution", "pooling", "dense", "transposed convolution"],
)
def test_reports_and_figures_are_made_whatever_the_code_is(layers):
    fitted = autoencoder(layers=layers, max_iter=2).fit(IMAGES)
    assert "ConvolutionalAutoencoder" in rhohat.report(fitted, IMAGES)
    assert rhohat.evaluate(fitted, IMAGES).n_units == fitted.transform(IMAGES[:1]).shape[1]


def test_units_of_a_channel_have_the_norm_of_its_weights():
    fitted = autoencoder(layers=[Convolution(3, 3), MaxPooling(2)], max_iter=2).fit(IMAGES)
    norms = describe_units(fitted, (8, 8), gabor=False).norms
    np.testing.assert_allclose(norms, np.linalg.norm(fitted.coefs_[0].reshape(9, 3), axis=0))
    assert fitted.components_.shape == (3, 3, 3, 1)
    assert np.array_equal(fitted.components_[1], fitted.coefs_[0][..., 1])


def test_images_may_be_a_dask_array():
    da = pytest.importorskip("dask.array")
    chunks = da.from_array(IMAGES, chunks=(100, 8, 8))
    expected = classifier().fit(rhohat.open_rows(chunks), LABELS)
    fitted = classifier().fit(chunks, LABELS)
    assert np.array_equal(fitted.theta_, expected.theta_)
    assert fitted.input_shape_ == (8, 8, 1)


def test_tied_weights_take_no_room():
    free, tied = autoencoder().fit(IMAGES), autoencoder(tied_weights=True).fit(IMAGES)
    assert len(free.theta_) - len(tied.theta_) == 3 * 3 * 6 + 54 * 12
    assert np.array_equal(tied.coefs_[-1], tied.coefs_[0].T)


@pytest.mark.parametrize("make", [classifier, autoencoder], ids=["classifier", "autoencoder"])
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_the_number_of_threads_changes_no_bit(make, solver):
    arguments = (IMAGES,) if make is autoencoder else (IMAGES, LABELS)
    first, *others = (make(solver=solver, max_iter=2, n_jobs=n_jobs).fit(*arguments) for n_jobs in (1, 2, 4))
    for other in others:
        assert np.array_equal(first.theta_, other.theta_)


@pytest.mark.parametrize("make", [classifier, autoencoder], ids=["classifier", "autoencoder"])
def test_a_stopped_fit_is_resumed_to_the_same_bits(make, tmp_path):
    def stop(state):
        if state.iteration == 3:
            raise KeyError("stopped here")

    arguments = (IMAGES,) if make is autoencoder else (IMAGES, LABELS)
    settings = {"solver": rhohat.Adam(batch_size=50), "max_iter": 5}
    expected = make(**settings).fit(*arguments)
    with pytest.raises(KeyError, match="stopped here"):
        make(checkpoint=rhohat.Checkpoint(tmp_path, every=1), callbacks=[stop], **settings).fit(*arguments)
    resumed = make(checkpoint=rhohat.Checkpoint(tmp_path, resume=True), **settings).fit(*arguments)
    assert np.array_equal(resumed.theta_, expected.theta_)


def test_they_are_cloned_and_stand_in_pipelines():
    pipeline = make_pipeline(FunctionTransformer(lambda rows: rows - 0.5), classifier(input_shape=(8, 8, 1)))
    pipeline.fit(IMAGES.reshape(-1, 64), LABELS)
    assert pipeline.score(IMAGES.reshape(-1, 64), LABELS) > 0.3
    assert clone(classifier()).get_params()["layers"] == LAYERS


def test_every_solver_and_every_penalty_works():
    settings = {"activation": "tanh", "layers": [Convolution(2, 3), MaxPooling(2)], "max_iter": 2}
    for solver in ("conjugate_gradient", "newton_cg", "gradient_descent", "sgd"):
        classifier(solver=solver, **settings).fit(IMAGES[:60], LABELS[:60])
    for penalty in (rhohat.L1Sparsity(0.1), rhohat.Contraction(0.1), rhohat.KLSparsity(0.1, 0.5)):
        autoencoder(penalties=penalty, layers=[Convolution(2, 3)], max_iter=2).fit(IMAGES[:60])


def test_other_estimators_take_layers_as_well():
    targets = 3 * IMAGES.reshape(-1, 64)[:, 18:21]
    regressor = FeedforwardRegressor(layers=LAYERS, max_iter=3, random_state=0).fit(IMAGES, targets)
    assert regressor.predict(IMAGES).shape == (400, 3)
    dense = FeedforwardClassifier(layers=[9, Dense(7, "tanh")], max_iter=3, random_state=0).fit(IMAGES, LABELS)
    sizes = FeedforwardClassifier(
        hidden_layer_sizes=(9, 7), activation=["sigmoid", "tanh"], max_iter=3, random_state=0
    ).fit(IMAGES.reshape(-1, 64), LABELS)
    assert np.array_equal(dense.theta_, sizes.theta_)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Convolution(3, 9)], r"layer 0 cannot be .*kernel \(9, 9\) is larger than the image \(8, 8\)"),
        ([MaxPooling(9)], r"layer 0 cannot be MaxPooling.*a window no larger than the image, \(8, 8\)"),
        ([Dense(4), Convolution(3, 2)], "layer 1 cannot be .*needs images of the shape"),
        ([Convolution(0, 3)], "n_channels of Convolution must be an integer of at least 1; got 0"),
        ([Convolution(3, (2, 2, 2))], "must be an integer of at least 1, or 2 of them"),
        ([Convolution(3, 2, stride=0)], "stride of Convolution must be an integer of at least 1"),
        ([Convolution(3, 2, padding="full")], "padding must be 'valid' or 'same'; got 'full'"),
        ([Convolution(3, 2, activation="softmax")], "cannot use the activation 'softmax'"),
        ([Convolution(3, 2, activation="maxout")], "cannot use the activation 'maxout'"),
        ([TransposedConvolution(3, 3, output_size=(20, 20))], "cannot turn an input of the size"),
        ([Dense(True)], "n_units of Dense must be an integer"),
        (["dense"], "item 0 is 'dense'"),
    ],
)
def test_layers_that_do_not_fit_are_refused_by_name(layers, message):
    with pytest.raises(ValueError, match=message):
        classifier(layers=layers).fit(IMAGES, LABELS)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"input_shape=\(7, 8, 1\) means 56 numbers in a row, but .* have 64"):
        classifier(input_shape=(7, 8, 1)).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match=r"input_shape must be .*got \(8, 0, 1\)"):
        classifier(input_shape=(8, 0, 1)).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="got rows of the shape"):
        classifier().fit(IMAGES.reshape(-1, 2, 4, 4, 2), LABELS)
    fitted = classifier().fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="X has 49 features, but ConvolutionalClassifier is expecting 64"):
        fitted.predict(IMAGES[:, :7, :7])
    with pytest.raises(ValueError, match="Found array with dim 3"):
        FeedforwardClassifier().fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="must be Dense or Convolution, not pooling"):
        autoencoder(layers=[MaxPooling(2), Dense(4)]).fit(IMAGES)
    with pytest.raises(ValueError, match="a single activation if layers are given"):
        FeedforwardClassifier(layers=LAYERS, activation=["tanh", "tanh"]).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="from_weights can only make networks of dense layers"):
        ConvolutionalClassifier.from_weights([np.ones((4, 2))], [np.ones(2)])
    with pytest.raises(ValueError, match="input_shape needs layers"):
        FeedforwardClassifier(input_shape=(8, 8, 1)).fit(IMAGES.reshape(-1, 64), LABELS)
    with pytest.raises(ValueError, match="hidden_layer_sizes and layers both describe"):
        FeedforwardClassifier(layers=LAYERS, hidden_layer_sizes=(7,)).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match=r"must have the same shape; got rows of the shapes \(3, 3\) and \(4, 4\)"):
        classifier().fit([np.zeros((4, 4)), np.zeros((3, 3))], [0, 1])
    with pytest.raises(ValueError, match="KL sparsity needs hidden units with bounded"):
        autoencoder(activation="relu", sparsity_weight=1.0).fit(IMAGES)


def test_numbers_that_are_not_finite_are_refused():
    bad = IMAGES.copy()
    bad[3, 2, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        classifier().fit(bad, LABELS)
