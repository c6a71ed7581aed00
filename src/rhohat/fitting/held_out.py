"""Early stopping of a fit: rows of its problem are held out, and the cost on them decides when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.randomness import keyed_generator
from rhohat.data import RowSource
from rhohat.data.rows import select_rows
from rhohat.fitting.problems import choose_rows
from rhohat.objective import Problem
from rhohat.objective.held_out import draw_held_out

__all__ = ["HeldOut", "hold_out"]


@dataclass(frozen=True)
class HeldOut:
    """How many rows are held out, and how long the fit goes on while the cost on them does not fall.

    Attributes
    ----------
    fraction : float
        Fraction of the rows, in (0, 1).
    patience : int
        Number of iterations without improvement after which the fit ends.
    classes : array of int of shape (n_samples,), or None
        Class of each row, in whose proportions rows are held out; None if there are none.
    """

    fraction: float
    patience: int
    classes: NDArray[np.intp] | None = None


def hold_out(problem: Problem, how: HeldOut | None, seed: int) -> tuple[Problem, Problem | None]:
    """Return a problem on the rows for training, and one on those held out; None if no rows are to be held out.

    Rows that are read from files are not copied, except for those held out.
    """
    if how is None:
        return problem, None
    n_rows = problem.X.shape[0]
    held_out = draw_held_out(keyed_generator(seed, "rows held out"), n_rows, how.fraction, how.classes)
    training = np.delete(np.arange(n_rows), held_out)
    return _without_copies(problem, training), choose_rows(problem, held_out)


def _without_copies(problem: Problem, rows: NDArray[np.intp]) -> Problem:
    """Return a problem on some rows; row sources remain row sources."""

    def chosen(array: Any) -> Any:
        if isinstance(array, RowSource):
            return select_rows(array, rows)
        return array if array is None else array[rows]

    y = None if problem.y is None or problem.y is problem.X else chosen(problem.y)
    weights = problem.sample_weight
    return problem.on_rows(chosen(problem.X), y, None if weights is None else weights[rows], chosen(problem.tangents))
