"""J(θ) and ∇J(θ) over the few rows of a mini-batch.

Here the gradient is as large as all else together. Cut into blocks of rows, it would be made once for each block and
added up. So threads share the rows only as far as the deltas of each layer, which are kept for the whole batch; then
they share the units of each layer, and every weight's gradient is computed once, and used while it is in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from rhohat.arrays import FloatArray, empty_aligned
from rhohat.blocks import in_memory, shared_parts, theta_parts
from rhohat.network import Layers, Parameters
from rhohat.objective import Objective

__all__ = ["BatchObjective"]

_BIASES = -1  # in the place of a product's number
_MOST_ROWS = 2048  # above, adding up the gradients of blocks costs little beside the blocks


#: What is done with a part of the gradient: called with the part's place in θ, the gradient there, and the worker.
UseOfPart = Callable[[slice, FloatArray, int], None]


class BatchObjective(Objective):
    """The cost J(θ) of a network on a mini-batch, with its gradient; parameters as for `Objective`.

    Attributes
    ----------
    meanwhile : list of callable(worker)
        What `evaluate_in_parts` shall do as well, on its threads, once: to share one more thing costs nothing, to share
        it by itself takes waking the threads once more. It empties the list; where J is not finite it leaves it.
    """

    meanwhile: list[Callable[[int], None]]

    def evaluate_in_parts(self, theta: FloatArray, use: UseOfPart) -> tuple[float, dict[str, float]]:
        """Do what `evaluate` does, but hand the gradient over part by part, by several threads, each when it is ready.

        Parameters
        ----------
        theta : array of shape (n_parameters,)
            Best in the dtype of the rows.
        use : callable(part, gradient, worker)
            Called once for every part of θ, with the gradient there, in the dtype of the rows or in float64; not
            called where J is not finite. `worker` is an index below the engine's `n_workers` that no other running
            call has. It may overwrite that part of θ: nothing else needs it any more.

        Returns
        -------
        value : float
        terms : dict of str to float
        """
        if not self._at_once:
            value, gradient, terms = self.evaluate(theta)
            if np.isfinite(value):
                parts = theta_parts(theta.size)
                self._engine.for_each(lambda part, worker: use(part, gradient[part], worker), parts)
            return value, terms
        parameters = self._cast(theta)
        with self._turn.here, np.errstate(over="ignore", invalid="ignore"):  # what overflows shows in J
            mean_terms, added = self._penalise_mean_activations(parameters)
            function = partial(self._differentiate, parameters, added, None)
            row_terms = self._engine.sum_blocks(function, self._blocks, len(self._row_terms), self._dtype)
            terms = self._terms(row_terms / self._total_weight, mean_terms, self._penalise_weights(theta))
            value = sum(terms.values())
            if np.isfinite(value):
                make_part = partial(self._make_part, self.network.unpack(theta), use)
                tasks: list[Callable[[int], None]]
                tasks = [partial(make_part, index) for index in range(len(self._products))]
                tasks += [*self.meanwhile, partial(make_part, _BIASES)]  # the cheapest last, so that none waits long
                self._engine.for_each(
                    lambda index, worker: tasks[index.start](worker), [slice(i, i + 1) for i in range(len(tasks))]
                )
                self.meanwhile = []
        return value, terms

    def _allocate(self, cache_bytes: int) -> None:
        network = self.network
        self.meanwhile = []
        # Some penalties, and activations with parameters, need the whole gradient at once.
        self._at_once = self.n_samples <= _MOST_ROWS and not (
            any(network.activation_parameter_sizes)
            or self._jacobian_penalties
            or any(not penalty.separable for penalty in self._weight_penalties)
        )
        if not self._at_once:
            super()._allocate(cache_bytes)
            return
        multiply_adds = sum(fan_in * fan_out for fan_in, fan_out in network.weight_shapes)
        self._blocks = shared_parts(self.n_samples, multiply_adds)
        allocate = partial(empty_aligned, dtype=self._dtype)
        self._batch, self._batch_deltas = (network.allocate(self.n_samples, allocate) for _ in range(2))
        #: Hidden activations as they were before `backward` used them up.
        self._hidden = [allocate((self.n_samples, size)) for size in network.layer_sizes[1:-1]]
        self._gradient = allocate((network.n_parameters,))
        #: The products that make the gradient: of which layer's weights, from which units.
        self._products = [
            (layer, units)
            for layer, (fan_in, fan_out) in enumerate(network.weight_shapes[: network.n_free_layers])
            for units in shared_parts(fan_in, self.n_samples * fan_out)
        ]
        self._ones = np.ones((1, self.n_samples), dtype=self._dtype)
        self._n_kept = self.n_samples

    def _layers(self, rows: slice, worker: int) -> Layers:
        if not self._at_once:
            return super()._layers(rows, worker)
        layers = self._batch.rows(rows)
        layers.a[0] = self._rows_of(self._X, rows, worker, 0)
        return layers

    def _deltas(self, rows: slice, worker: int) -> Layers:
        return self._batch_deltas.rows(rows) if self._at_once else super()._deltas(rows, worker)

    def _forward(self, parameters: Parameters, rows: slice, worker: int, known: int) -> Layers:
        layers = super()._forward(parameters, rows, worker, known)
        if self._at_once:
            for kept, a in zip(self._hidden, layers.a[1:-1], strict=True):
                kept[rows] = a
        return layers

    def _make_part(self, parameters: Parameters, use: UseOfPart, index: int, worker: int) -> None:
        """Compute a part of the gradient, and hand it over while it is at hand: some units' weights, or all biases."""
        network, gradient = self.network, self.network.unpack(self._gradient)
        assert in_memory(self._X)
        layers = Layers([], [self._X, *self._hidden])
        layer, units = (None, slice(0)) if index == _BIASES else self._products[index]
        if layer is None:
            network.bias_gradients(self._batch_deltas, self._ones, gradient)
            start, stop = self._gradient.size - sum(network.widths), self._gradient.size
        else:
            network.weight_gradients(layers, self._batch_deltas, gradient, layer, units)
            fan_out = network.weight_shapes[layer][1]
            start = sum(fan_in * width for fan_in, width in network.weight_shapes[:layer]) + units.start * fan_out
            stop = start + (units.stop - units.start) * fan_out
        part = self._gradient[start:stop]
        part /= self._total_weight
        for penalty in self._weight_penalties:
            if layer is not None or penalty.include_biases:
                own = [self._part_of(one, layer, units, penalty.include_biases) for one in (parameters, gradient)]
                penalty.add_gradient(*own)
        use(slice(start, stop), part, worker)

    def _part_of(
        self, parameters: Parameters, layer: int | None, units: slice, include_biases: bool
    ) -> list[FloatArray]:
        """Return what a penalty is given of a part, some units' weights or all biases: other arrays are empty there."""
        n_layers = self.network.n_layers
        if layer is None:
            return [*(W[:0] for W in parameters.weights), *parameters.biases]
        W = parameters.weights[layer]
        roles = {layer, n_layers - 1 - layer} if self.network.tied else {layer}
        weights = [W[units] if role in roles else W[:0] for role in range(n_layers)]
        return [*weights, *(b[:0] for b in parameters.biases)] if include_biases else weights
