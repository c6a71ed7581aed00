"""The array type of the mathematics, and how scratch memory is laid out."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "FloatArray",
    "as_float_rows",
    "empty_aligned",
    "excess_exponent",
    "float_dtype",
    "in_safe_units",
    "largest_magnitude",
    "norm",
]

FloatArray: TypeAlias = NDArray[np.floating[Any]]

_CACHE_LINE = 64  # bytes
_SAFE = 1e-140  # norms between this and its inverse are of squares that neither overflow nor vanish
_LARGE = 900  # exponent of numbers of which sums and norms do not overflow, however many they are


def empty_aligned(shape: tuple[int, ...], dtype: DTypeLike) -> FloatArray:
    """Allocate an uninitialised C-ordered array that starts on a cache line.

    Wide vector instructions cross no cache line then, and what they compute does not depend on where the
    allocator happened to put the array.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype-like

    Returns
    -------
    ndarray of the given shape and dtype
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(n_bytes + _CACHE_LINE, dtype=np.uint8)
    start = -memory.ctypes.data % _CACHE_LINE
    return memory[start : start + n_bytes].view(dtype).reshape(shape)


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the dtype in which numbers of another are computed on.

    It is float32 for floats of 32 or 16 bits, every one of which a float32 holds exactly; and float64 for integers and
    all else.

    Examples
    --------
    >>> float_dtype("float16"), float_dtype("uint8")
    (dtype('float32'), dtype('float64'))
    """
    kind = np.dtype(dtype)
    return np.dtype(np.float32 if kind.kind == "f" and kind.itemsize <= 4 else np.float64)


def as_float_rows(array: Any) -> FloatArray:
    """Return a C-ordered array of the dtype that `float_dtype` says.

    Examples
    --------
    >>> import numpy as np
    >>> as_float_rows(np.array([[1, 2]])).dtype
    dtype('float64')
    """
    return np.ascontiguousarray(array, dtype=float_dtype(array.dtype))


def largest_magnitude(array: FloatArray) -> float:
    """Return max |array|, 0 for none, in no further memory; it is finite if, and only if, every number is."""
    return float(np.maximum(np.max(array, initial=0.0), -np.min(array, initial=0.0)))


def excess_exponent(largest: float) -> int:
    """Return an exponent of 2 such that sums and norms of numbers, in units of that power, do not overflow.

    It is 0 for all but the largest numbers that float64 holds, so that others need no unit.

    Parameters
    ----------
    largest : float
        The largest magnitude.

    Examples
    --------
    >>> excess_exponent(1e200), excess_exponent(1.7e308)
    (0, 124)
    """
    return max(0, math.frexp(largest)[1] - _LARGE)


def in_safe_units(array: FloatArray) -> tuple[FloatArray, float]:
    """Return numbers as float64s of which sums and differences do not overflow, and the unit in which they are.

    The unit is 1 for all but the largest numbers, and a power of two, so that no bit is lost.

    Examples
    --------
    >>> import numpy as np
    >>> numbers, unit = in_safe_units(np.array([1.0, 1.5]) * 2.0**1023)
    >>> float(numbers.mean()) * unit == 1.25 * 2.0**1023
    True
    """
    exponent = excess_exponent(largest_magnitude(array))
    return array * np.float64(math.ldexp(1.0, -exponent)), math.ldexp(1.0, exponent)


def norm(array: FloatArray) -> float:
    """Return the root of the sum of squares of float64s, of which none overflows; not finite where they are not.

    Examples
    --------
    >>> import numpy as np
    >>> norm(np.array([3e300, 4e300]))
    5e+300
    """
    with np.errstate(over="ignore"):
        found = float(np.linalg.norm(array))
    if _SAFE < found < 1 / _SAFE or (found == 0 and not array.any()):
        return found
    largest = float(np.abs(array).max())
    return largest * float(np.linalg.norm(array / largest)) if math.isfinite(largest) else largest
