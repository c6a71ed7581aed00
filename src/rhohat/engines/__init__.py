"""Engines, which compute sums over blocks of rows, on threads of this process or on the workers of a Dask cluster."""

from rhohat.engines.dask import DaskEngine
from rhohat.engines.threads import ThreadEngine

__all__ = ["DaskEngine", "ThreadEngine"]
