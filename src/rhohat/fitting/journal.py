"""The journal of a fit: its progress so far, which survives Ctrl-C, and is written to and read from checkpoints."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from types import CodeType, TracebackType
from typing import Any, Protocol, Self

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import CheckpointError, CheckpointWarning
from rhohat.common.words import Sentence, joined
from rhohat.data import RowSource, open_rows
from rhohat.engines import cluster_of
from rhohat.fitting.checkpoint_settings import RESUME, Checkpoint
from rhohat.fitting.checkpoints import Checkpoints
from rhohat.fitting.differences import differences_of
from rhohat.solvers import RunState, SolverResult, as_solver

__all__ = ["AS_IT_WAS", "Journal", "describe", "describe_estimator", "describe_rows"]

#: Value of a setting whose real value is to be taken from the fit that is resumed.
AS_IT_WAS = object()

_LEARNED = "learned "  # prefix of the names of what a result has beside θ
_SHORT_ARRAY = 16  # largest array whose numbers are listed one by one


class Minimise(Protocol):
    """Interface of a function that runs a certain solver on a certain objective, from a certain start."""

    def __call__(self, *, keeper: Journal, resume_from: RunState | None) -> SolverResult:
        """Run the solver from its start, or from `resume_from` if it is not None, and return the result."""


class Journal:
    """Record of a fit while it runs, stage by stage; each run of a solver is a stage.

    A journal is a context manager: if an exception ends the fit early, the last complete state is written.

    Parameters
    ----------
    checkpoint : Checkpoint or None
        Where and how often checkpoints are written, and whether the fit resumes from a checkpoint. If None, no
        checkpoints are written.
    settings : dict
        Values that must be the same in a resumed fit, in types that JSON can represent.
    data : callable
        Function without arguments that reads the data and returns values, such as digests, that must be the same in a
        resumed fit. It is called only if checkpoints are written.
    part : bool, default=False
        Whether the fit is a part of a larger fit. Then it prints no messages, because the larger fit has printed them,
        and it continues even if its first checkpoint cannot be written.
    writes : bool, default=True
        Whether this process writes the checkpoints. In a group of processes that fit together, the first one does; the
        others only read from where a fit is resumed.

    Attributes
    ----------
    seed : int or None
        Seed of the fit; see `keep_seed`.
    found : dict
        Settings and data of the fit that is resumed; empty if no fit is resumed.
    interrupted : SolverResult or None
        Result that the fit had when Ctrl-C ended it; None without Ctrl-C, or if there was no result yet.

    Raises
    ------
    CheckpointError
        If the folder has checkpoints of another fit; if it has checkpoints but the fit is not to be resumed; if the
        checkpoints cannot be read; or if another fit is using the folder.
    OSError
        If the folder cannot be created.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        settings: dict[str, Any],
        data: Callable[[], dict[str, Any]],
        *,
        part: bool = False,
        writes: bool = True,
    ) -> None:
        self.seed: int | None = None
        self.found: dict[str, Any] = {}
        self.interrupted: SolverResult | None = None
        self._checkpoints = None if checkpoint is None else Checkpoints(checkpoint.folder)
        self._asked, self._part = checkpoint, part
        self._identity: dict[str, Any] = settings
        self._record: dict[str, Any] = {}  # record of the checkpoint from which the fit resumes
        self._arrays: dict[str, FloatArray] = {}
        self._finished: list[dict[str, Any]] = []  # the finished stages with their results
        self._last_theta: FloatArray | None = None  # θ at the end of the last finished stage
        self._stage = ""
        self._capture: Callable[[], RunState] | None = None
        self._progress = 0
        #: Time of the last checkpoint, and the progress of the fit at that time; None before the first checkpoint.
        self._saved_at: tuple[float, tuple[int, str, int]] | None = None
        if checkpoint is not None and self._checkpoints is not None:
            self._open(self._checkpoints, bool(checkpoint.resume), data, locks=writes)
            if not writes:
                self._checkpoints = None

    @classmethod
    def of_nothing(cls) -> Self:
        """Return a journal that writes no checkpoints."""
        return cls(None, {}, dict)

    def of_followers(self) -> Journal:
        """Return a journal for processes that follow this one: it begins where this one does, and writes nothing."""
        other = Journal.of_nothing()
        other.seed, other._record, other._arrays = self.seed, self._record, self._arrays
        return other

    @property
    def result(self) -> SolverResult | None:
        """Result of the fit that is resumed, if that fit had ended; otherwise None."""
        complete = self._record.get("complete")
        return None if complete is None else _result_from(complete, self._arrays)

    @property
    def stage(self) -> str:
        """Name of the current stage; between stages, of the last stage."""
        return self._stage

    def solve(self, stage: str, minimise: Minimise, *, goes_on: bool = False) -> SolverResult:
        """Run a solver as a stage of the fit, and return its result.

        In a resumed fit, an interrupted stage is continued, and for a complete stage the stored result is returned.

        Parameters
        ----------
        stage : str
            Name of the stage, which must be unique in the fit.
        minimise : callable
            Function that runs the solver; see `Minimise`.
        goes_on : bool, default=False
            Whether the fit goes on to another stage where a callback has stopped this one. Otherwise the stage stays
            open, and a fit that is resumed continues it.
        """
        self._stage, self._capture, self._progress = stage, None, 0
        for done in self._record.get("finished", []):
            if done["stage"] == stage:
                self._finished.append(done)
                self._last_theta = self._arrays["theta"]
                return _result_from(done["result"], self._arrays)
        state = None
        if self._record.get("stage") == stage:
            own = {name[4:]: array for name, array in self._arrays.items() if name.startswith("run ")}
            state = RunState(self._record["run"], own)
        self._record, self._arrays = {}, {}
        result = minimise(keeper=self, resume_from=state)
        if result.status != "stopped" or goes_on:  # a run that a callback has stopped can be resumed from there
            self._capture = None
            self._finished.append({"stage": stage, "result": _record_of(result)})
            self._last_theta = result.theta
        return result

    def keep_seed(self, draw: Callable[[], int]) -> int:
        """Return the seed of the fit that is resumed, or draw a seed; every checkpoint contains the seed."""
        if self.seed is None:
            self.seed = draw()
        return self.seed

    def note(self) -> None:
        """Write a checkpoint that stores only the seed and the settings of the fit, and no state of a solver."""
        if self._checkpoints is not None:
            self._write({}, {})

    def finish(self, result: SolverResult) -> None:
        """Write the last checkpoint: the fit's result, or the last state if a callback has stopped the fit."""
        if self._checkpoints is None:
            return
        if result.status == "stopped" and self._capture is not None:
            self._write_state()
        else:
            learned = {f"{_LEARNED}{name}": array for name, array in result.arrays.items()}
            self._write({"complete": _record_of(result)}, {"theta": result.theta, **learned}, may_fail=True)

    def offer(self, progress: int, capture: Callable[[], RunState]) -> None:
        """Remember the function that returns the solver's state, and call it if a checkpoint is due; see `Keeper`."""
        self._progress, self._capture = progress, capture
        if self._checkpoints is not None and self._is_due():
            self._write_state()

    def withdraw(self) -> None:
        """Forget the last state, because the solver is about to change it."""
        self._capture = None

    def state(self) -> RunState | None:
        """Return the state of the current stage, or None if it is not known."""
        return None if self._capture is None else self._capture()

    @property
    def last_theta(self) -> FloatArray | None:
        """The vector θ at the end of the last finished stage, or None if no stage has finished."""
        return self._last_theta

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            is_new = self._saved_at is not None and self._saved_at[1] != self._place
            is_known = self._capture is not None or self._last_theta is not None
            if kind is not None and self._checkpoints is not None and is_new and is_known:
                self._write_state()
        finally:
            self._capture = None
            if self._checkpoints is not None:
                self._checkpoints.unlock()

    def _open(self, checkpoints: Checkpoints, resume: bool, data: Callable[[], dict[str, Any]], *, locks: bool) -> None:
        folder = checkpoints.folder
        try:
            if locks:
                checkpoints.lock()
        except OSError as error:
            raise _explain(error, checkpoints) from None
        try:
            newest = checkpoints.newest()
            if newest is not None and not resume:
                raise CheckpointError(
                    Sentence(
                        f"{folder} holds checkpoints of an earlier fit. Pass ",
                        RESUME,
                        " to continue that fit, name another folder, or delete this one.",
                    )
                )
            if newest is not None:
                self._record, self._arrays = newest
                self.found, self.seed = self._record["identity"], self._record["seed"]
                self._refuse_differences(folder)
            elif resume and not self._part:
                print(
                    f"rhohat: {folder} contains no checkpoint yet; the fit starts from the beginning.", file=sys.stderr
                )
            self._identity |= data()
            if newest is not None:
                self._refuse_differences(folder)
                if "complete" in self._record and not self._part:
                    print(_already_finished(folder), file=sys.stderr)
            for name in [name for name, value in self._identity.items() if value is AS_IT_WAS]:
                self._identity[name] = self.found.get(name)
        except BaseException:
            checkpoints.unlock()
            raise

    def _refuse_differences(self, folder: Path) -> None:
        """Raise CheckpointError if the settings or data of the fit differ from those in the checkpoint."""
        settings = {name: value for name, value in self._identity.items() if value is not AS_IT_WAS}
        differences = list(differences_of({name: self.found.get(name) for name in settings}, settings))
        if differences:
            raise CheckpointError(
                Sentence(f"{folder} holds checkpoints of another fit: ", joined(differences, "; "), ".")
            )

    @property
    def _place(self) -> tuple[int, str, int]:
        """Progress of the fit: number of finished stages, current stage, and progress within the current stage."""
        return len(self._finished), self._stage, -1 if self._capture is None else self._progress

    def _is_due(self) -> bool:
        assert self._asked is not None
        if self._saved_at is None:
            return True
        when, (_, stage, progress) = self._saved_at
        if self._asked.seconds is not None:
            return time.monotonic() - when >= self._asked.seconds
        return stage != self._stage or self._progress - progress >= int(self._asked.every)

    def _write_state(self) -> None:
        record: dict[str, Any] = {"finished": self._finished}
        arrays: dict[str, FloatArray] = {}
        state = self.state()
        if state is not None:
            record |= {"stage": self._stage, "run": state.record}
            arrays |= {f"run {name}": array for name, array in state.arrays.items()}
        if self._last_theta is not None:
            arrays["theta"] = self._last_theta
        self._write(record, arrays)

    def _write(self, record: dict[str, Any], arrays: dict[str, FloatArray], *, may_fail: bool = False) -> None:
        """Write a checkpoint, or warn that it cannot be written.

        If the first checkpoint of a fit cannot be written, little is lost by ending the fit, so an OSError is raised,
        unless `may_fail` is true or the fit is a part of a larger fit.
        """
        assert self._checkpoints is not None
        try:
            self._checkpoints.save({**record, "identity": self._identity, "seed": self.seed}, arrays)
        except OSError as error:
            failure = _explain(error, self._checkpoints)
            if self._saved_at is None and not (may_fail or self._part):
                raise failure from None
            warnings.warn(
                f"{failure.strerror} The fit continues; the last checkpoint stays unchanged.",
                CheckpointWarning,
                stacklevel=2,
            )
        self._saved_at = time.monotonic(), self._place


