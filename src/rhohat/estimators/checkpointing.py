"""What a fit has done so far: kept for Ctrl-C, written to checkpoints, and resumed from them."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from rhohat.arrays import FloatArray
from rhohat.checkpoints import Checkpoints
from rhohat.data import RowSource, open_rows
from rhohat.exceptions import CheckpointError, CheckpointWarning
from rhohat.solvers import RunState, SolverResult

__all__ = ["Journal", "Schedule", "describe", "describe_estimator", "describe_rows"]

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


class Minimise(Protocol):
    """Runs a solver, on what it was given elsewhere."""

    def __call__(self, *, keeper: Journal, resume_from: RunState | None) -> SolverResult:
        """Return what the solver found."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How often a checkpoint is written.

    Parameters
    ----------
    every : int or str
        Iterations, or updates of θ by mini-batches; or a time, such as "30 s", "5 min" or "1 h".

    Raises
    ------
    ValueError
        If it is neither.
    """

    every: int | str

    def __post_init__(self) -> None:
        if self.seconds is None and not (isinstance(self.every, int | np.integer) and self.every >= 1):
            raise ValueError(
                f"checkpoint_every must be a number of iterations, at least 1, or a time such as '30 s', '5 min' or"
                f" '1 h'; got {self.every!r}."
            )

    @property
    def seconds(self) -> float | None:
        """The time between checkpoints, if it is one."""
        if not isinstance(self.every, str):
            return None
        found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*(s|min|h)\s*", self.every)
        return float(found[1]) * _UNITS[found[2]] if found else None


class Journal:
    """The record of a fit while it is under way, which may consist of several stages, one solver's run each.

    It is a context manager: where the fit ends before its end, for whatever reason, the last complete state is written.

    Parameters
    ----------
    folder : path or None
        For checkpoints; None keeps none.
    schedule : Schedule
    resume : bool
    identity : dict
        What makes the fit what it is, as JSON holds it: settings, data, and where it starts from. Only asked for
        where checkpoints are kept.

    Attributes
    ----------
    seed : int or None
        That of the fit which is resumed; else whoever trains sets it, as it is part of every checkpoint.
    interrupted : SolverResult or None
        What the fit came to before Ctrl-C.

    Raises
    ------
    CheckpointError
        If there is nothing that may be resumed, or something that would be overwritten.
    OSError
        If the folder cannot be made.
    """

    def __init__(
        self,
        folder: str | PathLike[str] | None,
        schedule: Schedule,
        resume: bool,
        identity: Callable[[], dict[str, Any]],
    ) -> None:
        self.seed: int | None = None
        self.interrupted: SolverResult | None = None
        self._checkpoints = None if folder is None else Checkpoints(folder)
        self._schedule = schedule
        self._identity: dict[str, Any] = {}
        self._finished: list[dict[str, Any]] = []  # the stages done, by their results
        self._last_theta: FloatArray | None = None  # of the last of them
        self._found: dict[str, Any] = {}  # the record of the checkpoint that is resumed
        self._found_arrays: dict[str, FloatArray] = {}
        self._stage = ""
        self._capture: Callable[[], RunState] | None = None
        self._progress = 0
        #: When a checkpoint was written last, and what was done then of the stage; None before the first.
        self._saved_at: tuple[float, str, int] | None = None
        if self._checkpoints is not None:
            self._open(self._checkpoints, resume, identity)

    @classmethod
    def of_nothing(cls) -> Self:
        """Return a record that is not written."""
        return cls(None, Schedule(1), False, dict)

    @property
    def result(self) -> SolverResult | None:
        """The result of the fit that is resumed, if that had come to its end."""
        complete = self._found.get("complete")
        return None if complete is None else _result_from(complete, self._found_arrays["theta"])

    def solve(self, stage: str, minimise: Minimise) -> SolverResult:
        """Run a solver; or go on with what it had done, or take what it had found, in the fit that is resumed.

        Parameters
        ----------
        stage : str
            A name that no other stage has.
        minimise : callable
        """
        for done in self._found.get("finished", []):
            if done["stage"] == stage:
                self._finished.append(done)
                self._last_theta = self._found_arrays["theta"]
                return _result_from(done["result"], self._last_theta)
        state = None
        if self._found.get("stage") == stage:
            own = {name[4:]: array for name, array in self._found_arrays.items() if name.startswith("run ")}
            state = RunState(self._found["run"], own)
            self._found, self._found_arrays = {}, {}
        self._stage, self._capture = stage, None
        result = minimise(keeper=self, resume_from=state)
        if result.status != "stopped":  # else it may be resumed where it was stopped
            self._capture = None
            self._finished.append({"stage": stage, "result": _record_of(result)})
            self._last_theta = result.theta
        return result

    def note(self) -> None:
        """Write a checkpoint of no state, which keeps the seed and what the fit is."""
        if self._checkpoints is not None:
            self._write({}, {})

    def finish(self, result: SolverResult) -> None:
        """Write the last checkpoint: the fit's result; or the last state, where a callback has stopped it."""
        if self._checkpoints is None:
            return
        if result.status == "stopped" and self._capture is not None:
            self._write_state()
        else:
            self._write({"complete": _record_of(result)}, {"theta": result.theta})

    def offer(self, progress: int, capture: Callable[[], RunState]) -> None:
        """Take a state in, and write it if it is time; see `rhohat.solvers.Keeper`."""
        self._progress, self._capture = progress, capture
        if self._checkpoints is not None and self._is_due():
            self._write_state()

    def withdraw(self) -> None:
        """Forget the last state, as it is about to change."""
        self._capture = None

    def interrupt(self) -> SolverResult | None:
        """Return how far the stage at work has come, as the result of a solver; None where nothing is known of it."""
        if self._capture is None:
            return None
        state = self._capture()
        record = state.record
        point = record["point"]
        return SolverResult(
            theta=state.arrays["theta"].astype(np.float64),
            value=point["value"],
            terms=point["terms"],
            gradient_norm=float("nan"),
            n_iter=record["n_iter"],
            n_evaluations=record["n_evaluations"],
            status="interrupted",
            message=f"The fit was interrupted after {record['n_iter']} iterations; with warm_start=True, fit goes on.",
            loss_curve=record["loss_curve"],
            terms_curve=record["terms_curve"],
            validation_curve=record["validation_curve"],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            at_hand = (self._stage, self._progress)
            is_new = self._saved_at is not None and self._saved_at[1:] != at_hand
            if kind is not None and self._checkpoints is not None and self._capture is not None and is_new:
                self._write_state()
        finally:
            self._capture = None
            if self._checkpoints is not None:
                self._checkpoints.unlock()

    def _open(self, checkpoints: Checkpoints, resume: bool, identity: Callable[[], dict[str, Any]]) -> None:
        folder = checkpoints.folder
        try:
            checkpoints.lock()
        except OSError as error:
            raise _explain(error, checkpoints) from None
        try:
            found = checkpoints.newest()
            if found is not None and not resume:
                raise CheckpointError(
                    f"{folder} holds checkpoints of an earlier fit; set resume=True to go on with that, name another"
                    " folder, or delete this one."
                )
            self._identity = identity()
            if found is not None:
                self._found, self._found_arrays = found
                differences = list(_differences(self._found["identity"], self._identity))
                if differences:
                    raise CheckpointError(f"{folder} holds checkpoints of another fit: {'; '.join(differences)}.")
                self.seed = self._found["seed"]
            elif resume:
                print(f"rhohat: no checkpoint in {folder} yet; the fit starts.", file=sys.stderr)
        except BaseException:
            checkpoints.unlock()
            raise

    def _is_due(self) -> bool:
        if self._saved_at is None:
            return True
        when, stage, progress = self._saved_at
        if self._schedule.seconds is not None:
            return time.monotonic() - when >= self._schedule.seconds
        return stage != self._stage or self._progress - progress >= int(self._schedule.every)

    def _write_state(self) -> None:
        assert self._capture is not None
        state = self._capture()
        arrays = {f"run {name}": array for name, array in state.arrays.items()}
        if self._last_theta is not None:
            arrays["theta"] = self._last_theta
        self._write({"finished": self._finished, "stage": self._stage, "run": state.record}, arrays)

    def _write(self, record: dict[str, Any], arrays: Mapping[str, FloatArray]) -> None:
        """Write a checkpoint; only the first one may fail, as nothing is lost then."""
        assert self._checkpoints is not None
        try:
            self._checkpoints.save({**record, "identity": self._identity, "seed": self.seed}, dict(arrays))
        except OSError as error:
            failure = _explain(error, self._checkpoints)
            if self._saved_at is None:
                raise failure from None
            warnings.warn(
                f"{failure.strerror} The fit goes on; the last checkpoint stays as it is.",
                CheckpointWarning,
                stacklevel=2,
            )
        self._saved_at = time.monotonic(), self._stage, self._progress


def _explain(error: OSError, checkpoints: Checkpoints) -> OSError:
    """Return an error of the same kind that says what could not be done."""
    reason = error.strerror or str(error)
    return type(error)(
        error.errno,
        f"No checkpoint can be written to {checkpoints.folder}: {reason}. Give another folder, or make room there.",
    )


#: Parameters that change no bit of what is learned.
_FREE = {"n_jobs", "callbacks", "verbose", "checkpoint", "checkpoint_every", "resume"}


def describe_estimator(estimator: Any) -> dict[str, Any]:
    """Return an estimator's class and those parameters that matter to what it learns."""
    parameters = estimator.get_params(deep=False).items()
    settings = {name: describe(value) for name, value in parameters if name not in {*_FREE, "engine"}}
    engine = "threads" if getattr(estimator, "engine", None) is None else type(estimator.engine).__name__
    return {"class": type(estimator).__name__, "engine": engine, **settings}


def describe(value: Any) -> Any:
    """Return what tells a setting apart from another, as JSON holds it.

    Objects are described by their class and attributes, functions by their names, long arrays by a digest.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        if value.size <= 16 and value.dtype.kind in "biuf":
            return value.tolist()
        return f"array {value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    if isinstance(value, Mapping):
        return {str(name): describe(one) for name, one in value.items()}
    if isinstance(value, Sequence):
        return [describe(one) for one in value]
    if hasattr(value, "get_params"):
        return describe_estimator(value)
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    if dataclasses.is_dataclass(value):
        attributes = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    else:
        attributes = {name: one for name, one in getattr(value, "__dict__", {}).items() if not name.startswith("_")}
    return {"class": type(value).__qualname__} | {name: describe(one) for name, one in attributes.items()}


def describe_rows(rows: Any) -> Any:
    """Return shape, dtype and a digest of all numbers of an array or a row source; None for None."""
    if rows is None:
        return None
    source = rows if isinstance(rows, RowSource) else open_rows(np.asarray(rows).reshape(len(rows), -1))
    return {"shape": list(rows.shape), "dtype": str(source.dtype), "digest": source.fingerprint()}


def _differences(before: Any, now: Any, name: str = "") -> Any:
    """Yield a phrase for everything that is not the same."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            inner = f"{name}.{key}" if name else key
            yield from _differences(before.get(key), now.get(key), inner)
    elif before != now and not (before != before and now != now):
        if name.endswith(".digest"):
            yield f"the numbers in {name.removesuffix('.digest')} are not the same"
        else:
            yield f"{name} was {before!r} there and is {now!r} now"


def _record_of(result: SolverResult) -> dict[str, Any]:
    """Return all of a result but θ, as JSON holds it."""
    record = {field.name: getattr(result, field.name) for field in dataclasses.fields(result) if field.name != "theta"}
    record["warm_up_evaluations"] = list(result.warm_up_evaluations.items())  # JSON knows texts as keys only
    return record


def _result_from(record: dict[str, Any], theta: FloatArray) -> SolverResult:
    evaluations = {int(n_rows): int(count) for n_rows, count in record["warm_up_evaluations"]}
    return SolverResult(**{**record, "warm_up_evaluations": evaluations}, theta=theta)
