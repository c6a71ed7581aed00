"""Sparse probing: how well a few latents tell the rows of a class from others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from rhohat.common.arrays import FloatArray
from rhohat.common.randomness import RandomState, keyed_generator, seed_from
from rhohat.inspection.metrics.class_labels import check_classes
from rhohat.inspection.metrics.rows import as_codes, check_finite_codes

__all__ = ["SparseProbing", "sparse_probing"]


@dataclass(frozen=True, eq=False)
class SparseProbing:
    """The results of `sparse_probing`.

    Attributes
    ----------
    classes : array of shape (n_probes,)
        Labels of the classes that were told from the others: all classes, or the second one of two.
    k : tuple of int
        Numbers of latents that a probe sees, as they were asked for.
    latents : array of int, of shape (n_probes, max(k))
        Numbers of the latents that were chosen for each class, in the order of the difference of means.
    accuracy : array of shape (n_probes, len(k))
        Accuracy of each probe on held-out rows, half of which are of the class: chance is 0.5.
    """

    classes: NDArray[Any]
    k: tuple[int, ...]
    latents: NDArray[np.intp]
    accuracy: FloatArray

    @property
    def mean_accuracy(self) -> FloatArray:
        """Accuracy for each k, averaged over classes, of shape (len(k),)."""
        mean: FloatArray = self.accuracy.mean(axis=0)
        return mean


def sparse_probing(
    codes: Any,
    labels: ArrayLike,
    k: Sequence[int] = (1, 2, 5),
    *,
    test_size: float = 0.2,
    random_state: RandomState = 0,
) -> SparseProbing:
    """Return how accurately logistic regression on k latents tells the rows of each class from other rows.

    The rows of each class are split at random into training rows and held-out rows, in the same proportion for all
    classes. Then, for each class and each k:

    1. The rows are balanced, in both parts: to the rows of the class, as many rows are drawn at random, without
       replacement, from those of all other classes. If the class has more rows than all others, its rows are drawn
       instead.
    2. The k latents are chosen whose mean codes on the training rows of the class and on the other training rows have
       the largest absolute difference; of equal ones, the first.
    3. Logistic regression, with an intercept and the L2 penalty of scikit-learn's default (C=1), is fitted to the codes
       of these latents on the training rows, as they are, without scaling.
    4. Its accuracy on the held-out rows is the result.

    If there are two classes, only the second one in sorted order is told from the first.

    Parameters
    ----------
    codes : array-like or sparse array, of shape (n_samples, n_components)
        Codes of the rows, in memory. A sparse array of SciPy is not made dense, but for the chosen latents.
    labels : array-like of shape (n_samples,)
        Labels of the rows: numbers, booleans or strings. At least two classes, with at least two rows each.
    k : sequence of int, default=(1, 2, 5)
        Numbers of latents, from 1 to n_components.
    test_size : float, default=0.2
        Share of the rows of each class, in (0, 1), that is held out: rounded, at least one row and not all.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the split and of the draws.

    Returns
    -------
    SparseProbing

    Raises
    ------
    ValueError
        If the codes are not finite; if there is not one label for each row, a label is NaN, there is only one class, or
        a class has only one row; if an item of k is not an integer from 1 to n_components; or if `test_size` is not in
        (0, 1).

    Notes
    -----
    This is the sparse probing of SAEBench, with the same penalty, balance and choice of latents, for labels of any
    rows. SAEBench draws as many rows from each other class, which is the same on average if the classes are equally
    frequent, and uses 4,000 training and 1,000 held-out rows per class.

    References
    ----------
    Gurnee, W. et al. (2023). Finding neurons in a haystack: case studies with sparse probing. TMLR.

    Karvonen, A. et al. (2025). SAEBench: a comprehensive benchmark for sparse autoencoders in language model
    interpretability. ICML 2025.

    Examples
    --------
    >>> labels = np.arange(60) % 3
    >>> codes = np.eye(5)[labels + 1]
    >>> probing = sparse_probing(codes, labels, k=[1, 2])
    >>> probing.latents[:, 0], probing.mean_accuracy
    (array([1, 2, 3]), array([1., 1.]))
    """
    values = as_codes(codes, "codes")
    check_finite_codes(values, "codes")
    classes, numbers = _check_labels(labels, values.shape[0])
    numbers_of_latents = _check_k(k, values.shape[1])
    if not 0 < test_size < 1:
        raise ValueError(f"test_size must be a share of the rows, in (0, 1); got {test_size!r}.")
    seed = seed_from(random_state)
    held_out = _held_out(numbers, test_size, keyed_generator(seed, "held-out rows of sparse probing"))
    chosen, accuracy = [], []
    for number in range(len(classes)) if len(classes) > 2 else [1]:
        draws = keyed_generator(seed, "rows of other classes in sparse probing", number)
        train, test = (_balanced(numbers == number, part, draws) for part in (~held_out, held_out))
        latents = _latents_that_differ(values, train, max(numbers_of_latents))
        chosen.append(latents)
        accuracy.append([_accuracy(values, latents[:n_latents], train, test) for n_latents in numbers_of_latents])
    probed = classes if len(classes) > 2 else classes[1:]
    return SparseProbing(probed, numbers_of_latents, np.array(chosen), np.array(accuracy))


def _check_labels(labels: ArrayLike, n_samples: int) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the classes in sorted order, and the number of the class of each row."""
    classes, numbers = check_classes(labels, n_samples)
    counts = np.bincount(numbers)
    if counts.min() < 2:
        raise ValueError(
            f"labels must have at least two rows of each class, one to be held out; {classes[counts.argmin()]} has 1."
        )
    return classes, numbers


