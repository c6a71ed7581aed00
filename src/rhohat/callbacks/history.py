"""Callbacks that record the progress of a fit in a file, with one line per iteration, as JSON or as a CSV table.

For dictionaries there is a line for every block of at most 50 updates, with the figures of the block.
"""

from __future__ import annotations

import csv
import io
import json
import math
import time
from abc import ABC, abstractmethod
from os import PathLike
from pathlib import Path
from typing import Any

from rhohat.callbacks._solves import SolveCounter
from rhohat.solvers import IterationState

__all__ = ["CSVHistory", "JSONLinesHistory"]

#: Names of columns with figures of dictionaries, and those of the figures in `IterationState.measures`.
_MEASURES = {
    "updates": "updates",
    "passes": "passes",
    "rows_seen": "rows",
    "fvu": "fvu",
    "l0": "l0",
    "dead": "dead",
}


class _History(ABC):
    """Base class of callbacks that add a line to a file after every iteration; the file is closed between lines."""

    def __init__(self, path: str | PathLike[str], *, append: bool = False) -> None:
        self.path, self.append = Path(path).absolute(), bool(append)
        self._counter: SolveCounter | None = None
        self._first_call: float | None = None
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"path must lie in a folder that exists; the folder {self.path.parent} does not exist."
            )
        with self.path.open("a" if self.append else "w", encoding="utf-8"):
            pass  # a file that cannot be written raises an error now, not after the first iteration
        self._read_what_is_there()

    def __call__(self, state: IterationState) -> None:
        """Write a line for an iteration."""
        now = time.perf_counter()
        if self._counter is None:
            self._counter = SolveCounter(*self._read_what_is_there())
        if self._first_call is None:
            self._first_call = now
        self._counter.note(state)
        seconds = state.measures.get("seconds", now - self._first_call)
        line = self._line(self._counter.solve, state, seconds)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(line)

    def __getstate__(self) -> dict[str, Any]:
        # A copy, such as scikit-learn's clone makes, reads the file again when it is first used.
        return {**self.__dict__, "_counter": None, "_first_call": None}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, append={self.append})"

    def _read_what_is_there(self) -> tuple[int, int]:
        """Return the numbers of the solve and of the iteration in the file's last line, or (0, 0) if it has none.

        Raises
        ------
        ValueError
            If the file was not written by a callback of this class.
        """
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        try:
            return self._last(text.splitlines()) if text else (0, 0)
        except (ValueError, KeyError, IndexError, TypeError):
            raise ValueError(
                f"{self.path} was not written by {type(self).__name__}, so no lines can be added to it; name another"
                " file, or set append=False to overwrite this file."
            ) from None

    @abstractmethod
    def _last(self, lines: list[str]) -> tuple[int, int]:
        """Return the numbers of the solve and of the iteration in the last line of the history file.

        `lines` are all lines of the file, at least one. An invalid line raises an exception.
        """

    @abstractmethod
    def _line(self, solve: int, state: IterationState, seconds: float) -> str:
        """Return the line that is added to the file for an iteration."""


class JSONLinesHistory(_History):
    """Write a line of JSON after every iteration: an object with the terms of the cost J as a nested object.

    Numbers that are not finite are written as null. `pandas.read_json(path, lines=True)` reads the file.

    Parameters
    ----------
    path : path
        Path of the file. A relative path is relative to the working directory in which this object is created.
    append : bool, default=False
        Whether to add lines to an existing file; if False, the file is emptied when this object is created. If True,
        the numbers of solves, which are runs of a solver, continue the numbers in the file; a fit that is resumed from
        a checkpoint continues the last solve.

    Raises
    ------
    FileNotFoundError, PermissionError
        If the file cannot be written. The error is raised at once, not after the first iteration.
    ValueError
        If `append` is True and the file was not written by a `JSONLinesHistory`.

    Notes
    -----
    ``solve`` is the number of the run of the solver. A fit may run its solver several times, and each run counts its
    iterations from 1. ``rows`` is the number of rows in the warm-up, which uses some rows only. It is null, or
    empty, in all other iterations, which use all rows.
    ``seconds`` is the time since this object was first called. For dictionaries, it is the time of the training so far,
    also after it was resumed, and a line has no ``rows`` and no ``gradient_norm``, but more figures, which
    `IterationState.measures` describes: ``updates``, ``passes`` (left out for iterators), ``rows_seen``, ``fvu``,
    ``l0`` and ``dead``. Each line is handed to the operating system at once, so
    that a fit that is killed leaves only complete lines. Copies, such as scikit-learn's `clone` makes, add lines to the
    same file.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> history = JSONLinesHistory(Path(tempfile.mkdtemp()) / "fit.jsonl")
    >>> history(IterationState(1, 0.5, {"J": 0.5}, float("inf"), np.zeros(2)))
    >>> print(history.path.read_text(), end="")
    {"solve": 1, "rows": null, "iteration": 1, "value": 0.5, "terms": {"J": 0.5}, "gradient_norm": null, "seconds": 0.0}
    """

    def _last(self, lines: list[str]) -> tuple[int, int]:
        last = json.loads(lines[-1])
        return int(last["solve"]), int(last["iteration"])

    def _line(self, solve: int, state: IterationState, seconds: float) -> str:
        measures = {name: _finite(value) for name, value in _measures(state).items()}
        record = {
            "solve": solve,
            **({} if measures else {"rows": state.n_rows}),
            "iteration": state.iteration,
            "value": _finite(state.value),
            "terms": {name: _finite(value) for name, value in state.terms.items()},
            **({} if measures else {"gradient_norm": _finite(state.gradient_norm)}),
            "seconds": seconds,
            **measures,
        }
        return json.dumps(record, allow_nan=False) + "\n"


