"""The memory plan of a fit: what the fit will hold in memory, computed before it starts and adapted to a limit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from rhohat.common.exceptions import SettingError
from rhohat.common.words import Sentence, Setting, counted
from rhohat.data import RowSource
from rhohat.layers import DropoutLayer
from rhohat.objective import Problem
from rhohat.solvers import MiniBatchSolver, Solver

__all__ = ["MemoryPlan", "as_bytes", "bytes_per_row", "order_of_rows", "plan_memory", "show_bytes", "warm_up_sizes"]

_UNITS = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
          "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}  # fmt: skip

#: Largest numbers of bytes for hidden activations, for a subset in a warm-up, and for windows, if there is no limit.
_CACHE, _SUBSET, _WINDOW = 2**30, 2**28, 2**28

_BLOCKS_HELD = 3  # blocks held while all rows are read: as read, converted, and the one from which rows are picked
_FIRST_ROWS, _GROWTH = 1000, 3  # rows in the first subset of a warm-up; each further subset is this factor larger
_FOR_WINDOWS, _FOR_SUBSETS = 1 / 3, 1 / 4  # fractions of the limit that windows and subsets may take
_NUMBERS_OF_ROWS = 32  # bytes per row for permutations of row numbers, and for parts of permutations
_CACHE_SHARE = 0.9  # fraction of the free memory that hidden activations may take, as no plan is exact
_HELD_OUT = 0.75  # fraction of a window: a quarter of its rows is held out, in 3 copies: as read, targets, corrupted
_VECTORS = 12  # float64 vectors of θ's length: iterates, trial points, gradients, directions, intermediate results


def as_bytes(limit: int | str, name: str = "memory_limit") -> int:
    """Return a number of bytes that is given as an integer or as a string with a unit.

    Parameters
    ----------
    limit : int or str
        Number of bytes, such as ``512_000_000``, "512 MB" or "1.5 GiB".
    name : str, default="memory_limit"
        Name of the parameter in messages.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If `limit` is not a positive number of bytes in one of these forms.

    Examples
    --------
    >>> as_bytes("512 MB"), as_bytes("1 GiB")
    (512000000, 1073741824)
    """
    if isinstance(limit, Integral) and limit >= 1:
        return int(limit)
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([A-Za-z]*)\s*", limit) if isinstance(limit, str) else None
    if found is None or found[2] not in _UNITS or float(found[1]) == 0:
        rule = f" must be a number of bytes, or a string such as '512 MB' or '2 GiB'; got {limit!r}."
        raise SettingError(Sentence(Setting(name), rule))
    return int(float(found[1]) * _UNITS[found[2]])


def show_bytes(n_bytes: float) -> str:
    """Return a number of bytes as a string with a suitable unit.

    Examples
    --------
    >>> show_bytes(512_000_000), show_bytes(3_289 * 8), show_bytes(0)
    ('512 MB', '26.3 kB', '0 B')
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes:.0f} B"


@dataclass(frozen=True)
class MemoryPlan:
    """Plan of what a fit will hold in memory, except the interpreter, its libraries, and the arrays passed to it.

    Attributes
    ----------
    limit : int or None
        Limit in bytes; None means no limit.
    parts : tuple of (str, int)
        Name and number of bytes of each part that is held.
    cache_bytes : int
        Bytes allowed for hidden activations that are kept between the two passes over the rows in an evaluation of J.
    subset_bytes : int
        Bytes allowed for the rows of a subset in a warm-up.
    window_bytes : int
        Bytes allowed for the windows in which mini-batches from a row source are shuffled.
    by_blocks : bool
        Whether rows in memory are corrupted or converted block by block, because copies of them would not fit.
    """

    limit: int | None
    parts: tuple[tuple[str, int], ...]
    cache_bytes: int
    subset_bytes: int
    window_bytes: int
    by_blocks: bool

    @property
    def total(self) -> int:
        """Number of bytes of all parts together."""
        return _sum(self.parts)

    def __str__(self) -> str:
        """Return the plan as a table with a line for each part."""
        limit = "" if self.limit is None else f" of the {show_bytes(self.limit)} allowed"
        width = max(len(name) for name, _ in self.parts)
        lines = [f"{name:{width}}  {show_bytes(n_bytes):>8}" for name, n_bytes in self.parts]
        return "\n".join([f"memory that the fit will hold: {show_bytes(self.total)}{limit}", *lines])


