"""Rows of a harvest: the activations of one of the layers in the folder that `rhohat.harvest` has written."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rhohat.data.harvest_folder import ROWS, HarvestedLayer, is_harvest, read_harvest_record, rows_name
from rhohat.data.rows.base import RowSource
from rhohat.data.rows.combined import ShardedRows
from rhohat.data.rows.flat import find_safetensors
from rhohat.data.rows.positioned import PositionedFile

__all__ = ["harvest_of", "open_harvest"]


def harvest_of(path: Path) -> tuple[Path, str | None] | None:
    """Return the folder of a harvest, and the folder of one layer in it if the path leads to that; None if to neither.

    Parameters
    ----------
    path : Path
        Folder of a harvest, or of a layer in it.
    """
    if is_harvest(path):
        return path, None
    return (path.parent, path.name) if is_harvest(path.parent) else None


def open_harvest(folder: Path, layer: str | None, name: str) -> RowSource:
    """Return the rows of a layer, from the parts of the harvest that are complete.

    Parameters
    ----------
    folder : Path
        Folder of the harvest.
    layer : str or None
        Name of a layer, or of its folder; None for the only layer.
    name : str
        Name of the rows in messages.

    Raises
    ------
    ValueError
        If there is no such layer, if there are several and none is named, if the harvest has no rows yet, or if a file
        is missing or damaged.
    """
    record = read_harvest_record(folder)
    chosen = _chosen(record.layers, layer, name)
    if not record.shards:
        raise ValueError(f"{name} has no rows yet: the harvest was interrupted before its first part was written.")
    shards: list[RowSource] = []
    try:
        for number, shard in enumerate(record.shards):
            path = folder / chosen.folder / rows_name(number)
            shards.append(_open_shard(path, record.dtype, (shard.n_rows, chosen.n_features)))
        return ShardedRows(shards, name)
    except BaseException:
        for opened in shards:
            opened.close()
        raise


def _chosen(layers: tuple[HarvestedLayer, ...], layer: str | None, name: str) -> HarvestedLayer:
    if layer is None and len(layers) == 1:
        return layers[0]
    for one in layers:
        if layer is not None and layer in (one.name, one.folder, f"/{one.name}", f"/{one.folder}"):
            return one
    names = ", ".join(one.name or one.folder for one in layers)
    example = f"{name.rpartition(':')[0] or name}:/{layers[0].folder}"
    if layer is None:
        raise ValueError(f"{name} holds the activations of {len(layers)} layers: {names}. Name one, as in {example}.")
    raise ValueError(
        f"{name} has no activations of a layer {layer!r}; its layers are {names}. Name one as in {example}."
    )


def _open_shard(path: Path, dtype: str, shape: tuple[int, int]) -> RowSource:
    if not path.is_file():
        raise ValueError(f"{path} is missing: {path.parent.parent} is not complete; copy it again, or harvest anew.")
    file = PositionedFile(path)
    try:
        found = find_safetensors(file, str(path)).get(ROWS) if file.size > 8 else None
        if found is None or (found.shape, found.dtype) != (shape, np.dtype(dtype)):
            raise ValueError(
                f"{path} is damaged: it should hold an array {ROWS!r} of the shape {shape} and the dtype {dtype}."
            )
        return found.rows()
    except BaseException:
        file.close()
        raise
