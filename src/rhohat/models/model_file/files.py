"""Saving and loading of fitted models: one safetensors file per model, which is read without executing code from it.

Arrays are stored as tensors; the class name, the parameters and the results of the training, such as the number of
iterations, are JSON in the metadata. A class is instantiated only if it is registered in `rhohat.models.components`. A
file is accepted only if it has exactly the tensors that the model needs, in the shapes that the architecture requires.
docs/model-file.md describes the format.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.common.exceptions import ModelFileError
from rhohat.common.tensor_files import read_format, read_tensor_file, write_tensor_file
from rhohat.common.versions import version_of
from rhohat.models.model_card import ModelCard, card_of, set_card, with_note
from rhohat.models.model_file.reading import Reader, read_card
from rhohat.models.model_file.writing import Writer, write_card

__all__ = ["describe", "load", "save"]

_FORMAT, _VERSION = "rhohat model", 1
_ENDING = ".safetensors"
#: Endings of the names of files in other formats, for which a model file with such a name would be mistaken.
_OTHERS = {
    *(".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".ckpt", ".bin", ".onnx", ".pb", ".tflite", ".gguf"),
    *(".h5", ".hdf5", ".keras", ".npy", ".npz", ".mat", ".zarr", ".parquet", ".csv", ".txt"),
    *(".json", ".yaml", ".yml", ".xml", ".html", ".zip", ".gz", ".tar"),
}
_LONGEST_HEADER = 2**22  # bytes; parsed JSON takes about twenty times as much memory


def save(model: Any, path: str | os.PathLike[str], *, note: str | None = None, card: ModelCard | None = None) -> None:
    """Write a fitted model to one file, from which `load` restores the model.

    The file holds everything that `transform`, `predict` and further training need: the parameters, the learned arrays,
    the names of columns, the course of the training and, after `partial_fit`, the solver's state. Settings that belong
    to a single run are not saved, and have their default values in the loaded model: `callbacks`, `engine`,
    `checkpoint`, `resume`, a `random_state` that is a generator, and the setting of `set_output`.

    Parameters
    ----------
    model : fitted estimator or Pipeline
        Any of rhohat's estimators and transformers, or a pipeline of transformers that may end in an estimator.
        scikit-learn's `StandardScaler` and `MinMaxScaler` are accepted as transformers. For other estimators of
        scikit-learn, and for pipelines with them, use joblib: ``joblib.dump(model, "model.joblib")``. Load such files
        only if you trust who wrote them, because joblib runs code from the file.
    path : path
        Path of the file, such as ``"model.safetensors"``. The format is safetensors, whatever the name of the file. An
        existing file is replaced as a whole; if writing fails, the existing file stays unchanged.
    note : str, default=None
        A text of your own about the model, which replaces the note of its card. ``rhohat info`` prints it.
    card : ModelCard, default=None
        What is to be known of the model. None stands for the `model_card_` of the estimator, if there is one. In the
        loaded model, the card is the estimator's `model_card_`.

    Raises
    ------
    ModelFileError
        If the model contains objects whose classes rhohat does not know, such as a penalty of your own whose class is
        not registered with `register`. The file contains no code, so it cannot hold such objects.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    ValueError
        If the name of the file has the ending of another format, such as ".pkl", ".pt", ".joblib" or ".onnx", or if
        the note is too long.
    TypeError
        If `card` is not a `ModelCard`, or if the note is not a string.
    OSError
        If the file cannot be written.

    See Also
    --------
    load
    ModelCard

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from rhohat import SparseAutoencoder
    >>> X = np.random.default_rng(0).random((50, 9))
    >>> fitted = SparseAutoencoder(n_components=2, sparsity=0.1, max_iter=2000, random_state=0).fit(X)
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save(fitted, path, note="Nine random numbers a row.")
    >>> load(path).model_card_.note
    'Nine random numbers a row.'
    >>> bool((load(path).transform(X) == fitted.transform(X)).all())
    True
    """
    ending = Path(path).suffix.lower()
    if ending in _OTHERS:
        raise ValueError(
            f"path must end in {_ENDING}, the ending of model files, or have no ending; got {os.fspath(path)!r}, and a"
            f" file that ends in {ending} would be taken for a file of another format."
        )
    if not isinstance(card, ModelCard | None):
        raise TypeError(f"card must be a rhohat.ModelCard; got {card!r}.")
    card = card_of(model) if card is None else card
    if note is not None:
        card = with_note(card, note)
    writer = Writer()
    record = {"model": writer.model(model, ""), "versions": _versions()}
    if card is not None:
        record["card"] = write_card(card)
    _check_readable(record["model"], writer.arrays)
    try:
        write_tensor_file(Path(path), f"{_FORMAT} {_VERSION}", record, writer.arrays, longest_header=_LONGEST_HEADER)
    except ValueError as error:
        raise ModelFileError(f"the model cannot be saved: {error}") from error


def load(path: str | os.PathLike[str]) -> Any:
    """Load a model from a file that `save` has written.

    Whatever the file holds, only code of rhohat, scikit-learn, NumPy and classes registered with `register` is run.

    Parameters
    ----------
    path : path

    Returns
    -------
    fitted estimator or Pipeline
        The model. Its methods, such as `transform`, return the same bits as the methods of the saved model.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ModelFileError
        If the file is not a model file; is truncated or damaged; was written by a newer rhohat; holds a model of an
        unknown class; lacks tensors; or has tensors that do not belong to the model, have the wrong shape, or contain
        numbers that are not finite.

    See Also
    --------
    save
    """
    with _refusing(Path(path)) as file:
        record, arrays = read_tensor_file(file, f"{_FORMAT} {_VERSION}", _LONGEST_HEADER)
        reader = Reader(arrays)
        model = reader.model(record["model"], "")
        reader.finish()
        if record.get("card") is not None:
            set_card(model, read_card(record["card"]))
    return model


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the description in a model file as a dict, without creating the model.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict
        ``"model"``, the description of the model in the form given in docs/model-file.md, and ``"versions"``, the
        versions of rhohat, Python and the libraries with which the file was written. If the model has a card,
        ``"card"`` describes it.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ModelFileError
        If the file is not a model file, or is damaged.
    """
    with _refusing(Path(path)) as file:
        return read_tensor_file(file, f"{_FORMAT} {_VERSION}", _LONGEST_HEADER)[0]


