"""J(θ), its gradient, and Hessian-vector products, computed from the sums over rows that passes return."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import Any, cast

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import ClusterEngine, DeviceEngine, Engine, in_memory, on_cluster, on_device
from rhohat.common.forks import ProcessLock
from rhohat.layers import Layer
from rhohat.layers.network import Network
from rhohat.objective.cluster import ClusterEvaluation
from rhohat.objective.cost import Added, Cost, Weighting, as_floats
from rhohat.objective.evaluation import BlockEvaluation, Evaluation
from rhohat.objective.passes import (
    SumActivations,
    SumActivationsAndTangents,
    SumHessianProduct,
    SumLoss,
    SumLossAndGradient,
    Sums,
)
from rhohat.objective.problem import Problem
from rhohat.objective.row_windows import read_all

__all__ = ["Objective", "make_objective", "penalise_means", "placed"]


def make_objective(
    problem: Problem, engine: Engine | ClusterEngine | DeviceEngine, cache_bytes: int = 2**30
) -> Objective:
    """Return the objective J(θ) of a problem, which the given engine evaluates.

    Parameters
    ----------
    problem : Problem
        A problem without a corruption.
    engine : Engine, ClusterEngine or DeviceEngine
        Engine that uses the threads of this process, the workers of a cluster, or a device such as a GPU.
    cache_bytes : int, default=1 GiB
        Memory in bytes in which each process may keep hidden activations from pass 1, which computes mean activations,
        to pass 2, which computes the loss and the gradient.

    Raises
    ------
    ValueError
        If the problem has a corruption, or its rows are on a device and the engine is not one of that device.
    ClusterError
        If the cluster cannot be used; see `DaskEngine`.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import check_gradient
    >>> from rhohat.layers.activations import Sigmoid
    >>> from rhohat.engines import ThreadEngine
    >>> from rhohat.layers.network import dense_network
    >>> from rhohat.terms.penalties import KLSparsity, WeightDecay
    >>> rng = np.random.default_rng(0)
    >>> network = dense_network((6, 4, 6), (Sigmoid(), Sigmoid()))
    >>> problem = Problem(network, rng.random((50, 6)), penalties=[WeightDecay(1e-4), KLSparsity(0.01, 3.0)])
    >>> J = make_objective(problem, ThreadEngine())
    >>> value, gradient = J(network.initial_theta(rng))
    >>> gradient.shape
    (58,)
    >>> check_gradient(J, network.initial_theta(rng)).relative_difference < 1e-8
    True
    """
    if problem.corruption is not None:
        raise ValueError(
            f"an objective uses its rows unchanged, but this problem has the corruption {problem.corruption!r}; corrupt"
            " the rows beforehand with rhohat.terms.corruption.corrupt_rows, or use MiniBatches, which corrupts the"
            " rows anew in every epoch."
        )
    problem = problem.with_ops(engine.ops)
    if on_cluster(engine):
        return Objective(ClusterEvaluation(problem, engine, cache_bytes))
    if on_device(engine):
        problem = placed(problem, engine)
    elif not problem.ops.in_memory_of_host:
        raise ValueError(
            f"the rows are tensors on {problem.ops.device}, where threads cannot compute; pass"
            f" engine={str(problem.ops.device)!r}, or X.cpu() instead of X."
        )
    return Objective(BlockEvaluation(problem, cast(Engine, engine), cache_bytes))


def placed(problem: Problem, engine: DeviceEngine) -> Problem:
    """Return a problem computed by the primitives of a device, with its rows there if there is room for them."""
    arrays = [array for array in (problem.X, problem.y, problem.tangents) if array is not None]
    itemsize = engine.device_ops.empty((0,), engine.dtype).itemsize
    n_bytes = itemsize * sum(prod(array.shape) for array in {id(array): array for array in arrays}.values())
    return problem.on_device(engine.device_ops, engine.dtype, brought=engine.has_room_for(n_bytes))


class Objective:
    """The cost J(θ) of a network on the rows of a problem, with its derivatives.

    If the rows are PyTorch tensors, θ may be a tensor or a NumPy array, and results have the same type as θ.

    Parameters
    ----------
    evaluation : Evaluation
        Evaluation that runs passes over the rows; `make_objective` chooses one.
    total_weight : float, default=None
        Divisor of sums over rows. If None, it is the sum of the rows' weights. Penalties on ρ̂ are multiplied by the
        sum of the rows' weights divided by this total.
    """

    def __init__(self, evaluation: Evaluation, total_weight: float | None = None) -> None:
        self._evaluation, self.problem = evaluation, evaluation.problem
        self._weighting = Weighting.of(self.problem.n_samples, self.problem.sample_weight, total_weight)
        self._turn = ProcessLock()

    @property
    def network(self) -> Network:
        """The network, which is the architecture without its parameters."""
        return self.problem.network

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return self.problem.n_samples

    def in_float64(self) -> Objective:
        """Return the same cost computed in float64, as a gradient check needs; this one if it is computed so already.

        Rows on a cluster stay as they are.
        """
        if self._cost.dtype == np.float64 or self._cost.ops.library != "numpy":
            return self
        if not isinstance(self._evaluation, BlockEvaluation):
            return self
        problem = self.problem

        def converted(rows: Any) -> FloatArray | None:
            return None if rows is None else np.asarray(rows if in_memory(rows) else read_all(rows), np.float64)

        X, y, tangents = converted(problem.X), converted(problem.y), converted(problem.tangents)
        same = problem.on_rows(X, y, problem.sample_weight, tangents, problem.masks)
        return Objective(BlockEvaluation(same, self._evaluation.engine), self._weighting.total)

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return J(θ) and ∇J(θ), of shape (n_parameters,), float64."""
        value, gradient, _ = self.evaluate(theta)
        return value, gradient

    def evaluate(self, theta: FloatArray) -> tuple[float, FloatArray, dict[str, float]]:
        """Compute J, ∇J and the terms of J.

        Parameters
        ----------
        theta : array of shape (n_parameters,)
            The parameters θ.

        Returns
        -------
        value : float
            J(θ), the sum of the terms.
        gradient : array of shape (n_parameters,), float64
            ∇J(θ).
        terms : dict of str to float
            The mean loss and each penalty whose weight is not 0, by name.
        """
        gradient, numbers = self.evaluate_there(theta)
        terms = as_floats(numbers)
        return sum(terms.values()), self._cost.ops.like(theta, gradient), terms

    def evaluate_there(self, theta: FloatArray) -> tuple[FloatArray, dict[str, Any]]:
        """Compute ∇J and the terms of J, and leave them where they are computed.

        The host does not wait for a device, unless a part of J needs it. J is the sum of the terms.

        Parameters
        ----------
        theta : array of shape (n_parameters,)

        Returns
        -------
        gradient : array of shape (n_parameters,), float64
            ∇J(θ), an array of the library and the device of the rows.
        terms : dict of str to number
            The terms, each as `Ops.number` returns it.
        """
        ops, n_parameters = self._cost.ops, self.network.n_parameters
        point = ops.asarray(theta, np.float64)
        sums_at = self._evaluation.at(point)
        with self._turn.here, np.errstate(over="ignore", invalid="ignore"):  # an overflow shows in J
            mean_terms, added = penalise_means(self._cost, self._weighting, sums_at)
            sums = ops.asarray(sums_at(SumLossAndGradient(added)))
        sums /= self._weighting.total
        gradient, row_terms = sums[:n_parameters], sums[n_parameters:]
        return gradient, self._cost.terms(row_terms, mean_terms, self._cost.penalise_weights(point, gradient))

    def cost(self, theta: FloatArray) -> tuple[float, dict[str, float]]:
        """Compute J and its terms without the gradient.

        Parameters
        ----------
        theta : array of shape (n_parameters,)

        Returns
        -------
        value : float
            J(θ), the sum of the terms.
        terms : dict of str to float
            The mean loss and each penalty whose weight is not 0, by name.
        """
        theta = self._cost.ops.asarray(theta, np.float64)
        sums_at = self._evaluation.at(theta)
        with self._turn.here, np.errstate(over="ignore", invalid="ignore"):
            mean_terms, _ = penalise_means(self._cost, self._weighting, sums_at)
            row_terms = self._cost.ops.asarray(sums_at(SumLoss()))
        row_terms /= self._weighting.total
        terms = as_floats(self._cost.terms(row_terms, mean_terms, self._cost.penalise_weights(theta)))
        return sum(terms.values()), terms

    def mean_activations(self, theta: FloatArray) -> list[FloatArray]:
        """Compute ρ̂, the activation of every hidden unit averaged over the rows.

        Parameters
        ----------
        theta : array of shape (n_parameters,)

        Returns
        -------
        list of arrays of shape (n_units,), float64
            ρ̂ of each hidden layer.
        """
        sums_at = self._evaluation.at(theta)
        with self._turn.here, np.errstate(over="ignore", invalid="ignore"):
            means, _ = _mean_activations(self._cost, self._weighting, sums_at, self.network.n_layers - 1)
        return [self._cost.ops.like(theta, mean) for mean in means]

    def hessian_vector_product(self, theta: FloatArray, vector: FloatArray) -> FloatArray:
        """Compute the exact Hessian-vector product ∇²J(θ) v in about the time of two gradients.

        Parameters
        ----------
        theta, vector : arrays of shape (n_parameters,)
            θ and v.

        Returns
        -------
        array of shape (n_parameters,), float64
            ∇²J(θ) v.

        Raises
        ------
        ValueError
            If a part of J does not define its second derivative; see `check_second_derivative`.

        References
        ----------
        Pearlmutter, B. A. (1994). Fast exact multiplication by the Hessian. Neural Computation 6, 147-160.
        Bishop, C. M. (2006). Pattern Recognition and Machine Learning, section 5.4.6.
        """
        self.check_second_derivative()
        ops = self._cost.ops
        point, direction = ops.asarray(theta, np.float64), ops.asarray(vector, np.float64)
        sums_at = self._evaluation.at(point, direction)
        with self._turn.here, np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            added = self._penalise_mean_tangents(sums_at)
            product = ops.asarray(sums_at(SumHessianProduct(*added)))
        product /= self._weighting.total
        self._cost.add_hessian_of_weights(point, direction, product)
        return ops.like(theta, product)

    def check_second_derivative(self) -> None:
        """Raise ValueError if `hessian_vector_product` cannot be computed for this problem."""
        self.problem.check_second_derivatives()

    @property
    def _cost(self) -> Cost:
        return self.problem.cost

    def _penalise_mean_tangents(self, sums_at: Sums) -> tuple[Added, Added]:
        """Return the arrays that penalties on mean activations add to ∂J/∂a, and the tangents of these arrays."""
        depth = self._cost.depth
        if depth == 0:
            return self._cost.penalise_mean_tangents([], [], self._weighting.share)
        hidden = self._cost.network.layers[:depth]
        sums = self._cost.ops.asarray(sums_at(SumActivationsAndTangents()))
        means, n_places = _cut(sums, hidden, self._weighting)
        share = self._weighting.share
        return self._cost.penalise_mean_tangents(means[:depth], means[depth:], share, n_places)


