"""Remarks on units that are active on no row, where a sparsity penalty holds them too close to 0."""

from __future__ import annotations

import warnings

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import DeadLatentsWarning
from rhohat.common.words import Sentence, Setting
from rhohat.layers.activations import Activation
from rhohat.layers.activations.thresholds import default_threshold

__all__ = ["remark_on_dead_units", "warn_of_dead_codes"]

_MANY_DEAD = 0.2  # fraction of the units above which dead ones are remarked on
_MOST_DEAD = 0.5  # fraction of the units from which on a fit warns of dead ones


def warn_of_dead_codes(codes: FloatArray, activation: Activation, sparsity: float | None, stacklevel: int) -> None:
    """Warn if half or more of bounded units, such as sigmoid ones, are active on none of some rows of a fit.

    Parameters
    ----------
    codes : array of shape (n_rows, n_units)
    activation : Activation
        Activation of the units. Others than bounded ones are dead where their mean activation is 0.
    sparsity : float, or None
        Target ρ for the mean activation of the units; without one, there is no warning.
    stacklevel : int
        As for `warnings.warn`, counted from the caller.
    """
    n_units, n_dead = codes.shape[1], int(np.count_nonzero(codes.max(axis=0) <= default_threshold(activation)))
    if not np.isfinite(activation.bounds).all() or n_dead < _MOST_DEAD * n_units:
        return
    remark = remark_on_dead_units(n_dead, n_units, sparsity)
    if remark is not None:
        warnings.warn(remark, DeadLatentsWarning, stacklevel=stacklevel + 1)


def remark_on_dead_units(n_dead: int, n_units: int, sparsity: float | None) -> Sentence | None:
    """Return a remark if more than a fifth of the units of a network with a target ρ are dead; None otherwise.

    Parameters
    ----------
    n_dead, n_units : int
        Number of units that are active on no row, and number of all units.
    sparsity : float, or None
        Target ρ for the mean activation of the units. Without a target, there is no remark.

    Examples
    --------
    >>> print(remark_on_dead_units(37, 100, 0.01))
    37 of 100 units are dead: no row activates them; a larger sparsity (ρ) than 0.01, a smaller weight_decay or fewer \
units help.
    >>> remark_on_dead_units(20, 100, 0.01) is None
    True
    """
    if n_dead <= _MANY_DEAD * n_units or sparsity is None:
        return None
    units = "unit" if n_units == 1 else "units"
    dead = "is dead: no row activates it" if n_dead == 1 else "are dead: no row activates them"
    return Sentence(
        f"{n_dead:,} of {n_units:,} {units} {dead}; a larger ",
        Setting("sparsity"),
        f" (ρ) than {sparsity:g}, a smaller ",
        Setting("weight_decay"),
        " or fewer units help.",
    )
