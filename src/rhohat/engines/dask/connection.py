"""The connection to a Dask cluster: questions to its scheduler, and waiting for tasks, neither of them for ever."""

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

POLL = 1.0  # seconds between looks at the cluster, while it works
_LONGEST_CALL = 5.0  # seconds for the scheduler to answer a question, before it is asked again


class AllWorkersLostError(Exception):
    """None of the workers that something was dealt to is left."""


class Connection:
    """What is asked of a cluster, and waited for.

    Parameters
    ----------
    given : distributed.Client, or None
        None where an engine was loaded, and has no client yet.
    timeout : float
        Seconds to wait for a scheduler that does not answer, or for workers where none is left.
    """

    def __init__(self, given: Any, timeout: float) -> None:
        self.given, self.timeout = given, timeout
        self._checked: set[str] = set()  # workers whose version is known to be ours
        self._in_order = time.monotonic()  # when the cluster was last seen with workers

    @property
    def client(self) -> Any:
        """The client that was given."""
        if self.given is None:
            raise ClusterError(
                "this DaskEngine was loaded with an estimator and has no client: set the estimator's engine to a"
                " DaskEngine(client), or to None."
            )
        return self.given

    def check(self) -> None:
        """Raise ClusterError where there are no workers, or rhohat is missing on one or is another version there."""
        self._in_order = time.monotonic()
        while (workers := self._look()) is None:
            self._check_patience(workers)
        if not workers:
            raise ClusterError(
                "the Dask cluster has no workers; start some, or wait for them with client.wait_for_workers(1)."
            )
        self.check_versions(workers)

    def some_workers(self) -> dict[str, dict[str, Any]]:
        """Return what the scheduler knows of each worker, by address; wait until there are any."""
        self._in_order = time.monotonic()
        while not (workers := self._workers()):
            pass
        return workers

    def result(self, future: Any, home: Collection[str] = ()) -> Any:
        """Return the result of a task, once it is done."""
        self.wait([future], home)
        try:
            return self.client.sync(self.client._gather, [future], callback_timeout=self.timeout + _LONGEST_CALL)[0]
        except (OSError, TimeoutError, asyncio.CancelledError, concurrent.futures.CancelledError) as error:
            raise ClusterError(f"the cluster computed a result, and did not deliver it: {error!r}.") from error

    def wait(self, futures: Sequence[Any], home: Collection[str] = ()) -> None:
        """Wait until tasks are done; raise what one of them raised, or ClusterError. Ctrl-C cancels them.

        Where all of the workers called home are gone, and others are there, raise `AllWorkersLostError`: what was to
        be done at home, preferably, Dask would leave undone for ever.
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
                        "the connection to the Dask scheduler is lost, or it was restarted, and what the workers held"
                        " is gone; connect a new Client and fit again."
                    )
        except BaseException:
            with suppress(Exception):
                self.client.cancel([future for future in futures if not future.done()])
            raise

    def _wait_a_while(self, future: Any, home: Collection[str]) -> None:
        """Wait until a task is done, or some time is over and the cluster is seen to be there."""
        try:
            future.exception(timeout=POLL)
        except TimeoutError:
            workers = self._workers()
            if home and workers and not set(home) & set(workers):
                raise AllWorkersLostError from None
        except (asyncio.CancelledError, concurrent.futures.CancelledError, OSError) as error:
            raise ClusterError(f"the connection to the Dask scheduler is lost: {error!r}.") from error

    def _workers(self) -> dict[str, dict[str, Any]]:
        """Return what the scheduler knows of each worker, or nothing; raise ClusterError where that is so for long."""
        workers = self._look()
        if workers:
            self._in_order = time.monotonic()
        else:
            self._check_patience(workers)
        return workers or {}

    def _look(self) -> dict[str, dict[str, Any]] | None:
        """Return what the scheduler knows of each worker; None where it does not answer."""
        self.check_open()
        try:
            return dict(self.ask(self.client.scheduler.identity)["workers"])
        except (OSError, TimeoutError):
            return None

    def check_open(self) -> None:
        """Raise ClusterError where the client is closed."""
        if self.client.status in ("closed", "closing"):
            raise ClusterError("the connection to the Dask scheduler is lost, and the client is closed.")

    def _check_patience(self, workers: dict[str, Any] | None) -> None:
        """Raise ClusterError where there has been no answer, or no worker, for long; else wait a moment."""
        waited = time.monotonic() - self._in_order
        if waited > self.timeout:
            missing = "the Dask scheduler does not answer" if workers is None else "the Dask cluster has no workers"
            raise ClusterError(f"{missing}, for {waited:.0f} seconds now.")
        time.sleep(POLL / 10)

    def ask(self, question: Callable[..., Any], **arguments: Any) -> Any:
        """Return what the scheduler answers; raise TimeoutError or OSError where it does not."""
        return self.client.sync(question, **arguments, callback_timeout=min(_LONGEST_CALL, self.timeout))

    def check_versions(self, workers: dict[str, Any]) -> None:
        """Raise ClusterError where rhohat is not what it is here."""
        if self._checked.issuperset(workers):
            return
        found = self.client.get_versions(packages=["rhohat"])
        everywhere = {f"the worker {address}": worker for address, worker in found["workers"].items()}
        everywhere["the scheduler"] = found["scheduler"]
        ours = version("rhohat")
        for place, description in everywhere.items():
            theirs = description["packages"].get("rhohat")
            if theirs != ours:
                what = "is not installed" if theirs is None else f"has the version {theirs}"
                raise ClusterError(
                    f"rhohat {what} where {place} runs, and has the version {ours} here; install that everywhere."
                )
        self._checked.update(workers)


def large_graphs() -> Any:
    """Return a context in which Dask does not warn of rows or θ in a graph: they are meant to be there."""
    return import_extra("dask", "dask").config.set({"distributed.admin.large-graph-warning-threshold": 2**62})


def _raise(future: Any) -> None:
    """Raise what a task raised."""
    killed = import_extra("distributed", "dask").KilledWorker
    try:
        future.result()
    except killed as error:
        raise ClusterError(
            "several workers died one after the other over the same part of the rows; do they have enough memory?"
            f" Dask says: {error}"
        ) from error
