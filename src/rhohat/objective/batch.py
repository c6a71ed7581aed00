"""J(θ) and ∇J(θ) over the rows of a mini-batch, with the gradient handed to the solver part by part.

In a mini-batch the gradient takes as much memory as everything else together. In an evaluation by blocks of rows, a
full gradient would be computed for each block and these would be added up. Here, threads divide the rows among
themselves only until the deltas of all layers are known, which are kept for the whole batch. Then they divide the units
of each layer, so that the gradient of every weight is computed once and used while it is in the cache.

Costs that need the whole gradient at once, and mini-batches of very many rows, are still evaluated in blocks of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import Engine, shared_parts, theta_parts
from rhohat.layers.layout import Parameters
from rhohat.objective.cost import Weighting, as_floats
from rhohat.objective.evaluation import BlockEvaluation, Evaluation, column_of_weights, masks_of
from rhohat.objective.objective import Objective, penalise_means
from rhohat.objective.passes import Block, Pass, SumLossAndDeltas, Sums
from rhohat.objective.problem import Problem

__all__ = ["BatchEvaluation", "MiniBatch", "Task", "UseOfPart", "make_batch_evaluation"]

_FEWEST_IMAGES = 32  # images in a part, which are enough rows for the products of a convolution
_MOST_ROWS = 2**14  # above this, adding up the gradients of blocks is cheap in comparison, and blocks need less memory

#: Uses a part of the gradient; called with the slice of θ it belongs to, the gradient there, and the worker's index.
UseOfPart = Callable[[slice, FloatArray, int], None]
#: A task for one of several threads; called with the worker's index.
Task = Callable[[int], None]


class BatchEvaluation(Evaluation, Protocol):
    """An evaluation that can be used for successive mini-batches with the same number of rows."""

    def set_problem(self, problem: Problem) -> None:
        """Replace the rows by the rows of another problem, of the same shapes and dtypes."""

    def evaluate_in_parts(
        self, theta: FloatArray, weighting: Weighting, use: UseOfPart, meanwhile: Sequence[Task]
    ) -> tuple[float, dict[str, float]]:
        """Return J and its terms, and pass the gradient to `use` part by part; see `MiniBatch.evaluate_in_parts`.

        If J is finite, the same threads also do the tasks in `meanwhile`. This costs no extra synchronisation, whereas
        doing the tasks separately would have to wake the threads once more.
        """


class MiniBatch:
    """The cost J(θ) of a network on a mini-batch.

    Parameters
    ----------
    evaluation : BatchEvaluation
        The evaluation of this batch; its memory is used again for later batches.
    total_weight : float, default=None
        The weight by which sums over rows are divided, as for `Objective`.
    meanwhile : sequence of callable(worker), default=()
        Tasks that `evaluate_in_parts` also does, on the same threads, the first time that J is finite.

    Attributes
    ----------
    problem : Problem
        The problem on the rows of the batch.
    objective : Objective
        J and all its derivatives.
    meanwhile_is_done : bool
        Whether the tasks in `meanwhile` have been done.
    """

    def __init__(
        self, evaluation: BatchEvaluation, total_weight: float | None = None, meanwhile: Sequence[Task] = ()
    ) -> None:
        self.problem = problem = evaluation.problem
        self._evaluation, self._meanwhile = evaluation, meanwhile
        self.objective = Objective(evaluation, total_weight)
        self._weighting = Weighting.of(problem.n_samples, problem.sample_weight, total_weight)
        self.meanwhile_is_done = not meanwhile

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return J(θ) and ∇J(θ); see `Objective`."""
        return self.objective(theta)

    def evaluate(self, theta: FloatArray) -> tuple[float, FloatArray, dict[str, float]]:
        """Return J, ∇J and the terms of J; see `Objective.evaluate`."""
        return self.objective.evaluate(theta)

    def cost(self, theta: FloatArray) -> tuple[float, dict[str, float]]:
        """Return the cost J and its terms; see `Objective.cost`."""
        return self.objective.cost(theta)

    def evaluate_in_parts(self, theta: FloatArray, use: UseOfPart) -> tuple[float, dict[str, float]]:
        """Return J and its terms, and pass the gradient to `use` part by part, on several threads.

        Each part is passed on as soon as it has been computed.

        Parameters
        ----------
        theta : array of shape (n_parameters,)
            The parameters, fastest in the dtype of the rows.
        use : callable(part, gradient, worker)
            Called once for every part of θ, with the gradient of that part, in the dtype of the rows or in float64; not
            called if J is not finite. `worker` is an index below the engine's `n_workers` that no other running call
            has. The function may overwrite its part of θ, which is no longer needed by the evaluation.

        Returns
        -------
        value : float
            J(θ).
        terms : dict of str to float
            The terms of J by name.
        """
        tasks = [] if self.meanwhile_is_done else self._meanwhile
        value, terms = self._evaluation.evaluate_in_parts(theta, self._weighting, use, tasks)
        self.meanwhile_is_done |= bool(np.isfinite(value))
        return value, terms


