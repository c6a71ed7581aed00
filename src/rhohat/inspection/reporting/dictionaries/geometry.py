"""Where the directions of latents lie: coordinates from which the page computes cosines, and a map of them."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.extras import import_extra
from rhohat.inspection.reporting.page_data import Column

__all__ = ["PROJECTIONS", "Geometry", "check_projection", "geometry_of"]

PROJECTIONS = ("auto", "pca", "umap")

_MOST_NUMBERS = 1_200_000  # coordinates of all latents together
_MOST_FOR_UMAP, _LEAST_FOR_UMAP = 30_000, 20  # latents: UMAP takes minutes for more, and says little of fewer
_GRID = 65535  # parts of the width and of the height of the map


@dataclass(frozen=True)
class Geometry:
    """Directions of latents in fewer numbers.

    Attributes
    ----------
    coordinates : array of int8, of shape (n_latents, n_dimensions)
        Coordinates of the directions, scaled to norm 1, in `scale` / 127.
    scale : float
        Largest absolute coordinate.
    share : float
        Share of the squared lengths of all directions that the coordinates hold: 1 if none were left out.
    places : array of shape (n_latents, 2)
        Place of each latent on the map, in [0, 1].
    method : {"pca", "umap"}
        How the map was made.
    """

    coordinates: NDArray[np.int8]
    scale: float
    share: float
    places: FloatArray
    method: Literal["pca", "umap"]

    def columns(self) -> dict[str, Column]:
        """Return the columns of the page."""
        places = np.rint(_GRID * self.places).astype(np.uint16)
        return {"coordinates": Column.of(self.coordinates), "places": Column.of(places)}

    def record(self) -> dict[str, Any]:
        """Return what the script of the page needs to read the columns."""
        return {
            "dimensions": self.coordinates.shape[1],
            "scale": self.scale / 127,
            "isExact": self.share == 1,
            "method": self.method,
        }


def geometry_of(directions: FloatArray, projection: str = "auto") -> Geometry:
    """Return the geometry of directions.

    If directions have more than 1.2 million numbers, the coordinates are the leading ones along principal axes.

    Parameters
    ----------
    directions : array of shape (n_latents, n_features)
        Rows of the decoder. A row of zeros has cosine 0 with any other row.
    projection : {"auto", "pca", "umap"}, default="auto"
        How the map is made: by the first two principal components, or by UMAP, which needs the package umap-learn.
        "auto": by UMAP if it is installed and there are 20 to 30,000 latents, else by principal components.
    """
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    units = (directions / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    n_dimensions = max(2, _MOST_NUMBERS // len(units))
    coordinates, share = units, 1.0
    if n_dimensions < units.shape[1]:
        coordinates = _along_leading_axes(units, n_dimensions)
        share = min(float((coordinates**2).sum(dtype=np.float64) / (units**2).sum(dtype=np.float64)), 1 - 1e-9)
    scale = float(np.abs(coordinates).max()) or 1.0
    method = _method(projection, len(units))
    places = _by_umap(units) if method == "umap" else _by_pca(units)
    return Geometry(np.rint(127 * coordinates / scale).astype(np.int8), scale, share, _within_square(places), method)


def check_projection(projection: Any) -> None:
    """Raise ValueError if there is no such projection, or MissingExtraError if its package is missing."""
    if projection not in PROJECTIONS:
        names = ", ".join(map(repr, PROJECTIONS))
        raise ValueError(f"projection must be one of {names}; got {projection!r}.")
    if projection == "umap" and not _has_umap():
        raise ValueError(
            "projection='umap' needs the package umap-learn, which is not installed; install it, or pass"
            " projection='pca'."
        )


def _has_umap() -> bool:
    return importlib.util.find_spec("umap") is not None


def _method(projection: str, n_latents: int) -> Literal["pca", "umap"]:
    fits = _LEAST_FOR_UMAP <= n_latents <= _MOST_FOR_UMAP
    return "umap" if projection == "umap" or (projection == "auto" and fits and _has_umap()) else "pca"


def _along_leading_axes(vectors: FloatArray, n_axes: int) -> FloatArray:
    """Return the coordinates of vectors along their leading principal axes, found by a randomised decomposition."""
    from sklearn.utils.extmath import randomized_svd  # it loads packages that `import rhohat` does not need

    n_axes = min(n_axes, *vectors.shape)
    left, values, _ = randomized_svd(vectors, n_axes, n_iter=4, random_state=0)
    coordinates: FloatArray = left * values
    return coordinates


def _by_pca(units: FloatArray) -> FloatArray:
    centred = units - units.mean(axis=0)
    places = np.zeros((len(units), 2))
    if len(units) > 1:
        found = _along_leading_axes(centred, 2)
        places[:, : found.shape[1]] = found
    return places


def _by_umap(units: FloatArray) -> FloatArray:
    umap = import_extra("umap", "app")
    n_neighbours = min(15, len(units) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other packages, about their own insides
        mapper = umap.UMAP(n_components=2, n_neighbors=n_neighbours, metric="cosine", random_state=0, n_jobs=1)
        places: FloatArray = np.asarray(mapper.fit_transform(units), np.float64)
    return np.nan_to_num(places)


def _within_square(places: FloatArray) -> FloatArray:
    """Return places in [0, 1], with the same scale in both directions, and the map in the middle."""
    low, high = places.min(axis=0), places.max(axis=0)
    size = float((high - low).max()) or 1.0
    centred: FloatArray = (places - (low + high) / 2) / size + 0.5
    return centred.clip(0, 1)
