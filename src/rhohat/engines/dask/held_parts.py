"""Parts of the rows that the workers of a Dask cluster hold, and sums over these parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ClusterError
from rhohat.common.extras import import_extra
from rhohat.engines.dask.connection import POLL, AllWorkersLostError, Connection, large_graphs
from rhohat.engines.dask.graphs import Call, depends_on_dask, itself, sum_graph
from rhohat.engines.dask.placing import deal, threads_of

__all__ = ["PartsOnWorkers"]

_T = TypeVar("_T")

_ATTEMPTS = 4  # number of attempts at a computation; a further attempt is made if all workers were lost meanwhile


class PartsOnWorkers:
    """Objects that the workers of a cluster hold until this handle is garbage collected; see `DaskEngine.hold`.

    Each object has a home: the worker on which its tasks preferably run. Without homes, Dask would copy objects to
    other workers. If a worker is lost, the scheduler lets other workers create its objects anew, and the objects get
    new homes with the next sum. If all workers are lost, all objects are sent again.
    """

    def __init__(self, connection: Connection, make: Callable[..., Any], arguments: Sequence[Sequence[Any]]) -> None:
        self._connection, self._make, self._arguments = connection, make, arguments
        self._lost = True  # whether the objects have to be sent
        self._while_some_stay(lambda: None)

    def sum(self, function: Callable[..., FloatArray], shared: Any, *arguments: Any, n_sums: int) -> FloatArray:
        """Return the sum of a function's results for all objects, always added in the same order; see `HeldParts`.

        Raises
        ------
        ClusterError
            If the cluster cannot be reached any more, or if its workers repeatedly die during a task.
        Exception
            The exception that a call of the function raised.
        """
        self._look_after_homes()
        return self._while_some_stay(partial(self._sum, function, shared, arguments, n_sums))

    def _while_some_stay(self, function: Callable[[], _T]) -> _T:
        """Return the result of a function; if all workers are lost meanwhile, send all objects again and retry."""
        for _ in range(_ATTEMPTS):
            with suppress(AllWorkersLostError):
                if self._lost:
                    self._send()
                return function()
            self._lost = True
        raise ClusterError("all workers of the cluster were lost, several times in succession.")

    def _send(self) -> None:
        """Let the workers create the objects that they are to hold, and wait until all are created."""
        client, workers = self._connection.client, self._connection.some_workers()
        self._connection.check_versions(workers)
        self._threads, self._looked = threads_of(workers), time.monotonic()
        self._shared: tuple[Any, Any] | None = None  # the argument that was sent last, and its future
        homes = deal([None] * len(self._arguments), self._threads)
        on_dask = any(map(depends_on_dask, self._arguments))
        with large_graphs():
            if on_dask:  # the scheduler places the objects, since it knows where their Dask arguments are
                delayed = import_extra("dask", "dask").delayed(self._make, pure=False)
                self._futures = client.compute([delayed(*some) for some in self._arguments], sync=False)
            else:
                self._futures = [
                    client.submit(self._make, *some, pure=False, workers=[home], allow_other_workers=True)
                    for some, home in zip(self._arguments, homes, strict=True)
                ]
        self._connection.wait(self._futures, self._threads)
        self._homes: list[str | None] = [*homes]
        if on_dask:
            keys = [future.key for future in self._futures]
            found = self._connection.ask(client.scheduler.who_has, keys=keys)
            self._homes = [next(iter(found.get(key) or [None])) for key in keys]
            self._go_home(deal(self._homes, self._threads))
        self._lost = False

    def _look_after_homes(self) -> None:
        """If workers have joined or left, give some objects new homes; if all workers were lost, remember this."""
        self._connection.check_open()
        if time.monotonic() - self._looked < POLL:
            return
        workers = self._connection.some_workers()
        self._looked = time.monotonic()
        if self._lost or threads_of(workers) == self._threads:
            return
        self._connection.check_versions(workers)
        self._lost = not set(workers) & set(self._threads)
        if not self._lost:
            self._threads = threads_of(workers)
            self._go_home(deal(self._homes, self._threads))

    def _go_home(self, homes: Sequence[str]) -> None:
        for index, (old, new) in enumerate(zip(self._homes, homes, strict=True)):
            if old != new:
                self._futures[index] = self._connection.client.submit(
                    itself, self._futures[index], pure=False, workers=[new], allow_other_workers=True
                )
        self._homes = [*homes]

    def _sum(
        self, function: Callable[..., FloatArray], shared: Any, arguments: Sequence[Any], n_sums: int
    ) -> FloatArray:
        sent = None
        if self._shared is not None and self._shared[0] is shared and self._shared[1].status == "finished":
            sent = self._shared[1]
        else:
            self._shared = None  # release the previous argument before the next one is sent
        call = Call(function, arguments)
        graph, root, sending = sum_graph(call, self._futures, self._homes, shared, n_sums, sent=sent)
        wanted = [root] if sending is None else [root, sending]
        with large_graphs():
            total, *also = self._connection.client.get(graph, wanted, sync=False)
        result: FloatArray = self._connection.result(total, self._threads)
        if also:
            self._shared = shared, also[0]
        return np.array(result)  # a copy, since the array that arrives is read-only
