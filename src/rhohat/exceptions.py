"""What rhohat raises and warns beyond Python's own exceptions."""

from __future__ import annotations

from sklearn.exceptions import ConvergenceWarning

__all__ = ["ConvergenceWarning", "MissingExtraError"]


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
