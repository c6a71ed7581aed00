"""What solvers by mini-batches sum up over the batches of an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["EpochSums"]


@dataclass
class EpochSums:
    """What an epoch has summed up over its batches so far.

    Attributes
    ----------
    n_batches, n_rows : int
    rows_of_last : int
        The gradients' sum is in units of so many rows: most batches are added as they are.
    value : float
        Of J, times rows.
    terms : dict of str to float
        Likewise.
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
        """J, mean over rows; infinite where not even the first batch has one."""
        return self.value / self.n_rows if self.n_rows else np.inf

    @property
    def mean_terms(self) -> dict[str, float]:
        """The terms of J, mean over rows."""
        return {name: term / self.n_rows for name, term in self.terms.items()}

    def add(self, n_rows: int, value: float, terms: dict[str, float]) -> None:
        """Add a batch."""
        if self.n_batches == 0:
            self.first = value
        self.n_batches += 1
        self.n_rows += n_rows
        self.value += n_rows * value
        self.terms = self.terms | {name: self.terms.get(name, 0.0) + n_rows * term for name, term in terms.items()}
