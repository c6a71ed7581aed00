"""Who computes the sums over blocks of rows: threads of this process, or the workers of a Dask cluster."""

from rhohat.engines.dask import DaskEngine
from rhohat.engines.threads import ThreadEngine

__all__ = ["DaskEngine", "ThreadEngine"]
