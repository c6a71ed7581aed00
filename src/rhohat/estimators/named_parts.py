"""Constraints on the parameters of estimators: numbers with a lower bound, and names of classes such as "adam"."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions

__all__ = ["AT_LEAST_0", "AT_LEAST_1", "NamedPart"]

AT_LEAST_0 = Interval(Real, 0, None, closed="left")
AT_LEAST_1 = Interval(Integral, 1, None, closed="left")


class NamedPart(StrOptions):
    """A constraint for scikit-learn's validation of parameters: one of several names, or an instance of a type.

    Parameters
    ----------
    names : iterable of str
        Allowed names.
    kind : type, default=None
        Type whose instances are allowed as well.

    Examples
    --------
    >>> print(NamedPart({"b", "a"}, int))
    one of 'a' and 'b', or an instance of int
    """

    def __init__(self, names: Iterable[str], kind: type | None = None) -> None:
        super().__init__(set(names))
        self._kind = kind

    def is_satisfied_by(self, val: object) -> bool:
        """Return whether a value is one of the names or an instance of the allowed type."""
        return super().is_satisfied_by(val) or (self._kind is not None and isinstance(val, self._kind))

    def __str__(self) -> str:
        names = sorted(map(repr, self.options))
        listed = f"one of {', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
        return listed if self._kind is None else f"{listed}, or an instance of {self._kind.__name__}"
