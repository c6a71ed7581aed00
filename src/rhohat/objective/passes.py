"""Passes: computations on a block of rows, whose results are summed over all blocks.

The mean activation ρ̂ of a hidden unit couples all rows, so an evaluation of J takes two passes over them:

1. forward to the last hidden layer whose mean activation is penalised; sum activations → ρ̂;
2. forward to the output and backward; sum the loss, the penalties on each row, and the gradient.

The hidden activations of pass 1 are kept for pass 2 as far as memory allows, and otherwise computed again. One pass is
enough if ρ̂ is not penalised, or if only the value of ρ̂ is needed. A Hessian-vector product takes the same two passes,
with tangents computed beside the activations.

A pass is a small object that returns the number of its sums and writes the sums over one block. Passes can be pickled,
so that they can be sent to the workers of a cluster. An evaluation runs a pass over all blocks and adds up the sums.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Units
from rhohat.layers.layout import Parameters
from rhohat.layers.network import Layers
from rhohat.layers.padding import without_padding
from rhohat.layers.tangents import TangentPass
from rhohat.objective.cost import Added, Cost
from rhohat.objective.steps import existing_steps, layers_with_steps, penalise_steps, tangent_of_penalty
from rhohat.ops import ChainPasses

__all__ = [
    "Block",
    "Pass",
    "SumActivations",
    "SumActivationsAndTangents",
    "SumHessianProduct",
    "SumLoss",
    "SumLossAndDeltas",
    "SumLossAndGradient",
    "Sums",
]


class Block(NamedTuple):
    """A block of rows with their targets, weights and tangents, and memory for the results computed from them.

    Attributes
    ----------
    layers : Layers
        The input, which is given, and memory for the other layers.
    deltas : Layers
        Memory for the deltas of the layers.
    n_known : int
        Number of layers that pass 1 has already computed and left in memory.
    read_targets : callable
        Returns the targets, of shape (n_rows, n_outputs).
    weights : array of shape (n_rows, 1), or None
        Weight of each row; None means 1.
    tangents : array of shape (n_rows, n_tangents, n_features), or None
        Tangents of each row, if a penalty needs them.
    ones : array of shape (1, n_rows)
        Ones, for sums over rows.
    hidden : sequence of arrays of shape (n_rows, n_units), default=()
        Memory for copies of the hidden activations, if they are needed after `Network.backward`, which overwrites them.
    """

    layers: Layers
    deltas: Layers
    n_known: int
    read_targets: Callable[[], FloatArray]
    weights: FloatArray | None
    tangents: FloatArray | None
    ones: FloatArray
    hidden: Sequence[FloatArray] = ()


class Pass(ABC):
    """A computation on each block of rows, whose results are summed over blocks.

    Attributes
    ----------
    leaves_layers : bool
        Whether the pass leaves the layers that it computes at θ in memory for the next pass.
    takes_layers : bool
        Whether the pass continues from the layers that the previous pass left, for rows whose layers fit into memory.
    """

    leaves_layers: ClassVar[bool] = False
    takes_layers: ClassVar[bool] = False

    @abstractmethod
    def n_sums(self, cost: Cost) -> int:
        """Return how many numbers the pass sums."""

    @abstractmethod
    def __call__(self, cost: Cost, vectors: Sequence[Parameters], block: Block, sums: FloatArray) -> None:
        """Compute the sums of this pass, such as loss and gradient, over one block, and write them into `sums`.

        Parameters
        ----------
        cost : Cost
        vectors : sequence of Parameters
            θ and, for some passes, a direction.
        block : Block
        sums : array of shape (n_sums,)
            Receives the sums.
        """


#: A function that runs a pass over all blocks and returns the total of its sums.
Sums = Callable[[Pass], FloatArray]


@dataclass(frozen=True)
class SumActivations(Pass):
    """Pass 1: compute the first `depth` hidden layers and sum their activations over rows."""

    depth: int
    leaves_layers: ClassVar[bool] = True

    def n_sums(self, cost: Cost) -> int:
        """Return the number of outputs of the first `depth` hidden layers, and one for each whose steps may miss."""
        return sum(cost.network.layer_sizes[1 : self.depth + 1]) + len(layers_with_steps(cost.network, self.depth))

    def __call__(self, cost: Cost, vectors: Sequence[Parameters], block: Block, sums: FloatArray) -> None:
        """Write the sums of the activations, one layer after another, and then the numbers of steps into `sums`."""
        chain = _chain_passes(cost, block) if self.depth == 1 else None
        if chain is not None:
            X, hidden = block.layers.a[:2]
            chain.sum_activations(X, vectors[0].weights[0], vectors[0].biases[0], hidden, sums)
            return
        _forward_to(self.depth, cost, vectors[0], block)
        _sum_hidden(cost, block.layers, self.depth, block, sums)
        _count_steps(cost, self.depth, block, sums)


@dataclass(frozen=True)
class SumActivationsAndTangents(Pass):
    """Pass 1 of a Hessian-vector product: sum the activations of the first hidden layers, and their tangents."""

    def n_sums(self, cost: Cost) -> int:
        """Return twice the number of outputs of the first `cost.depth` hidden layers, and one for each with steps."""
        return 2 * sum(cost.network.layer_sizes[1 : cost.depth + 1]) + len(layers_with_steps(cost.network, cost.depth))

    def __call__(self, cost: Cost, vectors: Sequence[Parameters], block: Block, sums: FloatArray) -> None:
        """Write the sums of the layers' activations, of their tangents, and then the numbers of steps into `sums`."""
        parameters, direction = vectors
        _forward_to(cost.depth, cost, parameters, block)
        tangents = TangentPass(cost.network, parameters, block.layers, direction).push_forward(stop=cost.depth)
        n_units = sum(cost.network.layer_sizes[1 : cost.depth + 1])
        _sum_hidden(cost, block.layers, cost.depth, block, sums)
        _sum_hidden(cost, tangents, cost.depth, block, sums[n_units:])
        _count_steps(cost, cost.depth, block, sums)


