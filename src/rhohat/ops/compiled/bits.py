"""Comparison of sixteen numbers at a time, whose outcome is a bit for each of them.

A loop over numbers of which few are of interest spends its time on the others. Comparing a vector of them with one
instruction, and then looking at the bits that are set, is many times as fast. The code is written in LLVM's language,
because a compiler left to itself does not find this form.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["N_COMPARED", "bits_above", "lowest_bit"]

#: Numbers that are compared at a time.
N_COMPARED = 16

_INT = ir.IntType(64)


@intrinsic
def bits_above(context: Any, like: Any, z: Any, bias: Any, threshold: Any) -> Any:
    """Return which of sixteen numbers z + bias exceed their thresholds, as bits of an integer.

    Parameters
    ----------
    like : float64 or float32
        A number of the dtype of the arrays.
    z, bias, threshold : int
        Addresses of the first of sixteen successive numbers each.

    Returns
    -------
    int
        Bit i is set if z_i + bias_i > threshold_i, which is not so for NaN.
    """
    signature = types.int64(like, types.intp, types.intp, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        is_double = signature.args[0] == types.float64
        vector = ir.VectorType(ir.DoubleType() if is_double else ir.FloatType(), N_COMPARED)
        at_z, at_bias, at_threshold = (
            builder.load(builder.inttoptr(address, vector.as_pointer()), align=8 if is_double else 4)
            for address in arguments[1:]
        )
        above = builder.fcmp_ordered(">", builder.fadd(at_z, at_bias), at_threshold)
        return builder.zext(builder.bitcast(above, ir.IntType(N_COMPARED)), _INT)

    return signature, generate


@intrinsic
def lowest_bit(context: Any, bits: Any) -> Any:
    """Return the number of the lowest bit that is set in an integer, of which at least one must be."""
    signature = types.int64(types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return signature, generate
