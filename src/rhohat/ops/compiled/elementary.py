"""exp, ln, tanh, the sigmoid and the softplus of one number, written so that LLVM computes them for whole vectors.

None of the functions has a branch or a table, and all of them use instructions that every processor has for vectors.
A loop over them therefore compiles to packed instructions with AVX2, AVX-512 and NEON alike. Errors are at most 3 units
in the last place, over the whole range; tests measure them.

exp(x) is 2ⁿ exp(r), where n = round(x / ln 2) and r = x − n ln 2, so that |r| ≤ ½ ln 2. The sum of x / ln 2 and
1.5 · 2⁵² (1.5 · 2²³ in float32) rounds to n, and its lowest bits are those of n, from which 2ⁿ follows by a shift.
exp(r) − 1 is a polynomial. x is limited to ±709 (±88 in float32), where 2ⁿ is a normal number or 0. A sigmoid that
would be smaller than the smallest normal number is therefore some other number as small.

ln(x) is k ln 2 + ln(m), where x = 2ᵏ m and √½ ≤ m < √2; k and m are the exponent and the mantissa of x, shifted. With
s = (m − 1) / (m + 1), ln(m) is 2 (s + s³/3 + s⁵/5 + ...).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from rhohat.ops.compiled.compiling import Number, inlined

__all__ = ["exp_of", "sigmoid_of", "softplus_tail_of", "tanh_of"]

_LOG2_E = 1.4426950408889634
_LN2_HIGH = float.fromhex("0x1.62e42fefa3800p-1")  # its last 11 bits are 0, so that n times it is exact
_LN2_LOW = float.fromhex("0x1.ef35793c76730p-45")
_ROUNDING = 1.5 * 2.0**52
_MOST = 709.0  # 2ⁿ is finite, and 0 at the other end

_LOG2_E_32 = np.float32(_LOG2_E)
_LN2_HIGH_32 = np.float32(float.fromhex("0x1.62e400p-1"))
_LN2_LOW_32 = np.float32(float.fromhex("0x1.7f7d1cp-20"))
_ROUNDING_32 = np.float32(1.5 * 2.0**23)
_MOST_32 = np.float32(88.0)


@intrinsic
def _power_of_2(context: Any, rounded: Any) -> Any:
    """Return 2ⁿ for n + 1.5 · 2⁵², or n + 1.5 · 2²³ in float32, whose lowest bits are those of the integer n."""
    n_bits, shift, exponent_of_1 = (64, 52, 1023) if rounded == types.float64 else (32, 23, 127)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(n_bits)
        bits = builder.shl(builder.bitcast(arguments[0], integer), integer(shift))
        return builder.bitcast(builder.add(bits, integer(exponent_of_1 << shift)), arguments[0].type)

    return rounded(rounded), generate


@intrinsic
def _exponent_and_mantissa(context: Any, x: Any) -> Any:
    """Return k and m, where x = 2ᵏ m and √½ ≤ m < √2, for a positive normal number x."""
    is_double = x == types.float64
    n_bits, shift, exponent_of_1 = (64, 52, 1023) if is_double else (32, 23, 127)
    root_of_half = 0x3FE6A09E667F3BCD if is_double else 0x3F3504F3

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(n_bits)
        bits = builder.bitcast(arguments[0], integer)
        shifted = builder.add(bits, integer((exponent_of_1 << shift) - root_of_half))
        mantissa = builder.add(builder.and_(shifted, integer((1 << shift) - 1)), integer(root_of_half))
        # The integer k + exponent_of_1 is put into the lowest bits of 2⁵², or of 2²³, from which it is read as a float.
        place = integer((exponent_of_1 + shift) << shift)
        number = arguments[0].type
        k = builder.bitcast(builder.or_(builder.lshr(shifted, integer(shift)), place), number)
        k = builder.fsub(k, ir.Constant(number, float(2**shift + exponent_of_1)))
        return context.make_tuple(builder, signature.return_type, [k, builder.bitcast(mantissa, number)])

    return types.UniTuple(x, 2)(x), generate


@inlined
def _split_64(x: Number) -> tuple[Number, Number]:
    """Return exp(r) − 1 and 2ⁿ."""
    x = -_MOST if x < -_MOST else x
    x = _MOST if x > _MOST else x
    rounded = x * _LOG2_E + _ROUNDING
    n = rounded - _ROUNDING
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    q = 1 / 6227020800
    q = q * r + 1 / 479001600
    q = q * r + 1 / 39916800
    q = q * r + 1 / 3628800
    q = q * r + 1 / 362880
    q = q * r + 1 / 40320
    q = q * r + 1 / 5040
    q = q * r + 1 / 720
    q = q * r + 1 / 120
    q = q * r + 1 / 24
    q = q * r + 1 / 6
    q = q * r + 1 / 2
    return r + (r * r) * q, _power_of_2(rounded)


@inlined
def _split_32(x: Number) -> tuple[Number, Number]:
    """Return exp(r) − 1 and 2ⁿ, in float32."""
    x = -_MOST_32 if x < -_MOST_32 else x
    x = _MOST_32 if x > _MOST_32 else x
    rounded = x * _LOG2_E_32 + _ROUNDING_32
    n = rounded - _ROUNDING_32
    r = (x - n * _LN2_HIGH_32) - n * _LN2_LOW_32
    q = np.float32(1 / 5040)
    q = q * r + np.float32(1 / 720)
    q = q * r + np.float32(1 / 120)
    q = q * r + np.float32(1 / 24)
    q = q * r + np.float32(1 / 6)
    q = q * r + np.float32(1 / 2)
    return r + (r * r) * q, _power_of_2(rounded)


@inlined
def _exp_64(x: Number) -> Number:
    p, scale = _split_64(x)
    return scale + scale * p


@inlined
def _exp_32(x: Number) -> Number:
    p, scale = _split_32(x)
    return scale + scale * p


@inlined
def _sigmoid_64(z: Number) -> Number:
    return 1.0 / (1.0 + _exp_64(-z))


@inlined
def _sigmoid_32(z: Number) -> Number:
    one = np.float32(1)
    return one / (one + _exp_32(-z))


@inlined
def _tanh_64(z: Number) -> Number:
    """Return (exp(2|z|) − 1) / (exp(2|z|) + 1) with the sign of z; above 20, this is 1."""
    x = 2.0 * abs(z)
    x = 40.0 if x > 40.0 else x
    p, scale = _split_64(x)
    above_1 = scale * p + (scale - 1.0)  # exp(x) − 1
    return np.copysign(above_1 / (above_1 + 2.0), z)


@inlined
def _tanh_32(z: Number) -> Number:
    one, two, most = np.float32(1), np.float32(2), np.float32(20)
    x = two * abs(z)
    x = most if x > most else x
    p, scale = _split_32(x)
    above_1 = scale * p + (scale - one)
    return np.copysign(above_1 / (above_1 + two), z)


@inlined
def _log_64(x: Number) -> Number:
    k, m = _exponent_and_mantissa(x)
    f = m - 1.0
    s = f / (m + 1.0)
    square = s * s
    q = 2 / 23
    q = q * square + 2 / 21
    q = q * square + 2 / 19
    q = q * square + 2 / 17
    q = q * square + 2 / 15
    q = q * square + 2 / 13
    q = q * square + 2 / 11
    q = q * square + 2 / 9
    q = q * square + 2 / 7
    q = q * square + 2 / 5
    q = q * square + 2 / 3
    # ln(m) is 2 s + s³ q, and 2 s is f − s f.
    return k * _LN2_HIGH + (f - (s * (f - square * q) - k * _LN2_LOW))


@inlined
def _log_32(x: Number) -> Number:
    k, m = _exponent_and_mantissa(x)
    one = np.float32(1)
    f = m - one
    s = f / (m + one)
    square = s * s
    q = np.float32(2 / 9)
    q = q * square + np.float32(2 / 7)
    q = q * square + np.float32(2 / 5)
    q = q * square + np.float32(2 / 3)
    return k * _LN2_HIGH_32 + (f - (s * (f - square * q) - k * _LN2_LOW_32))


@inlined
def _softplus_tail_64(z: Number) -> Number:
    """Return ln(1 + e), e = exp(−|z|), as ln(w) + (e − (w − 1)) / w, where w is 1 + e, rounded."""
    e = _exp_64(-abs(z))
    w = 1.0 + e
    return _log_64(w) + (e - (w - 1.0)) / w


@inlined
def _softplus_tail_32(z: Number) -> Number:
    one = np.float32(1)
    e = _exp_32(-abs(z))
    w = one + e
    return _log_32(w) + (e - (w - one)) / w


def exp_of(x: Any) -> Any:
    """Return exp(x) for x up to 709, or 88 in float32; at the other end, the smallest results are 0."""


def sigmoid_of(z: Any) -> Any:
    """Return 1 / (1 + exp(−z))."""


def softplus_tail_of(z: Any) -> Any:
    """Return ln(1 + exp(−|z|))."""


def tanh_of(z: Any) -> Any:
    """Return tanh(z)."""


def _choose(stub: Any, of_double: Any, of_single: Any) -> None:
    """Make compiled code that calls a function of one number call the implementation for its data type."""

    @overload(stub, jit_options={"forceinline": True})
    def choose(x: Any) -> Any:
        chosen = of_double if x == types.float64 else of_single

        def call(x: Any) -> Any:
            return chosen(x)

        return call


_choose(exp_of, _exp_64, _exp_32)
_choose(sigmoid_of, _sigmoid_64, _sigmoid_32)
_choose(softplus_tail_of, _softplus_tail_64, _softplus_tail_32)
_choose(tanh_of, _tanh_64, _tanh_32)
