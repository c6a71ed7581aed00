"""Cuts of rows into blocks, and the interfaces of rows and of engines that compute sums over blocks."""

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
    "DeviceEngine",
    "Engine",
    "HeldParts",
    "Rows",
    "blocks_within",
    "in_memory",
    "on_cluster",
    "on_device",
    "row_blocks",
    "shared_parts",
    "theta_parts",
]

#: A function that computes the sums of a block of rows and writes them into an array. Its arguments are the block, the
#: index of the worker that calls it, and the array. The index is below the engine's `n_workers`. While the function
#: runs, no other thread uses the scratch memory of this worker.
BlockFunction = Callable[[slice, int, FloatArray], None]


class Rows(Protocol):
    """The interface of rows that are not in memory, such as those that `rhohat.open_rows` returns."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    ndim: int

    @property
    def rows_at_once(self) -> int:
        """Number of rows to read at a time so that they take little memory."""

    @property
    def rows_stored_together(self) -> int:
        """Number of rows that are stored together, so that all of them are read or unpacked to get one of them."""

    def blocks(self, n_rows: int) -> Iterator[FloatArray]:
        """Yield all rows in order, as blocks of `n_rows` rows."""

    def read(self, start: int, stop: int, out: FloatArray | None = None) -> FloatArray:
        """Return rows `start` to `stop`, written into `out` if it is given; several threads may call this at a time."""

    def take(self, rows: NDArray[np.intp]) -> FloatArray:
        """Return the rows with the given numbers, which may be in any order."""

    def map_blocks(self, function: Callable[[FloatArray, int], Any]) -> Iterator[Any]:
        """Yield, in order, the results of a function of successive blocks of rows and the number of their first row.

        The function must be picklable, because it may run in another process, where the rows are.
        """

    @property
    def edges(self) -> Sequence[int] | None:
        """Row numbers at which the pieces of rows on a cluster begin, then the number of rows; None for other rows."""

    def recipes(self, edges: Sequence[int]) -> list[Any]:
        """Return, for each range of rows between successive edges, an object from which another process gets the rows.

        The object is an array, a picklable function that opens the rows, or a Dask object whose computation gives an
        array.
        """


def in_memory(rows: FloatArray | Rows) -> TypeGuard[FloatArray]:
    """Return whether rows are an array in memory; other rows have to be read."""
    return not hasattr(rows, "read")


class Engine(Protocol):
    """The interface of an engine, which computes the sums over blocks of rows that an objective needs."""

    n_workers: int
    ops: str | None  # name of the primitives to compute with; None leaves the choice to the objective
    block_bytes: int | None  # memory for the layers and deltas of a block; None if it has to fit the cache of a core

    @property
    def n_parts(self) -> int:
        """Number of blocks into which a sum is cut, at least, where `block_bytes` decides."""

    def sum_blocks(self, function: BlockFunction, blocks: Sequence[slice], n_sums: int, dtype: DTypeLike) -> FloatArray:
        """Return the sum over blocks of the arrays that `function` writes, added in block order.

        The result is a float64 array of shape (n_sums,).

        Parameters
        ----------
        function : callable
            Function that computes the sums of a block; see `BlockFunction`.
        blocks : sequence of slices
            Blocks of rows.
        n_sums : int
            Number of sums.
        dtype : dtype-like
            Data type of the array that each call of the function writes into.
        """

    def for_each(self, function: Callable[[slice, int], None], parts: Sequence[slice]) -> None:
        """Call a function with each of the parts and the index of the calling worker, in no particular order."""


class HeldParts(Protocol):
    """Objects that the workers of a cluster hold; if a worker is lost, its objects are created again."""

    def sum(self, function: Callable[..., FloatArray], shared: Any, *arguments: Any, n_sums: int) -> FloatArray:
        """Return the sum of a function's results for all objects, always added in the same order.

        Parameters
        ----------
        function : callable
            Module-level function that the workers can import; it returns an array of shape (n_sums,).
        shared : object
            Second argument of the function, after the held object. It is sent to each worker once, and stays there
            until another object is passed as `shared`.
        *arguments
            Further arguments of the function, which should be small.
        n_sums : int
            Number of sums.
        """


class ClusterEngine(Protocol):
    """The interface of an engine that computes on a cluster, whose workers hold parts of the rows."""

    ops: str | None  # as for `Engine`

    @property
    def threads(self) -> Engine:
        """Engine for work in the caller's own process."""

    @property
    def local_engine(self) -> Callable[[], Engine]:
        """Picklable function that creates the engine with which a worker computes on its part of the rows."""

    def check(self) -> None:
        """Raise an error if the cluster cannot be used."""

    def memory_of_workers(self) -> list[float]:
        """Return, for each worker, the number of bytes of memory that it may use."""

    def hold(self, make: Callable[..., Any], arguments: Sequence[Sequence[Any]]) -> HeldParts:
        """Call a function on the workers with each of many sets of arguments, and keep the results on the workers.

        Dask objects among the arguments, or in lists among the arguments, are computed first, and the function receives
        their values.
        """