def _check_readable(described: dict[str, Any], arrays: Mapping[str, Any]) -> None:
    """Raise ModelFileError if a model that is about to be saved could not be loaded from its file."""
    try:
        reader = Reader(arrays)
        reader.model(json.loads(json.dumps(described, default=np.generic.item)), "")
        reader.finish()
    except Exception as error:  # as in `_refusing`, any exception may occur
        raise ModelFileError(f"the model cannot be saved, since it could not be loaded again: {error}") from error


@contextmanager
def _refusing(file: Path) -> Iterator[Path]:
    """Context manager that checks the format of a file and turns errors in its content into ModelFileError."""
    if not file.is_file():
        raise FileNotFoundError(f"there is no model file {file}.")
    try:
        _check_format(file)
        yield file
    except ModelFileError as error:
        raise ModelFileError(f"{file} cannot be loaded: {error}") from None
    except OSError:
        raise
    except Exception as error:  # the content of a damaged or forged file may cause any exception
        raise ModelFileError(
            f"{file} cannot be loaded, because it is damaged or is not a model file: {error}"
        ) from error


def _check_format(path: Path) -> None:
    found = read_format(path, _LONGEST_HEADER)
    name, _, number = (found or "").rpartition(" ")
    if name != _FORMAT or not number.isdecimal() or len(number) > 9:
        problem = (
            "is not a safetensors file of rhohat, or it is truncated"
            if found is None
            else f"has the format {found[:60]!r}, which is not the format of a model file"
        )
        raise ModelFileError(f"the file {problem}; use a file that was written by rhohat.save.")
    if int(number) > _VERSION:
        raise ModelFileError(
            f"the file was written by a newer version of rhohat, in version {number} of the format of model files, but"
            f" the installed rhohat can read only version {_VERSION}; upgrade rhohat."
        )


def _versions() -> dict[str, str]:
    packages = {name: version_of(name) for name in ("rhohat", "numpy", "scipy", "scikit-learn")}
    return {**packages, "python": platform.python_version()}
