"""The latents that go with the classes of labelled rows: those whose codes are correlated with a class most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from rhohat.common.arrays import FloatArray
from rhohat.inspection.metrics.class_labels import check_classes
from rhohat.inspection.metrics.rows import as_codes, check_finite_codes, check_seen

__all__ = ["ClassLatents", "ClassStatistics", "class_latents"]


@dataclass(frozen=True, eq=False)
class ClassLatents:
    """The latents that are correlated most with each class, as `class_latents` returns them.

    Attributes
    ----------
    classes : array of shape (n_classes,)
        Labels of the classes, sorted.
    latents : array of int, of shape (n_classes, n_latents)
        Numbers of the latents with the largest correlations, the largest first.
    correlation : array of shape (n_classes, n_latents)
        Correlation of the code of each of these latents with the class, over rows.
    density_inside, density_outside : array of shape (n_classes, n_latents)
        Fractions of the rows of the class, and of the other rows, on which each of these latents is active.
    """

    classes: NDArray[Any]
    latents: NDArray[np.intp]
    correlation: FloatArray
    density_inside: FloatArray
    density_outside: FloatArray


class ClassStatistics:
    """Sums over the rows of each class, from which correlations of codes with classes follow; updated block by block.

    Parameters
    ----------
    n_classes : int
        Number of classes.

    Attributes
    ----------
    n_rows : array of int, of shape (n_classes,)
        Number of rows of each class that were seen.
    """

    def __init__(self, n_classes: int) -> None:
        self.n_rows: NDArray[np.int64] = np.zeros(n_classes, np.int64)
        self._sums: FloatArray | None = None
        self._active: FloatArray
        self._squares: FloatArray

    def update(self, codes: Any, numbers: NDArray[np.intp]) -> None:
        """Add rows.

        Parameters
        ----------
        codes : array-like or sparse array, of shape (n_rows, n_components)
            Codes of the rows.
        numbers : array of int, of shape (n_rows,)
            Number of the class of each row, from 0.
        """
        values = csr_array(codes, dtype=np.float64)
        n_classes, n_rows = len(self.n_rows), values.shape[0]
        if self._sums is None:
            self._sums = np.zeros((n_classes, values.shape[1]))
            self._active, self._squares = np.zeros_like(self._sums), np.zeros(values.shape[1])
        places = numbers.astype(np.intp), np.arange(n_rows)
        of_classes = csr_array((np.ones(n_rows), places), shape=(n_classes, n_rows))
        self._sums += (of_classes @ values).toarray()
        self._squares += np.bincount(values.indices, values.data**2, minlength=values.shape[1])
        active = csr_array(((values.data > 0).astype(np.float64), values.indices, values.indptr), shape=values.shape)
        self._active += (of_classes @ active).toarray()
        self.n_rows += np.bincount(numbers, minlength=n_classes)

    @property
    def correlation(self) -> FloatArray:
        """Pearson's correlation of each latent's code with each class, of shape (n_classes, n_components).

        The class is 1 on its rows and 0 on others. The correlation is 0 where the code or the class is constant.
        """
        check_seen(int(self.n_rows.sum()))
        assert self._sums is not None
        n_rows = self.n_rows.sum()
        share, mean = self.n_rows / n_rows, self._sums.sum(axis=0) / n_rows
        covariance = self._sums / n_rows - np.outer(share, mean)
        variance = self._squares / n_rows - mean**2
        # Of a code that is the same on all rows, rounding leaves a variance near 0, not 0.
        varies = variance > 1e-12 * np.maximum(self._squares / n_rows, np.finfo(np.float64).tiny)
        spread = np.outer(np.sqrt(share * (1 - share)), np.sqrt(np.where(varies, variance, 0)))
        correlation: FloatArray = np.divide(covariance, spread, out=np.zeros_like(covariance), where=spread > 0)
        return correlation.clip(-1, 1)

    @property
    def densities(self) -> tuple[FloatArray, FloatArray]:
        """Fractions of the rows of each class, and of the other rows, on which each latent is active: two arrays.

        Both have the shape (n_classes, n_components).
        """
        check_seen(int(self.n_rows.sum()))
        outside = self._active.sum(axis=0) - self._active
        n_outside = self.n_rows.sum() - self.n_rows
        counts = (np.maximum(counts, 1)[:, np.newaxis] for counts in (self.n_rows, n_outside))
        inside, others = (active / n_rows for active, n_rows in zip((self._active, outside), counts, strict=True))
        return inside, others

    def strongest(self, classes: NDArray[Any], n_latents: int) -> ClassLatents:
        """Return the latents with the largest correlations for each class, whose labels are given."""
        correlation, (inside, outside) = self.correlation, self.densities
        latents = np.argsort(-correlation, axis=1, kind="stable")[:, :n_latents]
        of_latents = [np.take_along_axis(values, latents, axis=1) for values in (correlation, inside, outside)]
        return ClassLatents(classes, latents, *of_latents)


def class_latents(codes: Any, labels: ArrayLike, n_latents: int = 10) -> ClassLatents:
    """Return the latents whose codes are correlated most with each class of labelled rows.

    A latent with a large correlation is active on the rows of the class, and on few others. `sparse_probing` says how
    well some of them tell the class from others.

    Parameters
    ----------
    codes : array-like or sparse array, of shape (n_samples, n_components)
        Codes of the rows.
    labels : array-like of shape (n_samples,)
        Labels of the rows: numbers, booleans or strings, of at least two classes.
    n_latents : int, default=10
        Number of latents for each class; fewer if there are fewer.

    Returns
    -------
    ClassLatents

    Raises
    ------
    ValueError
        If the codes are not finite, there is not one label for each row, a label is NaN, there is only one class, or
        `n_latents` is not a positive integer.

    Examples
    --------
    >>> codes = np.eye(3)[[0, 0, 1, 2]]
    >>> found = class_latents(codes, ["cat", "cat", "dog", "dog"], n_latents=2)
    >>> found.classes.tolist(), found.latents[:, 0].tolist(), found.correlation[:, 0].round(2).tolist()
    (['cat', 'dog'], [0, 1], [1.0, 0.58])
    """
    values = as_codes(codes, "codes")
    check_finite_codes(values, "codes")
    if not (isinstance(n_latents, int | np.integer) and n_latents >= 1):
        raise ValueError(f"n_latents must be a positive integer; got {n_latents!r}.")
    classes, numbers = check_classes(labels, values.shape[0])
    statistics = ClassStatistics(len(classes))
    statistics.update(values, numbers)
    return statistics.strongest(classes, int(n_latents))