def make_batch_evaluation(problem: Problem, engine: Engine, cache_bytes: int = 2**30) -> BatchEvaluation:
    """Return an evaluation, by blocks of rows or by units of layers, for mini-batches like the rows of `problem`."""
    cost = problem.cost
    needs_whole = bool(cost.on_derivatives) or any(not penalty.separable for penalty in cost.on_weights)
    if needs_whole or problem.n_samples > _MOST_ROWS:
        return _ByBlocks(problem, engine, cache_bytes)
    return _ByUnits(problem, engine)


class _ByBlocks:
    """An evaluation in blocks of rows, which passes the gradient on once all of it has been computed."""

    def __init__(self, problem: Problem, engine: Engine, cache_bytes: int) -> None:
        self._engine = engine
        self._evaluation = BlockEvaluation(problem, engine, cache_bytes)

    @property
    def problem(self) -> Problem:
        return self._evaluation.problem

    def set_problem(self, problem: Problem) -> None:
        self._evaluation.set_problem(problem)

    def at(self, *vectors: FloatArray) -> Sums:
        return self._evaluation.at(*vectors)

    def evaluate_in_parts(
        self, theta: FloatArray, weighting: Weighting, use: UseOfPart, meanwhile: Sequence[Task]
    ) -> tuple[float, dict[str, float]]:
        value, gradient, terms = Objective(self, weighting.total).evaluate(theta)
        if np.isfinite(value):
            parts = theta_parts(self.problem.network.n_parameters)
            tasks: list[Task] = [partial(_hand_over, use, part, gradient[part]) for part in parts]
            _share(self._engine, [*tasks, *meanwhile])
        return value, terms


