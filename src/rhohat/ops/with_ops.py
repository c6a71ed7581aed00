"""What has formulas, and has the primitives at hand that they are computed with."""

from __future__ import annotations

from copy import copy
from typing import ClassVar, Self

from rhohat.ops.base import Ops
from rhohat.ops.numpy_ops import NUMPY

__all__ = ["WithOps"]


class WithOps:
    """A part of the mathematics, such as an activation or a loss. It computes on NumPy's arrays, unless it is asked to.

    Attributes
    ----------
    ops : Ops
        The primitives of the arrays that it is given.
    """

    ops: ClassVar[Ops] = NUMPY

    def with_ops(self, ops: Ops) -> Self:
        """Return the same for arrays of another library; itself where it is for them already."""
        if ops == self.ops:
            return self
        other = copy(self)
        object.__setattr__(other, "ops", ops)  # most are frozen
        return other
