"""Sums over the mini-batches of an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

__all__ = ["EpochSums"]


@dataclass
class EpochSums:
    """Sums over the mini-batches that an epoch has processed so far.

    Attributes
    ----------
    n_batches, n_rows : int
        Numbers of batches and rows processed.
    rows_of_last : int
        Number of rows of the last batch. The solver stores the sum of the batches' gradients, weighted by their numbers
        of rows, divided by this number. So gradients of batches of equal size are added without scaling.
    value : float
        Sum of J times the number of rows, over the batches; like the next two, a number on the device that computes J,
        if there is one.
    terms : dict of str to float
        The same sum for each term of J.
    first : float
        J of the first batch.
    """

    n_batches: int = 0
    n_rows: int = 0
    rows_of_last: int = 0
    value: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    first: float = np.nan

    @property
    def mean(self) -> float:
        """Mean of J over rows; infinity if no batch has been added."""
        return self.value / self.n_rows if self.n_rows else np.inf

    @property
    def mean_terms(self) -> dict[str, float]:
        """Means over rows of the terms of J."""
        return {name: term / self.n_rows for name, term in self.terms.items()}

    def on_host(self) -> EpochSums:
        """Return the sums as floats, for which the host waits for the device that computes them."""
        terms = {name: float(term) for name, term in self.terms.items()}
        return replace(self, value=float(self.value), terms=terms, first=float(self.first))

    def add(self, n_rows: int, value: float, terms: dict[str, float]) -> None:
        """Add the value and terms of a batch, weighted by its number of rows."""
        if self.n_batches == 0:
            self.first = value
        self.n_batches += 1
        self.n_rows += n_rows
        self.value += n_rows * value
        self.terms = self.terms | {name: self.terms.get(name, 0.0) + n_rows * term for name, term in terms.items()}
