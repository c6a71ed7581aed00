"""Numbers that a regressor predicts beside those that are right, as charts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_regressor

from rhohat.common.words import counted
from rhohat.data import RowSource, open_rows
from rhohat.inspection.reporting.charts import draw_scatter

__all__ = ["charts_of_predictions"]

_MOST_TARGETS = 6  # that have a chart


def charts_of_predictions(estimator: Any, source: RowSource, y: ArrayLike) -> list[tuple[str, str]]:
    """Return the name of each target of a regressor, and a chart of its predictions as SVG; none for other estimators.

    Parameters
    ----------
    estimator : fitted estimator
    source : RowSource
        Rows as the estimator sees them, after preprocessing.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets of the rows.
    """
    if not is_regressor(estimator) or getattr(estimator, "per_step", False):
        return []
    targets = np.asarray(estimator.targets_in_order(y), dtype=np.float64).reshape(len(source), -1)
    blocks = source.blocks(source.rows_at_once)
    predicted = np.concatenate([estimator.predict_rows(open_rows(rows)) for rows in blocks]).reshape(targets.shape)
    names = getattr(estimator, "target_names_", None)
    if names is None:
        names = ["the target"] if targets.shape[1] == 1 else [f"target {place}" for place in range(targets.shape[1])]
    return [
        (
            str(name),
            draw_scatter(
                f"predicted-{place}",
                targets[:, place],
                predicted[:, place],
                across="value",
                up="prediction",
                title=f"Predictions of {name} beside its values",
                description=f"{counted(len(targets), 'row')}; a prediction that is right lies on the line.",
            ),
        )
        for place, name in enumerate(names[:_MOST_TARGETS])
    ]
