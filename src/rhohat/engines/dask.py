"""Sums over parts of rows on the workers of a Dask cluster.

The workers hold objects, one for each part of the rows, that are made from what the scheduler knows: those of a worker
that is lost are made anew by another. A sum is one graph of tasks: a call of each object, and additions in a tree whose
shape depends on the number of parts only. So it has the same bits on any number of workers, lost ones or not.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import version
from math import floor
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ClusterError
from rhohat.common.extras import import_extra
from rhohat.engines.threads import ThreadEngine

__all__ = ["DaskEngine"]

_T = TypeVar("_T")

_FAN_IN = 4  # vectors added by a task
_SHORT = 2**17  # numbers, so many in all are added by one task
_ATTEMPTS = 4  # at something for which all workers were lost
_POLL = 1.0  # seconds between looks at the cluster, while it works
_LONGEST_CALL = 5.0  # seconds for the scheduler to answer a question, before it is asked again


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
        self._client, self.timeout = client, timeout
        self._checked: set[str] = set()  # workers whose version is known to be ours
        self._in_order = time.monotonic()  # when the cluster was last seen with workers
        self._threads: ThreadEngine | None = None

    @property
    def client(self) -> Any:
        """The client that was given."""
        if self._client is None:
            raise ClusterError(
                "this DaskEngine was loaded with an estimator and has no client: set the estimator's engine to a"
                " DaskEngine(client), or to None."
            )
        return self._client

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
        return f"DaskEngine({self._client!r})"

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
        self._in_order = time.monotonic()
        while (workers := self._look()) is None:
            self._check_patience(workers)
        if not workers:
            raise ClusterError(
                "the Dask cluster has no workers; start some, or wait for them with client.wait_for_workers(1)."
            )
        self._check_versions(workers)

    def memory_of_workers(self) -> list[float]:
        """Return the bytes that each worker may use; infinity where there is no limit."""
        return [float(worker.get("memory_limit") or np.inf) for worker in self._some_workers().values()]

    def hold(self, make: Callable[..., Any], arguments: Sequence[Sequence[Any]]) -> _HeldParts:
        """Call a function with each of many sets of arguments, on the workers, and keep what it returns there.

        Parameters
        ----------
        make : callable
        arguments : sequence of sequences
            They go to the scheduler together with the call, which so can repeat it where a worker is lost. Arguments,
            and items of lists among them, that Dask computes arrive computed.

        Returns
        -------
        _HeldParts
            Until it is garbage, the workers hold the objects.

        Raises
        ------
        ClusterError
            If the cluster is not there, or rhohat is missing on it.
        Exception
            What a call raised.
        """
        return _HeldParts(self, make, arguments)

    def compute(self, objects: Sequence[Any]) -> list[Any]:
        """Return what objects of Dask become, computed on the cluster.

        Raises
        ------
        ClusterError
            If the cluster is not there.
        Exception
            What computing them raised.
        """
        self._some_workers()
        with self._large_graphs():
            futures = self.client.compute(list(objects), sync=False)
        self._wait(futures)
        return [self._result(future) for future in futures]

    def persist(self, collection: Any) -> Any:
        """Return a Dask collection computed, so that the workers hold it for as long as somebody uses it."""
        self._some_workers()
        with self._large_graphs():
            persisted = self.client.persist(collection)
        self._wait(import_extra("distributed", "dask").futures_of(persisted, client=self.client))
        return persisted

    def _result(self, future: Any, home: Collection[str] = ()) -> Any:
        """Return the result of a task, once it is done."""
        self._wait([future], home)
        try:
            return self.client.sync(self.client._gather, [future], callback_timeout=self.timeout + _LONGEST_CALL)[0]
        except (OSError, TimeoutError, asyncio.CancelledError, concurrent.futures.CancelledError) as error:
            raise ClusterError(f"the cluster computed a result, and did not deliver it: {error!r}.") from error

    def _wait(self, futures: Sequence[Any], home: Collection[str] = ()) -> None:
        """Wait until tasks are done; raise what one of them raised, or ClusterError. Ctrl-C cancels them.

        Where all of the workers called home are gone, and others are there, raise `_AllWorkersLostError`: what was to
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
            future.exception(timeout=_POLL)
        except TimeoutError:
            workers = self._workers()
            if home and workers and not set(home) & set(workers):
                raise _AllWorkersLostError from None
        except (asyncio.CancelledError, concurrent.futures.CancelledError, OSError) as error:
            raise ClusterError(f"the connection to the Dask scheduler is lost: {error!r}.") from error

    def _some_workers(self) -> dict[str, dict[str, Any]]:
        """Return what the scheduler knows of each worker, by address; wait until there are any."""
        self._in_order = time.monotonic()
        while not (workers := self._workers()):
            pass
        return workers

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
        self._check_open()
        try:
            return dict(self._ask(self.client.scheduler.identity)["workers"])
        except (OSError, TimeoutError):
            return None

    def _check_open(self) -> None:
        if self.client.status in ("closed", "closing"):
            raise ClusterError("the connection to the Dask scheduler is lost, and the client is closed.")

    def _check_patience(self, workers: dict[str, Any] | None) -> None:
        """Raise ClusterError where there has been no answer, or no worker, for long; else wait a moment."""
        waited = time.monotonic() - self._in_order
        if waited > self.timeout:
            missing = "the Dask scheduler does not answer" if workers is None else "the Dask cluster has no workers"
            raise ClusterError(f"{missing}, for {waited:.0f} seconds now.")
        time.sleep(_POLL / 10)

    def _ask(self, question: Callable[..., Any], **arguments: Any) -> Any:
        """Return what the scheduler answers; raise TimeoutError or OSError where it does not."""
        return self.client.sync(question, **arguments, callback_timeout=min(_LONGEST_CALL, self.timeout))

    def _check_versions(self, workers: dict[str, Any]) -> None:
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

    @staticmethod
    def _large_graphs() -> Any:
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