def plan_memory(
    problem: Problem,
    solver: Solver,
    n_workers: int,
    limit: int | None,
    *,
    checkpoints: bool = False,
    fraction_held_out: float = 0.0,
) -> MemoryPlan:
    """Return the plan of what training will hold in memory, which also limits parts whose size is adjustable.

    Parameters
    ----------
    problem : Problem
    solver : Solver
    n_workers : int
        Number of threads.
    limit : int or None
        Limit in bytes. If None, hidden activations may take 1 GiB, and a subset or the windows 256 MB.
    checkpoints : bool, default=False
        Whether checkpoints are written, which takes copies of the state.
    fraction_held_out : float, default=0
        Fraction of the rows that are held out for early stopping, if the solver does not do that by itself.

    Returns
    -------
    MemoryPlan

    Raises
    ------
    ValueError
        If the limit is too low; the message names a limit that would be enough.
    """
    plan = _plan(problem, solver, n_workers, limit, checkpoints, fraction_held_out)
    if limit is not None and plan.total > limit:
        enough = limit
        while _plan(problem, solver, n_workers, enough, checkpoints, fraction_held_out).total > enough:
            enough = int(1.05 * enough) + 1
        found = "; ".join(f"{name}: {show_bytes(size)}" for name, size in plan.parts if size)
        raise SettingError(
            Sentence(
                Setting("memory_limit", show_bytes(limit), f"memory_limit={show_bytes(limit)}"),
                f" is too low: {show_bytes(enough)} would be enough ({found}). Raise ",
                *(Setting("memory_limit"), f"{solver.advice_on_memory}."),
            )
        )
    return plan


