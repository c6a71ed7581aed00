"""J(θ) and ∇J(θ), as sums over blocks of rows.

The mean activation ρ̂ of a hidden unit couples all rows, so an evaluation takes two passes over the blocks:

1. forward to the last hidden layer whose mean activation is penalised; sum activations → ρ̂;
2. forward to the output and backward; sum the loss, the penalties on each row, and the gradient.

The hidden activations of pass 1 are kept for pass 2 as far as they fit the cache, and computed again where they do
not. Without a penalty on ρ̂, or where only its value is asked for, there is one pass. A product of the Hessian with a
vector takes the same two passes, with tangents beside the activations.

Who adds the blocks up is the engine's business, which is handed in; see `blocks.Engine`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from rhohat.activations import Units
from rhohat.arrays import FloatArray, empty_aligned
from rhohat.blocks import Engine, Rows, in_memory, row_blocks
from rhohat.compatibility import check_problem, check_second_derivatives
from rhohat.forks import ProcessLock
from rhohat.jacobian_penalties import JacobianPenalty
from rhohat.kernels import sum_rows
from rhohat.losses import Loss, SquaredError
from rhohat.network import Layers, Network, Parameters
from rhohat.penalties import ActivationPenalty, HiddenLayerPenalty, MeanActivationPenalty, Penalty, WeightPenalty
from rhohat.tangents import TangentPass

__all__ = ["Objective", "Scratch"]


class Objective:
    """The cost J(θ) of a network on given rows, with its gradient.

    J(θ) = 1/m Σ_i loss(a_i, y_i) + Σ penalties: the loss is summed over features and averaged over the m rows.

    Parameters
    ----------
    network : Network
    X : array or rows to read, of shape (n_samples, n_features), float32 or float64
        Inputs. Its dtype is that of the arithmetic; sums across blocks are float64 always. Rows that are not in memory
        are read in each pass, a block by each thread, while other threads compute.
    y : array or rows to read, of shape (n_samples, n_outputs), default=None
        Targets; None means X itself, an autoencoder.
    loss : Loss, default=SquaredError()
    penalties : sequence of Penalty, default=()
    sample_weight : array of shape (n_samples,), default=None
        How often each row counts, at least 0: every mean over rows, ρ̂ among them, is a weighted one. None means 1.
    tangents : array of shape (n_samples, n_tangents, n_features), default=None
        For penalties that need them, see `TangentPropagation`.
    engine : Engine
        Adds the blocks up, as a `ThreadEngine` does.
    cache_bytes : int, default=1 GiB
        Memory that may be used to keep hidden activations from pass 1 to pass 2, of as many rows as it holds.

    Raises
    ------
    ValueError
        If shapes or dtypes do not fit, the loss cannot work on the targets or the output activation, or a penalty
        cannot act on this network.

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
        X: FloatArray | Rows,
        y: FloatArray | Rows | None = None,
        *,
        loss: Loss | None = None,
        penalties: Sequence[Penalty] = (),
        sample_weight: FloatArray | None = None,
        tangents: FloatArray | None = None,
        engine: Engine,
        cache_bytes: int = 2**30,
    ) -> None:
        self._loss = SquaredError() if loss is None else loss
        self._check(network, penalties, X, X if y is None else y, sample_weight, tangents)
        self.network = network
        self.n_samples = X.shape[0]
        self._dtype = X.dtype
        self._largest = float(np.finfo(X.dtype).max) / 4
        self.set_rows(X, y, sample_weight, tangents)
        self._penalties = tuple(penalties)
        active = [penalty for penalty in self._penalties if penalty.weight > 0]
        self._penalty_names = list(dict.fromkeys(penalty.name for penalty in active))
        self._weight_penalties = [penalty for penalty in active if isinstance(penalty, WeightPenalty)]
        self._jacobian_penalties = [penalty for penalty in active if isinstance(penalty, JacobianPenalty)]
        #: The penalties on mean activations, and on activations, for each hidden layer.
        self._mean_penalties = [
            [p for p in active if isinstance(p, MeanActivationPenalty) and _acts_on(p, hidden)]
            for hidden in range(network.n_layers - 1)
        ]
        self._activation_penalties = [
            [p for p in active if isinstance(p, ActivationPenalty) and _acts_on(p, hidden)]
            for hidden in range(network.n_layers - 1)
        ]
        #: What pass 2 sums beside the gradient: the loss first, then each penalty on rows, by name.
        row_penalties = [p for p in active if isinstance(p, ActivationPenalty | JacobianPenalty)]
        self._row_terms = list(dict.fromkeys([self._loss.name, *(p.name for p in row_penalties)]))
        #: How many hidden layers pass 1 has to compute; none needed, none computed.
        self._depth = max((hidden + 1 for hidden, found in enumerate(self._mean_penalties) if found), default=0)
        #: Whether the loss takes the output's pre-activations.
        self._from_z = self._loss.contains is not None
        self._engine = engine
        self._blocks = row_blocks(self.n_samples, network.layer_sizes, self._dtype.itemsize)
        self._allocate(cache_bytes)
        self._turn = ProcessLock()

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return J(θ) and ∇J(θ), of shape (n_parameters,), float64."""
        value, gradient, _ = self.evaluate(theta)
        return value, gradient

    def set_rows(
        self,
        X: FloatArray | Rows,
        y: FloatArray | Rows | None = None,
        sample_weight: FloatArray | None = None,
        tangents: FloatArray | None = None,
        total_weight: float | None = None,
    ) -> None:
        """Put other rows in the place of those given, as many and of the same kinds; they are not checked again.

        `total_weight` is what sums over rows are divided by; None means the sum of the rows' weights. Penalties on ρ̂
        are multiplied by the part of it that the rows weigh.
        """
        assert (X.shape[0], X.dtype) == (self.n_samples, self._dtype)
        self._X, self._tangents = X, tangents
        self._y = X if y is None else y
        #: The rows' weights as a column, and their sum, by which every mean divides.
        self._row_weights = None if sample_weight is None else sample_weight.astype(self._dtype).reshape(-1, 1)
        own_weight = self.n_samples if sample_weight is None else float(np.sum(sample_weight, dtype=np.float64))
        self._total_weight = float(own_weight if total_weight is None else total_weight)
        #: What sums of activations are divided by: ρ̂ is a mean over these rows, whatever the others weigh.
        self._mean_weight = own_weight or 1.0
        #: How much a penalty on ρ̂ counts: as much as the rows that ρ̂ is a mean of, so not at all where none does.
        self._share_of_means = own_weight / self._total_weight if own_weight else 0.0

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
            The mean loss and each penalty that has a weight, by name.
        """
        theta = np.asarray(theta, dtype=np.float64)
        parameters = self._cast(theta)
        with self._turn.here, np.errstate(over="ignore", invalid="ignore"):  # what overflows shows in J
            mean_terms, added = self._penalise_mean_activations(parameters)
            sums = self._sum("_sum_loss_and_gradient", theta.size + len(self._row_terms), parameters, added)
        sums /= self._total_weight
        gradient, row_terms = sums[: theta.size], sums[theta.size :]
        terms = self._terms(row_terms, mean_terms, self._penalise_weights(theta, gradient))
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
        with self._turn.here, np.errstate(over="ignore", invalid="ignore"):
            mean_terms, _ = self._penalise_mean_activations(parameters)
            sums = self._sum("_sum_loss", len(self._row_terms), parameters)
        terms = self._terms(sums / self._total_weight, mean_terms, self._penalise_weights(theta))
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
        with self._turn.here, np.errstate(over="ignore", invalid="ignore"):
            return self._mean_activations(self._cast(theta), self.network.n_layers - 1)

    def hessian_vector_product(self, theta: FloatArray, vector: FloatArray) -> FloatArray:
        """Compute ∇²J(θ) v, exactly, in about the time of two gradients.

        Parameters
        ----------
        theta, vector : arrays of shape (n_parameters,)

        Returns
        -------
        array of shape (n_parameters,), float64

        Raises
        ------
        ValueError
            If a part of J has no second derivative here; see `check_second_derivative`.

        References
        ----------
        Pearlmutter, B. A. (1994). Fast exact multiplication by the Hessian. Neural Computation 6, 147-160.
        Bishop, C. M. (2006). Pattern Recognition and Machine Learning, section 5.4.6.
        """
        self.check_second_derivative()
        theta, vector = np.asarray(theta, dtype=np.float64), np.asarray(vector, dtype=np.float64)
        parameters, direction = self._cast(theta), self._cast(vector)
        with self._turn.here, np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            added, added_tangent = self._penalise_mean_tangents(parameters, direction)
            product = self._sum("_sum_hessian_product", theta.size, parameters, direction, added, added_tangent)
        product /= self._total_weight
        for penalty in self._weight_penalties:
            penalty.add_hessian_product(*(_decayed(penalty, self.network.unpack(v)) for v in (theta, vector, product)))
        return product

    def check_second_derivative(self) -> None:
        """Raise ValueError where `hessian_vector_product` is not to be had."""
        check_second_derivatives(self.network, self._loss, self._penalties)

    # What follows is the making of the two passes.

    def _check(
        self,
        network: Network,
        penalties: Sequence[Penalty],
        X: FloatArray | Rows,
        y: FloatArray | Rows,
        sample_weight: FloatArray | None,
        tangents: FloatArray | None,
    ) -> None:
        """Raise ValueError where these do not fit together."""
        check_problem(network, self._loss, penalties, X, y, sample_weight, tangents)

    def _allocate(self, cache_bytes: int) -> None:
        """Make the scratch of each worker, and room for what pass 1 computes of as many rows as affordable."""
        allocate = partial(empty_aligned, dtype=self._dtype)
        largest_block = max(block.stop - block.start for block in self._blocks)
        n_workers = min(self._engine.n_workers, len(self._blocks))
        to_read = [0 if in_memory(rows) else rows.shape[1] for rows in (self._X, self._y)]
        self._scratch = self._make_scratch(n_workers, largest_block, to_read)
        per_row = self.network.numbers_per_row(self._depth) * self._dtype.itemsize
        #: Of how many rows, the first ones, pass 2 finds the layers of pass 1.
        self._n_kept = max((block.stop for block in self._blocks if block.stop * per_row <= cache_bytes), default=0)
        self._cache = self.network.allocate(self._n_kept, allocate, stop=self._depth)
        self._ones = np.ones((1, largest_block), dtype=self._dtype)

    def _make_scratch(self, n_workers: int, largest_block: int, to_read: Sequence[int]) -> list[Scratch]:
        return [Scratch(self.network, largest_block, self._dtype, to_read) for _ in range(n_workers)]

    def _sum(self, function: str, n_sums: int, *arguments: Any) -> FloatArray:
        """Return the sums over all rows of what a method, given by name, writes for each block."""
        return self._engine.sum_blocks(partial(getattr(self, function), *arguments), self._blocks, n_sums, self._dtype)

    def _layers(self, rows: slice, worker: int) -> Layers:
        """Return where the layers of a block stand: the input, then the cache or the worker's scratch."""
        layers = self._scratch[worker].layers(rows)
        layers.a[0] = self._rows_of(self._X, rows, worker, 0)
        if rows.stop <= self._n_kept:
            for layer in range(1, self._depth + 1):
                layers.z[layer], layers.a[layer] = self._cache.z[layer][rows], self._cache.a[layer][rows]
        return layers

    def _rows_of(self, source: FloatArray | Rows, rows: slice, worker: int, place: int) -> FloatArray:
        """Return a block of rows, read into the worker's scratch where they are not in memory."""
        if in_memory(source):
            return source[rows]
        assert not isinstance(source, np.ndarray)
        return source.read(rows.start, rows.stop, self._scratch[worker].read[place][: rows.stop - rows.start])

    def _targets(self, layers: Layers, rows: slice, worker: int) -> FloatArray:
        """Return the targets of a block, given its layers, the first of which they may be."""
        return layers.a[0] if self._y is self._X else self._rows_of(self._y, rows, worker, 1)

    def _cast(self, theta: FloatArray) -> Parameters:
        return self.network.unpack(np.asarray(theta, dtype=self._dtype))

    def _deltas(self, rows: slice, worker: int) -> Layers:
        """Return where the deltas of a block's layers go."""
        return self._scratch[worker].deltas(rows)

    def _ones_for(self, rows: slice) -> FloatArray:
        return self._ones[:, : rows.stop - rows.start]

    def _weights_of(self, rows: slice) -> FloatArray | None:
        return None if self._row_weights is None else self._row_weights[rows]

    # Pass 1.

    def _mean_activations(self, parameters: Parameters, depth: int) -> list[FloatArray]:
        sizes = self.network.layer_sizes[1 : depth + 1]
        return self._means("_sum_activations", sizes, parameters, depth)

    def _means(self, function: str, sizes: Sequence[int], *arguments: Any) -> list[FloatArray]:
        """Return sums over all rows, cut into arrays of the given sizes, as means."""
        if not sizes:
            return []
        sums = self._sum(function, sum(sizes), *arguments)
        sums /= self._mean_weight
        return [sums[start:stop] for start, stop in pairwise(accumulate(sizes, initial=0))]

    def _sum_activations(self, parameters: Parameters, depth: int, rows: slice, worker: int, sums: FloatArray) -> None:
        """Pass 1 over one block: forward, and the sums of the hidden activations."""
        layers = self._layers(rows, worker)
        self.network.forward(parameters, Layers(layers.z[: depth + 1], layers.a[: depth + 1]))
        self._sum_over_rows(layers.a[1 : depth + 1], rows, worker, sums)

    def _sum_over_rows(self, arrays: Sequence[FloatArray], rows: slice, worker: int, sums: FloatArray) -> None:
        """Write the column sums of arrays of shape (n_rows, n_units), one after another."""
        weights = self._weights_of(rows)
        row = None if weights is None else weights.T
        start = 0
        for array in arrays:
            stop = start + array.shape[1]
            sum_rows(array, self._ones_for(rows), sums[start:stop].reshape(1, -1), row)
            start = stop

    def _penalise_mean_activations(self, parameters: Parameters) -> tuple[dict[str, float], list[FloatArray | None]]:
        """Run pass 1; return the penalties' values by name, and what they add to ∂J/∂a, for `backward`."""
        values: dict[str, float] = {}
        added: list[FloatArray | None] = [None] * self.network.n_layers
        for hidden, rho_hat in enumerate(self._mean_activations(parameters, self._depth)):
            bounds = self.network.activations[hidden].bounds
            for penalty in self._penalties_on_means(hidden):
                value = self._share_of_means * penalty.value(rho_hat, bounds, self._dtype)
                values[penalty.name] = values.get(penalty.name, 0.0) + value
            added[hidden] = self._sum_derivatives(hidden, rho_hat)
        return values, added

    def _penalties_on_means(self, hidden: int) -> list[MeanActivationPenalty]:
        """Return the penalties on a layer's mean activations: none on a mean over rows that weigh nothing."""
        return self._mean_penalties[hidden] if self._share_of_means > 0 else []

    def _sum_derivatives(self, hidden: int, rho_hat: FloatArray) -> FloatArray | None:
        """Return ∂/∂ρ̂ of the penalties on a layer's mean activations, as the dtype of the arithmetic can hold it.

        It needs no factor for their share: ρ̂ divides by the rows' weight, J by the total; the share is the quotient.
        """
        penalties = self._penalties_on_means(hidden)
        if not penalties:
            return None
        bounds = self.network.activations[hidden].bounds
        derivative = np.zeros_like(rho_hat)
        for penalty in penalties:
            derivative += penalty.derivative(rho_hat, bounds, self._dtype)
        # A float32 cannot hold the derivative at ρ̂ = 1e-45; its product with f′ is what matters.
        return derivative.clip(-self._largest, self._largest).astype(self._dtype)

    def _penalise_mean_tangents(
        self, parameters: Parameters, direction: Parameters
    ) -> tuple[list[FloatArray | None], list[FloatArray | None]]:
        """Run pass 1 with tangents; return what the penalties add to ∂J/∂a, and the tangents of that."""
        added: list[FloatArray | None] = [None] * self.network.n_layers
        added_tangent: list[FloatArray | None] = [None] * self.network.n_layers
        sizes = self.network.layer_sizes[1 : self._depth + 1]
        means = self._means("_sum_activations_and_tangents", [*sizes, *sizes], parameters, direction)
        for hidden in range(self._depth):
            penalties = self._penalties_on_means(hidden)
            rho_hat, tangent = means[hidden], means[hidden + self._depth]
            added[hidden] = self._sum_derivatives(hidden, rho_hat)
            if penalties:
                bounds = self.network.activations[hidden].bounds
                second = sum(p.second_derivative(rho_hat, bounds, self._dtype) for p in penalties)
                added_tangent[hidden] = (second * tangent).astype(self._dtype)
        return added, added_tangent

    def _sum_activations_and_tangents(
        self, parameters: Parameters, direction: Parameters, rows: slice, worker: int, sums: FloatArray
    ) -> None:
        """Pass 1 of a Hessian-vector product over one block."""
        depth, layers = self._depth, self._layers(rows, worker)
        self.network.forward(parameters, Layers(layers.z[: depth + 1], layers.a[: depth + 1]))
        tangents = TangentPass(self.network, parameters, layers, direction).push_forward(stop=depth)
        self._sum_over_rows([*layers.a[1 : depth + 1], *tangents.a[1:]], rows, worker, sums)

    # Pass 2.

    def _known(self, rows: slice) -> int:
        """Return how many layers of these rows pass 2 finds computed."""
        return self._depth if rows.stop <= self._n_kept else 0

    def _forward(self, parameters: Parameters, rows: slice, worker: int, known: int) -> Layers:
        """Return the layers of these rows, computed from those that are known; z of the output if the loss wants it."""
        layers = self._layers(rows, worker)
        self.network.forward(
            parameters,
            Layers(layers.z[known:], layers.a[known:]),
            known,
            without_activation=self.network.n_layers if self._from_z else None,
        )
        return layers

    def _evaluate_loss(self, layers: Layers, targets: FloatArray, rows: slice, delta: FloatArray) -> float:
        """Return the loss summed over rows, and write its derivative, both times the rows' weights."""
        outputs = layers.z[-1] if self._from_z else layers.a[-1]
        weights = self._weights_of(rows)
        if weights is None:
            return self._loss.sum_and_derivative(outputs, targets, out=delta)
        values = self._loss.value_and_derivative(outputs, targets, out=delta)
        delta *= weights
        return _add_up(values, weights)

    def _penalise_rows(
        self, parameters: Parameters, layers: Layers, rows: slice, gradient: Parameters | None
    ) -> tuple[dict[str, FloatArray], list[FloatArray | None], list[FloatArray | None]]:
        """Return the penalties' values for each row by name, and what they add to ∂J/∂a and to ∂J/∂z."""
        n_layers, weights = self.network.n_layers, self._weights_of(rows)
        values: dict[str, FloatArray] = {}
        added: list[FloatArray | None] = [None] * n_layers
        added_z: list[FloatArray | None] = [None] * n_layers
        if len(self._row_terms) == 1:
            return values, added, added_z
        for hidden, penalties in enumerate(self._activation_penalties):
            for activation_penalty in penalties:
                name, a = activation_penalty.name, layers.a[hidden + 1]
                values[name] = values.get(name, 0.0) + activation_penalty.value(a)
                derivative = activation_penalty.derivative(a)
                if weights is not None:
                    derivative = derivative * weights
                added[hidden] = _add(added[hidden], derivative)
        for penalty in self._jacobian_penalties:
            assert gradient is not None
            seen = layers
            if self._from_z and penalty.penalised_layer(n_layers) == n_layers:
                seen = self._with_output(parameters, layers)
            tangents = None if self._tangents is None else self._tangents[rows]
            value = penalty.add(self.network, parameters, seen, weights, tangents, gradient, added_z)
            values[penalty.name] = values.get(penalty.name, 0.0) + value
        return values, added, added_z

    def _with_output(self, parameters: Parameters, layers: Layers) -> Layers:
        """Return layers whose output activation has been applied, where the loss did without."""
        z, a = layers.z[-1].copy(), layers.a[-1].copy()
        output = self.network.activations[-1]
        a = z if output.in_place else a
        output.forward(Units(z, a, parameters.activation_parameters[-1]))
        return Layers([*layers.z[:-1], z], [*layers.a[:-1], a])

    def _write_terms(self, loss: float, penalties: dict[str, FloatArray], rows: slice, sums: FloatArray) -> None:
        """Write the row terms in their order: the loss, and what the penalties say of each row, summed likewise."""
        weights = self._weights_of(rows)
        for index, name in enumerate(self._row_terms):
            sums[index] = loss if index == 0 else 0.0
            if name in penalties:
                sums[index] += _add_up(penalties[name], weights)

    def _sum_loss(self, parameters: Parameters, rows: slice, worker: int, sums: FloatArray) -> None:
        """Pass 2 without the gradient; sums holds the row terms."""
        layers = self._forward(parameters, rows, worker, self._known(rows))
        delta = self._deltas(rows, worker)
        targets = self._targets(layers, rows, worker)
        loss = self._evaluate_loss(layers, targets, rows, delta.z[-1] if self._from_z else delta.a[-1])
        unused = np.zeros(self.network.n_parameters if self._jacobian_penalties else 0, self._dtype)
        gradient = self.network.unpack(unused) if unused.size else Parameters([], [], [])
        self._write_terms(loss, self._penalise_rows(parameters, layers, rows, gradient)[0], rows, sums)

    def _sum_loss_and_gradient(
        self,
        parameters: Parameters,
        mean_added: Sequence[FloatArray | None],
        rows: slice,
        worker: int,
        sums: FloatArray,
    ) -> None:
        """Pass 2 over one block; sums holds the gradient, then the row terms, so that the gradient stays aligned."""
        n_parameters = self.network.n_parameters
        if self._jacobian_penalties or self.network.tied or any(self.network.activation_parameter_sizes):
            sums[:n_parameters] = 0
        gradient = self.network.unpack(sums[:n_parameters])
        self._differentiate(parameters, mean_added, gradient, rows, worker, sums[n_parameters:])

    def _differentiate(
        self,
        parameters: Parameters,
        mean_added: Sequence[FloatArray | None],
        gradient: Parameters | None,
        rows: slice,
        worker: int,
        sums: FloatArray,
    ) -> None:
        """Go forward with a block and back to the gradient, or to the deltas without one; sums holds the row terms."""
        layers = self._forward(parameters, rows, worker, self._known(rows))
        delta = self._deltas(rows, worker)
        targets = self._targets(layers, rows, worker)
        loss = self._evaluate_loss(layers, targets, rows, delta.z[-1] if self._from_z else delta.a[-1])
        values, added, added_z = self._penalise_rows(parameters, layers, rows, gradient)
        self._write_terms(loss, values, rows, sums)
        self.network.backward(
            parameters,
            layers,
            delta,
            self._ones_for(rows),
            self._add_means(added, mean_added, rows),
            added_z,
            gradient,
            from_z=self._from_z,
            accumulate=bool(self._jacobian_penalties),
        )

    def _add_means(
        self, added: Sequence[FloatArray | None], mean_added: Sequence[FloatArray | None], rows: slice
    ) -> list[FloatArray | None]:
        """Return what each row adds to ∂J/∂a, together with what all rows add alike, times their weights."""
        weights = self._weights_of(rows)
        if weights is None and len(self._row_terms) == 1:
            return list(mean_added)
        together: list[FloatArray | None] = []
        for of_row, of_mean in zip(added, mean_added, strict=True):
            if of_mean is not None and weights is not None:
                of_mean = weights * of_mean
            together.append(_add(of_row, of_mean))
        return together

    def _sum_hessian_product(
        self,
        parameters: Parameters,
        direction: Parameters,
        mean_added: Sequence[FloatArray | None],
        mean_tangents: Sequence[FloatArray | None],
        rows: slice,
        worker: int,
        sums: FloatArray,
    ) -> None:
        """Pass 2 of a Hessian-vector product over one block; sums holds the product."""
        weights = self._weights_of(rows)
        layers = self._forward(parameters, rows, worker, 0)
        if self._from_z:  # the output's tangents are needed before its activation only
            outputs, seen = layers.z[-1], self._with_output(parameters, layers)
        else:
            outputs, seen = layers.a[-1], layers
        tangent_pass = TangentPass(self.network, parameters, seen, direction)
        tangents = tangent_pass.push_forward()
        phi = np.empty_like(outputs)
        targets = self._targets(layers, rows, worker)
        self._evaluate_loss(layers, targets, rows, phi)
        tangent = tangents.z[-1] if self._from_z else tangents.a[-1]
        delta = self._loss.second_derivative(outputs, targets, tangent)
        delta = delta * (1 if weights is None else weights)
        added: list[FloatArray | None] = [None] * self.network.n_layers
        added_tangent = list(added)
        for hidden, penalties in enumerate(self._activation_penalties):
            a, alpha = layers.a[hidden + 1], tangents.a[hidden + 1]
            for penalty in penalties:
                scale = 1 if weights is None else weights
                added[hidden] = _add(added[hidden], penalty.derivative(a) * scale)
                added_tangent[hidden] = _add(added_tangent[hidden], penalty.second_derivative(a) * alpha * scale)
        sums[:] = 0
        product, ones = self.network.unpack(sums), self._ones_for(rows)
        for jacobian_penalty in self._jacobian_penalties:
            given = None if self._tangents is None else self._tangents[rows]
            jacobian_penalty.add_hessian_product(tangent_pass, tangents, weights, given, ones, product)
        tangent_pass.backward(
            tangents,
            phi,
            delta,
            ones,
            self._add_means(added, mean_added, rows),
            self._add_means(added_tangent, mean_tangents, rows),
            product,
            from_z=self._from_z,
        )

    def _penalise_weights(self, theta: FloatArray, gradient: FloatArray | None = None) -> dict[str, float]:
        """Return the values of the penalties on weights by name, and add what they add to the gradient."""
        values: dict[str, float] = {}
        if not self._weight_penalties:
            return values
        parameters = self.network.unpack(theta)
        gradients = None if gradient is None else self.network.unpack(gradient)
        for penalty in self._weight_penalties:
            decayed = _decayed(penalty, parameters)
            values[penalty.name] = values.get(penalty.name, 0.0) + penalty.value(decayed)
            if gradients is not None:
                penalty.add_gradient(decayed, _decayed(penalty, gradients))
        return values

    def _terms(self, row_terms: FloatArray, *penalties: dict[str, float]) -> dict[str, float]:
        """Return the terms of J by name: the loss, then the penalties in the order in which they were given."""
        found = dict(zip(self._row_terms, row_terms.tolist(), strict=True))
        terms = {self._loss.name: found.pop(self._loss.name)}
        for name in self._penalty_names:
            terms[name] = terms.get(name, 0.0) + sum(values.get(name, 0.0) for values in (found, *penalties))
        return terms


