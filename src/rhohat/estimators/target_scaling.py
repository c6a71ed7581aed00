"""Scaling of regression targets to the range of the outputs, and R² of their predictions."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Activation
from rhohat.terms.losses import GaussianLoss, Loss, SquaredError

__all__ = ["choose_scaling", "r_squared", "scaled_loss", "warn_of_units"]


#: Fraction of a bounded output's range into which targets are mapped; at the ends of the range, units would saturate.
_INNER = (0.1, 0.9)

#: Range of the targets' standard deviations for which usual values of weight decay and tolerance are suitable.
_AT_EASE = (0.1, 1000)


def r_squared(y: ArrayLike, predicted: FloatArray, sample_weight: FloatArray | None = None) -> float:
    """Return scikit-learn's R², averaged over targets, without overflow or underflow of squares.

    Parameters
    ----------
    y, predicted : arrays of shape (n_samples,) or (n_samples, n_targets)
    sample_weight : array of shape (n_samples,), default=None

    Returns
    -------
    float
        The R²; −∞ if the value is below the range of float64.
    """
    from sklearn.metrics import r2_score  # imported here, as `import rhohat` must not load its packages

    with np.errstate(over="ignore", invalid="ignore"):
        targets = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
        if sample_weight is not None:
            counting = sample_weight > 0
            targets, predicted, sample_weight = targets[counting], predicted[counting], sample_weight[counting]
        largest = np.finfo(np.float64).max
        # Each target is divided by a power of two near its largest number; such a division is exact.
        exponents = np.frexp(np.abs(targets).max(axis=0))[1]
        scaled = np.ldexp(predicted, -exponents).clip(-largest, largest)
        return float(r2_score(np.ldexp(targets, -exponents), scaled, sample_weight=sample_weight))


def scaled_loss(loss: GaussianLoss, scale: FloatArray) -> GaussianLoss:
    """Return the loss for targets that are divided by `scale`, given the loss in the units of the targets."""
    loss.check_targets(np.empty((1, len(scale))))
    return GaussianLoss(loss.covariance / np.outer(scale, scale))


def warn_of_units(targets: FloatArray) -> None:
    """Warn if targets are so large or small that weight decay and tolerance are out of proportion to the loss."""
    with np.errstate(over="ignore", invalid="ignore"):
        deviations = np.ma.masked_invalid(targets).std(axis=0).filled(0)  # steps of sequences may have no targets
    low, high = _AT_EASE
    unusual = deviations[(deviations > 0) & ((deviations < low) | (deviations > high))]
    if len(unusual):
        warnings.warn(
            f"y has a standard deviation of {unusual[0]:.3g}. The squared error is in the squared units of y, but usual"
            " values of weight_decay and tol suit targets that vary by about 1, so the fit may be poor; set"
            " scale_targets=True, or standardise y.",
            stacklevel=3,
        )


def choose_scaling(
    output: Activation,
    loss: Loss,
    targets: FloatArray,
    sample_weight: FloatArray | None = None,
    *,
    standardises: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Return shift and scale, of shape (n_targets,), such that (targets − shift) / scale suits the output's range.

    Targets of an output with two bounds are mapped into its range. Targets of other outputs are standardised if
    `standardises` is True and the loss is the squared error or that of Gaussian noise; they are divided only if the
    output has one bound. Otherwise, and if the units of the output depend on one another, as for softmax, or if the
    loss itself requires targets in a certain range, the shift is 0 and the scale 1.
    """
    low, high = output.bounds
    if loss.contains is not None:
        return np.zeros(targets.shape[1]), np.ones(targets.shape[1])
    if not (np.isfinite(low) and np.isfinite(high)):
        if not standardises or not isinstance(loss, SquaredError | GaussianLoss):
            return np.zeros(targets.shape[1]), np.ones(targets.shape[1])
        mean, deviation = _moments(targets, sample_weight)
        return mean if np.isinf(low) and np.isinf(high) else np.zeros_like(mean), deviation
    if not output.monotonic:
        return np.zeros(targets.shape[1]), np.ones(targets.shape[1])
    smallest, largest = targets.min(axis=0), targets.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        width = largest - smallest
        scale = np.where(width > 0, width, 1) / ((_INNER[1] - _INNER[0]) * (high - low))
        shift = smallest - scale * (low + _INNER[0] * (high - low))
        reached = np.array([[low], [high]]) * scale + shift
    if not np.isfinite(reached).all():
        column = int(np.argmin(np.isfinite(reached).all(axis=0)))
        raise ValueError(
            f"y ranges from {smallest[column]:.3g} to {largest[column]:.3g}; output_activation={output.name!r} needs a"
            " range with room beyond both ends, which would be too large for float64. Divide y by a constant."
        )
    return shift, scale


def _moments(targets: FloatArray, sample_weight: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Return the mean and the standard deviation of each target, which is 1 for a target that is constant."""
    # Each target is divided by a power of two near its largest number, so that no square overflows or underflows.
    exponents = np.frexp(np.abs(targets).max(axis=0))[1]
    scaled = np.ldexp(targets, -exponents)
    mean = np.average(scaled, axis=0, weights=sample_weight)
    variance = np.average((scaled - mean) ** 2, axis=0, weights=sample_weight)
    varies = (targets.max(axis=0) > targets.min(axis=0)) & (variance > 0)
    deviation = np.ldexp(np.sqrt(np.where(varies, variance, 1)), exponents)
    return np.ldexp(mean, exponents), np.where(varies & (deviation > 0), deviation, 1.0)
