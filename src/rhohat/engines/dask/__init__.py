"""The engine that computes sums over parts of the rows on the workers of a Dask cluster."""

from rhohat.engines.dask.engine import DaskEngine

__all__ = ["DaskEngine"]
