"""Plots with Matplotlib: each function draws on the given or on new Axes, and returns them without showing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.common.extras import import_extra
from rhohat.common.image_shapes import as_images, check_image_shape, square_image_shape
from rhohat.estimators.base import BaseNetwork
from rhohat.inspection.feature_maps import (
    ChannelMaps,
    as_pictures,
    convolves_images,
    filters_of,
    layer_of_maps,
    maps_of_channels,
    some_channels,
)
from rhohat.inspection.top_rows import runs_of_rows
from rhohat.models.pipelines import estimator_of, is_pipeline, open_model_rows, prepare_rows
from rhohat.terms.penalties import KLSparsity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["new_axes", "plot_feature_maps", "plot_filters", "plot_kl", "plot_loss_curve", "plot_reconstructions"]


def plot_filters(
    filters: ArrayLike | BaseNetwork,
    image_shape: tuple[int, ...] | None = None,
    *,
    normalize: str | tuple[float, float] = "each",
    columns: int | None = None,
    colormap: str = "gray",
    border: int = 1,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw filters, patches or other small images as a grid.

    Parameters
    ----------
    filters : array-like of shape (n_filters, n_features), or fitted model
        One image per row, raveled in C order, such as the rows of `SparseAutoencoder.maximal_inputs()`. Of a fitted
        estimator whose first layer is a convolution, or of a pipeline that ends in one, the filters are drawn: in grey
        for 1 channel, in colour for 3 channels, and otherwise as an image of each channel, side by side.
    image_shape : tuple of int, default=None
        (height, width) for grey images; (height, width, 3) for images in colour; or (3, height, width) for images in
        colour whose rows hold all red values first, then all green, then all blue ones. If None, images are square:
        grey if n_features is a square number, else of shape (height, width, 3).
    normalize : {"each", "all"} or tuple of two floats, default="each"
        "each": 0 is drawn as mid-grey, and the largest absolute value of each filter as black or white. "all": the
        same with the largest absolute value of all filters. A pair: the values drawn as black and as white.
    columns : int, default=None
        Number of images in a row of the grid. If None, the grid is about square.
    colormap : str, default="gray"
        Matplotlib colormap for grey filters.
    border : int, default=1
        Number of pixels between images.
    title : str, default=None
        Title of the Axes.
    ax : matplotlib Axes, default=None
        Axes to draw on. If None, new Axes are created.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the filters are not rows of finite numbers, a parameter is out of its range or does not fit the filters, or
        the first layer of the model is not a convolution.
    MissingExtraError
        If Matplotlib is not installed.

    Examples
    --------
    >>> ax = plot_filters(np.random.default_rng(0).normal(size=(25, 64)))
    >>> ax.images[0].get_array().shape
    (46, 46)
    """
    channels = None
    if isinstance(filters, BaseNetwork) or is_pipeline(filters):
        if image_shape is not None:
            raise ValueError(f"image_shape must be None, as the model knows its filters' shape; got {image_shape}.")
        filters = filters_of(filters)
        channels = filters.shape
        filters = filters.reshape(len(filters), -1)
    rows = np.asarray(filters, dtype=np.float64)
    if rows.ndim != 2 or rows.size == 0 or not np.all(np.isfinite(rows)):
        raise ValueError(
            "filters must be an array of shape (n_filters >= 1, n_features), without NaN or infinity; got an array of"
            f" shape {rows.shape}."
        )
    scaled = _scaled(rows, normalize)
    if channels is None:
        images = as_images(scaled, _image_shape(rows.shape[1], image_shape))
    else:
        images = as_pictures(scaled.reshape(channels))
    if columns is None:
        columns = int(np.ceil(np.sqrt(len(images))))
    if columns < 1 or border < 0:
        raise ValueError(f"columns must be >= 1 and border >= 0; got {columns} and {border}.")
    ax = new_axes(ax)
    ax.imshow(_tiled(images, columns, border), cmap=colormap, vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title)
    return ax