@dataclass(frozen=True)
class SumLoss(Pass):
    """Pass 2 without the gradient: sum the row terms, which are the loss and the penalties on each row."""

    takes_layers: ClassVar[bool] = True

    def n_sums(self, cost: Cost) -> int:
        """Return the number of terms of J that are sums over rows."""
        return len(cost.row_terms)

    def __call__(self, cost: Cost, vectors: Sequence[Parameters], block: Block, sums: FloatArray) -> None:
        """Write the row terms, summed over the block, into `sums`."""
        _forward(cost, vectors[0], block, block.n_known)
        loss = _evaluate_loss(cost, block, block.read_targets(), _delta_of_output(cost, block))
        values, _ = _penalise_activations(cost, block)
        for penalty in cost.on_derivatives:
            seen = _layers_seen(penalty.penalised_layer(cost.network.n_layers), cost, vectors[0], block)
            value = penalty.value(cost.network, vectors[0], seen, block.tangents)
            values[penalty.name] = values.get(penalty.name, 0.0) + value
        _write_terms(cost, loss, values, block, sums)


@dataclass(frozen=True)
class SumLossAndGradient(Pass):
    """Pass 2: sum the gradient and the row terms; the gradient comes first in the sums so that it stays aligned.

    Attributes
    ----------
    added : list of arrays of shape (n_units,), or None
        Arrays that penalties on mean activations add to ∂J/∂a of each row, for every layer but the input.
    """

    added: Added
    takes_layers: ClassVar[bool] = True

    def n_sums(self, cost: Cost) -> int:
        """Return the number of parameters plus the number of row terms."""
        return cost.network.n_parameters + len(cost.row_terms)

    def __call__(self, cost: Cost, vectors: Sequence[Parameters], block: Block, sums: FloatArray) -> None:
        """Write the gradient and then the row terms, summed over the block, into `sums`."""
        network, chain = cost.network, _chain_passes(cost, block)
        if chain is not None:
            X, hidden = block.layers.a[0], block.layers.a[1] if block.n_known else None
            theta = np.concatenate([*map(np.ravel, vectors[0].weights), *vectors[0].biases])
            chain.sum_loss_and_gradient(X, block.read_targets(), hidden, theta, self.added[0], sums)
            return
        if cost.on_derivatives or network.tied or any(network.layout.n_own):
            sums[: network.n_parameters] = 0
        gradient = network.unpack(sums[: network.n_parameters])
        _forward(cost, vectors[0], block, block.n_known)
        _backward(cost, vectors[0], block, self.added, gradient, sums[network.n_parameters :])


