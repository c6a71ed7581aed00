"""What classifiers and regressors share: a network from rows to targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import _check_sample_weight, _check_y, check_array, check_X_y

from rhohat.activations import Activation
from rhohat.arrays import FloatArray, as_float_rows
from rhohat.corruption import Corruption, as_corruption
from rhohat.data import RowSource
from rhohat.estimators.base import BaseNetwork, as_activations, as_layer_sizes, check_lengths, check_rows
from rhohat.estimators.training import Problem
from rhohat.jacobian_penalties import TangentPropagation
from rhohat.losses import Loss
from rhohat.network import Network
from rhohat.penalties import Penalty, WeightDecay

__all__ = ["BaseFeedforward"]


class BaseFeedforward(BaseNetwork):
    """A network that maps rows to targets.

    A subclass has the constructor, and says what the targets and the output are.
    """

    hidden_layer_sizes: Sequence[int]
    activation: str | Activation | Sequence[str | Activation]
    weight_decay: float
    tangent_weight: float
    corruption: str | Corruption | None = None

    def _check_rows_and_targets(
        self, X: ArrayLike | RowSource, y: ArrayLike, *, y_numeric: bool = False
    ) -> tuple[Any, NDArray[Any]]:
        """Return rows as floats and targets, or raise what scikit-learn raises for bad ones.

        A row source is returned as it is; what is in it is for `_look_through`.
        """
        if y is None:
            raise ValueError("This estimator requires y to be passed, but the target y is None.")
        _check_in_memory(y, "y")
        check_lengths(X, y)
        if isinstance(X, RowSource):
            return X, _check_y(y, multi_output=True, y_numeric=y_numeric)
        rows, targets = check_X_y(X, y, dtype="numeric", multi_output=True, y_numeric=y_numeric)
        return as_float_rows(rows), targets

    def _look_through(self, X: ArrayLike | RowSource, *, fitted: bool) -> None:
        """Compare the columns with those of a fit, if there was one; read a row source, to see that it is finite."""
        if fitted:
            self._validate(X)
        elif isinstance(X, RowSource):
            check_rows(X)

    def _make_supervised_problem(
        self,
        X: FloatArray | RowSource,
        targets: FloatArray | RowSource,
        output: Activation,
        loss: Loss,
        sample_weight: ArrayLike | None,
        tangents: ArrayLike | None,
        continues: bool,
    ) -> Problem:
        """Return what is to be minimised over rows and targets of shape (n_samples, n_outputs)."""
        sizes, hidden = self._hidden_layers()
        network = Network((X.shape[1], *sizes, targets.shape[1]), (*hidden, output))
        if continues:
            self._check_unchanged(network)
        penalties: list[Penalty] = [self._weight_decay()]
        if self.tangent_weight > 0 or tangents is not None:
            penalties.append(TangentPropagation(self.tangent_weight))
        weights: FloatArray | None = None
        directions: FloatArray | None = None
        if sample_weight is not None:
            _check_in_memory(sample_weight, "sample_weight")
            weights = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
        if tangents is not None:
            _check_in_memory(tangents, "tangents")
            directions = check_array(tangents, dtype=X.dtype, ensure_2d=False, allow_nd=True, input_name="tangents")
        return Problem(
            network,
            loss,
            [*penalties, *self._extra_penalties()],
            X,
            targets if isinstance(targets, RowSource) else np.ascontiguousarray(targets, dtype=X.dtype),
            sample_weight=weights,
            tangents=directions,
            corruption=as_corruption(self.corruption),
        )

    def _weight_decay(self) -> WeightDecay:
        """Return what weights cost."""
        return WeightDecay(self.weight_decay)

    def _hidden_layers(self) -> tuple[tuple[int, ...], list[Activation]]:
        """Return the sizes and activations of the hidden layers."""
        sizes = as_layer_sizes(self.hidden_layer_sizes)
        return sizes, as_activations(self.activation, len(sizes))

    @property
    def _code_layer(self) -> int:
        """The last hidden layer; the output where there is none."""
        return max(self.network_.n_layers - 1, 1)

    @property
    def n_outputs_(self) -> int:
        """Number of output units."""
        return self.network_.layer_sizes[-1]


def _check_in_memory(array: ArrayLike | RowSource, name: str) -> None:
    """Raise ValueError where something that only X may be is a row source."""
    if isinstance(array, RowSource):
        raise ValueError(
            f"{name} must be an array in memory, only X may be a row source; got {array.name}: pass source.read(0,"
            " len(source)), or a column of it."
        )
