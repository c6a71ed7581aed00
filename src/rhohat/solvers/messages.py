"""What is said of how a fit ended, above all of one that ended at `max_iter`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rhohat.common.words import Sentence, Setting, counted, listed
from rhohat.solvers.flattening import FLAT

__all__ = ["ended_at_max_iter", "how_it_ended"]

_FEWEST_TO_TRY = 10


def ended_at_max_iter(
    n_iter: int, n_at_end: int, falls: Sequence[float], *, flat: bool = False, parts: Sequence[str] = ()
) -> Sentence:
    """Return the sentence on a fit, or on several parts of a fit, that ended at `max_iter`.

    Parameters
    ----------
    n_iter : int
        Number of iterations done.
    n_at_end : int
        Number of iterations at the end over which the fall of the cost was measured.
    falls : sequence of float
        Fraction by which the cost fell at the end, for each part; NaN if there were too few iterations to tell.
    flat : bool, default=False
        Whether the cost has flattened, so that there is nothing to do.
    parts : sequence of str, default=()
        Names of the parts, such as "layer 0"; empty if the fit is a single one.

    Returns
    -------
    Sentence

    Examples
    --------
    >>> print(ended_at_max_iter(400, 40, [0.023]))
    400 iterations were done and J was still falling, by 2.3 % in the last 40; try max_iter=800, or accept the cost \
reached.
    """
    where = f" in {listed(parts)}" if parts else ""
    done = f"{counted(n_iter, 'iteration')} {'was' if n_iter == 1 else 'were'} done{where}"
    last = "iteration" if n_at_end == 1 else f"{n_at_end:,}"
    if flat:
        return Sentence(
            f"{done}, and J had flattened: it fell by less than {100 * FLAT:g} % in the last {last}, so that more"
            " iterations would change little."
        )
    more = Setting("max_iter", max(2 * n_iter, _FEWEST_TO_TRY))
    if any(map(math.isnan, falls)):
        return Sentence(f"{done}, too few to tell whether J is still falling; try ", more, ".")
    if min(falls) <= 0:
        rose = f"{done}, and J was not settled: it rose by {_percent(-min(falls))} in the last {last}; try "
        return Sentence(rose, more, ", or shorter steps, such as those of a lower learning_rate.")
    by = listed([_percent(fall) for fall in falls])
    return Sentence(
        f"{done} and J was still falling, by {by} in the last {last}; try ", more, ", or accept the cost reached."
    )


def how_it_ended(status: str) -> str:
    """Return the status of a fit as words for readers, such as "not finite".

    Examples
    --------
    >>> how_it_ended("converged"), how_it_ended("max_iter")
    ('converged', 'stopped at max_iter')
    """
    return "stopped at max_iter" if status == "max_iter" else status.replace("_", " ")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2g} %"
