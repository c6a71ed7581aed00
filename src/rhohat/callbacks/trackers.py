"""Callbacks that write the progress of a fit for TensorBoard and MLflow."""

from __future__ import annotations

import time
from os import PathLike
from pathlib import Path
from typing import Any, Self
from weakref import finalize

from rhohat.callbacks._solves import SolveCounter
from rhohat.common.extras import import_extra
from rhohat.solvers import IterationState

__all__ = ["MLflowWriter", "TensorBoardWriter"]

_EXTRA = "trackers"


def _numbers(state: IterationState) -> dict[str, float]:
    """Return the numbers to write for an iteration, by name."""
    terms = {f"terms/{name}": float(value) for name, value in state.terms.items()}
    return {"value": float(state.value), "gradient_norm": float(state.gradient_norm), **terms}


class TensorBoardWriter:
    """Write the cost J, its terms and the norm of its gradient for TensorBoard after every iteration.

    These numbers are written as the scalars ``value``, ``gradient_norm`` and ``terms/...``, and
    ``tensorboard --logdir FOLDER`` shows them. TensorFlow is not needed.

    Parameters
    ----------
    folder : path
        Folder for the file. It is created if it does not exist. TensorBoard shows all files in a folder as one run, so
        give every fit a folder of its own.

    Raises
    ------
    MissingExtraError
        If the package tensorboard is not installed. The error is raised at once, not after the first iteration.
    OSError
        If the folder cannot be created.

    Notes
    -----
    If a fit runs its solver several times, the steps count the iterations of all runs, like the fitted ``n_iter_``.
    The numbers of an iteration are on disk after that iteration, as float32. The file is closed by `close`, at the end
    of a ``with`` statement, or when the object is deleted; a later iteration opens another file. A copy, such as
    scikit-learn's `clone` makes, writes a file of its own.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with TensorBoardWriter(tempfile.mkdtemp()) as writer:
    ...     writer(IterationState(1, 0.5, {"squared_error": 0.5}, 0.1, np.zeros(2)))
    >>> len(list(writer.folder.glob("events.out.tfevents.*")))
    1
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        import_extra("tensorboard.summary", _EXTRA)
        self.folder = Path(folder).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._counter = SolveCounter()
        self._writer: Any = None
        self._closing: Any = None

    def __call__(self, state: IterationState) -> None:
        """Write the cost J, its terms and the norm of its gradient at an iteration over all rows."""
        if state.n_rows is not None:
            return
        if self._writer is None:
            self._writer = import_extra("tensorboard.summary", _EXTRA).Writer(str(self.folder))
            self._closing = finalize(self, self._writer.close)
        self._counter.note(state)
        for name, value in _numbers(state).items():
            self._writer.add_scalar(name, value, self._counter.step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file, if one is open."""
        if self._writer is not None:
            self._closing()
            self._writer = self._closing = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_counter": SolveCounter(), "_writer": None, "_closing": None}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"


class MLflowWriter:
    """Log the cost J, its terms and the norm of its gradient to MLflow after every iteration.

    They are logged as the metrics ``value``, ``gradient_norm`` and ``terms/...``, to the tracking server for which
    MLflow is configured when this object is created.

    Parameters
    ----------
    experiment : str, default=None
        Name of the experiment in which a new run is created. The experiment is created if it does not exist. If None,
        no run is created.
    run : str, default=None
        Id of the run to log to. If None and no experiment is named, metrics are logged to the active run.

    Attributes
    ----------
    run_id : str
        Id of the run that the metrics are logged to.

    Raises
    ------
    MissingExtraError
        If the package mlflow is not installed. The error is raised at once, not after the first iteration.
    MlflowException
        If the server or the run cannot be found. This error is raised at once, too.
    ValueError
        If both a run and an experiment are named, or if neither is named and no run is active.

    Notes
    -----
    If a fit runs its solver several times, the steps count the iterations of all runs, like the fitted ``n_iter_``.
    The metrics of an iteration are on the server after that iteration. A run that this object has created is shown as
    running until `close` is called or a ``with`` statement ends. A copy, such as scikit-learn's `clone` makes, logs to
    the same run and leaves it running.

    Examples
    --------
    Logging to the active run::

        with mlflow.start_run():
            SparseAutoencoder(callbacks=[MLflowWriter()]).fit(X)
    """

    def __init__(self, experiment: str | None = None, *, run: str | None = None) -> None:
        mlflow = import_extra("mlflow", _EXTRA)
        if run is not None and experiment is not None:
            raise ValueError(
                "experiment and run cannot both be given, because a run already belongs to an experiment; got"
                f" {experiment!r} and {run!r}."
            )
        self.tracking_uri = str(mlflow.get_tracking_uri())
        self._counter = SolveCounter()
        self._is_ours = experiment is not None
        if experiment is not None:
            self.run_id = _new_run(self._client(), experiment)
        elif run is not None:
            self.run_id = str(self._client().get_run(run).info.run_id)
        elif mlflow.active_run() is not None:
            self.run_id = str(mlflow.active_run().info.run_id)
        else:
            raise ValueError("no MLflow run is active to log to; call mlflow.start_run(), or name an experiment.")

    def __call__(self, state: IterationState) -> None:
        """Log the cost J, its terms and the norm of its gradient at an iteration over all rows."""
        if state.n_rows is not None:
            return
        metric = import_extra("mlflow.entities", _EXTRA).Metric
        self._counter.note(state)
        now, step = int(time.time() * 1000), self._counter.step
        metrics = [metric(name, value, now, step) for name, value in _numbers(state).items()]
        self._client().log_batch(self.run_id, metrics=metrics, synchronous=True)

    def close(self) -> None:
        """End the run, if this object has created it."""
        if self._is_ours:
            self._client().set_terminated(self.run_id)
            self._is_ours = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_counter": SolveCounter(), "_is_ours": False}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.run_id!r})"

    def _client(self) -> Any:
        return import_extra("mlflow", _EXTRA).MlflowClient(self.tracking_uri)


def _new_run(client: Any, experiment: str) -> str:
    """Return the id of a new run in the named experiment, which is created if it does not exist."""
    found = client.get_experiment_by_name(experiment)
    experiment_id = client.create_experiment(experiment) if found is None else found.experiment_id
    return str(client.create_run(experiment_id).info.run_id)
