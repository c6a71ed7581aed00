"""J(θ) and ∇J(θ), as sums over blocks of rows.

The mean activation ρ̂ of a hidden unit couples all rows, so an evaluation takes two passes over the blocks:

1. forward to the last hidden layer whose mean activation is penalised; sum activations → ρ̂;
2. forward to the output and backward; sum the loss and the gradient.

The hidden activations of pass 1 are kept for pass 2 where they fit the cache, and computed again where they do
not. Without a penalty on ρ̂, or where only its value is asked for, there is one pass.

Who adds the blocks up is the engine's business, which is handed in; see `Engine`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from rhohat.arrays import FloatArray, empty_aligned
from rhohat.losses import Loss, SquaredError
from rhohat.network import Network, Parameters
from rhohat.penalties import MeanActivationPenalty, Penalty, WeightPenalty

__all__ = ["BlockFunction", "Engine", "Objective", "row_blocks"]

#: Works on a block of rows as the given worker (an index below the engine's `n_workers`, whose scratch nobody else
#: uses meanwhile) and writes the block's sums into the given array.
BlockFunction = Callable[[slice, int, FloatArray], None]


class Engine(Protocol):
    """What an objective asks of the engine that adds its blocks up."""

    n_workers: int

    def sum_blocks(self, function: BlockFunction, blocks: Sequence[slice], n_sums: int, dtype: DTypeLike) -> FloatArray:
        """Return Σ over blocks of what `function` writes, of shape (n_sums,), float64, added in block order.

        Parameters
        ----------
        function : callable
            See `BlockFunction`.
        blocks : sequence of slices
        n_sums : int
        dtype : dtype-like
            Of the array that each call of the function writes into.
        """


# Measured with `make bench`: smaller blocks pay more for Python's lock than they gain from the cache, larger ones
# fall out of the cache of a core.
_BLOCK_BYTES = 5 * 2**19
_SMALLEST_BLOCK, _LARGEST_BLOCK = 512, 4096  # rows
_BLOCK_MULTIPLE = 4  # so many blocks, or a multiple, share the work evenly among 2 or 4 threads


def row_blocks(n_rows: int, layer_sizes: Sequence[int], itemsize: int) -> list[slice]:
    """Cut rows into blocks of nearly equal size.

    The cut depends on shapes only, never on the number of threads, so that sums over blocks have the same bits on
    any number of threads.

    Parameters
    ----------
    n_rows : int
    layer_sizes : sequence of int
        Units per layer: a block's activations and deltas should stay in a core's cache.
    itemsize : int
        Bytes per number.

    Returns
    -------
    list of slice
        In order, covering every row once.

    Examples
    --------
    >>> row_blocks(2000, (64, 25, 64), 8)
    [slice(0, 1000, None), slice(1000, 2000, None)]
    """
    bytes_per_row = itemsize * (2 * sum(layer_sizes) - layer_sizes[0])
    rows = int(np.clip(_BLOCK_BYTES // bytes_per_row, _SMALLEST_BLOCK, _LARGEST_BLOCK))
    n_blocks = -(-n_rows // rows)
    if n_blocks > 2:
        n_blocks = -(-n_blocks // _BLOCK_MULTIPLE) * _BLOCK_MULTIPLE
    edges = np.linspace(0, n_rows, n_blocks + 1).astype(int).tolist()
    return [slice(start, stop) for start, stop in pairwise(edges)]


class Objective:
    """The cost J(θ) of a network on given rows, with its gradient.

    J(θ) = 1/m Σ_i loss(a_i, y_i) + Σ penalties: the loss is summed over features and averaged over the m rows.

    Parameters
    ----------
    network : Network
    X : array of shape (n_samples, n_features), float32 or float64
        Inputs. Its dtype is that of the arithmetic; sums across blocks are float64 always.
    y : array of shape (n_samples, n_outputs), default=None
        Targets; None means X itself, an autoencoder.
    loss : Loss, default=SquaredError()
    penalties : sequence of Penalty, default=()
    engine : Engine
        Adds the blocks up, such as `rhohat.engines.ThreadEngine()`.
    cache_bytes : int, default=2**30
        Most memory to spend on keeping hidden activations between the two passes.

    Attributes
    ----------
    network : Network
    n_samples : int

    Raises
    ------
    ValueError
        If the shapes of X, y and the network do not fit, or a penalty cannot act where it is asked to.

    Notes
    -----
    An evaluation is exact, over all rows, and has the same bits whatever the number of threads. An objective may be
    shared between threads; its evaluations then take turns.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import check_gradient
    >>> from rhohat.activations import Sigmoid
    >>> from rhohat.engines import ThreadEngine
    >>> from rhohat.penalties import KLSparsity, WeightDecay
    >>> rng = np.random.default_rng(0)
    >>> network = Network((6, 4, 6), (Sigmoid(), Sigmoid()))
    >>> J = Objective(network, rng.random((50, 6)), penalties=[WeightDecay(1e-4), KLSparsity(0.01, 3.0)],
    ...               engine=ThreadEngine())
    >>> value, gradient = J(network.initial_theta(rng))
    >>> gradient.shape
    (58,)
    >>> check_gradient(J, network.initial_theta(rng)).relative_difference < 1e-8
    True
    """

    def __init__(
        self,
        network: Network,
        X: FloatArray,
        y: FloatArray | None = None,
        *,
        loss: Loss | None = None,
        penalties: Sequence[Penalty] = (),
        engine: Engine,
        cache_bytes: int = 2**30,
    ) -> None:
        y = X if y is None else y
        _check_rows(network, X, y)
        self.network = network
        self.n_samples = X.shape[0]
        self._X, self._y = X, y
        self._dtype = X.dtype
        self._loss = SquaredError() if loss is None else loss
        self._penalties = tuple(penalties)
        #: The penalties on mean activations, for each hidden layer.
        self._penalised = [self._mean_activation_penalties(hidden) for hidden in range(network.n_layers - 1)]
        #: How many hidden layers pass 1 has to compute; none needed, none computed.
        self._depth = max((hidden + 1 for hidden, found in enumerate(self._penalised) if found), default=0)
        self._engine = engine
        self._blocks = row_blocks(self.n_samples, network.layer_sizes, self._dtype.itemsize)
        largest_block = max(block.stop - block.start for block in self._blocks)
        n_workers = min(engine.n_workers, len(self._blocks))
        self._scratch = [_Scratch(network, largest_block, self._dtype) for _ in range(n_workers)]
        self._cache = self._allocate_cache(cache_bytes)
        self._turn = threading.Lock()

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return J(θ) and ∇J(θ), of shape (n_parameters,), float64."""
        value, gradient, _ = self.evaluate(theta)
        return value, gradient

    def evaluate(self, theta: FloatArray) -> tuple[float, FloatArray, dict[str, float]]:
        """Compute J, ∇J and the terms of J.

        Parameters
        ----------
        theta : array of shape (n_parameters,)

        Returns
        -------
        value : float
            J(θ), the sum of the terms.
        gradient : array of shape (n_parameters,), float64
        terms : dict of str to float
            The mean loss and each penalty, by name.
        """
        theta = np.asarray(theta, dtype=np.float64)
        parameters = self._cast(theta)
        with self._turn, np.errstate(over="ignore", invalid="ignore"):  # what overflows shows in J
            penalty_terms, added = self._penalise_mean_activations(parameters)
            function = partial(self._sum_loss_and_gradient, parameters, added)
            sums = self._engine.sum_blocks(function, self._blocks, theta.size + 1, self._dtype)
            sums /= self.n_samples
            gradient, mean_loss = sums[:-1], float(sums[-1])
            self._add_weight_gradients(theta, gradient)
        terms = self._terms(theta, mean_loss, penalty_terms)
        return sum(terms.values()), gradient, terms

    def cost(self, theta: FloatArray) -> tuple[float, dict[str, float]]:
        """Compute J and its terms without the gradient.

        Parameters
        ----------
        theta : array of shape (n_parameters,)

        Returns
        -------
        value : float
        terms : dict of str to float
        """
        theta = np.asarray(theta, dtype=np.float64)
        parameters = self._cast(theta)
        with self._turn:
            penalty_terms, _ = self._penalise_mean_activations(parameters)
            function = partial(self._sum_loss, parameters)
            sums = self._engine.sum_blocks(function, self._blocks, 1, self._dtype)
        terms = self._terms(theta, float(sums[0]) / self.n_samples, penalty_terms)
        return sum(terms.values()), terms

    def mean_activations(self, theta: FloatArray) -> list[FloatArray]:
        """Compute ρ̂: the activation of every hidden unit, averaged over the rows.

        Parameters
        ----------
        theta : array of shape (n_parameters,)

        Returns
        -------
        list of arrays of shape (n_units,), float64
            One for each hidden layer.
        """
        with self._turn:
            return self._mean_activations(self._cast(theta), self.network.n_layers - 1)

    # What follows is the making of the two passes.

    def _mean_activation_penalties(self, hidden: int) -> list[MeanActivationPenalty]:
        """Return the penalties of non-zero weight on the mean activations of a hidden layer."""
        n_hidden = self.network.n_layers - 1
        found = []
        for penalty in self._penalties:
            if not isinstance(penalty, MeanActivationPenalty) or penalty.weight == 0:
                continue
            layers = range(n_hidden) if penalty.layers is None else penalty.layers
            if any(not 0 <= layer < n_hidden for layer in layers):
                raise ValueError(
                    f"{penalty.name} is to act on the hidden layers {penalty.layers}, and this network has"
                    f" {n_hidden}, counted from 0."
                )
            if hidden in layers:
                penalty.check_bounds(self.network.activations[hidden].bounds)
                found.append(penalty)
        return found

    def _allocate_cache(self, cache_bytes: int) -> list[FloatArray] | None:
        """Return room for the hidden activations of every row up to the depth of pass 1, where it is affordable."""
        sizes = self.network.layer_sizes[1 : self._depth + 1]
        if self.n_samples * sum(sizes) * self._dtype.itemsize > cache_bytes:
            return None
        return [empty_aligned((self.n_samples, size), self._dtype) for size in sizes]

    def _cast(self, theta: FloatArray) -> Parameters:
        return self.network.unpack(np.asarray(theta, dtype=self._dtype))

    def _mean_activations(self, parameters: Parameters, depth: int) -> list[FloatArray]:
        sizes = self.network.layer_sizes[1 : depth + 1]
        function = partial(self._sum_activations, parameters, depth)
        sums = self._engine.sum_blocks(function, self._blocks, sum(sizes), self._dtype)
        sums /= self.n_samples
        return np.split(sums, np.cumsum(sizes)[:-1]) if sizes else []

    def _penalise_mean_activations(self, parameters: Parameters) -> tuple[dict[str, float], list[FloatArray | None]]:
        """Run pass 1; return the penalties' values by name, and what they add to ∂J/∂a, for `backward`."""
        values: dict[str, float] = {}
        added: list[FloatArray | None] = [None] * self.network.n_layers
        if self._depth == 0:
            return values, added
        limit = float(np.finfo(self._dtype).max) / 4
        for hidden, rho_hat in enumerate(self._mean_activations(parameters, self._depth)):
            bounds = self.network.activations[hidden].bounds
            derivative = np.zeros_like(rho_hat)
            for penalty in self._penalised[hidden]:
                value = penalty.value(rho_hat, bounds, self._dtype)
                values[penalty.name] = values.get(penalty.name, 0.0) + value
                derivative += penalty.derivative(rho_hat, bounds, self._dtype)
            if self._penalised[hidden]:
                # A float32 cannot hold the derivative at ρ̂ = 1e-45; its product with f′ is what matters.
                added[hidden] = np.clip(derivative, -limit, limit).astype(self._dtype)
        return values, added

    def _layers(self, rows: slice, worker: int) -> list[FloatArray]:
        """Return where the activations of these rows stand: the input, then the cache or the worker's scratch."""
        a = [self._X[rows], *self._scratch[worker].activations(rows)]
        for layer, cached in enumerate(self._cache or (), start=1):
            a[layer] = cached[rows]
        return a

    def _sum_activations(self, parameters: Parameters, depth: int, rows: slice, worker: int, sums: FloatArray) -> None:
        """Pass 1 over one block: forward, and the sums of the hidden activations."""
        a = self._layers(rows, worker)
        self.network.forward(parameters, a[: depth + 1])
        ones = self._scratch[worker].ones(rows)
        start = 0
        for layer in range(1, depth + 1):
            stop = start + a[layer].shape[1]
            np.matmul(ones, a[layer], out=sums[start:stop].reshape(1, -1))
            start = stop

    def _sum_loss(self, parameters: Parameters, rows: slice, worker: int, sums: FloatArray) -> None:
        """Pass 2 without the gradient; sums holds the loss, last."""
        a, delta = self._layers(rows, worker), self._scratch[worker].deltas(rows)
        known = len(self._cache or ())
        self.network.forward(parameters, a[known:], known)
        sums[-1] = self._loss.value_and_derivative(a[-1], self._y[rows], out=delta[-1])

    def _sum_loss_and_gradient(
        self,
        parameters: Parameters,
        added: Sequence[FloatArray | None],
        rows: slice,
        worker: int,
        sums: FloatArray,
    ) -> None:
        """Pass 2 over one block; sums holds the gradient, then the loss, so that the gradient stays aligned."""
        self._sum_loss(parameters, rows, worker, sums)
        a, delta = self._layers(rows, worker), self._scratch[worker].deltas(rows)
        gradient = self.network.unpack(sums[:-1])
        self.network.backward(parameters, a, delta, self._scratch[worker].ones(rows), added, gradient)

    def _add_weight_gradients(self, theta: FloatArray, gradient: FloatArray) -> None:
        weights, gradients = self.network.unpack(theta).weights, self.network.unpack(gradient).weights
        for penalty in self._penalties:
            if isinstance(penalty, WeightPenalty) and penalty.weight > 0:
                penalty.add_gradient(weights, gradients)

    def _terms(self, theta: FloatArray, mean_loss: float, mean_activation_values: dict[str, float]) -> dict[str, float]:
        weights = self.network.unpack(theta).weights
        terms = {self._loss.name: mean_loss}
        for penalty in self._penalties:
            value = mean_activation_values.get(penalty.name, 0.0)
            if isinstance(penalty, WeightPenalty):
                value = terms.get(penalty.name, 0.0) + penalty.value(weights)
            terms[penalty.name] = value
        return terms


