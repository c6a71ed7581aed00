"""Corruptions of the inputs: a denoising autoencoder receives a corrupted row and has to reconstruct the clean row.

A corruption is a function of a row and of one random draw per entry. A solver that minimises over all rows needs a cost
that does not change while it runs. The rows are therefore corrupted once for the whole run, with draws that are keyed
by seed, epoch and row number, so that a row is corrupted in the same way in every block, order, thread and machine. For
a solver that works in mini-batches, the rows are corrupted anew in every epoch, as in the references. These draws are
keyed by seed, epoch, batch size and the row's position in the epoch's order, which is faster, because the generator
need not be reset for every row.

To add a corruption, write a class in this module and list it in `CORRUPTIONS`.

References
----------
Vincent, P., Larochelle, H., Bengio, Y. and Manzagol, P.-A. (2008). Extracting and composing robust features with
denoising autoencoders. ICML 25, 1096-1103.

Vincent, P., Larochelle, H., Lajoie, I., Bengio, Y. and Manzagol, P.-A. (2010). Stacked denoising autoencoders:
learning useful representations in a deep network with a local denoising criterion. JMLR 11, 3371-3408.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from rhohat.common.arrays import FloatArray, as_float_rows, empty_aligned
from rhohat.common.randomness import RowNumbers, RowStreams, row_numbers

__all__ = [
    "CORRUPTIONS",
    "Corruption",
    "GaussianNoise",
    "MaskingNoise",
    "SaltAndPepperNoise",
    "as_corruption",
    "corrupt_rows",
]

_PURPOSE = "corruption"
_BLOCK = 512  # rows corrupted at a time, so that their noise stays in the cache; the draws do not depend on it


class Corruption(ABC):
    """Base class of corruptions, which change the entries of a row at random.

    Attributes
    ----------
    name : str
        Name by which a user selects the corruption.
    draws : {"uniform", "normal"}
        Distribution of the one draw that every entry needs: uniform on [0, 1), or normal with mean 0 and variance 1.
    """

    name: ClassVar[str]
    draws: ClassVar[Literal["uniform", "normal"]]

    @abstractmethod
    def apply(self, X: FloatArray, noise: FloatArray) -> None:
        """Overwrite X with its corrupted copy, given one draw per entry in `noise`.

        X and `noise` have the shape (n_rows, n_features) and the same dtype. The content of `noise` may be overwritten.
        """

    def draw(self, generator: np.random.Generator, out: FloatArray) -> None:
        """Overwrite `out`, C-ordered float32 or float64, with the draws that `apply` needs."""
        (generator.random if self.draws == "uniform" else generator.standard_normal)(dtype=out.dtype, out=out)

    def corrupt(self, X: FloatArray, rows: RowNumbers, streams: RowStreams, out: FloatArray, noise: FloatArray) -> None:
        """Overwrite `out` with a corrupted copy of some rows.

        Parameters
        ----------
        X : array of shape (n_rows, n_features)
            The clean rows. They are not changed, unless `out` is the same memory.
        rows : range, slice or integers, of length n_rows
            The numbers of these rows in the whole data set, which determine their draws.
        streams : RowStreams
            Random streams for this seed and epoch; no other thread may use them at the same time.
        out, noise : arrays of shape (n_rows, n_features), float32 or float64
            The result, and scratch memory for the draws.
        """
        (streams.uniform if self.draws == "uniform" else streams.normal)(rows, noise)
        out[...] = X
        self.apply(out, noise)


@dataclass(frozen=True)
class MaskingNoise(Corruption):
    """Masking noise: x̃_i = 0 with probability q, else x_i, so that some entries are missing.

    Parameters
    ----------
    q : float, default=0.25
        Probability that an entry is masked, in [0, 1).

    References
    ----------
    Vincent, P. et al. (2010). Stacked denoising autoencoders. JMLR 11, section 3.3.

    Examples
    --------
    >>> X = np.array([[1.0, 2.0, 3.0]])
    >>> MaskingNoise(q=0.25).apply(X, noise=np.array([[0.9, 0.1, 0.25]]))
    >>> X
    array([[1., 0., 3.]])
    """

    q: float = 0.25
    name: ClassVar[str] = "masking"
    draws: ClassVar[Literal["uniform", "normal"]] = "uniform"

    def __post_init__(self) -> None:
        _check_probability(self.q)

    def apply(self, X: FloatArray, noise: FloatArray) -> None:
        """Multiply X by 1[noise ≥ q]."""
        X *= noise >= self.q  # much faster than assigning zeros through a mask


@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """Gaussian noise: x̃_i = x_i + σ ε_i with ε_i from the normal distribution N(0, 1).

    Parameters
    ----------
    scale : float, default=0.1
        σ in the units of X, positive.

    References
    ----------
    Vincent, P. et al. (2010). Stacked denoising autoencoders. JMLR 11, section 3.3.

    Examples
    --------
    >>> X = np.array([[1.0, 2.0, 3.0]])
    >>> GaussianNoise(scale=0.5).apply(X, noise=np.array([[0.0, 1.0, -1.0]]))
    >>> X
    array([[1. , 2.5, 2.5]])
    """

    scale: float = 0.1
    name: ClassVar[str] = "gaussian"
    draws: ClassVar[Literal["uniform", "normal"]] = "normal"

    def __post_init__(self) -> None:
        if not (self.scale > 0 and np.isfinite(self.scale)):
            raise ValueError(f"scale (σ), a standard deviation, must be finite and positive; got {self.scale}.")

    def apply(self, X: FloatArray, noise: FloatArray) -> None:
        """Add σ · noise to X."""
        noise *= self.scale
        X += noise


@dataclass(frozen=True)
class SaltAndPepperNoise(Corruption):
    """Salt-and-pepper noise: x̃_i = low with probability q/2, high with probability q/2, else x_i.

    Parameters
    ----------
    q : float, default=0.25
        Probability that an entry is replaced, in [0, 1).
    low, high : float, default=0.0 and 1.0
        The two replacement values, usually the smallest and the largest value that X takes; low < high.

    References
    ----------
    Vincent, P. et al. (2010). Stacked denoising autoencoders. JMLR 11, section 3.3.

    Examples
    --------
    >>> X = np.array([[0.3, 0.4, 0.5]])
    >>> SaltAndPepperNoise(q=0.5).apply(X, noise=np.array([[0.2, 0.3, 0.9]]))
    >>> X
    array([[0. , 1. , 0.5]])
    """

    q: float = 0.25
    low: float = 0.0
    high: float = 1.0
    name: ClassVar[str] = "salt_and_pepper"
    draws: ClassVar[Literal["uniform", "normal"]] = "uniform"

    def __post_init__(self) -> None:
        _check_probability(self.q)
        if not (self.low < self.high and np.isfinite(self.low) and np.isfinite(self.high)):
            raise ValueError(
                f"low and high must be finite, and low must be below high; got low={self.low} and high={self.high}."
            )

    def apply(self, X: FloatArray, noise: FloatArray) -> None:
        """Set entries of X to high where noise < q, and then to low where noise < q/2; missing ones stay NaN."""
        noise[X != X] = 1  # where X is NaN, for arrays of any library
        X[noise < self.q] = self.high
        X[noise < self.q / 2] = self.low


CORRUPTIONS: dict[str, type[Corruption]] = {cls.name: cls for cls in (MaskingNoise, GaussianNoise, SaltAndPepperNoise)}


def as_corruption(corruption: str | Corruption | None) -> Corruption | None:
    """Return the corruption with the given name and its default strength; a Corruption or None is returned unchanged.

    Parameters
    ----------
    corruption : str, Corruption or None

    Returns
    -------
    Corruption or None

    Raises
    ------
    ValueError
        If no corruption has that name.

    Examples
    --------
    >>> as_corruption("masking")
    MaskingNoise(q=0.25)
    """
    if corruption is None or isinstance(corruption, Corruption):
        return corruption
    if isinstance(corruption, str) and corruption in CORRUPTIONS:
        return CORRUPTIONS[corruption]()
    raise ValueError(
        f"corruption must be one of {sorted(CORRUPTIONS)}, a Corruption such as MaskingNoise(q=0.5), or None; got"
        f" {corruption!r}."
    )


def corrupt_rows(
    corruption: Corruption,
    X: FloatArray,
    seed: int,
    epoch: int = 0,
    rows: RowNumbers | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Return a corrupted copy of rows, determined by the seed, the epoch and the number of each row.

    Parameters
    ----------
    corruption : Corruption
        The corruption to apply.
    X : array of shape (n_rows, n_features)
        The clean rows.
    seed : int
        Seed of the draws, not negative; see `rhohat.common.randomness.seed_from`.
    epoch : int, default=0
        Number of the epoch, counted from 0; the draws differ from epoch to epoch.
    rows : range, slice or integers, of length n_rows, default=None
        The numbers of the rows of X in the whole data set; None means 0 to n_rows − 1.
    out : array of shape (n_rows, n_features), default=None
        Memory for the copy; if None, it is allocated. `out` may be X itself, which is then overwritten.

    Returns
    -------
    array of shape (n_rows, n_features)
        The corrupted rows, in `out` if it was given. A newly allocated array is float32 if X is float32, else float64.

    Raises
    ------
    ValueError
        If `rows` are not row numbers, their count is not n_rows, the shapes of X and `out` differ, or the seed or the
        epoch is negative.

    Notes
    -----
    float32 and float64 copies of the same rows get different draws.

    Examples
    --------
    >>> X = np.ones((1000, 100))
    >>> corrupted = corrupt_rows(MaskingNoise(q=0.25), X, seed=0)
    >>> round(float(corrupted.mean()), 2)
    0.75
    >>> alone = corrupt_rows(MaskingNoise(q=0.25), X[700:], seed=0, rows=range(700, 1000))
    >>> bool(np.all(alone == corrupted[700:]))
    True
    """
    X = as_float_rows(X)
    if out is None:
        out = empty_aligned(X.shape, X.dtype)
    numbers = row_numbers(range(len(X)) if rows is None else rows)
    if X.ndim != 2 or out.shape != X.shape or len(numbers) != len(X):
        raise ValueError(
            "X and out must have the same shape (n_rows, n_features), and rows must have the length n_rows; got the"
            f" shapes {X.shape} and {out.shape}, and {len(numbers)} row numbers."
        )
    streams = RowStreams(seed, _PURPOSE, epoch)
    scratch = empty_aligned((min(_BLOCK, len(X)), X.shape[1]), out.dtype)
    for start in range(0, len(X), _BLOCK):
        block = slice(start, start + _BLOCK)
        corruption.corrupt(X[block], numbers[block], streams, out[block], scratch[: len(X[block])])
    return out


def _check_probability(q: float) -> None:
    if not 0 <= q < 1:
        raise ValueError(f"q, the probability that an entry is lost, must lie in [0, 1); got {q}.")
