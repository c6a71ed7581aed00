"""Which classes a classifier takes for which others, as a table that the page shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier

from rhohat.data import RowSource, open_rows
from rhohat.inspection.metrics.predictions import confusion_counts

__all__ = ["Confusion", "confusion_of"]

_MOST_CLASSES = 20  # of more classes, only the most frequent mistakes are shown
_MOST_MISTAKES = 15
_SHADES = 8  # backgrounds of cells that the style sheet has, beside none


@dataclass(frozen=True)
class Confusion:
    """The classes of rows, and those that a classifier predicts for them.

    Attributes
    ----------
    classes : list of str
        Names of the classes.
    counts : array of int, of shape (n_classes, n_classes)
        Number of rows by their class, line by line, and by the class that is predicted for them, column by column.
    """

    classes: list[str]
    counts: NDArray[np.intp]

    @property
    def is_whole(self) -> bool:
        """Whether there are few enough classes for a table of all of them."""
        return len(self.classes) <= _MOST_CLASSES

    @property
    def lines(self) -> list[tuple[str, list[tuple[int, int]], float | None]]:
        """Name of each class, its counts with their shades from 0 to 8, and the fraction of its rows that is found."""
        totals = self.counts.sum(axis=1)
        shades = np.ceil(_SHADES * self.counts / np.maximum(totals, 1)[:, None]).astype(int)
        return [
            (
                name,
                list(zip(self.counts[k].tolist(), shades[k].tolist(), strict=True)),
                float(self.counts[k, k] / totals[k]) if totals[k] else None,
            )
            for k, name in enumerate(self.classes)
        ]

    @property
    def precisions(self) -> list[float | None]:
        """For each class, the fraction of the rows for which it is predicted that are of this class."""
        totals = self.counts.sum(axis=0).tolist()
        return [hits / total if total else None for hits, total in zip(np.diag(self.counts), totals, strict=True)]

    @property
    def mistakes(self) -> list[tuple[str, str, int]]:
        """The most frequent mistakes: class, predicted class, and number of rows."""
        wrong = self.counts - np.diag(np.diag(self.counts))
        order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_MISTAKES]
        pairs = [(int(place // len(wrong)), int(place % len(wrong))) for place in order]
        return [(self.classes[a], self.classes[b], int(wrong[a, b])) for a, b in pairs if wrong[a, b]]


def confusion_of(estimator: Any, source: RowSource, y: ArrayLike) -> Confusion | None:
    """Return which classes a classifier predicts for rows; None for other estimators, and for labels of steps.

    Parameters
    ----------
    estimator : fitted estimator
    source : RowSource
        Rows as the estimator sees them, after preprocessing.
    y : array-like of shape (n_samples,)
        Label of each row. Labels that are not classes of the estimator are left out.
    """
    if not is_classifier(estimator) or getattr(estimator, "per_step", False):
        return None
    targets = np.asarray(estimator.targets_in_order(y)).ravel()
    predicted = np.concatenate([estimator.predict_rows(open_rows(rows)) for rows in source.blocks(source.rows_at_once)])
    classes = estimator.classes_
    return Confusion([str(name) for name in classes], confusion_counts(targets, predicted, classes))