class _AllWorkersLostError(Exception):
    """None of the workers that something was dealt to is left."""


class _HeldParts:
    """Objects that the workers of a cluster hold, for as long as this one is not garbage; see `DaskEngine.hold`.

    Each has a home, the worker that its tasks prefer, as Dask would otherwise copy it to others. Where a worker is
    lost, the scheduler has its objects made by others, and they get new homes with the next sum. Where all are lost,
    everything is sent again.
    """

    def __init__(self, engine: DaskEngine, make: Callable[..., Any], arguments: Sequence[Sequence[Any]]) -> None:
        self._engine, self._make, self._arguments = engine, make, arguments
        self._lost = True  # until they are sent
        self._while_some_stay(lambda: None)

    def sum(self, function: Callable[..., FloatArray], shared: Any, *arguments: Any, n_sums: int) -> FloatArray:
        """Return Σ over the objects of what a function of each returns; see `HeldParts`.

        Raises
        ------
        ClusterError
            If the cluster is not there any more, or its workers die over a task again and again.
        Exception
            What a call of the function raised.
        """
        self._look_after_homes()
        return self._while_some_stay(partial(self._sum, function, shared, arguments, n_sums))

    def _while_some_stay(self, function: Callable[[], _T]) -> _T:
        """Return what a function returns; where all workers were lost meanwhile, send everything and try again."""
        for _ in range(_ATTEMPTS):
            with suppress(_AllWorkersLostError):
                if self._lost:
                    self._send()
                return function()
            self._lost = True
        raise ClusterError("all workers of the cluster were lost, several times in succession.")

    def _send(self) -> None:
        """Have the objects made."""
        client, workers = self._engine.client, self._engine._some_workers()
        self._engine._check_versions(workers)
        self._threads, self._looked = _threads_of(workers), time.monotonic()
        self._shared: tuple[Any, Any] | None = None  # what was sent last, and its future
        homes = _deal([None] * len(self._arguments), self._threads)
        on_dask = any(map(_depends_on_dask, self._arguments))
        with self._engine._large_graphs():
            if on_dask:  # the scheduler knows best where what they depend on is
                delayed = import_extra("dask", "dask").delayed(self._make, pure=False)
                self._futures = client.compute([delayed(*some) for some in self._arguments], sync=False)
            else:
                self._futures = [
                    client.submit(self._make, *some, pure=False, workers=[home], allow_other_workers=True)
                    for some, home in zip(self._arguments, homes, strict=True)
                ]
        self._engine._wait(self._futures, self._threads)
        self._homes: list[str | None] = [*homes]
        if on_dask:
            keys = [future.key for future in self._futures]
            found = self._engine._ask(client.scheduler.who_has, keys=keys)
            self._homes = [next(iter(found.get(key) or [None])) for key in keys]
            self._go_home(_deal(self._homes, self._threads))
        self._lost = False

    def _look_after_homes(self) -> None:
        """Deal parts to workers that are new, and those of workers that are gone."""
        self._engine._check_open()
        if time.monotonic() - self._looked < _POLL:
            return
        workers = self._engine._some_workers()
        self._looked = time.monotonic()
        if self._lost or _threads_of(workers) == self._threads:
            return
        self._engine._check_versions(workers)
        self._lost = not set(workers) & set(self._threads)
        if not self._lost:
            self._threads = _threads_of(workers)
            self._go_home(_deal(self._homes, self._threads))

    def _go_home(self, homes: Sequence[str]) -> None:
        for index, (old, new) in enumerate(zip(self._homes, homes, strict=True)):
            if old != new:
                self._futures[index] = self._engine.client.submit(
                    _itself, self._futures[index], pure=False, workers=[new], allow_other_workers=True
                )
        self._homes = [*homes]

    def _sum(
        self, function: Callable[..., FloatArray], shared: Any, arguments: Sequence[Any], n_sums: int
    ) -> FloatArray:
        highlevelgraph = import_extra("dask.highlevelgraph", "dask")
        name = f"rhohat-sum-{uuid4().hex}"
        layers: dict[str, dict[Any, Any]] = {}
        places: dict[str, dict[str, Any]] = {}
        wanted = []
        if self._shared is not None and self._shared[0] is shared and self._shared[1].status == "finished":
            sent = self._shared[1]
        else:
            self._shared = None  # before the next one is there
            sent = f"{name}-shared"
            layers[sent] = {sent: (_itself, shared)}
            wanted.append(sent)
        call = _Call(function, arguments)
        keys = [f"{name}-{index}" for index in range(len(self._futures))]
        for key, future, home in zip(keys, self._futures, self._homes, strict=True):
            layers.setdefault(f"{name}-{home}", {})[key] = (call, future, sent)
            places[f"{name}-{home}"] = {"workers": [home], "allow_other_workers": True} if home else {}
        layers[f"{name}-tree"], root = _tree(keys, len(keys) if n_sums * len(keys) <= _SHORT else _FAN_IN)
        graph = highlevelgraph.HighLevelGraph(
            {
                layer: highlevelgraph.MaterializedLayer(tasks, annotations=places.get(layer))
                for layer, tasks in layers.items()
            },
            _dependencies(name, sent, layers),
        )
        with self._engine._large_graphs():
            total, *sending = self._engine.client.get(graph, [root, *wanted], sync=False)
        result: FloatArray = self._engine._result(total, self._threads)
        if sending:
            self._shared = shared, sending[0]
        return np.array(result)  # what arrives is read-only


