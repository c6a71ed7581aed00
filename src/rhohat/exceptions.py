"""What rhohat raises and warns beyond Python's own exceptions."""

from __future__ import annotations

from sklearn.exceptions import ConvergenceWarning

__all__ = [
    "CheckpointError",
    "CheckpointWarning",
    "ClusterError",
    "ConvergenceWarning",
    "MissingExtraError",
    "ModelFileError",
]


class CheckpointError(ValueError):
    """A checkpoint cannot be resumed: it is damaged, or of a fit with other data or settings."""


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written or read; the fit goes on without it."""


class MissingExtraError(ImportError):
    """An optional dependency is needed and is not installed.

    Parameters
    ----------
    package : str
        Name of the package that could not be imported.
    extra : str
        The extra of rhohat that installs it, such as ``"app"``.
    """

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f"{package} is needed for this and is not installed; install it with: pip install 'rhohat[{extra}]'"
        )


class ClusterError(RuntimeError):
    """A Dask cluster cannot do its work: the scheduler or all workers are gone, or rhohat is missing there."""


class ModelFileError(ValueError):
    """A model cannot be saved, or a file holds none that can be loaded."""
