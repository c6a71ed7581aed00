"""Assignment of the parts to the workers of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Any

__all__ = ["deal", "threads_of"]


def deal(homes: Sequence[str | None], threads: dict[str, int]) -> list[str]:
    """Return a worker for each part: the worker that holds it now, unless that has more than its share of the parts.

    The share of a worker is proportional to the number of its threads.

    Parameters
    ----------
    homes : sequence of str or None
        Address of the worker that holds each part now; None for a part that no worker holds.
    threads : dict of str to int
        Number of threads of each worker, by address.

    Returns
    -------
    list of str
        Address of a worker for each part.

    Examples
    --------
    >>> deal([None] * 4, {"a": 1, "b": 1})
    ['a', 'a', 'b', 'b']
    >>> deal(["a", "a", "gone", "gone"], {"a": 1, "c": 1})
    ['a', 'a', 'c', 'c']
    """
    workers, total = sorted(threads), sum(threads.values())
    edges = [floor(len(homes) * sum(threads[w] for w in workers[:i]) / total + 0.5) for i in range(len(workers) + 1)]
    room = {worker: edges[i + 1] - edges[i] for i, worker in enumerate(workers)}
    dealt: list[str | None] = []
    for home in homes:
        stays = home is not None and room.get(home, 0) > 0
        dealt.append(home if stays else None)
        if home is not None and stays:
            room[home] -= 1
    free = iter([worker for worker in workers for _ in range(room[worker])])
    return [next(free) if home is None else home for home in dealt]


def threads_of(workers: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Return the number of threads of each worker, by address."""
    return {address: worker["nthreads"] for address, worker in workers.items()}