@dataclass(frozen=True)
class SumLossAndDeltas(Pass):
    """Pass 2 for few rows: compute δ_z of every layer, which stays in the block's memory, and sum the row terms.

    After the row terms, the gradients of the activations' own parameters are summed. This pass cannot be used with
    penalties on derivatives, which need the gradient of the weights together with the deltas.

    Attributes
    ----------
    added : list of arrays of shape (n_units,), or None
        Arrays that penalties on mean activations add to ∂J/∂a, as for `SumLossAndGradient`.
    """

    added: Added
    takes_layers: ClassVar[bool] = True

    def n_sums(self, cost: Cost) -> int:
        """Return the number of row terms plus the number of the activations' own parameters."""
        return len(cost.row_terms) + sum(cost.network.layout.n_own)

    def __call__(self, cost: Cost, vectors: Sequence[Parameters], block: Block, sums: FloatArray) -> None:
        """Write the terms of J that are sums over rows, and then the gradients of learned activations, into `sums`."""
        network, n_terms = cost.network, len(cost.row_terms)
        _forward(cost, vectors[0], block, block.n_known)
        for kept, a in zip(block.hidden, block.layers.a[1:-1], strict=True):
            kept[:] = a
        own = sums[n_terms:]
        own[:] = 0
        gradient = Parameters([], [], network.layout.unpack_own(own))
        _backward(cost, vectors[0], block, self.added, gradient, sums[:n_terms])


@dataclass(frozen=True)
class SumHessianProduct(Pass):
    """Pass 2 of a Hessian-vector product: sum the product over rows.

    Attributes
    ----------
    added, added_tangents : lists of arrays of shape (n_units,), or None
        Arrays that penalties on mean activations add to ∂J/∂a of each row, and the tangents of these arrays.
    """

    added: Added
    added_tangents: Added

    def n_sums(self, cost: Cost) -> int:
        """Return the number of parameters."""
        return cost.network.n_parameters

    def __call__(self, cost: Cost, vectors: Sequence[Parameters], block: Block, sums: FloatArray) -> None:
        """Write the Hessian-vector product, summed over the block, into `sums`."""
        (parameters, direction), weights = vectors, block.weights
        layers = block.layers
        _forward(cost, parameters, block, 0)
        if cost.from_z:  # needs the output's tangents before its activation only
            outputs, seen = layers.z[-1], _with_output(cost, parameters, layers)
        else:
            outputs, seen = layers.a[-1], layers
        tangent_pass = TangentPass(cost.network, parameters, seen, direction)
        tangents = tangent_pass.push_forward()
        phi = cost.ops.xp.empty_like(outputs)
        targets = block.read_targets()
        _evaluate_loss(cost, block, targets, phi)
        tangent = tangents.z[-1] if cost.from_z else tangents.a[-1]
        delta = cost.loss.second_derivative(outputs, targets, tangent)
        delta = delta * (1 if weights is None else weights)
        _, added = _penalise_activations(cost, block)
        added_tangents = _tangents_of_penalties(cost, block, tangents)
        sums[:] = 0
        product = cost.network.unpack(sums)
        for penalty in cost.on_derivatives:
            penalty.add_hessian_product(tangent_pass, tangents, weights, block.tangents, block.ones, product)
        tangent_pass.backward(
            tangents,
            phi,
            delta,
            block.ones,
            _add_means(cost, added, self.added, block),
            _add_means(cost, added_tangents, self.added_tangents, block),
            product,
            from_z=cost.from_z,
        )


