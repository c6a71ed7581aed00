"""Recovery of known features: how well the latents of a dictionary stand for the features that generated the rows."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from rhohat.common.arrays import FloatArray
from rhohat.common.forks import cached
from rhohat.inspection.metrics.matching import DictionaryMatch, match_dictionaries
from rhohat.inspection.metrics.rows import (
    as_codes,
    as_rows,
    check_finite_codes,
    check_same_columns,
    check_seen,
    unit_rows,
)
from rhohat.inspection.metrics.weights import nearest_rows

__all__ = ["FeatureRecovery", "feature_recovery", "mean_correlation", "uniqueness"]

Matching = Literal["nearest", "one_to_one"]


class FeatureRecovery:
    """How well latents recover known features: directions, firing and activations, accumulated block by block.

    Each latent is compared with the true feature that it is matched to. A latent or feature fires on a row if its code
    is above 0.

    Parameters
    ----------
    directions : array-like of shape (n_true, n_features)
        Directions of the true features, one per row.
    decoder : array-like of shape (n_components, n_features)
        Decoder weights of the learned latents, one latent per row.
    matching : {"nearest", "one_to_one"}, default="nearest"
        With "nearest", each latent is matched to the true feature with the largest absolute cosine similarity, so
        that several latents may have the same one. With "one_to_one", the pairs are those of `mean_correlation`, and
        some latents remain unmatched if there are more of them than true features.

    Attributes
    ----------
    matching : str
        The parameter `matching`.
    latents : array of int, of shape (n_pairs,)
        Numbers of the matched latents, ascending.
    features : array of int, of shape (n_pairs,)
        Number of the true feature of each of these latents.
    n_samples : int
        Number of rows seen so far.

    Raises
    ------
    ValueError
        If the directions or the decoder are not finite or have no rows, they differ in their number of columns, or
        `matching` is none of these.

    Notes
    -----
    Codes may be sparse; they are never made dense, and an update takes memory for the nonzero codes of the block and
    for n_true + n_components numbers.

    References
    ----------
    O'Neill, C. et al. (2024). Compute optimal inference and provable amortisation gap in sparse autoencoders.
    arXiv 2411.13117: the mean correlation. The other figures are those that SAELens reports of synthetic rows, with the
    matching "nearest", except for `shrinkage`, which is of activations here, and of norms of rows there.

    Examples
    --------
    >>> recovery = FeatureRecovery([[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]])
    >>> recovery.update([[2.0, 0.0], [4.0, 1.0], [0.0, 3.0]], [[0.0, 1.0], [0.0, 3.0], [3.0, 1.0]])
    >>> recovery.mean_correlation, recovery.features
    (1.0, array([1, 0]))
    >>> recovery.precision.round(3), recovery.recall.round(3), recovery.shrinkage
    (array([1.   , 0.667]), array([0.5, 1. ]), array([1.   , 0.625]))
    """

    def __init__(self, directions: ArrayLike, decoder: ArrayLike, *, matching: Matching = "nearest") -> None:
        if matching not in ("nearest", "one_to_one"):
            raise ValueError(f'matching must be "nearest" or "one_to_one"; got {matching!r}.')
        self.matching: Matching = matching
        self._directions, self._decoder = as_rows(directions, "directions"), as_rows(decoder, "decoder")
        self._nearest = nearest_rows(self._decoder, self._directions, "decoder and directions")
        if matching == "nearest":
            self.latents, self.features = np.arange(len(self._decoder)), self._nearest
        else:
            self.latents, self.features = self._match.rows, self._match.columns
        #: The true feature of each latent; -1 if it has none.
        self._feature_of = np.full(len(self._decoder), -1)
        self._feature_of[self.latents] = self.features
        self._decoder_norms = _norms(self._decoder, "decoder")
        self._direction_norms = _norms(self._directions, "directions")
        self.n_samples = 0
        # On how many rows each latent fired, each true feature, and each latent together with its feature.
        self._n_fired, self._n_together = (np.zeros(len(self._decoder), np.int64) for _ in range(2))
        self._n_true = np.zeros(len(self._directions), np.int64)
        #: For each latent, the sum of the ratios of its activations to those of its feature, where both fire.
        self._ratios: FloatArray = np.zeros(len(self._decoder))

    def update(self, true_codes: Any, learned_codes: Any) -> None:
        """Add a block of rows to the figures.

        Parameters
        ----------
        true_codes : array-like or sparse array, of shape (n_rows, n_true)
            Activations of the true features, from which the rows were generated.
        learned_codes : array-like or sparse array, of shape (n_rows, n_components)
            Codes of the same rows.

        Raises
        ------
        ValueError
            If the codes are not two-dimensional, have no rows, have another number of columns than there are true
            features and latents, differ in their number of rows, or are not finite.
        """
        codes = []
        for given, name, columns, others in (
            (true_codes, "true_codes", len(self._directions), "directions"),
            (learned_codes, "learned_codes", len(self._decoder), "decoder"),
        ):
            codes.append(as_codes(given, name))
            check_finite_codes(codes[-1], name)
            if codes[-1].shape[1] != columns:
                raise ValueError(
                    f"{name} must have {columns} columns, one for each row of {others}; got {codes[-1].shape[1]}."
                )
        if codes[0].shape[0] != codes[1].shape[0]:
            raise ValueError(
                "true_codes and learned_codes must have the same number of rows; got"
                f" {codes[0].shape[0]} and {codes[1].shape[0]}."
            )
        self._add(*codes)

    def _add(self, true_codes: Any, learned_codes: Any) -> None:
        true_rows, true_features, true_values = _firing(true_codes)
        rows, latents, values = _firing(learned_codes)
        self.n_samples += true_codes.shape[0]
        self._n_true += np.bincount(true_features, minlength=len(self._n_true))
        self._n_fired += np.bincount(latents, minlength=len(self._n_fired))
        matched = self._feature_of[latents] >= 0
        rows, latents, values = rows[matched], latents[matched], values[matched]
        # The firings of true features, numbered in ascending order; those of latents are looked up among them.
        n_true = len(self._n_true)
        numbers = true_rows * n_true + true_features
        wanted = rows * n_true + self._feature_of[latents]
        places = np.searchsorted(numbers, wanted)
        both = np.append(numbers, -1)[places] == wanted
        latents, values, true_values = latents[both], values[both], true_values[places[both]]
        self._n_together += np.bincount(latents, minlength=len(self._n_together))
        with np.errstate(over="ignore"):  # a ratio may be too large for a float64
            norm_ratios = self._decoder_norms[latents] / self._direction_norms[self._feature_of[latents]]
            ratios = values / true_values * norm_ratios
        self._ratios += np.bincount(latents, weights=ratios, minlength=len(self._ratios))

    def merge(self, other: FeatureRecovery) -> None:
        """Add the rows that other figures have seen to these figures.

        Raises
        ------
        ValueError
            If the two differ in the directions, the decoder or the matching.
        """
        same = (
            self.matching == other.matching
            and np.array_equal(self._directions, other._directions)
            and np.array_equal(self._decoder, other._decoder)
        )
        if not same:
            raise ValueError("other must have the same directions, decoder and matching as these figures.")
        self.n_samples += other.n_samples
        for name in ("_n_fired", "_n_together", "_n_true", "_ratios"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def mean_correlation(self) -> float:
        """Mean correlation of the directions: see the function `mean_correlation`. It needs no rows."""
        return self._match.mean_cosine

    @property
    def uniqueness(self) -> float:
        """Number of distinct true features that are nearest to some latent, divided by the number of latents.

        It needs no rows.
        """
        return len(np.unique(self._nearest)) / len(self._nearest)

    @property
    def precision(self) -> FloatArray:
        """Share of the rows on which a latent fires where its true feature fires too, of shape (n_pairs,).

        It is 0 for a latent that never fires.
        """
        return self._together_divided_by(self._n_fired[self.latents])

    @property
    def recall(self) -> FloatArray:
        """Share of the rows on which a latent's true feature fires where the latent fires too, of shape (n_pairs,).

        It is 0 if the feature never fires.
        """
        return self._together_divided_by(self._n_true[self.features])

    @property
    def f1(self) -> FloatArray:
        """Harmonic mean of precision and recall, of shape (n_pairs,); 0 for a pair that never fires together."""
        return self._together_divided_by((self._n_fired[self.latents] + self._n_true[self.features]) / 2)

    @property
    def shrinkage(self) -> FloatArray:
        """Ratio of a latent's activation to its feature's, averaged over rows on which both fire, of shape (n_pairs,).

        Activations are multiplied by the norms of the latent's decoder row and of the feature's direction, as if these
        were unit vectors. Values below 1 show activations that are too small. The value is NaN for a pair that never
        fires together.
        """
        check_seen(self.n_samples)
        together = self._n_together[self.latents]
        ratios: FloatArray = np.where(together > 0, self._ratios[self.latents] / np.maximum(together, 1), np.nan)
        return ratios

    @property
    def mean_shrinkage(self) -> float:
        """Mean of `shrinkage` over pairs that fire together on some row; NaN if there are none."""
        shrinkage = self.shrinkage
        defined = shrinkage[~np.isnan(shrinkage)]
        return float(defined.mean()) if len(defined) else float("nan")

    @cached
    def _match(self) -> DictionaryMatch:
        return match_dictionaries(self._decoder, self._directions, absolute=True)

    def _together_divided_by(self, counts: NDArray[Any]) -> FloatArray:
        check_seen(self.n_samples)
        share: FloatArray = self._n_together[self.latents] / np.maximum(counts, 0.5)  # where the count is 0, 0
        return share


def feature_recovery(
    directions: ArrayLike, decoder: ArrayLike, true_codes: Any, learned_codes: Any, *, matching: Matching = "nearest"
) -> FeatureRecovery:
    """Return how well latents recover known features.

    Parameters
    ----------
    directions : array-like of shape (n_true, n_features)
        Directions of the true features, one per row.
    decoder : array-like of shape (n_components, n_features)
        Decoder weights of the learned latents, one latent per row.
    true_codes : array-like or sparse array, of shape (n_samples, n_true)
        Activations of the true features.
    learned_codes : array-like or sparse array, of shape (n_samples, n_components)
        Codes of the same rows.
    matching : {"nearest", "one_to_one"}, default="nearest"
        As for `FeatureRecovery`.

    Returns
    -------
    FeatureRecovery
        The figures are its properties.

    Raises
    ------
    ValueError
        If an array is empty or not finite, or the shapes do not fit together.

    Examples
    --------
    >>> recovery = feature_recovery(np.eye(2), 2 * np.eye(2), [[1.0, 0.0], [0.0, 2.0]], [[0.25, 0.0], [0.0, 1.0]])
    >>> recovery.f1, recovery.mean_shrinkage
    (array([1., 1.]), 0.75)
    """
    recovery = FeatureRecovery(directions, decoder, matching=matching)
    recovery.update(true_codes, learned_codes)
    return recovery


def mean_correlation(decoder: ArrayLike, directions: ArrayLike) -> float:
    """Return the mean absolute cosine similarity of latents and true features that are matched one to one.

    The matching is the one with the largest mean, which `match_dictionaries` finds with ``absolute=True``. The figure
    is often called MCC, mean correlation coefficient.

    Parameters
    ----------
    decoder : array-like of shape (n_components, n_features)
        Decoder weights of the learned latents, one latent per row.
    directions : array-like of shape (n_true, n_features)
        Directions of the true features, one per row.

    Returns
    -------
    float
        Mean over the min(n_components, n_true) pairs, in [0, 1].

    Raises
    ------
    ValueError
        If an array is not finite or has no rows, or they differ in their number of columns.

    References
    ----------
    O'Neill, C. et al. (2024). Compute optimal inference and provable amortisation gap in sparse autoencoders.
    arXiv 2411.13117.

    Examples
    --------
    >>> mean_correlation([[0.0, -2.0], [3.0, 4.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]])
    1.0
    """
    latents, features = unit_rows(decoder, "decoder"), unit_rows(directions, "directions")
    check_same_columns(latents, features, "decoder and directions")
    return match_dictionaries(latents, features, absolute=True).mean_cosine


def uniqueness(decoder: ArrayLike, directions: ArrayLike) -> float:
    """Return the number of distinct true features that are nearest to some latent, divided by the number of latents.

    The nearest feature of a latent is that with the largest absolute cosine similarity. The value is 1 if each latent
    has a feature of its own, and smaller if several latents stand for the same feature.

    Parameters
    ----------
    decoder : array-like of shape (n_components, n_features)
        Decoder weights of the learned latents, one latent per row.
    directions : array-like of shape (n_true, n_features)
        Directions of the true features, one per row.

    Returns
    -------
    float
        In (0, 1].

    Raises
    ------
    ValueError
        If an array is not finite or has no rows, or they differ in their number of columns.

    Examples
    --------
    >>> uniqueness([[1.0, 0.1], [1.0, -0.1]], [[1.0, 0.0], [0.0, 1.0]])
    0.5
    """
    return FeatureRecovery(directions, decoder).uniqueness


def _norms(rows: FloatArray, name: str) -> FloatArray:
    """Return the norm of each row, 1 for rows of zeros, without overflow of squares."""
    norms = np.einsum("ij,ij->i", rows.astype(np.float64), unit_rows(rows, name))
    return np.where(norms > 0, norms, 1)


def _firing(codes: Any) -> tuple[NDArray[np.int64], NDArray[np.intp], FloatArray]:
    """Return the row, the column and the value of each code above 0, in ascending order of rows and columns."""
    if issparse(codes):
        rows = np.repeat(np.arange(codes.shape[0], dtype=np.int64), np.diff(codes.indptr))
        columns, values = codes.indices, codes.data
        fires = values > 0
        return rows[fires], columns[fires], values[fires].astype(np.float64)
    rows, columns = np.nonzero(codes > 0)
    return rows, columns, codes[rows, columns].astype(np.float64)
