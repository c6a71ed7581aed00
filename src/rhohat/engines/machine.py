"""What this machine computes with: primitives, vectors, BLAS and threads."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from threadpoolctl import threadpool_info

from rhohat.engines.threads import thread_count
from rhohat.ops import compiled_or_numpy, wanted_ops

__all__ = ["describe_machine"]


def describe_machine() -> dict[str, Any]:
    """Return what large computations on this machine are done with.

    Returns
    -------
    dict
        ``"primitives"``, "compiled" or "numpy"; ``"numba"``, the version of Numba, or None if it is not used;
        ``"vector_bits"``, the length of the vectors that Numba compiles for, or None; ``"blas"``, a list with the name,
        the version and the kernels of each BLAS library; and ``"threads"``, the number of threads of a sum.
    """
    primitives = wanted_ops() or compiled_or_numpy().name
    vector_bits = None
    if primitives == "compiled":
        from rhohat.ops.compiled.tiles import LANES

        vector_bits = 64 * LANES
    blas = [
        {"library": one["internal_api"], "version": one["version"], "kernels": one.get("architecture")}
        for one in threadpool_info()
        if one["user_api"] == "blas"
    ]
    return {
        "primitives": primitives,
        "numba": None if vector_bits is None else version("numba"),
        "vector_bits": vector_bits,
        "blas": blas,
        "threads": thread_count(None),
    }
