"""How functions are compiled by Numba and where the machine code is kept.

A function is compiled when it is first called with arrays of a data type. The machine code is kept in a file, so that
later processes load it in milliseconds. The file lies beside the source or, where that folder cannot be written to, in
the user's cache folder. If neither can be written to, every process compiles for itself.

Numba decides by the contents of a function's source file whether its machine code is out of date. As functions here
call functions of other files, the contents of all files of this folder decide instead.

Numba compiles a function anew for each combination of argument types, and constants have types of their own: a call
with True or 0 is compiled separately from one with a variable. Such arguments are therefore written as np.bool_(True)
or np.int64(0).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from numba import njit, types
from numba.core import caching
from numba.extending import intrinsic, register_jitable

__all__ = ["FAST_MATH", "Number", "also_python", "compiled", "inlined", "not_inlined", "shared", "summing"]

_F = TypeVar("_F", bound=Callable[..., Any])

#: A number of one of Numba's types, such as float32.
Number = Any

#: Multiplications and additions may be fused, and a zero may lose its sign. Sums keep their order, and NaN and infinity
#: are what they are, because the functions of this folder rely on both.
FAST_MATH = {"contract", "nsz"}


#: How every function is compiled.
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": FAST_MATH, "error_model": "numpy"}
#: Options for functions that only compiled functions call. Wrappers that make functions callable from Python and from C
#: would take a sixth of the time of compiling.
_INNER: dict[str, Any] = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def inlined(function: _F) -> _F:
    """Compile a function that compiled functions call, and which is not worth machine code of its own."""
    return njit(**_INNER, forceinline=True)(function)


def also_python(function: _F) -> _F:
    """Compile a function where compiled functions call it; Python calls it as it is written."""
    return register_jitable(**_OPTIONS)(function)


@intrinsic
def not_inlined(context: Any) -> Any:
    """Keep LLVM from copying the function that calls this into its callers, which would take long to compile."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


def shared(function: _F) -> _F:
    """Compile a function that compiled functions call; LLVM decides where it is copied into the caller."""
    return njit(**_INNER)(function)


def summing(function: _F) -> _F:
    """Compile a function as `inlined` does, but with sums whose terms are added in an order that suits vectors."""
    return njit(**{**_INNER, "fastmath": {*FAST_MATH, "reassoc"}}, forceinline=True)(function)


def compiled(function: _F) -> _F:
    """Compile a function at its first call, without holding Python's lock while it runs, and keep the machine code."""
    dispatcher = njit(**_OPTIONS)(function)
    try:
        dispatcher._cache = _Cache(function)
    except RuntimeError:  # there is no folder that can be written to
        return dispatcher
    return dispatcher


@cache
def _stamp_of_sources() -> bytes:
    """Return a digest of all source files of this folder."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).digest()


class _Beside(caching.InTreeCacheLocator):
    """The place of machine code beside the source."""

    def get_source_stamp(self) -> bytes:
        return _stamp_of_sources()


class _OfUser(caching.UserWideCacheLocator):
    """The place of machine code in the user's cache folder."""

    def get_source_stamp(self) -> bytes:
        return _stamp_of_sources()


class _Provided(caching.UserProvidedCacheLocator):
    """The place of machine code in the folder that the environment variable NUMBA_CACHE_DIR names."""

    def get_source_stamp(self) -> bytes:
        return _stamp_of_sources()


class _Places(caching.CompileResultCacheImpl):
    _locator_classes = [_Provided, _Beside, _OfUser]  # noqa: RUF012 - the attribute of the base class


class _Cache(caching.FunctionCache):
    _impl_class = _Places
