"""Memory of the host that rows are read into, and from which they become tensors, on the host or on a device."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from rhohat.ops.rooms import Room

__all__ = ["RoomOfDevice", "RoomOfTensors"]

Tensor = Any


class RoomOfTensors(Room):
    """Memory of the host for a block of rows, which the host computes as tensors.

    Parameters
    ----------
    memory : array of shape (n_rows, n_columns)
    dtype : torch.dtype
        Dtype of the arithmetic.
    """

    def __init__(self, memory: NDArray[Any], dtype: torch.dtype) -> None:
        super().__init__(memory)
        self._dtype = dtype

    def bring(self, n_rows: int) -> Tensor:
        """Return the first rows as a tensor, which shares the memory if no conversion is needed."""
        return torch.from_numpy(self._memory[:n_rows]).to(self._dtype)


class RoomOfDevice(Room):
    """Pinned memory of the host for a block of rows, and memory of a device that a stream of its own copies them to.

    The copy waits for the computations with the block that was in this memory before, and computations wait for the
    copy. The host waits for a copy only when it is about to write the next rows over those that are copied.

    Parameters
    ----------
    pinned : tensor of shape (n_rows, n_columns)
        Pinned memory of the host.
    there : tensor of shape (n_rows, n_columns)
        Memory of the device.
    """

    def __init__(self, pinned: Tensor, there: Tensor) -> None:
        super().__init__(pinned.numpy())
        self._pinned, self._there = pinned, there
        self._copies = torch.Stream(there.device)
        self._copied, self._used = torch.Event(there.device), torch.Event(there.device)

    def host(self) -> NDArray[Any]:
        """Return the memory to write rows to, once those that were there before have been copied."""
        self._copied.synchronize()
        return self._memory

    def bring(self, n_rows: int) -> Tensor:
        """Return the first rows on the device; what is computed with them waits until they are there."""
        there = self._there[:n_rows]
        with self._copies:
            self._copies.wait_event(self._used)
            there.copy_(self._pinned[:n_rows], non_blocking=True)
            self._copies.record_event(self._copied)
        torch.accelerator.current_stream(there.device).wait_event(self._copied)
        return there

    def release(self) -> None:
        """Say that all computations with the rows have been started, which the next copy waits for."""
        torch.accelerator.current_stream(self._there.device).record_event(self._used)