def _already_finished(folder: Path) -> str:
    """Return what is said of a fit that is resumed, but has ended."""
    return (
        f"rhohat: the fit that {folder} holds is finished, so its result is taken over and nothing is trained. For a"
        " longer fit, start anew with a larger max_iter (--max-iter) and another folder for its checkpoints."
    )


def _explain(error: OSError, checkpoints: Checkpoints) -> OSError:
    """Return an error of the same type whose message says that no checkpoint can be written."""
    reason = error.strerror or str(error)
    return type(error)(
        error.errno,
        f"No checkpoint can be written to {checkpoints.folder}: {reason}. Choose another folder, or free space there.",
    )


#: Parameters that do not affect what is learned, or whose effect other settings of the journal describe.
_FREE = {"n_jobs", "engine", "callbacks", "verbose", "checkpoint", "warm_start", "memory_limit"}


def describe_estimator(estimator: Any) -> dict[str, Any]:
    """Return the class of an estimator, and the parameters that affect what it learns, as a description."""
    parameters = estimator.get_params(deep=False)
    if isinstance(parameters.get("solver"), str):
        parameters["solver"] = as_solver(parameters["solver"])
    settings = {name: describe(value) for name, value in parameters.items() if name not in _FREE}
    cluster = cluster_of(parameters.get("engine"))  # what threads or a device have begun, the other may go on with
    engine = "threads" if cluster is None else type(cluster).__name__
    return {"class": type(estimator).__name__, "engine": engine, **settings}


