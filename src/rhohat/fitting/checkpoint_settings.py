"""The parameter `checkpoint` of estimators: where and how often a fit writes its state, and whether it resumes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Self

import numpy as np

from rhohat.common.words import Setting

__all__ = ["RESUME", "Checkpoint", "as_checkpoint"]

#: The setting that lets a fit resume from a checkpoint, as messages mention it.
RESUME = Setting("resume", True, "checkpoint=Checkpoint(folder, resume=True)")

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Checkpoint:
    """Settings of checkpoints: where and how often a fit writes its state, and whether it resumes from a state.

    Estimators take such an object as the parameter `checkpoint`; a path stands for ``Checkpoint(path)``.

    Parameters
    ----------
    folder : str or path-like
        Folder into which `fit` writes its state. The folder is created if it does not exist.
    every : int or str, default="60 s"
        How often the state is written: a time, such as "30 s", "5 min" or "1 h"; or an integer, at least 1, which
        counts iterations, or updates of θ for solvers that work in mini-batches.
    resume : bool, default=False
        Whether `fit` continues from the newest checkpoint in the folder, with the same result to the last bit as
        without interruption. It raises an error if the data, or a parameter that affects the result, differ from those
        of the interrupted fit. If the folder has no checkpoint yet, the fit starts anew and prints a message. The
        iterations after the checkpoint are repeated, and callbacks are called for them again.

    Raises
    ------
    ValueError
        If a parameter does not have one of the values that are described above.

    Examples
    --------
    >>> from rhohat import Checkpoint, SparseAutoencoder
    >>> autoencoder = SparseAutoencoder(checkpoint=Checkpoint("state", every="5 min"))
    >>> autoencoder.set_params(checkpoint__resume=True).checkpoint
    Checkpoint(folder='state', every='5 min', resume=True)
    """

    folder: str | PathLike[str]
    every: int | str = "60 s"
    resume: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.folder, str | PathLike) or not isinstance(fspath(self.folder), str):
            raise ValueError(f"checkpoint must name a folder, such as 'checkpoints'; got {self.folder!r}.")
        if not fspath(self.folder):
            raise ValueError("checkpoint must name a folder, such as 'checkpoints'; got an empty path.")
        is_count = isinstance(self.every, int | np.integer) and not isinstance(self.every, bool) and self.every >= 1
        if self.seconds is None and not is_count:
            raise ValueError(
                "the parameter every must be a number of iterations, at least 1, or a time such as '30 s', '5 min' or"
                " '1 h'; got"
                f" {self.every!r}."
            )
        if not isinstance(self.resume, bool | np.bool_):
            raise ValueError(f"resume must be True or False; got {self.resume!r}.")

    @property
    def seconds(self) -> float | None:
        """Time between checkpoints in seconds; None if `every` counts iterations."""
        if not isinstance(self.every, str):
            return None
        found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*(s|min|h)\s*", self.every)
        return float(found[1]) * _UNITS[found[2]] if found else None

    def of_part(self, part: str) -> Self:
        """Return the same settings for a part of a fit, with a folder of its own within the folder of this object.

        Parameters
        ----------
        part : str
            Name of the folder of the part; "" is the folder of this object itself.
        """
        return replace(self, folder=Path(self.folder) / part)


def as_checkpoint(checkpoint: str | PathLike[str] | Checkpoint | None) -> Checkpoint | None:
    """Return the parameter `checkpoint` of an estimator as a `Checkpoint`, or None if the parameter is None.

    Raises
    ------
    ValueError
        If the parameter is not the path of a folder.
    """
    if checkpoint is None or isinstance(checkpoint, Checkpoint):
        return checkpoint
    return Checkpoint(checkpoint)
