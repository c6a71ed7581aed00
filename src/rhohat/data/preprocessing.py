"""What is done to rows before learning: normalising patches, and ZCA whitening."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags, check_array
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from rhohat.arrays import FloatArray, as_float_rows

__all__ = ["PatchNormalizer", "ZCAWhitening"]


class _RowTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """What the two share: validation of rows in, rows of the same width out."""

    def _validate(self, X: ArrayLike, *, reset: bool = False) -> FloatArray:
        return as_float_rows(validate_data(self, X, dtype="numeric", reset=reset))

    def _validate_inverse(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        X = as_float_rows(check_array(X, dtype="numeric", input_name="X"))
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X must have {self.n_features_in_} columns, as the data of the fit had; got {X.shape[1]}."
            )
        return X

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class PatchNormalizer(_RowTransformer):
    """Remove each patch's mean, clip outliers, and map to an interval that a sigmoid reaches.

    A row x becomes low + (high − low) (clip((x − x̄)/c, −1, 1) + 1)/2, where c is `n_deviations` standard deviations
    of all values of the whole training set after the means are removed.

    Parameters
    ----------
    n_deviations : float, default=3.0
        Where to clip, in standard deviations; positive.
    low, high : float, default=0.1 and 0.9
        The interval that is mapped to; low < high.

    Attributes
    ----------
    scale_ : float
        c; 1 where all training patches are constant.
    n_features_in_ : int
    feature_names_in_ : array of shape (`n_features_in_`,)
        Only where X has column names that are all strings.

    Raises
    ------
    ValueError
        From `fit`, if a parameter is out of its range.

    References
    ----------
    Ng, A. (2011). CS294A programming assignment: sparse autoencoder, function normalizeData.

    Examples
    --------
    >>> patches = np.array([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]])
    >>> PatchNormalizer().fit_transform(patches).round(3)
    array([[0.269, 0.5  , 0.731],
           [0.5  , 0.5  , 0.5  ]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_deviations": [Interval(Real, 0, None, closed="neither")],
        "low": [Interval(Real, None, None, closed="neither")],
        "high": [Interval(Real, None, None, closed="neither")],
    }

    def __init__(self, *, n_deviations: float = 3.0, low: float = 0.1, high: float = 0.9) -> None:
        self.n_deviations = n_deviations
        self.low = low
        self.high = high

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Measure the standard deviation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        if self.low >= self.high:
            raise ValueError(f"low must be less than high; got low={self.low} and high={self.high}.")
        X = self._validate(X, reset=True)
        deviation = float(np.std(_without_row_means(X), dtype=np.float64))
        # Rounding of the means leaves traces in constant patches, which are not to be blown up.
        rounding = 2 * np.finfo(X.dtype).eps * np.abs(X).max()
        self.scale_ = float(self.n_deviations * deviation) if deviation > rounding else 1.0
        return self

    def transform(self, X: ArrayLike) -> FloatArray:
        """Normalise patches.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features)
            Values in [low, high].
        """
        check_is_fitted(self)
        out = _without_row_means(self._validate(X))
        out /= self.scale_
        np.clip(out, -1, 1, out=out)
        out += 1
        out *= (self.high - self.low) / 2
        out += self.low
        # Rounding may step over an end by one bit, which a reader of the interval should never see.
        return np.clip(out, self.low, self.high, out=out)

    def inverse_transform(self, X: ArrayLike) -> FloatArray:
        """Map normalised patches back to the scale of the data.

        The means of the patches and what was clipped are gone: the inverse gives patches of mean 0, exactly those
        that went in where none of their values was clipped.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        X = self._validate_inverse(X)
        low, high = float(self.low), float(self.high)
        return ((X - low) * (2 / (high - low)) - 1) * self.scale_


class ZCAWhitening(_RowTransformer):
    """Decorrelate features while staying as close to the data as whitening can.

    x becomes (x − x̄) W with W = U (S + ε)^(−1/2) Uᵀ, where U S Uᵀ is the covariance of the training rows.

    Parameters
    ----------
    epsilon : float, default=0.1
        ε, at least 0: a low-pass, in units of the data's variance. 0 whitens fully, which needs data that vary in
        every direction.

    Attributes
    ----------
    mean_ : array of shape (n_features,)
    whitening_ : array of shape (n_features, n_features)
        W, symmetric.
    dewhitening_ : array of shape (n_features, n_features)
        Its inverse.
    n_features_in_ : int
    feature_names_in_ : array of shape (`n_features_in_`,)
        Only where X has column names that are all strings.

    Raises
    ------
    ValueError
        From `fit`, if ε is negative, or 0 for data whose covariance is singular.

    References
    ----------
    Bell, A. J. and Sejnowski, T. J. (1997). The "independent components" of natural scenes are edge filters. Vision
    Research 37, 3327-3338.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 3)) @ np.array([[1.0, 2, 0], [0, 1, 0], [0, 0, 3]])
    >>> Z = ZCAWhitening(epsilon=0).fit_transform(X)
    >>> np.allclose(Z.T @ Z / len(Z), np.eye(3))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "epsilon": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, *, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Compute mean, covariance and the whitening matrix.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        X = self._validate(X, reset=True)
        mean = X.mean(axis=0, dtype=np.float64)
        centred = X - mean
        variances, directions = np.linalg.eigh(centred.T @ centred / X.shape[0])
        # Rounding makes the smallest eigenvalues of a singular covariance slightly negative.
        variances = np.maximum(variances, 0) + self.epsilon
        if variances.min() <= np.finfo(X.dtype).eps * variances.max():
            raise ValueError(
                "the covariance of X is singular, so it cannot be whitened with epsilon=0 or nearly so; choose a larger"
                f" epsilon (got {self.epsilon}), or reduce the dimension first with sklearn.decomposition.PCA."
            )
        self.mean_ = mean.astype(X.dtype)
        self.whitening_ = ((directions / np.sqrt(variances)) @ directions.T).astype(X.dtype)
        self.dewhitening_ = ((directions * np.sqrt(variances)) @ directions.T).astype(X.dtype)
        return self

    def transform(self, X: ArrayLike) -> FloatArray:
        """Whiten rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        X = self._validate(X)
        whitened: FloatArray = (X - self.mean_.astype(X.dtype)) @ self.whitening_.astype(X.dtype)
        return whitened

    def inverse_transform(self, X: ArrayLike) -> FloatArray:
        """Undo the whitening.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        X = self._validate_inverse(X)
        rows: FloatArray = X @ self.dewhitening_.astype(X.dtype) + self.mean_.astype(X.dtype)
        return rows


def _without_row_means(X: FloatArray) -> FloatArray:
    centred: FloatArray = X - X.mean(axis=1, keepdims=True)
    return centred
