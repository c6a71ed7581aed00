"""Small fitted models of every kind, for whoever saves and loads them."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import rhohat
from rhohat.layers.activations import ReLU
from rhohat.solvers import Adam

X = np.random.default_rng(7).random((60, 6))
LABELS = np.array(["one", "two", "three"])[np.arange(60) % 3]
#: The same numbers as sequences of 1 to 3 steps, and one of 3 at the start.
SEQUENCES = [one.reshape(3, 2)[: 3 - number % 3] for number, one in enumerate(X)]
TARGETS = np.stack([X[:, 0] - X[:, 1], X[:, 2]], axis=1)

_QUICK = {"max_iter": 4, "random_state": 3}
_ADAM = Adam(learning_rate=0.01, batch_size=16, schedule="cosine")


def _tuned():
    return rhohat.DenoisingAutoencoder(n_components=3, solver=_ADAM, **_QUICK).partial_fit(X).partial_fit(X)


def _convolved(**parameters):
    patches = X.reshape(60, 3, 2)[:, :2].reshape(60, 4)
    encoder = rhohat.DeepAutoencoder(hidden_layer_sizes=(5, 3), activation=("tanh", "sigmoid"), **_QUICK)
    model = make_pipeline(StandardScaler(), rhohat.ZCAWhitening(epsilon=0.1), encoder).fit(patches)
    return rhohat.ConvolvedFeatures(model, image_shape=(3, 2), patch_shape=[2, 2], regions=(2, 1), **parameters)


def _with_card(model):
    model.model_card_ = rhohat.ModelCard("a note", "60 random rows", {"R2": 0.5, "J": float("inf")}, {"R2": 0.4})
    return model


_MAKERS = {
    "sparse": lambda: rhohat.SparseAutoencoder(n_components=4, **_QUICK).fit(X),
    "rows of several axes": lambda: rhohat.SparseAutoencoder(n_components=4, **_QUICK).fit(
        rhohat.open_rows(X.reshape(60, 3, 1, 2))
    ),
    "tied": lambda: _with_card(
        rhohat.SparseAutoencoder(n_components=4, activation="tanh", tied_weights=True, **_QUICK).fit(X)
    ),
    "float32": lambda: rhohat.SparseAutoencoder(n_components=4, **_QUICK).fit(X.astype(np.float32)),
    "penalised": lambda: rhohat.SparseAutoencoder(
        n_components=4,
        corruption=rhohat.SaltAndPepperNoise(0.2),
        penalties=[rhohat.L1Sparsity(0.1, layers=(0,)), rhohat.Contraction(0.1)],
        solver=rhohat.LBFGS(min_improvement=1e-3),
        **_QUICK,
    ).fit(X),
    "denoising": lambda: rhohat.DenoisingAutoencoder(
        n_components=4, activation=ReLU(), solver=_ADAM, corruption=rhohat.MaskingNoise(0.3), **_QUICK
    ).fit(X),
    "partly fitted": _tuned,
    "contractive": lambda: rhohat.ContractiveAutoencoder(n_components=4, **_QUICK).fit(X),
    "deep": lambda: rhohat.DeepAutoencoder(
        hidden_layer_sizes=(5, 2), activation=[rhohat.Maxout(3), rhohat.ParametricReLU()], **_QUICK
    ).fit(X),
    "stacked": lambda: rhohat.StackedAutoencoder(
        [rhohat.SparseAutoencoder(n_components=5, **_QUICK), rhohat.DenoisingAutoencoder(n_components=2, **_QUICK)]
    ).fit(X),
    "convolutional": lambda: rhohat.ConvolutionalAutoencoder(
        layers=[rhohat.Convolution(3, (2, 1), padding="same", activation="tanh"), rhohat.MaxPooling((1, 2))],
        input_shape=(3, 2, 1),
        tied_weights=True,
        sparsity_weight=0.1,
        activation="sigmoid",
        **_QUICK,
    ).fit(X),
    "convolutional classifier": lambda: rhohat.ConvolutionalClassifier(
        layers=(rhohat.Convolution(3, 2), rhohat.MeanPooling(2, stride=1), 4), input_shape=(6, 1), **_QUICK
    ).fit(X.reshape(60, 6, 1), LABELS),
    "regressor of layers": lambda: rhohat.FeedforwardRegressor(
        layers=[rhohat.Convolution(3, 2, stride=2), rhohat.Flatten(), rhohat.Dense(4, rhohat.LeakyReLU(0.1))],
        input_shape=(3, 2, 1),
        **_QUICK,
    ).fit(X, TARGETS),
    "classifier": lambda: rhohat.FeedforwardClassifier(hidden_layer_sizes=(4,), **_QUICK).fit(X, LABELS),
    "two classes": lambda: rhohat.FeedforwardClassifier(
        hidden_layer_sizes=np.array([4]), loss=rhohat.LabelNoiseCrossEntropy(0.1), **_QUICK
    ).fit(X, X[:, 0] > 0.5),
    "softmax": lambda: rhohat.SoftmaxRegression(**_QUICK).fit(X, (np.arange(60) % 4).astype(np.uint8)),
    "stacked classifier": lambda: rhohat.StackedAutoencoderClassifier(
        [rhohat.SparseAutoencoder(n_components=5, **_QUICK)], **_QUICK
    ).fit(X, LABELS.astype(object)),
    "regressor": lambda: rhohat.FeedforwardRegressor(hidden_layer_sizes=(3,), **_QUICK).fit(X, TARGETS[:, 0]),
    "named targets": lambda: rhohat.FeedforwardRegressor(hidden_layer_sizes=(3,), **_QUICK).fit(
        X, pd.DataFrame(TARGETS, columns=["difference", "third"])
    ),
    "named classes": lambda: rhohat.SoftmaxRegression(**_QUICK).fit(X, pd.Series(LABELS, name="number")),
    "scaled regressor": lambda: rhohat.FeedforwardRegressor(
        hidden_layer_sizes=(3,), output_activation="sigmoid", **_QUICK
    ).fit(X, 1e6 + TARGETS),
    "noise estimated": lambda: rhohat.FeedforwardRegressor(
        hidden_layer_sizes=(3,), noise_covariance="estimate", max_covariance_updates=1, **_QUICK
    ).fit(X, TARGETS),
    "noise given": lambda: rhohat.FeedforwardRegressor(
        hidden_layer_sizes=(3,), noise_covariance=[[1.0, 0.2], [0.2, 0.5]], **_QUICK
    ).fit(X, TARGETS),
    "normalizer": lambda: rhohat.PatchNormalizer().fit(X),
    "scaler": lambda: rhohat.RangeScaler(low=-1.0).fit(X),
    "whitening": lambda: rhohat.ZCAWhitening(epsilon=0.01).fit(X),
    "recurrent classifier": lambda: rhohat.RecurrentClassifier(
        layers=[rhohat.GRU(3, bidirectional=True), rhohat.Dense(4)], **_QUICK
    ).fit(SEQUENCES, LABELS),
    "classifier of steps": lambda: rhohat.RecurrentClassifier(
        layers=[rhohat.Recurrent(3, activation="sigmoid"), rhohat.Dense(4, per_step=True)], per_step=True, **_QUICK
    ).fit(SEQUENCES, [LABELS[: len(one)] for one in SEQUENCES]),
    "recurrent regressor": lambda: rhohat.RecurrentRegressor(
        layers=(rhohat.LSTM(3, peepholes=True, truncate=2),), input_shape=[3, 2], solver=_ADAM, **_QUICK
    ).fit(SEQUENCES, TARGETS[:, 0]),
    "regressor of steps": lambda: rhohat.RecurrentRegressor(
        layers=[rhohat.LSTM(3), rhohat.GRU(2)], per_step=True, output_activation="tanh", **_QUICK
    ).fit(SEQUENCES, [one[:, :1] for one in SEQUENCES]),
    "recurrent autoencoder": lambda: rhohat.RecurrentAutoencoder(
        layers=[rhohat.LSTM(4), rhohat.LSTM(2)], sparsity_weight=0.1, **_QUICK
    ).fit(SEQUENCES),
    "autoencoder of steps": lambda: rhohat.RecurrentAutoencoder(
        layers=[rhohat.Recurrent(2, return_sequences=True)], corruption="gaussian", **_QUICK
    ).fit(SEQUENCES),
    "convolved features": lambda: _convolved(pooling="max").fit(X),
    "classes of convolved features": lambda: make_pipeline(_convolved(), rhohat.SoftmaxRegression(**_QUICK)).fit(
        X, LABELS
    ),
    "patches": lambda: make_pipeline(
        rhohat.ZCAWhitening(), rhohat.PatchNormalizer(low=0.2), rhohat.SparseAutoencoder(n_components=4, **_QUICK)
    ).fit(X),
    "topk": lambda: rhohat.TopKAutoencoder(8, 2, normalize="layer_norm", solver=_ADAM, **_QUICK).fit(X),
    "batch topk": lambda: rhohat.BatchTopKAutoencoder(8, 2.5, **_QUICK).fit(rhohat.open_rows(X)),
    "matryoshka": lambda: rhohat.MatryoshkaAutoencoder(8, 2, prefixes=(2, 8), **_QUICK).fit(X.astype(np.float32)),
    "l1": lambda: rhohat.L1Autoencoder(8, sparse_output=False, center=False, **_QUICK).fit(X),
    "gated": lambda: rhohat.GatedAutoencoder(8, normalize=None, **_QUICK).partial_fit(X).partial_fit(X),
    "jumprelu": lambda: rhohat.JumpReLUAutoencoder(8, target_l0=None, **_QUICK).fit(X),
    "transcoder": lambda: rhohat.Transcoder(rhohat.BatchTopKAutoencoder(8, 2, **_QUICK)).fit(X, TARGETS),
    "transcoder with a skip": lambda: rhohat.Transcoder(
        rhohat.JumpReLUAutoencoder(8, target_l0=None, normalize="layer_norm", **_QUICK), skip=True
    ).fit(X, TARGETS),
    "detector": lambda: rhohat.AutoencoderDetector(
        rhohat.DenoisingAutoencoder(n_components=3, **_QUICK), contamination=0.1, random_state=4
    ).fit(X),
    "detector of a table": lambda: make_pipeline(
        rhohat.MeanImputer(), rhohat.AutoencoderDetector(random_state=0)
    ).fit(X),
    "detector without a scaler": lambda: rhohat.AutoencoderDetector(
        rhohat.TopKAutoencoder(8, 2, **_QUICK), scale=False
    ).fit(rhohat.open_rows(X)),
    "scaled dictionary": lambda: make_pipeline(StandardScaler(), rhohat.TopKAutoencoder(8, 2, **_QUICK)).fit(X),
    "gaps": lambda: make_pipeline(
        rhohat.TablePreprocessor("standard"), rhohat.SparseAutoencoder(n_components=4, **_QUICK)
    ).fit(np.where(np.arange(6) == np.arange(60)[:, None] % 9, np.nan, X)),
    "table": lambda: make_pipeline(
        StandardScaler(with_mean=False), "passthrough", MinMaxScaler((-1, 1)), StandardScaler(with_std=False),
        rhohat.FeedforwardClassifier(hidden_layer_sizes=(2,), **_QUICK),
    ).fit(X, LABELS),
}  # fmt: skip
KINDS = list(_MAKERS)


@cache
def fitted(kind):
    """Return a fitted model; the same one every time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # four iterations are not meant to converge
        return _MAKERS[kind]()


def outputs(model):
    """Return all that a model makes of rows, by the name of the method."""
    names = ("transform", "reconstruct", "predict", "predict_proba", "maximal_inputs", "score_samples", "explain")
    methods = {name: getattr(model, name) for name in names if hasattr(model, name)}
    made = {name: method() if name == "maximal_inputs" else method(X) for name, method in methods.items()}
    return {name: one.toarray() if sparse.issparse(one) else one for name, one in made.items()}
