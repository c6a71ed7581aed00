"""The recurrent regressor: a network that reads a sequence, and predicts numbers for the sequence or for each step."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import _num_samples, check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.common.randomness import RandomState
from rhohat.common.words import counted
from rhohat.data import RowSource
from rhohat.engines import EngineLike
from rhohat.estimators.documentation import document
from rhohat.estimators.feedforward_regressor import FeedforwardRegressor
from rhohat.estimators.sample_weights import check_sample_weight
from rhohat.estimators.sequences import PredictsFromSequences, check_entries_of_rows, targets_of_steps
from rhohat.estimators.target_scaling import choose_scaling, r_squared
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.layers.activations import Activation
from rhohat.layers.architecture import LayerDescription
from rhohat.solvers import Callback, Solver
from rhohat.terms.losses import Loss
from rhohat.terms.penalties import Penalty

__all__ = ["RecurrentRegressor"]


@document
class RecurrentRegressor(PredictsFromSequences, FeedforwardRegressor):
    """Recurrent network that predicts numbers for each sequence or for each of its steps.

    Minimises, with a_i the outputs and t_i the targets of sequence i,

        J = 1/m Σ_i loss(a_i, t_i)  +  λ/2 Σ_l ‖W^(l)‖²

    With `per_step`, the loss of a sequence is the sum over its steps. X may be an array of shape (n_samples, n_steps,
    n_channels), a list of arrays of shape (n_steps_i, n_channels), or what `as_sequences` returns. Steps past the end
    of a sequence are NaN, and have no influence on anything.

    Parameters
    ----------
    layers : sequence of layers, default=None
        The hidden layers, such as ``[GRU(64), Dense(30)]``. None means ``[LSTM(100)]``.
    per_step : bool, default=False
        Whether there are targets for each step. y is then an array of shape (n_samples, n_steps, n_targets), or of
        shape (n_samples, n_steps) for one target, or a list of one array for each sequence, with an entry for each of
        its steps. Steps whose targets are NaN have no loss. For several binary targets per step, use
        ``output_activation="sigmoid"`` and ``loss="binary_cross_entropy"``.
    input_shape : tuple of int, default=None
        Steps and channels of a row, (n_steps, n_channels). None takes them from the X of the fit; give them if later
        sequences may have more steps. Flat rows are sequences of one channel.
    activation : str or Activation, default="tanh"
        Activation of simple recurrent and dense layers whose descriptions name none.
    output_activation : {"identity", "sigmoid", "tanh", ...} or Activation, default="identity"
        Activation of the output units; see `FeedforwardRegressor`.
    loss : {"squared_error", ...} or Loss, default="squared_error"
        Loss of the outputs of a sequence, or of each step.
    scale_targets : bool, default=True
        Whether each target is standardised for the training; see `FeedforwardRegressor`. With `per_step`, it is
        standardised over all steps that have targets.
    weight_decay : float, default=1e-4
        λ, the weight of the weight decay, at least 0.
    tangent_weight : float, default=0.0
        The weight of the penalty on changes of the outputs along the tangents that are given to `fit`, at least 0.
    penalties : sequence of Penalty, or a single one, default=()
        Further penalties that are added to J.
    {training}

    Attributes
    ----------
    {targets}
    n_outputs_ : int
        Number of output units, of all steps together.
    input_shape_ : tuple of int
        Steps and channels of a row of the fit.
    {fitted}

    {warning}

    References
    ----------
    Hochreiter, S. and Schmidhuber, J. (1997). Long short-term memory. Neural Computation 9, 1735-1780.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import Recurrent, RecurrentRegressor
    >>> X = np.random.default_rng(0).normal(size=(100, 12))
    >>> y = np.cumsum(X, axis=1)  # the sum of the steps so far
    >>> regressor = RecurrentRegressor(layers=[Recurrent(4, activation="identity")], per_step=True, solver="lbfgs",
    ...                                max_iter=300, tol=1e-3, random_state=0)
    >>> regressor.fit(X, y).score(X, y) > 0.99
    True
    """

    command_line_name: ClassVar[str | None] = "recurrent-regressor"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FeedforwardRegressor._parameter_constraints,
        **PredictsFromSequences._constraints,
    }
    noise_covariance: ArrayLike | str | None = None
    max_covariance_updates: int = 10

    def __init__(
        self,
        *,
        layers: Sequence[LayerDescription | int] | None = None,
        per_step: bool = False,
        input_shape: Sequence[int] | None = None,
        activation: str | Activation = "tanh",
        output_activation: str | Activation = "identity",
        loss: str | Loss = "squared_error",
        scale_targets: bool = True,
        weight_decay: float = 1e-4,
        tangent_weight: float = 0.0,
        penalties: Sequence[Penalty] | Penalty = (),
        solver: str | Solver = "adam",
        initial_weights: str | Sequence[ArrayLike] = "uniform",
        max_iter: int = 100,
        tol: float = 1e-5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        engine: EngineLike = None,
        memory_limit: int | str | None = None,
        checkpoint: str | PathLike[str] | Checkpoint | None = None,
        callbacks: Sequence[Callback] | None = None,
        verbose: int = 0,
    ) -> None:
        self._store(locals())

    def predict_rows(self, X: FloatArray | RowSource) -> FloatArray:
        """Return the predictions for rows that are validated already, as floats in the dtype of the arithmetic.

        With `per_step`, the array has the shape (n_samples, n_steps, n_targets), or (n_samples, n_steps) if y had no
        axis of targets, and is NaN past the end of a sequence.
        """
        check_is_fitted(self)
        n_steps = self.network_.layers[-1].n_padded_steps
        if n_steps is None:
            return super().predict_rows(X)
        predicted = self._predict_columns(X).reshape(X.shape[0], n_steps, -1)
        return predicted[:, :, 0] if self._one_dimensional else predicted

    def score(self, X: ArrayLike | RowSource, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the R² of the predictions, averaged over targets; with `per_step`, over the steps that have targets.

        Parameters
        ----------
        X : array-like, list of arrays, or RowSource
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            With `per_step`, targets of steps as in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sequence, and of its steps.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        n_steps = self.network_.layers[-1].n_padded_steps
        if n_steps is None:
            return super().score(X, y, sample_weight)
        rows = self._validate_for_use(X)
        weights = check_sample_weight(sample_weight, rows, np.float64)
        predicted, targets = self.predict_rows(rows), targets_of_steps(y, rows, n_steps)
        if targets.shape[2] * n_steps != self.network_.layer_sizes[-1]:
            n_targets = self.network_.layers[-1].output_channels
            raise ValueError(f"y must have {counted(n_targets, 'target')} for each step; got {targets.shape[2]}.")
        predicted, targets = (one.reshape(len(predicted) * n_steps, -1) for one in (predicted, targets))
        counting = ~(np.isnan(predicted) | np.isnan(targets)).any(axis=1)
        repeated = None if weights is None else np.repeat(weights, n_steps)[counting]
        return r_squared(targets[counting], predicted[counting], repeated)

    def _check_targets(
        self, X: ArrayLike | RowSource, y: ArrayLike
    ) -> tuple[FloatArray | RowSource, FloatArray, Activation, bool]:
        if not self.per_step:
            check_entries_of_rows(y, 2, "one number, or as many as there are targets,")
            return super()._check_targets(X, y)
        rows, _ = self._check_rows_and_targets(X, np.zeros(_num_samples(X)))
        self._n_steps_of_targets = self._shape_of_rows(rows.shape[1])[0]
        targets = targets_of_steps(y, rows, self._n_steps_of_targets)
        one_dimensional = np.ndim(y[0] if isinstance(y, list | tuple) else np.asarray(y)[0]) == 1
        return rows, targets.reshape(len(targets), -1), self._output(), one_dimensional

    def _scaling_of(
        self, targets: FloatArray, output: Activation, loss: Loss, weights: FloatArray | None, fitted: bool
    ) -> tuple[FloatArray, FloatArray]:
        n_steps = self.__dict__.pop("_n_steps_of_targets", None)
        if fitted or not self.per_step or n_steps is None:
            return super()._scaling_of(targets, output, loss, weights, fitted)
        steps = targets.reshape(len(targets) * n_steps, -1)
        exists = ~np.isnan(steps).any(axis=1)
        of_steps = None if weights is None else np.repeat(weights, n_steps)[exists]
        shift, scale = choose_scaling(output, loss, steps[exists], of_steps, standardises=self.scale_targets)
        return np.tile(shift, n_steps), np.tile(scale, n_steps)
