"""Random draws, each determined by a seed, a purpose and numbers such as the epoch, never by global state.

Every draw in rhohat comes from a generator that is determined by (seed, purpose, epoch, block) or, for draws that
belong to single rows, by (seed, purpose, epoch, row). The initial weights therefore do not change when a corruption is
added, and the corruption of a row depends neither on the block that contains the row nor on the thread or machine that
works on it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["RandomState", "RowNumbers", "RowStreams", "keyed_generator", "row_numbers", "seed_from"]

RandomState: TypeAlias = "int | np.random.RandomState | np.random.Generator | None"

#: Numbers of rows in the whole data set: a range, a slice with a stop, or integers in any order.
RowNumbers: TypeAlias = "range | slice | Sequence[int] | NDArray[np.integer[Any]]"


def seed_from(random_state: RandomState) -> int:
    """Turn scikit-learn's `random_state` into one integer seed.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        An integer is the seed itself. From a RandomState or a Generator, one number is drawn as the seed, which
        advances the generator. For None, the seed comes from the operating system and differs at every call.

    Returns
    -------
    int
        The seed, which is not negative.

    Raises
    ------
    ValueError
        If `random_state` is none of these, or is a negative integer.

    Examples
    --------
    >>> seed_from(7)
    7
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**31 - 1))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, 2**63 - 1))
    if isinstance(random_state, Integral) and random_state >= 0:
        return int(random_state)
    raise ValueError(
        f"random_state must be an integer >= 0, a numpy RandomState or Generator, or None; got {random_state!r}."
    )


def keyed_generator(seed: int, purpose: str, epoch: int = 0, block: int = 0) -> np.random.Generator:
    """Return the generator that belongs to a seed, a purpose, an epoch and a block of rows.

    Parameters
    ----------
    seed : int
        Seed, not negative, such as `seed_from` returns.
    purpose : str
        Purpose of the draws, such as ``"initial weights"``. Different purposes give independent streams.
    epoch, block : int, default=0
        Numbers of the epoch and of the block of rows. Different numbers give independent streams.

    Returns
    -------
    numpy.random.Generator

    Examples
    --------
    >>> a = keyed_generator(0, "initial weights").random()
    >>> b = keyed_generator(0, "initial weights").random()
    >>> c = keyed_generator(0, "patches").random()
    >>> bool(a == b), bool(a == c)
    (True, False)
    """
    key = (zlib.crc32(purpose.encode()), epoch, block)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


class RowStreams:
    """Independent random streams, one for every row, determined by (seed, purpose, epoch, row).

    Every row keeps its draws when rows are cut into other blocks, shuffled, or processed by other threads.

    Parameters
    ----------
    seed : int
        Seed, not negative, such as `seed_from` returns.
    purpose : str
        Purpose of the draws, such as ``"corruption"``. Different purposes give independent streams.
    epoch : int, default=0
        Number of the epoch, not negative. Different epochs give independent streams.

    Raises
    ------
    ValueError
        If the seed or the epoch is negative.

    Notes
    -----
    Philox turns a key and a counter of 256 bits into random bits. The key is made from seed, purpose and epoch. The
    row's number is written into the counter, above the lowest 64 bits, which count the draws of a row. Any row can
    therefore be reached directly, in less than 2 µs before its first draw. Creating an object takes some ten
    microseconds.

    An object stores its current position in the stream, so each thread needs an object of its own.

    Uniform and normal draws, in float32 and in float64, use the same random bits, so they are not independent of one
    another. For one purpose, use either uniform or normal draws, in one precision.

    References
    ----------
    Salmon, J. K., Moraes, M. A., Dror, R. O. and Shaw, D. E. (2011). Parallel random numbers: as easy as 1, 2, 3.
    Proceedings of SC '11, article 16.

    Examples
    --------
    >>> together, alone = np.empty((4, 3)), np.empty((1, 3))
    >>> RowStreams(0, "corruption").uniform(range(4), together)
    >>> RowStreams(0, "corruption").uniform([2], alone)
    >>> bool(np.all(alone[0] == together[2]))
    True
    """

    def __init__(self, seed: int, purpose: str, epoch: int = 0) -> None:
        key = (zlib.crc32(purpose.encode()), epoch)
        bits = np.random.Philox(np.random.SeedSequence(seed, spawn_key=key))
        self._bits, self._generator = bits, np.random.Generator(bits)
        self._start = bits.state  # nothing is drawn or buffered yet; each row sets its own counter

    def uniform(self, rows: RowNumbers, out: NDArray[np.floating[Any]]) -> None:
        """Overwrite `out` with draws from the uniform distribution on [0, 1).

        Parameters
        ----------
        rows : range, slice or integers, of length n_rows
            Numbers of the rows, counted from 0 in the whole data set; out[i] receives the draws of row rows[i]. A slice
            needs a stop.
        out : array of shape (n_rows, n_features), float32 or float64
            C-ordered array that receives the draws.

        Raises
        ------
        ValueError
            If `rows` is none of these or contains a negative number, or if its length is not the number of rows of
            `out`.
        """
        self._fill(self._generator.random, rows, out)

    def normal(self, rows: RowNumbers, out: NDArray[np.floating[Any]]) -> None:
        """Overwrite `out` with draws from the normal distribution with mean 0 and variance 1; see `uniform`."""
        self._fill(self._generator.standard_normal, rows, out)

    def _fill(self, draw: Callable[..., Any], rows: RowNumbers, out: NDArray[np.floating[Any]]) -> None:
        numbers = row_numbers(rows)
        if len(numbers) != len(out):
            raise ValueError(
                f"the argument rows must hold a row number for each of the {len(out)} rows of out; got {len(numbers)}."
            )
        counter = self._start["state"]["counter"]
        for row, draws in zip(numbers, out, strict=True):
            counter[1] = row
            self._bits.state = self._start
            draw(dtype=out.dtype, out=draws)


def row_numbers(rows: RowNumbers) -> Sequence[int]:
    """Return row numbers as a sequence of Python integers.

    Parameters
    ----------
    rows : range, slice or integers
        Row numbers, counted from 0; a slice needs a stop.

    Returns
    -------
    range or list of int

    Raises
    ------
    ValueError
        If `rows` is anything else, or contains a negative number.

    Examples
    --------
    >>> row_numbers(slice(10, 13))
    range(10, 13)
    """
    if isinstance(rows, slice) and rows.stop is not None:
        rows = range(rows.start or 0, rows.stop, rows.step or 1)
    numbers: Sequence[int]
    if isinstance(rows, range):
        numbers = rows
    else:
        array = np.asarray(rows)
        if array.ndim != 1 or (array.size > 0 and array.dtype.kind not in "iu"):
            raise ValueError(f"rows must be a range, a slice with a stop, or a sequence of integers; got {rows!r}.")
        numbers = array.tolist()
    if len(numbers) > 0 and min(numbers) < 0:
        raise ValueError(
            "rows must not contain negative numbers, because rows are counted from 0; the smallest number is"
            f" {min(numbers)}."
        )
    return numbers
