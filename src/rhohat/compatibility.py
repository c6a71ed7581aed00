"""Whether network, loss, penalties and rows fit together: asked before any work is done."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from rhohat.arrays import FloatArray
from rhohat.blocks import Rows, in_memory
from rhohat.jacobian_penalties import JacobianPenalty
from rhohat.losses import Loss
from rhohat.network import Network
from rhohat.penalties import ActivationPenalty, HiddenLayerPenalty, MeanActivationPenalty, Penalty, WeightPenalty

__all__ = ["check_problem", "check_second_derivatives", "check_tangents"]


def check_problem(
    network: Network,
    loss: Loss,
    penalties: Sequence[Penalty],
    X: FloatArray | Rows,
    y: FloatArray | Rows,
    sample_weight: FloatArray | None = None,
    tangents: FloatArray | None = None,
) -> None:
    """Raise ValueError where network, loss, penalties and rows do not fit together; see `Objective`."""
    _check_rows(network, X, y, sample_weight, tangents)
    _check_loss(network, loss, y)
    _check_penalties(network, [penalty for penalty in penalties if penalty.weight > 0], tangents)


def check_second_derivatives(network: Network, loss: Loss, penalties: Sequence[Penalty]) -> None:
    """Raise ValueError where a Hessian-vector product would need a derivative that a part of J does not bring."""
    advice = "use solver='lbfgs' or 'conjugate_gradient', which need the gradient only."
    for activation in network.activations:
        if not activation.twice_differentiable:
            raise ValueError(f"the activation {activation.name!r} has no second derivative; {advice}")
    inherited = {
        Loss.second_derivative,
        MeanActivationPenalty.second_derivative,
        ActivationPenalty.second_derivative,
        WeightPenalty.add_hessian_product,
    }
    for part in (loss, *(penalty for penalty in penalties if penalty.weight > 0)):
        if isinstance(part, JacobianPenalty):
            for activation in network.activations[: part.penalised_layer(network.n_layers)]:
                if not activation.thrice_differentiable:
                    raise ValueError(
                        f"{part.name} takes the third derivative of the activation {activation.name!r} here, which it"
                        f" does not have; {advice}"
                    )
            continue
        method = "add_hessian_product" if isinstance(part, WeightPenalty) else "second_derivative"
        if getattr(type(part), method) in inherited:
            raise ValueError(f"{type(part).__name__} has no second derivative; {advice}")


def _check_rows(
    network: Network,
    X: FloatArray | Rows,
    y: FloatArray | Rows,
    sample_weight: FloatArray | None,
    tangents: FloatArray | None,
) -> None:
    """Raise ValueError where inputs, targets, weights, tangents and network do not fit."""
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
    if sample_weight is not None:
        if sample_weight.shape != X.shape[:1]:
            raise ValueError(
                f"sample_weight must have the shape ({X.shape[0]},), a weight for every row of X; got"
                f" {sample_weight.shape}."
            )
        if not (np.all(np.isfinite(sample_weight)) and np.min(sample_weight) >= 0 and np.sum(sample_weight) > 0):
            raise ValueError("sample_weight must be finite and at least 0, and not 0 for every row.")
    if tangents is not None:
        check_tangents(X, tangents)


def check_tangents(X: FloatArray | Rows, tangents: FloatArray) -> None:
    """Raise ValueError where tangents do not fit rows."""
    if tangents.ndim != 3 or (tangents.shape[0], tangents.shape[2]) != X.shape:
        raise ValueError(
            f"tangents must have the shape ({X.shape[0]}, n_tangents, {X.shape[1]}), vectors like the rows of X for"
            f" every row of X; got {tangents.shape}."
        )
    if tangents.dtype != X.dtype:
        raise ValueError(f"tangents must be {X.dtype} as X is; got {tangents.dtype}.")


def _check_loss(network: Network, loss: Loss, y: FloatArray | Rows) -> None:
    """Raise ValueError where the loss does not fit the output activation or the targets."""
    output = network.activations[-1].name
    if loss.contains not in (None, output):
        raise ValueError(
            f"loss {loss.name!r} needs output_activation={loss.contains!r}, and the output activation is {output!r};"
            " set it, or use loss='squared_error', which takes any."
        )
    if in_memory(y):
        loss.check_targets(y)
    elif type(loss).check_targets is not Loss.check_targets:
        assert not isinstance(y, np.ndarray)
        for _ in y.map_blocks(partial(_check_targets, loss)):
            pass


def _check_targets(loss: Loss, rows: FloatArray, _: int) -> None:
    loss.check_targets(rows)


def _check_penalties(network: Network, penalties: Sequence[Penalty], tangents: FloatArray | None) -> None:
    """Raise ValueError where a penalty cannot act on this network."""
    n_hidden = network.n_layers - 1
    for penalty in penalties:
        if isinstance(penalty, HiddenLayerPenalty):
            layers = range(n_hidden) if penalty.layers is None else penalty.layers
            if any(not 0 <= layer < n_hidden for layer in layers):
                raise ValueError(
                    f"{penalty.name} is to act on the hidden layers {penalty.layers}, and this network has"
                    f" {n_hidden}, counted from 0."
                )
            for layer in layers:
                penalty.check_bounds(network.activations[layer].bounds)
        elif isinstance(penalty, JacobianPenalty):
            for activation in network.activations[: penalty.penalised_layer(network.n_layers)]:
                if not activation.twice_differentiable:
                    raise ValueError(
                        f"{penalty.name} needs the second derivative of the activation {activation.name!r}, which it"
                        " does not define; use 'sigmoid' or 'tanh', or define it."
                    )
            if penalty.needs_tangents and (tangents is None or tangents.shape[1] == 0):
                raise ValueError(
                    f"{penalty.name} needs tangents of every row, of shape (n_samples, n_tangents, n_features): give"
                    " them to the fit of a classifier or regressor, as tangents=rhohat.image_tangents(X, image_shape),"
                    " or set the weight of the penalty (tangent_weight) to 0."
                )
        elif isinstance(penalty, WeightPenalty):
            if any(not -network.n_layers <= layer < network.n_layers for layer in penalty.layers or ()):
                raise ValueError(
                    f"{penalty.name} is to act on the layers of weights {penalty.layers}, and this network has"
                    f" {network.n_layers}, counted from 0, or backwards from -1."
                )
        else:
            raise ValueError(
                f"a penalty must be a WeightPenalty, MeanActivationPenalty, ActivationPenalty or JacobianPenalty; got"
                f" {penalty!r}."
            )
