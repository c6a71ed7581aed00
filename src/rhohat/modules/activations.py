"""Activations of a module as rows, batch by batch, for an estimator that learns while they are computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.extras import import_extra
from rhohat.modules.layers import Where, check_where
from rhohat.modules.passes import LayerPasses
from rhohat.modules.positions import Positions, by_sample, check_positions, mask_of, rows_at

if TYPE_CHECKING:
    import torch

__all__ = ["activations", "as_array"]

_DTYPES = ("float16", "float32", "float64")


def activations(
    module: torch.nn.Module,
    layer: str | Sequence[str],
    batches: Iterable[Any],
    *,
    of: Where = "output",
    item: int | str | None = None,
    positions: Positions = "all",
    feature_axis: int | None = None,
    dtype: str = "float32",
    device: Any = None,
) -> Iterator[FloatArray] | Iterator[dict[str, FloatArray]]:
    """Run a neural network over batches, and yield the activations of a layer as rows.

    The rows of a batch are yielded before the next batch is computed, so that an estimator can learn from any number of
    rows: ``TopKAutoencoder().fit(rhohat.activations(module, "encoder.layer.3", batches))``. The module runs in
    evaluation mode and without gradients, and its modes are restored afterwards. After the first batch, each pass ends
    as soon as the wanted layers have run.

    Parameters
    ----------
    module : torch.nn.Module
        Any module of PyTorch.
    layer : str or sequence of str
        Name of a layer, as ``module.named_modules()`` has it, or names of several; "" stands for the module itself.
    batches : iterable
        Batches of samples. A mapping, such as a tokenizer's output, becomes named arguments of the module; a tuple or
        list becomes positional arguments; a tensor is the only argument. The first axis of each tensor counts samples.
        If a mapping has an ``attention_mask`` of shape (n_samples, n_positions), positions where it is 0 are padding,
        and never become rows.
    of : {"output", "input"}, default="output"
        Whether the output of the layer is read, or its input.
    item : int or str, default=None
        Which item is read if the layer returns a tuple or mapping, or, with ``of="input"``, which of its arguments. If
        None, the first tensor.
    positions : {"all", "last", "mean"}, mask, or callable, default="all"
        Which positions of a sample, such as the tokens of a text, become rows: all; the last one only; or one row,
        which is the mean over all. A mask of truth values is broadcast to (n_samples, n_positions), and a callable is
        called with each batch and returns such a mask: its positions become rows unless they are padding.
    feature_axis : int, default=None
        Axis of the activations that counts features. None means the last axis of activations with two or three axes;
        of images, it must be given: 1 for channels that come first, -1 for channels that come last. All axes between
        count positions.
    dtype : {"float16", "float32", "float64"}, default="float32"
        The dtype of the rows.
    device : device, default=None
        Device to which each batch is moved before the module sees it. None means the device of the module's first
        parameter.

    Yields
    ------
    array of shape (n_rows, n_features), or dict of str to such arrays
        The rows of a batch, sample by sample. If `layer` is a sequence, a dict has the rows of each layer by its name,
        and rows with the same number belong to the same position. Nothing is yielded for a batch without rows.

    Raises
    ------
    ValueError
        If there is no such layer, before the first batch is read; or while batches are read, if a layer does not run in
        a pass or runs several times, if it has no such item, or if a mask does not fit its activations.
    MissingExtraError
        If PyTorch is not installed.

    See Also
    --------
    harvest : Write the activations of a language model to a folder.

    Examples
    --------
    >>> import rhohat, torch
    >>> module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> batches = [torch.ones(3, 4), torch.ones(2, 4)]
    >>> [rows.shape for rows in rhohat.activations(module, "1", batches)]
    [(3, 8), (2, 8)]
    """
    check_positions(positions)
    check_where(of)
    if dtype not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}; got {dtype!r}.")
    names = [layer] if isinstance(layer, str) else list(layer)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"layer must name at least one layer, and each layer once; got {layer!r}.")
    import_extra("torch", "torch")
    passes = LayerPasses(module, names, of=of, item=item, feature_axis=feature_axis, device=device)
    found = _rows_of_batches(passes, batches, positions, np.dtype(dtype))
    return (rows[layer] for rows in found) if isinstance(layer, str) else found


def _rows_of_batches(
    passes: LayerPasses, batches: Iterable[Any], positions: Positions, dtype: np.dtype[Any]
) -> Iterator[dict[str, FloatArray]]:
    for batch in batches:
        given, tensors = passes(batch)
        rows = {}
        for name, found in tensors.items():
            tensor = by_sample(found, given)
            mask = mask_of(given, positions, (tensor.shape[0], tensor.shape[1]), tensor.device)
            rows[name] = as_array(rows_at(tensor, mask, positions), dtype)
        counts = {name: len(some) for name, some in rows.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(
                f"the layers have different numbers of rows in a batch: {counts}. Read them one at a time."
            )
        if any(counts.values()):
            yield rows


def as_array(rows: torch.Tensor, dtype: np.dtype[Any]) -> FloatArray:
    """Return a tensor on any device, which may be of bfloat16, as an array."""
    torch = import_extra("torch", "torch")
    wide = rows.detach()
    if wide.dtype not in (torch.float64, torch.float32, torch.float16) or wide.dtype.itemsize < dtype.itemsize:
        wide = wide.to(torch.float64 if dtype == np.float64 else torch.float32)
    array: FloatArray = wide.cpu().numpy()
    return array.astype(dtype, copy=False)  # `rows_at` has made a copy, so that the module cannot change it
