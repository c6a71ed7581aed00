"""What the fit of a dictionary says of rows that are not finite, and of an L0 that is far from its target."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from rhohat.common.words import Sentence, Setting
from rhohat.data.finite import first_bad_number, named_place
from rhohat.dictionaries.rows import BatchSource
from rhohat.dictionaries.training import NotFiniteError

__all__ = ["explain_not_finite", "warn_of_l0"]

_FAR = 0.5  # distance of L0 from its target, as a share of it, of which a fit warns


def explain_not_finite(error: NotFiniteError, sources: Sequence[Any], learning_rate: float, kept: str) -> str:
    """Return the message of an error of numbers that are not finite, with the place of the first one among the rows.

    Parameters
    ----------
    error : NotFiniteError
    sources : sequence of array, RowSource or BatchSource
        What was learned from.
    learning_rate : float
        Learning rate, which is too high if the rows are finite.
    kept : str
        Sentence on what is left of the training.
    """
    if isinstance(sources[0], BatchSource):  # an iterator, whose rows come in their order
        row, column = error.place or (0, 0)
        bad = None if error.place is None else f"{named_place('the iterator', error.n_rows + row, column)}."
    else:
        bad = next(filter(None, map(first_bad_number, sources)), None)
    if bad is not None:
        return f"{bad} {kept}"
    rate = Setting("learning_rate", learning_rate)
    return Sentence(f"{error} Its rows are too large, or the learning rate is too high, now ", rate, f". {kept}")


def warn_of_l0(dictionary: Any, stacklevel: int) -> None:
    """Warn if the number of active latents of a row is far from the one that was asked for."""
    target, l0 = getattr(dictionary, "target_l0", None), dictionary.measures_curve_["l0"][-1]
    if target is None or abs(l0 - target) <= _FAR * target:
        return
    weight = Setting("sparsity_weight", dictionary.sparsity_weight)
    warnings.warn(
        Sentence(
            f"in the last updates a row had {l0:.3g} active latents on average, but ",
            *(Setting("target_l0", target), ". More passes over the rows, with ", Setting("max_iter")),
            *(", or another weight than ", weight, ", may help."),
        ),
        UserWarning,
        stacklevel=stacklevel + 1,
    )
