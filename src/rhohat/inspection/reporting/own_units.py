"""Conversion of rows from the values that an estimator sees to those of the data, where the scaling is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import OneToOneFeatureMixin

from rhohat.common.arrays import FloatArray
from rhohat.data import PatchNormalizer, TablePreprocessor, ZCAWhitening
from rhohat.data.tables.coding import Kind
from rhohat.models.pipelines import preprocessing_of

__all__ = ["OwnUnits"]


@dataclass(frozen=True)
class OwnUnits:
    """The way back from what an estimator sees to the units of the data.

    Attributes
    ----------
    steps : sequence of fitted transformers
        Preprocessing of the model, each feature of which comes from one feature of the data.
    known : bool
        Whether the scaling is known. If not, values stay as the estimator sees them.
    """

    steps: Sequence[Any]
    known: bool

    @classmethod
    def of(cls, model: Any) -> OwnUnits:
        """Return the way back through the preprocessing of a fitted model.

        Examples
        --------
        >>> from rhohat import SparseAutoencoder
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import MinMaxScaler
        >>> X = np.array([[0.0, 10.0], [2.0, 30.0]])
        >>> model = make_pipeline(MinMaxScaler().fit(X), SparseAutoencoder())
        >>> OwnUnits.of(model).convert(np.array([[0.5, 0.5]]))
        array([[ 1., 20.]])
        """
        return cls.of_steps(preprocessing_of(model))

    @classmethod
    def of_steps(cls, steps: Sequence[Any]) -> OwnUnits:
        """Return the way back through some fitted transformers, which are given in their order."""
        return cls(steps, all(map(_scales_each_feature, steps)))

    @property
    def loss(self) -> str:
        """What of the data cannot be restored, as the end of a sentence; empty if all can be."""
        lossy = self.known and any(isinstance(step, PatchNormalizer) for step in self.steps)
        return ", without the mean of each row, which PatchNormalizer removes" if lossy else ""

    def convert(self, rows: FloatArray) -> FloatArray:
        """Return rows in the units of the data, or as they are if the scaling is not known.

        NaN, of which rows of unequal length have some, stays NaN.
        """
        if not (self.known and self.steps):
            return rows
        missing = np.isnan(rows)
        converted = np.where(missing, 0, rows)
        with np.errstate(over="ignore", invalid="ignore"):
            for step in reversed(self.steps):
                undo = step.unscale if isinstance(step, TablePreprocessor) else step.inverse_transform
                converted = undo(converted)
        return np.where(missing, np.nan, np.asarray(converted))

    def gaps(self, converted: FloatArray) -> NDArray[np.bool_]:
        """Return where a number stands in the place of a missing one, in rows that `convert` has returned.

        These are the columns of numbers of a `TablePreprocessor` for which another column says so.
        """
        gaps = np.zeros(converted.shape, np.bool_)
        if self.known and self.steps and isinstance(self.steps[0], TablePreprocessor):
            start = 0
            for column in self.steps[0].columns_:
                if column.has_missing and column.kind != Kind.TEXT:
                    gaps[:, start] = converted[:, start + 1] > 0.5
                start += column.n_outputs
        return gaps

    def ends(self, scale: tuple[float, float], n_features: int) -> tuple[float, float] | None:
        """Return two values in the units of the data; None if the units are not known, or differ among features."""
        if not self.known or not self.steps:
            return scale if self.known else None
        low, high = self.convert(np.repeat(np.array(scale)[:, None], n_features, axis=1))
        if max(np.ptp(low), np.ptp(high)) > 1e-6 * abs(high[0] - low[0]):
            return None
        return float(low[0]), float(high[0])


def _scales_each_feature(step: Any) -> bool:
    """Return whether a transformer has an inverse that turns each of its features into the one that it came from."""
    if isinstance(step, TablePreprocessor):
        return True  # and columns of 0 and 1 stay as they are
    if not (isinstance(step, OneToOneFeatureMixin) and hasattr(step, "inverse_transform")):
        return False
    # Whitening mixes features, and a FunctionTransformer without an inverse would return what it is given.
    return not isinstance(step, ZCAWhitening) and getattr(step, "inverse_func", step) is not None
