"""The elementwise part of a step of a gated recurrent unit, forward and back, in one pass over the rows.

A row is computed in memory of its own, as in `lstm.py`.
"""

from __future__ import annotations

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.ops.compiled import loops
from rhohat.ops.compiled.compiling import compiled, inlined
from rhohat.ops.compiled.elementary import sigmoid_of, tanh_of

__all__ = ["gru_step", "gru_step_back"]


@inlined
def _gates(z: FloatArray, through: FloatArray, out: FloatArray) -> None:
    for k in range(out.size):
        out[k] = sigmoid_of(z[k] + through[k])


@inlined
def _candidate(z: FloatArray, b: FloatArray, r: FloatArray, recurrent: FloatArray, out: FloatArray) -> None:
    for k in range(out.size):
        out[k] = tanh_of(z[k] + b[k] + r[k] * recurrent[k])


@inlined
def _between(candidate: FloatArray, u: FloatArray, before: FloatArray, out: FloatArray) -> None:
    for k in range(out.size):
        out[k] = candidate[k] + u[k] * (before[k] - candidate[k])


@compiled
def gru_step(
    z: FloatArray, through: FloatArray, b: FloatArray, before: FloatArray, kept: FloatArray, h: FloatArray
) -> None:
    """Compute h_t, and keep n, u, r, the part of n that comes through h_{t−1}, and h_t.

    Parameters
    ----------
    z : array of shape (n_rows, 3 × n_units)
        x_t W for n, u and r.
    through : array of shape (n_rows, 3 × n_units)
        h_{t−1} U and its biases, for u, r and n.
    b : array of shape (n_units,)
        Biases of n.
    before : array of shape (n_rows, n_units)
        h_{t−1}.
    kept : array of shape (n_rows, 5 × n_units)
    h : array of shape (n_rows, n_units)
    """
    n = h.shape[1]
    gates, candidate = np.empty(2 * n, h.dtype), np.empty(n, h.dtype)
    for row in range(h.shape[0]):
        z_row, through_row, kept_row = z[row], through[row], kept[row]
        _gates(z_row[n:], through_row[: 2 * n], gates)
        _candidate(z_row[:n], b, gates[n:], through_row[2 * n :], candidate)
        _between(candidate, gates[:n], before[row], h[row])
        loops.copy(candidate, kept_row[:n])
        loops.copy(gates, kept_row[n : 3 * n])
        loops.copy(through_row[2 * n :], kept_row[3 * n : 4 * n])
        loops.copy(h[row], kept_row[4 * n :])


@inlined
def _of_candidate(of_h: FloatArray, u: FloatArray, candidate: FloatArray, out: FloatArray) -> None:
    one = of_h.dtype.type(1)
    for k in range(out.size):
        out[k] = of_h[k] * (one - u[k]) * (one - candidate[k] * candidate[k])


@inlined
def _of_u(of_h: FloatArray, before: FloatArray, candidate: FloatArray, u: FloatArray, out: FloatArray) -> None:
    for k in range(out.size):
        out[k] = of_h[k] * (before[k] - candidate[k]) * (u[k] - u[k] * u[k])


@inlined
def _of_r(of_candidate: FloatArray, recurrent: FloatArray, r: FloatArray, out: FloatArray) -> None:
    for k in range(out.size):
        out[k] = of_candidate[k] * recurrent[k] * (r[k] - r[k] * r[k])


@compiled
def gru_step_back(kept: FloatArray, before: FloatArray, of_h: FloatArray, out: FloatArray, earlier: FloatArray) -> None:
    """Pull ∂J/∂h_t back to ∂J/∂z_t, of shape (n_rows, 4 × n_units), and, past the gates, to ∂J/∂h_{t−1}.

    Parameters
    ----------
    kept : array of shape (n_rows, 5 × n_units)
        What `gru_step` has kept.
    before, of_h : arrays of shape (n_rows, n_units)
        h_{t−1} and ∂J/∂h_t.
    out : array of shape (n_rows, 4 × n_units)
        Receives the derivatives by n, u, r and the part of n that comes through h_{t−1}.
    earlier : array of shape (n_rows, n_units)
    """
    n = of_h.shape[1]
    room = np.empty(4 * n, of_h.dtype)
    for row in range(of_h.shape[0]):
        loops.copy(kept[row, : 4 * n], room)
        candidate, u, r, recurrent = room[:n], room[n : 2 * n], room[2 * n : 3 * n], room[3 * n :]
        of_z, of_row = out[row], of_h[row]
        _of_candidate(of_row, u, candidate, of_z[:n])
        _of_u(of_row, before[row], candidate, u, of_z[n : 2 * n])
        _of_r(of_z[:n], recurrent, r, of_z[2 * n : 3 * n])
        loops.multiply(of_z[:n], r, of_z[3 * n :])
        loops.multiply(of_row, u, earlier[row])
