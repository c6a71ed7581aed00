"""The base class of selections, and what several of them need."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.parameters import Parameters
from rhohat.ops import ops_of
from rhohat.ops.code_ops import ByLatent, CodeOps, Codes

__all__ = ["PullBack", "Selection", "Sums", "equal_thresholds"]


@dataclass(frozen=True)
class PullBack:
    """What passes back through a selection.

    Attributes
    ----------
    pre_activations : array of shape (n_entries,)
        Derivative of J by the product of the input and the encoder, at each entry.
    penalty : number
        Value of the penalty, a mean over rows.
    bias : array of shape (n_latents,) or None
        Derivative by the encoder's bias; None if it is the sum of `pre_activations` for each latent.
    decoder_multiples : array of shape (n_latents,) or None
        The penalty's derivative by each row of the decoder, as a multiple of this row.
    of_latents : dict of str to array of shape (n_latents,)
        Derivatives by the selection's own parameters.
    """

    pre_activations: FloatArray
    penalty: Any = 0.0
    bias: FloatArray | None = None
    decoder_multiples: FloatArray | None = None
    of_latents: dict[str, FloatArray] = field(default_factory=dict)


def _as_it_is(number: Any) -> Any:
    return number


@dataclass(frozen=True)
class Sums:
    """How numbers that belong to the entries of a batch are added up.

    Attributes
    ----------
    ops : CodeOps
    codes : Codes
    by_latent : ByLatent
        The entries of the codes, sorted by latent.
    whole : callable
        Function that returns the sum over all latents, given that over the latents of `codes`; where several devices
        hold some latents each, they add up theirs.
    """

    ops: CodeOps
    codes: Codes
    by_latent: ByLatent
    whole: Callable[[Any], Any] = _as_it_is

    def of_latents(self, numbers: FloatArray) -> FloatArray:
        """Return the sum for each latent, in float64."""
        return self.ops.sums_of_latents(self.codes, self.by_latent, numbers)


class Selection(ABC):
    """Base class of selections.

    Numbers that are asked of `CodeOps` are floats on the host, and arrays without axes on a device, which is not waited
    for. Formulas are written for both, with functions that NumPy and PyTorch share.

    Attributes
    ----------
    names : tuple of str
        Names of the parameters that the selection has for each latent.
    compares_latents : bool
        Whether it depends on the pre-activations of other latents if a latent is active.
    """

    names: ClassVar[tuple[str, ...]] = ()
    compares_latents: ClassVar[bool] = False

    def unshifted(self, of_latents: dict[str, FloatArray], products: FloatArray) -> dict[str, FloatArray]:
        """Return the parameters of latents for rows that are no longer shifted, where the bias makes up for it.

        Parameters
        ----------
        of_latents : dict of str to array of shape (n_latents,)
            Parameters for shifted rows, by the names in `names`.
        products : array of shape (n_latents,)
            The products of the shift with the encoder, which x W_enc is larger by without the shift.
        """
        return of_latents

    def initial(self, n_latents: int) -> dict[str, FloatArray]:
        """Return the initial values of the selection's own parameters."""
        return {}

    def prefixes(self, n_latents: int) -> NDArray[np.int64]:
        """Return the numbers of latents in the prefixes of the dictionary that decode alone."""
        return np.array([n_latents])

    def of_slice(self, latents: slice) -> Selection:
        """Return the selection for a dictionary that has successive latents of this one alone."""
        return self

    @abstractmethod
    def find(self, ops: CodeOps, X: FloatArray, parameters: Parameters, floor: Any) -> Codes:
        """Return the entries of interest of some rows, with their pre-activations.

        Parameters
        ----------
        ops : CodeOps
        X : array of shape (n_rows, n_features)
            The encoder's input x̃.
        parameters : Parameters
        floor : number
            A guess that makes the search faster; see `next_floor`.
        """

    def choose(self, ops: CodeOps, codes: Codes, floor: Any) -> Codes | None:
        """Return the entries that are chosen among those of a whole batch, or None if the floor was too high, not 0."""
        return codes

    def first_floor(self, ops: CodeOps, X: FloatArray, parameters: Parameters) -> Any:
        """Return a guess for the first batch, made on some of its rows."""
        return 0.0

    def next_floor(self, ops: CodeOps, codes: Codes) -> Any:
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
        weight: Any,
        sums: Sums,
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
        weight : number
            Weight λ of the penalty.
        sums : Sums
            How numbers that belong to the entries are added up.
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

    def smallest_kept(self, ops: CodeOps, codes: Codes) -> Any:
        """Return the smallest activation of a batch, for selections whose threshold is averaged; otherwise None."""
        return None


def equal_thresholds(parameters: Parameters, threshold: Any) -> FloatArray:
    """Return the same threshold for every latent."""
    thresholds: FloatArray = ops_of(parameters.encoder_bias).xp.zeros_like(parameters.encoder_bias)
    thresholds += threshold
    return thresholds
