"""The connection to a Dask cluster, which queries the scheduler and waits for tasks, both with a time limit."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any

from rhohat.common.exceptions import ClusterError
from rhohat.common.extras import import_extra

__all__ = ["POLL", "AllWorkersLostError", "Connection", "large_graphs"]

POLL = 1.0  # seconds between checks of the cluster while it computes
_LONGEST_CALL = 5.0  # seconds to wait for the answer to a query before the query is repeated


class AllWorkersLostError(Exception):
    """Error raised when none of the workers that hold the parts is left."""


class Connection:
    """The connection of an engine to a Dask cluster, which queries the scheduler and waits for tasks.

    Parameters
    ----------
    given : distributed.Client, or None
        The client; None for an engine that was unpickled, for example with an estimator, as pickles contain no client.
    timeout : float
        Seconds to wait for a scheduler that does not answer, or for workers if there are none.
    """

    def __init__(self, given: Any, timeout: float) -> None:
        self.given, self.timeout = given, timeout
        self._checked: set[str] = set()  # addresses of workers with the same version of rhohat as this process
        self._in_order = time.monotonic()  # time at which the cluster was last known to have workers

    @property
    def client(self) -> Any:
        """The client that was passed to the engine."""
        if self.given is None:
            raise ClusterError(
                "this DaskEngine was unpickled, and has no client: set the engine parameter of the estimator to a"
                " DaskEngine(client), or to None."
            )
        return self.given

    def check(self) -> None:
        """Raise ClusterError if there are no workers, or if a worker does not have the version of rhohat used here."""
        self._in_order = time.monotonic()
        while (workers := self._look()) is None:
            self._check_patience(workers)
        if not workers:
            raise ClusterError(
                "the Dask cluster has no workers; start workers, or wait for them with client.wait_for_workers(1)."
            )
        self.check_versions(workers)

    def some_workers(self) -> dict[str, dict[str, Any]]:
        """Return the scheduler's information on each worker, by address, as soon as there is at least one worker."""
        self._in_order = time.monotonic()
        while not (workers := self._workers()):
            pass
        return workers

    def result(self, future: Any, home: Collection[str] = ()) -> Any:
        """Wait until a task is done, and return its result; see `wait` for `home`."""
        self.wait([future], home)
        try:
            return self.client.sync(self.client._gather, [future], callback_timeout=self.timeout + _LONGEST_CALL)[0]
        except (OSError, TimeoutError, asyncio.CancelledError, concurrent.futures.CancelledError) as error:
            raise ClusterError(f"the cluster computed a result but did not deliver it: {error!r}.") from error

    def wait(self, futures: Sequence[Any], home: Collection[str] = ()) -> None:
        """Wait until tasks are done; raise the exception of a task that failed, or ClusterError if the cluster failed.

        Ctrl-C cancels the tasks. If all workers in `home` are lost but there are other workers, raise
        `AllWorkersLostError`, because Dask would never run the tasks that prefer the lost workers.
        """
        self._in_order = time.monotonic()
        try:
            for future in futures:
                while not future.done():
                    self._wait_a_while(future, home)
                if future.status == "error":
                    _raise(future)
                if future.status != "finished":
                    raise ClusterError(
                        "the connection to the Dask scheduler is lost, or the scheduler was restarted, and the data"
                        " that the workers held are gone; connect a new Client and fit again."
                    )
        except BaseException:
            with suppress(Exception):
                self.client.cancel([future for future in futures if not future.done()])
            raise

    def _wait_a_while(self, future: Any, home: Collection[str]) -> None:
        """Wait until a task is done, but at most `POLL` seconds, then check that the cluster still has workers."""
        try:
            future.exception(timeout=POLL)
        except TimeoutError:
            workers = self._workers()
            if home and workers and not set(home) & set(workers):
                raise AllWorkersLostError from None
        except (asyncio.CancelledError, concurrent.futures.CancelledError, OSError) as error:
            raise ClusterError(f"the connection to the Dask scheduler is lost: {error!r}.") from error

    def _workers(self) -> dict[str, dict[str, Any]]:
        """Return the scheduler's information on each worker; raise ClusterError if none appears within the timeout."""
        workers = self._look()
        if workers:
            self._in_order = time.monotonic()
        else:
            self._check_patience(workers)
        return workers or {}

    def _look(self) -> dict[str, dict[str, Any]] | None:
        """Return the scheduler's information on each worker, or None if the scheduler does not answer."""
        self.check_open()
        try:
            return dict(self.ask(self.client.scheduler.identity)["workers"])
        except (OSError, TimeoutError):
            return None

    def check_open(self) -> None:
        """Raise ClusterError if the client is closed."""
        if self.client.status in ("closed", "closing"):
            raise ClusterError(
                "the connection to the Dask scheduler is lost, and the client is closed; connect a new Client."
            )

    def _check_patience(self, workers: dict[str, Any] | None) -> None:
        """Raise ClusterError if there has been no answer or no worker for the timeout; otherwise wait a moment."""
        waited = time.monotonic() - self._in_order
        if waited > self.timeout:
            problem = "scheduler has not answered" if workers is None else "cluster has had no workers"
            raise ClusterError(f"the Dask {problem} for {waited:.0f} seconds.")
        time.sleep(POLL / 10)

    def ask(self, question: Callable[..., Any], **arguments: Any) -> Any:
        """Return the scheduler's answer to a query; raise TimeoutError or OSError if there is none."""
        return self.client.sync(question, **arguments, callback_timeout=min(_LONGEST_CALL, self.timeout))

    def check_versions(self, workers: dict[str, Any]) -> None:
        """Raise ClusterError if the scheduler or a worker does not have the version of rhohat that is used here."""
        if self._checked.issuperset(workers):
            return
        found = self.client.get_versions(packages=["rhohat"])
        everywhere = {f"the worker {address}": worker for address, worker in found["workers"].items()}
        everywhere["the scheduler"] = found["scheduler"]
        ours = version("rhohat")
        for place, description in everywhere.items():
            theirs = description["packages"].get("rhohat")
            if theirs != ours:
                what = "no rhohat" if theirs is None else f"rhohat {theirs}"
                raise ClusterError(
                    f"{what} is installed where {place} runs, but this process uses rhohat {ours}; install the same"
                    " version everywhere."
                )
        self._checked.update(workers)


def large_graphs() -> Any:
    """Return a context in which Dask does not warn of large task graphs; rhohat sends rows and θ in them on purpose."""
    return import_extra("dask", "dask").config.set({"distributed.admin.large-graph-warning-threshold": 2**62})


def _raise(future: Any) -> None:
    """Raise the exception of a task that failed, or ClusterError if its workers died."""
    killed = import_extra("distributed", "dask").KilledWorker
    try:
        future.result()
    except killed as error:
        raise ClusterError(
            "several workers died one after the other while they worked on the same part of the rows; check that the"
            f" workers have enough memory. The message from Dask is: {error}"
        ) from error