def _chain_passes(cost: Cost, block: Block) -> ChainPasses | None:
    """Return the passes over a block in one call each, if there are such passes for this block."""
    chain = cost.chain_passes if block.weights is None else None
    return chain if chain is not None and chain.takes(block.layers.a[0], block.n_known) else None


def _forward_to(depth: int, cost: Cost, parameters: Parameters, block: Block) -> None:
    """Compute the first `depth` layers of a block."""
    cost.network.forward(parameters, block.layers.between(0, depth + 1))


def _forward(cost: Cost, parameters: Parameters, block: Block, n_known: int) -> None:
    """Compute the layers after the first `n_known`; of the output layer only z, if the loss takes z."""
    cost.network.forward(
        parameters,
        block.layers.between(n_known, None),
        n_known,
        without_activation=cost.network.n_layers if cost.from_z else None,
    )


def _backward(
    cost: Cost, parameters: Parameters, block: Block, mean_added: Added, gradient: Parameters, row_terms: FloatArray
) -> None:
    """Backpropagate to the gradient, or to the deltas if `gradient` has no weights, and write the row terms."""
    loss = _evaluate_loss(cost, block, block.read_targets(), _delta_of_output(cost, block))
    values, added = _penalise_activations(cost, block)
    added_z: Added = [None] * cost.network.n_layers
    for penalty in cost.on_derivatives:
        seen = _layers_seen(penalty.penalised_layer(cost.network.n_layers), cost, parameters, block)
        value = penalty.add(cost.network, parameters, seen, block.weights, block.tangents, gradient, added_z)
        values[penalty.name] = values.get(penalty.name, 0.0) + value
    _write_terms(cost, loss, values, block, row_terms)
    cost.network.backward(
        parameters,
        block.layers,
        block.deltas,
        block.ones,
        _add_means(cost, added, mean_added, block),
        added_z,
        gradient,
        from_z=cost.from_z,
        accumulate=bool(cost.on_derivatives),
    )


def _delta_of_output(cost: Cost, block: Block) -> FloatArray:
    """Return the array that receives the derivative of the loss at the output layer."""
    return block.deltas.z[-1] if cost.from_z else block.deltas.a[-1]


def _evaluate_loss(cost: Cost, block: Block, targets: FloatArray, delta: FloatArray) -> float:
    """Return the loss summed over rows and write its derivative into `delta`, both times the rows' weights."""
    outputs = block.layers.z[-1] if cost.from_z else block.layers.a[-1]
    if block.weights is None:
        return cost.loss.sum_and_derivative(outputs, targets, out=delta)
    values = cost.loss.value_and_derivative(outputs, targets, out=delta)
    delta *= block.weights
    return _add_up(cost, values, block.weights)


def _penalise_activations(cost: Cost, block: Block) -> tuple[dict[str, FloatArray], Added]:
    """Return the values of the penalties on activations for each row, by name, and the arrays they add to ∂J/∂a."""
    values: dict[str, FloatArray] = {}
    added: Added = [None] * cost.network.n_layers
    for hidden, penalties in enumerate(cost.on_activations):
        a = block.layers.a[hidden + 1]
        for penalty in penalties:
            value, derivative = penalise_steps(penalty, a, cost.network.layers[hidden].n_padded_steps)
            values[penalty.name] = values.get(penalty.name, 0.0) + value
            added[hidden] = _add(added[hidden], _times(block.weights, derivative))
    return values, added


