"""Blocks of rows, and what is asked of the engine that computes and adds them up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rhohat.common.arrays import FloatArray

__all__ = [
    "BlockFunction",
    "ClusterEngine",
    "Engine",
    "HeldParts",
    "Rows",
    "in_memory",
    "on_cluster",
    "row_blocks",
    "shared_parts",
    "theta_parts",
]

#: Works on a block of rows as the given worker (an index below the engine's `n_workers`, whose scratch nobody else
#: uses meanwhile) and writes the block's sums into the given array.
BlockFunction = Callable[[slice, int, FloatArray], None]


class Rows(Protocol):
    """What is asked of rows that are not in memory; `rhohat.open_rows` gives such."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    ndim: int

    @property
    def rows_at_once(self) -> int:
        """How many rows take little memory."""

    @property
    def rows_stored_together(self) -> int:
        """How many rows are read, or unpacked, where one of them is."""

    def blocks(self, n_rows: int) -> Iterator[FloatArray]:
        """Yield all rows in order, so many at a time."""

    def read(self, start: int, stop: int, out: FloatArray | None = None) -> FloatArray:
        """Return rows `start` to `stop`, in `out` if that is given; several threads call it at a time."""

    def take(self, rows: NDArray[np.intp]) -> FloatArray:
        """Return rows by their numbers, in any order."""

    def map_blocks(self, function: Callable[[FloatArray, int], Any]) -> Iterator[Any]:
        """Yield, in order, what a function makes of successive rows and the number of the first of them.

        It may run where the rows are, in another process; so it must be picklable.
        """

    @property
    def edges(self) -> Sequence[int] | None:
        """Where the pieces begin that rows on a cluster are in, and the last one ends; None for all other rows."""

    def recipes(self, edges: Sequence[int]) -> list[Any]:
        """Return what rows can be made of in another process, for each of the ranges between edges.

        That is an array; or a function, to be pickled, that opens them; or something that Dask computes, an array.
        """


def in_memory(rows: FloatArray | Rows) -> TypeGuard[FloatArray]:
    """Return whether rows are an array, and not to be read."""
    return not hasattr(rows, "read")


class Engine(Protocol):
    """What an objective asks of the engine that adds its blocks up."""

    n_workers: int

    def sum_blocks(self, function: BlockFunction, blocks: Sequence[slice], n_sums: int, dtype: DTypeLike) -> FloatArray:
        """Return Σ over blocks of what `function` writes, of shape (n_sums,), float64, added in block order.

        Parameters
        ----------
        function : callable
            See `BlockFunction`.
        blocks : sequence of slices
        n_sums : int
        dtype : dtype-like
            Of the array that each call of the function writes into.
        """

    def for_each(self, function: Callable[[slice, int], None], parts: Sequence[slice]) -> None:
        """Call a function for parts of something and the worker that it is called by, in no particular order."""


class HeldParts(Protocol):
    """Objects that the workers of a cluster hold; those of a worker that is lost are made anew."""

    def sum(self, function: Callable[..., FloatArray], shared: Any, *arguments: Any, n_sums: int) -> FloatArray:
        """Return Σ over the objects of what a function of each returns, added in an order that is always the same.

        Parameters
        ----------
        function : callable
            A function of a module, which the workers can import; it returns an array of shape (n_sums,).
        shared : object
            Its second argument, after the object itself. It is sent to each worker once, and stays there until another
            one is given.
        *arguments
            Its others, and small.
        n_sums : int
        """


class ClusterEngine(Protocol):
    """What an objective asks of the engine of a cluster, whose workers hold parts of the rows."""

    @property
    def threads(self) -> Engine:
        """For work of the caller's own process."""

    @property
    def local_engine(self) -> Callable[[], Engine]:
        """Makes the engine that a part of the rows is worked on with, in a worker; picklable."""

    def check(self) -> None:
        """Raise an error where the cluster cannot be used."""

    def memory_of_workers(self) -> list[float]:
        """Return the bytes that each worker may use."""

    def hold(self, make: Callable[..., Any], arguments: Sequence[Sequence[Any]]) -> HeldParts:
        """Call a function with each of many sets of arguments, on the workers, and keep what it returns there.

        Arguments, and items of lists among them, that Dask computes arrive computed.
        """


def on_cluster(engine: Engine | ClusterEngine) -> TypeGuard[ClusterEngine]:
    """Return whether an engine is that of a cluster."""
    return hasattr(engine, "hold")


