"""Comparison of two dictionaries: which latents of one have a counterpart in the other, and which have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.words import counted
from rhohat.estimators.dictionary_use import UsableDictionary
from rhohat.inspection.evaluated import DictionaryEvaluation
from rhohat.inspection.metrics import match_dictionaries
from rhohat.inspection.metrics.matching import ALIKE
from rhohat.inspection.reporting.dictionaries.figures import figures_of_dictionary
from rhohat.inspection.reporting.dictionaries.measuring import DictionaryMeasurements, Latents
from rhohat.inspection.reporting.page_data import Column

__all__ = ["LACKING", "Comparison", "Counterparts", "compared"]

#: Cosine below which the most similar latent of another dictionary is no counterpart.
LACKING = 0.5

_MOST_MATCHED = 10_000  # latents of a dictionary that are matched exactly, which takes seconds and a gigabyte
_AT_ONCE = 1024  # latents that are compared with all others at a time
_NONE = 2**32 - 1


@dataclass(frozen=True)
class Counterparts:
    """What the latents of one dictionary have in the other. Dead latents have nothing, and are nothing to others.

    Attributes
    ----------
    partners : array of int, of shape (n_latents,)
        The latent of the other dictionary that is matched to each; −1 for none.
    cosines : array of shape (n_latents,)
        Cosine between the directions of each latent and its partner; −1 for none.
    nearest : array of int, of shape (n_latents,)
        The latent of the other dictionary whose direction is most similar; −1 for none.
    nearest_cosines : array of shape (n_latents,)
        Cosine between the directions of each latent and the most similar one; −1 for none.
    """

    partners: NDArray[np.intp]
    cosines: FloatArray
    nearest: NDArray[np.intp]
    nearest_cosines: FloatArray

    def columns(self) -> dict[str, Column]:
        """Return the columns of the page."""
        numbers = {"partners": self.partners, "nearestOther": self.nearest}
        cosines = {"partnerCosines": self.cosines, "nearestOtherCosines": self.nearest_cosines}
        columns = {name: Column.of(np.where(of < 0, _NONE, of).astype(np.uint32)) for name, of in numbers.items()}
        return columns | {name: Column.of(np.rint(32767 * of).astype(np.int16)) for name, of in cosines.items()}

    def n_lacking(self, alive: NDArray[np.bool_]) -> int:
        """Return the number of latents, of those that are alive, without a counterpart."""
        return int(np.count_nonzero(self.nearest_cosines[alive] < LACKING))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A second dictionary, measured on the same rows, beside the one that the page is about.

    Attributes
    ----------
    dictionary : fitted dictionary
        The second one.
    measured : DictionaryMeasurements
    latents : Latents
    evaluated : DictionaryEvaluation
    counterparts : Counterparts
        Of the latents of the first dictionary in the second.
    counterparts_of_second : Counterparts
        Of the latents of the second dictionary in the first.
    is_exact : bool
        Whether the sum of the cosines of all pairs is the largest possible; else a pair is two latents each of which
        is the most similar one to the other.
    """

    dictionary: UsableDictionary
    measured: DictionaryMeasurements
    latents: Latents
    evaluated: DictionaryEvaluation
    counterparts: Counterparts
    counterparts_of_second: Counterparts
    is_exact: bool

    @property
    def name(self) -> str:
        """What the second dictionary is, as text."""
        n_latents = counted(len(self.latents.directions), "latent")
        return f"{type(self.dictionary).__name__} with {n_latents}, {self.dictionary.describe()['selection']}"

    def figures(self, first: DictionaryEvaluation) -> list[tuple[str, str, str]]:
        """Return the name of each figure, and its value for the first and for the second dictionary, as texts."""
        of_both = figures_of_dictionary(first), figures_of_dictionary(self.evaluated)
        values = [{figure.name: figure.value for figure in figures} for figures in of_both]
        return [(name, value, values[1][name]) for name, value in values[0].items() if name in values[1]]

    def summary(self, first: DictionaryEvaluation) -> list[str]:
        """Return what the comparison has found, as sentences."""
        cosines = self.counterparts.cosines[self.counterparts.partners >= 0]
        if len(cosines) == 0:
            return [
                "One of the two dictionaries has no latent that is active on these rows, so that nothing is matched."
            ]
        how = (
            "Each latent has at most one partner; the pairs are those whose cosines have the largest sum."
            if self.is_exact
            else "Two latents are partners if each is the most similar one to the other."
        )
        alive = [found.activation_frequency > 0 for found in (first, self.evaluated)]
        lacking = self.counterparts.n_lacking(alive[0]), self.counterparts_of_second.n_lacking(alive[1])
        n_alike = int(np.count_nonzero(cosines > ALIKE))
        return [
            f"{how} {n_alike:,} of {counted(len(cosines), 'pair')} have a cosine above {ALIKE}; the mean is"
            f" {cosines.mean():.3f}.",
            f"{counted(lacking[0], 'latent')} of the first dictionary and {counted(lacking[1], 'latent')} of the second"
            f" have no counterpart: no latent of the other has a cosine of {LACKING} or more with them. Dead latents"
            " are left out.",
        ]


