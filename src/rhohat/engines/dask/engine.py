"""The engine that computes on the workers of a Dask cluster.

The workers hold objects, one for each part of the rows, that are made from what the scheduler knows: those of a worker
that is lost are made anew by another. A sum is one graph of tasks: a call of each object, and additions in a tree whose
shape depends on the number of parts only. So it has the same bits on any number of workers, lost ones or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from rhohat.common.extras import import_extra
from rhohat.engines.dask.connection import Connection, large_graphs
from rhohat.engines.dask.held_parts import PartsOnWorkers
from rhohat.engines.threads import ThreadEngine

__all__ = ["DaskEngine"]


class DaskEngine:
    """Computes sums over rows on the workers of a Dask cluster.

    Every worker holds some of the rows, and works on as many parts of them at a time as it has threads; BLAS is held to
    one thread each. The result has the same bits for any number of workers and threads. A worker that is lost is
    replaced by the others, or by one that comes; nothing has to be started again.

    Give it to an estimator as ``engine=DaskEngine(client)``.

    Parameters
    ----------
    client : distributed.Client
        Connected to a scheduler; not an asynchronous one. rhohat must be installed where the scheduler and the workers
        run, in the version that is used here.
    timeout : float, default=30
        Seconds to wait for a scheduler that does not answer, or for workers where none is left, before a
        `ClusterError`. A scheduler that breaks the connection is an error at once.

    Raises
    ------
    ValueError
        If the client is not a synchronous one of ``dask.distributed``, or the timeout is not positive.

    Examples
    --------
    On one machine::

        from dask.distributed import Client, LocalCluster
        from rhohat import SparseAutoencoder
        from rhohat.engines import DaskEngine

        if __name__ == "__main__":
            with LocalCluster(n_workers=4, threads_per_worker=1) as cluster, Client(cluster) as client:
                model = SparseAutoencoder(n_components=196, engine=DaskEngine(client)).fit(X)

    On several: ``dask scheduler`` on one of them, ``dask worker tcp://that-one:8786`` on each, and
    ``Client("tcp://that-one:8786")``.
    """

    def __init__(self, client: Any, timeout: float = 30.0) -> None:
        if not (hasattr(client, "scheduler_info") and hasattr(client, "submit")):
            raise ValueError(f"client must be a distributed.Client, such as Client('tcp://host:8786'); got {client!r}.")
        if getattr(client, "asynchronous", False):
            raise ValueError("client must be a synchronous distributed.Client; make one without asynchronous=True.")
        if not timeout > 0:
            raise ValueError(f"timeout must be a number of seconds above 0; got {timeout!r}.")
        self._set(client, timeout)

    def _set(self, client: Any, timeout: float) -> None:
        self._connection = Connection(client, timeout)
        self._threads: ThreadEngine | None = None

    @property
    def client(self) -> Any:
        """The client that was given."""
        return self._connection.client

    @property
    def timeout(self) -> float:
        """Seconds to wait for the scheduler, or for workers."""
        return self._connection.timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._connection.timeout = seconds

    @property
    def threads(self) -> ThreadEngine:
        """For work of this process."""
        if self._threads is None:
            self._threads = ThreadEngine()
        return self._threads

    @property
    def local_engine(self) -> Callable[[], ThreadEngine]:
        """Makes what works on a part of the rows, in a thread of a worker."""
        return partial(ThreadEngine, 1)

    def __repr__(self) -> str:
        return f"DaskEngine({self._connection.given!r})"

    def __deepcopy__(self, _: dict[int, Any]) -> DaskEngine:
        return self  # a clone of an estimator uses the same cluster

    def __reduce__(self) -> tuple[Any, ...]:
        return _without_client, (self.timeout,)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Hold BLAS to one thread in this process too, for as long as the `with` block lasts."""
        with self.threads.session():
            yield

    def check(self) -> None:
        """Raise ClusterError where there are no workers, or rhohat is missing on one or is another version there."""
        self._connection.check()

    def memory_of_workers(self) -> list[float]:
        """Return the bytes that each worker may use; infinity where there is no limit."""
        return [float(worker.get("memory_limit") or np.inf) for worker in self._connection.some_workers().values()]

    def hold(self, make: Callable[..., Any], arguments: Sequence[Sequence[Any]]) -> PartsOnWorkers:
        """Call a function with each of many sets of arguments, on the workers, and keep what it returns there.

        Parameters
        ----------
        make : callable
        arguments : sequence of sequences
            They go to the scheduler together with the call, which so can repeat it where a worker is lost. Arguments,
            and items of lists among them, that Dask computes arrive computed.

        Returns
        -------
        PartsOnWorkers
            Until it is garbage, the workers hold the objects.

        Raises
        ------
        ClusterError
            If the cluster is not there, or rhohat is missing on it.
        Exception
            What a call raised.
        """
        return PartsOnWorkers(self._connection, make, arguments)

    def compute(self, objects: Sequence[Any]) -> list[Any]:
        """Return what objects of Dask become, computed on the cluster.

        Raises
        ------
        ClusterError
            If the cluster is not there.
        Exception
            What computing them raised.
        """
        self._connection.some_workers()
        with large_graphs():
            futures = self.client.compute(list(objects), sync=False)
        self._connection.wait(futures)
        return [self._connection.result(future) for future in futures]

    def persist(self, collection: Any) -> Any:
        """Return a Dask collection computed, so that the workers hold it for as long as somebody uses it."""
        self._connection.some_workers()
        with large_graphs():
            persisted = self.client.persist(collection)
        self._connection.wait(import_extra("distributed", "dask").futures_of(persisted, client=self.client))
        return persisted


def _without_client(timeout: float) -> DaskEngine:
    """Return an engine as it comes out of a pickle."""
    engine = DaskEngine.__new__(DaskEngine)
    engine._set(None, timeout)
    return engine
