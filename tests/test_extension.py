"""What ARCHITECTURE.md promises to whoever adds something: parts defined out here work in the estimators."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import clone

from rhohat import (
    Adam,
    Checkpoint,
    Contraction,
    ContractiveAutoencoder,
    DeepAutoencoder,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    FeedforwardRegressor,
    SparseAutoencoder,
    StackedAutoencoder,
    check_gradient,
    save,
)
from rhohat.fitting.memory import plan_memory
from rhohat.layers import DenseLayer, Layer, MapLayer
from rhohat.layers.activations import Activation, ElementwiseActivation, Identity, Softmax
from rhohat.layers.network import Network
from rhohat.solvers import as_solver
from rhohat.solvers.base import Solver
from rhohat.terms.corruption import Corruption
from rhohat.terms.losses import Loss
from rhohat.terms.penalties import ActivationPenalty, MeanActivationPenalty, WeightPenalty
from tests.tolerances import EXACT, GRADIENT

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@dataclass(frozen=True)
class Softplus(ElementwiseActivation):
    """f(z) = ln(1 + exp(z)), f′(z) = 1 − exp(−a): as little as can be said of an activation."""

    name: ClassVar[str] = "softplus"
    bounds: ClassVar[tuple[float, float]] = (0.0, np.inf)

    def apply(self, z):
        np.logaddexp(0, z, out=z)

    def derivative(self, a):
        return -np.expm1(-a)


@dataclass(frozen=True)
class Arctan(ElementwiseActivation):
    """f(z) = arctan z / π + ½, with its curvature."""

    name: ClassVar[str] = "arctan"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def apply(self, z):
        np.arctan(z, out=z)
        z /= np.pi
        z += 0.5

    def derivative(self, a):
        return np.cos(np.pi * (a - 0.5)) ** 2 / np.pi

    def second_derivative(self, a):
        angle = np.pi * (a - 0.5)
        return -2 * np.sin(angle) * np.cos(angle) ** 3 / np.pi


@dataclass(frozen=True)
class LogCosh(Loss):
    """Σ_k ln cosh(a_k − y_k)."""

    name: ClassVar[str] = "log_cosh"

    def value_and_derivative(self, outputs, y, out):
        difference = outputs - y
        np.tanh(difference, out=out)
        return np.log(np.cosh(difference)).sum(1)


@dataclass(frozen=True)
class SmoothL1(WeightPenalty):
    """λ Σ √(w² + ε) over weights and biases."""

    weight: float
    name: ClassVar[str] = "smooth_l1"
    include_biases: ClassVar[bool] = True

    def value(self, weights):
        return self.weight * sum(float(np.sqrt(W**2 + 0.01).sum()) for W in weights)

    def add_gradient(self, weights, gradients):
        for W, gradient in zip(weights, gradients, strict=True):
            gradient += self.weight * W / np.sqrt(W**2 + 0.01)


@dataclass(frozen=True)
class SquaredMean(MeanActivationPenalty):
    """λ/2 Σ_j (ρ̂_j − t)²."""

    weight: float
    target: float = 0.3
    layers: tuple[int, ...] | None = None
    name: ClassVar[str] = "squared_mean"

    def value(self, mean_activation, bounds, dtype):
        return 0.5 * self.weight * float(np.sum((mean_activation - self.target) ** 2))

    def derivative(self, mean_activation, bounds, dtype):
        return self.weight * (mean_activation - self.target)


@dataclass(frozen=True)
class Logarithmic(ActivationPenalty):
    """λ Σ_j ln(1 + a_j²)."""

    weight: float
    layers: tuple[int, ...] | None = None
    name: ClassVar[str] = "logarithmic"

    def value(self, a):
        return self.weight * np.log1p(a**2).sum(1)

    def derivative(self, a):
        return self.weight * 2 * a / (1 + a**2)


@dataclass(frozen=True)
class Scaling(Corruption):
    """x̃ = x (1 + s ε)."""

    s: float = 0.3
    name: ClassVar[str] = "scaling"
    draws: ClassVar[str] = "normal"

    def apply(self, X, noise):
        noise *= self.s
        noise += 1
        X *= noise


@dataclass(frozen=True)
class SignDescent(Solver):
    """θ ← θ − α_t sign(∇J), with α_t = α / t."""

    learning_rate: float = 0.05

    def _iterate(self, run):
        while True:
            step = self.learning_rate / (run.n_iter + 1)
            run.accept(run.evaluate(run.point.theta - step * np.sign(run.point.gradient)))


PENALTIES = [SmoothL1(0.01), SquaredMean(0.5), Logarithmic(0.02)]
OURS = {
    "activation": Softplus(),
    "loss": LogCosh(),
    "penalties": PENALTIES,
    "max_iter": 60,
    "random_state": 0,
}
OURS_CORRUPTED = {**OURS, "corruption": Scaling(), "output_activation": Arctan()}

AUTOENCODERS = {
    "denoising": DenoisingAutoencoder(n_components=4, **OURS_CORRUPTED),
    "sparse, untied": SparseAutoencoder(n_components=4, sparsity_weight=0.0, **OURS_CORRUPTED),
    "deep, tied": DeepAutoencoder(hidden_layer_sizes=(5, 3), tied_weights=True, **OURS_CORRUPTED),
    "bounded units with KL": SparseAutoencoder(
        n_components=4, sparsity=0.2, **{**OURS_CORRUPTED, "activation": Arctan()}
    ),
    "contractive": ContractiveAutoencoder(n_components=4, **{**OURS, "activation": Arctan()}),
    "deep, contracted": DeepAutoencoder(
        hidden_layer_sizes=(5, 3), **{**OURS, "activation": Arctan(), "penalties": [*PENALTIES, Contraction(0.1)]}
    ),
}
NAMES = ["log_cosh", "smooth_l1", "squared_mean", "logarithmic"]


@pytest.fixture(name="X")
def rows(rng):
    return 1 / (1 + np.exp(-rng.normal(size=(80, 2)) @ rng.normal(size=(2, 7))))


@pytest.mark.parametrize("solver", ["lbfgs", Adam(learning_rate=0.02, batch_size=20), SignDescent()], ids=str)
@pytest.mark.parametrize("autoencoder", AUTOENCODERS.values(), ids=AUTOENCODERS)
def test_autoencoders_train_with_parts_that_the_package_does_not_know(autoencoder, solver, X):
    model = clone(autoencoder).set_params(solver=solver).fit(X)
    value, terms = model.cost(X)
    assert set(NAMES) <= set(terms)
    assert value == sum(terms.values())
    start = clone(autoencoder).set_params(max_iter=1, tol=1e9).fit(X).cost(X)[0]
    assert value < 0.9 * start
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), model.reconstruct(X), rtol=EXACT)
    assert np.all(np.isfinite(model.maximal_inputs()))
    again = clone(autoencoder).set_params(solver=solver, n_jobs=2).fit(X)
    np.testing.assert_array_equal(again.theta_, model.theta_)
    model.set_params(warm_start=True).fit(X)
    assert model.cost(X)[0] <= value + 1e-3


@pytest.mark.parametrize("autoencoder", AUTOENCODERS.values(), ids=AUTOENCODERS)
def test_their_gradient_is_that_of_their_cost(autoencoder, X, rng):
    objective = autoencoder.objective(X)
    theta = objective.network.initial_theta(rng)
    assert check_gradient(objective, theta, epsilon=3e-5).relative_difference <= GRADIENT
    model = clone(autoencoder).set_params(max_iter=3).fit(X)
    assert check_gradient(model.objective(X), model.theta_, epsilon=3e-5).relative_difference <= GRADIENT


def test_what_they_cost_is_what_they_say(X):
    model = clone(AUTOENCODERS["sparse, untied"]).set_params(corruption=None).fit(X)
    H, terms = model.transform(X), model.cost(X)[1]
    np.testing.assert_allclose(H, np.logaddexp(0, X @ model.coefs_[0] + model.intercepts_[0]), rtol=EXACT)
    arctan = np.arctan(H @ model.coefs_[1] + model.intercepts_[1]) / np.pi + 0.5
    np.testing.assert_allclose(model.reconstruct(X), arctan, rtol=EXACT)
    np.testing.assert_allclose(terms["log_cosh"], np.log(np.cosh(arctan - X)).sum() / 80, rtol=1e-10)
    everything = [*model.coefs_, *model.intercepts_]
    np.testing.assert_allclose(
        terms["smooth_l1"], 0.01 * sum(np.sqrt(W**2 + 0.01).sum() for W in everything), rtol=EXACT
    )
    np.testing.assert_allclose(terms["squared_mean"], 0.25 * np.sum((H.mean(axis=0) - 0.3) ** 2), rtol=1e-10)
    np.testing.assert_allclose(terms["logarithmic"], 0.02 * np.log1p(H**2).sum() / 80, rtol=EXACT)


def test_supervised_networks_and_stacks_take_them_too(X, rng):
    parameters = {**OURS, "hidden_layer_sizes": (6,), "penalties": [SmoothL1(1e-4)], "max_iter": 200}
    labels = (X[:, 0] > np.median(X[:, 0])).astype(int)
    for output in (Arctan(), "tanh"):
        classifier = FeedforwardClassifier(**parameters, output_activation=output).fit(X, labels)
        assert classifier.score(X, labels) > 0.9
        np.testing.assert_allclose(classifier.predict_proba(X).sum(axis=1), 1, rtol=EXACT)
    regressor = FeedforwardRegressor(**parameters, output_activation=Arctan()).fit(X, 100 * X[:, :2])
    assert regressor.score(X, 100 * X[:, :2]) > 0.8
    stack = StackedAutoencoder([AUTOENCODERS["denoising"], AUTOENCODERS["bounded units with KL"]]).fit(X)
    assert [activation.name for activation in stack.network_.activations] == ["softplus", "arctan", "arctan", "arctan"]


def test_what_a_part_does_not_define_is_named_where_it_is_needed(X):
    with pytest.raises(ValueError, match="contraction needs the second derivative of the activation 'softplus'"):
        ContractiveAutoencoder(n_components=3, activation=Softplus()).fit(X)
    with pytest.raises(ValueError, match=r"KL sparsity .* use 'sigmoid' or 'tanh'"):
        SparseAutoencoder(n_components=3, activation=Softplus()).fit(X)
    for part, name in (
        ({"activation": Softplus(), "sparsity_weight": 0.0}, "'softplus' has no second derivative"),
        ({"loss": LogCosh()}, "LogCosh has no second derivative"),
        ({"penalties": [SmoothL1(0.1)]}, "SmoothL1 has no second derivative"),
        ({"penalties": [SquaredMean(0.1)]}, "SquaredMean has no second derivative"),
        ({"penalties": [Logarithmic(0.1)]}, "Logarithmic has no second derivative"),
    ):
        with pytest.raises((ValueError, NotImplementedError), match=name):
            SparseAutoencoder(n_components=3, solver="newton_cg", random_state=0, **part).fit(X)


# Layers.


@dataclass(frozen=True)
class Circulant(MapLayer):
    """z_j = Σ_k a_{j−k} w_k + b, around a ring: one weight for each distance, which no dense layer could express."""

    n_inputs: int
    activation: Activation

    @property
    def n_outputs(self):
        return self.n_inputs

    @property
    def weight_shape(self):
        return (self.n_inputs,)

    @property
    def n_biases(self):
        return 1

    @property
    def fans(self):
        return self.n_inputs, self.n_inputs

    @property
    def multiply_adds(self):
        return self.n_inputs**2

    def _matrix(self, W):
        return np.stack([np.roll(W, k) for k in range(self.n_inputs)])

    def apply(self, given, W, out=None):
        return np.matmul(given, self._matrix(W), out=out)

    def apply_transposed(self, delta, W, out=None):
        return np.matmul(delta, self._matrix(W).T, out=out)

    def weight_gradient(self, given, delta, out, *, accumulate):
        products = given.T @ delta
        gradient = sum(np.roll(row, -k) for k, row in enumerate(products))
        out[:] = out + gradient if accumulate else gradient

    def bias_row(self, b):
        return np.repeat(b, self.n_inputs)

    def add_bias_gradient(self, b, delta, ones, *, accumulate):
        b[:] = b + delta.sum() if accumulate else delta.sum()


@dataclass(frozen=True)
class LargestOfPairs(Layer):
    """a_j = max(x_2j, x_2j+1): no parameters, no linear map, and no tangents."""

    n_inputs: int
    activation: Activation = Identity()  # noqa: RUF009 - it is frozen

    @property
    def n_outputs(self):
        return self.n_inputs // 2

    @property
    def weight_shape(self):
        return (0,)

    @property
    def n_biases(self):
        return 0

    @property
    def fans(self):
        return 2, 1

    @property
    def multiply_adds(self):
        return 0

    @property
    def width(self):
        return self.n_inputs  # δ_z says which of a pair was the larger one

    def forward(self, parameters, given, units, *, activate=True):
        units.z[:] = given
        units.a[:] = given.reshape(len(given), -1, 2).max(axis=2)

    def pull_back(self, parameters, units, delta, out, gradient):
        pairs = units.z.reshape(len(delta), -1, 2)
        larger = pairs == pairs.max(axis=2, keepdims=True)
        out[:] = (larger * delta[:, :, None]).reshape(out.shape)

    def pull_back_to_inputs(self, W, given, delta, out=None):
        if out is None:
            return delta
        out[:] = delta
        return out

    def add_weight_gradient(self, W, given, delta, *, accumulate):
        pass

    def add_bias_gradient(self, b, delta, ones, *, accumulate):
        pass


class OnARing(SparseAutoencoder):
    """An autoencoder whose code is on a ring."""

    def _build_network(self, layer_sizes, activations, tied=False):
        n = layer_sizes[0]
        return Network((Circulant(n, activations[0]), DenseLayer(n, n, activations[1])))


class Rings(FeedforwardClassifier):
    """A classifier that looks at a ring, and at the larger one of each pair."""

    with_pairs = False

    def _build_network(self, layer_sizes, activations, tied=False):
        n = layer_sizes[0]
        if self.with_pairs:
            return Network(
                (Circulant(n, activations[0]), LargestOfPairs(n), DenseLayer(n // 2, layer_sizes[-1], Softmax()))
            )
        return Network((Circulant(n, activations[0]), DenseLayer(n, layer_sizes[-1], activations[-1])))


class RingsInPairs(Rings):
    with_pairs = True


@pytest.mark.parametrize("solver", ["lbfgs", Adam(learning_rate=0.02, batch_size=20)], ids=str)
@pytest.mark.parametrize("kind", [OnARing, Rings, RingsInPairs])
def test_layers_that_the_package_does_not_know_train_and_are_resumed(kind, solver, tmp_path, rng):
    X = rng.random((120, 6))
    y = X.argmax(axis=1) // 2
    settings = {"solver": solver, "max_iter": 15, "random_state": 0, "weight_decay": 1e-3}
    if kind is OnARing:
        settings |= {"n_components": 6, "sparsity": 0.3, "sparsity_weight": 0.1}
    model = kind(**settings).fit(X, y)
    assert len(model.coefs_[0]) == 6
    assert model.coefs_[0].shape == (6,)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    J = model.objective(X, y)
    theta = model.theta_ + rng.normal(0, 0.3, model.theta_.size)
    assert check_gradient(J, theta).relative_difference <= GRADIENT

    def break_off(state):
        if state.iteration == 7:
            raise RuntimeError

    kept = Checkpoint(tmp_path, every=1)
    with pytest.raises(RuntimeError):
        kind(**settings, checkpoint=kept, callbacks=[break_off]).fit(X, y)
    resumed = kind(**settings, checkpoint=replace(kept, resume=True)).fit(X, y)  # θ was saved
    np.testing.assert_array_equal(resumed.theta_, model.theta_)


def test_layers_from_outside_count_in_the_memory_plan(rng):
    X = rng.random((5000, 60))
    plans = []
    for kind in (OnARing, SparseAutoencoder):
        model = kind(n_components=60, max_iter=1, sparsity=0.3)
        problem = model._make_problem(X, model._choose_network(X, continues=False))
        plans.append(dict(plan_memory(problem, as_solver("lbfgs"), 1, None).parts))
    ring, dense = plans
    n_ring, n_dense = 60 + 1 + 60 * 60 + 60, 2 * 60 * 60 + 2 * 60
    name = "parameters and gradients"
    assert ring[name] * n_dense == dense[name] * n_ring


def test_second_derivatives_go_through_linear_maps_and_others_refuse_them_by_name(rng):
    X = rng.random((60, 6))
    y = X.argmax(axis=1) // 2
    ring = Rings(solver="newton_cg", max_iter=3, random_state=0).fit(X, y)
    J, theta, vector = ring.objective(X, y), ring.theta_, rng.normal(size=ring.theta_.size)
    step = 1e-5
    along = (J(theta + step * vector)[1] - J(theta - step * vector)[1]) / (2 * step)
    np.testing.assert_allclose(J.hessian_vector_product(theta, vector), along, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="the layer LargestOfPairs has no second derivatives"):
        RingsInPairs(solver="newton_cg").fit(X, y)
    with pytest.raises(ValueError, match="cannot be propagated through the layer LargestOfPairs"):
        RingsInPairs(tangent_weight=0.1).fit(X, y, tangents=rng.normal(size=(60, 1, 6)))


def test_a_model_of_layers_from_outside_is_not_saved_as_something_else(tmp_path, rng):
    model = OnARing(n_components=6, max_iter=1).fit(rng.random((20, 6)))
    with pytest.raises(ValueError, match="OnARing"):
        save(model, tmp_path / "model.safetensors")
