"""Models in files and folders of rhohat and of other libraries, recognised by what is in them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rhohat.common.exceptions import ModelFileError
from rhohat.models import model_file
from rhohat.models.formats import plain, saelens
from rhohat.models.formats.building import as_estimator
from rhohat.models.formats.exchanged import ExchangedDictionary
from rhohat.models.formats.tensors import TensorFile

__all__ = ["is_foreign", "load"]

_Reading = Callable[[], ExchangedDictionary]


def load(path: str | os.PathLike[str], *, activation_scale: float | None = None) -> Any:
    """Load a model from a file that `save` has written, or from a file or folder of another library.

    Whatever is in a file, only code of rhohat, scikit-learn, NumPy and classes registered with `register` is run. What
    the files of another library say and rhohat cannot translate is refused, and never left out.

    Parameters
    ----------
    path : path
        A file of `save`; or a folder of SAELens (`cfg.json` and `sae_weights.safetensors`), or of `export`. A file of
        such a folder stands for the folder.
    activation_scale : float, default=None
        For folders of SAELens with ``"normalize_activations": "expected_average_only_in"``: the factor by which rows
        were multiplied in the training, where it is not in the folder. It becomes part of the weights.

    Returns
    -------
    fitted estimator or Pipeline
        The model. From a file of `save`, its methods, such as `transform`, return the same bits as those of the saved
        model. Dictionaries of other libraries are fitted estimators of rhohat, such as `TopKAutoencoder`, in float32,
        or in float64 if their weights are. Their `model_card_` says where they come from.

    Raises
    ------
    FileNotFoundError
        If the file or folder does not exist.
    ModelFileError
        If the file is not a model file; is truncated or damaged; was written by a newer rhohat; holds a model of an
        unknown class; lacks tensors; has tensors that do not belong to the model, have the wrong shape, or contain
        numbers that are not finite; or says something that rhohat cannot translate.
    ValueError
        If `activation_scale` is not a positive number, or if the model does not need one.

    See Also
    --------
    save
    export
    """
    if activation_scale is not None and not 0 < activation_scale < math.inf:
        raise ValueError(f"activation_scale must be a positive number; got {activation_scale!r}.")
    file = Path(path)
    if not is_foreign(file):
        if activation_scale is not None:
            raise ValueError(f"activation_scale is for folders of SAELens; {file} is not one.")
        return model_file.load(file)
    try:
        return as_estimator(_reading(file, activation_scale)())
    except ModelFileError as error:
        raise ModelFileError(f"{file} cannot be loaded: {error}") from None
    except OSError:
        raise
    except Exception as error:  # the content of a damaged or forged file may cause any exception
        raise ModelFileError(f"{file} cannot be loaded, because it is damaged: {error}") from error


def is_foreign(path: Path) -> bool:
    """Return whether a path leads to something else than a file of `save`, or a file that cannot be told apart."""
    if path.is_dir():
        return True
    return path.is_file() and (path.name in _NAMES or _is_plain(path))


def _is_plain(path: Path) -> bool:
    """Return whether a file is a plain safetensors file of `export`."""
    try:
        return TensorFile(path).metadata.get("format") == plain.FORMAT
    except ModelFileError:
        return False


#: Files by which folders are recognised.
_NAMES = (saelens.CONFIGURATION, saelens.WEIGHTS, plain.FILE)


def _reading(path: Path, activation_scale: float | None) -> _Reading:
    """Return the function that reads what is at a path."""
    if path.is_file() and _is_plain(path):
        return lambda: plain.read_plain(path)
    folder = path if path.is_dir() else path.parent
    if (folder / plain.FILE).is_file():
        return lambda: plain.read_plain(folder / plain.FILE)
    if (folder / saelens.CONFIGURATION).is_file() and (folder / saelens.WEIGHTS).is_file():
        return lambda: saelens.read_saelens(folder, activation_scale)
    raise ModelFileError(f"the folder {folder} has no files that rhohat recognises.")
