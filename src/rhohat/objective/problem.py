"""The optimisation problem, and the checks that its parts fit together."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import Rows, in_memory
from rhohat.common.forks import cached
from rhohat.common.words import counted
from rhohat.layers import Layer
from rhohat.layers.network import Network
from rhohat.objective.cost import Cost
from rhohat.ops import Ops, ops_for, ops_named, ops_of
from rhohat.terms.corruption import Corruption
from rhohat.terms.jacobian_penalties import JacobianPenalty
from rhohat.terms.losses import Loss, SquaredError
from rhohat.terms.penalties import ActivationPenalty, HiddenLayerPenalty, MeanActivationPenalty, Penalty, WeightPenalty

__all__ = ["Problem", "bring", "check_tangents"]


@dataclass(frozen=True, eq=False)
class Problem:
    """An optimisation problem: a network, the terms of its cost J(θ), and the rows that it is evaluated on.

    J(θ) = 1/m Σ_i loss(a_i, y_i) + Σ penalties: the loss is summed over outputs and averaged over the m rows.

    Parameters
    ----------
    network : Network
        The architecture.
    X : array, or a source of rows that are read block by block, of shape (n_samples, n_features), float32 or float64
        Inputs. Their dtype is the dtype of the arithmetic. If X is a PyTorch tensor, y and tangents must be tensors on
        the same device as well, and PyTorch does the computations.
    y : array, or a source of rows that are read block by block, of shape (n_samples, n_outputs), default=None
        Targets; None means X itself, as for an autoencoder.
    loss : Loss, default=SquaredError()
        The loss of each row.
    penalties : sequence of Penalty, default=()
        The penalties, which are added to the mean loss.
    sample_weight : array of shape (n_samples,), default=None
        Weight of each row in every mean over rows, including the mean activations ρ̂.
        Weights must not be negative. None means 1 for each row.
    tangents : array of shape (n_samples, n_tangents, n_features), default=None
        Tangents of each row, for penalties that need them; see `TangentPropagation`.
    corruption : Corruption, default=None
        Corruption of the inputs during training. An `Objective` of this problem does not apply the corruption, so the
        rows must be corrupted before the objective is made. `MiniBatches` corrupts the rows itself.

    Raises
    ------
    ValueError
        If shapes or dtypes do not fit, the loss does not accept the targets or the output activation, or a penalty
        cannot be applied to this network. If the loss checks its targets, targets that are not in memory are read for
        this check.
    """

    network: Network
    X: Any  # an array or Rows; most code uses shape and dtype only, which both have
    y: Any = None
    loss: Loss = field(default_factory=SquaredError)
    penalties: Sequence[Penalty] = ()
    sample_weight: FloatArray | None = None
    tangents: FloatArray | None = None
    corruption: Corruption | None = None
    #: Factors of dropout, see `on_rows`; None unless these are the rows of a mini-batch.
    masks: FloatArray | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "penalties", tuple(self.penalties))
        if self.sample_weight is not None:
            object.__setattr__(self, "sample_weight", ops_of(self.sample_weight).to_numpy(self.sample_weight))
        _check_rows(self)
        _check_loss(self)
        _check_penalties(self)

    @property
    def targets(self) -> FloatArray | Rows:
        """The targets that the outputs are compared with."""
        return self.X if self.y is None else self.y

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return int(self.X.shape[0])

    @cached
    def cost(self) -> Cost:
        """The terms of J, grouped by the quantities that they depend on."""
        return Cost.of(self.network, self.loss, self.penalties, self.ops.dtype_of(self.X), self.ops)

    @cached
    def ops(self) -> Ops:
        """The primitives with which J is computed, chosen by the library of the rows and the amount of work."""
        return ops_for(self.X, self.n_samples * self.network.multiply_adds)

    def with_ops(self, name: str | None) -> Problem:
        """Return this problem, computed with the primitives of the given name; the problem itself if it is None."""
        if name is None or self.ops.library != "numpy" or self.ops.name == name:
            return self
        other = copy(self)
        other.__dict__.pop("cost", None)
        other.__dict__["ops"] = ops_named(name)
        return other

    def on_device(self, ops: Ops, dtype: DTypeLike, *, brought: bool) -> Problem:
        """Return this problem computed with the primitives of a device, in the given dtype.

        If `brought` is True, its rows are put on the device; otherwise they stay where they are, and an evaluation
        brings them block by block.
        """
        other = copy(self)
        other.__dict__["ops"] = ops
        other.__dict__["cost"] = Cost.of(self.network, self.loss, self.penalties, np.dtype(dtype), ops)
        if brought:
            rows = {"X": self.X, "y": self.y, "tangents": self.tangents}
            other.__dict__.update({n: None if a is None else bring(a, ops, dtype) for n, a in rows.items()})
        return other

    def on_rows(
        self,
        X: Any,
        y: Any = None,
        sample_weight: FloatArray | None = None,
        tangents: FloatArray | None = None,
        masks: FloatArray | None = None,
    ) -> Problem:
        """Return the same problem on other rows, without checks and without a corruption.

        `masks`, of shape (n_samples, number of units that dropout acts on), are the factors of dropout in all layers,
        side by side; None means that nothing is dropped.

        The checks are left out because a subset of valid rows may fail them; for example, its weights may all be 0.
        """
        cost = self.cost  # computed before the copy is made, so that the copy has it too
        other = copy(self)
        rows = {"X": X, "y": y, "sample_weight": sample_weight, "tangents": tangents, "masks": masks}
        rows["corruption"] = None
        other.__dict__.update(rows)
        if X is None:
            return other
        if ops_of(X).library != cost.ops.library:
            del other.__dict__["ops"], other.__dict__["cost"]
        elif cost.ops.dtype_of(X) != cost.dtype:
            del other.__dict__["cost"]
        return other

    def check_exact_gradient(self) -> None:
        """Raise ValueError if the gradient is that of another function than J, which a line search would notice."""
        if self.network.dropped:
            raise ValueError(
                "dropout draws other units in every mini-batch, which solvers that see all rows at once cannot use; use"
                " solver='adam' or 'sgd', or leave out the dropout."
            )
        for layer in self.network.layers:
            if not layer.has_exact_gradient:
                raise ValueError(
                    f"the gradient of {layer!r} is truncated, so that it is not the gradient of the cost, which solvers"
                    " that see all rows at once need; use solver='adam' or 'sgd', or set truncate=None."
                )

    def check_second_derivatives(self) -> None:
        """Raise ValueError if a Hessian-vector product needs a derivative that a part of J does not define."""
        self.check_exact_gradient()
        advice = "use solver='lbfgs' or 'conjugate_gradient', which need only the gradient."
        activations = self.network.activations
        for layer in self.network.layers:
            if not layer.has_tangents:
                raise ValueError(f"the layer {type(layer).__name__} has no second derivatives; {advice}")
        for activation in activations:
            if not activation.twice_differentiable:
                raise ValueError(f"the activation {activation.name!r} has no second derivative; {advice}")
        for part in (self.loss, *(penalty for penalty in self.penalties if penalty.weight > 0)):
            if isinstance(part, JacobianPenalty):
                for layer in self.network.layers[: part.penalised_layer(self.network.n_layers)]:
                    activation = layer.activation
                    if not layer.has_second_tangents:
                        raise ValueError(
                            f"the Hessian of {part.name} needs third derivatives, which the layer"
                            f" {type(layer).__name__} does not have; {advice}"
                        )
                    if not activation.thrice_differentiable:
                        raise ValueError(
                            f"the Hessian of {part.name} needs the third derivative of the activation"
                            f" {activation.name!r}, which the activation does not define; {advice}"
                        )
                continue
            method = "add_hessian_product" if isinstance(part, WeightPenalty) else "second_derivative"
            if getattr(type(part), method) in _INHERITED:
                raise ValueError(f"{type(part).__name__} has no second derivative; {advice}")


#: The methods of the base classes that only raise an error, as there is no second derivative.
_INHERITED = {
    Loss.second_derivative,
    MeanActivationPenalty.second_derivative,
    ActivationPenalty.second_derivative,
    WeightPenalty.add_hessian_product,
}


def _named(layer: Layer) -> str:
    """Return how a message names a layer, with a truncated gradient, as this is why the layer has no tangents."""
    return f"{type(layer).__name__}{'' if layer.has_exact_gradient else ' with a truncated gradient'}"


def bring(rows: Any, ops: Ops, dtype: DTypeLike) -> Any:
    """Return rows as an array of a library and its device; rows that are not in memory are read block by block."""
    if in_memory(rows):
        return ops.asarray(rows, dtype)
    brought, start = ops.empty(rows.shape, dtype), 0
    for block in rows.blocks(rows.rows_at_once):
        brought[start : start + len(block)] = ops.asarray(block, dtype)
        start += len(block)
    return brought


def check_tangents(X: FloatArray | Rows, tangents: FloatArray) -> None:
    """Raise ValueError if the shape or dtype of tangents does not fit the rows X."""
    if tangents.ndim != 3 or (tangents.shape[0], tangents.shape[2]) != X.shape:
        raise ValueError(
            f"tangents must have the shape ({X.shape[0]}, n_tangents, {X.shape[1]}), with n_tangents vectors of length"
            f" {X.shape[1]} for every row of X; got {tangents.shape}."
        )
    if tangents.dtype != X.dtype:
        raise ValueError(f"tangents must have the dtype of X, {X.dtype}; got {tangents.dtype}.")


def _check_rows(problem: Problem) -> None:
    """Raise ValueError if inputs, targets, weights, tangents and network do not fit together."""
    network, X, y, sample_weight = problem.network, problem.X, problem.targets, problem.sample_weight
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
    ops = ops_of(X)
    if any(ops_of(rows) != ops for rows in (y, problem.tangents) if rows is not None):
        raise ValueError("X, y and tangents (if given) must all be PyTorch tensors, or none of them may be a tensor.")
    if ops.dtype_of(X) not in (np.float32, np.float64) or y.dtype != X.dtype:
        raise ValueError(f"X and y must both be float32 or both float64; got {X.dtype} and {y.dtype}.")
    if sample_weight is not None:
        if sample_weight.shape != X.shape[:1]:
            raise ValueError(
                f"sample_weight must have the shape ({X.shape[0]},), a weight for every row of X; got"
                f" {sample_weight.shape}."
            )
        if not (np.all(np.isfinite(sample_weight)) and np.min(sample_weight) >= 0 and np.sum(sample_weight) > 0):
            raise ValueError("sample_weight must be finite and at least 0, and not 0 for every row.")
    if problem.tangents is not None:
        check_tangents(X, problem.tangents)


def _check_loss(problem: Problem) -> None:
    """Raise ValueError if the loss does not fit the output activation or the targets."""
    network, loss, y = problem.network, problem.loss, problem.targets
    output = network.activations[-1].name
    if loss.contains not in (None, output):
        raise ValueError(
            f"loss {loss.name!r} needs output_activation={loss.contains!r}, but the output activation is {output!r};"
            f" set output_activation={loss.contains!r}, or use loss='squared_error', which allows any output"
            " activation."
        )
    last = network.layers[-1]
    if loss.contains is not None and last.width != last.n_outputs:
        raise ValueError(
            f"loss {loss.name!r} takes the pre-activations of the output layer, which the layer {type(last).__name__}"
            " does not have; add a dense layer as the output layer, or use loss='squared_error'."
        )
    if type(loss).check_targets is Loss.check_targets:
        return  # it allows all targets, which may be far away
    if in_memory(y):
        loss.check_targets(ops_of(y).to_numpy(y))
    else:
        assert not isinstance(y, np.ndarray)
        for _ in y.map_blocks(partial(_check_targets, loss)):
            pass


def _check_targets(loss: Loss, rows: FloatArray, _: int) -> None:
    loss.check_targets(rows)


def _check_penalties(problem: Problem) -> None:
    """Raise ValueError if a penalty cannot be applied to this network."""
    network, tangents = problem.network, problem.tangents
    n_hidden = network.n_layers - 1
    for penalty in problem.penalties:
        if not penalty.weight > 0:
            continue
        if isinstance(penalty, HiddenLayerPenalty):
            layers = network.hidden_with_weights if penalty.layers is None else penalty.layers
            if any(not 0 <= layer < n_hidden for layer in layers):
                raise ValueError(
                    f"{penalty.name} is set to act on the hidden layers {penalty.layers}, but this network has"
                    f" {counted(n_hidden, 'hidden layer')}; hidden layers are counted from 0."
                )
            for layer in layers:
                penalty.check_bounds(network.activations[layer].bounds)
        elif isinstance(penalty, JacobianPenalty):
            for found in network.layers[: penalty.penalised_layer(network.n_layers)]:
                activation = found.activation
                if not found.has_tangents:
                    raise ValueError(
                        f"{penalty.name} needs tangents, which cannot be propagated through the layer {_named(found)}."
                    )
                if not activation.twice_differentiable:
                    raise ValueError(
                        f"{penalty.name} needs the second derivative of the activation {activation.name!r}, which"
                        " the activation does not define; use 'sigmoid' or 'tanh', or define the second derivative."
                    )
            if penalty.needs_tangents and (tangents is None or tangents.shape[1] == 0):
                raise ValueError(
                    f"{penalty.name} needs tangents of every row, of shape (n_samples, n_tangents, n_features);"
                    " pass tangents=rhohat.image_tangents(X, image_shape) to the fit of a classifier or regressor, or"
                    " set the weight of the penalty (tangent_weight) to 0."
                )
        elif isinstance(penalty, WeightPenalty):
            if any(not -network.n_layers <= layer < network.n_layers for layer in penalty.layers or ()):
                raise ValueError(
                    f"{penalty.name} is set to act on the layers of weights {penalty.layers}, but this network has"
                    f" {counted(network.n_layers, 'layer')} of weights; layers are counted forwards from 0 or backwards"
                    " from -1."
                )
        else:
            raise ValueError(
                f"a penalty must be a WeightPenalty, MeanActivationPenalty, ActivationPenalty or JacobianPenalty; got"
                f" {penalty!r}."
            )
