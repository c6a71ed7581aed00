"""A remark on units that are active on no row, where a sparsity penalty holds them too close to 0."""

from __future__ import annotations

from rhohat.common.words import Sentence, Setting

__all__ = ["remark_on_dead_units"]

_MANY_DEAD = 0.2  # fraction of the units above which dead ones are remarked on


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
