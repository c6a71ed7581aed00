"""Evaluation of a fitted model on rows, block by block: reconstructions, the sparsity of its code, and the cost J."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from rhohat.data import RowSource
from rhohat.data.sequences import existing_steps
from rhohat.estimators.sequences import labels_of_steps, targets_of_steps
from rhohat.estimators.target_scaling import r_squared
from rhohat.estimators.targets import check_labels
from rhohat.fitting.forward import check_activations
from rhohat.inspection.dictionary_evaluation import evaluate_dictionary
from rhohat.inspection.evaluated import Evaluation
from rhohat.inspection.metrics import ActivationStatistics, ReconstructionStatistics, default_threshold, kl_to_target
from rhohat.inspection.metrics.predictions import (
    class_precisions,
    class_recalls,
    confusion_counts,
    mean_absolute_error,
    root_mean_squared_error,
)
from rhohat.inspection.sequences import steps_of_code
from rhohat.models.explaining import is_detector
from rhohat.models.pipelines import estimator_of, open_model_rows, prepare_rows, prepared_block, preprocessing_of
from rhohat.models.scoring import score_rows

__all__ = ["evaluate"]


def evaluate(
    model: Any, data: Any, y: ArrayLike | None = None, *, threshold: float | None = None, cost: bool = True
) -> Evaluation:
    """Evaluate a fitted model on rows.

    Parameters
    ----------
    model : estimator or Pipeline
        A fitted estimator of rhohat, network or dictionary, or a fitted pipeline of preprocessing that ends in one.
    data : array-like, path or row source, of shape (n_samples, n_features)
        Rows in the form that the model was fitted to, before its preprocessing: anything that `rhohat.open_rows`
        opens, or a list of sequences. They are read block by block. A row source that is passed in stays open.
    y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
        Targets, for the score and the cost of an estimator that learns from targets; other estimators ignore them. If
        the columns have names, and had names in the fit, they are put in the order of the fit.
    threshold : float, default=None
        A unit is active on a row if its activation is above this number. If None, the threshold is the value that
        `default_threshold` in `rhohat.inspection.metrics` returns; for a dictionary it is 0.
    cost : bool, default=True
        Whether J is evaluated too; an estimator that learns from targets needs y for it. This reads all rows again, up
        to three times. A dictionary has no J beside its training.

    Returns
    -------
    Evaluation, or DictionaryEvaluation for a dictionary
        All values refer to the rows that the network sees: after preprocessing, and without corruption. (The only
        exception is J of an autoencoder with a corruption, which refers to corrupted rows: see its `objective`.) The
        code of an estimator that learns from targets is its last hidden layer, or its output if it has no hidden layer.
        If the code has steps, all figures about units count the steps that exist in place of rows; so do those about
        the reconstructions of sequences, with channels in place of features.

    Raises
    ------
    ValueError
        If the model is neither an estimator of rhohat nor a pipeline that ends in one; if the columns of the rows
        differ from the columns in the fit, or the rows are not finite; if the length of y differs from the number of
        rows, or the names of its columns differ from the names in the fit; if none of the labels is a class of the
        model; or if the threshold is not finite.
    NotFittedError
        If the model is not fitted.

    Warns
    -----
    UserWarning
        If some labels are not classes of the model. These rows count as wrongly classified, and J is None.

    Notes
    -----
    Codes of a dictionary stay sparse. The rows of its decoder are compared with one another; the time for this grows
    with the square of the number of latents.

    Examples
    --------
    >>> from rhohat import SparseAutoencoder
    >>> X = np.random.default_rng(0).random((200, 16))
    >>> model = SparseAutoencoder(n_components=8, sparsity=0.1, max_iter=20, tol=1e-1, random_state=0).fit(X)
    >>> evaluation = evaluate(model, X)
    >>> round(evaluation.explained_variance - model.score(X), 6) + 0
    0.0
    """
    estimator = estimator_of(model)
    for step in [*preprocessing_of(model), estimator]:
        check_is_fitted(step)
    with ExitStack() as opened:
        rows = prepare_rows(model, _opened(model, data, opened))
        if estimator.has_sparse_codes:
            found: Evaluation = evaluate_dictionary(estimator, rows, threshold)
        else:
            found = _evaluate_network(estimator, rows, y, threshold, cost=cost)
        if not is_detector(model):
            return found
        source = _opened(model, data, opened)
        return replace(found, outlier_fraction=float(score_rows(model, source, 1).is_outlier.mean()))


def _evaluate_network(
    estimator: Any, rows: RowSource, y: ArrayLike | None, threshold: float | None, *, cost: bool
) -> Evaluation:
    activation = estimator.network_.activations[estimator.code_layer_ - 1]
    activations = ActivationStatistics(default_threshold(activation) if threshold is None else threshold)
    reconstructions = ReconstructionStatistics()
    learns_from_rows, per_step = estimator.reconstructs, bool(getattr(estimator, "per_step", False))
    targets = None if y is None or learns_from_rows else _check_targets(estimator, y, rows)
    if targets is not None and is_classifier(estimator):
        check_labels(targets.ravel(), estimator.classes_)
    predictions, first, n_steps = [], 0, estimator.network_.n_steps_of_rows
    probabilities: list[NDArray[Any]] = []
    for block in rows.blocks(rows.rows_at_once):
        check_activations(estimator.network_, block, 0, rows.name, first, rows.feature_names)
        first += len(block)
        given = prepared_block(block)
        codes = estimator.codes(given)
        activations.update(existing_steps(codes, steps_of_code(estimator)))
        if learns_from_rows:
            both = block, estimator.decode(codes, block)
            reconstructions.update(*(existing_steps(one, n_steps, block) for one in both))
        elif targets is not None and not per_step:
            predictions.append(estimator.predict_rows(given))
            if is_classifier(estimator) and len(estimator.classes_) == 2:
                probabilities.append(estimator.predict_proba(given)[:, 1])
    value, terms = _cost(estimator, rows, targets) if cost else (None, {})
    score = None if targets is None else _score(estimator, rows, targets, predictions)
    sparsity, means = estimator.sparsity_target_, activations.mean_activation
    return Evaluation(
        n_samples=len(rows),
        n_features=rows.shape[1],
        n_units=len(means),
        threshold=activations.threshold,
        explained_variance=reconstructions.explained_variance if learns_from_rows else None,
        mean_squared_error=reconstructions.mean_squared_error if learns_from_rows else None,
        l0=activations.l0,
        dead_fraction=activations.dead_fraction,
        constant_fraction=activations.constant_fraction,
        activation_frequency=activations.activation_frequency,
        mean_activation=means,
        largest_activation=activations.largest_activation,
        kl_to_target=None if sparsity is None else kl_to_target(means, sparsity, activation.bounds),
        sparsity=sparsity,
        cost=value,
        terms=terms,
        units_are_outputs=estimator.code_layer_ == estimator.network_.n_layers,
        score=score,
        score_name=None if targets is None else "accuracy" if is_classifier(estimator) else "R²",
        **({} if targets is None or per_step else _results(estimator, targets, predictions, probabilities)),
    )


def _results(
    estimator: Any, targets: NDArray[Any], predictions: list[NDArray[Any]], probabilities: list[NDArray[Any]]
) -> dict[str, Any]:
    """Return the figures of an `Evaluation` that are about predictions for blocks of rows."""
    predicted = np.concatenate(predictions)
    if not is_classifier(estimator):
        return {
            "mean_absolute_error": mean_absolute_error(targets, predicted),
            "root_mean_squared_error": root_mean_squared_error(targets, predicted),
        }
    classes, counts = np.unique(targets, return_counts=True)
    return {
        "recalls": class_recalls(targets.ravel(), predicted.ravel()),
        "precisions": class_precisions(targets.ravel(), predicted.ravel()),
        "classes": [str(name) for name in estimator.classes_],
        "confusion": confusion_counts(targets.ravel(), predicted.ravel(), estimator.classes_),
        "roc_auc": _roc_auc(targets.ravel(), probabilities, estimator.classes_) if probabilities else None,
        "largest_class": str(classes[counts.argmax()]),
        "largest_share": float(counts.max() / counts.sum()),
    }


def _roc_auc(targets: NDArray[Any], probabilities: list[NDArray[Any]], classes: NDArray[Any]) -> float | None:
    """Return the area under the ROC curve, given the probability of the second class; None without both classes."""
    from sklearn.metrics import roc_auc_score  # it loads packages that `import rhohat` does not need

    known = np.isin(targets, classes)
    if len(np.unique(targets[known])) < 2:
        return None
    return float(roc_auc_score(targets[known] == classes[1], np.concatenate(probabilities)[known]))


def _opened(model: Any, data: Any, stack: ExitStack) -> RowSource:
    """Return a row source of the data, which the stack closes unless it was opened before."""
    source = open_model_rows(model, data)
    return source if source is data else stack.enter_context(source)


def _check_targets(estimator: Any, y: ArrayLike | RowSource, rows: RowSource) -> NDArray[Any]:
    """Return targets as an array; raise ValueError unless y is in memory and has an entry for every row or step."""
    y, n_samples = estimator.targets_in_order(y), len(rows)
    if getattr(estimator, "per_step", False):
        n_steps = estimator.input_shape_[0]
        return labels_of_steps(y, rows, n_steps)[0] if is_classifier(estimator) else targets_of_steps(y, rows, n_steps)
    if isinstance(y, RowSource):
        raise ValueError(
            f"y must be an array in memory; got the row source {y.name}. Pass y.read(0, len(y)), or one column of that"
            " array."
        )
    with np.errstate(invalid="ignore"):  # scikit-learn checks for finite numbers with a sum
        targets: NDArray[Any] = check_array(y, dtype=None, ensure_2d=False, input_name="y")
    if len(targets) != n_samples:
        raise ValueError(f"y must have one entry for each of the {n_samples} rows; got {len(targets)}.")
    return targets


def _cost(estimator: Any, rows: RowSource, targets: NDArray[Any] | None) -> tuple[float | None, dict[str, float]]:
    """Return the cost J and its terms; None and an empty dict if J cannot be evaluated."""
    if estimator.reconstructs:
        return estimator.cost(rows)
    unknown = is_classifier(estimator) and targets is not None and not np.isin(targets, estimator.classes_).all()
    if targets is None or unknown or estimator.needs_tangents:
        return None, {}
    value, terms = estimator.cost(rows, targets)
    return value, terms


def _score(estimator: Any, rows: RowSource, targets: NDArray[Any], predictions: list[NDArray[Any]]) -> float:
    """Return the accuracy of a classifier, or the R² of a regressor, from the predictions for blocks of rows.

    Predictions of steps are computed here, as not all steps count.
    """
    if getattr(estimator, "per_step", False):
        return float(estimator.score(rows, targets))
    if not is_classifier(estimator):
        return r_squared(targets, np.concatenate(predictions))
    from sklearn.metrics import accuracy_score  # it loads packages that `import rhohat` does not need

    return float(accuracy_score(targets, np.concatenate(predictions)))
