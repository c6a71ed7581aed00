"""Metrics of codes: how many units are active on a row, how often and how strongly, and which are dead or constant."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from rhohat.common.arrays import FloatArray
from rhohat.inspection.metrics.activations import ActivationStatistics
from rhohat.inspection.metrics.densities import DensityHistogram
from rhohat.inspection.metrics.rows import opened

__all__ = [
    "activation_frequency",
    "constant_fraction",
    "dead_fraction",
    "dense_fraction",
    "density_histogram",
    "l0",
    "l0_histogram",
    "l1",
    "mean_activation",
]


def l0(H: Any, threshold: float = 0.0) -> float:
    """Return the number of units that are active on a row, averaged over rows.

    Parameters
    ----------
    H : array-like, sparse array, path or row source, of shape (n_samples, n_units)
        Activations: anything that `rhohat.open_rows` opens, which is read once, or a sparse array of SciPy, which is
        not made dense. A row source that is passed in stays open.
    threshold : float, default=0.0
        A unit is active on a row if its activation is strictly above this number. See `default_threshold`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If H or the threshold is not finite.

    Examples
    --------
    >>> l0([[0.0, 2.0, 0.1], [1.0, 4.0, 3.0]])
    2.5
    """
    return _count(H, threshold).l0


def l0_histogram(H: Any, threshold: float = 0.0) -> NDArray[np.int64]:
    """Return the number of rows on which 0, 1, 2, ... units are active.

    Parameters
    ----------
    H : array-like, sparse array, path or row source, of shape (n_samples, n_units)
        As for `l0`.
    threshold : float, default=0.0
        As for `l0`.

    Returns
    -------
    array of int, of shape (largest number of active units + 1,)
        Item j is the number of rows on which exactly j units are active.

    Raises
    ------
    ValueError
        If H or the threshold is not finite.

    Examples
    --------
    >>> l0_histogram([[0.0, 2.0, 0.1], [1.0, 4.0, 3.0], [0.0, 0.0, 0.0]])
    array([1, 0, 1, 1])
    """
    return _count(H, threshold).l0_histogram


def l1(H: Any) -> float:
    """Return the sum of the magnitudes of the activations of a row, averaged over rows.

    Parameters
    ----------
    H : array-like, sparse array, path or row source, of shape (n_samples, n_units)
        As for `l0`.

    Returns
    -------
    float
        Summed over units, averaged over rows.

    Raises
    ------
    ValueError
        If H is not finite.

    Examples
    --------
    >>> l1([[0.0, 2.0, 0.0], [1.0, 4.0, 3.0]])
    5.0
    """
    return _count(H, 0.0).l1


def activation_frequency(H: Any, threshold: float = 0.0) -> FloatArray:
    """Return the fraction of the rows on which each unit is active.

    Parameters
    ----------
    H : array-like, sparse array, path or row source, of shape (n_samples, n_units)
        As for `l0`.
    threshold : float, default=0.0
        As for `l0`.

    Returns
    -------
    array of shape (n_units,)

    Raises
    ------
    ValueError
        If H or the threshold is not finite.

    Examples
    --------
    >>> activation_frequency([[0.0, 2.0], [1.0, 4.0]])
    array([0.5, 1. ])
    """
    return _count(H, threshold).activation_frequency


def dead_fraction(H: Any, threshold: float = 0.0) -> float:
    """Return the fraction of the units that are active on no row.

    Parameters
    ----------
    H : array-like, sparse array, path or row source, of shape (n_samples, n_units)
        As for `l0`.
    threshold : float, default=0.0
        As for `l0`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If H or the threshold is not finite.

    Examples
    --------
    >>> dead_fraction([[0.0, 2.0], [0.0, 4.0]])
    0.5
    """
    return _count(H, threshold).dead_fraction


def dense_fraction(H: Any, density: float = 0.1, threshold: float = 0.0) -> float:
    """Return the fraction of the units that are active on more than a share of the rows.

    Parameters
    ----------
    H : array-like, sparse array, path or row source, of shape (n_samples, n_units)
        As for `l0`.
    density : float, default=0.1
        A unit is dense if it is active on more than this share of the rows, which lies in [0, 1].
    threshold : float, default=0.0
        As for `l0`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If H or the threshold is not finite, or the density is not in [0, 1].

    Examples
    --------
    >>> dense_fraction([[0.0, 2.0], [1.0, 4.0]], density=0.5)
    0.5
    """
    return _count(H, threshold).dense_fraction(density)


def density_histogram(H: Any, threshold: float = 0.0) -> DensityHistogram:
    """Return the number of units whose activation frequency lies in each decade, and the number of dead units.

    Parameters
    ----------
    H : array-like, sparse array, path or row source, of shape (n_samples, n_units)
        As for `l0`.
    threshold : float, default=0.0
        As for `l0`.

    Returns
    -------
    DensityHistogram

    Raises
    ------
    ValueError
        If H or the threshold is not finite.

    Examples
    --------
    >>> codes = np.zeros((100, 3))
    >>> codes[:, 0], codes[7, 1] = 1.0, 1.0
    >>> histogram = density_histogram(codes)
    >>> histogram.n_dead, histogram.counts, histogram.edges
    (1, array([1, 1]), array([0.01, 0.1 , 1.  ]))
    """
    return _count(H, threshold).density_histogram


def constant_fraction(H: Any) -> float:
    """Return the fraction of the units that give about the same activation for every row.

    A unit counts as constant if the standard deviation of its activation is at most 2 % of the magnitude of its mean
    activation: such a unit does not distinguish rows. A unit that is always 0 is constant too.
    For a single row, the fraction is 0.

    Parameters
    ----------
    H : array-like, sparse array, path or row source, of shape (n_samples, n_units)
        As for `l0`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If H is not finite.

    Examples
    --------
    >>> constant_fraction([[0.1, 2.0], [0.101, 4.0]])
    0.5
    """
    return _count(H, 0.0).constant_fraction


def mean_activation(H: Any) -> FloatArray:
    """Return ρ̂, the mean activation of each unit over rows.

    Parameters
    ----------
    H : array-like, sparse array, path or row source, of shape (n_samples, n_units)
        As for `l0`.

    Returns
    -------
    array of shape (n_units,), float64

    Raises
    ------
    ValueError
        If H is not finite.

    Examples
    --------
    >>> mean_activation([[0.0, 2.0], [1.0, 4.0]])
    array([0.5, 3. ])
    """
    return _count(H, 0.0).mean_activation


def _count(H: Any, threshold: float) -> ActivationStatistics:
    statistics = ActivationStatistics(threshold)
    if issparse(H):
        statistics.update(H)
        return statistics
    with opened(H) as activations:
        for block in activations.blocks(activations.rows_at_once):
            statistics.update(block)
    return statistics