def plot_reconstructions(
    originals: ArrayLike,
    reconstructions: ArrayLike,
    image_shape: tuple[int, ...] | None = None,
    *,
    n_images: int = 12,
    colormap: str = "gray",
    ax: Axes | None = None,
) -> Axes:
    """Draw rows as images above their reconstructions, on a common scale from black to white.

    Parameters
    ----------
    originals, reconstructions : array-like of shape (n_samples, n_features)
    image_shape : tuple of int, default=None
        See `plot_filters`.
    n_images : int, default=12
        Number of rows to draw, from the first row on.
    colormap : str, default="gray"
    ax : matplotlib Axes, default=None

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the shapes differ, there are no rows, or n_images is below 1.

    Examples
    --------
    >>> X = np.random.default_rng(0).random((20, 64))
    >>> ax = plot_reconstructions(X, 0.9 * X)
    """
    above, below = np.asarray(originals, dtype=np.float64), np.asarray(reconstructions, dtype=np.float64)
    if above.shape != below.shape or above.ndim != 2:
        raise ValueError(
            f"originals and reconstructions must have the same shape (n_samples, n_features); got {above.shape} and"
            f" {below.shape}."
        )
    above, below = above[: max(n_images, 0)], below[: max(n_images, 0)]
    if above.size == 0:
        raise ValueError(
            f"originals must have at least one row, and n_images must be >= 1; got {len(originals)} rows and"  # type: ignore[arg-type]
            f" {n_images=}."
        )
    scale = (float(min(above.min(), below.min())), float(max(above.max(), below.max())))
    return plot_filters(
        np.concatenate([above, below]),
        image_shape,
        normalize=scale,
        columns=len(above),
        colormap=colormap,
        title="originals above, reconstructions below",
        ax=ax,
    )


