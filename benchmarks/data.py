"""The rows of each case, and the parameters that its contenders start from, written to a folder for all of them.

Real data come from the folder that the environment variable RHOHAT_DATA names. Without it there is something in its
place, or the case is skipped.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.contenders.imports import write_needs
from benchmarks.contenders.rhohat import images_of, lenet, recurrent, untrained
from benchmarks.tasks import Record, Task

__all__ = ["prepare", "read_idx"]


class DataMissingError(Exception):
    """The data of a case are not to be had; the message says why."""


def prepare(task: Task) -> Record:
    """Write the data of a case into the folder of a task, as its settings say.

    Returns
    -------
    dict
        With "remark", what the rows are where that is not what the case promises; or with "unavailable", why there are
        none.
    """
    folder, settings = task.folder, task.settings
    if settings.recipe == "imports":
        write_needs(folder)
        return {}
    try:
        X, remark = _RECIPES[settings.recipe](*settings.sizes)
    except DataMissingError as error:
        return {"unavailable": str(error)}
    np.save(folder / "X.npy", X.astype(settings.dtype))
    if settings.network == "dictionary":
        theta = np.random.default_rng(1).standard_normal((settings.n_hidden, X.shape[1]))
        theta = (theta / np.linalg.norm(theta, axis=1, keepdims=True)).ravel()
    elif settings.network == "autoencoder":
        theta = untrained(replace(task, X=X[:2])).theta_
    else:
        some, make = replace(task, X=X[:200].astype(settings.dtype)), {"lenet": lenet, "lstm": recurrent}
        theta = make[settings.network](some).initial_theta(images_of(some), some.labels)
    np.save(folder / "theta.npy", theta)
    return {"remark": remark}


def _uniform(n_rows: int, n_features: int) -> tuple[np.ndarray, str]:
    """Return numbers in [0, 1)."""
    return np.random.default_rng(0).random((n_rows, n_features)), ""


def _normal(n_rows: int, n_features: int) -> tuple[np.ndarray, str]:
    """Return numbers of the standard normal distribution."""
    return np.random.default_rng(0).standard_normal((n_rows, n_features)), ""


def _patches(n_rows: int) -> tuple[np.ndarray, str]:
    """Return 8×8 patches of whitened photographs, in [0.1, 0.9]."""
    from rhohat import PatchNormalizer, read_images, sample_patches, whiten_image

    remark = ""
    images: list[np.ndarray]
    if folder := os.environ.get("RHOHAT_DATA"):
        images = list(read_images(Path(folder) / "IMAGES.npy"))
    else:
        from sklearn.datasets import load_sample_images

        grey = [image.mean(axis=2) / 255 for image in load_sample_images().images]
        images = [whiten_image(image, boundary="reflect") for image in grey]
        remark = "patches of the two photographs that come with scikit-learn, as there is no RHOHAT_DATA"
    patches = sample_patches(images, 8, n_rows, random_state=0).astype(np.float64)
    return PatchNormalizer().fit_transform(patches), remark


def _digits() -> tuple[np.ndarray, str]:
    """Return the digits 5 to 9 among the 60,000 training images of MNIST, in [0, 1]."""
    images, labels = _read_mnist()
    return images[labels >= 5] / 255, ""


def _all_digits(n_rows: int, _: int) -> tuple[np.ndarray, str]:
    """Return the first training images of MNIST, in [0, 1]."""
    return _read_mnist()[0][:n_rows] / 255, ""


def _read_mnist() -> tuple[np.ndarray, np.ndarray]:
    if folder := os.environ.get("RHOHAT_DATA"):
        files = Path(folder) / "mnist"
        images = read_idx(files / "train-images-idx3-ubyte.gz", header=16).reshape(-1, 784)
        return images, read_idx(files / "train-labels-idx1-ubyte.gz", header=8)
    return _fetch_mnist()


def read_idx(path: Path, header: int) -> np.ndarray:
    """Return the bytes of a gzipped IDX file behind its header."""
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def _fetch_mnist() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import fetch_openml

    try:
        pixels, labels = fetch_openml("mnist_784", version=1, return_X_y=True, as_frame=False, parser="liac-arff")
    except Exception as error:  # whatever a download can end with
        raise DataMissingError(f"there is no RHOHAT_DATA, and OpenML gave no MNIST: {error}") from error
    return pixels[:60_000].astype(np.float64), labels[:60_000].astype(int)


_RECIPES: dict[str, Callable[..., tuple[np.ndarray, str]]] = {
    "uniform": _uniform,
    "normal": _normal,
    "patches": _patches,
    "digits": _digits,
    "all digits": _all_digits,
}
