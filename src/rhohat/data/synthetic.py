"""Synthetic rows that are made of known features, to measure whether an autoencoder finds them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.sparse import csc_array, csr_array, vstack

from rhohat.common.arrays import FloatArray
from rhohat.common.randomness import RandomState, RowStreams, keyed_generator, seed_from
from rhohat.data.rows.base import RowSource

__all__ = ["SyntheticFeatures", "synthetic_features"]

_ROWS = 1024  # rows whose codes are drawn together; with fewer, the work that does not depend on their number counts
_BLOCKS_HELD = 16  # blocks whose codes are kept, for threads that read in different places
_LARGEST_PROBABILITY = 0.5  # of a feature that fires; one that fires in most rows would be a part of the mean


def synthetic_features(
    n_samples: int,
    n_dimensions: int,
    n_features: int,
    n_active: float,
    *,
    exponent: float = 0.5,
    noise: float = 0.0,
    correlation: float = 0.0,
    group_size: int = 8,
    n_children: int = 0,
    depth: int = 1,
    child_probability: float = 0.5,
    dtype: DTypeLike = "float32",
    random_state: RandomState = None,
) -> SyntheticFeatures:
    r"""Return rows that are sparse sums of known directions, computed whenever they are read.

    Row i is :math:`x_i = \sum_g a_{ig} m_{ig} d_g + \sigma \varepsilon_i`. The directions :math:`d_g` are independent
    and uniform on the unit sphere. The indicator :math:`a_{ig}` is 1 if feature g fires in row i, and else 0; the
    magnitudes :math:`m_{ig}` are uniform on [0.5, 1.5]; and :math:`\varepsilon_i` is standard normal noise. Rows are
    independent of one another, and so are indicators, magnitudes and noise.

    *Frequencies.* Features without a parent are called roots. Root r, counted from 0, fires with the probability
    :math:`p_r = \min(1/2, \kappa (r + 1)^{-s})`, where s is the exponent of Zipf's law, and κ is chosen such that
    `n_active` features fire in a row on average, children included.

    *Correlation.* Successive roots form groups. In every row, each group tosses a coin :math:`z`, which shows 1 with
    the probability q of the group's most frequent root. Given the coin, its roots fire independently of one another,
    with the probability :math:`(1 - w) p_r + w p_r z / q`, where :math:`w^2` is the parameter `correlation`. This
    leaves :math:`p_r` as it is. The indicators of two roots of a group have the correlation coefficient
    :math:`w^2 \sqrt{o_r o_s} / o`, where :math:`o_r = p_r / (1 - p_r)` are their odds and :math:`o = q / (1 - q)`; it
    is exactly `correlation` if both have the probability q. Roots of different groups are independent.

    *Hierarchy.* A child fires only in rows in which its parent fires, and in each of those with the probability
    `child_probability`, independently of everything else. It has a direction of its own.

    Parameters
    ----------
    n_samples : int
        Number of rows, at least 1. The first rows of a longer source are the same.
    n_dimensions : int
        Number of columns of the rows, at least 1.
    n_features : int
        Number of features, at least 1; there may be more than dimensions.
    n_active : float
        Mean number of features that fire in a row, positive, and so small that no root has to fire in more than half
        of the rows.
    exponent : float, default=0.5
        Exponent s of Zipf's law, from 0 to 10. With 0, all roots are equally frequent.
    noise : float, default=0.0
        Standard deviation σ of the noise in each dimension, not negative.
    correlation : float, default=0.0
        Correlation coefficient of the indicators of two equally frequent roots of a group, at least 0 and less than 1.
    group_size : int, default=8
        Number of roots in a group, at least 2. The last group may be smaller. Without correlation it has no effect.
    n_children : int, default=0
        Number of children of each feature above the lowest level of a tree. With 0, there are no trees, and all
        features are roots.
    depth : int, default=1
        Number of levels of a tree below its root, at least 1. As many trees as possible are made of the features;
        those left over become roots without children, the rarest ones.
    child_probability : float, default=0.5
        Probability that a child fires where its parent fires, more than 0 and less than 1.
    dtype : {float32, float64}, default=float32
        The dtype of rows, codes and directions. The same features fire in both.
    random_state : int, RandomState, Generator or None, default=None
        Seed of directions, codes and noise. With None, each call makes other rows.

    Returns
    -------
    SyntheticFeatures
        A `RowSource` of shape (n_samples, n_dimensions), which also knows the directions, and the codes of any rows.

    Raises
    ------
    ValueError
        If a parameter is out of its range, there are too few features for a single tree, or `n_active` cannot be
        reached.

    Notes
    -----
    No rows are stored. Codes are drawn for blocks of 1,024 rows, from a generator that is determined by the seed and
    the number of the block, so a row has the same numbers however it is read, in whatever process. Reading a single row
    draws the codes of its block; those of the blocks that were read last are kept.

    The cost of a block grows with the number of features that fire in it, and little with the number of features; noise
    costs a random number for each number of a row. An indicator of probability p is drawn as whether a Poisson variable
    of mean :math:`-\ln(1 - p)` is positive. Since such variables add up to one of the same kind, one number for a
    feature says how many events it has in a block of rows, or in those of them in which its parent fires; then each
    event falls into one of these rows.

    The sources differ among themselves. Frequencies fall geometrically in Sharkey et al. (2022), and by Zipf's law in
    Chanin and Garriga-Alonso (2026). Both correlate features by a Gaussian copula, which needs a number for every
    feature of every row; the coin of a group comes from Lunn and Davies (1998), here for unequal probabilities. Trees
    in which children fire only with their parents are in Bussmann et al. (2025), and in Chanin and Garriga-Alonso,
    whose siblings exclude one another; here they are independent, given their parent.

    References
    ----------
    Bussmann, B., Nabeshima, N., Karvonen, A. and Nanda, N. (2025). Learning multi-level features with Matryoshka sparse
    autoencoders. arXiv:2503.17547.

    Chanin, D. and Garriga-Alonso, A. (2026). SynthSAEBench: evaluating sparse autoencoders on scalable realistic
    synthetic data. arXiv:2602.14687.

    Lunn, A. D. and Davies, S. J. (1998). A note on generating correlated binary variables. Biometrika 85, 487-490.

    Sharkey, L., Braun, D. and Millidge, B. (2022). Taking features out of superposition with sparse autoencoders.
    Interim research report, AI Alignment Forum.

    Examples
    --------
    >>> rows = synthetic_features(1_000_000, 16, 64, n_active=3, random_state=0)
    >>> rows.shape, rows.directions.shape
    ((1000000, 16), (64, 16))
    >>> codes = rows.codes(999_000, 999_004)
    >>> codes.shape
    (4, 64)
    >>> bool(np.allclose(codes @ rows.directions, rows.read(999_000, 999_004)))
    True
    """
    recipe = _Recipe(
        n_samples,
        n_dimensions,
        n_features,
        n_active,
        exponent,
        noise,
        correlation,
        group_size,
        n_children,
        depth,
        child_probability,
        dtype,
        seed_from(random_state),
    )
    return SyntheticFeatures(recipe)


class SyntheticFeatures(RowSource):
    """Rows that are sparse sums of known directions; `synthetic_features` makes and explains them.

    Attributes
    ----------
    directions : array of shape (n_features, n_dimensions)
        Direction of each feature, of norm 1.
    probabilities : array of shape (n_features,), float64
        Probability that a feature fires in a row.
    parents : array of int, of shape (n_features,)
        Number of each feature's parent; −1 if it has none. Parents have lower numbers than their children.
    """

    directions: FloatArray
    probabilities: NDArray[np.float64]
    parents: NDArray[np.intp]

    def __init__(self, recipe: _Recipe) -> None:
        super().__init__("the synthetic data set", (recipe.n_samples, recipe.n_dimensions), recipe.dtype)
        self._recipe, self._firing = recipe, _Firing(recipe)
        self.origin = recipe
        self.probabilities, self.parents = self._firing.probabilities, self._firing.parents
        generator = keyed_generator(recipe.seed, "synthetic directions")
        directions = generator.standard_normal((recipe.n_features, recipe.n_dimensions))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self.directions = directions.astype(self.dtype)
        self._codes_of_block = lru_cache(_BLOCKS_HELD)(self._draw_codes)

    def __reduce__(self) -> tuple[_Recipe, tuple[()]]:
        return self._recipe, ()

    def codes(self, start: int, stop: int) -> csr_array:
        """Return the true activations of the features in successive rows.

        Parameters
        ----------
        start, stop : int
            First row, and end of the range, which is not included; 0 <= start <= stop <= n_samples.

        Returns
        -------
        scipy.sparse.csr_array of shape (stop - start, n_features), of the dtype of the rows
            Magnitudes of the features that fire. Without noise, their product with `directions` is the rows.

        Raises
        ------
        IndexError
            If the range exceeds the rows of this source.
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"{self.name} has {len(self)} rows; there are no rows {start} to {stop}.")
        pieces = [codes for _, codes in self._pieces(start, stop)]
        empty = csr_array((0, len(self.directions)), dtype=self.dtype)
        return vstack([empty, *pieces], format="csr")

    @property
    def rows_stored_together(self) -> int:
        """Number of rows whose codes are drawn together."""
        return _ROWS

    @property
    def held_bytes(self) -> int:
        """Number of bytes of the directions, and of the codes of the blocks that were read last, on average."""
        bytes_of_codes = self._recipe.n_active * (self.dtype.itemsize + 4) + 4
        return self.directions.nbytes + int(_BLOCKS_HELD * _ROWS * bytes_of_codes)

    def release(self) -> None:
        """Free the codes of the blocks that were read last."""
        self._codes_of_block.cache_clear()

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        out[:] = 0
        if self._recipe.noise > 0:
            RowStreams(self._recipe.seed, "synthetic noise").normal(range(start, stop), out)
            out *= self._recipe.noise
        for first, codes in self._pieces(start, stop):
            out[first - start :][: codes.shape[0]] += codes @ self.directions

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, csr_array]]:
        """Yield the codes of some rows block by block, each with the number of its first row."""
        for block in range(start // _ROWS, -(-stop // _ROWS)):
            first = max(start, block * _ROWS)
            yield first, self._codes_of_block(block)[first - block * _ROWS : stop - block * _ROWS]

    def _draw_codes(self, block: int) -> csr_array:
        generator = keyed_generator(self._recipe.seed, "synthetic codes", block=block)
        events = self._firing.draw(generator)
        magnitudes = generator.uniform(0.5, 1.5, len(events.rows)).astype(self.dtype)
        rows, edges = (numbers.astype(np.int32) for numbers in events)  # products are faster than with 64 bits
        return csc_array((magnitudes, rows, edges), shape=(_ROWS, len(self.directions))).tocsr()


@dataclass(frozen=True)
class _Recipe:
    """The parameters of `synthetic_features`, from which the rows are made again, in this or another process."""

    n_samples: int
    n_dimensions: int
    n_features: int
    n_active: float
    exponent: float
    noise: float
    correlation: float
    group_size: int
    n_children: int
    depth: int
    child_probability: float
    dtype: DTypeLike
    seed: int

    def __post_init__(self) -> None:
        _check_integers(self, n_samples=1, n_dimensions=1, n_features=1, group_size=2, n_children=0, depth=1)
        _check_number("n_active", self.n_active, lambda value: value > 0, "positive")
        _check_number("exponent", self.exponent, lambda value: 0 <= value <= 10, "at least 0 and at most 10")
        _check_number("noise", self.noise, lambda value: value >= 0, "at least 0")
        _check_number("correlation", self.correlation, lambda value: 0 <= value < 1, "at least 0 and less than 1")
        _check_number(
            "child_probability", self.child_probability, lambda value: 0 < value < 1, "more than 0 and less than 1"
        )
        if self.dtype not in ("float32", "float64", np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64; got {self.dtype!r}.")

    def __call__(self) -> SyntheticFeatures:
        return SyntheticFeatures(self)


class _Events(NamedTuple):
    """The rows of a block in which features fire: ascending, ``rows[edges[g] : edges[g + 1]]`` for feature g."""

    rows: NDArray[np.intp]
    edges: NDArray[np.intp]


_EVERYWHERE = _Events(np.arange(_ROWS), np.array([0, _ROWS]))  # of one feature that fires in every row


class _Poisson(NamedTuple):
    """Poisson events of features in the rows in which other features, their hosts, fire.

    Attributes
    ----------
    rates : array of shape (n_features,)
        Mean number of events in a row in which the host fires.
    hosts : _Events
    host : int, or array of int, of shape (n_features,)
        Which of the hosts is that of each feature.
    """

    rates: NDArray[np.float64]
    hosts: _Events
    host: int | NDArray[np.intp] = 0


class _Firing:
    """The probability model of which features fire in which rows; `synthetic_features` states it.

    Parameters
    ----------
    recipe : _Recipe

    Attributes
    ----------
    probabilities : array of shape (n_features,)
    parents : array of int, of shape (n_features,)

    Raises
    ------
    ValueError
        If there are too few features for a tree, or for `n_active`.
    """

    def __init__(self, recipe: _Recipe) -> None:
        sizes, n_trees = _levels(recipe)
        self._parents_in_level = [np.arange(size) // recipe.n_children for size in sizes[1:]]
        firsts = np.cumsum([0, *sizes])
        parents = [first + numbers for first, numbers in zip(firsts, self._parents_in_level, strict=False)]
        self.parents = np.concatenate([np.full(sizes[0], -1), *parents])

        branching = recipe.n_children * recipe.child_probability
        expected = np.where(np.arange(sizes[0]) < n_trees, sum(branching**level for level in range(len(sizes))), 1.0)
        roots = _probabilities_of_roots(recipe, expected)
        levels = [roots]
        for numbers in self._parents_in_level:
            levels.append(recipe.child_probability * levels[-1][numbers])
        self.probabilities = np.concatenate(levels)
        self._child_rates = [_rates(np.full(size, recipe.child_probability)) for size in sizes[1:]]

        weight = recipe.correlation**0.5
        coins = roots[:: recipe.group_size]  # a group's most frequent root is its first
        self._coin = np.arange(len(roots)) // recipe.group_size
        self._coin_rates = _rates(coins) if weight > 0 else None
        self._root_rates = _rates((1 - weight) * roots)
        self._rates_with_coin = _rates((1 - weight) * roots + weight * roots / coins[self._coin])

    def draw(self, generator: np.random.Generator) -> _Events:
        """Draw the rows of a block in which each feature fires."""
        processes = [_Poisson(self._root_rates, _EVERYWHERE)]
        if self._coin_rates is not None:
            coins = _fire(generator, _Poisson(self._coin_rates, _EVERYWHERE))
            processes.append(_Poisson(self._rates_with_coin - self._root_rates, coins, self._coin))
        levels = [_fire(generator, *processes)]
        for rates, parents in zip(self._child_rates, self._parents_in_level, strict=True):
            levels.append(_fire(generator, _Poisson(rates, levels[-1], parents)))
        counts = np.concatenate([np.diff(level.edges) for level in levels])
        return _Events(np.concatenate([level.rows for level in levels]), np.cumsum([0, *counts]))


def _fire(generator: np.random.Generator, *processes: _Poisson) -> _Events:
    """Draw the rows in which each feature has an event of any of some processes."""
    keys = []
    for rates, hosts, host in processes:
        firsts, n_hosts = hosts.edges[:-1][host], np.diff(hosts.edges)[host]
        n_events = generator.poisson(rates * n_hosts)
        features = np.repeat(np.arange(len(rates)), n_events)
        firsts, n_hosts = (np.broadcast_to(numbers, rates.shape)[features] for numbers in (firsts, n_hosts))
        places = firsts + (generator.random(len(features)) * n_hosts).astype(np.intp)
        keys.append(features * _ROWS + hosts.rows[places])
    ordered = np.sort(np.concatenate(keys))
    distinct = ordered[np.diff(ordered, prepend=-1) > 0]  # a feature fires once where it has several events
    return _Events(distinct % _ROWS, np.searchsorted(distinct, np.arange(len(processes[0].rates) + 1) * _ROWS))


def _rates(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of the Poisson variables that are positive with some probabilities."""
    return -np.log1p(-probabilities)


def _levels(recipe: _Recipe) -> tuple[list[int], int]:
    """Return the number of features at each level of the trees, roots first, and the number of trees."""
    if recipe.n_children == 0:
        return [recipe.n_features], 0
    tree = [recipe.n_children**level for level in range(recipe.depth + 1)]
    n_trees, n_left = divmod(recipe.n_features, sum(tree))
    if n_trees == 0:
        raise ValueError(
            f"n_features must be at least {sum(tree)}, the features of a tree with n_children={recipe.n_children} and"
            f" depth={recipe.depth}; got {recipe.n_features}."
        )
    return [n_trees + n_left, *(n_trees * size for size in tree[1:])], n_trees


def _probabilities_of_roots(recipe: _Recipe, expected: FloatArray) -> NDArray[np.float64]:
    """Return the probabilities p_r = min(1/2, κ (r + 1)^−s) with Σ_r expected_r p_r = n_active.

    Parameters
    ----------
    recipe : _Recipe
    expected : array of shape (n_roots,)
        Mean number of features of each root's tree that fire in a row in which the root fires.
    """
    most = _LARGEST_PROBABILITY * expected.sum()
    if recipe.n_active > most:
        raise ValueError(
            f"n_active must be at most {most:g}, since no feature fires in more than half of the rows; got"
            f" {recipe.n_active:g}. Ask for more features."
        )
    weights = (np.arange(len(expected)) + 1.0) ** -recipe.exponent
    # If the first k roots have the largest probability, the others must supply the rest. The right k is the smallest
    # for which none of these exceeds it.
    before = np.cumsum(expected) - expected
    after = np.cumsum((expected * weights)[::-1])[::-1]
    scales = (recipe.n_active - _LARGEST_PROBABILITY * before) / after
    fits = scales * weights <= _LARGEST_PROBABILITY
    fits[-1] = True  # but for rounding, it does in any case
    return np.minimum(scales[np.argmax(fits)] * weights, _LARGEST_PROBABILITY)


def _check_integers(recipe: _Recipe, **least: int) -> None:
    for name, smallest in least.items():
        value = getattr(recipe, name)
        if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < smallest:
            raise ValueError(f"{name} must be an integer of at least {smallest}; got {value!r}.")


def _check_number(name: str, value: Any, is_allowed: Callable[[float], bool], allowed: str) -> None:
    if not isinstance(value, Real) or not math.isfinite(value) or not is_allowed(float(value)):
        raise ValueError(f"{name} must be a number that is {allowed}; got {value!r}.")