def plot_feature_maps(
    model: Any,
    data: Any,
    channels: Sequence[int] | None = None,
    *,
    layer: int | None = None,
    n_rows: int = 4,
    colormap: str = "gray",
    border: int = 1,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw, for some channels of a network of convolutions, the images that activate a channel most beside their maps.

    Each line of the grid is a channel. It has pairs of an image and, to the right of it and enlarged to its size, the
    activations of the channel at all places. For the maps of a channel, black is the smallest and white the largest
    activation.

    Parameters
    ----------
    model : fitted estimator, or Pipeline that ends in one
        A network whose first layer is a convolution of images.
    data : path, array, Dask array or RowSource
        Images in the form that the model was fitted to: anything that `open_rows` opens. They are drawn as the network
        sees them, after the preprocessing of the model.
    channels : sequence of int, default=None
        Numbers of the channels, from 0. None means at most 8, spread evenly.
    layer : int, default=None
        Number of the layer, from 0; see `rhohat.feature_maps`.
    n_rows : int, default=4
        Number of images for each channel: those with the largest mean activation of the channel over all places.
    colormap : str, default="gray"
        Matplotlib colormap for grey images and for maps beside them.
    border : int, default=1
        Number of pixels between images.
    title : str, default=None
        Title of the Axes.
    ax : matplotlib Axes, default=None
        Axes to draw on. If None, new Axes are created.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the first layer is not a convolution of images, the layer has no maps or no such channel, a parameter is out
        of its range, or in the cases in which `open_rows` raises it.
    MissingExtraError
        If Matplotlib is not installed.

    Examples
    --------
    >>> from rhohat import Convolution, ConvolutionalAutoencoder
    >>> X = np.random.default_rng(0).random((50, 8, 8))
    >>> autoencoder = ConvolutionalAutoencoder(layers=[Convolution(4, 3)], tol=10, random_state=0).fit(X)
    >>> ax = plot_feature_maps(autoencoder, X, n_rows=3)
    >>> ax.images[0].get_array().shape
    (37, 55)
    """
    estimator = estimator_of(model)
    check_is_fitted(estimator)
    if not convolves_images(estimator):
        raise ValueError(
            f"the first layer of {type(estimator).__name__} must be a convolution of images, of the shape (height,"
            f" width, channels); its rows have the shape {estimator.network_.input_shape}."
        )
    number = layer_of_maps(estimator, layer)
    n_channels = estimator.network_.layers[number - 1].output_channels
    chosen = some_channels(n_channels, 8).tolist() if channels is None else list(channels)
    if not chosen or not all(0 <= channel < n_channels for channel in chosen) or n_rows < 1 or border < 0:
        raise ValueError(
            f"channels must be numbers from 0 to {n_channels - 1}, n_rows must be >= 1, and border must be >= 0; got"
            f" {channels}, {n_rows} and {border}."
        )
    source = open_model_rows(model, data)
    try:
        rows = prepare_rows(model, source)
        runs = runs_of_rows(len(rows), None)
        found = maps_of_channels(estimator, rows, chosen, layer=number, n_rows=n_rows, runs=runs)
    finally:
        if source is not data:
            source.close()
    ax = new_axes(ax)
    tiles = _pairs(found)
    drawn = _tiled(tiles, len(tiles) // len(found), border)
    ax.imshow(drawn, cmap=colormap, vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title)
    return ax


def plot_loss_curve(estimator: BaseNetwork, *, ax: Axes | None = None) -> Axes:
    """Draw the cost J and its terms over the iterations of a fit, or over the updates of a dictionary.

    The curve begins with the first iteration of the warm-up, if there was one. J is computed on some of the rows there,
    and drawn lighter. Terms that were always 0 are left out, as the axis of the cost is logarithmic.

    Parameters
    ----------
    estimator : fitted estimator
        Any estimator with the attributes `loss_curve_` and `terms_curve_`, such as `SparseAutoencoder`.
    ax : matplotlib Axes, default=None

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    >>> from rhohat import SparseAutoencoder
    >>> X = np.random.default_rng(0).random((50, 9))
    >>> fitted = SparseAutoencoder(n_components=2, sparsity=0.1, max_iter=2000, random_state=0).fit(X)
    >>> [line.get_label() for line in plot_loss_curve(fitted).lines]
    ['J', 'squared error', 'weight decay', 'kl sparsity']
    """
    ax = new_axes(ax)
    warm_up = getattr(estimator, "warm_up_curves_", {})  # estimators that were pickled by an earlier version have none
    begin = 1
    for number, (n_rows, values) in enumerate(warm_up.items()):
        label = f"J on {n_rows:,} rows, the warm-up"
        ax.plot(begin + np.arange(len(values)), values, color=f"{0.75 - 0.1 * min(number, 3):.2f}", label=label)
        begin += len(values)
    iterations, unit = begin + np.arange(len(estimator.loss_curve_)), "iteration"
    rows_seen = getattr(estimator, "measures_curve_", {}).get("rows")
    if rows_seen:  # a dictionary, whose curves have a number for each block of updates
        iterations, unit = estimator.n_steps_ * np.array(rows_seen) / rows_seen[-1], "updates"
    ax.plot(iterations, estimator.loss_curve_, color="black", label="J on all rows" if warm_up else "J")
    for name, values in estimator.terms_curve_.items():
        if np.greater(values, 0).any() or not len(values):
            ax.plot(iterations, values, linewidth=1, label=name.replace("_", " "))
    ax.set_yscale("log")
    ax.set_xlabel(unit)
    ax.set_ylabel("cost")
    ax.legend()
    return ax


def plot_kl(sparsity: float = 0.2, weight: float = 1.0, *, ax: Axes | None = None) -> Axes:
    """Draw the sparsity penalty β KL(ρ ‖ ρ̂) of one unit over its mean activation ρ̂.

    Parameters
    ----------
    sparsity : float, default=0.2
        Target ρ of the mean activation, in (0, 1).
    weight : float, default=1.0
        Weight β of the penalty.
    ax : matplotlib Axes, default=None

    Returns
    -------
    matplotlib Axes

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 3, figure of KL(ρ ‖ ρ̂) at ρ = 0.2.

    Examples
    --------
    >>> plot_kl(0.2).get_xlabel()
    'mean activation ρ̂'
    """
    penalty = KLSparsity(sparsity, weight)
    rho_hat = np.linspace(0.001, 0.999, 999)
    values = [penalty.value(rho_hat[k : k + 1], (0.0, 1.0), rho_hat.dtype) for k in range(len(rho_hat))]
    ax = new_axes(ax)
    ax.plot(rho_hat, values, color="black")
    ax.axvline(sparsity, linestyle=":", color="gray", label=f"ρ = {sparsity:g}")
    ax.set_xlabel("mean activation ρ̂")
    ax.set_ylabel("β KL(ρ ‖ ρ̂)")
    ax.legend()
    return ax


def _pairs(found: Sequence[ChannelMaps]) -> FloatArray:
    """Return the images of channels, each followed by its map in the same size, on scales from 0 to 1."""
    scale = min(float(one.images.min()) for one in found), max(float(one.images.max()) for one in found)
    tiles = []
    for one in found:
        images = as_pictures(_scaled(one.images, scale))
        maps = _scaled(one.maps, (float(one.maps.min()), float(one.maps.max())))
        down, across = (
            np.arange(size) * length // size for size, length in zip(images.shape[1:3], maps.shape[1:], strict=True)
        )
        enlarged = maps[:, down[:, None], across]
        if images.ndim == 4:
            enlarged = np.repeat(enlarged[..., None], 3, axis=-1)
        tiles.append(np.stack([images, enlarged], axis=1).reshape(-1, *images.shape[1:]))
    return np.concatenate(tiles)


def new_axes(ax: Axes | None) -> Axes:
    """Return the given Axes, or new ones if there are none."""
    if ax is not None:
        return ax
    pyplot = import_extra("matplotlib.pyplot", "app")
    new: Axes = pyplot.subplots()[1]
    return new


def _image_shape(n_features: int, image_shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the given shape, or else a square shape for n_features values; raise ValueError if no square fits."""
    if image_shape is not None:
        return check_image_shape(image_shape, n_features)
    square = square_image_shape(n_features)
    if square is None:
        raise ValueError(
            f"{n_features} features do not form a square image, neither in grey nor in colour; pass"
            " image_shape=(height, width), or for images in colour (height, width, 3) or (3, height, width)."
        )
    return square


def _scaled(rows: FloatArray, normalize: str | tuple[float, float]) -> FloatArray:
    """Return the rows mapped to [0, 1]."""
    if isinstance(normalize, str):
        if normalize not in ("each", "all"):
            raise ValueError(f"normalize must be 'each', 'all' or a pair of values; got {normalize!r}.")
        largest = np.abs(rows).max(axis=1 if normalize == "each" else None, keepdims=True)
        return 0.5 + 0.5 * rows / np.where(largest > 0, largest, 1)
    low, high = normalize
    scaled: FloatArray = np.clip((rows - low) / (high - low if high > low else 1), 0, 1)
    return scaled


def _tiled(images: FloatArray, columns: int, border: int) -> FloatArray:
    """Return images of shape (n, height, width[, 3]) as one image: a grid with a mid-grey border around each."""
    height, width = images.shape[1:3]
    n_rows = -(-len(images) // columns)
    canvas = np.full((n_rows * (height + border) + border, columns * (width + border) + border, *images.shape[3:]), 0.5)
    for index, image in enumerate(images):
        top = border + (index // columns) * (height + border)
        left = border + (index % columns) * (width + border)
        canvas[top : top + height, left : left + width] = image
    return canvas
