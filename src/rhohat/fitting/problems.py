"""Variants of a problem: with corrupted rows, on some of its rows, or in another precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource
from rhohat.data.rows import ConvertedRows, CorruptedRows
from rhohat.objective import Problem
from rhohat.solvers import Solver
from rhohat.terms.corruption import corrupt_rows

__all__ = ["check_solver", "choose_rows", "corrupt"]


def check_solver(problem: Problem, solver: Solver) -> None:
    """Raise ValueError if a solver needs second derivatives, or an exact gradient, that a problem does not have."""
    if not solver.in_mini_batches:
        problem.check_exact_gradient()
    if solver.needs_second_derivatives:
        problem.check_second_derivatives()


def corrupt(problem: Problem, seed: int, epoch: int) -> Problem:
    """Return a problem with inputs that are corrupted, as the seed and the epoch determine, and unchanged targets."""
    if problem.corruption is None:
        return problem
    X: FloatArray | RowSource
    if isinstance(problem.X, RowSource):
        X = CorruptedRows(problem.X, problem.corruption, seed, epoch)
    else:
        X = corrupt_rows(problem.corruption, problem.X, seed, epoch)
    return problem.on_rows(X, problem.targets, problem.sample_weight, problem.tangents)


def choose_rows(problem: Problem, rows: NDArray[np.intp] | None = None, dtype: DTypeLike | None = None) -> Problem:
    """Return a problem on the rows with the given numbers, None for all, and in the given dtype if it is not None."""

    def chosen(array: FloatArray | RowSource | None) -> Any:
        if array is None:
            return None
        if isinstance(array, RowSource):
            if rows is None:
                return array if dtype is None or array.dtype == dtype else ConvertedRows(array, dtype)
            taken = array.take(rows)
        else:
            taken = array if rows is None else array[rows]
        with np.errstate(over="ignore"):  # if float32 overflows, J is infinite, and the fit continues in float64
            return np.asarray(taken, dtype=dtype)

    weights = problem.sample_weight
    return problem.on_rows(
        chosen(problem.X),
        chosen(problem.y),
        weights if weights is None or rows is None else weights[rows],
        chosen(problem.tangents),
    )
