"""The choice of the primitives: by the library that an array belongs to, and by the work that there is to do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

from rhohat.common.extras import import_extra
from rhohat.ops.base import Ops
from rhohat.ops.code_ops import CodeOps
from rhohat.ops.fused import ChainPasses
from rhohat.ops.numpy_ops import NUMPY

__all__ = [
    "OPS",
    "chain_passes_of",
    "check_ops",
    "code_ops_of",
    "compiled_or_numpy",
    "ops_for",
    "ops_named",
    "ops_of",
    "wanted_ops",
]

#: The implementations for NumPy's arrays that users may ask for by name.
OPS = ("numpy", "compiled")

_VARIABLE = "RHOHAT_OPS"

#: Multiplications of a forward pass over all rows from which compiled primitives are worth their start. Importing Numba
#: and loading machine code takes about 0.3 s, and compiling it, once on a machine, some seconds.
_WORTH_COMPILING = 2**24


def ops_of(array: Any) -> Ops:
    """Return the reference primitives for an array: `TorchOps` for a PyTorch tensor, `NumpyOps` for everything else.

    Examples
    --------
    >>> import numpy as np
    >>> ops_of(np.zeros(3)).xp is np
    True
    """
    if type(array).__module__.partition(".")[0] != "torch":
        return NUMPY
    from rhohat.ops.torch_ops import torch_ops

    return torch_ops(str(array.device))


def ops_for(rows: Any, multiply_adds: int, name: str | None = None) -> Ops:
    """Return the primitives for a computation on rows.

    NumPy's arrays are computed with compiled primitives if Numba is installed and the work is worth it. This depends on
    numbers alone that are the same whenever the computation is repeated, so that it gives the same bits each time.

    Parameters
    ----------
    rows : array or Rows
        Only its library matters.
    multiply_adds : int
        Number of multiplications in a forward pass over all rows.
    name : {"numpy", "compiled"}, default=None
        Name of the implementation for NumPy's arrays. If None, the environment variable RHOHAT_OPS names it, and if
        that is not set, the work decides.

    Raises
    ------
    ValueError
        If the name is neither "numpy" nor "compiled".
    ImportError
        If compiled primitives are asked for by name, and Numba is not installed.
    """
    ops = ops_of(rows)
    if ops.library != "numpy":
        return ops
    name = wanted_ops() if name is None else name
    if name is not None:
        return ops_named(name)
    return compiled_or_numpy() if multiply_adds >= _WORTH_COMPILING else ops


def wanted_ops() -> str | None:
    """Return the name of the implementation that the environment variable RHOHAT_OPS asks for, or None."""
    name = os.environ.get(_VARIABLE)
    if name and name not in OPS:
        raise ValueError(f"the environment variable {_VARIABLE} must be one of {OPS}, or not set; got {name!r}.")
    return name or None


def check_ops(name: str | None) -> None:
    """Raise ValueError if a name is that of no implementation, and not None either."""
    if name is not None and name not in OPS:
        raise ValueError(f"ops must be one of {OPS}, or None; got {name!r}.")


def ops_named(name: str) -> Ops:
    """Return the primitives for NumPy's arrays that have the given name."""
    check_ops(name)
    if name == "numpy":
        return NUMPY
    import_extra("numba", "fast")
    from rhohat.ops.compiled_ops import COMPILED

    return COMPILED


def chain_passes_of(sizes: Sequence[int], activations: Sequence[str], loss: str) -> ChainPasses | None:
    """Return the passes of a chain by the compiled primitives, or None without Numba; see `Ops.chain_passes`."""
    return compiled_or_numpy().chain_passes(sizes, activations, loss)


def code_ops_of(ops: Ops) -> CodeOps:
    """Return the primitives of sparse codes that belong to others: compiled ones to compiled ones."""
    if ops.library == "torch":
        from rhohat.ops import torch_code_ops

        return torch_code_ops.TorchCodeOps(products=getattr(ops, "products", "exact"))
    if ops == NUMPY:
        return CodeOps()
    from rhohat.ops.compiled_code_ops import CompiledCodeOps

    return CompiledCodeOps()


@cache
def compiled_or_numpy() -> Ops:
    """Return the compiled primitives, or NumPy's if Numba is not installed or does not work with this NumPy."""
    try:
        return ops_named("compiled")
    except ImportError:
        return NUMPY