def describe(value: Any, known: tuple[int, ...] = ()) -> Any:
    """Return a description of a setting that distinguishes it from others, in types that JSON can represent.

    An object is described by its class and its attributes, a function by its name, its code and the values to which
    the code refers, and a long array by a digest.
    """
    if id(value) in known:
        return "itself"
    inner = partial(describe, known=(*known, id(value)))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype != object:
        if value.size <= _SHORT_ARRAY and value.dtype.kind in "biuf":
            return value.tolist()
        return f"array {value.shape} {value.dtype} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    if isinstance(value, Mapping):
        return {str(name): inner(one) for name, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((inner(one) for one in value), key=repr)
    if isinstance(value, Sequence | np.ndarray):
        return [inner(one) for one in value]
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "get_params") and not isinstance(value, type):
        return describe_estimator(value)
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return _describe_function(value, inner)
    return {"class": type(value).__qualname__} | {name: inner(one) for name, one in _attributes_of(value).items()}


def _describe_function(function: Any, describe: Callable[[Any], Any]) -> Any:
    """Return the name of a class or function; for a function defined outside rhohat, its code as well."""
    name = f"{function.__module__}.{function.__qualname__}"
    code = getattr(function, "__code__", None)
    if code is None or name.startswith("rhohat."):
        return name
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    refers_to = [describe(one) for one in (function.__defaults__, function.__kwdefaults__, cells)]
    return {"function": name, "code": _digest_of_code(code), "refers to": refers_to}


