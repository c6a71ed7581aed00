"""The base class of selections, and what several of them need."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.parameters import Parameters
from rhohat.ops.code_ops import CodeOps, Codes

__all__ = ["PullBack", "Selection", "equal_thresholds", "sums_of_latents"]


@dataclass(frozen=True)
class PullBack:
    """What passes back through a selection.

    Attributes
    ----------
    pre_activations : array of shape (n_entries,)
        Derivative of J by the product of the input and the encoder, at each entry.
    penalty : float
        Value of the penalty, a mean over rows.
    bias : array of shape (n_latents,) or None
        Derivative by the encoder's bias; None if it is the sum of `pre_activations` for each latent.
    decoder_multiples : array of shape (n_latents,) or None
        The penalty's derivative by each row of the decoder, as a multiple of this row.
    of_latents : dict of str to array of shape (n_latents,)
        Derivatives by the selection's own parameters.
    """

    pre_activations: FloatArray
    penalty: float = 0.0
    bias: FloatArray | None = None
    decoder_multiples: FloatArray | None = None
    of_latents: dict[str, FloatArray] = field(default_factory=dict)


class Selection(ABC):
    """Base class of selections.

    Attributes
    ----------
    names : tuple of str
        Names of the parameters that the selection has for each latent.
    """

    names: ClassVar[tuple[str, ...]] = ()

    def initial(self, n_latents: int) -> dict[str, FloatArray]:
        """Return the initial values of the selection's own parameters."""
        return {}

    def prefixes(self, n_latents: int) -> NDArray[np.int64]:
        """Return the numbers of latents in the prefixes of the dictionary that decode alone."""
        return np.array([n_latents])

    @abstractmethod
    def find(self, ops: CodeOps, X: FloatArray, parameters: Parameters, floor: float) -> Codes:
        """Return the entries of interest of some rows, with their pre-activations.

        Parameters
        ----------
        ops : CodeOps
        X : array of shape (n_rows, n_features)
            The encoder's input x̃.
        parameters : Parameters
        floor : float
            A guess that makes the search faster; see `next_floor`.
        """

    def choose(self, codes: Codes, floor: float) -> Codes | None:
        """Return the entries that are chosen among those of a whole batch, or None if the floor was too high, not 0."""
        return codes

    def first_floor(self, ops: CodeOps, X: FloatArray, parameters: Parameters) -> float:
        """Return a guess for the first batch, made on some of its rows."""
        return 0.0

    def next_floor(self, codes: Codes) -> float:
        """Return a guess for the next batch, made by what was chosen in this one."""
        return 0.0

    def activations(self, codes: Codes, parameters: Parameters) -> FloatArray:
        """Return the codes f at the entries, of shape (n_entries,)."""
        return codes.values

    def gate(self, codes: Codes) -> FloatArray | None:
        """Return a second code, at the same entries, that has to reconstruct the rows as well, or None."""
        return None

    @abstractmethod
    def pull_back(
        self,
        codes: Codes,
        activations: FloatArray,
        derivatives: FloatArray,
        parameters: Parameters,
        weight: float,
        of_gate: FloatArray | None = None,
    ) -> PullBack:
        """Return what passes back through the selection.

        Parameters
        ----------
        codes : Codes
            Entries of a batch with their pre-activations.
        activations : array of shape (n_entries,)
            What `activations` returned.
        derivatives : array of shape (n_entries,)
            Derivative of the loss by the activations.
        parameters : Parameters
        weight : float
            Weight λ of the penalty.
        of_gate : array of shape (n_entries,), default=None
            Derivative of the second reconstruction's error by what `gate` returned.
        """

    @abstractmethod
    def encode(self, ops: CodeOps, X: FloatArray, parameters: Parameters, threshold: float | None) -> Codes:
        """Return the codes of rows after training, without zeros.

        Parameters
        ----------
        ops : CodeOps
        X : array of shape (n_rows, n_features)
            The encoder's input x̃.
        parameters : Parameters
        threshold : float or None
            Average of the thresholds of batches; None for selections without one, and if there was no batch.
        """

    def constrain(self, parameters: Parameters) -> None:  # noqa: B027 - most selections have none to change
        """Change the selection's own parameters in place where an update has made them impossible."""

    def smallest_kept(self, codes: Codes) -> float | None:
        """Return the smallest activation of a batch, for selections whose threshold is averaged; otherwise None."""
        return None


def equal_thresholds(parameters: Parameters, threshold: float) -> FloatArray:
    """Return the same threshold for every latent."""
    return np.full(len(parameters.encoder), threshold, parameters.encoder.dtype)


def sums_of_latents(codes: Codes, numbers: FloatArray, n_latents: int) -> FloatArray:
    """Return the sum of numbers that belong to entries, for each latent, in float64."""
    sums: Any = np.bincount(codes.latents, weights=numbers, minlength=n_latents)
    return np.asarray(sums, np.float64)
