"""Selections: which latents are active in a row, with which values, and how gradients pass back through that.

A selection finds entries (row, latent) whose pre-activation a = x̃ W_enc + b_enc is of interest, and turns their
pre-activations into codes f. It gets the derivative of the loss by f at the entries, and returns derivatives by a and
by its own parameters. Where f jumps, these are pseudo-gradients, which the docstrings say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.parameters import Parameters
from rhohat.ops.code_ops import CodeOps, Codes

__all__ = ["L1", "BatchTopK", "Gated", "JumpReLU", "Matryoshka", "PullBack", "Selection", "TopK"]

_FEWEST_AT_ONCE = 64  # rows on which a first guess is made


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
        """Return the entries that are chosen among those of a whole batch, or None if the floor was too high."""
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
        """Return a second code at the entries that has to reconstruct the rows as well, or None if there is none."""
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


@dataclass(frozen=True)
class TopK(Selection):
    """The k largest pre-activations of each row, as far as they are positive.

    References
    ----------
    Gao, L. et al. (2024). Scaling and evaluating sparse autoencoders. arXiv 2406.04093.
    """

    k: int

    def find(self, ops: CodeOps, X: FloatArray, parameters: Parameters, floor: float) -> Codes:
        """Return the k largest pre-activations of each row that are positive."""
        return ops.largest(X, parameters.encoder, parameters.encoder_bias, self.k, floor)

    def first_floor(self, ops: CodeOps, X: FloatArray, parameters: Parameters) -> float:
        """Return a guess made on some of the rows."""
        return self.next_floor(self.find(ops, _some(X), parameters, 0.0))

    def next_floor(self, codes: Codes) -> float:
        """Return a number that the k-th largest pre-activation exceeds in nearly all rows."""
        counts = np.diff(codes.starts)
        if len(codes.values) == 0 or (counts < self.k).mean() > 0.01:
            return 0.0
        smallest = np.minimum.reduceat(codes.values, codes.starts[:-1][counts > 0])
        return 0.98 * float(np.quantile(smallest, 0.01))

    def pull_back(
        self,
        codes: Codes,
        activations: FloatArray,
        derivatives: FloatArray,
        parameters: Parameters,
        weight: float,
        of_gate: FloatArray | None = None,
    ) -> PullBack:
        """See `Selection.pull_back`."""
        return PullBack(derivatives)

    def encode(self, ops: CodeOps, X: FloatArray, parameters: Parameters, threshold: float | None) -> Codes:
        """See `Selection.encode`."""
        return self.find(ops, X, parameters, self.first_floor(ops, X, parameters))


@dataclass(frozen=True)
class BatchTopK(Selection):
    """The k m largest pre-activations of a batch of m rows, at least one, as far as they are positive.

    After training, the codes are those above a threshold, which is an average over batches.

    References
    ----------
    Bussmann, B., Leask, P. and Nanda, N. (2024). BatchTopK sparse autoencoders. arXiv 2412.06410.
    """

    k: float

    def find(self, ops: CodeOps, X: FloatArray, parameters: Parameters, floor: float) -> Codes:
        """Return all pre-activations above the floor."""
        return ops.collect(X, parameters.encoder, parameters.encoder_bias, _like(parameters, floor))

    def choose(self, codes: Codes, floor: float) -> Codes | None:
        """Return the largest entries of the batch, the first of equal ones; None if the floor left too few."""
        n_kept = max(1, round(self.k * codes.n_rows))
        if len(codes.values) <= n_kept:
            return codes if floor == 0 or len(codes.values) == n_kept else None
        least = np.partition(codes.values, len(codes.values) - n_kept)[len(codes.values) - n_kept]
        chosen = codes.values > least
        equal = np.flatnonzero(codes.values == least)
        chosen[equal[: n_kept - np.count_nonzero(chosen)]] = True
        return codes.where(chosen)

    def first_floor(self, ops: CodeOps, X: FloatArray, parameters: Parameters) -> float:
        """Return a number that some more pre-activations exceed than will be kept, on some of the rows."""
        some = _some(X)
        found = self.find(ops, some, parameters, 0.0).values
        n_kept = max(1, round(1.5 * self.k * len(some)))
        return float(np.partition(found, len(found) - n_kept)[len(found) - n_kept]) if len(found) > n_kept else 0.0

    def next_floor(self, codes: Codes) -> float:
        """Return a number somewhat below the smallest activation that was kept."""
        return 0.92 * float(codes.values.min()) if len(codes.values) else 0.0

    def smallest_kept(self, codes: Codes) -> float | None:
        """Return the smallest activation that was kept, or None if none was."""
        return float(codes.values.min()) if len(codes.values) else None

    def pull_back(
        self,
        codes: Codes,
        activations: FloatArray,
        derivatives: FloatArray,
        parameters: Parameters,
        weight: float,
        of_gate: FloatArray | None = None,
    ) -> PullBack:
        """See `Selection.pull_back`."""
        return PullBack(derivatives)

    def encode(self, ops: CodeOps, X: FloatArray, parameters: Parameters, threshold: float | None) -> Codes:
        """See `Selection.encode`."""
        return self.find(ops, X, parameters, 0.0 if threshold is None else threshold)


@dataclass(frozen=True)
class Matryoshka(BatchTopK):
    """BatchTopK over a dictionary whose prefixes reconstruct the rows, too; the errors are averaged over prefixes.

    References
    ----------
    Bussmann, B., Nabeshima, N., Karvonen, A. and Nanda, N. (2025). Learning multi-level features with Matryoshka sparse
    autoencoders. arXiv 2503.17547.
    """

    sizes: tuple[int, ...]

    def prefixes(self, n_latents: int) -> NDArray[np.int64]:
        """Return the numbers of latents in the prefixes."""
        return np.array(self.sizes)


@dataclass(frozen=True)
class L1(Selection):
    """All positive pre-activations, with the penalty λ Σ_j f_j ‖d_j‖ of a row, where d_j is row j of the decoder.

    References
    ----------
    Conerly, T. et al. (2024). Update on how we train SAEs. Transformer Circuits Thread, April update.
    """

    def find(self, ops: CodeOps, X: FloatArray, parameters: Parameters, floor: float) -> Codes:
        """Return all positive pre-activations."""
        return ops.collect(X, parameters.encoder, parameters.encoder_bias, _like(parameters, 0.0))

    def pull_back(
        self,
        codes: Codes,
        activations: FloatArray,
        derivatives: FloatArray,
        parameters: Parameters,
        weight: float,
        of_gate: FloatArray | None = None,
    ) -> PullBack:
        """See `Selection.pull_back`."""
        decoder, each = parameters.decoder, weight / codes.n_rows
        norms = np.sqrt(np.einsum("ij,ij->i", decoder, decoder))
        sums = _sums_of_latents(codes, activations, len(decoder))
        multiples = each * np.divide(sums, norms, out=np.zeros_like(norms), where=norms > 0, casting="same_kind")
        penalty = each * float(sums @ norms)
        return PullBack(
            derivatives + (each * norms)[codes.latents].astype(derivatives.dtype), penalty, decoder_multiples=multiples
        )

    def encode(self, ops: CodeOps, X: FloatArray, parameters: Parameters, threshold: float | None) -> Codes:
        """See `Selection.encode`."""
        return self.find(ops, X, parameters, 0.0)


@dataclass(frozen=True)
class JumpReLU(Selection):
    """All pre-activations above a threshold of their latent, which is learned.

    f = a if a > θ, else 0; the penalty of a row is λ times its number of active latents, or, with a target L0*, that of
    a batch is λ (L0/L0* − 1)², where L0 is the mean number of active latents of a row.

    The derivatives by θ are pseudo-gradients: with K(u) = 1 if |u| < ½, else 0, and a bandwidth ε, that of f is
    −(θ/ε) K((a − θ)/ε), and that of the number of active latents −(1/ε) K((a − θ)/ε).

    References
    ----------
    Rajamanoharan, S. et al. (2024). Jumping ahead: improving reconstruction fidelity with JumpReLU sparse autoencoders.
    arXiv 2407.14435.
    """

    bandwidth: float = 0.05
    threshold: float = 0.01
    target_l0: float | None = None
    names: ClassVar[tuple[str, ...]] = ("threshold",)

    def initial(self, n_latents: int) -> dict[str, FloatArray]:
        """See `Selection.initial`."""
        return {"threshold": np.full(n_latents, self.threshold)}

    def find(self, ops: CodeOps, X: FloatArray, parameters: Parameters, floor: float) -> Codes:
        """Return all pre-activations above a threshold, or so near to it that they change it."""
        lowest = parameters.of_latents["threshold"] - parameters.encoder.dtype.type(self.bandwidth / 2)
        return ops.collect(X, parameters.encoder, parameters.encoder_bias, lowest)

    def activations(self, codes: Codes, parameters: Parameters) -> FloatArray:
        """Return the pre-activations above their thresholds, and 0 for the others."""
        return np.where(codes.values > parameters.of_latents["threshold"][codes.latents], codes.values, 0)

    def pull_back(
        self,
        codes: Codes,
        activations: FloatArray,
        derivatives: FloatArray,
        parameters: Parameters,
        weight: float,
        of_gate: FloatArray | None = None,
    ) -> PullBack:
        """See `Selection.pull_back`."""
        thresholds, n_latents = parameters.of_latents["threshold"], len(parameters.encoder)
        above = codes.values - thresholds[codes.latents]
        active, near = above > 0, np.abs(above) < self.bandwidth / 2
        l0 = np.count_nonzero(active) / codes.n_rows
        penalty, each = weight * l0, weight / codes.n_rows
        if self.target_l0 is not None:
            excess = l0 / self.target_l0 - 1
            penalty, each = weight * excess**2, 2 * weight * excess / self.target_l0 / codes.n_rows
        near_sums = _sums_of_latents(codes, np.where(near, derivatives, 0), n_latents)
        counts = np.bincount(codes.latents[near], minlength=n_latents)
        gradient = -(thresholds * near_sums + each * counts) / self.bandwidth
        return PullBack(np.where(active, derivatives, 0), float(penalty), of_latents={"threshold": gradient})

    def constrain(self, parameters: Parameters) -> None:
        """Replace negative thresholds by 0, so that no active latent is negative."""
        np.maximum(parameters.of_latents["threshold"], 0, out=parameters.of_latents["threshold"])

    def encode(self, ops: CodeOps, X: FloatArray, parameters: Parameters, threshold: float | None) -> Codes:
        """See `Selection.encode`."""
        return ops.collect(X, parameters.encoder, parameters.encoder_bias, parameters.of_latents["threshold"])


@dataclass(frozen=True)
class Gated(Selection):
    """Latents whose gate is open, with a magnitude of their own.

    With π = x̃ W_enc, the gate is open if π + b_enc > 0, and then f = max(0, exp(r) π + b). The penalty of a row is
    λ Σ_j max(0, π_j + b_enc,j), and the gates' own activations max(0, π + b_enc) have to reconstruct the row as well,
    with a decoder that is held fixed. The step of the gate passes no derivative back.

    References
    ----------
    Rajamanoharan, S. et al. (2024). Improving dictionary learning with gated sparse autoencoders. arXiv 2404.16014.
    """

    names: ClassVar[tuple[str, ...]] = ("log_scale", "magnitude_bias")

    def initial(self, n_latents: int) -> dict[str, FloatArray]:
        """See `Selection.initial`."""
        return {name: np.zeros(n_latents) for name in self.names}

    def find(self, ops: CodeOps, X: FloatArray, parameters: Parameters, floor: float) -> Codes:
        """Return all entries whose gate is open, with π + b_enc."""
        return ops.collect(X, parameters.encoder, parameters.encoder_bias, _like(parameters, 0.0))

    def activations(self, codes: Codes, parameters: Parameters) -> FloatArray:
        """Return max(0, exp(r) π + b)."""
        scale = np.exp(parameters.of_latents["log_scale"])[codes.latents]
        products = codes.values - parameters.encoder_bias[codes.latents]
        return np.maximum(scale * products + parameters.of_latents["magnitude_bias"][codes.latents], 0)

    def gate(self, codes: Codes) -> FloatArray | None:
        """Return max(0, π + b_enc), which is positive at these entries."""
        return codes.values

    def pull_back(
        self,
        codes: Codes,
        activations: FloatArray,
        derivatives: FloatArray,
        parameters: Parameters,
        weight: float,
        of_gate: FloatArray | None = None,
    ) -> PullBack:
        """See `Selection.pull_back`."""
        assert of_gate is not None
        n_latents, each = len(parameters.encoder), weight / codes.n_rows
        of_magnitude = np.where(activations > 0, derivatives, 0)
        through_scale = of_magnitude * np.exp(parameters.of_latents["log_scale"])[codes.latents]
        of_gate = of_gate + of_gate.dtype.type(each)
        products = codes.values - parameters.encoder_bias[codes.latents]
        return PullBack(
            through_scale + of_gate,
            each * float(codes.values.sum(dtype=np.float64)),
            bias=_sums_of_latents(codes, of_gate, n_latents),
            of_latents={
                "log_scale": _sums_of_latents(codes, through_scale * products, n_latents),
                "magnitude_bias": _sums_of_latents(codes, of_magnitude, n_latents),
            },
        )

    def encode(self, ops: CodeOps, X: FloatArray, parameters: Parameters, threshold: float | None) -> Codes:
        """See `Selection.encode`."""
        codes = self.find(ops, X, parameters, 0.0)
        codes = codes._replace(values=self.activations(codes, parameters))
        return codes.where(codes.values > 0)


def _some(X: FloatArray) -> FloatArray:
    """Return some of the rows, evenly spaced."""
    return np.ascontiguousarray(X[:: max(1, len(X) // _FEWEST_AT_ONCE)])


def _like(parameters: Parameters, threshold: float) -> FloatArray:
    """Return the same threshold for every latent."""
    return np.full(len(parameters.encoder), threshold, parameters.encoder.dtype)


def _sums_of_latents(codes: Codes, numbers: FloatArray, n_latents: int) -> FloatArray:
    """Return the sum of numbers that belong to entries, for each latent, in float64."""
    sums: Any = np.bincount(codes.latents, weights=numbers, minlength=n_latents)
    return np.asarray(sums, np.float64)