class _Call:
    """Calls a function of a part. Its arguments are out of Dask's sight, who would look for tasks in them."""

    def __init__(self, function: Callable[..., FloatArray], arguments: Sequence[Any]) -> None:
        self._function, self._arguments = function, arguments

    def __call__(self, part: Any, shared: Any) -> FloatArray:
        return self._function(part, shared, *self._arguments)


def _itself(value: Any) -> Any:
    return value


def _add(*vectors: FloatArray) -> FloatArray:
    total = vectors[0].copy()
    for vector in vectors[1:]:
        total += vector
    return total


def _tree(keys: list[str], fan_in: int) -> tuple[dict[str, Any], str]:
    """Return tasks that add what tasks of the given keys return, and the key of the last of them."""
    tasks: dict[str, Any] = {}
    level, name = 0, keys[0]
    while len(keys) > 1 or not tasks:
        sums = {f"{name}-{level}-{i}": (_add, *keys[i : i + fan_in]) for i in range(0, len(keys), max(2, fan_in))}
        tasks |= sums
        keys, level = list(sums), level + 1
    return tasks, keys[0]


def _dependencies(name: str, sent: Any, layers: dict[str, Any]) -> dict[str, set[str]]:
    """Return which layers each layer depends on: the tree on all calls, these on what they share."""
    tree = f"{name}-tree"
    calls = set(layers) - {tree, sent}
    return {layer: calls if layer == tree else {sent} & set(layers) if layer in calls else set() for layer in layers}


def _deal(homes: Sequence[str | None], threads: dict[str, int]) -> list[str]:
    """Return a worker for each part: as many as befit its threads, and those that it has, as far as that goes.

    Examples
    --------
    >>> _deal([None] * 4, {"a": 1, "b": 1})
    ['a', 'a', 'b', 'b']
    >>> _deal(["a", "a", "gone", "gone"], {"a": 1, "c": 1})
    ['a', 'a', 'c', 'c']
    """
    workers, total = sorted(threads), sum(threads.values())
    edges = [floor(len(homes) * sum(threads[w] for w in workers[:i]) / total + 0.5) for i in range(len(workers) + 1)]
    room = {worker: edges[i + 1] - edges[i] for i, worker in enumerate(workers)}
    dealt: list[str | None] = []
    for home in homes:
        stays = home is not None and room.get(home, 0) > 0
        dealt.append(home if stays else None)
        if home is not None and stays:
            room[home] -= 1
    free = iter([worker for worker in workers for _ in range(room[worker])])
    return [next(free) if home is None else home for home in dealt]


def _threads_of(workers: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {address: worker["nthreads"] for address, worker in workers.items()}


def _depends_on_dask(arguments: Sequence[Any]) -> bool:
    return any(
        _depends_on_dask(argument) if isinstance(argument, list) else hasattr(argument, "__dask_graph__")
        for argument in arguments
    )


def _without_client(timeout: float) -> DaskEngine:
    """Return an engine as it comes out of a pickle."""
    engine = DaskEngine.__new__(DaskEngine)
    engine._set(None, timeout)
    return engine