class _ByUnits:
    """An evaluation with memory for all rows, in which threads first divide the rows and then the units of layers."""

    def __init__(self, problem: Problem, engine: Engine) -> None:
        self._engine = engine
        network, n_samples = problem.network, problem.n_samples
        self._ops, self._dtype = problem.cost.ops, problem.cost.dtype
        allocate = partial(self._ops.empty, dtype=self._dtype)
        has_places = any(layer.output_channels < layer.n_outputs or layer.fewest_rows for layer in network.layers)
        self._blocks = shared_parts(n_samples, network.multiply_adds, _FEWEST_IMAGES if has_places else None)
        self._layers, self._deltas = (network.allocate(n_samples, allocate) for _ in range(2))
        self._hidden = [allocate((n_samples, size)) for size in network.layer_sizes[1:-1]]
        self._gradient = allocate((network.n_parameters,))
        #: The parts in which the gradient of the weights is computed: index of the layer, and slice of its weights.
        self._parts = [
            (index, part)
            for index, layer in enumerate(network.layers[: network.layout.n_free])
            for part in layer.gradient_parts(n_samples)
        ]
        self._ones = self._ops.ones((1, n_samples), self._dtype)
        self.set_problem(problem)

    def set_problem(self, problem: Problem) -> None:
        self.problem, self._row_weights = problem, column_of_weights(problem)

    def at(self, *vectors: FloatArray) -> Sums:
        return partial(self._sum, [self.problem.network.unpack(self._ops.asarray(v, self._dtype)) for v in vectors])

    def evaluate_in_parts(
        self, theta: FloatArray, weighting: Weighting, use: UseOfPart, meanwhile: Sequence[Task]
    ) -> tuple[float, dict[str, float]]:
        cost, sums_at = self.problem.cost, self.at(theta)
        with np.errstate(over="ignore", invalid="ignore"):  # an overflow shows in J
            mean_terms, added = penalise_means(cost, weighting, sums_at)
            sums = sums_at(SumLossAndDeltas(added))
            sums /= weighting.total
            row_terms, own = np.split(sums, [len(cost.row_terms)])
            terms = as_floats(cost.terms(row_terms, mean_terms, cost.penalise_weights(theta)))
            value = sum(terms.values())
            if np.isfinite(value):
                parameters = cost.network.unpack(self._ops.asarray(theta))
                tasks: list[Task] = [
                    partial(self._hand_over_weights, parameters, weighting.total, use, *part) for part in self._parts
                ]
                # The cheapest tasks come last, so that no thread waits long for the others.
                tasks += [*meanwhile, partial(self._hand_over_biases, parameters, weighting.total, use)]
                if own.size:
                    own = self._ops.asarray(own, np.float64)
                    tasks.append(partial(_hand_over, use, cost.network.layout.own, own))
                _share(self._engine, tasks)
        return value, terms

    def _sum(self, vectors: Sequence[Parameters], function: Pass) -> FloatArray:
        run = partial(self._run, function, vectors)
        return self._engine.sum_blocks(run, self._blocks, function.n_sums(self.problem.cost), self._dtype)

    def _run(self, function: Pass, vectors: Sequence[Parameters], rows: slice, worker: int, sums: FloatArray) -> None:
        """Run a pass over the given rows and write its sums into `sums`."""
        problem, layers = self.problem, self._layers.rows(rows)
        targets: FloatArray = problem.X if problem.y is None else problem.y
        layers.a[0] = problem.X[rows]
        block = Block(
            layers._replace(masks=masks_of(problem, rows)),
            self._deltas.rows(rows),
            n_known=problem.cost.depth,
            read_targets=lambda: targets[rows],
            weights=None if self._row_weights is None else self._row_weights[rows],
            tangents=None if problem.tangents is None else problem.tangents[rows],
            ones=self._ones[:, : rows.stop - rows.start],
            hidden=[kept[rows] for kept in self._hidden],
        )
        function(problem.cost, vectors, block, self._ops.asarray(sums, self._dtype))

    def _hand_over_weights(
        self, parameters: Parameters, total: float, use: UseOfPart, index: int, part: slice, worker: int
    ) -> None:
        """Compute the gradient of some weights of a layer, and pass it to `use` while it is in the cache."""
        network, mirror = self.problem.cost.network, self.problem.network.n_layers - 1 - index
        gradient, given = network.unpack(self._gradient), [self.problem.X, *self._hidden]
        W = gradient.weights[index][part]
        network.layers[index].write_gradient_part(W, given[index], self._deltas.z[index + 1], part)
        if network.tied:  # the layer that uses the same weights transposed
            network.layers[mirror].add_tied_gradient(W, given[mirror], self._deltas.z[mirror + 1], part)
        place = network.layout.weights(index, part)
        own = self._gradient[place]
        own /= total
        roles = {index, mirror} if network.tied else {index}  # the layers that use these weights
        for penalty in self.problem.cost.on_weights:
            # A penalty expects an array for every layer: arrays other than this part are given without rows.
            seen = [
                [
                    *(one.weights[index][part] if role in roles else W[:0] for role, W in enumerate(one.weights)),
                    *(b[:0] for b in one.biases if penalty.include_biases),
                ]
                for one in (parameters, gradient)
            ]
            penalty.add_gradient(*seen)
        use(place, own, worker)

    def _hand_over_biases(self, parameters: Parameters, total: float, use: UseOfPart, worker: int) -> None:
        """Compute the gradient of all biases, and pass it to `use`."""
        network = self.problem.cost.network
        gradient, place = network.unpack(self._gradient), network.layout.biases
        for layer, b, delta in zip(network.layers, gradient.biases, self._deltas.z[1:], strict=True):
            layer.add_bias_gradient(b, delta, self._ones, accumulate=False)
        own = self._gradient[place]
        own /= total
        for penalty in self.problem.cost.on_weights:
            if penalty.include_biases:
                penalty.add_gradient(*([*(W[:0] for W in one.weights), *one.biases] for one in (parameters, gradient)))
        use(place, own, worker)


def _hand_over(use: UseOfPart, place: slice, gradient: FloatArray, worker: int) -> None:
    use(place, gradient, worker)


def _share(engine: Engine, tasks: Sequence[Task]) -> None:
    """Do tasks on the threads of an engine, in no particular order."""
    engine.for_each(lambda index, worker: tasks[index.start](worker), [slice(i, i + 1) for i in range(len(tasks))])
