"""Features that an autoencoder learned on patches, computed at every place of larger images and pooled over regions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from math import prod
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ModelFileError
from rhohat.common.fitted import FittedAttributes
from rhohat.data import RowSource, open_rows
from rhohat.data.finite import check_finite_block
from rhohat.data.ranges import remark_on_scale
from rhohat.data.rows.arrays import ArrayRows
from rhohat.engines import ThreadEngine
from rhohat.estimators.affine_steps import apply_step, fold_steps, not_fitted, steps_of
from rhohat.estimators.autoencoder import BaseAutoencoder
from rhohat.estimators.model_parts import ModelReader, ModelWriter
from rhohat.estimators.named_parts import AT_LEAST_1, NamedPart
from rhohat.estimators.pooled_convolution import PooledConvolution
from rhohat.estimators.shapes_of_images import in_planes, pair_of, row_shape_of, shape_of_images, shape_of_patches
from rhohat.layers import DenseLayer, LayerParameters, Windows
from rhohat.layers.activations import ElementwiseActivation

__all__ = ["ConvolvedFeatures"]

_POOLINGS = ("mean", "max")
_BYTES_OF_A_BLOCK = 2**23  # of images that a thread holds at a time
_MOST_IMAGES = 256  # in a block
_FEWEST_BLOCKS = 8  # if there are as many images, so that there is work for several threads
_LONGEST_SIDE = 2**16  # pixels of an image of a model file
_IMAGES_LOOKED_AT, _PATCHES_LOOKED_AT = 8, 64  # to compare the scale: images, and patches of each


class ConvolvedFeatures(FittedAttributes, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Features that an autoencoder learned on patches, at every place of larger images, pooled over regions.

    The encoder is applied to the patch at each place (y, x) of an image, and the activations are pooled over the places
    of each region:

        h[y, x] = encoder(patch at row y s and column x s),    F[i, j] = mean or max of h[y, x] over region (i, j)

    with s the stride. The affine preprocessing x ↦ x A + t of a pipeline is folded into the first layer,
    f((x A + t) W + b) = f(x (A W) + (t W + b)), which is a convolution of the image with the kernel A W. The other
    layers of the encoder act at each place separately.

    Parameters
    ----------
    autoencoder : autoencoder or Pipeline
        A fitted autoencoder of patches, or a fitted pipeline that ends in one. All layers of its encoder must be dense,
        and their activations must act on each unit separately. Every step of the pipeline must be an affine function of
        a patch, such as `ZCAWhitening`, `RangeScaler`, scikit-learn's `StandardScaler` and `MinMaxScaler`, or the
        subtraction of the mean of each patch. It is not fitted again: scikit-learn's `clone` keeps it as it is.
    pooling : {"mean", "max"}, default="mean"
        What is computed of the activations of a unit in a region.
    regions : int or tuple of int, default=3
        Number of regions down and across. They are parts of nearly equal size, as in `numpy.array_split`, of the places
        along each axis.
    stride : int or tuple of int, default=1
        Steps by which the patch moves, down and to the right.
    image_shape : tuple of int, default=None
        Shape of an image, for flat rows: (height, width), (height, width, n_channels), or (3, height, width), where all
        red values come first, then all green values, then all blue values. If None, it is taken from X.
    patch_shape : tuple of int, default=None
        Shape of a patch: (height, width) or (height, width, n_channels). None means square patches with the channels of
        the images.
    n_jobs : int, default=None
        Number of threads, which changes no bit of the result; None means as many as BLAS would use, −1 means all cores.

    Attributes
    ----------
    kernel_ : array of shape (patch_height, patch_width, n_channels, n_units of the first layer), float64
        Weights of the first layer for patches without preprocessing.
    bias_ : array of shape (n_units of the first layer,), float64
        Biases of the first layer for patches without preprocessing.
    image_shape_, patch_shape_ : tuple of three int
        Height, width and number of channels of an image and of a patch.
    regions_ : tuple of two int
        Number of regions down and across.
    n_features_in_ : int
        Number of values in an image.

    See Also
    --------
    ConvolutionalAutoencoder : An autoencoder that learns convolutions from whole images.

    Notes
    -----
    An image needs n_places × n_patch_numbers × n_units multiplications. The images are read and convolved a few at a
    time, and a few lines of places at a time where images are large, so that the memory that is needed besides the
    result does not grow with their number or with the number of places.

    References
    ----------
    Ng, A., Ngiam, J., Foo, C. Y., Mai, Y. and Suen, C. (2011). Feature extraction using convolution; Pooling. UFLDL
    tutorial.
    Coates, A., Lee, H. and Ng, A. Y. (2011). An analysis of single-layer networks in unsupervised feature learning.
    AISTATS, 215-223.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import ConvolvedFeatures, SparseAutoencoder, sample_patches
    >>> images = np.random.default_rng(0).random((20, 16, 16, 3))
    >>> patches = sample_patches(images, patch_size=4, n_patches=200, random_state=0)
    >>> autoencoder = SparseAutoencoder(n_components=5, sparsity_weight=0.1, tol=1e-2, random_state=0).fit(patches)
    >>> ConvolvedFeatures(autoencoder, regions=2).fit_transform(images).shape
    (20, 20)
    """

    _set_by_fit: ClassVar[str] = "kernel_"
    #: Parameters that are fitted models, which model files hold as such.
    models_within: ClassVar[tuple[str, ...]] = ("autoencoder",)
    #: Keys of the dict that `_describe_learned` returns.
    _keys_of_learned: ClassVar[tuple[str, ...]] = ("autoencoder", "image_shape")
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "pooling": [NamedPart(_POOLINGS)],
        "regions": [AT_LEAST_1, tuple, list],
        "stride": [AT_LEAST_1, tuple, list],
        "image_shape": [None, tuple, list],
        "patch_shape": [None, tuple, list],
        "n_jobs": [None, Integral],
    }

    def __init__(
        self,
        autoencoder: Any,
        *,
        pooling: str = "mean",
        regions: int | Sequence[int] = 3,
        stride: int | Sequence[int] = 1,
        image_shape: Sequence[int] | None = None,
        patch_shape: Sequence[int] | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.autoencoder = autoencoder
        self.pooling = pooling
        self.regions = regions
        self.stride = stride
        self.image_shape = image_shape
        self.patch_shape = patch_shape
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike | RowSource, y: object = None) -> Self:
        """Check that the autoencoder suits the images, and fold its preprocessing into its first layer.

        Nothing is learned from X; only its shape matters.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, height, width), (n_samples, height, width, n_channels), or \
(n_samples, n_features)
            Images; flat rows need `image_shape`.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        NotFittedError
            If the autoencoder is not fitted.
        ValueError
            If a parameter is out of its range; the autoencoder has a layer or an activation that cannot be convolved;
            a step of the pipeline is not affine; the patches do not fit into the images, or have another number of
            channels; or there are more regions than places.
        """
        self._validate_params()
        ThreadEngine(self.n_jobs)
        image_shape = shape_of_images(self.image_shape, row_shape_of(X))
        steps, encoder = self._encoder()
        W, b = fold_steps(steps, encoder[0][1].W, encoder[0][1].b)
        self._set_up(image_shape, shape_of_patches(self.patch_shape, W.shape[0], image_shape), W, b)
        return self

    def _set_up(
        self, image_shape: tuple[int, int, int], patch_shape: tuple[int, int, int], W: FloatArray, b: FloatArray
    ) -> None:
        """Set the fitted attributes, or raise ValueError if there are more regions than places.

        Parameters
        ----------
        image_shape, patch_shape : tuple of three int
            Height, width and number of channels.
        W, b : arrays of shape (n_patch_numbers, n_units) and (n_units,)
            Weights and biases of the first layer for patches without preprocessing.
        """
        steps, encoder = self._encoder()
        regions, stride = pair_of("regions", self.regions), pair_of("stride", self.stride)
        places = Windows(image_shape[:2], patch_shape[:2], stride, "valid").places
        if any(parts > along for parts, along in zip(regions, places, strict=True)):
            raise ValueError(
                f"regions must be at most {places[0]} down and {places[1]} across, because a patch fits into an image"
                f" at that many places; got {regions}."
            )
        first = encoder[0][0].activation
        self.kernel_, self.bias_ = W.reshape(*patch_shape, -1), b
        self.image_shape_, self.patch_shape_, self.regions_ = image_shape, patch_shape, regions
        self.n_features_in_ = prod(image_shape)
        self._parts = (*steps, steps_of(self.autoencoder)[1])
        self._pooled = PooledConvolution(self.kernel_, b, first, encoder[1:], stride, self._edges(places))

    def _describe_learned(self, file: ModelWriter, prefix: str) -> dict[str, Any]:
        """Return a description of the fitted autoencoder and of the images, for a model file."""
        steps, encoder = self._encoder()
        W, b = fold_steps(steps, encoder[0][1].W, encoder[0][1].b)
        now = [(W.reshape(self.kernel_.shape), b), *((own.W, own.b) for _, own in encoder[1:])]
        then = [(self.kernel_, self.bias_), *((own.W, own.b) for _, own in self._pooled.further)]
        if len(now) != len(then) or not all(
            one.shape == other.shape and np.allclose(one, other, rtol=1e-6)
            for pair in zip(now, then, strict=True)
            for one, other in zip(*pair, strict=True)
        ):
            raise ModelFileError("the autoencoder has changed since the fit of ConvolvedFeatures; call its fit again.")
        file.arrays[f"{prefix}kernel_"], file.arrays[f"{prefix}bias_"] = self.kernel_, self.bias_
        return {
            "autoencoder": file.model(self.autoencoder, f"{prefix}autoencoder."),
            "image_shape": list(self.image_shape_),
        }

    def _restore_learned(self, file: ModelReader, described: dict[str, Any], prefix: str) -> None:
        """Restore what `_describe_learned` has described; raise ValueError if its parts do not fit together."""
        self.autoencoder = file.model(file.get(described, "autoencoder", dict), f"{prefix}autoencoder.")
        given = file.get(described, "image_shape", list)
        if len(given) != 3 or not all(type(size) is int and 1 <= size <= _LONGEST_SIDE for size in given):
            raise ValueError(f"images must have three sizes, integers from 1 to {_LONGEST_SIDE}.")
        row_shape = tuple(given) if self.image_shape is None else (prod(given),)
        image_shape = shape_of_images(self.image_shape, row_shape)
        if image_shape != tuple(given):
            raise ValueError(f"the fit was to images of the shape {tuple(given)}, but image_shape={self.image_shape}.")
        steps, encoder = self._encoder()
        patch_shape = shape_of_patches(
            self.patch_shape, [*steps, steps_of(self.autoencoder)[1]][0].n_features_in_, image_shape
        )
        n_units = encoder[0][0].n_outputs
        kernel = file.take(f"{prefix}kernel_", (*patch_shape, n_units), np.float64)
        bias = file.take(f"{prefix}bias_", (n_units,), np.float64)
        self._set_up(image_shape, patch_shape, kernel.reshape(-1, n_units), bias)

    def transform(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return the pooled features of images.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, height, width), (n_samples, height, width, n_channels), or \
