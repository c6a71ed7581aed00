"""Models in files: one safetensors file holds a fitted estimator, or a pipeline that ends in one, and nothing runs.

Arrays are tensors; kind, parameters and training record are JSON in the metadata. A class is made only if its name is
among those in `rhohat.models.components`, and a file is read only if every tensor that its kind needs is there, in the
shape that its architecture asks for, and no other. docs/model-file.md describes the format.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.common.exceptions import ModelFileError
from rhohat.common.tensor_files import read_format, read_tensor_file, write_tensor_file
from rhohat.models.model_file.reading import Reader
from rhohat.models.model_file.writing import Writer

__all__ = ["describe", "load", "save"]

_FORMAT, _VERSION = "rhohat model", 1
_ENDING = ".safetensors"
#: Of files in other formats, which would be taken for such by who opens them.
_OTHERS = {
    *(".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".ckpt", ".bin", ".onnx", ".pb", ".tflite", ".gguf"),
    *(".h5", ".hdf5", ".keras", ".npy", ".npz", ".mat", ".zarr", ".parquet", ".csv", ".txt"),
    *(".json", ".yaml", ".yml", ".xml", ".html", ".zip", ".gz", ".tar"),
}
_LONGEST_HEADER = 2**22  # bytes; what JSON becomes in memory is some twenty times as large


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted model into one file, from which `load` makes it anew.

    The file holds all that `transform`, `predict` and further training need: parameters, what was learned, names of
    columns, the record of the training, and of `partial_fit` the solver's state. What belongs to a run is not in it:
    `callbacks`, `engine`, `checkpoint`, `resume`, a `random_state` that is a generator, and what `set_output` was told
    are at their defaults in what is loaded.

    Parameters
    ----------
    model : fitted estimator or Pipeline
        Any of rhohat's estimators and transformers; or a pipeline of transformers, scikit-learn's `StandardScaler` and
        `MinMaxScaler` among them, that may end in an estimator.
    path : path
        Such as ``"model.safetensors"``; the format is that of safetensors files, whatever the name. A file that exists
        is replaced as a whole; one that cannot be written stays as it was.

    Raises
    ------
    ModelFileError
        If the model has parts that are not rhohat's, as a penalty of your own, which a file without code cannot hold.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If the name of the file ends as those of another format do, such as ".pkl", ".pt", ".joblib" or ".onnx".
    OSError
        If the file cannot be written.

    See Also
    --------
    load

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from rhohat import SparseAutoencoder
    >>> X = np.random.default_rng(0).random((50, 9))
    >>> fitted = SparseAutoencoder(n_components=2, sparsity=0.1, max_iter=2000, random_state=0).fit(X)
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save(fitted, path)
    >>> bool((load(path).transform(X) == fitted.transform(X)).all())
    True
    """
    ending = Path(path).suffix.lower()
    if ending in _OTHERS:
        raise ValueError(
            f"path must end in {_ENDING}, the format of model files, or in nothing; got {os.fspath(path)!r}, and a file"
            f" that ends in {ending} would be taken for one of another format."
        )
    writer = Writer()
    record = {"model": writer.model(model, ""), "versions": _versions()}
    _check_readable(record["model"], writer.arrays)
    try:
        write_tensor_file(Path(path), f"{_FORMAT} {_VERSION}", record, writer.arrays, longest_header=_LONGEST_HEADER)
    except ValueError as error:
        raise ModelFileError(f"the model cannot be saved: {error}") from error


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model from a file that `save` has written.

    No code runs that is not rhohat's, scikit-learn's or NumPy's, whatever the file holds.

    Parameters
    ----------
    path : path

    Returns
    -------
    fitted estimator or Pipeline
        Its `transform` gives the bits that it gave when it was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If it is no model file, is truncated or damaged, was written by a newer rhohat, is of an unknown kind, or lacks
        tensors, has some that do not belong to it, of another shape, or with numbers that are not finite.

    See Also
    --------
    save
    """
    with _refusing(Path(path)) as file:
        record, arrays = read_tensor_file(file, f"{_FORMAT} {_VERSION}", _LONGEST_HEADER)
        reader = Reader(arrays)
        model = reader.model(record["model"], "")
        reader.finish()
    return model


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a model file says of itself, in words and numbers, without making a model of it.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict
        ``"model"``, a description as docs/model-file.md has it, and ``"versions"`` of the libraries that it was written
        with.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If it is no model file, or damaged.
    """
    with _refusing(Path(path)) as file:
        return read_tensor_file(file, f"{_FORMAT} {_VERSION}", _LONGEST_HEADER)[0]


def _check_readable(described: dict[str, Any], arrays: Mapping[str, Any]) -> None:
    """Raise where what is about to be saved could not be loaded: better now than when the model is gone."""
    try:
        reader = Reader(arrays)
        reader.model(json.loads(json.dumps(described, default=np.generic.item)), "")
        reader.finish()
    except Exception as error:  # as in `_refusing`
        raise ModelFileError(f"the model cannot be saved, since it could not be loaded: {error}") from error


@contextmanager
def _refusing(file: Path) -> Iterator[Path]:
    """Raise our own error for whatever is wrong with a file."""
    if not file.is_file():
        raise FileNotFoundError(f"there is no model file {file}.")
    try:
        _check_format(file)
        yield file
    except ModelFileError as error:
        raise ModelFileError(f"{file} cannot be loaded: {error}") from None
    except OSError:
        raise
    except Exception as error:  # what a damaged or forged file holds may be wrong in any way
        raise ModelFileError(f"{file} cannot be loaded, it is damaged or no model file: {error}") from error


def _check_format(path: Path) -> None:
    found = read_format(path, _LONGEST_HEADER)
    name, _, number = (found or "").rpartition(" ")
    if name != _FORMAT or not number.isdecimal() or len(number) > 9:
        what = "no safetensors file, or truncated" if found is None else f"of the format {found[:60]!r}"
        raise ModelFileError(f"it is {what}; a model file is written by rhohat.save.")
    if int(number) > _VERSION:
        raise ModelFileError(
            f"it was written by a newer rhohat, in version {number} of the format, and this one reads version"
            f" {_VERSION}; upgrade rhohat."
        )


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("rhohat", "numpy", "scipy", "scikit-learn")}
    return {**packages, "python": platform.python_version()}
