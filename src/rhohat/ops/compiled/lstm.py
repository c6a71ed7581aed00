"""The elementwise part of a step of a long short-term memory, forward and back, in one pass over the rows.

What a layer keeps of a step is a slice of a larger array, whose rows do not follow one another. A row is therefore
computed in memory of its own, in short loops that each write to one array, and then copied.
"""

from __future__ import annotations

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.ops.compiled import loops
from rhohat.ops.compiled.compiling import compiled, inlined
from rhohat.ops.compiled.elementary import sigmoid_of, tanh_of

__all__ = ["lstm_state", "lstm_step", "lstm_step_back"]


@inlined
def _add_product(x: FloatArray, y: FloatArray, out: FloatArray) -> None:
    for k in range(out.size):
        out[k] += x[k] * y[k]


@inlined
def _sigmoid(z: FloatArray, b: FloatArray, out: FloatArray) -> None:
    for k in range(out.size):
        out[k] = sigmoid_of(z[k] + b[k])


@inlined
def _tanh(z: FloatArray, b: FloatArray, out: FloatArray) -> None:
    for k in range(out.size):
        out[k] = tanh_of(z[k] + b[k])


@inlined
def _next_c(i: FloatArray, f: FloatArray, g: FloatArray, c: FloatArray, out: FloatArray) -> None:
    for k in range(out.size):
        out[k] = f[k] * c[k] + i[k] * g[k]


@inlined
def _next_h(o: FloatArray, c: FloatArray, out: FloatArray) -> None:
    for k in range(out.size):
        out[k] = o[k] * tanh_of(c[k])


@compiled
def lstm_step(
    z: FloatArray,
    b: FloatArray,
    c_before: FloatArray,
    p: FloatArray,
    kept: FloatArray,
    h: FloatArray,
    c: FloatArray,
) -> None:
    """Compute h_t and c_t, and keep the gates i, f and o, then g, then c_t.

    Parameters
    ----------
    z : array of shape (n_rows, 4 × n_units)
        x_t W + h_{t−1} U; its content may be overwritten.
    b : array of shape (4 × n_units,)
    c_before : array of shape (n_rows, n_units)
        c_{t−1}.
    p : array of shape (3 × n_units,), or (0,)
        Peepholes of i, f and o.
    kept : array of shape (n_rows, 5 × n_units)
    h, c : arrays of shape (n_rows, n_units)
        Receive h_t and c_t.
    """
    n = h.shape[1]
    gates, g = np.empty(3 * n, h.dtype), np.empty(n, h.dtype)
    for row in range(h.shape[0]):
        z_row, before, new_c = z[row], c_before[row], c[row]
        if p.size > 0:
            _add_product(p[:n], before, z_row[:n])
            _add_product(p[n : 2 * n], before, z_row[n : 2 * n])
        _sigmoid(z_row[: 2 * n], b[: 2 * n], gates[: 2 * n])
        _tanh(z_row[3 * n :], b[3 * n :], g)
        _next_c(gates[:n], gates[n : 2 * n], g, before, new_c)
        if p.size > 0:
            _add_product(p[2 * n :], new_c, z_row[2 * n : 3 * n])
        _sigmoid(z_row[2 * n : 3 * n], b[2 * n : 3 * n], gates[2 * n :])
        _next_h(gates[2 * n :], new_c, h[row])
        kept_row = kept[row]
        loops.copy(gates, kept_row[: 3 * n])
        loops.copy(g, kept_row[3 * n : 4 * n])
        loops.copy(new_c, kept_row[4 * n :])


@compiled
def lstm_state(kept: FloatArray, h: FloatArray, c: FloatArray) -> None:
    """Write h_t and c_t, of shape (n_rows, n_units), from what `lstm_step` has kept."""
    n = h.shape[1]
    o = np.empty(n, h.dtype)
    for row in range(h.shape[0]):
        kept_row = kept[row]
        loops.copy(kept_row[2 * n : 3 * n], o)
        loops.copy(kept_row[4 * n :], c[row])
        _next_h(o, c[row], h[row])


@inlined
def _of_o_and_c(of_h: FloatArray, o: FloatArray, c: FloatArray, of_o: FloatArray, of_c: FloatArray) -> None:
    """Write ∂J/∂z of the gate o, and add ∂J/∂c_t through h_t."""
    one = of_h.dtype.type(1)
    for k in range(of_o.size):
        tanh_c = tanh_of(c[k])
        through = of_h[k] * o[k]
        of_o[k] = through * (one - o[k]) * tanh_c
        of_c[k] += through * (one - tanh_c * tanh_c)


@inlined
def _of_gate(of_c: FloatArray, factor: FloatArray, gate: FloatArray, out: FloatArray) -> None:
    """Write ∂J/∂z of a gate, a sigmoid, whose product with a factor is a part of c_t."""
    for k in range(out.size):
        out[k] = of_c[k] * factor[k] * (gate[k] - gate[k] * gate[k])


@inlined
def _of_g(of_c: FloatArray, i: FloatArray, g: FloatArray, out: FloatArray) -> None:
    one = of_c.dtype.type(1)
    for k in range(out.size):
        out[k] = of_c[k] * i[k] * (one - g[k] * g[k])


@compiled
def lstm_step_back(
    kept: FloatArray,
    c_before: FloatArray,
    of_h: FloatArray,
    of_c: FloatArray,
    out: FloatArray,
    earlier: FloatArray,
) -> None:
    """Pull ∂J/∂h_t and ∂J/∂c_t back to ∂J/∂z_t and ∂J/∂c_{t−1}, without peepholes.

    Parameters
    ----------
    kept : array of shape (n_rows, 5 × n_units)
        What `lstm_step` has kept.
    c_before, of_h, of_c : arrays of shape (n_rows, n_units)
        c_{t−1}, ∂J/∂h_t and ∂J/∂c_t.
    out : array of shape (n_rows, 4 × n_units)
        Receives ∂J/∂z_t.
    earlier : array of shape (n_rows, n_units)
        Receives ∂J/∂c_{t−1}.
    """
    n = of_h.shape[1]
    room, total = np.empty(5 * n, of_h.dtype), np.empty(n, of_h.dtype)
    for row in range(of_h.shape[0]):
        loops.copy(kept[row], room)
        loops.copy(of_c[row], total)
        i, f, o, g, c = room[:n], room[n : 2 * n], room[2 * n : 3 * n], room[3 * n : 4 * n], room[4 * n :]
        of_z = out[row]
        _of_o_and_c(of_h[row], o, c, of_z[2 * n : 3 * n], total)
        _of_gate(total, g, i, of_z[:n])
        _of_gate(total, c_before[row], f, of_z[n : 2 * n])
        _of_g(total, i, g, of_z[3 * n :])
        loops.multiply(total, f, earlier[row])
