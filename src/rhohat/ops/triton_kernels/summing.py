"""The sum that codes are decoded by and gradients are made of: multiples of some rows of a matrix."""

import triton
import triton.language as tl

__all__ = ["add_multiples"]


@triton.jit
def add_multiples(
    total,
    first,
    last,
    numbers,
    factors,
    vectors,
    columns,
    inside,
    n,
    AT_ONCE: tl.constexpr,
    TYPE: tl.constexpr,
):
    """Return `total` and Σ factor · vector over entries from `first` to before `last`, for some columns.

    `numbers` and `factors` have the number of the vector of each entry, and its factor; `vectors` has n columns.
    """
    for begin in range(first, last, AT_ONCE):
        entries = begin + tl.arange(0, AT_ONCE)
        there = entries < last
        number = tl.load(numbers + entries, mask=there, other=0).to(tl.int64)
        factor = tl.load(factors + entries, mask=there, other=0).to(TYPE)
        places = number[:, None] * n + columns[None, :]
        vector = tl.load(vectors + places, mask=there[:, None] & inside[None, :], other=0).to(TYPE)
        total += tl.sum(factor[:, None] * vector, axis=0)
    return total