class DeviceEngine(Engine, Protocol):
    """The interface of an engine that computes on a device, such as a GPU, with arrays that are there."""

    @property
    def device_ops(self) -> Any:
        """The primitives of the device, an `Ops`."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the arithmetic."""

    @property
    def threads(self) -> Engine:
        """Engine for what the host does, such as reading rows."""

    def has_room_for(self, n_bytes: int) -> bool:
        """Return whether rows of so many bytes can stay on the device during a fit."""


def on_cluster(engine: Any) -> TypeGuard[ClusterEngine]:
    """Return whether an engine computes on a cluster."""
    return hasattr(engine, "hold")


def on_device(engine: Any) -> TypeGuard[DeviceEngine]:
    """Return whether an engine computes on a device."""
    return hasattr(engine, "device_ops")


# These values were measured with `make bench`. Smaller blocks lose more time to Python's lock, and to adding up their
# sums, than they gain from the cache. Larger blocks do not fit into the cache, and BLAS is slower on them.
_BLOCK_BYTES = 5 * 2**20
_SMALLEST_BLOCK = 4096  # rows times bytes per number
_LARGEST_BLOCK = 4096  # rows
_WORTH_A_THREAD = 768  # rows per thread from which several threads are faster than one, even if the rows are narrow
_ROW_MULTIPLE = 32  # the rows of each block but the last are a multiple of this, so that narrow rows can be joined
_BLOCK_MULTIPLE = 4  # if the number of blocks is a multiple of this, 2 or 4 threads share the work evenly


