"""Imports of scikit-learn without the packages that it imports for a function or two, which few programs call."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ["stand_ins"]

#: Packages that are slow to import; packages before the parts of them that are imported by name.
_SLOW = (
    *("scipy.stats", "pandas", "numpy.f2py", "numpy.testing"),
    *("narwhals", "narwhals.stable", "narwhals.stable.v2"),
)


class _StandIn(ModuleType):
    """A module that imports the one of the same name when something is first read from it, and passes it on."""

    def __getattr__(self, name: str) -> Any:
        _take_away(self)
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def stand_ins() -> Iterator[None]:
    """Context manager in which an import of a package such as ``scipy.stats`` gives a stand-in, and so takes no time.

    What is imported within the context keeps the stand-in, which imports the package as soon as something is read from
    it. After the context, an import gives the package itself. A package that is not installed, or is imported already,
    has no stand-in.
    """
    placed = [_StandIn(name) for name in _SLOW if name not in sys.modules and find_spec(name.partition(".")[0])]
    for one in placed:
        sys.modules[one.__name__] = one
        parent, _, child = one.__name__.rpartition(".")
        if parent:
            setattr(importlib.import_module(parent), child, one)
    try:
        yield
    finally:
        for one in reversed(placed):
            _take_away(one)


def _take_away(one: _StandIn) -> None:
    """Remove a stand-in from where an import would find it."""
    if sys.modules.get(one.__name__) is one:
        del sys.modules[one.__name__]
    parent, _, child = one.__name__.rpartition(".")
    if vars(sys.modules.get(parent, one)).get(child) is one:
        delattr(sys.modules[parent], child)
