"""The selection of pre-activations above thresholds that are learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.parameters import Parameters
from rhohat.dictionaries.selections.base import PullBack, Selection, Sums
from rhohat.ops import ops_of
from rhohat.ops.code_ops import CodeOps, Codes

__all__ = ["JumpReLU"]


@dataclass(frozen=True)
class JumpReLU(Selection):
    """All pre-activations above a threshold of their latent, which is learned.

    f = a if a > θ, else 0; the penalty of a row is λ times its number of active latents, or, with a target L0*, that of
    a batch is λ (L0/L0* − 1)², where L0 is the mean number of active latents of a row.

    The derivatives by θ are pseudo-gradients: with K(u) = 1 if −½ < u < ½, else 0, and a bandwidth ε, that of f is
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

    def __str__(self) -> str:
        """Return the settings, and that the threshold is where a fit begins; fitted thresholds are learned."""
        target = "" if self.target_l0 is None else f", target_l0={self.target_l0:g}"
        return f"JumpReLU(bandwidth={self.bandwidth:g}{target}, thresholds learned from {self.threshold:g} on)"

    def initial(self, n_latents: int) -> dict[str, FloatArray]:
        """See `Selection.initial`."""
        return {"threshold": np.full(n_latents, self.threshold)}

    def find(self, ops: CodeOps, X: FloatArray, parameters: Parameters, floor: Any) -> Codes:
        """Return all pre-activations above a threshold, or so near to it that they change it."""
        lowest = parameters.of_latents["threshold"] - float(self.bandwidth) / 2
        return ops.collect(X, parameters.encoder, parameters.encoder_bias, lowest)

    def activations(self, codes: Codes, parameters: Parameters) -> FloatArray:
        """Return the pre-activations above their thresholds, and 0 for the others."""
        active = codes.values > parameters.of_latents["threshold"][codes.latents]
        activations: FloatArray = ops_of(codes.values).xp.where(active, codes.values, 0)
        return activations

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
        """See `Selection.pull_back`."""
        xp, thresholds = ops_of(codes.values).xp, parameters.of_latents["threshold"]
        above = codes.values - thresholds[codes.latents]
        active, near = above > 0, xp.abs(above) < self.bandwidth / 2
        l0 = sums.whole(sums.ops.count(active)) / codes.n_rows
        penalty, each = weight * l0, weight / codes.n_rows
        if self.target_l0 is not None:
            excess = l0 / self.target_l0 - 1
            penalty, each = weight * excess**2, 2 * weight * excess / self.target_l0 / codes.n_rows
        near_sums, counts = sums.of_latents(xp.where(near, derivatives, 0)), sums.of_latents(near)
        gradient = -(thresholds * near_sums + each * counts) / self.bandwidth
        return PullBack(xp.where(active, derivatives, 0), sums.ops.number(penalty), of_latents={"threshold": gradient})

    def constrain(self, parameters: Parameters) -> None:
        """Replace negative thresholds by 0, so that no active latent is negative."""
        thresholds = parameters.of_latents["threshold"]
        ops_of(thresholds).xp.clip(thresholds, 0, None, out=thresholds)

    def encode(self, ops: CodeOps, X: FloatArray, parameters: Parameters, threshold: float | None) -> Codes:
        """See `Selection.encode`."""
        return ops.collect(X, parameters.encoder, parameters.encoder_bias, parameters.of_latents["threshold"])
