"""Rounding of the numbers on the page, as text or for its script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray, in_safe_units

__all__ = ["quantiles", "rounded", "show", "show_value"]

_LONGEST = 40  # letters of a text


def show(value: float, digits: int = 4) -> str:
    """Return a number as text that is easy to read.

    Examples
    --------
    >>> show(0.012345), show(12345.6), show(1280.0, 3), show(0.5), show(-3e-9)
    ('0.01235', '12,346', '1,280', '0.5', '−3e−09')
    """
    text = f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.{digits}g}"
    return text.replace("-", "−")


def show_value(value: Any) -> str:
    """Return a value of a table as text: a number as by `show`, "missing" for None and NaN, a long text shortened.

    Examples
    --------
    >>> show_value(1280.0), show_value("Oslo"), show_value(True), show_value(None)
    ('1,280', 'Oslo', 'True', 'missing')
    """
    if value is None or value != value:
        return "missing"
    if isinstance(value, float | np.floating):
        return show(float(value))
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def rounded(values: FloatArray) -> Any:
    """Return numbers as nested lists, rounded to four significant digits."""
    array = np.asarray(values, dtype=np.float64)
    short = np.array([float(f"{value:.4g}") for value in array.ravel()]).reshape(array.shape)
    largest = np.finfo(np.float64).max
    return np.where(np.isfinite(array), short.clip(-largest, largest), short).tolist()  # rounding may give infinity


def quantiles(values: FloatArray, fractions: Sequence[float]) -> list[float]:
    """Return quantiles of numbers; large numbers do not overflow."""
    numbers, unit = in_safe_units(values)
    return [float(quantile) * unit for quantile in np.quantile(numbers, fractions)]
