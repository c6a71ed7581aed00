"""Tangent vectors of images: how the pixels change when the image is moved, turned, scaled or thickened a little."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral

import numpy as np
import scipy  # which imports its parts when they are used
from numpy.typing import ArrayLike

from rhohat.common.arrays import FloatArray, as_float_rows

__all__ = ["image_tangents"]

#: Functions that return τ from the gradient (I_x, I_y) of images and the coordinates (x, y) of their pixels, counted
#: from the centre to the right and down. If the points of an image move with velocity v, τ = −v·∇I.
_TANGENTS: dict[str, Callable[..., FloatArray]] = {
    "horizontal_shift": lambda I_x, I_y, x, y: -I_x,
    "vertical_shift": lambda I_x, I_y, x, y: -I_y,
    "rotation": lambda I_x, I_y, x, y: x * I_y - y * I_x,
    "scaling": lambda I_x, I_y, x, y: -(x * I_x + y * I_y),
    "thickening": lambda I_x, I_y, x, y: np.hypot(I_x, I_y),
}


def image_tangents(
    X: ArrayLike,
    image_shape: tuple[int, ...],
    transformations: Sequence[str] = ("horizontal_shift", "vertical_shift", "rotation", "scaling", "thickening"),
    smoothing: float = 0.0,
) -> FloatArray:
    """Return the tangent vectors of images under transformations, τ = ∂s(x, α)/∂α at α = 0.

    s(x, α) is the image x transformed by the amount α, so s(x, α) ≈ x + α τ for small α. With the coordinates (x, y)
    counted from the centre of the image to the right and down, and with the gradient ∇I = (I_x, I_y):

    ==================  ==============  =============================================  =======================
    transformation      τ               what is done to the image                      unit of α
    ==================  ==============  =============================================  =======================
    horizontal_shift    −I_x            it moves to the right                          pixel
    vertical_shift      −I_y            it moves down                                  pixel
    rotation            x I_y − y I_x   it turns counterclockwise about its centre     radian
    scaling             −x I_x − y I_y  it grows about its centre                      1 (0.1 is 10 % larger)
    thickening          ‖∇I‖            bright strokes grow along their whole outline  pixel (on either side)
    ==================  ==============  =============================================  =======================

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Images, one in each row, raveled in C order (row, column, channel).
    image_shape : tuple of int
        Shape of an image, (height, width) or (height, width, n_channels). Height and width are at least 2, and the
        product of all numbers is n_features.
    transformations : sequence of str, default=all of the table above
        Names of the transformations, in the order in which their tangents are returned.
    smoothing : float, default=0.0
        Standard deviation, in pixels, of a Gaussian that blurs the images before they are differentiated; 0 means no
        blurring. Blurring makes x + α τ a worse approximation for small α and a better one for larger α: on handwritten
        digits, 0 is best for shifts of one pixel, and 1 is better for shifts of two.

    Returns
    -------
    array of shape (n_samples, n_transformations, n_features), float32 for float32 and else float64
        The tangent vectors τ.

    Raises
    ------
    ValueError
        If X is not a finite array of two dimensions whose columns match `image_shape`, a transformation is unknown
        or none is given, or `smoothing` is negative.

    Notes
    -----
    ∇I is computed by central differences, (I(x + 1) − I(x − 1)) / 2, and by one-sided differences at the border. A
    shift tangent is therefore the central difference of the image shifted by one pixel to either side. The other
    tangents follow by the chain rule. They are the limits, for small steps, of central differences of images warped
    with linear interpolation.

    Thickening is dilation by a disc of radius α. As for the shifts, the unit of α is a pixel, and the tangent
    is proportional to the values of the image. Simard et al. use ‖∇I‖², which moves every point by α∇I and therefore
    depends on the contrast.

    References
    ----------
    Simard, P., Victorri, B., LeCun, Y. and Denker, J. (1992). Tangent Prop: a formalism for specifying selected
    invariances in an adaptive network. NIPS 4, 895-903.

    Simard, P., LeCun, Y., Denker, J. and Victorri, B. (1998). Transformation invariance in pattern recognition:
    tangent distance and tangent propagation. Neural Networks: Tricks of the Trade, LNCS 1524, 239-274.

    Bishop, C. M. (2006). Pattern Recognition and Machine Learning, sections 5.5.4 and 5.5.5.

    Examples
    --------
    >>> ramp = np.tile(np.arange(4.0), (3, 1))
    >>> tangents = image_tangents(ramp.reshape(1, -1), (3, 4), ["horizontal_shift", "rotation"])
    >>> tangents.shape
    (1, 2, 12)
    >>> (ramp + 0.5 * tangents[0, 0].reshape(3, 4))[0]  # half a pixel to the right
    array([-0.5,  0.5,  1.5,  2.5])
    """
    images = _check_rows(X, image_shape)
    unknown = [name for name in transformations if name not in _TANGENTS]
    if unknown or len(transformations) == 0:
        raise ValueError(
            f"transformations must be a sequence of at least one of {list(_TANGENTS)}; got {transformations!r}."
        )
    if not (smoothing >= 0 and np.isfinite(smoothing)):
        raise ValueError(f"smoothing must be finite and at least 0, in pixels; got {smoothing}.")

    if smoothing > 0:
        images = scipy.ndimage.gaussian_filter(images, (0, smoothing, smoothing, 0), mode="nearest")
    I_y, I_x = np.gradient(images, axis=(1, 2))
    height, width = images.shape[1:3]
    y = (np.arange(height, dtype=images.dtype) - (height - 1) / 2)[:, np.newaxis, np.newaxis]
    x = (np.arange(width, dtype=images.dtype) - (width - 1) / 2)[:, np.newaxis]
    tangents = np.empty((len(images), len(transformations), *images.shape[1:]), dtype=images.dtype)
    for index, name in enumerate(transformations):
        tangents[:, index] = _TANGENTS[name](I_x, I_y, x, y)
    return tangents.reshape(*tangents.shape[:2], height * width * images.shape[3])


def _check_rows(X: ArrayLike, image_shape: tuple[int, ...]) -> FloatArray:
    """Return rows as images of shape (n_samples, height, width, n_channels), or raise ValueError."""
    shape = tuple(image_shape)
    if (
        len(shape) not in (2, 3)
        or not all(isinstance(size, Integral) and size >= 1 for size in shape)
        or 1 in shape[:2]
    ):
        raise ValueError(
            "image_shape must be (height, width) or (height, width, n_channels), integers with height and width at"
            f" least 2; got {image_shape!r}."
        )
    rows = np.asarray(X)
    if rows.ndim != 2 or rows.shape[1] != np.prod(shape):
        raise ValueError(
            f"X must have the shape (n_samples, {np.prod(shape)}) to hold images of the shape {shape}; got"
            f" {rows.shape}. Pass the image_shape that the rows were raveled from."
        )
    if rows.dtype.kind not in "buif" or not np.all(np.isfinite(rows)):
        raise ValueError("X must hold finite real numbers; replace all other values first.")
    return as_float_rows(rows).reshape(len(rows), *(*shape, 1)[:3])
