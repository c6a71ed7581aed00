"""The base class of all classifiers: a network of any depth, with softmax or other output units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.common.words import counted
from rhohat.data import RowSource
from rhohat.data.rows import OneHotRows
from rhohat.estimators.availability import available_where, works_in_mini_batches
from rhohat.estimators.checks import check_class_labels, warn_unless_converged
from rhohat.estimators.class_weights import numbers_of_classes, weights_by_class
from rhohat.estimators.feedforward import BaseFeedforward
from rhohat.estimators.model_parts import ModelReader, ModelWriter
from rhohat.estimators.named_parts import NamedPart
from rhohat.estimators.sample_weights import check_sample_weight
from rhohat.estimators.targets import check_labels
from rhohat.layers.activations import Activation, as_activation
from rhohat.objective import Problem
from rhohat.solvers import SolverResult, as_solver
from rhohat.terms.losses import Loss, as_loss

__all__ = ["BaseClassifier", "target_range"]


class BaseClassifier(ClassifierMixin, BaseFeedforward):
    """Base class of all classifiers: a network that maps rows to classes.

    A subclass defines the constructor. Parameters that a subclass does not have keep the values of this class.
    """

    output_activation: str | Activation = "auto"
    loss: str | Loss = "auto"
    class_weight: Mapping[Any, float] | str | None = None
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseFeedforward._parameter_constraints,
        "class_weight": [dict, NamedPart({"balanced"}), None],
    }

    classes_: NDArray[np.generic]

    _keys_of_learned: ClassVar[tuple[str, ...]] = (*BaseFeedforward._keys_of_learned, "classes")

    def _describe_learned(self, file: ModelWriter, prefix: str) -> dict[str, Any]:
        classes = {"classes": file.labels(self.classes_, f"{prefix}classes_")}
        return super()._describe_learned(file, prefix) | classes

    def _restore_learned(self, file: ModelReader, described: dict[str, Any], prefix: str) -> None:
        super()._restore_learned(file, described, prefix)
        classes, n_classes = file.get(described, "classes", dict), max(self.n_outputs_, 2)
        self.classes_ = file.labels(classes, f"{prefix}classes_", n_classes)

    def _n_targets(self) -> int:
        return 1

    def fit(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        tangents: ArrayLike | None = None,
    ) -> Self:
        """Learn the weights from rows and their classes.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Class labels: integers, strings or booleans.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row: how often the row counts; not negative. A row of weight 0 has no effect, but its numbers
            must be finite. A class that occurs only in rows of weight 0 is not learned.
        tangents : array-like of shape (n_samples, n_tangents, n_features), default=None
            Directions in which the outputs should not change, used with `tangent_weight`; see `rhohat.image_tangents`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of its range; X is not a dense two-dimensional array of finite numbers; y has the
            wrong length, is not a vector of class labels or has only one class; weights or tangents have the wrong
            shape; y, weights or tangents are a row source; or `warm_start` finds a fit with other classes or with
            parameters of other shapes.
        """
        self._validate_params()
        X = self._open(X, held=True)
        continues = self._continues()
        y = self.targets_in_order(y) if continues else y
        rows, labels = self._check_labelled(X, y)
        weights = weights_by_class(self.class_weight, labels, sample_weight)
        rows, labels, weights, directions = self._weigh_with_tangents(rows, labels, weights, tangents)
        classes = np.unique(labels)
        if len(classes) < 2:
            which = (
                "" if sample_weight is None and self.class_weight is None else " among the rows with a weight above 0"
            )
            raise ValueError(
                f"y must have at least two classes{which}, but has only one class, {classes[0]!r}, from which a"
                " classifier cannot learn anything."
            )
        if continues and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start=True continues a classifier with the classes {self.classes_}, but y has the classes"
                f" {classes}; set warm_start=False to fit anew."
            )
        self._look_through(X, fitted=continues)
        problem = self._make_classifier_problem(rows, labels, classes, weights, directions, continues)
        also = {"classes_": classes, "target_names_": self._names_of_targets(y, X, fitted=continues)}
        self._train_classifier(problem, X, labels, continues, also)
        if not self._is_part:
            parts = [("", self)] if continues else self.fitted_parts()
            warn_unless_converged(parts, network=self.network_, rows=rows)
        return self

    @available_where(works_in_mini_batches)
    def partial_fit(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        tangents: ArrayLike | None = None,
    ) -> Self:
        """Train for one more epoch on rows and their classes; available with solvers that work in mini-batches.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever occur; required in the first call, unless y contains all of them.
        sample_weight : array-like of shape (n_samples,), default=None
        tangents : array-like of shape (n_samples, n_tangents, n_features), default=None

        Returns
        -------
        self

        Raises
        ------
        ValueError
            In the same cases as `fit`; or if y has a class that was not among the classes of the first call.
        """
        self._validate_params()
        X = self._open(X)
        begun = hasattr(self, "coefs_")
        y = self.targets_in_order(y) if begun else y
        rows, labels = self._check_labelled(X, y)
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' cannot be used with partial_fit, because the frequencies of the classes are"
                " not known from some of the rows; set class_weight to a dict of weights."
            )
        weights = weights_by_class(self.class_weight, labels, sample_weight)
        rows, labels, weights, directions = self._weigh_with_tangents(rows, labels, weights, tangents)
        known = self.classes_ if begun else np.unique(labels if classes is None else np.asarray(classes))
        if begun and classes is not None and not np.array_equal(np.unique(np.asarray(classes)), known):
            raise ValueError(f"classes must be the same as in the first call, {known}; got {classes!r}.")
        unknown = np.setdiff1d(labels, known)
        if len(unknown):
            raise ValueError(
                f"y has the classes {unknown}, which are not among the known classes {known}; pass all classes to the"
                " first call of partial_fit, with classes=[...]."
            )
        if len(known) < 2:
            raise ValueError(
                f"partial_fit got only one class, {known[0]!r}; pass all classes to the first call, with classes=[...]."
            )
        self._look_through(X, fitted=begun)
        self._train_an_epoch(self._make_classifier_problem(rows, labels, known, weights, directions, begun), X)
        self.classes_, self.target_names_ = known, self._names_of_targets(y, X, fitted=begun)
        return self

    def predict(self, X: ArrayLike | RowSource) -> NDArray[np.generic]:
        """Return the predicted class of each row, which is the class of its most active output unit.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,)
        """
        check_is_fitted(self)
        return self.predict_rows(self._validate_for_use(X))

    def predict_proba(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return the probability of each class for each row.

        Softmax outputs are probabilities. The outputs of other activations are mapped from their range to [0, 1] and
        divided by their sum; a single output unit gives the probability of the second class.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
        """
        check_is_fitted(self)
        outputs = self._forward(self._validate_for_use(X), 0, self.network_.n_layers)
        return self._as_probabilities(outputs)

    def _as_probabilities(self, outputs: FloatArray) -> FloatArray:
        """Return the probabilities of classes, on the last axis, from outputs."""
        if self.network_.activations[-1].name == "softmax":
            return outputs
        low, high = target_range(self.network_.activations[-1])
        outputs = np.clip((outputs - low) / (high - low), 0, 1)
        if outputs.shape[-1] == 1:
            return np.concatenate([1 - outputs, outputs], axis=-1)
        total = outputs.sum(axis=-1, keepdims=True)
        return np.where(total > 0, outputs / np.where(total > 0, total, 1), 1 / outputs.shape[-1]).astype(outputs.dtype)

    def predict_log_proba(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return the logarithms of the probabilities that `predict_proba` returns.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def score(self, X: ArrayLike | RowSource, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the fraction of rows that are classified correctly.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If the labels in y are strings and the classes are numbers, or the reverse.

        Warns
        -----
        UserWarning
            If labels in y are not among the classes of the fit; they count as wrong.
        """
        check_is_fitted(self)
        y, weights = self.targets_in_order(y), check_sample_weight(sample_weight, X, np.float64)
        labels = column_or_1d(y)
        check_labels(labels if weights is None else labels[weights > 0], self.classes_, refuse_all_unknown=False)
        return float(super().score(X, y, weights))

    def predict_rows(self, X: FloatArray | RowSource) -> NDArray[np.generic]:
        """Return the predicted classes of rows that are validated already, as floats in the dtype of the arithmetic."""
        check_is_fitted(self)
        return self.classes_[self._class_numbers(X)]

    @classmethod
    def from_weights(
        cls,
        coefs: Sequence[ArrayLike],
        intercepts: Sequence[ArrayLike],
        *,
        classes: ArrayLike | None = None,
        activation_parameters: Sequence[ArrayLike | None] | None = None,
        **parameters: Any,
    ) -> Self:
        """Return a fitted classifier with given weights, for example from another program or a paper.

        Parameters
        ----------
        coefs, intercepts
            See `SparseAutoencoder.from_weights`.
        classes : array-like of shape (n_classes,), default=None
            Class labels, sorted, in the order of the output units. None means the integers 0, 1, 2 and so on.
        activation_parameters, **parameters
            See `SparseAutoencoder.from_weights`; the output activation is chosen as in a fit.

        Returns
        -------
        fitted classifier

        Raises
        ------
        ValueError
            In the same cases as `SparseAutoencoder.from_weights`; if the classes are not sorted; or if their number
            does not match the number of output units.
        """
        classifier = super().from_weights(coefs, intercepts, activation_parameters=activation_parameters, **parameters)
        n_classes = max(classifier.n_outputs_, 2)
        labels = np.arange(n_classes) if classes is None else np.asarray(classes)
        if labels.shape != (n_classes,) or not np.array_equal(np.unique(labels), labels):
            raise ValueError(
                f"classes must be {n_classes} different labels, sorted, for {classifier.n_outputs_} output units; got"
                f" {classes!r}."
            )
        output = classifier.network_.activations[-1]
        if classifier.n_outputs_ != n_classes - _first_class(n_classes, output):
            raise ValueError(
                "a classifier of two classes must have two output units with the output activation 'softmax', and one"
                f" with any other; got {counted(classifier.n_outputs_, 'output unit')} with {output.name!r}."
            )
        classifier.classes_, classifier.target_names_ = labels, None
        return classifier

    def _class_numbers(self, X: FloatArray | RowSource) -> NDArray[np.intp]:
        """Return the index of the predicted class of each row; outputs are held in memory for some rows at a time."""
        middle = np.mean(target_range(self.network_.activations[-1]))
        numbers = np.empty(X.shape[0], np.intp)
        for rows, outputs in self.forward_pass(X, 0, self.network_.n_layers).in_order():
            numbers[rows] = outputs[:, 0] > middle if outputs.shape[1] == 1 else outputs.argmax(axis=1)
        return numbers

    def _train_classifier(
        self,
        problem: Problem,
        X: ArrayLike | RowSource,
        labels: NDArray[np.generic],
        continues: bool,
        also: dict[str, Any],
    ) -> SolverResult:
        """Train the network, and set the fitted attributes together with the attributes in `also`."""
        start = self._start(problem.network, self.theta_ if continues else None)
        return self._train(problem, X, start, continues=continues, also=also, classes=numbers_of_classes(labels))

    def _check_labelled(
        self, X: ArrayLike | RowSource, y: ArrayLike
    ) -> tuple[FloatArray | RowSource, NDArray[np.generic]]:
        rows, _ = self._check_rows_and_targets(X, y)
        labels = column_or_1d(y, warn=True)
        check_class_labels(labels)
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
        output = self._output()
        low, high = target_range(output)
        numbers = np.searchsorted(classes, labels)
        first = _first_class(len(classes), output)
        one_hot = OneHotRows(numbers - first, len(classes) - first, low=low, high=high, dtype=X.dtype)
        in_mini_batches = as_solver(self.solver).in_mini_batches
        by_blocks = isinstance(X, RowSource) or (self.memory_limit is not None and not in_mini_batches)
        targets = one_hot if by_blocks else one_hot.read(0, len(labels))
        loss = self._choose_loss(output)
        return self._make_supervised_problem(X, targets, output, loss, weights, tangents, continues)

    def _problem_of(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        tangents: ArrayLike | None,
        *,
        fitted: bool,
    ) -> Problem:
        rows, labels = self._check_labelled(self._open(X), self.targets_in_order(y) if fitted else y)
        self._look_through(rows, fitted=fitted)
        weights = weights_by_class(self.class_weight, labels, sample_weight)
        rows, labels, weights, directions = self._weigh_with_tangents(rows, labels, weights, tangents)
        classes = self.classes_ if fitted else np.unique(labels)
        unknown = np.setdiff1d(labels, classes)
        if len(unknown):
            raise ValueError(f"y has the classes {unknown}, which are not among the classes of the fit, {classes}.")
        problem = self._make_classifier_problem(rows, labels, classes, weights, directions, continues=False)
        return replace(problem, network=self.network_) if fitted else problem

    def _output(self) -> Activation:
        """Return the output activation; "auto" means the one that the loss contains, else softmax."""
        if self.output_activation != "auto":
            return as_activation(self.output_activation)
        return as_activation("softmax" if self.loss == "auto" else as_loss(self.loss).contains or "softmax")

    def _choose_loss(self, output: Activation) -> Loss:
        if self.loss != "auto":
            return as_loss(self.loss)
        return as_loss("softmax_cross_entropy" if output.name == "softmax" else "squared_error")


def _first_class(n_classes: int, output: Activation) -> int:
    """Return the index of the class of the first output unit: 1 if a single unit separates two classes, else 0."""
    return int(n_classes == 2 and output.name != "softmax")


def target_range(output: Activation) -> tuple[float, float]:
    """Return the target of an output unit for other classes and for its class: -1 and 1 for tanh, else 0 and 1."""
    return (-1.0, 1.0) if output.bounds == (-1.0, 1.0) else (0.0, 1.0)