(n_samples, n_features)
            Images of the same shape as the images of the fit; flat rows hold the numbers of an image in the same order.

        Returns
        -------
        array of shape (n_samples, n_regions_down * n_regions_across * n_units)
            The features, region by region, from left to right and from top to bottom: float32 for float32 images, and
            float64 for all others.

        Raises
        ------
        ValueError
            If the images differ in shape from the images of the fit, contain numbers that are not finite, or have
            activations that are too large for their dtype.

        Warns
        -----
        UserWarning
            If patches of the images are on another scale than the patches to which the autoencoder was fitted.
        """
        check_is_fitted(self)
        row_shape = row_shape_of(X)
        if row_shape != (self.n_features_in_,) and shape_of_images(self.image_shape, row_shape) != self.image_shape_:
            raise ValueError(
                f"the images of X must have the shape {self.image_shape_}, as those of the fit had; got"
                f" {shape_of_images(self.image_shape, row_shape)}."
            )
        rows = _as_source(X)
        self._warn_of_other_scale(rows)
        out = np.empty((len(rows), self._n_features_out), rows.dtype)
        pooled = self._pooled.of_dtype(rows.dtype)
        step = _images_at_once(len(rows), self.n_features_in_ * rows.dtype.itemsize)
        blocks = [slice(start, min(start + step, len(rows))) for start in range(0, len(rows), step)]

        def write_block(block: slice, worker: int) -> None:
            pooled.write(self._read(rows, block), self.pooling, out[block])
            if not np.isfinite(out[block]).all():
                raise ValueError(
                    f"the features of images {block.start} to {block.stop} are too large for {rows.dtype}; scale the"
                    " images as the autoencoder's patches were scaled, or use float64."
                )

        ThreadEngine(self.n_jobs).for_each(write_block, blocks)
        return out

    def _read(self, rows: RowSource, block: slice) -> FloatArray:
        """Return some images, of shape (n, height, width, n_channels); raise ValueError if they are not finite."""
        read = rows.read(block.start, block.stop)
        check_finite_block(read, rows.name, block.start, rows.feature_names)
        height, width, n_channels = self.image_shape_
        if in_planes(self.image_shape):
            return np.moveaxis(read.reshape(-1, n_channels, height, width), 1, -1)
        return read.reshape(-1, height, width, n_channels)

    def _encoder(self) -> tuple[list[Any], list[tuple[DenseLayer, LayerParameters]]]:
        """Return the preprocessing and the layers of the encoder with their parameters, or raise ValueError."""
        steps, autoencoder = steps_of(self.autoencoder)
        if not isinstance(autoencoder, BaseAutoencoder):
            raise ValueError(
                "autoencoder must be a fitted autoencoder of rhohat, or a fitted Pipeline that ends in one; got"
                f" {self.autoencoder!r}."
            )
        try:
            check_is_fitted(autoencoder)
        except NotFittedError as error:
            raise not_fitted(autoencoder) from error
        encoder = []
        for number, layer in enumerate(autoencoder.network_.layers[: autoencoder.code_layer_]):
            if not isinstance(layer, DenseLayer):
                raise ValueError(
                    f"the features of {type(autoencoder).__name__} cannot be convolved, because layer {number} of its"
                    f" encoder is a {type(layer).__name__}; use an autoencoder whose encoder has dense layers only."
                )
            if not isinstance(layer.activation, ElementwiseActivation):
                raise ValueError(
                    f"the features of {type(autoencoder).__name__} cannot be convolved, because the activation"
                    f" {layer.activation.name!r} of layer {number} of its encoder does not act on each unit by itself,"
                    " or has parameters of its own; use another activation, such as 'sigmoid' or 'relu'."
                )
            W, b = autoencoder.coefs_[number].copy(), autoencoder.intercepts_[number].copy()
            encoder.append((layer, LayerParameters(W, b, b[:0])))
        return steps, encoder

    def _edges(self, places: tuple[int, int]) -> tuple[list[int], list[int]]:
        down, across = (
            [part * (along // parts) + min(part, along % parts) for part in range(parts + 1)]
            for along, parts in zip(places, self.regions_, strict=True)
        )
        return down, across

    def _warn_of_other_scale(self, rows: RowSource) -> None:
        """Warn if patches of some images are on another scale than the patches of the fit."""
        numbers = np.unique(np.linspace(0, len(rows) - 1, _IMAGES_LOOKED_AT).astype(int)).tolist()
        some = np.concatenate([self._some_patches(self._read(rows, slice(one, one + 1))[0]) for one in numbers])
        for part in self._parts:
            training_range = getattr(part, "training_range_", None)
            if training_range is not None:
                remark = None if rows.scale_is_known else remark_on_scale(some, training_range)
                if remark is not None:
                    warnings.warn(remark, stacklevel=4)
                return
            if part is self._parts[-1]:
                return
            with suppress(ValueError):  # of steps that refuse numbers that are too large
                some = apply_step(part, some)

    def _some_patches(self, image: FloatArray) -> FloatArray:
        """Return some patches of an image, evenly spread, as flat rows."""
        places = np.lib.stride_tricks.sliding_window_view(image, self.patch_shape_[:2], axis=(0, 1))
        flat = np.linspace(0, places.shape[0] * places.shape[1] - 1, _PATCHES_LOOKED_AT).astype(int)
        found = places[np.divmod(flat, places.shape[1])]  # (n, n_channels, height, width)
        return np.moveaxis(found, 1, -1).reshape(len(flat), -1)

    @property
    def _n_features_out(self) -> int:
        return prod(self.regions_) * self._pooled.n_units

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, without the parameters of the fitted autoencoder, which is not fitted again.

        Parameters
        ----------
        deep : bool, default=True
            Ignored.

        Returns
        -------
        dict of str to object
        """
        return super().get_params(deep=False)

    def set_params(self, **params: Any) -> Self:
        """Set parameters; parameters of the fitted autoencoder itself are refused.

        Parameters
        ----------
        **params : object
            Parameters of the constructor.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no such parameter, or if it is one of the autoencoder's own parameters.
        """
        inner = next((name for name in params if name.startswith("autoencoder__")), None)
        if inner is not None:
            raise ValueError(
                f"{inner} cannot be set, because the autoencoder is fitted already and is not fitted again; set the"
                " parameter autoencoder to another fitted autoencoder."
            )
        return super().set_params(**params)

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted copy with the same, fitted, autoencoder; `sklearn.base.clone` calls this."""
        copied = type(self)(**self.get_params())
        for name in ("_metadata_request", "_sklearn_output_config"):
            if name in vars(self):
                setattr(copied, name, deepcopy(vars(self)[name]))
        return copied

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _as_source(X: Any) -> RowSource:
    """Return images as a row source, which converts them to floats block by block."""
    if isinstance(X, RowSource):
        return X
    if isinstance(X, np.ndarray | list | tuple):
        return ArrayRows(X, "X")
    return open_rows(X)  # which counts the columns one by one


def _images_at_once(n_images: int, n_bytes: int) -> int:
    """Return the number of images of a block, which depends on shapes only."""
    return int(np.clip(min(_BYTES_OF_A_BLOCK // n_bytes, n_images // _FEWEST_BLOCKS), 1, _MOST_IMAGES))
