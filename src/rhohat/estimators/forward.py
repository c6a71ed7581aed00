"""Activations of rows, a few blocks at a time: for those who keep something smaller, or in another place."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from rhohat.arrays import FloatArray, empty_aligned
from rhohat.blocks import row_blocks
from rhohat.data import RowSource
from rhohat.engines import ThreadEngine
from rhohat.estimators.base import BaseNetwork

__all__ = ["activation_blocks"]

_BLOCKS_AT_ONCE = 4  # for each thread, so that few of them wait for the last


def activation_blocks(
    estimator: BaseNetwork, X: FloatArray | RowSource, start: int, stop: int
) -> Iterator[tuple[slice, FloatArray]]:
    """Yield the activations of layer `stop` for those of layer `start`, in order.

    Rows are cut into the blocks that they are cut into where all activations are wanted, so they have the same bits.

    Parameters
    ----------
    estimator : BaseNetwork
        Fitted.
    X : array or RowSource of shape (n_samples, n_units)
        As the estimator's `_validate` gives it.
    start, stop : int
        Layers, 0 being the input.

    Yields
    ------
    rows : slice
        Of successive rows.
    activations : array of shape (n_rows, n_units)
        To be used before the next ones are asked for: they take the same place.

    Raises
    ------
    ValueError
        If rows that are read are not finite.
    """
    network, dtype = estimator.network_, X.dtype
    parameters = network.unpack(estimator.theta_.astype(dtype))
    engine = ThreadEngine(estimator.n_jobs)
    blocks = row_blocks(X.shape[0], network.layer_sizes[start : stop + 1], dtype.itemsize)
    longest = max(block.stop - block.start for block in blocks)
    n_workers = min(engine.n_workers, len(blocks))
    scratch = [network.allocate(longest, partial(np.empty, dtype=dtype), start, stop) for _ in range(n_workers)]
    to_read = longest if isinstance(X, RowSource) else 0
    inputs = [empty_aligned((to_read, network.layer_sizes[start]), dtype) for _ in range(n_workers)]
    at_once = min(_BLOCKS_AT_ONCE * n_workers, len(blocks))
    out = np.empty((at_once * longest, network.layer_sizes[stop]), dtype)

    def forward_block(rows: slice, worker: int) -> None:
        layers = scratch[worker].rows(slice(rows.stop - rows.start))
        layers.a[-1] = out[rows.start - first : rows.stop - first]
        if isinstance(X, RowSource):
            layers.a[0] = X.read(rows.start, rows.stop, inputs[worker][: rows.stop - rows.start])
            if not np.isfinite(layers.a[0]).all():
                raise ValueError(f"{X.name} contains NaN or infinity, in rows {rows.start} to {rows.stop}.")
        else:
            layers.a[0] = X[rows]
        if network.activations[stop - 1].in_place:
            layers.z[-1] = layers.a[-1]
        network.forward(parameters, layers, start)

    for number in range(0, len(blocks), at_once):
        some = blocks[number : number + at_once]
        first = some[0].start
        engine.for_each(forward_block, some)
        yield slice(first, some[-1].stop), out[: some[-1].stop - first]