class CSVHistory(_History):
    """Write a line of a CSV table after every iteration.

    The columns are solve (the number of the run of the solver), rows (their number in the warm-up, otherwise empty),
    iteration, value (the cost J), a column for each term of J with the name of the term, gradient_norm, and seconds.
    For dictionaries, there are no columns rows and gradient_norm, and columns of updates, passes (not for iterators),
    rows_seen, fvu, l0 and dead follow. The columns of terms, and which of the last ones there are, are determined by
    the first iteration that is written to the file.

    Parameters
    ----------
    path : path
        Path of the file. A relative path is relative to the working directory in which this object is created.
    append : bool, default=False
        Whether to add lines to an existing file; if False, the file is emptied when this object is created. If True,
        the numbers of solves, which are runs of a solver, continue the numbers in the file; a fit that is resumed from
        a checkpoint continues the last solve.

    Raises
    ------
    FileNotFoundError, PermissionError
        If the file cannot be written. The error is raised at once, not after the first iteration.
    ValueError
        If `append` is True and the file was not written by a `CSVHistory`; or, when the object is called, if J has a
        term for which the table has no column. If J lacks a term for which there is a column, the cell stays empty.

    Notes
    -----
    The notes of `JSONLinesHistory` apply here too. If the terms of J change during a fit, use `JSONLinesHistory`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> history = CSVHistory(Path(tempfile.mkdtemp()) / "fit.csv")
    >>> history(IterationState(1, 0.5, {"squared_error": 0.5}, 0.25, np.zeros(2)))
    >>> print(history.path.read_text(), end="")
    solve,rows,iteration,value,squared_error,gradient_norm,seconds
    1,,1,0.5,0.5,0.25,0.0
    """

    _only_networks = ("rows", "gradient_norm")  # columns of what dictionaries do not have
    _terms: list[str] | None
    _measures: list[str]

    def _last(self, lines: list[str]) -> tuple[int, int]:
        header, *rows = csv.reader(lines)
        of_network = self._only_networks[0] in header
        end = header.index(self._only_networks[1] if of_network else "seconds")
        self._terms = header[4 if of_network else 3 : end]
        self._measures = header[header.index("seconds") + 1 :]
        if (
            header != self._header(self._terms)
            or not set(self._measures) <= set(_MEASURES)
            or any(len(row) != len(header) for row in rows[-1:])
        ):
            raise ValueError
        return (int(rows[-1][0]), int(rows[-1][header.index("iteration")])) if rows else (0, 0)

    def _read_what_is_there(self) -> tuple[int, int]:
        self._terms, self._measures = None, []
        return super()._read_what_is_there()

    def _line(self, solve: int, state: IterationState, seconds: float) -> str:
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        if self._terms is None:
            self._terms, self._measures = list(state.terms), list(_measures(state))
            writer.writerow(self._header(self._terms))
        unknown = [name for name in state.terms if name not in self._terms]
        if unknown:
            raise ValueError(
                f"{self.path} only has columns for the terms {self._terms}, but J also has the terms {unknown}; write"
                " to another file, or use JSONLinesHistory."
            )
        terms = [float(state.terms[name]) if name in state.terms else "" for name in self._terms]
        rows, norm = "" if state.n_rows is None else state.n_rows, float(state.gradient_norm)
        measured = _measures(state)
        measures = [measured.get(name, "") for name in self._measures]
        begin, end = ([solve], []) if self._measures else ([solve, rows], [norm])
        writer.writerow([*begin, state.iteration, float(state.value), *terms, *end, seconds, *measures])
        return lines.getvalue()

    def _header(self, terms: list[str]) -> list[str]:
        rows, norm = ([], []) if self._measures else ([one] for one in self._only_networks)
        return ["solve", *rows, "iteration", "value", *terms, *norm, "seconds", *self._measures]


def _measures(state: IterationState) -> dict[str, float]:
    """Return the figures of a dictionary by the names of their columns; empty for other models."""
    return {name: state.measures[key] for name, key in _MEASURES.items() if key in state.measures}


def _finite(value: float) -> float | None:
    """Return a number as a float, or None if it is not finite, since JSON has no infinite numbers and no NaN."""
    return float(value) if math.isfinite(value) else None
