"""The long short-term memory, whose cells keep a state that gates write to, erase and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers.recurrent import Direction, State
from rhohat.layers.recurrent_tangents import RecurrentLayerWithTangents, Step

__all__ = ["LSTMLayer"]


@dataclass(frozen=True)
class LSTMLayer(RecurrentLayerWithTangents):
    """The long short-term memory, with input, forget and output gates i, f, o, block input g, and cells c.

    i, f, o = σ(x_t W_• + h_{t−1} U_• + p_• ∘ c_• + b_•), g = tanh(x_t W_g + h_{t−1} U_g + b_g),
    c_t = f ∘ c_{t−1} + i ∘ g, h_t = o ∘ tanh(c_t). The peepholes p are optional: those of i and f see c_{t−1}, and
    those of o see c_t. Weights and biases are in the order i, f, o, g. The biases of f are 1 at the start, so that
    cells remember at first.

    Parameters
    ----------
    n_steps, n_channels, n_units, return_sequences, bidirectional, truncate
        See `RecurrentLayer`.
    peepholes : bool, default=False
        Whether gates see the cells.

    References
    ----------
    Hochreiter, S. and Schmidhuber, J. (1997). Long short-term memory. Neural Computation 9, 1735-1780.
    Gers, F. A., Schraudolph, N. N. and Schmidhuber, J. (2002). Learning precise timing with LSTM recurrent networks.
    Journal of Machine Learning Research 3, 115-143 (peepholes).
    Greff, K. et al. (2015). LSTM: a search space odyssey. arXiv:1503.04069.
    """

    peepholes: bool = False
    n_gates: ClassVar[int] = 4
    input_gates: ClassVar[slice] = slice(4)
    recurrent_gates: ClassVar[slice] = slice(4)
    n_state: ClassVar[int] = 2

    @property
    def n_own_of_unit(self) -> int:  # type: ignore[override]
        """Number of peepholes of each unit: one for each gate."""
        return 3 if self.peepholes else 0

    def initial_biases(self) -> FloatArray:
        """Return biases of 1 for forget gates, else 0."""
        biases = np.zeros((self.n_directions, self.n_gates, self.n_units))
        biases[:, 1] = 1
        return biases.reshape(-1)

    def step(self, at: Direction, x: FloatArray, state: State, kept: FloatArray) -> State:
        """Compute h_t and c_t, and keep the gates, g and c_t."""
        ops, xp, n = self.ops, self.ops.xp, self.n_units
        h, c = state
        if ops.lstm_steps is not None:
            z = ops.empty((len(h), 4 * n), ops.dtype_of(kept))
            ops.multiply(xp.concatenate([x, h], 1), at.W, z)
            return ops.lstm_steps.step(z, at.b, c, at.own, kept)
        z = kept[:, : 4 * n]
        ops.multiply(xp.concatenate([x, h], 1), at.W, z)
        z += at.b
        i, f, o, g = (z[:, k * n : (k + 1) * n] for k in range(4))
        if self.peepholes:
            p_i, p_f, p_o = at.own.reshape(3, n)
            i += p_i * c
            f += p_f * c
            ops.sigmoid(z[:, : 2 * n], z[:, : 2 * n])
        else:
            ops.sigmoid(z[:, : 3 * n], z[:, : 3 * n])
        xp.tanh(g, out=g)
        c = f * c
        c += i * g
        if self.peepholes:
            o += p_o * c
            ops.sigmoid(o, o)
        kept[:, 4 * n :] = c
        h = xp.tanh(c)
        h *= o
        return h, c

    def step_back(
        self, at: Direction, kept: FloatArray, before: State, delta: State, out: FloatArray, gradient: FloatArray
    ) -> State:
        """Pull ∂J/∂h_t and ∂J/∂c_t back to ∂J/∂z_t and ∂J/∂c_{t−1}."""
        n = self.n_units
        of_h, of_c = delta
        if self.ops.lstm_steps is not None and not self.peepholes:
            earlier = self.ops.lstm_steps.step_back(kept, before[1], of_h, of_c, out)
            return self.first_state(len(kept), kept)[0], earlier
        i, f, o, g, c = (kept[:, k * n : (k + 1) * n] for k in range(5))
        of_i, of_f, of_o, of_g = (out[:, k * n : (k + 1) * n] for k in range(4))
        tanh_c = self.ops.xp.tanh(c)
        of_o[:] = of_h * tanh_c * o * (1 - o)
        of_c = of_c + of_h * o * (1 - tanh_c * tanh_c)
        if self.peepholes:
            p_i, p_f, p_o = at.own.reshape(3, n)
            of_c += of_o * p_o
        of_i[:] = of_c * g * i * (1 - i)
        of_f[:] = of_c * before[1] * f * (1 - f)
        of_g[:] = of_c * i * (1 - g * g)
        earlier = of_c * f
        if self.peepholes:
            earlier += of_i * p_i
            earlier += of_f * p_f
            peepholes = gradient.reshape(3, n)
            for row, of_gate, seen in zip(peepholes, (of_i, of_f, of_o), (before[1], before[1], c), strict=True):
                row += self.ops.column_sums(of_gate * seen)
        return self.first_state(len(kept), kept)[0], earlier

    def state_of(self, kept: FloatArray) -> State:
        """Return h_t and c_t."""
        n = self.n_units
        if self.ops.lstm_steps is not None:
            return self.ops.lstm_steps.state(kept, n)
        c = kept[:, 4 * n :]
        h = self.ops.xp.tanh(c)
        h *= kept[:, 2 * n : 3 * n]
        return h, c

    # The same along a tangent.

    def push_step(
        self, at: Direction, own: FloatArray, step: Step, before: State, zeta: FloatArray, out: FloatArray
    ) -> State:
        """Return the tangents of h_t and c_t."""
        n = self.n_units
        i, f, o, g, c = (step.kept[:, k * n : (k + 1) * n] for k in range(5))
        z_i_dot, z_f_dot, z_o_dot, z_g_dot = (zeta[:, k * n : (k + 1) * n] for k in range(4))
        c_before, c_before_dot = step.before[1], before[1]
        (p_i, p_f, p_o), (p_i_dot, p_f_dot, p_o_dot) = self._peepholes(at.own), self._peepholes(own)
        if self.peepholes:
            z_i_dot += p_i * c_before_dot + p_i_dot * c_before
            z_f_dot += p_f * c_before_dot + p_f_dot * c_before
        i_dot = i * (1 - i) * z_i_dot
        f_dot = f * (1 - f) * z_f_dot
        g_dot = (1 - g * g) * z_g_dot
        c_dot = f_dot * c_before + f * c_before_dot + i_dot * g + i * g_dot
        if self.peepholes:
            z_o_dot += p_o * c_dot + p_o_dot * c
        o_dot = o * (1 - o) * z_o_dot
        for k, one in enumerate((i_dot, f_dot, o_dot, g_dot, c_dot)):
            out[:, k * n : (k + 1) * n] = one
        return self.push_state_of(step.kept, out)

    def push_step_back(
        self,
        at: Direction,
        own: FloatArray,
        step: Step,
        tangent: Step,
        delta: State,
        delta_dot: State,
        of_z: FloatArray,
        out: FloatArray,
        gradient: FloatArray,
    ) -> State:
        """Write the tangent of ∂J/∂z_t, and return that of ∂J/∂c_{t−1}."""
        n = self.n_units
        i, f, o, g, c = (step.kept[:, k * n : (k + 1) * n] for k in range(5))
        i_dot, f_dot, o_dot, g_dot, c_dot = (tangent.kept[:, k * n : (k + 1) * n] for k in range(5))
        c_before, c_before_dot = step.before[1], tangent.before[1]
        (of_h, of_c), (of_h_dot, of_c_dot) = delta, delta_dot
        of_i_dot, of_f_dot, of_o_dot, of_g_dot = (out[:, k * n : (k + 1) * n] for k in range(4))
        of_i, of_f, of_o, _ = (of_z[:, k * n : (k + 1) * n] for k in range(4))
        (p_i, p_f, p_o), (p_i_dot, p_f_dot, p_o_dot) = self._peepholes(at.own), self._peepholes(own)
        tanh_c = self.ops.xp.tanh(c)
        slope = 1 - tanh_c * tanh_c
        tanh_c_dot = slope * c_dot
        slope_dot = -2 * tanh_c * tanh_c_dot
        of_o_dot[:] = (of_h_dot * tanh_c + of_h * tanh_c_dot) * o * (1 - o) + of_h * tanh_c * (1 - 2 * o) * o_dot
        of_c_dot = of_c_dot + of_h_dot * o * slope + of_h * (o_dot * slope + o * slope_dot)
        of_c = of_c + of_h * o * slope
        if self.peepholes:
            of_c_dot += of_o_dot * p_o + of_o * p_o_dot
            of_c += of_o * p_o
        of_i_dot[:] = (of_c_dot * g + of_c * g_dot) * i * (1 - i) + of_c * g * (1 - 2 * i) * i_dot
        of_f_dot[:] = (of_c_dot * c_before + of_c * c_before_dot) * f * (1 - f) + of_c * c_before * (1 - 2 * f) * f_dot
        of_g_dot[:] = (of_c_dot * i + of_c * i_dot) * (1 - g * g) - 2 * of_c * i * g * g_dot
        earlier_dot = of_c_dot * f + of_c * f_dot
        if self.peepholes:
            earlier_dot += of_i_dot * p_i + of_i * p_i_dot
            earlier_dot += of_f_dot * p_f + of_f * p_f_dot
            of_i_p, of_f_p, of_o_p = gradient.reshape(3, n)
            of_i_p += self.ops.column_sums(of_i_dot * c_before + of_i * c_before_dot)
            of_f_p += self.ops.column_sums(of_f_dot * c_before + of_f * c_before_dot)
            of_o_p += self.ops.column_sums(of_o_dot * c + of_o * c_dot)
        return self.first_state(len(c), c)[0], earlier_dot

    def push_state_of(self, kept: FloatArray, tangent: FloatArray) -> State:
        """Return the tangents of h_t = o ∘ tanh(c_t) and of c_t."""
        n = self.n_units
        tanh_c, o = self.ops.xp.tanh(kept[:, 4 * n :]), kept[:, 2 * n : 3 * n]
        o_dot, c_dot = tangent[:, 2 * n : 3 * n], tangent[:, 4 * n :]
        return o_dot * tanh_c + o * (1 - tanh_c * tanh_c) * c_dot, c_dot

    def _peepholes(self, own: FloatArray) -> tuple[FloatArray, ...]:
        """Return the peepholes of i, f and o; empty arrays if there are none."""
        p_i, p_f, p_o = own.reshape(3, -1) if self.peepholes else (own, own, own)
        return p_i, p_f, p_o
