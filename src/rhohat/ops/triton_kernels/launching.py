"""Sizes of the programs of a kernel, the dtype that they add up in, and the device that they run on."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
import triton.language as tl

__all__ = ["accumulator", "at_once", "block_of", "device_of", "warps_of"]

_NUMBERS_PER_WARP = 256  # eight for each thread: two loads of 16 bytes in float32
_NUMBERS_IN_FLIGHT = 4096  # of the vectors that a program adds up


def block_of(n: int, most: int = 4096) -> int:
    """Return how many numbers of a row of n a program holds at a time, a power of 2."""
    return int(min(triton.next_power_of_2(max(n, 16)), most))


def warps_of(block: int) -> int:
    """Return the number of warps for so many numbers, a power of 2."""
    return min(max(block // _NUMBERS_PER_WARP, 1), 16)


def at_once(block: int) -> int:
    """Return how many vectors of so many numbers a program loads before it adds them up, a power of 2."""
    return min(max(_NUMBERS_IN_FLIGHT // block, 1), 8)


def accumulator(dtype: torch.dtype) -> Any:
    """Return the type that numbers of a dtype are added up in."""
    return tl.float64 if dtype == torch.float64 else tl.float32


def device_of(*tensors: Any) -> AbstractContextManager[Any]:
    """Return a context in which kernels run on the device of some tensors; they compute addresses by themselves."""
    assert all(tensor.is_contiguous() for tensor in tensors if tensor is not None)
    first = tensors[0]
    return torch.cuda.device(first.device) if first.is_cuda else nullcontext()
