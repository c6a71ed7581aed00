"""Array types, aligned scratch memory, and norms and sums that do not overflow."""

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
    "without_tensors",
]

FloatArray: TypeAlias = NDArray[np.floating[Any]]

_CACHE_LINE = 64  # bytes
_SAFE = 1e-140  # if a norm is between this and its inverse, no square overflows, and none that matters underflows
_LARGE = 900  # largest exponent e such that sums and norms of any amount of numbers up to 2**e do not overflow


def empty_aligned(shape: tuple[int, ...], dtype: DTypeLike) -> FloatArray:
    """Allocate an uninitialised C-ordered array that starts on a cache line.

    Wide vector instructions then cross no cache line, and their results do not depend on the address that the allocator
    happened to choose.

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
    """Return the floating dtype in which to compute with numbers of the given dtype.

    This dtype is float32 for floats of 32 or 16 bits, which float32 represents exactly, and float64 for integers and
    everything else.

    Examples
    --------
    >>> float_dtype("float16"), float_dtype("uint8")
    (dtype('float32'), dtype('float64'))
    """
    kind = np.dtype(dtype)
    return np.dtype(np.float32 if kind.kind == "f" and kind.itemsize <= 4 else np.float64)


def without_tensors(X: Any) -> Any:
    """Return a tensor of PyTorch as an array, and anything else unchanged.

    Floats of 16 bits or fewer become float32, because NumPy has no bfloat16.
    """
    if not hasattr(X, "detach"):
        return X
    tensor = X.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor).numpy()


def as_float_rows(array: Any) -> FloatArray:
    """Return an array as a C-ordered array of the dtype that `float_dtype` chooses.

    Examples
    --------
    >>> import numpy as np
    >>> as_float_rows(np.array([[1, 2]])).dtype
    dtype('float64')
    """
    return np.ascontiguousarray(array, dtype=float_dtype(array.dtype))


def largest_magnitude(array: FloatArray) -> float:
    """Return max |array|, or 0 if the array is empty, without allocating memory.

    The result is finite if, and only if, every number in the array is finite.
    """
    return float(np.maximum(np.max(array, initial=0.0), -np.min(array, initial=0.0)))


def excess_exponent(largest: float) -> int:
    """Return an exponent e such that sums and norms of numbers do not overflow if the numbers are divided by 2**e.

    The exponent is 0 unless the numbers are among the largest of float64, so numbers seldom need to be scaled.

    Parameters
    ----------
    largest : float
        Largest magnitude of the numbers.

    Examples
    --------
    >>> excess_exponent(1e200), excess_exponent(1.7e308)
    (0, 124)
    """
    return max(0, math.frexp(largest)[1] - _LARGE)


def in_safe_units(array: FloatArray) -> tuple[FloatArray, float]:
    """Return an array as float64, divided by a unit such that sums and differences do not overflow, and the unit.

    The unit is 1 unless the numbers are among the largest of float64. It is a power of two, so that no bit is lost.

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
    """Return the Euclidean norm of a float64 array without overflow; not finite if a number is not finite.

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
