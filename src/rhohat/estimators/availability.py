"""Methods that exist only for some objects of a class, and the errors that other objects raise."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from types import MethodType
from typing import Any, TypeVar

from rhohat.solvers import SOLVERS

__all__ = ["available_where", "works_in_mini_batches"]

_Method = TypeVar("_Method", bound=Callable[..., Any])


def available_where(check: Callable[[Any], bool]) -> Callable[[_Method], _Method]:
    """Make a method available only on estimators that pass a check; other estimators raise the check's AttributeError.

    scikit-learn's `available_if` raises an AttributeError that hides the reason.
    """
    return lambda method: _Available(method, check)  # type: ignore[return-value]


class _Available:
    """Descriptor that holds a method and the check that decides whether an object has the method."""

    def __init__(self, method: Callable[..., Any], check: Callable[[Any], bool]) -> None:
        self._method, self._check = method, check
        update_wrapper(self, method)  # type: ignore[arg-type]

    def __get__(self, estimator: Any, owner: type[Any]) -> Callable[..., Any]:
        if estimator is None:
            return self._method
        self._check(estimator)
        return MethodType(self._method, estimator)


def works_in_mini_batches(estimator: Any) -> bool:
    """Return True if the solver works in mini-batches, as `partial_fit` requires; otherwise raise AttributeError."""
    solver = getattr(estimator, "solver", None)  # a stack of autoencoders has no solver
    kind = SOLVERS.get(solver) if isinstance(solver, str) else solver
    if getattr(kind, "in_mini_batches", False):
        return True
    reason = f"got solver={solver!r}" if solver is not None else "its layers are trained one after the other"
    raise AttributeError(
        f"This {type(estimator).__name__!r} has no attribute 'partial_fit', which requires a solver that works in"
        f" mini-batches, such as solver='adam'; {reason}."
    )
