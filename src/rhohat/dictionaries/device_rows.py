"""The batches that dictionaries learn from on a device: gathered there, or brought while it is at work."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.rows import BatchSource, ShuffledBatches
from rhohat.engines import TorchEngine
from rhohat.ops.rooms import Room

__all__ = ["BroughtBatches", "HeldBatches", "batches_there"]


class _BatchesThere:
    """Batches of a source of the host as tensors on a device, in the dtype of its arithmetic.

    Parameters
    ----------
    source : BatchSource
    engine : TorchEngine

    Attributes
    ----------
    dtype : dtype
        Dtype of the rows of the host, in which θ is kept after a fit.
    """

    def __init__(self, source: Any, engine: TorchEngine) -> None:
        self._source, self._ops, self._dtype = source, engine.device_ops, engine.dtype
        self.n_batches, self.n_passes_possible = source.n_batches, source.n_passes_possible
        self.dtype, self.widths = source.dtype, source.widths

    def sample(self) -> list[FloatArray]:
        """Return some rows of each array, on the host; see `BatchSource.sample`."""
        sample: list[FloatArray] = self._source.sample()
        return sample


class HeldBatches(_BatchesThere):
    """Batches of rows that were put on the device once, and are gathered there.

    Parameters
    ----------
    source : ShuffledBatches
        With rows in memory.
    engine : TorchEngine
    """

    def __init__(self, source: ShuffledBatches, engine: TorchEngine) -> None:
        super().__init__(source, engine)
        arrays = source.arrays
        assert arrays is not None
        self._arrays = [self._ops.asarray(np.asarray(array, source.dtype), self._dtype) for array in arrays]
        self._memory: dict[int, list[Any]] = {}

    def batches(self, epoch: int, first_batch: int = 0) -> Generator[list[Any]]:
        """Yield the batches of a pass, from one on; a tensor is valid until the next batch is requested."""
        order, borders = self._ops.row_numbers(self._source.order(epoch)), self._source.borders
        for start, stop in pairwise(borders[first_batch:].tolist()):
            n_rows = stop - start
            if n_rows not in self._memory:
                self._memory[n_rows] = [self._ops.empty((n_rows, width), self._dtype) for width in self.widths]
            for array, out in zip(self._arrays, self._memory[n_rows], strict=True):
                self._ops.take(array, order[start:stop], out)
            yield self._memory[n_rows]


class BroughtBatches(_BatchesThere):
    """Batches that the host makes, and that are brought to the device in two memories by turns.

    Parameters
    ----------
    source : BatchSource
    engine : TorchEngine
    """

    def __init__(self, source: BatchSource, engine: TorchEngine) -> None:
        super().__init__(source, engine)
        self._rooms: dict[tuple[int, int], list[Room]] = {}

    def batches(self, epoch: int, first_batch: int = 0) -> Generator[list[Any]]:
        """Yield the batches of a pass, from one on; a tensor is valid until the next batch is requested."""
        with closing(self._source.batches(epoch, first_batch)) as batches:
            for number, arrays in enumerate(batches):
                n_rows = len(arrays[0])
                rooms = self._rooms_for(n_rows, number % 2)
                for room, array in zip(rooms, arrays, strict=True):
                    room.host()[:n_rows] = array
                yield [room.bring(n_rows) for room in rooms]
                for room in rooms:
                    room.release()

    def _rooms_for(self, n_rows: int, turn: int) -> list[Room]:
        """Return memory for the arrays of a batch."""
        if (n_rows, turn) not in self._rooms:
            shapes = [(n_rows, width) for width in self.widths]
            self._rooms[n_rows, turn] = [self._ops.room(shape, self._dtype, self.dtype) for shape in shapes]
        return self._rooms[n_rows, turn]


def batches_there(source: BatchSource, engine: TorchEngine) -> BatchSource:
    """Return the batches of a source on a device: of rows that are put there once, if they are in memory and fit."""
    if isinstance(source, ShuffledBatches) and source.arrays is not None:
        n_numbers = sum(prod(array.shape) for array in source.arrays)
        if engine.has_room_for(engine.dtype.itemsize * n_numbers):
            return HeldBatches(source, engine)
    return BroughtBatches(source, engine)
