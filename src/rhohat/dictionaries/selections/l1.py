"""The selection of all positive pre-activations, whose sum is penalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.parameters import Parameters
from rhohat.dictionaries.selections.base import PullBack, Selection, Sums, equal_thresholds
from rhohat.ops import ops_of
from rhohat.ops.code_ops import CodeOps, Codes

__all__ = ["L1"]


@dataclass(frozen=True)
class L1(Selection):
    """All positive pre-activations, with the penalty λ Σ_j f_j ‖d_j‖ of a row, where d_j is row j of the decoder.

    References
    ----------
    Conerly, T. et al. (2024). Update on how we train SAEs. Transformer Circuits Thread, April update.
    """

    def find(self, ops: CodeOps, X: FloatArray, parameters: Parameters, floor: Any) -> Codes:
        """Return all positive pre-activations."""
        return ops.collect(X, parameters.encoder, parameters.encoder_bias, equal_thresholds(parameters, 0.0))

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
        decoder, each = parameters.decoder, weight / codes.n_rows
        ops = ops_of(decoder)
        norms = ops.xp.sqrt(ops.xp.einsum("ij,ij->i", decoder, decoder))
        total = sums.of_latents(activations)
        quotients = ops.xp.where(norms > 0, total / ops.xp.where(norms > 0, norms, 1), 0)
        multiples = each * ops.asarray(quotients, ops.dtype_of(norms))
        penalty = each * sums.whole(sums.ops.number(total @ ops.asarray(norms, ops.dtype_of(total))))
        return PullBack(derivatives + (each * norms)[codes.latents], penalty, decoder_multiples=multiples)

    def encode(self, ops: CodeOps, X: FloatArray, parameters: Parameters, threshold: float | None) -> Codes:
        """See `Selection.encode`."""
        return self.find(ops, X, parameters, 0.0)
