"""Engines, which compute sums over blocks of rows: on threads, on the workers of a Dask cluster, or on a device."""

from typing import TypeAlias

from rhohat.engines.dask import DaskEngine
from rhohat.engines.device import TorchEngine
from rhohat.engines.threads import ThreadEngine

__all__ = ["DaskEngine", "EngineLike", "ThreadEngine", "TorchEngine", "as_engine", "cluster_of", "device_of"]

#: What the parameter `engine` of an estimator may be.
EngineLike: TypeAlias = DaskEngine | TorchEngine | str | None


def as_engine(engine: EngineLike) -> DaskEngine | TorchEngine | None:
    """Return the engine that a value of the parameter `engine` means: for the name of a device, one of this device."""
    return TorchEngine(engine) if isinstance(engine, str) else engine


def cluster_of(engine: EngineLike) -> DaskEngine | None:
    """Return the engine of the cluster that evaluates J, if there is one."""
    return engine if isinstance(engine, DaskEngine) else None


def device_of(engine: EngineLike) -> TorchEngine | None:
    """Return the engine of the device that computes, if there is one."""
    engine = as_engine(engine)
    return engine if isinstance(engine, TorchEngine) else None
