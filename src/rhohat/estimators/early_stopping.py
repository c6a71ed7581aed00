"""The check of what goes with `early_stopping` of an estimator."""

from __future__ import annotations

from rhohat.engines import DaskEngine
from rhohat.solvers import Solver, as_solver

__all__ = ["check_early_stopping"]


def check_early_stopping(solver: str | Solver, cluster: DaskEngine | None) -> None:
    """Raise ValueError if another parameter contradicts ``early_stopping=True``."""
    if cluster is not None:
        raise ValueError(
            "early_stopping=True needs engine=None, because the rows of a cluster cannot be held out; set"
            " early_stopping=False, or the callback rhohat.callbacks.EarlyStopping with rows that you hold out."
        )
    if as_solver(solver).fraction_held_out:
        raise ValueError(
            f"early_stopping=True and solver={solver!r} both hold out rows; set early_stopping of one of them to False."
        )
