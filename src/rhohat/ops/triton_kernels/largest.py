"""The k largest numbers of each row, found by a threshold: some numbers are compared often, all of them seldom.

Positive numbers are ordered as the integers that have the same bits, their *keys*; all others have the key 0. A program
goes through a row a block of columns at a time. First it keeps the two largest keys of each column of the block. The
k-th largest among these is seldom far from the k-th largest of the row, because it is seldom that three of the k are in
one column. Then it counts how many keys of the row are larger, and where they are more than k, it goes on to the next
larger key or halves the interval in which the threshold is, in turn, until the count is right. At last it writes what
is above the threshold, and as many of those that equal it as there is room for.
"""

from typing import Any

import torch
import triton
import triton.language as tl

from rhohat.ops.triton_kernels.launching import block_of, device_of, warps_of

__all__ = ["keep_largest"]

Tensor = Any

_COLUMNS = 2048  # that a program looks at together
_MOST_REGISTERS = 80  # of a thread, so that three programs share a multiprocessor and wait for numbers in turn


def keep_largest(a: Tensor, k: int, latents: Tensor, values: Tensor) -> None:
    """Write the k largest positive numbers of each row, and their columns; see `TorchCodeOps.largest`.

    Parameters
    ----------
    a : tensor of shape (n_rows, n_latents)
        Numbers of float32, float64, float16 or bfloat16.
    k : int
        At most n_latents.
    latents, values : tensors of shape (n_rows, k)
        Overwritten.
    """
    n_rows, n = a.shape
    if n_rows == 0 or k == 0:
        return
    block = block_of(n, _COLUMNS)
    is_double = a.dtype == torch.float64
    with device_of(a, latents, values):
        _keep_largest[(n_rows,)](
            a,
            latents,
            values,
            n,
            k,
            BLOCK=block,
            TYPE=tl.float64 if is_double else tl.float32,
            KEY=tl.int64 if is_double else tl.int32,
            num_warps=warps_of(block),
            maxnreg=None if is_double else _MOST_REGISTERS,
        )


@triton.jit
def _keep_largest(
    a,
    latents,
    values,
    n,
    k,
    BLOCK: tl.constexpr,
    TYPE: tl.constexpr,
    KEY: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    threshold, count = _threshold(a + row * n, n, k, BLOCK, TYPE, KEY)
    n_above = tl.zeros([], tl.int32)
    n_equal = tl.zeros([], tl.int32)
    for begin in range(0, n, BLOCK):
        columns = begin + tl.arange(0, BLOCK)
        inside = columns < n
        keys = _keys(a + row * n, columns, n, TYPE, KEY)
        above = keys > threshold
        equal = inside & (keys == threshold)
        both = above.to(tl.int32) + (equal.to(tl.int32) << 16)  # two sums at a time
        so_far = tl.cumsum(both, axis=0)
        equal_so_far = n_equal + (so_far >> 16)
        chosen = above | (equal & (equal_so_far <= k - count))
        places = row * k + n_above + (so_far & 0xFFFF) + tl.minimum(equal_so_far, k - count) - 1
        tl.store(latents + places, columns, mask=chosen)
        tl.store(values + places, keys.to(TYPE, bitcast=True), mask=chosen)
        total = tl.sum(both, axis=0)
        n_above += total & 0xFFFF
        n_equal += total >> 16


@triton.jit
def _keys(numbers, columns, n, TYPE: tl.constexpr, KEY: tl.constexpr):
    """Return the keys of some numbers of a row, and 0 past its end."""
    some = tl.load(numbers + columns, mask=columns < n, other=0).to(TYPE)
    return tl.where(some > 0, some, 0).to(KEY, bitcast=True)  # NaN is not larger than 0


@triton.jit
def _threshold(numbers, n, k, BLOCK: tl.constexpr, TYPE: tl.constexpr, KEY: tl.constexpr):
    """Return the smallest key that at most k keys exceed, or another one that k keys exceed, and how many do."""
    low, largest = _guess(numbers, n, k, BLOCK, TYPE, KEY)
    high = largest
    threshold = low
    count, above = _survey(numbers, n, threshold, largest, BLOCK, TYPE, KEY)
    is_found = count <= k  # a guess that is not 0 is exceeded by k keys at least
    n_tried = tl.zeros([], tl.int32)
    while is_found == 0:
        # More than k keys exceed `low`, whose next larger one is `above`, and at most k exceed `high`.
        threshold = tl.where(n_tried % 2 == 0, above, low + (high - low) // 2)
        count, following = _survey(numbers, n, threshold, largest, BLOCK, TYPE, KEY)
        is_few = count <= k
        is_found = (count == k) | (is_few & (threshold == above))
        high = tl.where(is_few, threshold, high)
        low = tl.where(is_few, low, threshold)
        above = tl.where(is_few, above, following)
        n_tried += 1
    return threshold, count


@triton.jit
def _guess(numbers, n, k, BLOCK: tl.constexpr, TYPE: tl.constexpr, KEY: tl.constexpr):
    """Return a key that is 0 or is exceeded by k keys at least, and the largest key."""
    first = tl.zeros([BLOCK], KEY)
    second = tl.zeros([BLOCK], KEY)
    for begin in tl.range(0, n, BLOCK, loop_unroll_factor=2):
        keys = _keys(numbers, begin + tl.arange(0, BLOCK), n, TYPE, KEY)
        second = tl.maximum(second, tl.minimum(first, keys))
        first = tl.maximum(first, keys)
    largest = tl.max(first, axis=0)
    low = tl.zeros([], KEY)
    high = largest
    count = tl.sum((first > low).to(tl.int32) + (second > low).to(tl.int32), axis=0)
    while (count > k) & (high - low > 1):
        middle = low + (high - low) // 2
        n_above = tl.sum((first > middle).to(tl.int32) + (second > middle).to(tl.int32), axis=0)
        is_enough = n_above >= k
        low = tl.where(is_enough, middle, low)
        high = tl.where(is_enough, high, middle)
        count = tl.where(is_enough, n_above, count)
    return low, largest


@triton.jit
def _survey(numbers, n, threshold, largest, BLOCK: tl.constexpr, TYPE: tl.constexpr, KEY: tl.constexpr):
    """Return how many keys of a row exceed a threshold, and the smallest of them."""
    count = tl.zeros([BLOCK], tl.int32)
    smallest = tl.zeros([BLOCK], KEY) + largest
    for begin in tl.range(0, n, BLOCK, loop_unroll_factor=2):
        keys = _keys(numbers, begin + tl.arange(0, BLOCK), n, TYPE, KEY)
        count += (keys > threshold).to(tl.int32)
        smallest = tl.minimum(smallest, tl.where(keys > threshold, keys, largest))
    return tl.sum(count, axis=0), tl.min(smallest, axis=0)