# Measured with `make bench`: smaller blocks pay more for Python's lock, and for adding their sums up, than they gain
# from the cache; larger ones fall out of the cache, and BLAS is slower on them.
_BLOCK_BYTES = 5 * 2**20
_SMALLEST_BLOCK = 4096  # rows times bytes per number
_LARGEST_BLOCK = 4096  # rows
_WORTH_A_THREAD = 768  # rows, however narrow: so many for each thread make it worth to start several
_ROW_MULTIPLE = 32  # in each block but the last, so that narrow rows can be taken together
_BLOCK_MULTIPLE = 4  # so many blocks, or a multiple, share the work evenly among 2 or 4 threads


def row_blocks(n_rows: int, layer_sizes: Sequence[int], itemsize: int) -> list[slice]:
    """Cut rows into blocks of nearly equal size, most of them a multiple of 32 rows.

    The cut depends on shapes only, never on the number of threads, so that sums over blocks have the same bits on
    any number of threads.

    Parameters
    ----------
    n_rows : int
    layer_sizes : sequence of int
        Units per layer: a block's activations and deltas should not be much larger than a core's cache.
    itemsize : int
        Bytes per number.

    Returns
    -------
    list of slice
        In order, covering every row once.

    Examples
    --------
    >>> row_blocks(2000, (64, 25, 64), 8)
    [slice(0, 992, None), slice(992, 2000, None)]
    """
    bytes_per_row = itemsize * (2 * sum(layer_sizes) - layer_sizes[0])
    rows = int(np.clip(_BLOCK_BYTES // bytes_per_row, _SMALLEST_BLOCK // itemsize, _LARGEST_BLOCK))
    multiply_adds = sum(fan_in * fan_out for fan_in, fan_out in pairwise(layer_sizes))
    worth_it = max(n_rows // _WORTH_A_THREAD, len(shared_parts(n_rows, multiply_adds)))
    n_blocks = max(-(-n_rows // rows), min(worth_it, _BLOCK_MULTIPLE))
    if n_blocks > 2:
        n_blocks = -(-n_blocks // _BLOCK_MULTIPLE) * _BLOCK_MULTIPLE
    edges = np.linspace(0, n_rows / _ROW_MULTIPLE, n_blocks + 1).round().astype(int) * _ROW_MULTIPLE
    edges[-1] = n_rows
    return [slice(start, stop) for start, stop in pairwise(edges.tolist())]


_SHARED_WORK = 10**8  # multiply-adds that make a part worth a thread
_FEWEST_SHARED = 80  # rows, or units: flatter products are slow
_MOST_PARTS = 16


def shared_parts(n: int, multiply_adds: int) -> list[slice]:
    """Cut a few rows, or the units of a layer, into parts that threads can work on side by side.

    The cut depends on shapes only, as that of many rows into blocks does.

    Parameters
    ----------
    n : int
        Rows or units.
    multiply_adds : int
        For each of them.

    Returns
    -------
    list of slice
        In order, covering every one once.

    Examples
    --------
    >>> shared_parts(256, 2 * 784 * 1000)
    [slice(0, 128, None), slice(128, 256, None)]
    >>> shared_parts(256, 2 * 64 * 25)
    [slice(0, 256, None)]
    """
    most = max(1, min(n * multiply_adds // _SHARED_WORK, n // _FEWEST_SHARED, _MOST_PARTS))
    n_parts = 2 ** int(np.log2(most))  # 2 or 4 threads share them evenly
    edges = np.linspace(0, n / _ROW_MULTIPLE, n_parts + 1).round().astype(int) * _ROW_MULTIPLE
    edges[-1] = n
    return [slice(start, stop) for start, stop in pairwise(edges.tolist())]


_THETA_PART = 2**18  # numbers: shorter parts pay more for Python's lock than they gain from the cache


def theta_parts(n_parameters: int) -> list[slice]:
    """Cut θ, or a vector like it, into parts for work that is done number by number.

    Parameters
    ----------
    n_parameters : int

    Returns
    -------
    list of slice
        In order, covering every parameter once.

    Examples
    --------
    >>> theta_parts(300_000)
    [slice(0, 262144, None), slice(262144, 300000, None)]
    """
    starts = range(0, n_parameters, _THETA_PART)
    return [slice(start, min(start + _THETA_PART, n_parameters)) for start in starts]
