"""What counts of hidden layers whose rows are sequences: the steps that exist, and no padding."""

from __future__ import annotations

from rhohat.common.arrays import FloatArray
from rhohat.layers.chain import Chain
from rhohat.layers.padding import missing_steps, write_zeros
from rhohat.ops import ops_of
from rhohat.terms.penalties import ActivationPenalty

__all__ = ["existing_steps", "layers_with_steps", "penalise_steps", "tangent_of_penalty"]


def layers_with_steps(network: Chain, depth: int) -> list[tuple[int, int]]:
    """Return which of the first `depth` layers have steps that may be missing in a row, and their numbers of steps."""
    n_steps = [layer.n_padded_steps for layer in network.layers[:depth]]
    return [(index, number) for index, number in enumerate(n_steps) if number is not None]


def existing_steps(a: FloatArray, n_steps: int) -> FloatArray:
    """Return which steps of activations exist, of shape (n_rows, n_steps)."""
    exists: FloatArray = ~ops_of(a).xp.isnan(a.reshape(len(a), n_steps, -1)[:, :, 0])
    return exists


def penalise_steps(penalty: ActivationPenalty, a: FloatArray, n_steps: int | None) -> tuple[FloatArray, FloatArray]:
    """Return the value of a penalty on activations, and its derivative; missing steps do not count.

    Parameters
    ----------
    penalty : ActivationPenalty
    a : array of shape (n_rows, n_units)
        Activations of a layer.
    n_steps : int or None
        Number of steps of the layer; None if it has no steps.

    Returns
    -------
    value : array of shape (n_rows,)
        Value for each row: with missing steps, the sum over the others.
    derivative : array of shape (n_rows, n_units)
        Derivative by the activations, which is 0 at missing steps.
    """
    if n_steps is None or missing_steps(a, n_steps) is None:
        return penalty.value(a), penalty.derivative(a)
    ops, exists = ops_of(a), existing_steps(a, n_steps)
    steps = a.reshape(len(a), n_steps, -1)[exists]
    values, derivative = (ops.zeros(shape, ops.dtype_of(a)) for shape in (exists.shape, a.shape))
    values[exists] = penalty.value(steps)
    derivative.reshape(len(a), n_steps, -1)[exists] = penalty.derivative(steps)
    return values.sum(1), derivative


def tangent_of_penalty(penalty: ActivationPenalty, a: FloatArray, alpha: FloatArray, n_steps: int | None) -> FloatArray:
    """Return the tangent of the derivative of a penalty on activations, which is 0 at missing steps.

    Parameters
    ----------
    penalty : ActivationPenalty
    a, alpha : arrays of shape (n_rows, n_units)
        Activations of a layer, and their tangents.
    n_steps : int or None
        Number of steps of the layer; None if it has no steps.

    Returns
    -------
    array of shape (n_rows, n_units)
    """
    tangent: FloatArray = penalty.second_derivative(a) * alpha
    if n_steps is not None:
        write_zeros(tangent, missing_steps(a, n_steps))
    return tangent
