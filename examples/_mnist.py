"""Where the examples find MNIST."""

import gzip
import os
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml

IMAGE_SHAPE = (28, 28)


def load_mnist():
    """Return MNIST from the folder that RHOHAT_DATA names, else as scikit-learn fetches it.

    Returns
    -------
    images : array of shape (70000, 784), float32
        Values in [0, 1].
    labels : array of shape (70000,), int
    """
    folder = os.environ.get("RHOHAT_DATA")
    if folder:
        files = Path(folder) / "mnist"
        images = [_read(files / f"{part}-images-idx3-ubyte.gz", header=16) for part in ("train", "t10k")]
        labels = [_read(files / f"{part}-labels-idx1-ubyte.gz", header=8) for part in ("train", "t10k")]
        pixels, digits = np.concatenate(images).reshape(-1, 784), np.concatenate(labels)
    else:
        pixels, digits = fetch_openml("mnist_784", return_X_y=True, as_frame=False)
    return pixels.astype(np.float32) / 255, digits.astype(int)


def _read(path, header):
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)
