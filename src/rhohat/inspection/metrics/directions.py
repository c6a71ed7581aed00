"""Comparison of the directions and the norms of rows with those of their reconstructions, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray

__all__ = ["Directions"]

_SAFE = 1e-140  # if a norm is between this and its inverse, no square overflows, and none that matters underflows


@dataclass(frozen=True)
class Directions:
    """Means over the rows x that are not zero, whatever their reconstructions x̂ are.

    Attributes
    ----------
    n_rows : int
        Number of rows that are not zero.
    mean_cosine : float
        Mean of ⟨x, x̂⟩ / (‖x‖ ‖x̂‖), which counts as 0 where x̂ is zero.
    norm_ratio : float
        Mean of ‖x̂‖ / ‖x‖.
    """

    n_rows: int = 0
    mean_cosine: float = 0.0
    norm_ratio: float = 0.0

    @classmethod
    def of(cls, rows: FloatArray, made: FloatArray) -> Self:
        """Compare float64 rows with their reconstructions."""
        not_zero = rows.any(axis=1)
        if not not_zero.all():
            rows, made = rows[not_zero], made[not_zero]
        if len(rows) == 0:
            return cls()
        with np.errstate(all="ignore"):  # a ratio may be too large for a float64
            cosine, ratio, are_safe = _compare(rows, made)
            if not are_safe.all():
                (units, largest), (made_units, made_largest) = (_scaled(part[~are_safe]) for part in (rows, made))
                cosine[~are_safe], of_units, _ = _compare(units, made_units)
                ratio[~are_safe] = made_largest / largest * of_units
        return cls(len(rows), float(cosine.clip(-1, 1).mean()), float((ratio / len(rows)).sum()))

    def merged(self, other: Directions) -> Directions:
        """Return the means over the rows of both."""
        n_rows = self.n_rows + other.n_rows
        if not self.n_rows or not other.n_rows:
            return self if self.n_rows else other
        ours, others = self.n_rows / n_rows, other.n_rows / n_rows
        return Directions(
            n_rows,
            ours * self.mean_cosine + others * other.mean_cosine,
            ours * self.norm_ratio + others * other.norm_ratio,
        )


def _compare(rows: FloatArray, made: FloatArray) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Return ⟨x, x̂⟩ / (‖x‖ ‖x̂‖) and ‖x̂‖ / ‖x‖ for each row x, and whether no square overflowed or vanished."""
    squares, made_squares, products = (
        np.einsum("ij,ij->i", *both) for both in ((rows, rows), (made, made), (rows, made))
    )
    norms, made_norms = np.sqrt(squares), np.sqrt(made_squares)
    smaller, larger = np.minimum(norms, made_norms), np.maximum(norms, made_norms)
    cosine = products / np.where(made_norms > 0, norms * made_norms, 1)
    return cosine, made_norms / norms, (smaller > _SAFE) & (larger < 1 / _SAFE)


def _scaled(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return rows divided by their largest magnitudes, and these magnitudes; rows of zeros stay zero."""
    largest = np.abs(rows).max(axis=1)
    return rows / np.where(largest > 0, largest, 1)[:, None], largest
