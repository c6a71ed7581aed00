"""Problems at trained weights, where float32 sums show their errors: residuals are small, most of them very small.

At random weights all residuals are alike, and the errors of adding them up nearly cancel.
"""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits

from rhohat.engines import ThreadEngine
from rhohat.layers.activations import Identity, Maxout, ParametricReLU, ReLU, Sigmoid, Softmax, Tanh
from rhohat.layers.network import Network, dense_network
from rhohat.objective import Problem, make_objective
from rhohat.solvers import LBFGS
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.losses import (
    BinaryCrossEntropy,
    GaussianLoss,
    LabelNoiseCrossEntropy,
    SoftmaxCrossEntropy,
    SquaredError,
)
from rhohat.terms.penalties import KLSparsity, L1Sparsity, WeightDecay

_MAGNIFIED = 3  # times; so a block has some hundred thousand numbers, most of them of dark pixels
_ITERATIONS = 60
_ROWS = 400  # to train on

S, D = Sigmoid(), WeightDecay(1e-4)

#: Layers between the input and the output, and their activations; the output's; whether tied; loss; penalties; options.
PROBLEMS = {
    "sparse": ([30], [S, S], None, [D, KLSparsity(0.01, 3.0)], {}),
    "sparse, weighted": ([30], [S, S], None, [D, KLSparsity(0.01, 3.0)], {"weighted": True}),
    "sparse, tied": ([30], [S, S], None, [D, KLSparsity(0.05, 3.0)], {"tied": True}),
    "deep": ([30, 10, 30], [Tanh(), Tanh(), Tanh(), S], None, [D], {}),
    "l1": ([40], [ReLU(), Identity()], None, [D, L1Sparsity(1e-3)], {}),
    "l1, weighted": ([40], [ReLU(), Identity()], None, [D, L1Sparsity(1e-3)], {"weighted": True}),
    "learned slopes": ([20], [ParametricReLU(), Identity()], None, [D], {}),
    "maxout": ([10], [Maxout(3), S], None, [D], {}),
    "softmax units": ([20], [Softmax(), S], None, [KLSparsity(0.05, 3.0)], {}),
    "contraction": ([30], [S, S], None, [Contraction(0.1)], {}),
    "contraction, weighted": ([30], [S, S], None, [Contraction(0.1)], {"weighted": True}),
    "deep contraction": ([12, 6, 12], [Tanh(), Tanh(), Tanh(), S], None, [Contraction(0.1)], {"magnified": 1}),
    "tangents": ([20], [Tanh(), S], None, [TangentPropagation(0.1)], {"tangents": True}),
    "binary": ([30], [S, S], BinaryCrossEntropy(), [D], {}),
    "classes": ([20], [S, Softmax()], SoftmaxCrossEntropy(), [WeightDecay(1e-5)], {"classes": True}),
    "classes, weighted": ([20], [S, Softmax()], SoftmaxCrossEntropy(), [], {"classes": True, "weighted": True}),
    "classes, each by itself": ([20], [S, S], BinaryCrossEntropy(), [WeightDecay(1e-5)], {"classes": True}),
    "wrong labels": ([20], [S, S], LabelNoiseCrossEntropy(0.001), [WeightDecay(1e-5)], {"classes": True}),
    "noise of a covariance": (
        [20],
        [Tanh(), Identity()],
        GaussianLoss(np.eye(10) + 0.5),
        [WeightDecay(1e-5)],
        {"classes": True},
    ),
}


@cache
def rows_of(name: str) -> dict[str, np.ndarray]:
    """Return inputs, and targets, weights and tangents where there are some: numbers of float32, in float64."""
    *_, options = PROBLEMS[name]
    images, labels = load_digits(return_X_y=True)
    factor = options.get("magnified", _MAGNIFIED)
    images = np.kron(images.reshape(-1, 8, 8) / 16, np.ones((1, factor, factor)))
    X = images.reshape(len(images), -1)
    rng = np.random.default_rng(0)
    rows = {"X": X}
    if options.get("classes"):
        rows["y"] = np.eye(10)[labels]
    if options.get("weighted"):
        rows["sample_weight"] = rng.integers(1, 5, len(X)) / 2
    if options.get("tangents"):
        rows["tangents"] = rng.normal(0, 0.1, (len(X), 2, X.shape[1]))
    return {key: array.astype(np.float32).astype(np.float64) for key, array in rows.items()}


def network_of(name: str) -> Network:
    hidden, activations, _, _, options = PROBLEMS[name]
    rows = rows_of(name)
    n_features, n_outputs = rows["X"].shape[1], rows.get("y", rows["X"]).shape[1]
    return dense_network((n_features, *hidden, n_outputs), tuple(activations), tied=options.get("tied", False))


def objective_of(name, dtype, n_jobs=1, rows=slice(None), make=make_objective):
    """Return J of a problem over some of its rows, in a precision."""
    _, _, loss, penalties, _ = PROBLEMS[name]
    given = {key: np.ascontiguousarray(array[rows].astype(dtype)) for key, array in rows_of(name).items()}
    X = given.pop("X")
    problem = Problem(network_of(name), X, loss=loss or SquaredError(), penalties=penalties, **given)
    return make(problem, ThreadEngine(n_jobs))


@cache
def trained_theta(name: str) -> np.ndarray:
    """Return weights that are nearly those of a fit; float32 holds them."""
    J = objective_of(name, np.float64, rows=slice(_ROWS))
    start = J.network.initial_theta(np.random.default_rng(0))
    theta = LBFGS().minimize(J, start, max_iter=_ITERATIONS).theta
    return theta.astype(np.float32).astype(np.float64)
