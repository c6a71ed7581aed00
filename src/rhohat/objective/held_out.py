"""Which rows are held out for early stopping."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_held_out", "draw_by_class", "draw_held_out"]


def count_held_out(n_rows: int, fraction: float, most: int | None = None) -> int:
    """Return the number of rows to hold out: the fraction of all, rounded up, but no more than `most`; 0 for none.

    Parameters
    ----------
    n_rows : int
    fraction : float
        Fraction of the rows, in [0, 1).
    most : int, default=None
        Largest number of rows; at least one row is held out nevertheless. None means no limit.

    Raises
    ------
    ValueError
        If no row would be left for training.
    """
    n_held_out = int(np.ceil(fraction * n_rows)) if fraction > 0 else 0
    if n_held_out and most is not None:
        n_held_out = min(n_held_out, max(1, most))
    if n_held_out >= n_rows:
        raise ValueError(
            f"early stopping holds out {n_held_out} of {n_rows} rows, so no row is left for training; set"
            " early_stopping=False, or pass more rows."
        )
    return n_held_out


def draw_held_out(
    draw: np.random.Generator, n_rows: int, fraction: float, classes: NDArray[np.intp] | None = None
) -> NDArray[np.intp]:
    """Return the sorted numbers of rows to hold out, in the proportions of their classes if classes are given."""
    n_held_out, rows = count_held_out(n_rows, fraction), np.arange(n_rows)
    if classes is not None:
        return draw_by_class(draw, rows, n_held_out, classes)
    return np.sort(draw.permutation(rows)[:n_held_out])


def draw_by_class(
    draw: np.random.Generator, rows: NDArray[np.intp], n_held_out: int, classes: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the sorted numbers of rows to hold out, which have the classes in the proportions of all rows.

    Each class gets its share of the rows, rounded such that the shares add up; at least one row of each class is left
    for training, as far as that is possible.

    Parameters
    ----------
    draw : numpy.random.Generator
    rows : array of int
        Numbers of the rows to choose from.
    n_held_out : int
        Number of rows to hold out.
    classes : array of int of shape (n_samples,)
        Class of every row, also of those that cannot be chosen.

    Returns
    -------
    array of int of shape (n_held_out,)

    Examples
    --------
    >>> held_out = draw_by_class(np.random.default_rng(0), np.arange(100), 10, np.arange(100) // 80)
    >>> int(np.count_nonzero(held_out < 80)), int(np.count_nonzero(held_out >= 80))
    (8, 2)
    """
    shuffled = draw.permutation(rows)
    _, numbers, counts = np.unique(classes[shuffled], return_inverse=True, return_counts=True)
    exact = n_held_out * counts / len(rows)
    shares = np.minimum(np.floor(exact).astype(np.intp), counts - 1)
    while shares.sum() < n_held_out:
        open_to_more = shares < counts - 1 if np.any(shares < counts - 1) else shares < counts
        shares[np.argmax(np.where(open_to_more, exact - shares, -np.inf))] += 1
    chosen = [shuffled[numbers == one][:share] for one, share in enumerate(shares)]
    return np.sort(np.concatenate(chosen)) if chosen else rows[:0]
