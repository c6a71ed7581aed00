"""Choice of how rows are drawn, from what is known of the model and the rows: as images, or as named features."""

from __future__ import annotations

from typing import Any

from sklearn.base import ClassNamePrefixFeaturesOutMixin, OneToOneFeatureMixin

from rhohat.common.image_shapes import check_image_shape, is_image_shape, square_image_shape
from rhohat.data import RowSource
from rhohat.models.pipelines import estimator_of, feature_names_of, preprocessing_of, row_shape_of

__all__ = ["choose_image_shape", "choose_names"]

_FEWEST_PIXELS = 16  # for rows that are drawn as images only because their number of features allows a square


def choose_image_shape(
    image_shape: Any, model: Any, names: list[str] | None, source: RowSource | None = None
) -> tuple[int, ...] | None:
    """Return the shape in which the rows that a network sees are drawn as images, or None if they are not images.

    Parameters
    ----------
    image_shape : "auto", None or tuple
        "auto": the shape that rows have in the source, or had in the fit, if it is the shape of an image. If the rows
        were flat, and there are 16 or more features without names, it is a square if their number allows it, in grey or
        else of shape (height, width, 3), but not for dictionaries. Sequences, of networks that go through steps, are no
        images. None: rows are not drawn as images.
    model : fitted model
        Estimator, or pipeline that ends in one.
    names : list of str, or None
        Names of the features: see `choose_names`.
    source : RowSource, default=None
        Rows as the network sees them, after the preprocessing of the model; None if there are no rows to draw.

    Returns
    -------
    tuple of int, or None
        (height, width), (height, width, 3), or (3, height, width): see `rhohat.common.image_shapes.as_images`.

    Raises
    ------
    ValueError
        If `image_shape` is none of the values above, or does not fit the number of features.
    """
    if image_shape is None:
        return None
    if not isinstance(image_shape, str):
        return check_image_shape(image_shape, estimator_of(model).n_features_in_)
    if image_shape != "auto":
        raise ValueError(f"image_shape must be 'auto', None, or a tuple of integers; got {image_shape!r}.")
    return _guess_image_shape(model, names, source)


def _guess_image_shape(model: Any, names: list[str] | None, source: RowSource | None) -> tuple[int, ...] | None:
    # The output of a PCA of images is not an image, although it may have as many features.
    if any(isinstance(step, ClassNamePrefixFeaturesOutMixin) for step in preprocessing_of(model)):
        return None
    if estimator_of(model).n_steps_of_rows_ is not None:
        return None  # the rows are sequences
    row_shapes = [row_shape_of(model)] if source is None else [source.row_shape, row_shape_of(model)]
    for row_shape in row_shapes:
        sizes = tuple(size for size in row_shape if size > 1)
        if len(sizes) > 1:
            return sizes if is_image_shape(sizes) else None
    n_features, has_sparse_codes = estimator_of(model).n_features_in_, estimator_of(model).has_sparse_codes
    if names is not None or n_features < _FEWEST_PIXELS:
        return None
    if has_sparse_codes:
        return None  # dictionaries learn from activations, which are no pictures, though 4,096 is a square number
    return square_image_shape(n_features)


def choose_names(model: Any, source: RowSource | None = None) -> list[str] | None:
    """Return the names of the columns that the network sees, from the fit or else from the rows; None if unknown."""
    known = feature_names_of(model)
    if (
        known is None
        and source is not None
        and all(isinstance(step, OneToOneFeatureMixin) for step in preprocessing_of(model))
    ):
        known = source.feature_names
    return known
