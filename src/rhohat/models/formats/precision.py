"""Numbers of float16 and bfloat16, the latter of which NumPy does not know."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray

__all__ = ["PRECISIONS", "as_precision", "bfloat16_as_float32"]

#: Names of the precisions that files may be written in.
PRECISIONS = ("float64", "float32", "float16", "bfloat16")

_LARGEST_BFLOAT16 = 3.3895313892515355e38


def bfloat16_as_float32(bits: NDArray[np.uint16]) -> FloatArray:
    """Return the numbers of bfloat16 with given bits, exactly."""
    widened: FloatArray = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return widened


def as_precision(array: FloatArray, precision: str, name: str) -> NDArray[Any]:
    """Return numbers rounded to a precision; those of bfloat16 as their bits, of type uint16.

    Parameters
    ----------
    array : array
    precision : {"float64", "float32", "float16", "bfloat16"}
    name : str
        Name of the array, for messages.

    Raises
    ------
    ValueError
        If a number is too large for the precision.

    Examples
    --------
    >>> import numpy as np
    >>> bits = as_precision(np.array([1.0, 3.14159]), "bfloat16", "W_enc")
    >>> bfloat16_as_float32(bits)
    array([1.      , 3.140625], dtype=float32)
    """
    largest = _LARGEST_BFLOAT16 if precision == "bfloat16" else float(np.finfo(precision).max)
    if array.size and float(np.abs(array).max()) > largest:
        raise ValueError(
            f"{name} has numbers that are too large for {precision}; use dtype='float32', or 'bfloat16' for a short"
            " format with as wide a range."
        )
    if precision != "bfloat16":
        return array.astype(f"<f{np.dtype(precision).itemsize}")
    bits = array.astype("<f4").view("<u4")
    to_even = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))  # half way between two, the even one
    return ((bits + to_even) >> np.uint32(16)).astype("<u2")
