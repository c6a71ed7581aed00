"""The selection by gates, which decide on the latents that are active, apart from their magnitudes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.parameters import Parameters
from rhohat.dictionaries.selections.base import PullBack, Selection, Sums, equal_thresholds
from rhohat.ops import ops_of
from rhohat.ops.code_ops import CodeOps, Codes

__all__ = ["Gated"]


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

    def unshifted(self, of_latents: dict[str, FloatArray], products: FloatArray) -> dict[str, FloatArray]:
        """See `Selection.unshifted`: the magnitudes are of products without the bias of the gate."""
        scale, bias = np.exp(of_latents["log_scale"]), of_latents["magnitude_bias"]
        return {**of_latents, "magnitude_bias": bias - scale * products}

    def find(self, ops: CodeOps, X: FloatArray, parameters: Parameters, floor: Any) -> Codes:
        """Return all entries whose gate is open, with π + b_enc."""
        return ops.collect(X, parameters.encoder, parameters.encoder_bias, equal_thresholds(parameters, 0.0))

    def activations(self, codes: Codes, parameters: Parameters) -> FloatArray:
        """Return max(0, exp(r) π + b)."""
        xp = ops_of(codes.values).xp
        scale = xp.exp(parameters.of_latents["log_scale"])[codes.latents]
        products = codes.values - parameters.encoder_bias[codes.latents]
        activations: FloatArray = scale * products + parameters.of_latents["magnitude_bias"][codes.latents]
        return xp.clip(activations, 0, None, out=activations)

    def gate(self, codes: Codes) -> FloatArray | None:
        """Return max(0, π + b_enc), which is positive at these entries."""
        return codes.values

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
        assert of_gate is not None
        xp, each = ops_of(codes.values).xp, weight / codes.n_rows
        of_magnitude = xp.where(activations > 0, derivatives, 0)
        through_scale = of_magnitude * xp.exp(parameters.of_latents["log_scale"])[codes.latents]
        of_gate = of_gate + each
        products = codes.values - parameters.encoder_bias[codes.latents]
        return PullBack(
            through_scale + of_gate,
            each * sums.whole(sums.ops.total(codes.values)),
            bias=sums.of_latents(of_gate),
            of_latents={
                "log_scale": sums.of_latents(through_scale * products),
                "magnitude_bias": sums.of_latents(of_magnitude),
            },
        )

    def encode(self, ops: CodeOps, X: FloatArray, parameters: Parameters, threshold: float | None) -> Codes:
        """See `Selection.encode`."""
        codes = self.find(ops, X, parameters, 0.0)
        codes = codes._replace(values=self.activations(codes, parameters))
        return ops.positive(codes)