def _tangents_of_penalties(cost: Cost, block: Block, tangents: Layers) -> Added:
    """Return the tangents of the arrays that penalties on activations add to ∂J/∂a."""
    added: Added = [None] * cost.network.n_layers
    for hidden, penalties in enumerate(cost.on_activations):
        a, alpha = block.layers.a[hidden + 1], tangents.a[hidden + 1]
        for penalty in penalties:
            tangent = tangent_of_penalty(penalty, a, alpha, cost.network.layers[hidden].n_padded_steps)
            added[hidden] = _add(added[hidden], _times(block.weights, tangent))
    return added


def _add_means(cost: Cost, added: Added, mean_added: Added, block: Block) -> Added:
    """Return the arrays `added` plus, times the rows' weights, the arrays `mean_added`, the same for all rows."""
    if block.weights is None and not cost.penalises_rows:
        return list(mean_added)
    return [
        _add(of_row, None if of_mean is None else _times(block.weights, of_mean))
        for of_row, of_mean in zip(added, mean_added, strict=True)
    ]


def _layers_seen(layer: int, cost: Cost, parameters: Parameters, block: Block) -> Layers:
    """Return the layers for a penalty on derivatives of the given layer, with the activation of that layer applied."""
    if cost.from_z and layer == cost.network.n_layers:
        return _with_output(cost, parameters, block.layers)
    return block.layers


def _with_output(cost: Cost, parameters: Parameters, layers: Layers) -> Layers:
    """Return the layers with the output activation applied, which `_forward` leaves out if the loss takes z."""
    z, a = cost.ops.copy(layers.z[-1]), cost.ops.copy(layers.a[-1])
    output = cost.network.activations[-1]
    a = z if output.in_place else a
    output.forward(Units(z, a, parameters.activation_parameters[-1]))
    return Layers([*layers.z[:-1], z], [*layers.a[:-1], a], layers.masks)


def _write_terms(cost: Cost, loss: float, values: dict[str, FloatArray], block: Block, sums: FloatArray) -> None:
    """Write the row terms in their order: the loss, which is already summed, and the weighted sums of `values`."""
    for index, name in enumerate(cost.row_terms):
        sums[index] = loss if index == 0 else 0.0
        if name in values:
            sums[index] += _add_up(cost, values[name], block.weights)


def _sum_hidden(cost: Cost, layers: Layers, depth: int, block: Block, sums: FloatArray) -> None:
    """Write the column sums of the activations, or tangents, of the first hidden layers, one after another."""
    row = None if block.weights is None else block.weights.T
    start = 0
    for layer, array in zip(cost.network.layers[:depth], layers.a[1:], strict=False):
        stop = start + layer.n_outputs
        rows = array if layer.n_padded_steps is None else without_padding(array)
        cost.ops.sum_rows(rows, block.ones, sums[start:stop].reshape(1, -1), row)
        start = stop


def _count_steps(cost: Cost, depth: int, block: Block, sums: FloatArray) -> None:
    """Write the weighted number of steps that exist in each layer with steps into the last sums."""
    found = layers_with_steps(cost.network, depth)
    for place, (index, n_steps) in enumerate(found, start=len(sums) - len(found)):
        exists = existing_steps(block.layers.a[index + 1], n_steps)
        sums[place] = _add_up(cost, exists.sum(1), block.weights)


def _add_up(cost: Cost, values: FloatArray, weights: FloatArray | None) -> float:
    """Return the sum of `values`, of shape (n_rows,), times the rows' weights, of shape (n_rows, 1)."""
    ops, values = cost.ops, cost.ops.asarray(values, np.float64)
    return ops.number(values.sum() if weights is None else values @ ops.asarray(weights[:, 0], np.float64))


def _times(weights: FloatArray | None, array: FloatArray) -> FloatArray:
    return array if weights is None else array * weights


def _add(known: FloatArray | None, extra: FloatArray | None) -> FloatArray | None:
    if known is None or extra is None:
        return extra if known is None else known
    total: FloatArray = known + extra
    return total