def _plan(
    problem: Problem, solver: Solver, n_workers: int, limit: int | None, checkpoints: bool, fraction_held_out: float
) -> MemoryPlan:
    """Return the plan for a limit, even if the plan exceeds the limit."""
    n_samples, row = problem.X.shape[0], bytes_per_row(problem)
    hidden = problem.X.dtype.itemsize * _cached_per_row(problem)
    subset, window = _order_bytes(solver, row, hidden, limit)
    sizes = warm_up_sizes(n_samples, row, subset)
    largest = max(sizes, default=0)
    parts = [
        *_parts_of_parameters(problem, solver, checkpoints),
        *_parts_of_work(problem, solver, n_workers, bool(sizes)),
        *_parts_of_rows(problem, solver, window),
    ]
    copies = _copies(problem, solver) + (_copies_of_a_split(problem, solver) if fraction_held_out else 0)
    by_blocks = limit is not None and copies > max(0, limit - _sum(parts)) / 2
    if copies and not by_blocks:
        parts.append(("copies of the rows, corrupted or in float32", copies))
    cache, kept = _CACHE, 0
    if limit is not None:
        cache = 0 if solver.in_mini_batches else max(0, int(_CACHE_SHARE * (limit - _sum(parts))))
    if hidden and not solver.in_mini_batches:
        kept = min(n_samples, cache // hidden)
        share = "" if kept == n_samples else f", of {100 * kept // n_samples} % of the rows"
        parts.append((f"hidden activations kept for pass 2{share}", kept * hidden))
    # A subset is deleted before activations of all rows are kept, so the two share the memory.
    of_subset = largest * (row + hidden + _bytes_of_tangents(problem))
    if of_subset > kept * hidden:
        parts.append((f"rows of the warm-up, {largest:,} at most", of_subset - kept * hidden))
    return MemoryPlan(limit, tuple(parts), cache, subset, window, by_blocks)


def _order_bytes(solver: Solver, row: int, hidden: int, limit: int | None) -> tuple[int, int]:
    """Return the bytes allowed for the rows of a subset, and for all windows together.

    These numbers determine the order of the rows. So they depend on the limit and on shapes only, not on threads or
    checkpoints. `row` and `hidden` are the bytes of a row and of its cached hidden activations.
    """
    if solver.in_mini_batches:
        held_out = _HELD_OUT if solver.fraction_held_out else 0.0
        return 0, _WINDOW if limit is None else min(_WINDOW, int(limit * _FOR_WINDOWS / (1 + held_out)))
    if not solver.warm_up:
        return 0, 0
    return _SUBSET if limit is None else min(_SUBSET, int(limit * _FOR_SUBSETS * row / (row + hidden))), 0


def _parts_of_parameters(problem: Problem, solver: Solver, checkpoints: bool) -> Iterator[tuple[str, int]]:
    """Yield the name and the bytes of each part of a plan whose size depends on the length of θ."""
    theta = 8 * problem.network.n_parameters
    held = solver.held(problem.network.n_parameters)
    yield "parameters and gradients", _VECTORS * theta
    yield from held.items()
    if checkpoints:
        yield "a checkpoint while it is written", 2 * (sum(held.values()) + solver.n_vectors_of_state * theta)


def _parts_of_work(problem: Problem, solver: Solver, n_workers: int, warms_up: bool) -> Iterator[tuple[str, int]]:
    """Yield names and bytes of two parts of a plan: working memory of threads, and the shuffled order of rows."""
    n_samples = problem.X.shape[0]
    if solver.in_mini_batches:
        yield "mini-batches and their activations", _batches(problem, solver, n_workers)
        yield "the order of the rows", _NUMBERS_OF_ROWS * n_samples
    else:
        yield f"working memory of {counted(n_workers, 'thread')}", _scratch(problem, n_workers, n_samples)
        if warms_up:
            yield "the order of the rows", _NUMBERS_OF_ROWS // 2 * n_samples


def _parts_of_rows(problem: Problem, solver: Solver, window: int) -> Iterator[tuple[str, int]]:
    """Yield the name and the bytes of each part of a plan that holds rows or targets."""
    n_samples, row = problem.X.shape[0], bytes_per_row(problem)
    if isinstance(problem.y, np.ndarray):
        yield "targets, in the units of the outputs", 2 * problem.y.nbytes
    read = [rows for rows in (problem.X, problem.y) if isinstance(rows, RowSource)]
    if read:
        at_once = sum(rows.rows_at_once * rows.shape[1] * rows.dtype.itemsize for rows in read)
        yield "blocks in which rows are read", _BLOCKS_HELD * at_once + sum(rows.held_bytes for rows in read)
    if not solver.in_mini_batches:
        return
    if read:
        yield "windows in which rows are shuffled", min(window, 2 * n_samples * row)
    if solver.fraction_held_out:
        of_read = int(_HELD_OUT * min(window, n_samples * row))
        yield "rows held out", of_read if read else int(_held_out_in_memory(problem, solver))


def _sum(parts: Iterable[tuple[str, int]]) -> int:
    return sum(size for _, size in parts)


def order_of_rows(problem: Problem, solver: Solver, plan: MemoryPlan) -> Any:
    """Return a description of what determines the order of the rows in training, in addition to seed and shapes.

    Parameters
    ----------
    problem : Problem
    solver : Solver
    plan : MemoryPlan

    Returns
    -------
    str or dict
    """
    width = bytes_per_row(problem)
    if not solver.in_mini_batches:
        return {"subsets of the warm-up": warm_up_sizes(problem.X.shape[0], width, plan.subset_bytes)}
    read = [rows for rows in (problem.X, problem.y) if isinstance(rows, RowSource)]
    n_bytes = sum(rows.shape[0] * rows.shape[1] * rows.dtype.itemsize for rows in read)
    if n_bytes <= plan.window_bytes:
        return "all rows are shuffled together"
    together = max(rows.rows_stored_together for rows in read)
    return {"bytes of windows": plan.window_bytes, "rows stored together": together}


def warm_up_sizes(n_samples: int, row_bytes: int, subset_bytes: int) -> list[int]:
    """Return the sizes of a warm-up's subsets in rows, each less than half of all rows and within the given bytes.

    Examples
    --------
    >>> warm_up_sizes(10_000, 512, 2**28), warm_up_sizes(2_000_000, 3136, 10**8)
    ([1000, 3000], [1000, 3000, 9000, 27000])
    """
    sizes, n_rows = [], _FIRST_ROWS
    while 2 * n_rows < n_samples and n_rows * row_bytes <= subset_bytes:
        sizes.append(n_rows)
        n_rows *= _GROWTH
    return sizes


def bytes_per_row(problem: Problem) -> int:
    """Return the number of bytes of a row of inputs and, if the targets are not the inputs, of its targets."""
    columns = problem.X.shape[1]
    if problem.y is not None or problem.corruption is not None:
        columns += problem.network.layer_sizes[-1]
    return int(columns * problem.X.dtype.itemsize)


def _cached_per_row(problem: Problem) -> int:
    """Return how many numbers per row are kept from pass 1 to pass 2 of an evaluation."""
    return problem.network.numbers_per_row(problem.cost.depth)


def _bytes_of_tangents(problem: Problem) -> int:
    """Return the bytes of the tangents of one row."""
    return 0 if problem.tangents is None else int(np.prod(problem.tangents.shape[1:])) * problem.tangents.itemsize


def _tangents_through_layers(problem: Problem) -> int:
    """Return the bytes that one tangent of a row takes in all layers, forward and backward; one is passed at a time."""
    if problem.tangents is None:
        return 0
    return 8 * problem.network.numbers_per_row() * problem.X.dtype.itemsize


def _held_out_in_memory(problem: Problem, solver: Solver) -> float:
    """Return the bytes of the copies of rows that are held out from rows in memory."""
    return 2 * solver.fraction_held_out * problem.X.shape[0] * (bytes_per_row(problem) + _bytes_of_tangents(problem))


def _scratch(problem: Problem, n_workers: int, n_samples: int) -> int:
    """Return the bytes of the layers and deltas of threads, of the rows they read, and of the gradients they sum."""
    network, itemsize = problem.network, problem.X.dtype.itemsize
    blocks = network.row_blocks(n_samples, itemsize)
    longest = max(block.stop - block.start for block in blocks)
    n_workers = min(n_workers, len(blocks))
    per_row = itemsize * 3 * network.numbers_per_row() + _tangents_through_layers(problem)
    read = bytes_per_row(problem) if isinstance(problem.X, RowSource) or isinstance(problem.y, RowSource) else 0
    buffers = (1 if n_workers == 1 else 2 * n_workers) * network.n_parameters * itemsize
    windows = itemsize * max(layer.scratch_numbers for layer in network.layers)
    return n_workers * (longest * (per_row + read) + windows) + buffers


def _batches(problem: Problem, solver: Solver, n_workers: int) -> int:
    """Return the bytes of three mini-batches of rows, and of the layers and gradients of one mini-batch."""
    assert isinstance(solver, MiniBatchSolver)
    network, itemsize = problem.network, problem.X.dtype.itemsize
    n_rows = min(solver.batch_size, problem.X.shape[0])
    columns = network.layer_sizes[0] + network.layer_sizes[-1]
    columns += sum(layer.n_outputs for layer in network.layers if isinstance(layer, DropoutLayer))
    per_row = itemsize * (3 * columns + 3 * network.numbers_per_row())
    per_row += 3 * _bytes_of_tangents(problem) + _tangents_through_layers(problem)
    windows = itemsize * max(layer.scratch_numbers for layer in network.layers)
    return n_rows * per_row + n_workers * windows + (n_workers + 2) * network.n_parameters * itemsize


def _copies(problem: Problem, solver: Solver) -> int:
    """Return the bytes of the copies that training would make of all rows in memory."""
    if isinstance(problem.X, RowSource) or solver.in_mini_batches:
        return 0
    n_bytes = int(np.prod(problem.X.shape)) * problem.X.dtype.itemsize
    corrupted = n_bytes if problem.corruption is not None else 0
    converted = solver.float32_first and problem.X.dtype != np.float32
    return corrupted + (n_bytes // 2 if converted else 0)


def _copies_of_a_split(problem: Problem, solver: Solver) -> int:
    """Return the bytes of the copies that a solver over all rows makes of rows in memory where some are held out."""
    if isinstance(problem.X, RowSource) or solver.in_mini_batches:
        return 0
    return problem.X.shape[0] * (bytes_per_row(problem) + _bytes_of_tangents(problem))