def penalise_means(cost: Cost, weighting: Weighting, sums_at: Sums) -> tuple[dict[str, float], Added]:
    """Run pass 1 if ρ̂ is penalised; return the penalties' values by name, and the arrays they add to ∂J/∂a."""
    means, n_places = _mean_activations(cost, weighting, sums_at, cost.depth)
    return cost.penalise_means(means, weighting.share, n_places)


def _mean_activations(
    cost: Cost, weighting: Weighting, sums_at: Sums, depth: int
) -> tuple[list[FloatArray], list[float]]:
    """Return ρ̂ of the first `depth` hidden layers, and the mean number of places of a row in each."""
    if not depth:
        return [], []
    return _cut(cost.ops.asarray(sums_at(SumActivations(depth))), cost.network.layers[:depth], weighting)


def _cut(sums: FloatArray, layers: Sequence[Layer], weighting: Weighting) -> tuple[list[FloatArray], list[float]]:
    """Return the means of the layers' units from sums over all rows, and the mean number of places of each layer.

    A channel of a convolution is one unit, whose mean is taken over rows and places; a recurrent unit is one too, whose
    mean is taken over rows and over the steps that exist.

    Parameters
    ----------
    sums : array
        Sums of the outputs of all layers, once or several times, and then the number of steps that exist in each layer
        whose steps may be missing. The array is overwritten.
    layers : sequence of Layer
    weighting : Weighting
    """
    sums /= weighting.of_means
    padded = [layer.n_padded_steps is not None for layer in layers]
    sums, counts = sums[: len(sums) - sum(padded)], iter(sums[len(sums) - sum(padded) :].tolist())
    n_places = [
        next(counts) or 1.0 if may_miss else layer.n_outputs / layer.output_channels
        for layer, may_miss in zip(layers, padded, strict=True)
    ]
    times = len(sums) // sum(layer.n_outputs for layer in layers)
    edges = accumulate((layer.n_outputs for layer in [*layers] * times), initial=0)
    means = [sums[start:stop] for start, stop in pairwise(edges)]
    for index, mean in enumerate(means):
        layer = layers[index % len(layers)]
        if layer.n_padded_steps is not None:
            means[index] = mean.reshape(-1, layer.output_channels).sum(0) / n_places[index % len(layers)]
        elif layer.output_channels < layer.n_outputs:
            means[index] = mean.reshape(-1, layer.output_channels).mean(0)
    return means, n_places
