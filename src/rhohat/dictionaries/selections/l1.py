"""The selection of all positive pre-activations, whose sum is penalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.parameters import Parameters
from rhohat.dictionaries.selections.base import PullBack, Selection, equal_thresholds, sums_of_latents
from rhohat.ops.code_ops import CodeOps, Codes

__all__ = ["L1"]


@dataclass(frozen=True)
class L1(Selection):
    """All positive pre-activations, with the penalty λ Σ_j f_j ‖d_j‖ of a row, where d_j is row j of the decoder.

    References
    ----------
    Conerly, T. et al. (2024). Update on how we train SAEs. Transformer Circuits Thread, April update.
    """

    def find(self, ops: CodeOps, X: FloatArray, parameters: Parameters, floor: float) -> Codes:
        """Return all positive pre-activations."""
        return ops.collect(X, parameters.encoder, parameters.encoder_bias, equal_thresholds(parameters, 0.0))

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
        sums = sums_of_latents(codes, activations, len(decoder))
        multiples = each * np.divide(sums, norms, out=np.zeros_like(norms), where=norms > 0, casting="same_kind")
        penalty = each * float(sums @ norms)
        return PullBack(
            derivatives + (each * norms)[codes.latents].astype(derivatives.dtype), penalty, decoder_multiples=multiples
        )

    def encode(self, ops: CodeOps, X: FloatArray, parameters: Parameters, threshold: float | None) -> Codes:
        """See `Selection.encode`."""
        return self.find(ops, X, parameters, 0.0)
