"""Versions of packages, also of rhohat where it runs from its source and is not installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["version_of"]


def version_of(package: str) -> str:
    """Return the version of an installed package; "source" for one that is not installed, as rhohat may be.

    Examples
    --------
    >>> version_of("there is none of this name")
    'source'
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return "source"
