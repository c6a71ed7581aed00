"""Rows turned into sparse codes, and back, by a trained dictionary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.training import DictionaryProblem
from rhohat.engines import ThreadEngine, TorchEngine
from rhohat.ops import ops_of
from rhohat.ops.code_ops import CodeOps, Codes, joined

__all__ = ["Coder"]

_ROWS = 4096  # rows that are encoded at a time


@dataclass
class Coder:
    """Encodes and decodes rows.

    Attributes
    ----------
    problem : DictionaryProblem
    theta : array of shape (n_parameters,)
    threshold : float or None
        Average of the thresholds of batches, for selections that have one.
    engine : ThreadEngine or TorchEngine
    ops : CodeOps
    """

    problem: DictionaryProblem
    theta: FloatArray
    threshold: float | None
    engine: ThreadEngine | TorchEngine
    ops: CodeOps

    def encode(self, X: FloatArray) -> Codes:
        """Return the codes of rows, without zeros.

        Parameters
        ----------
        X : array of shape (n_rows, n_features)
            In the dtype of θ.

        Returns
        -------
        Codes
        """
        parts = [self._encode(X[start : start + _ROWS]) for start in range(0, len(X), _ROWS)]
        return joined(parts)

    def decode(self, codes: Codes) -> FloatArray:
        """Return the rows that codes decode to, in the units in which the dictionary sees rows."""
        parameters = self.problem.layout.views(self.theta)
        made = self.ops.decode(codes, parameters.decoder)
        made += parameters.decoder_bias
        return made

    def reconstruct(self, X: FloatArray) -> FloatArray:
        """Return the reconstructions of rows, in the units of the rows."""
        if len(X) == 0:
            return np.empty((0, self.problem.layout.n_outputs), X.dtype)
        return self.restore(self.encode(X), X)

    def restore(self, codes: Codes, X: FloatArray) -> FloatArray:
        """Return the reconstructions of rows from their codes, in the units of the rows."""
        problem, made = self.problem, self.decode(codes)
        skip = problem.layout.views(self.theta).skip
        if skip is not None:
            made += self._inputs(X) @ skip
        return (problem.output_scaling or problem.scaling).undo(made, X)

    def _inputs(self, X: FloatArray) -> FloatArray:
        """Return the input of the encoder."""
        ops = ops_of(X)
        room = ops.empty(X.shape, ops.dtype_of(X))
        inputs = self.problem.scaling.apply(X, room)
        if self.problem.center:
            ops.xp.subtract(inputs, self.problem.layout.views(self.theta).decoder_bias, out=room)
        elif inputs is X:
            room[:] = X
        return room

    def _encode(self, X: FloatArray) -> Codes:
        problem = self.problem
        parameters, inputs = problem.layout.views(self.theta), self._inputs(X)
        parts = self.ops.row_parts(len(X), self.engine.n_workers)
        found: list[Codes] = [None] * len(parts)  # type: ignore[list-item]

        def encode(part: slice, _: int) -> None:
            rows = inputs[parts[part.start]]
            found[part.start] = problem.selection.encode(self.ops, rows, parameters, self.threshold)

        self.engine.for_each(encode, [slice(index, index + 1) for index in range(len(parts))])
        return joined(found)
