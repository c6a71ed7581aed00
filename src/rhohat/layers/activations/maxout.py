"""Maxout: units that are the largest of several linear pieces."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import ClassVar

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations.base import Activation, Units

__all__ = ["Maxout"]


@dataclass(frozen=True)
class Maxout(Activation):
    """Maxout units: a_j = max_p z_pj, the largest of the linear pieces of unit j.

    Each piece is a pre-activation with its own weights and bias. The columns of z hold piece 0 of all units, then piece
    1 of all units, and so on. The derivative goes to the largest piece, or to the first of several equally large ones.

    Parameters
    ----------
    n_pieces : int, default=2
        Number of linear pieces per unit, at least 2.

    References
    ----------
    Goodfellow, I. J., Warde-Farley, D., Mirza, M., Courville, A. and Bengio, Y. (2013). Maxout networks. ICML.

    Examples
    --------
    >>> z, a = np.array([[1.0, 2.0, 3.0, -4.0]]), np.empty((1, 2))
    >>> Maxout(n_pieces=2).forward(Units(z, a, np.empty(0)))
    >>> a
    array([[3., 2.]])
    """

    n_pieces: int = 2
    name: ClassVar[str] = "maxout"
    bounds: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    in_place: ClassVar[bool] = False
    monotonic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (isinstance(self.n_pieces, Integral) and self.n_pieces >= 2):
            raise ValueError(f"n_pieces of maxout must be an integer, at least 2; got {self.n_pieces!r}.")

    def width(self, n_units: int) -> int:
        """Return the number of pre-activations, n_pieces times n_units."""
        return self.n_pieces * n_units

    def distance_from_kinks(self, z: FloatArray) -> float:
        """Return the smallest difference between the two largest pieces of any unit."""
        pieces = np.sort(z.reshape(len(z), self.n_pieces, -1), axis=1)
        return float(np.min(pieces[:, -1] - pieces[:, -2]))

    def forward(self, units: Units) -> None:
        """Write the largest piece of each unit into a."""
        z, a = units.z, units.a
        xp = self.ops.xp
        first, *others = self._pieces(z)
        a[:] = first
        for piece in others:
            xp.maximum(a, piece, out=a)

    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Write delta into the columns of out that belong to the largest piece, and 0 into the others."""
        xp = self.ops.xp
        for piece, piece_out in zip(self._pieces(units.z), self._pieces(out), strict=True):
            xp.multiply(delta, piece == units.a, out=piece_out)
            delta -= piece_out  # so that an equally large later piece gets nothing

    def push_forward(self, units: Units, beta: FloatArray, direction: FloatArray | None) -> FloatArray:
        """Return the tangent of a: for each unit, the tangent of its largest piece, taken from beta."""
        z, a = units.z, units.a
        xp = self.ops.xp
        alpha, free = xp.zeros_like(a), xp.ones_like(a)
        for piece, piece_beta in zip(self._pieces(z), self._pieces(beta), strict=True):
            chosen = free * (piece == a)
            alpha += piece_beta * chosen
            free -= chosen
        return alpha

    def curvature(
        self, units: Units, phi: FloatArray, beta: FloatArray, direction: FloatArray | None, gradient: FloatArray
    ) -> FloatArray:
        """Return zeros: the pieces are linear."""
        return self.ops.xp.zeros_like(units.z)

    def second_push_forward(
        self, units: Units, beta: FloatArray, zeta: FloatArray, direction: FloatArray | None
    ) -> FloatArray:
        """Return zeros: the pieces are linear."""
        return self.ops.xp.zeros_like(units.a)

    def third_order(self, units: Units, phi: FloatArray, beta: FloatArray, zeta: FloatArray) -> FloatArray:
        """Return zeros: the pieces are linear."""
        return self.ops.xp.zeros_like(units.z)

    def _pieces(self, z: FloatArray) -> list[FloatArray]:
        """Return the columns of z that belong to each piece, as views."""
        n_units = z.shape[1] // self.n_pieces
        return [z[:, p * n_units : (p + 1) * n_units] for p in range(self.n_pieces)]
