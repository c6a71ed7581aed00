"""Training of several dictionaries in one pass over the rows, which are read and shuffled once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from numpy.typing import ArrayLike

from rhohat.common.pieces import as_one_array
from rhohat.data import RowSource
from rhohat.dictionaries.run import train
from rhohat.dictionaries.training import NotFiniteError
from rhohat.engines import as_engine, device_of
from rhohat.estimators.dictionary import BaseDictionary
from rhohat.estimators.dictionary_messages import n_passes_over, tell_of_few_updates, warn_of_l0
from rhohat.fitting.dictionary_fit import Fitted

__all__ = ["fit_together"]

_Dictionary = TypeVar("_Dictionary", bound=BaseDictionary)


def fit_together(dictionaries: Sequence[_Dictionary], X: ArrayLike | RowSource | Any) -> list[_Dictionary]:
    """Fit several dictionaries to the same rows, which are read and shuffled once for all of them.

    Each learns the same bits as by a `fit` of its own.

    Parameters
    ----------
    dictionaries : sequence of dictionaries
        They must have the same `random_state`, `max_iter`, `engine` and batch size, and neither `warm_start` nor
        `checkpoint`.
    X : array-like, RowSource, iterator or iterable, of shape (n_samples, n_features)
        Rows, as for `fit`.

    Returns
    -------
    list of dictionaries
        The same objects, fitted.

    Raises
    ------
    ValueError
        If the dictionaries differ in these parameters, or in the cases in which `fit` raises it.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import BatchTopKAutoencoder, TopKAutoencoder, fit_together
    >>> X = np.random.default_rng(0).standard_normal((300, 16))
    >>> candidates = [TopKAutoencoder(32, 4, random_state=0), BatchTopKAutoencoder(32, 4, random_state=0)]
    >>> [fitted.transform(X).shape for fitted in fit_together(candidates, X)]
    [(300, 32), (300, 32)]
    """
    dictionaries = list(dictionaries)
    if not dictionaries or not all(isinstance(one, BaseDictionary) for one in dictionaries):
        raise ValueError("fit_together takes a list of at least one dictionary, such as TopKAutoencoder.")
    for one in dictionaries:
        one._validate_params()
    first = dictionaries[0]
    _check_alike(dictionaries)
    device = device_of(first.engine)
    if device is not None and device.devices is not None:
        raise ValueError(f"fit_together trains on one device; set engine to one of {', '.join(device.devices)}.")
    X = as_one_array(X)
    sources = first._sources(X, continues=False)
    n_passes = n_passes_over(first, sources, stacklevel=2)
    n_rows = first._n_rows_to_see(sources)  # the same for all, as they have the same max_iter
    solvers = [one._solver(n_rows) for one in dictionaries]
    _check_batches([solver.batch_size for solver in solvers])
    seed = first._draw_seed()
    fits = [
        one._fit(n_rows, n_passes=n_passes, solver=solver) for one, solver in zip(dictionaries, solvers, strict=True)
    ]
    plans = [fit.plan_memory(sources, one.n_components) for fit, one in zip(fits, dictionaries, strict=True)]
    source = fits[0].batches(sources, seed, plans[0])
    prepared = [fit.prepare(source, seed) for fit in fits]
    records = [record for record, _, _ in prepared]
    n_latents = sum(one.n_components for one in dictionaries)
    with records[0].trainer.engine.session(), fits[0].explaining_memory(sources, n_latents):
        try:
            results = train(records, source, n_passes=n_passes)
        except NotFiniteError as error:
            raise ValueError(first._explain(error, sources, "Nothing is kept of what was learned before.")) from None
    for one, (_, problem, state), result, plan in zip(dictionaries, prepared, results, plans, strict=True):
        one._take_over(X, sources, Fitted(problem, state, result, plan, seed), n_passes)
        warn_of_l0(one, stacklevel=2)
        tell_of_few_updates(one, sources, stacklevel=2)
    return dictionaries


def _check_alike(dictionaries: Sequence[BaseDictionary]) -> None:
    """Raise ValueError if dictionaries differ in what decides on the batches, or need fits of their own."""
    first = dictionaries[0]
    for one in dictionaries:
        if one.warm_start or one.checkpoint is not None:
            raise ValueError("dictionaries that are fitted together must have warm_start=False and checkpoint=None.")
        if as_engine(one.engine) != as_engine(first.engine):
            raise ValueError(
                f"dictionaries that are fitted together must have the same engine; got {first.engine!r} and"
                f" {one.engine!r}."
            )
        for name in ("random_state", "max_iter", "memory_limit"):
            if getattr(one, name) != getattr(first, name):
                raise ValueError(
                    f"dictionaries that are fitted together must have the same {name}; got {getattr(first, name)!r} and"
                    f" {getattr(one, name)!r}."
                )


def _check_batches(sizes: Sequence[int]) -> None:
    """Raise ValueError if dictionaries that are fitted together would have batches of different sizes."""
    if len(set(sizes)) > 1:
        raise ValueError(
            "dictionaries that are fitted together must have the same batch size; got"
            f" {', '.join(map(str, sizes))}. Give all of them a solver with the same batch_size."
        )
