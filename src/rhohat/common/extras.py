"""Import of optional dependencies when they are used, with an error that names the missing extra."""

from __future__ import annotations

import importlib
from typing import Any

from rhohat.common.exceptions import MissingExtraError

__all__ = ["import_extra"]


def import_extra(module: str, extra: str) -> Any:
    """Import and return an optional module; if it is missing, the error names the extra that installs it.

    Parameters
    ----------
    module : str
        Dotted name of the module, such as ``"matplotlib.pyplot"``.
    extra : str
        Name of the extra of rhohat that installs the module.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtraError
        If the module's package is not installed. An import error inside an installed package is raised unchanged.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise MissingExtraError(package, extra) from None  # the first error would say nothing more
