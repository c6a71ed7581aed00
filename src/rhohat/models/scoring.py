"""How unusual the rows of any source are to a model, and because of which columns, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource
from rhohat.models.explaining import OwnColumns
from rhohat.models.pipelines import estimator_of, last_step_of, prepare_rows

__all__ = ["RowScores", "reconstruction_errors", "score_rows"]


@dataclass(frozen=True)
class RowScores:
    """Scores of rows by a detector, and the columns that contribute most to them.

    Attributes
    ----------
    names : list of str
        Names of the columns of the data, or of those that the detector sees if its pipeline mixes columns.
    scores : array of shape (n_rows,)
        Scores as `score_samples` returns them: lower is more unusual.
    columns : array of int, of shape (n_rows, n_top)
        Numbers of the columns that contribute most to the error of each row, the largest contribution first.
    shares : array of shape (n_rows, n_top)
        The parts of the error that these columns contribute, from 0 to 1.
    offset : float
        The score below which a row is an outlier.
    """

    names: list[str]
    scores: FloatArray
    columns: NDArray[np.intp]
    shares: FloatArray
    offset: float

    @property
    def is_outlier(self) -> NDArray[np.bool_]:
        """Whether each row is an outlier."""
        outliers: NDArray[np.bool_] = self.scores < self.offset
        return outliers

    @property
    def worst_first(self) -> NDArray[np.intp]:
        """Numbers of the rows, the most unusual one first."""
        return np.argsort(self.scores, kind="stable")


def score_rows(model: Any, rows: RowSource, n_top: int = 3) -> RowScores:
    """Return the scores of rows by a detector.

    Parameters
    ----------
    model : fitted detector, or Pipeline that ends in one
    rows : RowSource
        Rows before preprocessing.
    n_top : int, default=3
        Number of columns to name for each row; all columns if there are fewer.

    Returns
    -------
    RowScores
    """
    own = OwnColumns.of(model, rows)
    n_top = min(n_top, len(own.names))
    parts = []
    for contributions in own.contribution_blocks(model, rows):
        columns = np.argsort(-contributions, axis=1, kind="stable")[:, :n_top]
        errors = contributions.sum(axis=1)
        largest = np.take_along_axis(contributions, columns, axis=1)
        shares = np.divide(largest, errors[:, None], out=np.zeros_like(largest), where=errors[:, None] > 0)
        parts.append((-errors, columns, shares))
    scores, columns, shares = map(np.concatenate, zip(*parts, strict=True))
    return RowScores(own.names, scores, columns, shares, last_step_of(model).offset_)


def reconstruction_errors(model: Any, rows: RowSource) -> Iterator[FloatArray]:
    """Yield the mean squared error over the columns of the reconstructions of successive rows, some rows at a time.

    Parameters
    ----------
    model : fitted autoencoder or dictionary, or Pipeline that ends in one
    rows : RowSource
        Rows before preprocessing. The errors are those of the rows as the autoencoder sees them, after it.

    Yields
    ------
    array of shape (n_rows,), float64
        Steps after the end of a sequence do not count.
    """
    estimator, prepared = estimator_of(model), prepare_rows(model, rows)
    first = 0
    for made in estimator.reconstruction_blocks(prepared):
        errors = (prepared.read(first, first + len(made)).astype(np.float64) - made) ** 2
        first += len(made)
        yield np.nanmean(errors, axis=1)
