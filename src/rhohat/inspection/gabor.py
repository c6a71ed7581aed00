"""Least-squares fits of Gabor functions to filters, which measure how much a filter looks like an edge detector."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import scipy  # which imports its parts when they are used
from numpy.typing import ArrayLike

from rhohat.common.arrays import FloatArray

__all__ = ["gabor_fit"]

_N_STARTS = 6  # number of best grid points from which each fit is refined
_STEP, _RIDGE = 1e-7, 1e-12
_SMALLEST_WIDTH = 0.4  # in pixels: a narrower envelope would be a single pixel, which any Gabor function fits


def gabor_fit(filters: ArrayLike, shape: tuple[int, int]) -> FloatArray:
    """Return the R² of the best-fitting Gabor function for each filter.

    A Gabor function is a plane wave under a Gaussian envelope,
    g(x, y) = exp(−u²/2σ_u² − v²/2σ_v²) (A cos 2πfu + B sin 2πfu) + C, with (u, v) the coordinates about a centre
    (x₀, y₀), rotated by an angle. Oriented edges and bars are fitted well, principal components and noise are not.

    Parameters
    ----------
    filters : array-like of shape (n_filters, height * width)
        Grey filters, one per row. The mean of each filter is subtracted before the fit.
    shape : tuple of two int
        Height and width of a filter in pixels.

    Returns
    -------
    array of shape (n_filters,), float64
        R² = 1 − Σ(w − g)² / Σ(w − w̄)², in [0, 1]; 0 for a constant filter.

    Raises
    ------
    ValueError
        If the filters are not finite, or do not have height * width columns.

    Notes
    -----
    For given centre, angle, widths (at least 0.4 pixels) and frequency (at most 0.5 cycles per pixel), A, B and C
    follow by linear least squares. So only six parameters are searched: first on a grid, then with a trust-region
    method that starts from each of the six best grid points.

    References
    ----------
    Jones, J. P. and Palmer, L. A. (1987). An evaluation of the two-dimensional Gabor filter model of simple receptive
    fields in cat striate cortex. Journal of Neurophysiology 58, 1233-1258.

    Examples
    --------
    >>> y, x = np.mgrid[:8, :8] - 3.5
    >>> edge = np.exp(-(x**2 + y**2) / 8) * np.sin(2 * np.pi * 0.15 * (x + y))
    >>> noise = np.random.default_rng(0).normal(size=64)
    >>> r2 = gabor_fit([edge.ravel(), noise], (8, 8))
    >>> bool(r2[0] > 0.999), bool(r2[1] < 0.4)
    (True, True)
    """
    rows = np.array(filters, dtype=np.float64)
    height, width = shape
    if rows.ndim != 2 or rows.shape[1] != height * width or not np.all(np.isfinite(rows)):
        raise ValueError(
            f"filters must be an array of shape (n_filters, {height * width}) for {height}×{width} pixels, without NaN"
            f" or infinity; got an array of shape {rows.shape}."
        )
    rows = np.ldexp(rows, -np.frexp(np.abs(rows).max(axis=1, keepdims=True))[1])  # prevents overflow; R² is scale-free
    rounding = 1e-12 * np.linalg.norm(rows, axis=1)
    rows -= rows.mean(axis=1, keepdims=True)
    constant = np.linalg.norm(rows, axis=1) <= rounding
    return np.array([0.0 if flat else _best_r2(row, height, width) for row, flat in zip(rows, constant, strict=True)])


def _best_r2(row: FloatArray, height: int, width: int) -> float:
    row = row / np.linalg.norm(row)
    grid, bases = _grid(height, width)
    explained = np.einsum("gkn,n->gk", bases, row)
    scores = np.einsum("gk,gk->g", explained, explained)
    starts = np.argsort(-scores)[:_N_STARTS]
    x, y = _pixels(height, width)
    upper = np.array([width / 2, height / 2, np.inf, np.log(2 * width), np.log(2 * height), 0.5])
    lower = np.array([-width / 2, -height / 2, -np.inf, np.log(_SMALLEST_WIDTH), np.log(_SMALLEST_WIDTH), 0.0])

    def residual(parameters: FloatArray) -> FloatArray:
        only: FloatArray = _residuals(parameters[np.newaxis], row, x, y)[0]
        return only

    def jacobian(parameters: FloatArray) -> FloatArray:
        # Forward differences, or backward differences at an upper bound; one call computes all seven residuals.
        steps = np.where(parameters + _STEP > upper, -_STEP, _STEP)
        residuals = _residuals(np.vstack([parameters, parameters + np.diag(steps)]), row, x, y)
        slopes: FloatArray = (residuals[1:] - residuals[0]) / steps[:, np.newaxis]
        return slopes.T

    costs = [
        scipy.optimize.least_squares(residual, grid[start], jacobian, bounds=(lower, upper), max_nfev=60).cost
        for start in starts
    ]
    return float(max(scores[starts[0]], 1 - 2 * min(costs)))


def _residuals(parameters: FloatArray, row: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the differences between Gabor functions and the filter `row`, of shape (n, n_pixels).

    Each row of the parameters (n, 6), see `_waves`, determines a Gabor function except for its factors A and B, which
    are the factors that fit the filter best; see `gabor_fit`.
    """
    waves = _waves(parameters, x, y)
    gram = np.einsum("gkn,gln->gkl", waves, waves) + _RIDGE * np.eye(2)  # the sine vanishes at f = 0
    coefficients = np.linalg.solve(gram, (waves @ row)[..., np.newaxis])
    residuals: FloatArray = (coefficients * waves).sum(axis=1) - row
    return residuals


def _pixels(height: int, width: int) -> tuple[FloatArray, FloatArray]:
    """Return the x and y coordinates of all pixels, raveled, with the origin in the middle of the filter."""
    y, x = np.mgrid[:height, :width].reshape(2, -1).astype(np.float64)
    return x - (width - 1) / 2, y - (height - 1) / 2


def _waves(parameters: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the cosine and the sine wave under each envelope, with the mean of each wave subtracted.

    The columns of the parameters (n, 6) are x₀, y₀, angle, log σ_u, log σ_v and f. The result is (n, 2, n_pixels).
    """
    x0, y0, angle, log_u, log_v, f = (column[:, np.newaxis] for column in parameters.T)
    u = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    v = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
    envelope = np.exp(-0.5 * ((u * np.exp(-log_u)) ** 2 + (v * np.exp(-log_v)) ** 2))
    phase = 2 * np.pi * f * u
    waves = np.stack([envelope * np.cos(phase), envelope * np.sin(phase)], axis=1)
    waves -= waves.mean(axis=-1, keepdims=True)
    return waves


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> tuple[Any, Any]:
    """Return the starting points (n, 6), and an orthonormal basis (n, 2, n_pixels) of the two waves at each point."""
    size = min(height, width)
    widths = np.log(np.maximum(np.array([0.125, 0.25, 0.5]) * size, _SMALLEST_WIDTH))
    frequencies = np.minimum(np.array([0.5, 1.0, 1.6, 2.4]) / size, 0.5)
    grid = np.array(
        list(
            product(
                np.linspace(-0.35, 0.35, 4) * width,
                np.linspace(-0.35, 0.35, 4) * height,
                np.arange(8) * np.pi / 8,
                widths,
                widths,
                frequencies,
            )
        )
    )
    waves = _waves(grid, *_pixels(height, width))
    return grid, np.linalg.qr(waves.transpose(0, 2, 1))[0].transpose(0, 2, 1)
