"""The array type of the mathematics, and how scratch memory is laid out."""

from __future__ import annotations

import math
import sys
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["FloatArray", "array_namespace", "as_float_rows", "empty_aligned", "float_dtype", "norm"]

FloatArray: TypeAlias = NDArray[np.floating[Any]]

_CACHE_LINE = 64  # bytes
_SAFE = 1e-140  # norms between this and its inverse are of squares that neither overflow nor vanish


def array_namespace(array: Any) -> Any:
    """Return the module whose functions work on `array`: NumPy, or the library that the array comes from.

    Examples
    --------
    >>> import numpy as np
    >>> array_namespace(np.zeros(3)) is np
    True
    """
    if type(array) is np.ndarray or isinstance(array, np.ndarray):
        return np
    return sys.modules[type(array).__module__.partition(".")[0]]


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
