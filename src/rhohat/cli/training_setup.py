"""What surrounds a training of `train`: checkpoints, a cluster, and files to which its history is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import typer

from rhohat.callbacks import CSVHistory, JSONLinesHistory
from rhohat.common.extras import import_extra
from rhohat.engines import DaskEngine, TorchEngine
from rhohat.fitting.checkpoint_settings import Checkpoint

__all__ = ["HISTORIES", "checkpoint_settings", "connected", "history_file"]

HISTORIES: dict[str, Any] = {".jsonl": JSONLinesHistory, ".csv": CSVHistory}


def history_file(path: Path, resume: bool) -> Any:
    """Return the callback that writes J to a file, at its end if the training is resumed."""
    return HISTORIES[path.suffix](path, append=resume)


def checkpoint_settings(folder: Path | None, every: str | None, resume: bool) -> Checkpoint | None:
    """Return the checkpoint settings, or None without a folder; raise if the options contradict one another."""
    if folder is None:
        if resume:
            raise typer.BadParameter(
                "this option needs --checkpoint DIR, the folder that holds the checkpoint.", param_hint="--resume"
            )
        if every is not None:
            raise typer.BadParameter(
                "this option needs --checkpoint DIR, the folder in which to write checkpoints.",
                param_hint="--checkpoint-every",
            )
        return None
    if every is None:
        return Checkpoint(folder, resume=resume)
    try:
        return Checkpoint(folder, int(every) if every.strip().isdecimal() else every, resume)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--checkpoint-every") from None


def _engine_of(device: str, *, with_cluster: bool, split_latents: bool) -> TorchEngine:
    """Return the engine of a device, or of several whose names have commas between them."""
    if with_cluster:
        raise typer.BadParameter("--dask and --device exclude one another.", param_hint="--device")
    names = device.split(",")
    split: Literal["rows", "latents"] = "latents" if split_latents else "rows"
    try:
        engine = TorchEngine(devices=names, split=split) if len(names) > 1 else TorchEngine(device)
        engine.check()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--device") from None
    return engine


@contextmanager
def connected(
    address: str | None, device: str | None, *, split_latents: bool = False
) -> Iterator[DaskEngine | TorchEngine | None]:
    """Context manager that yields an engine of a Dask cluster or of a device, or None if neither is named."""
    if split_latents and "," not in (device or ""):
        raise typer.BadParameter(
            "this option needs several devices, such as --device cuda:0,cuda:1.", param_hint="--split-latents"
        )
    if device is not None:
        yield _engine_of(device, with_cluster=address is not None, split_latents=split_latents)
        return
    if address is None:
        yield None
        return
    client_class = import_extra("distributed", "dask").Client
    try:
        client = client_class(address, timeout=10)
    except ValueError as error:
        raise typer.BadParameter(
            f"must be the address of a scheduler, such as tcp://127.0.0.1:8786; got {address!r}: {error}.",
            param_hint="--dask",
        ) from None
    except OSError as error:
        raise OSError(f"there is no Dask scheduler at {address}: {error}") from None
    with client:
        yield DaskEngine(client)
