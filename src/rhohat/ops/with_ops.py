"""The base class of objects that compute formulas with the primitives of an array library."""

from __future__ import annotations

from copy import copy
from typing import ClassVar, Self

from rhohat.ops.base import Ops
from rhohat.ops.numpy_ops import NUMPY

__all__ = ["WithOps"]


class WithOps:
    """An object that computes a formula, such as an activation or a loss, by default on NumPy's arrays.

    Attributes
    ----------
    ops : Ops
        Primitives of the array library whose arrays the object is called with.
    """

    ops: ClassVar[Ops] = NUMPY

    def with_ops(self, ops: Ops) -> Self:
        """Return a copy of this object that uses the given primitives, or the object itself if it uses them already."""
        if ops == self.ops:
            return self
        other = copy(self)
        object.__setattr__(other, "ops", ops)  # most such objects are frozen dataclasses
        return other