class Scratch:
    """One worker's memory for a block: layers and their deltas, and what is read of inputs and targets."""

    def __init__(self, network: Network, rows: int, dtype: np.dtype[Any], to_read: Sequence[int]) -> None:
        self.read = [empty_aligned((rows, columns), dtype) for columns in to_read]
        self._layers = network.allocate(rows, partial(empty_aligned, dtype=dtype))
        self._deltas = network.allocate(rows, partial(empty_aligned, dtype=dtype))
        self._views: dict[int, tuple[Layers, Layers]] = {}  # blocks have few sizes

    def layers(self, rows: slice) -> Layers:
        """Return the layers in lists of their own, so that some of them can be put elsewhere."""
        layers, _ = self._of(rows)
        return Layers(layers.z.copy(), layers.a.copy())

    def deltas(self, rows: slice) -> Layers:
        """Return where the deltas go."""
        return self._of(rows)[1]

    def _of(self, rows: slice) -> tuple[Layers, Layers]:
        n_rows = rows.stop - rows.start
        if n_rows not in self._views:
            self._views[n_rows] = self._layers.rows(slice(n_rows)), self._deltas.rows(slice(n_rows))
        return self._views[n_rows]


def _add_up(values: FloatArray, weights: FloatArray | None) -> float:
    """Return the sum over rows of what each has, of shape (n_rows,), times the rows' weights, of shape (n_rows, 1)."""
    values = values.astype(np.float64, copy=False)
    return float(values.sum() if weights is None else values @ weights[:, 0])


def _add(known: FloatArray | None, extra: FloatArray | None) -> FloatArray | None:
    if known is None or extra is None:
        return extra if known is None else known
    total: FloatArray = known + extra
    return total


def _decayed(penalty: WeightPenalty, parameters: Parameters) -> list[FloatArray]:
    """Return the arrays at which a penalty on weights looks."""
    return [*parameters.weights, *parameters.biases] if penalty.include_biases else parameters.weights


def _acts_on(penalty: HiddenLayerPenalty, hidden: int) -> bool:
    return penalty.layers is None or hidden in penalty.layers
