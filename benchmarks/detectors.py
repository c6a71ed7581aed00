"""`make bench-detectors`: outlier detectors with their defaults on five data sets, without labels.

Each data set has usual rows of some classes and a few rows of another, as in the outlier benchmarks of the literature:

- breast cancer: 357 benign rows and 10 malignant ones (Campos et al. 2016, WDBC);
- wine: the 119 rows of the classes 1 and 2, and 10 of class 0 (the Wine set of ODDS, Rayana 2016);
- digits: the digits 1 to 9, and 5 % zeros (as Optdigits of ODDS);
- MNIST: 2,000 zeros and 100 sixes of 784 pixels (as MNIST of ODDS, which takes 100 of the pixels);
- CIFAR-10: the aeroplanes among 10,000 images, and 5 % images of other classes; the mean grey of 2 × 2 pixels.

A detector is fitted to all of these rows without their labels and scores the same rows. The table has the area under
the ROC curve, mean and standard deviation over the seeds, and the mean seconds of a fit with its scores. A seed draws
the outliers, and the usual rows of MNIST, and is the seed of the detector. The defaults of `AutoencoderDetector` were
chosen on other roles of the classes (malignant rows as usual ones, nines among fours) and on other data sets.

The AutoEncoder of PyOD is measured where pyod and torch are installed, and the sets of images where RHOHAT_DATA is set.
"""

from __future__ import annotations

import argparse
import gzip
import os
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

import rhohat
from benchmarks.environment import describe, summarise
from benchmarks.processors import busy_processes

_Rows = NDArray[Any]
_SHARE = 0.05  # of outliers among usual rows, where no number is given
_EXPLAINED = 0.9  # fraction of the variance that the principal components explain


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds (default: 10)")
    parser.add_argument("--only", default="", help="data sets whose names contain this")
    given = parser.parse_args()
    for process in busy_processes():
        print(f"Another process keeps a core busy, so that the seconds are too many: {process}.")
    contenders = _contenders()
    print(f"| data set: rows × columns, outliers | {' | '.join(contenders)} |\n|---{'|---' * len(contenders)}|")
    for name, draw in _data_sets():
        if given.only in name:
            print(_line(name, draw, contenders, given.seeds), flush=True)
    print(f"\n{summarise(describe())}; {_version('pyod')}; seeds 0 to {given.seeds - 1}")


def _line(name: str, draw: Any, contenders: dict[str, Callable[[_Rows, int], _Rows]], n_seeds: int) -> str:
    """Return the line of the table about a data set."""
    areas: dict[str, list[float]] = {one: [] for one in contenders}
    seconds: dict[str, list[float]] = {one: [] for one in contenders}
    for seed in range(n_seeds):
        X, is_outlier = draw(np.random.default_rng(seed))
        for one, scores_of in contenders.items():
            start = time.perf_counter()
            scores = scores_of(X, seed)
            seconds[one].append(time.perf_counter() - start)
            areas[one].append(float(roc_auc_score(is_outlier, scores)))
    cells = [f"{np.mean(areas[one]):.3f} ± {np.std(areas[one]):.3f}, {np.mean(seconds[one]):.2f} s" for one in areas]
    return f"| {name}: {len(X):,} × {X.shape[1]}, {is_outlier.sum()} | {' | '.join(cells)} |"


def _contenders() -> dict[str, Callable[[_Rows, int], _Rows]]:
    """Return functions from rows and a seed to scores, of which higher ones are more unusual, by name."""
    found = {
        f"rhohat {rhohat.__version__}, `AutoencoderDetector()`": _by_rhohat,
        f"scikit-learn {sklearn.__version__}, `IsolationForest()`": _by_a_forest,
        "error of principal components (90 % of the variance)": _by_components,
    }
    if find_spec("pyod") and find_spec("torch"):
        import_module("pyod.models.auto_encoder")  # so that the import is not timed
        found[f"{_version('pyod')}, `AutoEncoder()`"] = _by_pyod
    return found


def _by_rhohat(X: _Rows, seed: int) -> _Rows:
    return -rhohat.AutoencoderDetector(random_state=seed).fit(X).score_samples(X)


def _by_a_forest(X: _Rows, seed: int) -> _Rows:
    scores: _Rows = -IsolationForest(random_state=seed).fit(X).score_samples(X)
    return scores


def _by_components(X: _Rows, seed: int) -> _Rows:
    scaled = StandardScaler().fit_transform(X)
    components = PCA(_EXPLAINED, svd_solver="full").fit(scaled)
    made = components.inverse_transform(components.transform(scaled))
    errors: _Rows = np.sum((made - scaled) ** 2, axis=1)
    return errors


def _by_pyod(X: _Rows, seed: int) -> _Rows:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = import_module("pyod.models.auto_encoder").AutoEncoder(random_state=seed, verbose=0).fit(X)
    scores: _Rows = detector.decision_scores_
    return scores


def _data_sets() -> Iterator[tuple[str, Callable[[np.random.Generator], tuple[_Rows, NDArray[np.bool_]]]]]:
    """Yield the name of each data set, and a function that draws its rows and says which of them are outliers."""
    X, y = load_breast_cancer(return_X_y=True)
    yield "breast cancer", _mixture(X[y == 1], X[y == 0], 10)
    X, y = load_wine(return_X_y=True)
    yield "wine", _mixture(X[y != 0], X[y == 0], 10)
    X, y = load_digits(return_X_y=True)
    yield "digits", _mixture(X[y != 0], X[y == 0], round(_SHARE * np.sum(y != 0)))
    folder = os.environ.get("RHOHAT_DATA")
    if folder is None:
        print("RHOHAT_DATA is not set, so MNIST and CIFAR-10 are left out.")
        return
    images, labels = (_idx(Path(folder) / "mnist" / name) for name in _MNIST)
    X = images.reshape(len(images), -1)
    yield "MNIST", _mixture(X[labels == 0], X[labels == 6], 100, n_usual=2000)
    with np.load(Path(folder) / "cifar10_first10000.npz") as file:
        images, labels = file["images"], file["labels"]
    X = images.reshape(-1, 16, 2, 16, 2, 3).mean(axis=(2, 4, 5)).reshape(len(images), -1)
    yield "CIFAR-10", _mixture(X[labels == 0], X[labels != 0], round(_SHARE * np.sum(labels == 0)))


_MNIST = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")


def _idx(path: Path) -> NDArray[np.uint8]:
    """Return the array of bytes in a gzipped IDX file."""
    content = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(content, ">i4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def _mixture(
    usual: NDArray[Any], unusual: NDArray[Any], n_outliers: int, n_usual: int | None = None
) -> Callable[[np.random.Generator], tuple[_Rows, NDArray[np.bool_]]]:
    """Return a function that draws outliers, and usual rows unless all are taken, in random order."""

    def draw(generator: np.random.Generator) -> tuple[_Rows, NDArray[np.bool_]]:
        some = [generator.permutation(usual)[:n_usual], generator.permutation(unusual)[:n_outliers]]
        order = generator.permutation(sum(map(len, some)))
        return np.concatenate(some).astype(np.float64)[order], (order >= len(some[0]))

    return draw


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


if __name__ == "__main__":
    main()