def compared(
    first: tuple[DictionaryMeasurements, Latents], second: tuple[DictionaryMeasurements, Latents]
) -> dict[str, Any]:
    """Return the counterparts of the latents of two dictionaries in one another, as arguments of `Comparison`."""
    alive = [np.flatnonzero(measured.activations.activation_frequency > 0) for measured, _ in (first, second)]
    units = [_unit(latents.directions[chosen]) for (_, latents), chosen in zip((first, second), alive, strict=True)]
    sizes = [len(latents.directions) for _, latents in (first, second)]
    is_exact = max(map(len, units)) <= _MOST_MATCHED
    nearest = [_nearest(*units), _nearest(*units[::-1])]
    if min(map(len, units)) == 0:
        pairs = np.zeros((0, 2), np.intp)
    elif is_exact:
        match = match_dictionaries(*units)
        pairs = np.stack([match.rows, match.columns], axis=1)
    else:
        there = np.flatnonzero(nearest[1][0][nearest[0][0]] == np.arange(len(units[0])))
        pairs = np.stack([there, nearest[0][0][there]], axis=1)
    cosines = np.einsum("ij,ij->i", units[0][pairs[:, 0]], units[1][pairs[:, 1]]).clip(-1, 1)
    found = [
        _counterparts(sizes[side], alive[side], alive[1 - side], pairs[:, [side, 1 - side]], cosines, nearest[side])
        for side in (0, 1)
    ]
    return {"counterparts": found[0], "counterparts_of_second": found[1], "is_exact": is_exact}


def _counterparts(
    n_latents: int,
    alive: NDArray[np.intp],
    alive_others: NDArray[np.intp],
    pairs: NDArray[np.intp],
    cosines: FloatArray,
    nearest: tuple[NDArray[np.intp], FloatArray],
) -> Counterparts:
    """Return the counterparts of all latents, given those among the latents that are alive."""
    partners, nearest_others = np.full(n_latents, -1), np.full(n_latents, -1)
    of_partners, of_nearest = np.full(n_latents, -1.0), np.full(n_latents, -1.0)
    partners[alive[pairs[:, 0]]], of_partners[alive[pairs[:, 0]]] = alive_others[pairs[:, 1]], cosines
    if len(alive_others):
        nearest_others[alive], of_nearest[alive] = alive_others[nearest[0]], nearest[1]
    return Counterparts(partners, of_partners, nearest_others, of_nearest)


def _nearest(units: FloatArray, others: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
    """Return, for each vector of norm 1, the most similar of others, and the cosine."""
    found, cosines = np.zeros(len(units), np.intp), np.full(len(units), -1.0)
    if len(others) == 0:
        return found, cosines
    for start in range(0, len(units), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        products = units[some] @ others.T
        found[some] = products.argmax(axis=1)
        cosines[some] = np.take_along_axis(products, found[some][:, np.newaxis], axis=1)[:, 0]
    return found, cosines.clip(-1, 1)


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: FloatArray = vectors / np.where(lengths > 0, lengths, 1)
    return units
