"""Memory that rows are read into, and that they are brought from to where they are computed."""

from __future__ import annotations

from typing import Any

from rhohat.common.arrays import FloatArray

__all__ = ["Room"]


class Room:
    """Memory of the host for a block of rows, in which it computes as well; a room of a device has more to do.

    A block takes three steps: its rows are written to `host()`, `bring` returns them for computation, and `release` is
    called when all computations with them have been started.

    Parameters
    ----------
    memory : array of shape (n_rows, n_columns)
    """

    def __init__(self, memory: FloatArray) -> None:
        self._memory = memory

    def host(self) -> FloatArray:
        """Return the memory to write rows to, once those that were there before have been brought."""
        return self._memory

    def bring(self, n_rows: int) -> Any:
        """Return the first rows as an array of the library and the device that computes."""
        return self._memory[:n_rows]

    def release(self) -> None:
        """Say that all computations with the rows have been started; the host has done them by then."""
