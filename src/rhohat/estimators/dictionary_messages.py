"""What the fit of a dictionary says of rows that are not finite, and of an L0 that is far from its target."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from inspect import signature
from typing import Any

from rhohat.common.words import Sentence, Setting, counted
from rhohat.data.finite import first_bad_number, named_place
from rhohat.dictionaries.rows import BatchSource
from rhohat.dictionaries.training import NotFiniteError

__all__ = [
    "ending_of",
    "explain_not_finite",
    "n_passes_over",
    "refuse_network_callbacks",
    "remark_on_updates",
    "tell_of_few_updates",
    "warn_of_l0",
]

_FEW_UPDATES = 200  # fewer than so many updates seldom make a good dictionary
_FAR = 0.5  # distance of L0 from its target, as a share of it, of which a fit warns


def ending_of(dictionary: Any) -> str:
    """Return how much a dictionary was trained, as a phrase that can follow "ended" if it came to its end."""
    updates = counted(dictionary.n_steps_, "update")
    if dictionary.solver_status_ != "max_iter":
        return updates
    passes = re.search(r" in ([\d,]+) pass", dictionary.solver_message_)
    if passes is None:
        return f"after all rows, {updates}"
    return f"after 1 pass, {updates}" if passes[1] == "1" else f"after all {passes[1]} passes, {updates}"


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
    rate = Setting("learning_rate", learning_rate, in_use=True)
    return Sentence(f"{error} Its rows are too large, or the learning rate is too high, now ", rate, f". {kept}")


def n_passes_over(dictionary: Any, sources: Sequence[Any], stacklevel: int) -> int:
    """Return the number of passes that a fit makes; warn if `max_iter` was set, but the rows can be read only once."""
    possible = sources[0].n_passes_possible if isinstance(sources[0], BatchSource) else None
    if possible is None or dictionary.max_iter <= possible:
        return int(dictionary.max_iter)
    if dictionary.max_iter != signature(type(dictionary)).parameters["max_iter"].default:
        warnings.warn(
            f"an iterator can be read only once, so that max_iter={dictionary.max_iter} makes one pass over its rows."
            " For more passes, pass an array, or an iterable that begins anew whenever iter() is called on it, such as"
            " a DataLoader.",
            UserWarning,
            stacklevel=stacklevel + 1,
        )
    return int(possible)


def refuse_network_callbacks(callbacks: Iterable[Any]) -> None:
    """Raise ValueError if callbacks are for networks only."""
    for callback in callbacks:
        if getattr(callback, "networks_only", False):
            raise ValueError(
                f"callbacks of a dictionary must not contain {type(callback).__name__}: the thresholds and counters"
                " of a dictionary belong to its last parameters, so earlier ones cannot be restored. Remove it."
            )


def warn_of_l0(dictionary: Any, stacklevel: int) -> None:
    """Warn if the number of active latents of a row is far from the one that was asked for."""
    target, l0 = getattr(dictionary, "target_l0", None), dictionary.measures_curve_["l0"][-1]
    if target is None or abs(l0 - target) <= _FAR * target:
        return
    warnings.warn(
        Sentence(
            f"in the last updates a row had {l0:.3g} active latents on average, far from the target of {target:g} (",
            *(Setting("target_l0"), "). More passes (", Setting("max_iter"), ") or another value of "),
            *(Setting("sparsity_weight"), " may help."),
        ),
        UserWarning,
        stacklevel=stacklevel + 1,
    )


def remark_on_updates(dictionary: Any, *, streamed: bool = False) -> Sentence | None:
    """Return a sentence if a fit that came to its end made few updates; None otherwise.

    Parameters
    ----------
    dictionary : fitted dictionary
    streamed : bool, default=False
        Whether the rows came from an iterator, which is read only once.
    """
    if dictionary.solver_status_ != "max_iter" or dictionary.n_steps_ >= _FEW_UPDATES:
        return None
    more = ["more rows"] if streamed else ["more passes (", Setting("max_iter"), ")"]
    smaller = Setting("batch_size", code="solver=Adam(batch_size=…)")
    made = "update was" if dictionary.n_steps_ == 1 else "updates were"
    return Sentence(
        f"only {dictionary.n_steps_} {made} made; ", *more, " or a smaller batch, ", smaller, ", would learn more."
    )


def tell_of_few_updates(dictionary: Any, sources: Sequence[Any], stacklevel: int) -> None:
    """Add to the message of a fit that it made few updates, and warn where an iterator ended so early."""
    streamed = isinstance(sources[0], BatchSource) and sources[0].n_passes_possible is not None
    remark = remark_on_updates(dictionary, streamed=streamed)
    if remark is None:
        return
    dictionary.solver_message_ += f" O{remark[1:]}"
    if streamed:
        warnings.warn(remark, UserWarning, stacklevel=stacklevel + 1)
