"""The results of an evaluation: figures of a network or of a dictionary on rows, printed as a table."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray, in_safe_units
from rhohat.common.words import counted
from rhohat.inspection.metrics import DensityHistogram

__all__ = ["DictionaryEvaluation", "Evaluation"]

_MOST_RECALLS = 20  # of more classes, the lowest ones are printed


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
        Fraction of the units that give about the same activation for every row: see `constant_fraction` in
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
    recalls : dict of str to float
        Of a classifier, the fraction of the rows of each class that it finds; their mean is `balanced_accuracy`. Empty
        without targets, and for labels of steps.
    precisions : dict of str to float or None
        Of a classifier, the fraction of the rows for which each class is predicted that are of this class; None for a
        class that is never predicted.
    classes : list of str
        Names of the classes that a classifier knows, in the order of its `classes_`; empty without targets.
    confusion : array of int, of shape (n_classes, n_classes), or None
        Numbers of rows by their class, line by line, and by the class that a classifier predicts for them, column by
        column; None without targets, and for labels of steps.
    roc_auc : float or None
        Of a classifier of two classes, the area under the ROC curve: the probability that a row of the second class has
        a higher probability of this class than a row of the first. None unless both classes are among the targets.
    largest_class, largest_share : str and float, or None
        The most frequent class in the targets, and its share: the accuracy of always predicting it.
    mean_absolute_error, root_mean_squared_error : array of shape (n_targets,), or None
        Of a regressor, in the units of the targets; None without targets, and for targets of steps.
    outlier_fraction : float or None
        Fraction of the rows that a detector takes for outliers; None for any other model. The other figures of a
        detector are those of its autoencoder.
    units_are_outputs : bool
        Whether the units are the outputs of the model, as in a softmax regression, which has no hidden units. Their
        figures are not printed then.
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
    recalls: dict[str, float] = field(default_factory=dict)
    precisions: dict[str, float | None] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    confusion: NDArray[np.intp] | None = None
    roc_auc: float | None = None
    largest_class: str | None = None
    largest_share: float | None = None
    mean_absolute_error: FloatArray | None = None
    root_mean_squared_error: FloatArray | None = None
    outlier_fraction: float | None = None
    units_are_outputs: bool = False

    @property
    def balanced_accuracy(self) -> float | None:
        """The mean of the recalls of all classes; None if there are none."""
        return float(np.mean(list(self.recalls.values()))) if self.recalls else None

    def to_dict(self) -> dict[str, Any]:
        """Return all attributes by name, in types that JSON can hold: arrays become lists."""
        return _plain(self)

    def __str__(self) -> str:
        shown = [(name, value) for name, value in self._lines() if value]
        width = max(len(name) for name, _ in shown)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in shown)

    def _lines(self) -> list[tuple[str, str]]:
        """Return the names and the values that are printed; empty values are left out."""
        return [
            ("rows", f"{self.n_samples} with {counted(self.n_features, 'feature')}"),
            *self._lines_of_results(),
            *([] if self.units_are_outputs else self._lines_of_units()),
            ("J", _number(self.cost)),
            *((f"  {name}", _number(one)) for name, one in self.terms.items()),
        ]

    def _lines_of_units(self) -> list[tuple[str, str]]:
        """Return what is printed of reconstructions and of the hidden units."""
        lines = [
            ("units", f"{self.n_units}"),
            ("explained variance", _number(self.explained_variance)),
            ("mean squared error", _number(self.mean_squared_error)),
            (f"L0: units above {self.threshold:.3g} in a row, mean", _number(self.l0)),
            (f"dead units: never above {self.threshold:.3g}", f"{self.dead_fraction:.1%}"),
            ("constant units: hardly differ among rows, dead or not", f"{self.constant_fraction:.1%}"),
            ("mean activation", f"{_mean(self.mean_activation):.4g}"),
            ("  of each unit", f"{self.mean_activation.min():.4g} to {self.mean_activation.max():.4g}"),
        ]
        if self.sparsity is not None:
            lines.append((f"KL to {self.sparsity:g}, all units", _number(self.kl_to_target)))
        return lines

    def _lines_of_results(self) -> list[tuple[str, str]]:
        """Return what is printed of predictions, and of outliers."""
        baseline = ""
        if self.largest_share is not None:
            baseline = f"  (the largest class, {self.largest_class!r}, is {self.largest_share:.1%} of the rows)"
        recalls = list(self.recalls.items())
        if len(recalls) > _MOST_RECALLS:
            recalls = sorted(recalls, key=lambda item: item[1])[:_MOST_RECALLS]
        return [
            (self.score_name or "score", _number(self.score) + (baseline if self.score is not None else "")),
            ("balanced accuracy", _number(self.balanced_accuracy)),
            *((f"  recall of {name!r}", f"{_number(recall)}{self._precision_of(name)}") for name, recall in recalls),
            ("AUC", _number(self.roc_auc)),
            ("mean absolute error", _numbers(self.mean_absolute_error)),
            ("root mean squared error", _numbers(self.root_mean_squared_error)),
            ("outliers", "" if self.outlier_fraction is None else f"{self.outlier_fraction:.1%} of the rows"),
        ]

    def _precision_of(self, name: str) -> str:
        """Return what is printed of the precision of a class, after its recall."""
        precision = self.precisions.get(name)
        return "  (never predicted)" if precision is None else f"  (precision {_number(precision)})"


@dataclass(frozen=True, eq=False, kw_only=True)
class DictionaryEvaluation(Evaluation):
    """The results of `evaluate` for a dictionary, which `print` shows as a table.

    Each latent counts as a unit. A dictionary has no cost J on rows that it was not trained on, no target ρ and no
    score: `cost`, `kl_to_target`, `sparsity` and `score` are None.

    Attributes
    ----------
    fraction_of_variance_unexplained : float
        Σ (x − x̂)² / Σ (x − x̄)², with x̄ the column means, often called FVU; 1 − `explained_variance`.
    mean_cosine : float
        Cosine of the angle between a row and its reconstruction, averaged over rows that are not zero.
    norm_ratio : float
        ‖x̂‖ / ‖x‖, averaged over rows that are not zero.
    relative_reconstruction_bias : float
        Σ ‖x̂‖² / Σ ⟨x, x̂⟩, summed over rows: less than 1 if reconstructions are too small.
    l1 : float
        Sum of the magnitudes of a row's activations, averaged over rows.
    l0_histogram : array of int, of shape (largest number of active latents + 1,)
        Number of rows on which 0, 1, 2, ... latents are active.
    density_histogram : DensityHistogram
        Number of latents whose density, the fraction of the rows on which they are active, lies in each decade.
    dense_fraction : float
        Fraction of the latents that are active on more than a tenth of the rows.
    decoder_cosine_median, decoder_cosine_maximum : float
        Largest cosine of the angle between a latent's row of the decoder and another such row: median and maximum over
        latents. Values near 1 show features that were learned twice. NaN for a single latent.
    encoder_decoder_cosine_median : float
        Cosine of the angle between the encoder's and the decoder's weights of a latent: median over latents.
    """

    fraction_of_variance_unexplained: float
    mean_cosine: float
    norm_ratio: float
    relative_reconstruction_bias: float
    l1: float
    l0_histogram: NDArray[np.int64]
    density_histogram: DensityHistogram
    dense_fraction: float
    decoder_cosine_median: float
    decoder_cosine_maximum: float
    encoder_decoder_cosine_median: float

    def _lines(self) -> list[tuple[str, str]]:
        """Return the names and the values that are printed."""
        density = self.density_histogram
        decades = [
            (f"  density {low:g} to {high:g}", f"{count}")
            for low, high, count in zip(density.edges[:-1], density.edges[1:], density.counts, strict=True)
        ]
        active = "active latents" if self.threshold == 0 else f"latents above {self.threshold:.3g}"
        return [
            ("rows", f"{self.n_samples} with {counted(self.n_features, 'feature')}"),
            *self._lines_of_results(),
            ("latents", f"{self.n_units}"),
            ("explained variance", _number(self.explained_variance)),
            ("variance unexplained (FVU)", _number(self.fraction_of_variance_unexplained)),
            ("mean squared error", _number(self.mean_squared_error)),
            ("cosine with the row", _number(self.mean_cosine)),
            ("norm ratio", _number(self.norm_ratio)),
            ("relative reconstruction bias", _number(self.relative_reconstruction_bias)),
            (f"L0: {active} in a row, mean", _number(self.l0)),
            ("L1: sum of a row", _number(self.l1)),
            ("dead latents", f"{density.n_dead} ({self.dead_fraction:.1%})"),
            ("dense latents, density > 0.1", f"{self.dense_fraction:.1%}"),
            ("latents by density", " "),
            *reversed(decades),
            ("largest decoder cosine, median", f"{self.decoder_cosine_median:.4g}"),
            ("largest decoder cosine, maximum", f"{self.decoder_cosine_maximum:.4g}"),
            ("encoder-decoder cosine, median", f"{self.encoder_decoder_cosine_median:.4g}"),
        ]


def _plain(value: Any) -> Any:
    """Return arrays as lists and dataclasses as dicts."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def _mean(values: FloatArray) -> float:
    numbers, unit = in_safe_units(values)
    return float(numbers.mean()) * unit


def _numbers(values: FloatArray | None) -> str:
    """Return the numbers of all targets."""
    return "" if values is None else ", ".join(map(_number, values.tolist()))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
