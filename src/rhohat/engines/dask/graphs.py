"""The task graph of a sum: function calls for all parts, and the additions of their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from rhohat.common.arrays import FloatArray
from rhohat.common.extras import import_extra

__all__ = ["Call", "depends_on_dask", "itself", "sum_graph", "tree"]

_FAN_IN = 4  # number of vectors that one task adds
_SHORT = 2**17  # if all vectors together have at most this many numbers, one task adds them all


def sum_graph(
    call: Call, parts: Sequence[Any], homes: Sequence[str | None], shared: Any, n_sums: int, *, sent: Any = None
) -> tuple[Any, str, str | None]:
    """Return a task graph that calls a function for each part and adds the results, and the keys of two of its tasks.

    Parameters
    ----------
    call : Call
        Function that is called with a part and with `shared`.
    parts : sequence of futures
        Futures of the parts.
    homes : sequence of str or None
        Address of the worker that each call prefers.
    shared : object
        Argument that all calls receive.
    n_sums : int
        Number of values that a call returns.
    sent : future, default=None
        Future of `shared` if the workers have it already. If None, the graph contains `shared`.

    Returns
    -------
    graph : HighLevelGraph
        The task graph.
    total : str
        The key of the sum.
    sending : str or None
        The key of `shared`, if it is in the graph.
    """
    highlevelgraph = import_extra("dask.highlevelgraph", "dask")
    name = f"rhohat-sum-{uuid4().hex}"
    layers: dict[str, dict[Any, Any]] = {}
    places: dict[str, dict[str, Any]] = {}
    sending = None
    if sent is None:
        sent = sending = f"{name}-shared"
        layers[sent] = {sent: (itself, shared)}
    keys = [f"{name}-{index}" for index in range(len(parts))]
    for key, part, home in zip(keys, parts, homes, strict=True):
        layers.setdefault(f"{name}-{home}", {})[key] = (call, part, sent)
        places[f"{name}-{home}"] = {"workers": [home], "allow_other_workers": True} if home else {}
    layers[f"{name}-tree"], total = tree(keys, len(keys) if n_sums * len(keys) <= _SHORT else _FAN_IN)
    graph = highlevelgraph.HighLevelGraph(
        {
            layer: highlevelgraph.MaterializedLayer(tasks, annotations=places.get(layer))
            for layer, tasks in layers.items()
        },
        _dependencies(name, sent, layers),
    )
    return graph, total, sending


class Call:
    """A function of a part with fixed further arguments, in which Dask does not search for tasks."""

    def __init__(self, function: Callable[..., FloatArray], arguments: Sequence[Any]) -> None:
        self._function, self._arguments = function, arguments

    def __call__(self, part: Any, shared: Any) -> FloatArray:
        """Return the result of the function for a part of the rows and the argument that all parts share."""
        return self._function(part, shared, *self._arguments)


def itself(value: Any) -> Any:
    """Return the argument unchanged; a task that calls this function only sends or moves an object."""
    return value


def _add(*vectors: FloatArray) -> FloatArray:
    total = vectors[0].copy()
    for vector in vectors[1:]:
        total += vector
    return total


def tree(keys: list[str], fan_in: int) -> tuple[dict[str, Any], str]:
    """Return tasks that add the results of the tasks with the given keys, and the key of the final sum."""
    tasks: dict[str, Any] = {}
    level, name = 0, keys[0]
    while len(keys) > 1 or not tasks:
        sums = {f"{name}-{level}-{i}": (_add, *keys[i : i + fan_in]) for i in range(0, len(keys), max(2, fan_in))}
        tasks |= sums
        keys, level = list(sums), level + 1
    return tasks, keys[0]


def _dependencies(name: str, sent: Any, layers: dict[str, Any]) -> dict[str, set[str]]:
    """Return which layers of a task graph each layer needs: additions need all calls, calls need `shared`."""
    additions = f"{name}-tree"
    calls = set(layers) - {additions, sent}
    return {
        layer: calls if layer == additions else {sent} & set(layers) if layer in calls else set() for layer in layers
    }


def depends_on_dask(arguments: Sequence[Any]) -> bool:
    """Return whether any of the arguments, or of the items of lists among them, is a Dask collection."""
    return any(
        depends_on_dask(argument) if isinstance(argument, list) else hasattr(argument, "__dask_graph__")
        for argument in arguments
    )
