"""The gated recurrent unit, which mixes its state with a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.layers.recurrent import Direction, State
from rhohat.layers.recurrent_tangents import RecurrentLayerWithTangents, Step

__all__ = ["GRULayer"]


@dataclass(frozen=True)
class GRULayer(RecurrentLayerWithTangents):
    """The gated recurrent unit, with a reset gate r, an update gate u and a candidate n.

    u, r = σ(x_t W_• + h_{t−1} U_• + b_•), n = tanh(x_t W_n + b_n + r ∘ (h_{t−1} U_n + b′_n)),
    h_t = (1 − u) ∘ n + u ∘ h_{t−1}. The reset gate is applied after the product with U_n, as libraries of today do, and
    not before it, as in the first paper. The columns of the weights of inputs are in the order n, u, r; those of the
    weights of h_{t−1} are in the order u, r, n; biases are in the order b_n, b_u, b_r, b′_n.

    Parameters
    ----------
    n_steps, n_channels, n_units, return_sequences, bidirectional, truncate
        See `RecurrentLayer`.

    References
    ----------
    Cho, K. et al. (2014). Learning phrase representations using RNN encoder-decoder for statistical machine
    translation. EMNLP.
    """

    n_gates: ClassVar[int] = 4
    input_gates: ClassVar[slice] = slice(0, 3)
    recurrent_gates: ClassVar[slice] = slice(1, 4)

    def step(self, at: Direction, x: FloatArray, state: State, kept: FloatArray) -> State:
        """Compute h_t, and keep n, u, r, h_{t−1} U_n + b′_n, and h_t."""
        ops, xp, k = self.ops, self.ops.xp, self.n_units
        (h,) = state
        if ops.gru_steps is not None:
            z, through = (ops.empty((len(h), 3 * k), ops.dtype_of(kept)) for _ in range(2))
            ops.multiply(ops.copy(x), at.W[: self.n_channels], z)
            ops.multiply(h, at.U, through)
            ops.add_row(through, at.b[k:])
            return (ops.gru_steps.step(z, through, at.b[:k], h, kept),)
        through = h @ at.U
        through += at.b[k:]
        z = x @ at.W[: self.n_channels]
        gates, candidate, recurrent = z[:, k:], z[:, :k], through[:, 2 * k :]
        gates += through[:, : 2 * k]
        self.ops.sigmoid(gates, gates)
        u, r = gates[:, :k], gates[:, k:]
        candidate += at.b[:k]
        candidate += r * recurrent
        xp.tanh(candidate, out=candidate)
        h = candidate + u * (h - candidate)
        kept[:, : 3 * k], kept[:, 3 * k : 4 * k], kept[:, 4 * k :] = z, recurrent, h
        return (h,)

    def step_back(
        self, at: Direction, kept: FloatArray, before: State, delta: State, out: FloatArray, gradient: FloatArray
    ) -> State:
        """Pull ∂J/∂h_t back to ∂J/∂z_t and, directly, to ∂J/∂h_{t−1}."""
        k = self.n_units
        if self.ops.gru_steps is not None:
            return (self.ops.gru_steps.step_back(kept, before[0], delta[0], out),)
        candidate, u, r, recurrent = (kept[:, j * k : (j + 1) * k] for j in range(4))
        of_candidate, of_u, of_r, of_recurrent = (out[:, j * k : (j + 1) * k] for j in range(4))
        of_h, h = delta[0], before[0]
        of_candidate[:] = of_h * (1 - u) * (1 - candidate * candidate)
        of_u[:] = of_h * (h - candidate) * u * (1 - u)
        of_r[:] = of_candidate * recurrent * r * (1 - r)
        of_recurrent[:] = of_candidate * r
        return (of_h * u,)

    def state_of(self, kept: FloatArray) -> State:
        """Return h_t."""
        return (kept[:, 4 * self.n_units :],)

    # The same along a tangent.

    def push_step(
        self, at: Direction, own: FloatArray, step: Step, before: State, zeta: FloatArray, out: FloatArray
    ) -> State:
        """Return the tangent of h_t = n + u ∘ (h_{t−1} − n)."""
        k = self.n_units
        candidate, u, r, recurrent = (step.kept[:, j * k : (j + 1) * k] for j in range(4))
        z_candidate_dot, z_u_dot, z_r_dot, recurrent_dot = (zeta[:, j * k : (j + 1) * k] for j in range(4))
        h, h_dot = step.before[0], before[0]
        u_dot = u * (1 - u) * z_u_dot
        r_dot = r * (1 - r) * z_r_dot
        candidate_dot = (1 - candidate * candidate) * (z_candidate_dot + r_dot * recurrent + r * recurrent_dot)
        after_dot = candidate_dot + u_dot * (h - candidate) + u * (h_dot - candidate_dot)
        for j, one in enumerate((candidate_dot, u_dot, r_dot, recurrent_dot, after_dot)):
            out[:, j * k : (j + 1) * k] = one
        return (after_dot,)

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
        """Write the tangent of ∂J/∂z_t, and return that of the part of ∂J/∂h_{t−1} that goes past the gates."""
        k = self.n_units
        candidate, u, r, recurrent = (step.kept[:, j * k : (j + 1) * k] for j in range(4))
        candidate_dot, u_dot, r_dot, recurrent_dot = (tangent.kept[:, j * k : (j + 1) * k] for j in range(4))
        (h,), (h_dot,), (of_h,), (of_h_dot,) = step.before, tangent.before, delta, delta_dot
        of_candidate = of_z[:, :k]
        of_candidate_dot, of_u_dot, of_r_dot, of_recurrent_dot = (out[:, j * k : (j + 1) * k] for j in range(4))
        of_candidate_dot[:] = (of_h_dot * (1 - u) - of_h * u_dot) * (1 - candidate * candidate)
        of_candidate_dot -= 2 * of_h * (1 - u) * candidate * candidate_dot
        of_u_dot[:] = (of_h_dot * (h - candidate) + of_h * (h_dot - candidate_dot)) * u * (1 - u)
        of_u_dot += of_h * (h - candidate) * (1 - 2 * u) * u_dot
        of_r_dot[:] = (of_candidate_dot * recurrent + of_candidate * recurrent_dot) * r * (1 - r)
        of_r_dot += of_candidate * recurrent * (1 - 2 * r) * r_dot
        of_recurrent_dot[:] = of_candidate_dot * r + of_candidate * r_dot
        return (of_h_dot * u + of_h * u_dot,)

    def push_state_of(self, kept: FloatArray, tangent: FloatArray) -> State:
        """Return the tangent of h_t."""
        return (tangent[:, 4 * self.n_units :],)
