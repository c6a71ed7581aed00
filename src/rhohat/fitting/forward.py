"""Forward passes of rows through layers of a fitted network; threads compute several blocks of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import blocks_within, on_device, row_blocks
from rhohat.data import RowSource
from rhohat.data.finite import check_finite_block
from rhohat.data.sequences import check_steps
from rhohat.engines import ThreadEngine, TorchEngine
from rhohat.layers.network import Network
from rhohat.layers.padding import without_padding
from rhohat.ops import ops_for

__all__ = ["ForwardPass", "check_activations", "pass_rows"]

_BLOCKS_AT_ONCE = 4  # blocks per thread, so that threads seldom wait for the slowest one


class ForwardPass:
    """Computes the activations of layer `stop` from the activations of layer `start`.

    Parameters
    ----------
    network : Network
    theta : array of shape (n_parameters,)
        Parameters of the network.
    X : array or RowSource of shape (n_samples, n_units)
        Activations of layer `start`, in the dtype of the arithmetic.
    start, stop : int
        Numbers of the layers, where 0 is the input.
    engine : ThreadEngine or TorchEngine

    Attributes
    ----------
    shape : tuple of two int
        Shape of the activations of all rows.
    blocks : list of slice
        Blocks of rows, each computed by one thread. The blocks depend on shapes only.
    """

    def __init__(
        self,
        network: Network,
        theta: FloatArray,
        X: FloatArray | RowSource,
        start: int,
        stop: int,
        engine: ThreadEngine | TorchEngine,
    ) -> None:
        n_rows, multiply_adds = X.shape[0], sum(layer.multiply_adds for layer in network.layers[start:stop])
        ops, dtype = ops_for(X, n_rows * multiply_adds, engine.ops), X.dtype
        if on_device(engine):
            ops, dtype = engine.device_ops, engine.dtype
        network = network.with_ops(ops)
        self._network, self._X, self._start, self._stop, self._engine = network, X, start, stop, engine
        self._parameters = network.unpack(ops.asarray(theta, dtype))
        self.shape = n_rows, network.layer_sizes[stop]
        sizes = network.sizes_in_memory
        sizes = (network.layer_sizes[start], *sizes[start + 1 : stop + 1])
        if engine.block_bytes is None:
            self.blocks = row_blocks(n_rows, sizes, multiply_adds, dtype.itemsize, network.fewest_rows)
        else:
            self.blocks = blocks_within(n_rows, sum(sizes) * dtype.itemsize, engine.block_bytes)
        self._longest = max(block.stop - block.start for block in self.blocks)
        self._n_workers = min(engine.n_workers, len(self.blocks))
        allocate = partial(ops.empty, dtype=dtype)
        self._scratch = [network.allocate(self._longest, allocate, start, stop) for _ in range(self._n_workers)]
        self._reads = isinstance(X, RowSource) or not ops.holds(X)
        room = (self._longest if self._reads else 0, network.layer_sizes[start])
        self._rooms = [ops.room(room, dtype, X.dtype) for _ in range(self._n_workers)]

    def write(self, blocks: Sequence[slice], out: FloatArray) -> None:
        """Overwrite an array with the activations of successive blocks.

        Raises
        ------
        ValueError
            If rows from a source are not finite, or activations are larger than the dtype can represent.
        """
        first = blocks[0].start

        def write_block(rows: slice, worker: int) -> None:
            layers = self._scratch[worker].rows(slice(rows.stop - rows.start))
            layers.a[0], there = self._rows(rows, worker), out[rows.start - first : rows.stop - first]
            if self._network.ops.holds(there):
                layers.a[-1] = there
                if self._network.layers[self._stop - 1].in_place:
                    layers.z[-1] = there
            self._network.forward(self._parameters, layers, self._start)
            top = self._network.layers[self._stop - 1]
            known = layers.a[-1] if top.n_padded_steps is None else without_padding(layers.a[-1])
            if not self._network.ops.all_finite(known):
                raise ValueError(
                    f"the activations of rows {rows.start} to {rows.stop} are too large for {self._X.dtype}; scale the"
                    " rows so that their numbers are about 1, or use float64."
                )
            if layers.a[-1] is not there:
                there[...] = self._network.ops.to_numpy(layers.a[-1])
            self._rooms[worker].release()

        self._engine.for_each(write_block, blocks)

    def in_order(self) -> Iterator[tuple[slice, FloatArray]]:
        """Yield the activations of some blocks at a time, for callers that reduce or store the result elsewhere.

        Yields
        ------
        rows : slice
            Successive rows.
        activations : array of shape (n_rows, n_units)
            Activations of these rows, which the next iteration overwrites.
        """
        at_once = min(_BLOCKS_AT_ONCE * self._n_workers, len(self.blocks))
        out = np.empty((at_once * self._longest, self.shape[1]), self._X.dtype)
        for number in range(0, len(self.blocks), at_once):
            some = self.blocks[number : number + at_once]
            rows = slice(some[0].start, some[-1].stop)
            self.write(some, out)
            yield rows, out[: rows.stop - rows.start]

    def _rows(self, rows: slice, worker: int) -> Any:
        if not self._reads:
            assert not isinstance(self._X, RowSource)
            return self._X[rows]
        room, n_rows = self._rooms[worker], rows.stop - rows.start
        read = room.host()[:n_rows]
        if not isinstance(self._X, RowSource):
            read[...] = self._X[rows]
            return room.bring(n_rows)
        self._X.read(rows.start, rows.stop, read)
        check_activations(self._network, read, self._start, self._X.name, rows.start, self._X.feature_names)
        return room.bring(n_rows)


def check_activations(
    network: Network,
    rows: FloatArray,
    layer: int,
    name: str,
    first: int = 0,
    feature_names: Sequence[str] | None = None,
) -> None:
    """Raise ValueError if activations of a layer, or rows if it is 0, are not finite but for steps that may be missing.

    Parameters
    ----------
    network : Network
    rows : array of shape (n_rows, n_units)
    layer : int
    name : str
        Name of the rows in messages.
    first : int, default=0
        Number of the first of these rows.
    feature_names : sequence of str, default=None
        Names of the columns of the rows.
    """
    n_steps = network.n_steps_of_rows if layer == 0 else network.layers[layer - 1].n_padded_steps
    if n_steps is not None:
        check_steps(rows, n_steps, name, first)
        rows = without_padding(rows)
    check_finite_block(rows, name, first, feature_names)


def pass_rows(
    network: Network, theta: FloatArray, start: int, stop: int, n_jobs: int | None, rows: FloatArray, _: int
) -> FloatArray:
    """Return the activations of layer `stop`, given rows of activations of layer `start`, in a network with this θ."""
    if len(rows) == 0:
        return np.empty((0, network.layer_sizes[stop]), rows.dtype)
    check_activations(network, rows, start, "the Dask array")
    forward = ForwardPass(network, theta, rows, start, stop, ThreadEngine(n_jobs))
    out = np.empty(forward.shape, rows.dtype)
    forward.write(forward.blocks, out)
    return out