def _check_k(k: Sequence[int], n_components: int) -> tuple[int, ...]:
    items = np.asarray(k)
    if items.ndim != 1 or items.size == 0 or items.dtype.kind not in "iu":
        raise ValueError(f"k must be a sequence of integers, each the number of latents of a probe; got {k!r}.")
    if items.min() < 1 or items.max() > n_components:
        raise ValueError(f"k must be from 1 to the number of latents, {n_components}; got {k!r}.")
    return tuple(items.tolist())


def _held_out(numbers: NDArray[np.intp], test_size: float, draws: np.random.Generator) -> NDArray[np.bool_]:
    """Return which rows are held out: the same share of each class."""
    held_out = np.zeros(len(numbers), np.bool_)
    for number in range(numbers.max() + 1):
        rows = np.flatnonzero(numbers == number)
        n_held_out = min(max(1, round(test_size * len(rows))), len(rows) - 1)
        held_out[draws.permutation(rows)[:n_held_out]] = True
    return held_out


def _balanced(
    of_class: NDArray[np.bool_], part: NDArray[np.bool_], draws: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows of a part of the rows, in ascending order: of the class, and as many of the others."""
    both = np.flatnonzero(part & of_class), np.flatnonzero(part & ~of_class)
    n_rows = min(map(len, both))
    of_the_class, others = (np.sort(draws.permutation(rows)[:n_rows]) for rows in both)
    return of_the_class, others


def _latents_that_differ(
    codes: Any, rows: tuple[NDArray[np.intp], NDArray[np.intp]], n_latents: int
) -> NDArray[np.intp]:
    """Return the latents with the largest absolute differences of their mean codes, the largest first."""
    inside, outside = (codes[part].sum(axis=0, dtype=np.float64) / len(part) for part in rows)
    return np.argsort(-np.abs(inside - outside), kind="stable")[:n_latents]


def _accuracy(
    codes: Any,
    latents: NDArray[np.intp],
    train: tuple[NDArray[np.intp], NDArray[np.intp]],
    test: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> float:
    """Return the accuracy on test rows of logistic regression that was fitted to training rows."""
    from sklearn.linear_model import LogisticRegression  # it loads packages that `import rhohat` does not need

    probe = LogisticRegression(max_iter=1000)
    probe.fit(*_columns_and_targets(codes, latents, train))
    return float(probe.score(*_columns_and_targets(codes, latents, test)))


def _columns_and_targets(
    codes: Any, latents: NDArray[np.intp], rows: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the codes of some latents, dense, of rows of the class and of others; and which are of the class."""
    columns = codes[np.concatenate(rows)][:, latents]
    return columns.toarray() if issparse(columns) else columns, np.repeat([True, False], [len(part) for part in rows])