class _Scratch:
    """One worker's memory for a block: activations and deltas of every layer but the input, and ones."""

    def __init__(self, network: Network, rows: int, dtype: np.dtype[Any]) -> None:
        self._activations = [empty_aligned((rows, size), dtype) for size in network.layer_sizes[1:]]
        self._deltas = [empty_aligned((rows, size), dtype) for size in network.layer_sizes[1:]]
        self._ones = np.ones((1, rows), dtype=dtype)

    def activations(self, rows: slice) -> list[FloatArray]:
        return [a[: rows.stop - rows.start] for a in self._activations]

    def deltas(self, rows: slice) -> list[FloatArray]:
        return [delta[: rows.stop - rows.start] for delta in self._deltas]

    def ones(self, rows: slice) -> FloatArray:
        return self._ones[:, : rows.stop - rows.start]


def _check_rows(network: Network, X: FloatArray, y: FloatArray) -> None:
    """Raise ValueError where inputs, targets and network do not fit."""
    if X.ndim != 2 or X.shape[0] == 0 or X.shape[1] != network.layer_sizes[0]:
        raise ValueError(
            f"X must have the shape (n_samples >= 1, {network.layer_sizes[0]}) for a network of layer_sizes"
            f" {network.layer_sizes}; got {X.shape}."
        )
    if y.shape != (X.shape[0], network.layer_sizes[-1]):
        raise ValueError(
            f"y must have the shape ({X.shape[0]}, {network.layer_sizes[-1]}), a target for every row of X and every"
            f" output; got {y.shape}."
        )
    if X.dtype not in (np.float32, np.float64) or y.dtype != X.dtype:
        raise ValueError(f"X and y must both be float32 or both float64; got {X.dtype} and {y.dtype}.")
