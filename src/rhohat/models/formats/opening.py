"""Models in files and folders of rhohat and of other libraries, recognised by what is in them."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from rhohat.common.exceptions import ModelFileError
from rhohat.models import model_file
from rhohat.models.formats.building import as_estimator
from rhohat.models.formats.recognising import is_foreign, reading_of

__all__ = ["load"]


def load(path: str | os.PathLike[str], *, activation_scale: float | None = None) -> Any:
    """Load a model from a file that `save` has written, or from a file or folder of another library.

    Nothing in a file runs: whatever it holds, only code of rhohat, scikit-learn, NumPy and classes registered with
    `register` is called. If the files of another library say something that rhohat does not know or cannot translate,
    they are refused. Only settings on which no code depends are left out.

    Parameters
    ----------
    path : path
        A file of `save`. Or the folder of a dictionary of another library, or a file in it: SAELens (`cfg.json`,
        `sae_weights.safetensors`), sparsify (`cfg.json`, `sae.safetensors`), dictionary_learning (`config.json`,
        `ae.pt`), Llama Scope (`hyperparams.json`, `checkpoints/final.safetensors`), Gemma Scope (`params.npz`, or
        `params.safetensors`), or a folder that `export` has written. Or a file of weights of OpenAI's
        sparse_autoencoder, or of dictionary_learning.
    activation_scale : float, default=None
        For folders of SAELens with ``"normalize_activations": "expected_average_only_in"``: the factor by which rows
        were multiplied in the training. It is needed if it is not in the folder, and becomes part of the weights.

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
        return as_estimator(reading_of(file, activation_scale)())
    except ModelFileError as error:
        raise ModelFileError(f"{file} cannot be loaded: {error}") from None
    except OSError:
        raise
    except Exception as error:  # the content of a damaged or forged file may cause any exception
        raise ModelFileError(f"{file} cannot be loaded, because it is damaged: {error}") from error
