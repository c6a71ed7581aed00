"""Sums over blocks of rows on the workers of a Dask cluster."""

from __future__ import annotations

from typing import Any

__all__ = ["DaskEngine"]


class DaskEngine:
    """Computes sums over rows on the workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Any) -> None:
        self.client = client
