"""Exceptions and warnings of rhohat, beyond Python's own."""

from __future__ import annotations

from collections.abc import Sequence

from sklearn.exceptions import ConvergenceWarning

from rhohat.common.installed import how_to_install

__all__ = [
    "CheckpointError",
    "CheckpointWarning",
    "ClusterError",
    "ConvergenceWarning",
    "DeadLatentsWarning",
    "MissingExtraError",
    "ModelFileError",
    "SettingError",
    "TextColumnsError",
]


class CheckpointError(ValueError):
    """A checkpoint cannot be resumed: it is damaged, or belongs to a fit with other data or settings."""


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written or read; the fit continues without it."""


class DeadLatentsWarning(UserWarning):
    """Many units are dead, latents of a dictionary or ReLUs: they have not been active for long, and learn nothing."""


class MissingExtraError(ImportError):
    """An optional dependency is needed but not installed.

    Parameters
    ----------
    package : str
        Name of the package that could not be imported.
    extra : str
        Name of the extra of rhohat that installs the package, such as ``"app"``.
    """

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{package} is needed but is not installed; install it with: {how_to_install(extra)}")


class ClusterError(RuntimeError):
    """A Dask cluster cannot be used: its scheduler or all its workers are gone, or rhohat is not installed on it."""


class SettingError(ValueError):
    """A parameter has a value that it cannot have, or not together with the others or with the data."""


class TextColumnsError(ValueError):
    """Columns of a table that should be read as numbers contain text.

    Parameters
    ----------
    problem : str
        Sentence that says what is wrong.
    columns : sequence of str or int
        Names of the columns that contain text, or their numbers if the columns have no names.
    missing : str, default=""
        Sentence that says in which columns cells are missing as well, if this is an error.
    dates, names : sequence of str or int, default=()
        Those of the columns that contain dates, and those in which nearly every row has a text of its own.
    """

    def __init__(
        self,
        problem: str,
        columns: Sequence[str | int],
        missing: str = "",
        dates: Sequence[str | int] = (),
        names: Sequence[str | int] = (),
    ) -> None:
        self.dates, self.names = list(dates), list(names)
        self.problem, self.columns, self.missing = " ".join([problem, missing]).rstrip(), list(columns), bool(missing)
        super().__init__(
            f"{self.problem} Choose other columns, for example with drop={self.columns!r}, or train a model with"
            " texts='code' and rhohat.TablePreprocessor."
        )


class ModelFileError(ValueError):
    """A model cannot be saved, or a file contains no model that can be loaded."""
