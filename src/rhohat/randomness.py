"""Random draws keyed by what they are for, never by global state.

Every draw in rhohat comes from a generator that is determined by (seed, purpose, epoch, block). So the initial
weights do not change when a corruption is added, and the corruption of a block of rows does not depend on which
thread or machine works on it.
"""

from __future__ import annotations

import zlib
from numbers import Integral
from typing import TypeAlias

import numpy as np

__all__ = ["RandomState", "keyed_generator", "seed_from"]

RandomState: TypeAlias = "int | np.random.RandomState | np.random.Generator | None"


def seed_from(random_state: RandomState) -> int:
    """Turn scikit-learn's `random_state` into one integer seed.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        An integer is the seed itself. A generator of either kind is asked for one draw, which advances it.
        None asks the operating system: a different seed at every call.

    Returns
    -------
    int
        A seed, at least 0.

    Raises
    ------
    ValueError
        If it is none of these, or a negative integer.

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
        At least 0; see `seed_from`.
    purpose : str
        What the draws are for, such as ``"initial weights"``. Different purposes give independent streams.
    epoch, block : int, default=0

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
