"""Export of fitted dictionaries to the formats of other libraries."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rhohat.models.formats.dictionary_learning_writing import write_dictionary_learning
from rhohat.models.formats.exchanged import ExchangedDictionary
from rhohat.models.formats.plain import write_plain
from rhohat.models.formats.precision import PRECISIONS
from rhohat.models.formats.saelens_writing import write_saelens
from rhohat.models.formats.sparsify import write_sparsify
from rhohat.models.formats.taking import of_estimator

__all__ = ["FORMATS", "export"]

#: What writes each format that `export` knows.
FORMATS: dict[str, Callable[[ExchangedDictionary, Path, str], None]] = {
    "saelens": write_saelens,
    "sparsify": write_sparsify,
    "dictionary_learning": write_dictionary_learning,
    "safetensors": write_plain,
}


def export(
    model: Any,
    folder: str | os.PathLike[str],
    *,
    format: str,  # noqa: A002 - as users say
    dtype: str | None = None,
) -> None:
    """Write a fitted dictionary into a folder from which another library loads it.

    The factor by which ``normalize="mean_norm"`` scales rows becomes part of the weights, so that the other library is
    given rows that are not scaled. If a format cannot hold a dictionary, an error says why, and nothing is written.

    Parameters
    ----------
    model : fitted dictionary or Transcoder
        A `TopKAutoencoder` or another dictionary, or a `Transcoder`.
    folder : path
        The folder, which is created if it does not exist. Files of the same names in it are replaced, each as a whole.
    format : {"saelens", "sparsify", "dictionary_learning", "safetensors"}
        "saelens": `cfg.json` and `sae_weights.safetensors`, for SAELens from version 6 on. "sparsify": `cfg.json` and
        `sae.safetensors`; only TopK. "dictionary_learning": `config.json` and `ae.pt`; no transcoders. "safetensors":
        `weights.safetensors`, with the weights by their usual names and a description, for your own programs.
    dtype : {"float64", "float32", "float16", "bfloat16"}, default=None
        Precision in which the weights are written; None means that of the model. In float16 and bfloat16, numbers are
        rounded, so that codes change a little.

    Raises
    ------
    ModelFileError
        If the model is no dictionary, or if the format cannot hold it.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    ValueError
        If `format` or `dtype` is not one of these, or if a weight is too large for the precision.
    OSError
        If the files cannot be written.

    See Also
    --------
    load

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import rhohat
    >>> X = np.random.default_rng(0).standard_normal((500, 16)).astype(np.float32)
    >>> dictionary = rhohat.TopKAutoencoder(32, k=4, max_iter=20, random_state=0).fit(X)
    >>> folder = tempfile.mkdtemp()
    >>> rhohat.export(dictionary, folder, format="saelens")
    >>> sorted(os.listdir(folder))
    ['cfg.json', 'sae_weights.safetensors']
    >>> bool(abs(rhohat.load(folder).transform(X) - dictionary.transform(X)).max() == 0)
    True
    """
    if format not in FORMATS:
        raise ValueError(f"format must be {_alternatives(tuple(FORMATS))}; got {format!r}.")
    if dtype is not None and dtype not in PRECISIONS:
        raise ValueError(f"dtype must be {_alternatives(PRECISIONS)}; got {dtype!r}.")
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise ValueError(f"folder must be a folder, in which files are written; got {os.fspath(folder)!r}, a file.")
    dictionary = of_estimator(model)
    precision = str(dictionary.dtype) if dtype is None else dtype
    is_new = not target.exists()
    target.mkdir(parents=True, exist_ok=True)
    try:
        FORMATS[format](dictionary, target, precision)
    except BaseException:
        if is_new and not any(target.iterdir()):
            target.rmdir()
        raise


def _alternatives(names: tuple[str, ...]) -> str:
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}"
