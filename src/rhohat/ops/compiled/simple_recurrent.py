"""The elementwise part of a step of a simple recurrent layer, forward and back, in one pass over the rows.

A row is computed in memory of its own, as in `lstm.py`.
"""

from __future__ import annotations

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.ops.compiled import loops
from rhohat.ops.compiled.compiling import compiled, inlined

__all__ = ["ACTIVATIONS", "simple_step", "simple_step_back"]

#: The activations that steps know; their places are the codes by which they are chosen.
ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu")

_IDENTITY, _SIGMOID, _TANH, _RELU = range(4)


@inlined
def _add_to(x: FloatArray, y: FloatArray, out: FloatArray) -> None:
    for k in range(out.size):
        out[k] = x[k] + y[k]


@compiled
def simple_step(code: int, z: FloatArray, through: FloatArray, b: FloatArray, kept: FloatArray) -> None:
    """Overwrite z with h_t, and keep z_t and h_t.

    Parameters
    ----------
    code : int
        Place of the activation in `ACTIVATIONS`.
    z, through : arrays of shape (n_rows, n_units)
        x_t W and h_{t−1} U.
    b : array of shape (n_units,)
    kept : array of shape (n_rows, 2 × n_units)
    """
    n = z.shape[1]
    for row in range(z.shape[0]):
        h, kept_row = z[row], kept[row]
        loops.add(h, through[row])
        _add_to(h, b, kept_row[:n])
        if code == _SIGMOID:
            loops.sigmoid_with_bias(h, b)
        elif code == _TANH:
            loops.tanh_with_bias(h, b)
        elif code == _RELU:
            loops.relu_with_bias(h, b)
        else:
            loops.add(h, b)
        loops.copy(h, kept_row[n:])


@compiled
def simple_step_back(code: int, kept: FloatArray, of_h: FloatArray, out: FloatArray) -> None:
    """Write ∂J/∂z_t into `out`.

    Parameters
    ----------
    code : int
        Place of the activation in `ACTIVATIONS`.
    kept : array of shape (n_rows, 2 × n_units)
        What `simple_step` has kept.
    of_h, out : arrays of shape (n_rows, n_units)
        ∂J/∂h_t, and what receives ∂J/∂z_t.
    """
    n = out.shape[1]
    h = np.empty(n, out.dtype)
    for row in range(out.shape[0]):
        of_z = out[row]
        loops.copy(of_h[row], of_z)
        loops.copy(kept[row, n:], h)
        if code == _SIGMOID:
            loops.sigmoid_pull_back(h, of_z)
        elif code == _TANH:
            loops.tanh_pull_back(h, of_z)
        elif code == _RELU:
            loops.relu_pull_back(h, of_z)
