"""The engine that computes on the workers of a Dask cluster.

The workers hold objects, one for each part of the rows. The scheduler knows how these objects are made, so if a worker
is lost, another worker makes its objects anew. A sum is one graph of tasks: a function call for each object, and
additions in a tree whose shape depends only on the number and the length of the vectors to add. So a sum has the same
bits on any number of workers, even if some workers are lost.
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
from rhohat.ops import check_ops

__all__ = ["DaskEngine"]


class DaskEngine:
    """Engine that computes sums over rows on the workers of a Dask cluster.

    Every worker holds some parts of the rows. Each of its threads processes one part at a time, and BLAS is limited to
    one thread. The result has the same bits for any number of workers and threads. If a worker is lost, the other
    workers or a new worker take over its parts, and the fit continues.

    To use the engine, pass it to an estimator as ``engine=DaskEngine(client)``.

    Parameters
    ----------
    client : distributed.Client
        Synchronous client that is connected to a scheduler. The scheduler and the workers must have the same version of
        rhohat as this process.
    timeout : float, default=30
        Seconds to wait for a scheduler that does not answer, or for workers if there are none, before `ClusterError` is
        raised. If the scheduler closes the connection, `ClusterError` is raised at once.
    ops : {"numpy", "compiled"}, default=None
        Primitives that the workers compute with; see `ThreadEngine`. A worker without Numba uses NumPy's primitives.

    Raises
    ------
    ValueError
        If the client is not a synchronous client of ``dask.distributed``, the timeout is not positive, or there are no
        primitives of that name.

    Examples
    --------
    On a single machine::

        from dask.distributed import Client, LocalCluster
        from rhohat import SparseAutoencoder
        from rhohat.engines import DaskEngine

        if __name__ == "__main__":
            with LocalCluster(n_workers=4, threads_per_worker=1) as cluster, Client(cluster) as client:
                model = SparseAutoencoder(n_components=196, engine=DaskEngine(client)).fit(X)

    On several machines, run ``dask scheduler`` on one of them and ``dask worker tcp://that-one:8786`` on each, and
    connect with ``Client("tcp://that-one:8786")``.
    """

    def __init__(self, client: Any, timeout: float = 30.0, ops: str | None = None) -> None:
        if not (hasattr(client, "scheduler_info") and hasattr(client, "submit")):
            raise ValueError(f"client must be a distributed.Client, such as Client('tcp://host:8786'); got {client!r}.")
        if getattr(client, "asynchronous", False):
            raise ValueError("client must be a synchronous distributed.Client; create it without asynchronous=True.")
        if not timeout > 0:
            raise ValueError(f"timeout must be a number of seconds above 0; got {timeout!r}.")
        check_ops(ops)
        self._set(client, timeout, ops)

    def _set(self, client: Any, timeout: float, ops: str | None) -> None:
        self.ops = ops
        self._connection = Connection(client, timeout)
        self._threads: ThreadEngine | None = None

    @property
    def client(self) -> Any:
        """The client that was passed to the engine."""
        return self._connection.client

    @property
    def timeout(self) -> float:
        """Seconds to wait for the scheduler, or for workers, before an error is raised."""
        return self._connection.timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._connection.timeout = seconds

    @property
    def threads(self) -> ThreadEngine:
        """The thread engine for work that is done in this process."""
        if self._threads is None:
            self._threads = ThreadEngine(ops=self.ops)
        return self._threads

    @property
    def local_engine(self) -> Callable[[], ThreadEngine]:
        """Function that creates the engine with which a thread of a worker processes a part of the rows."""
        return partial(ThreadEngine, 1, self.ops)

    def __repr__(self) -> str:
        return f"DaskEngine({self._connection.given!r})"

    def __deepcopy__(self, _: dict[int, Any]) -> DaskEngine:
        return self  # so that a clone of an estimator uses the same cluster

    def __reduce__(self) -> tuple[Any, ...]:
        return _without_client, (self.timeout, self.ops)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Limit BLAS to one thread in this process inside the `with` block, as it is limited on the workers."""
        with self.threads.session():
            yield

    def check(self) -> None:
        """Raise ClusterError if there are no workers, or if a worker does not have the version of rhohat used here."""
        self._connection.check()

    def memory_of_workers(self) -> list[float]:
        """Return the number of bytes that each worker may use, which is infinity for a worker without a limit."""
        return [float(worker.get("memory_limit") or np.inf) for worker in self._connection.some_workers().values()]

    def hold(self, make: Callable[..., Any], arguments: Sequence[Sequence[Any]]) -> PartsOnWorkers:
        """Create objects on the workers by calling a function with each set of arguments, and keep them there.

        Parameters
        ----------
        make : callable
            Function that creates an object.
        arguments : sequence of sequences
            Arguments of each call. They are sent to the scheduler together with the call, so that it can repeat the
            call if a worker is lost. Dask collections among the arguments, or among the items of lists in them, are
            computed before the call.

        Returns
        -------
        PartsOnWorkers
            Handle of the objects; the workers hold them until it is garbage collected.

        Raises
        ------
        ClusterError
            If the cluster cannot be reached, or if its workers do not have the version of rhohat used here.
        Exception
            The exception that a call raised.
        """
        return PartsOnWorkers(self._connection, make, arguments)

    def compute(self, objects: Sequence[Any]) -> list[Any]:
        """Compute Dask objects on the cluster, and return their values.

        Raises
        ------
        ClusterError
            If the cluster cannot be reached.
        Exception
            The exception that computing the objects raised.
        """
        self._connection.some_workers()
        with large_graphs():
            futures = self.client.compute(list(objects), sync=False)
        self._connection.wait(futures)
        return [self._connection.result(future) for future in futures]

    def persist(self, collection: Any) -> Any:
        """Compute a Dask collection; return a collection whose data stay on the workers as long as it is referenced."""
        self._connection.some_workers()
        with large_graphs():
            persisted = self.client.persist(collection)
        self._connection.wait(import_extra("distributed", "dask").futures_of(persisted, client=self.client))
        return persisted


def _without_client(timeout: float, ops: str | None = None) -> DaskEngine:
    """Return an engine without a client; pickle calls this function to restore an engine."""
    engine = DaskEngine.__new__(DaskEngine)
    engine._set(None, timeout, ops)
    return engine
