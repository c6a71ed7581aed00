"""Checks of the settings that several solvers share."""

from __future__ import annotations

import math
from numbers import Integral, Real

__all__ = ["check_count", "check_positive", "check_unit_interval"]


def check_positive(name: str, value: object) -> None:
    """Raise ValueError unless the value is a positive, finite number."""
    if not (isinstance(value, Real) and 0 < float(value) < math.inf):
        raise ValueError(f"{name} must be positive and finite; got {value!r}.")


def check_unit_interval(name: str, value: object, *, zero: bool) -> None:
    """Raise ValueError unless the value is a number in (0, 1), or in [0, 1) if `zero` is True."""
    if not (isinstance(value, Real) and (0 <= float(value) < 1 if zero else 0 < float(value) < 1)):
        raise ValueError(f"{name} must be {'at least' if zero else 'above'} 0 and below 1; got {value!r}.")


def check_count(name: str, value: object, unit: str) -> None:
    """Raise ValueError unless the value is an integer, at least 1."""
    if not (isinstance(value, Integral) and int(value) >= 1):
        raise ValueError(f"{name} must be an integer, at least 1 {unit}; got {value!r}.")