def _digest_of_code(code: CodeType) -> str:
    constants = [_digest_of_code(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return hashlib.sha256(repr((code.co_code, code.co_names, constants)).encode()).hexdigest()[:16]


def _attributes_of(value: Any) -> dict[str, Any]:
    """Return the attributes of an object by name."""
    if isinstance(value, partial):
        return {"function": value.func, "arguments": value.args, "keywords": value.keywords}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    slots = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
    return {name: getattr(value, name) for name in slots if hasattr(value, name)} | getattr(value, "__dict__", {})


def describe_rows(rows: Any) -> Any:
    """Return the shape, the dtype and a digest of the numbers of an array or a row source; None if `rows` is None."""
    if rows is None:
        return None
    source = rows if isinstance(rows, RowSource) else open_rows(np.asarray(rows).reshape(len(rows), -1))
    return {"shape": list(rows.shape), "dtype": str(source.dtype), "digest": source.fingerprint()}


#: Fields of a result that are dicts by number of rows.
_BY_ROWS = ("warm_up_evaluations", "warm_up_curves")


def _record_of(result: SolverResult) -> dict[str, Any]:
    """Return all fields of a result except its arrays, in types that JSON can represent."""
    names = [field.name for field in dataclasses.fields(result) if field.name not in ("theta", "arrays")]
    record = {name: getattr(result, name) for name in names}
    for name in _BY_ROWS:
        record[name] = list(record[name].items())  # in JSON, keys can only be strings
    return record


def _result_from(record: dict[str, Any], arrays: Mapping[str, FloatArray]) -> SolverResult:
    learned = {name.removeprefix(_LEARNED): one for name, one in arrays.items() if name.startswith(_LEARNED)}
    by_rows = {name: {int(n_rows): value for n_rows, value in record[name]} for name in _BY_ROWS}
    return SolverResult(**{**record, **by_rows}, theta=arrays["theta"], arrays=learned)
