"""Example photographs that are available without a download."""

from __future__ import annotations

from importlib.resources import as_file, files

from rhohat.common.arrays import FloatArray
from rhohat.common.extras import import_extra
from rhohat.data.image_files import read_image

__all__ = ["photographs"]

# The natural scenes among the images in scikit-image's wheel; the others are textures, diagrams and micrographs.
_COLOR = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
_GREY = ("camera.png", "coins.png")


def photographs(color: bool = False) -> list[FloatArray]:
    """Return the photographs that are part of scikit-image's wheel, without a download.

    Parameters
    ----------
    color : bool, default=False
        If True, return the five colour photographs in RGB; if False, return all seven photographs in grey.

    Returns
    -------
    list of arrays of shape (height, width) or (height, width, 3), float64
        The photographs, of different sizes, with values in [0, 1].

    Raises
    ------
    MissingExtraError
        If scikit-image is not installed.

    Examples
    --------
    >>> [image.shape for image in photographs()][:2]
    [(512, 512), (300, 451)]
    """
    import_extra("skimage", "app")
    images = []
    for name in _COLOR if color else (*_COLOR, *_GREY):
        with as_file(files("skimage.data") / name) as path:
            images.append(read_image(path, color=color))
    return images
