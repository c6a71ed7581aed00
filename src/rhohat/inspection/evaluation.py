"""A fitted model on rows, in one pass: how well it reconstructs them, how sparse its code is, what it costs."""

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
from rhohat.estimators.autoencoder import BaseAutoencoder
from rhohat.estimators.base import BaseNetwork
from rhohat.estimators.target_scaling import r_squared
from rhohat.estimators.targets import check_labels
from rhohat.inspection.metrics import ActivationStatistics, ReconstructionStatistics, default_threshold, kl_to_target
from rhohat.models.pipelines import (
    estimator_of,
    open_model_rows,
    prepare_rows,
    preprocessing_of,
)

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` finds out. `print` shows it as a table.

    Attributes
    ----------
    n_samples, n_features, n_units : int
        Rows; columns as the network sees them; units of the code, or of the last hidden layer.
    threshold : float
        Above which a unit counts as active.
    explained_variance : float or None
        1 − Σ (x − x̂)² / Σ (x − x̄)², about the column means; None for what does not reconstruct, here and below.
    mean_squared_error : float or None
        Mean over samples and over features.
    l0 : float
        Units active on a row, mean over rows.
    dead_fraction : float
        Fraction of the units that are active on no row.
    constant_fraction : float
        Fraction of the units that give the same activation for every row, as `constant_fraction` of
        `rhohat.inspection.metrics` has it.
    activation_frequency : array of shape (n_units,)
        Fraction of the rows on which each unit is active.
    mean_activation : array of shape (n_units,)
        ρ̂.
    largest_activation : array of shape (n_units,)
    kl_to_target : float or None
        Σ_j KL(ρ ‖ ρ̂_j); None where no ρ is aimed at, or the units are unbounded.
    sparsity : float or None
        ρ.
    cost : float or None
        J; None where it was left out, and for what learns from targets: without any, with classes that the fit did not
        have, and where J needs tangents.
    terms : dict of str to float
        The named parts of J, which add up to it; empty where it is None.
    score : float or None
        Of what learns from targets: accuracy of a classifier, R² of a regressor, averaged over targets; None without
        targets.
    score_name : str or None
        "accuracy" or "R²"; None without a score.
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
        """Return all of it by name, as JSON holds it: arrays become lists."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}

    def __str__(self) -> str:
        lines = [
            ("rows", f"{self.n_samples} of {counted(self.n_features, 'feature')}"),
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
        One of rhohat's estimators, or a pipeline of preprocessing that ends in one; fitted.
    data : array-like, path or row source, of shape (n_samples, n_features)
        Whatever `rhohat.open_rows` opens: rows as the model was fitted to them, before its preprocessing. They are
        read block by block. A row source stays open.
    y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
        Targets, for score and cost of an estimator that learns from them; others ignore it. Where the columns have
        names, and had names in the fit, they are put in the order of the fit.
    threshold : float, default=None
        A unit is active on a row where its activation is above this. None means what `default_threshold` of
        `rhohat.inspection.metrics` says.
    cost : bool, default=True
        Whether J is evaluated too, for which what learns from targets needs y. That reads all rows again, up to three
        times.

    Returns
    -------
    Evaluation
        Everything in it is about rows as the network sees them: after preprocessing, and without corruption. (Only J
        of an autoencoder with a corruption is of corrupted rows, see its `objective`.) The code of an estimator that
        learns from targets is its last hidden layer, or the output where it has none.

    Raises
    ------
    ValueError
        If the model is no such one; the rows have other columns than those of the fit, or are not finite; y has
        another length, or columns of other names than those of the fit; none of the labels is a class of the model; or
        the threshold is not finite.
    NotFittedError
        If the model is not fitted.

    Warns
    -----
    UserWarning
        If some labels are no class of the model, and count as wrong; J is None then.

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
    threshold = default_threshold(activation) if threshold is None else threshold
    activations, reconstructions = ActivationStatistics(threshold), ReconstructionStatistics()
    learns_from_rows = isinstance(estimator, BaseAutoencoder)
    with ExitStack() as opened:
        source = open_model_rows(model, data)
        if source is not data:
            opened.enter_context(source)
        rows = prepare_rows(model, source)
        targets = None if y is None or learns_from_rows else _check_targets(estimator.targets_in_order(y), len(rows))
        if targets is not None and is_classifier(estimator):
            check_labels(targets, estimator.classes_)
        predictions = []
        for block in rows.blocks(rows.rows_at_once):
            if not np.isfinite(block).all():
                first = activations.n_samples
                raise ValueError(f"{rows.name} contains NaN or infinity, in rows {first} to {first + len(block)}.")
            given = open_rows(block)  # unlike an array, it is not asked for the names of its columns
            codes = estimator.codes(given)
            activations.update(codes)
            if learns_from_rows:
                reconstructions.update(block, estimator.inverse_transform(codes))
            elif targets is not None:
                predictions.append(estimator.predict_rows(given))
        value, terms = _cost(estimator, rows, targets) if cost else (None, {})
    sparsity = estimator.sparsity_target_
    means = activations.mean_activation
    return Evaluation(
        n_samples=activations.n_samples,
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
        score=None if targets is None else _score(estimator, targets, np.concatenate(predictions)),
        score_name=None if targets is None else "accuracy" if is_classifier(estimator) else "R²",
    )


def _check_targets(y: ArrayLike | RowSource, n_samples: int) -> NDArray[Any]:
    """Return targets as an array, or raise ValueError where there is not one for each row."""
    if isinstance(y, RowSource):
        raise ValueError(f"y must be an array in memory; got {y.name}: pass y.read(0, len(y)), or a column of it.")
    with np.errstate(invalid="ignore"):  # of the sum by which scikit-learn sees that numbers are finite
        targets: NDArray[Any] = check_array(y, dtype=None, ensure_2d=False, input_name="y")
    if len(targets) != n_samples:
        raise ValueError(f"y must have an entry for every row, {n_samples} of them; got {len(targets)}.")
    return targets


def _cost(
    estimator: BaseNetwork, rows: RowSource, targets: NDArray[Any] | None
) -> tuple[float | None, dict[str, float]]:
    """Return J and its terms; None and nothing where it is not to be had."""
    if isinstance(estimator, BaseAutoencoder):
        return estimator.cost(rows)
    unknown = is_classifier(estimator) and targets is not None and not np.isin(targets, estimator.classes_).all()
    if targets is None or unknown or estimator.needs_tangents:
        return None, {}
    value, terms = estimator.cost(rows, targets)
    return value, terms


def _score(estimator: BaseNetwork, targets: NDArray[Any], predictions: NDArray[Any]) -> float:
    """Return accuracy or R²."""
    if not is_classifier(estimator):
        return r_squared(targets, predictions)
    from sklearn.metrics import accuracy_score  # loads packages that `import rhohat` does without

    return float(accuracy_score(targets, predictions))


def _mean(values: FloatArray) -> float:
    numbers, unit = in_safe_units(values)
    return float(numbers.mean()) * unit


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