def row_blocks(
    n_rows: int, layer_sizes: Sequence[int], multiply_adds: int, itemsize: int, fewest: int | None = None
) -> list[slice]:
    """Cut rows into blocks of nearly equal size, most of them a multiple of 32 rows.

    The cut depends on shapes only, never on the number of threads, so that sums over blocks have the same bits on
    any number of threads. The blocks are so small that the activations and deltas of one block roughly fit into the
    cache of a core.

    Parameters
    ----------
    n_rows : int
    layer_sizes : sequence of int
        Number of units of each layer.
    multiply_adds : int
        Number of multiplications in the forward pass of one row.
    itemsize : int
        Bytes per number.
    fewest : int, default=None
        Fewest rows in a block; None means 4096 divided by the itemsize. Few are enough if each row has many products.

    Returns
    -------
    list of slice
        Blocks in order, which together contain every row once.

    Examples
    --------
    >>> row_blocks(2000, (64, 25, 64), 3200, 8)
    [slice(0, 992, None), slice(992, 2000, None)]
    """
    bytes_per_row = itemsize * (2 * sum(layer_sizes) - layer_sizes[0])
    fewest = _SMALLEST_BLOCK // itemsize if fewest is None else fewest
    rows = int(np.clip(_BLOCK_BYTES // bytes_per_row, fewest, _LARGEST_BLOCK))
    worth_it = max(n_rows // _WORTH_A_THREAD, len(shared_parts(n_rows, multiply_adds)))
    n_blocks = max(-(-n_rows // rows), min(worth_it, _BLOCK_MULTIPLE))
    if n_blocks > 2:
        n_blocks = -(-n_blocks // _BLOCK_MULTIPLE) * _BLOCK_MULTIPLE
    edges = np.linspace(0, n_rows / _ROW_MULTIPLE, n_blocks + 1).round().astype(int) * _ROW_MULTIPLE
    edges[-1] = n_rows
    return [slice(start, stop) for start, stop in pairwise(edges.tolist()) if start < stop]


def blocks_within(n_rows: int, bytes_per_row: int, n_bytes: int, n_parts: int = 1) -> list[slice]:
    """Cut rows into as few blocks of nearly equal size as take at most `n_bytes`, a multiple of `n_parts`.

    Examples
    --------
    >>> blocks_within(10, 8, 40)
    [slice(0, 5, None), slice(5, 10, None)]
    """
    n_blocks = max(1, -(-n_rows * bytes_per_row // n_bytes))
    n_blocks = min(n_rows, -(-n_blocks // n_parts) * n_parts)
    return [slice(n_rows * i // n_blocks, n_rows * (i + 1) // n_blocks) for i in range(n_blocks)]


_SHARED_WORK = 10**8  # smallest number of multiply-adds for which a part is given to a thread of its own
_FEWEST_SHARED = 80  # smallest number of rows or units in a part, as products of flatter matrices are slow
_MOST_PARTS = 16


def shared_parts(n: int, multiply_adds: int, fewest: int | None = None) -> list[slice]:
    """Cut a small number of rows, or the units of a layer, into parts that threads can work on in parallel.

    The cut depends on shapes only, as in `row_blocks`.

    Parameters
    ----------
    n : int
        Number of rows or units.
    multiply_adds : int
        Number of multiply-adds for each row or unit.
    fewest : int, default=None
        Fewest rows or units in a part; None means 80. Products of matrices with fewer rows are slow. In a convolution,
        each place in an image gives a row of a matrix, so that few rows of data are enough.

    Returns
    -------
    list of slice
        Parts in order, which together contain every row or unit once.

    Examples
    --------
    >>> shared_parts(256, 2 * 784 * 1000)
    [slice(0, 128, None), slice(128, 256, None)]
    >>> shared_parts(256, 2 * 64 * 25)
    [slice(0, 256, None)]
    """
    fewest = _FEWEST_SHARED if fewest is None else fewest
    most = max(1, min(n * multiply_adds // _SHARED_WORK, n // fewest, _MOST_PARTS))
    n_parts = 2 ** int(np.log2(most))  # 2 or 4 threads share them evenly
    edges = np.linspace(0, n / _ROW_MULTIPLE, n_parts + 1).round().astype(int) * _ROW_MULTIPLE
    edges[-1] = n
    return [slice(start, stop) for start, stop in pairwise(edges.tolist())]


_THETA_PART = 2**18  # numbers per part; shorter parts lose more time to Python's lock than they gain from the cache


def theta_parts(n_parameters: int) -> list[slice]:
    """Cut θ, or a vector of the same length, into parts for elementwise operations.

    Parameters
    ----------
    n_parameters : int

    Returns
    -------
    list of slice
        Parts in order, which together contain every parameter once.

    Examples
    --------
    >>> theta_parts(300_000)
    [slice(0, 262144, None), slice(262144, 300000, None)]
    """
    starts = range(0, n_parameters, _THETA_PART)
    return [slice(start, min(start + _THETA_PART, n_parameters)) for start in starts]
