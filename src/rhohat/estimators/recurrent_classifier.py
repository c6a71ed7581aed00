"""The recurrent classifier: a network that reads a sequence, and names the class of the sequence or of each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import _num_samples, check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.common.randomness import RandomState
from rhohat.data import RowSource
from rhohat.engines import EngineLike
from rhohat.estimators.classifier import BaseClassifier, target_range
from rhohat.estimators.documentation import document
from rhohat.estimators.sample_weights import check_sample_weight
from rhohat.estimators.sequences import (
    PredictsFromSequences,
    check_entries_of_rows,
    labels_of_steps,
    lengths_of_rows,
)
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.layers.activations import Activation
from rhohat.layers.architecture import LayerDescription
from rhohat.objective import Problem
from rhohat.solvers import Callback, Solver
from rhohat.terms.corruption import Corruption
from rhohat.terms.losses import Loss
from rhohat.terms.penalties import Penalty

__all__ = ["RecurrentClassifier"]


@document
class RecurrentClassifier(PredictsFromSequences, BaseClassifier):
    """Recurrent network for classification of sequences or of their steps, trained by backpropagation through time.

    Minimises, with a_i the outputs and t_i the targets of sequence i,

        J = 1/m Σ_i loss(a_i, t_i)  +  λ/2 Σ_l ‖W^(l)‖²

    With `per_step`, the loss of a sequence is the sum over its steps. X may be an array of shape (n_samples, n_steps,
    n_channels), a list of arrays of shape (n_steps_i, n_channels), or what `as_sequences` returns. Steps past the end
    of a sequence are NaN, and have no influence on anything.

    Parameters
    ----------
    layers : sequence of layers, default=None
        The hidden layers, such as ``[LSTM(64, bidirectional=True), Dense(30)]``. None means ``[LSTM(100)]``.
    per_step : bool, default=False
        Whether each step has a class. y is then an array of shape (n_samples, n_steps), or a list of one array of
        labels for each sequence.
    input_shape : tuple of int, default=None
        Steps and channels of a row, (n_steps, n_channels). None takes them from the X of the fit; give them if later
        sequences may have more steps. Flat rows are sequences of one channel.
    activation : str or Activation, default="tanh"
        Activation of simple recurrent and dense layers whose descriptions name none.
    output_activation : {"auto", "softmax", "sigmoid", "tanh", ...} or Activation, default="auto"
        Activation of the output units; see `FeedforwardClassifier`.
    loss : {"auto", "softmax_cross_entropy", "binary_cross_entropy", "squared_error", ...} or Loss, default="auto"
        "auto" means cross-entropy for a softmax output, else squared error.
    weight_decay : float, default=1e-4
        λ, the weight of the weight decay, at least 0.
    tangent_weight : float, default=0.0
        The weight of the penalty on changes of the outputs along the tangents that are given to `fit`, at least 0.
    penalties : sequence of Penalty, or a single one, default=()
        Further penalties that are added to J.
    {noise}
    {class_weight}
    {training}

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The class labels, sorted.
    {targets}
    n_outputs_ : int
        Number of output units; with `per_step`, of each step.
    input_shape_ : tuple of int
        Steps and channels of a row of the fit.
    {fitted}

    {warning}

    References
    ----------
    Graves, A. (2012). Supervised sequence labelling with recurrent neural networks. Springer.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import LSTM, RecurrentClassifier
    >>> draw = np.random.default_rng(0)
    >>> X = [draw.normal(size=(draw.integers(5, 12), 2)) for _ in range(200)]
    >>> y = [int(one[0, 0] > 0) for one in X]  # the first step decides
    >>> classifier = RecurrentClassifier(layers=[LSTM(8)], solver="lbfgs", max_iter=60, random_state=0, tol=0.01)
    >>> classifier.fit(X, y).score(X, y) > 0.95
    True
    """

    command_line_name: ClassVar[str | None] = "recurrent-classifier"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseClassifier._parameter_constraints,
        **PredictsFromSequences._constraints,
    }

    def __init__(
        self,
        *,
        layers: Sequence[LayerDescription | int] | None = None,
        per_step: bool = False,
        input_shape: Sequence[int] | None = None,
        activation: str | Activation = "tanh",
        output_activation: str | Activation = "auto",
        loss: str | Loss = "auto",
        weight_decay: float = 1e-4,
        tangent_weight: float = 0.0,
        penalties: Sequence[Penalty] | Penalty = (),
        corruption: str | Corruption | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
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

    @property
    def n_outputs_(self) -> int:
        """Number of output units; with `per_step`, of each step."""
        return self.network_.layers[-1].output_channels

    def predict(self, X: ArrayLike | RowSource) -> Any:
        """Return the predicted class of each sequence; with `per_step`, of each step.

        Parameters
        ----------
        X : array-like, list of arrays, or RowSource

        Returns
        -------
        array of shape (n_samples,)
            With `per_step`, an array of shape (n_samples, n_steps); or, if sequences end before the last step, a list
            of one array for each sequence.
        """
        check_is_fitted(self)
        rows = self._validate_for_use(X)
        labels, n_steps = self.predict_rows(rows), self.network_.layers[-1].n_padded_steps
        if n_steps is None:
            return labels
        lengths = lengths_of_rows(rows, n_steps)
        if lengths.min() == n_steps:
            return labels
        return [row[:length] for row, length in zip(labels, lengths, strict=True)]

    def predict_proba(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return the probability of each class for each sequence or, with `per_step`, for each step.

        Parameters
        ----------
        X : array-like, list of arrays, or RowSource

        Returns
        -------
        array of shape (n_samples, n_classes)
            With `per_step`, of shape (n_samples, n_steps, n_classes), and NaN past the end of a sequence.
        """
        check_is_fitted(self)
        n_steps = self.network_.layers[-1].n_padded_steps
        if n_steps is None:
            return super().predict_proba(X)
        rows = self._validate_for_use(X)
        outputs = self._forward(rows, 0, self.network_.n_layers).reshape(rows.shape[0], n_steps, -1)
        return self._as_probabilities(outputs)

    def score(self, X: ArrayLike | RowSource, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the fraction of sequences, or with `per_step` of steps, that are classified correctly.

        Parameters
        ----------
        X : array-like, list of arrays, or RowSource
        y : array-like of shape (n_samples,)
            With `per_step`, labels of steps as in `fit`.
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
        labels, exists = labels_of_steps(y, rows, n_steps)
        counted = exists if weights is None else exists * weights[:, None]
        return float(np.average(self.predict_rows(rows) == labels, weights=counted))

    def _class_numbers(self, X: FloatArray | RowSource) -> NDArray[np.intp]:
        n_steps = self.network_.layers[-1].n_padded_steps
        if n_steps is None:
            return super()._class_numbers(X)
        numbers = np.empty((X.shape[0], n_steps), np.intp)
        for rows, outputs in self.forward_pass(X, 0, self.network_.n_layers).in_order():
            numbers[rows] = np.nan_to_num(outputs).reshape(len(outputs), n_steps, -1).argmax(axis=2)
        return numbers

    def _check_labelled(
        self, X: ArrayLike | RowSource, y: ArrayLike
    ) -> tuple[FloatArray | RowSource, NDArray[np.generic]]:
        if not self.per_step:
            check_entries_of_rows(y, 1, "one label")
            return super()._check_labelled(X, y)
        rows, _ = self._check_rows_and_targets(X, np.zeros(_num_samples(X)))
        labels, _ = labels_of_steps(y, rows, self._shape_of_rows(rows.shape[1])[0])
        return rows, labels

    def _make_classifier_problem(
        self,
        X: FloatArray | RowSource,
        labels: NDArray[np.generic],
        classes: NDArray[np.generic],
        weights: FloatArray | None,
        tangents: FloatArray | None,
        continues: bool,
    ) -> Problem:
        if not self.per_step:
            return super()._make_classifier_problem(X, labels, classes, weights, tangents, continues)
        output = self._output()
        low, high = target_range(output)
        targets = np.full((*labels.shape, len(classes)), low, X.dtype)
        np.put_along_axis(targets, np.searchsorted(classes, labels)[:, :, None], high, axis=2)
        loss = self._choose_loss(output)
        return self._make_supervised_problem(
            X, targets.reshape(len(targets), -1), output, loss, weights, tangents, continues
        )
