"""Evaluation of a fitted model on rows, block by block: reconstructions, the sparsity of its code, and the cost J."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray, in_safe_units
from rhohat.common.words import counted
from rhohat.data import RowSource, open_rows
from rhohat.data.sequences import existing_steps
from rhohat.estimators.autoencoder import BaseAutoencoder
from rhohat.estimators.base import BaseNetwork
from rhohat.estimators.sequences import labels_of_steps, targets_of_steps
from rhohat.estimators.target_scaling import r_squared
from rhohat.estimators.targets import check_labels
from rhohat.fitting.forward import check_activations
from rhohat.inspection.metrics import ActivationStatistics, ReconstructionStatistics, default_threshold, kl_to_target
from rhohat.inspection.sequences import steps_of_code
from rhohat.models.pipelines import (
    estimator_of,
    open_model_rows,
    prepare_rows,
    preprocessing_of,
)

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The results of `evaluate`, which `print` shows as a table.

    Attributes
    ----------
    n_samples, n_features, n_units : int
        Number of rows; number of input features of the network, after preprocessing; number of units of the code, or of
        the last hidden layer.
    threshold : float
        Activation above which a unit counts as active.
    explained_variance : float or None
        1 − Σ (x − x̂)² / Σ (x − x̄)², with x̄ the column means; None for a model that does not reconstruct rows.
    mean_squared_error : float or None
        Mean over samples and over features of (x − x̂)²; None for a model that does not reconstruct rows.
    l0 : float
        Number of units active on a row, averaged over rows.
    dead_fraction : float
        Fraction of the units that are active on no row.
    constant_fraction : float
        Fraction of the units that give the same activation for every row: see `constant_fraction` in
        `rhohat.inspection.metrics`.
    activation_frequency : array of shape (n_units,)
        Fraction of the rows on which each unit is active.
    mean_activation : array of shape (n_units,)
        ρ̂, the mean activation of each unit over rows.
    largest_activation : array of shape (n_units,)
        Largest activation of each unit over rows.
    kl_to_target : float or None
        Σ_j KL(ρ ‖ ρ̂_j); None if the model has no target ρ, or its units are unbounded.
    sparsity : float or None
        Target ρ of the mean activations; None if the model has none.
    cost : float or None
        J. None if `evaluate` was called with ``cost=False``. For an estimator that learns from targets, also None if
        there are no targets, if some labels are not classes of the fit, or if J needs tangents.
    terms : dict of str to float
        The named parts of J, which add up to `cost`; empty if `cost` is None.
    score : float or None
        Accuracy of a classifier, or R² of a regressor, averaged over targets; None if there are no targets, and for an
        autoencoder.
    score_name : str or None
        "accuracy" or "R²"; None if `score` is None.
    """

    n_samples: int
    n_features: int
    n_units: int
    threshold: float
    explained_variance: float | None
    mean_squared_error: float | None
    l0: float
    dead_fraction: float
    constant_fraction: float
    activation_frequency: FloatArray
    mean_activation: FloatArray
    largest_activation: FloatArray
    kl_to_target: float | None
    sparsity: float | None
    cost: float | None
    terms: dict[str, float]
    score: float | None
    score_name: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return all attributes by name, in types that JSON can hold: arrays become lists."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}

    def __str__(self) -> str:
        lines = [
            ("rows", f"{self.n_samples} with {counted(self.n_features, 'feature')}"),
            ("units", f"{self.n_units}"),
            ("explained variance", _number(self.explained_variance)),
            ("mean squared error", _number(self.mean_squared_error)),
            (f"units above {self.threshold:.3g}, per row", _number(self.l0)),
            (f"units never above {self.threshold:.3g}", f"{self.dead_fraction:.1%}"),
            ("units that do not vary", f"{self.constant_fraction:.1%}"),
            ("mean activation", f"{_mean(self.mean_activation):.4g}"),
        ]
        if self.sparsity is not None:
            lines.append((f"KL to {self.sparsity:g}, all units", _number(self.kl_to_target)))
        lines += [("J", _number(self.cost)), *((f"  {name}", _number(value)) for name, value in self.terms.items())]
        lines.append((self.score_name or "score", _number(self.score)))
        shown = [(name, value) for name, value in lines if value]
        width = max(len(name) for name, _ in shown)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in shown)


def evaluate(
    model: Any, data: Any, y: ArrayLike | None = None, *, threshold: float | None = None, cost: bool = True
) -> Evaluation:
    """Evaluate a fitted model on rows.

    Parameters
    ----------
    model : estimator or Pipeline
        A fitted estimator of rhohat, or a fitted pipeline of preprocessing that ends in such an estimator.
    data : array-like, path or row source, of shape (n_samples, n_features)
        Rows in the form that the model was fitted to, before its preprocessing: anything that `rhohat.open_rows`
        opens, or a list of sequences. They are read block by block. A row source that is passed in stays open.
    y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
        Targets, for the score and the cost of an estimator that learns from targets; other estimators ignore them. If
        the columns have names, and had names in the fit, they are put in the order of the fit.
    threshold : float, default=None
        A unit is active on a row if its activation is above this number. If None, the threshold is the value that
        `default_threshold` in `rhohat.inspection.metrics` returns.
    cost : bool, default=True
        Whether J is evaluated too; an estimator that learns from targets needs y for it. This reads all rows again, up
        to three times.

    Returns
    -------
    Evaluation
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
    activation = estimator.network_.activations[estimator.code_layer_ - 1]
    activations = ActivationStatistics(default_threshold(activation) if threshold is None else threshold)
    reconstructions = ReconstructionStatistics()
    learns_from_rows, per_step = isinstance(estimator, BaseAutoencoder), bool(getattr(estimator, "per_step", False))
    with ExitStack() as opened:
        rows = prepare_rows(model, _opened(model, data, opened))
        targets = None if y is None or learns_from_rows else _check_targets(estimator, y, rows)
        if targets is not None and is_classifier(estimator):
            check_labels(targets.ravel(), estimator.classes_)
        predictions, first, n_steps = [], 0, estimator.network_.n_steps_of_rows
        for block in rows.blocks(rows.rows_at_once):
            stop = first + len(block)
            check_activations(estimator.network_, block, 0, rows.name, first, f", in rows {first} to {stop}")
            first = stop
            given = open_rows(block)  # scikit-learn would warn that an array has no column names
            codes = estimator.codes(given)
            activations.update(existing_steps(codes, steps_of_code(estimator)))
            if learns_from_rows:
                both = block, estimator.inverse_transform(codes)
                reconstructions.update(*(existing_steps(one, n_steps, block) for one in both))
            elif targets is not None and not per_step:
                predictions.append(estimator.predict_rows(given))
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
        score=score,
        score_name=None if targets is None else "accuracy" if is_classifier(estimator) else "R²",
    )


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


def _cost(
    estimator: BaseNetwork, rows: RowSource, targets: NDArray[Any] | None
) -> tuple[float | None, dict[str, float]]:
    """Return the cost J and its terms; None and an empty dict if J cannot be evaluated."""
    if isinstance(estimator, BaseAutoencoder):
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


def _mean(values: FloatArray) -> float:
    numbers, unit = in_safe_units(values)
    return float(numbers.mean()) * unit


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
