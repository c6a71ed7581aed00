"""Rows turned into sparse codes, and back, on a device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.device_training import scaling_there
from rhohat.dictionaries.encoding import Coder
from rhohat.dictionaries.training import DictionaryProblem
from rhohat.engines import TorchEngine
from rhohat.ops import code_ops_of
from rhohat.ops.code_ops import Codes, joined

__all__ = ["DeviceCoder"]

_ROWS = 4096  # rows that are encoded or decoded at a time


class DeviceCoder(Coder):
    """Encodes and decodes rows on a device; rows, codes and reconstructions are arrays of the host.

    Parameters
    ----------
    problem, threshold
        See `Coder`.
    theta : array of shape (n_parameters,)
        Put on the device once.
    engine : TorchEngine
    """

    def __init__(
        self, problem: DictionaryProblem, theta: FloatArray, threshold: float | None, engine: TorchEngine
    ) -> None:
        ops = engine.device_ops
        there: dict[str, Any] = {"scaling": scaling_there(problem.scaling, ops, engine.dtype)}
        if problem.output_scaling is not None:
            there["output_scaling"] = scaling_there(problem.output_scaling, ops, engine.dtype)
        parameters = ops.asarray(theta, engine.dtype)
        super().__init__(replace(problem, **there), parameters, threshold, engine, code_ops_of(ops))
        self._device_ops, self._dtype = ops, engine.dtype

    def encode(self, X: FloatArray) -> Codes:
        """Return the codes of rows, without zeros; see `Coder.encode`."""
        return joined([self._codes_of(X[start : start + _ROWS]) for start in range(0, len(X), _ROWS)])

    def restore(self, codes: Codes, X: FloatArray) -> FloatArray:
        """Return the reconstructions of rows from their codes, in the units of the rows."""
        made = np.empty((len(X), self.problem.layout.n_outputs), X.dtype)
        for start in range(0, len(X), _ROWS):
            rows = slice(start, min(start + _ROWS, len(X)))
            some = super().restore(self._bring(codes.of_rows(rows)), self._device_ops.asarray(X[rows], self._dtype))
            made[rows] = self._device_ops.to_numpy(some)
        return made

    def _codes_of(self, X: FloatArray) -> Codes:
        """Return the codes of some rows as arrays of the host."""
        found = self.ops.positive(self._encode(self._device_ops.asarray(X, self._dtype)))
        starts, latents, values = (self._device_ops.to_numpy(array) for array in found)
        return Codes(starts, latents, values.astype(X.dtype, copy=False))

    def _bring(self, codes: Codes) -> Codes:
        """Return codes as tensors on the device."""
        put = self._device_ops.asarray
        starts, latents = put(codes.starts.astype(np.int64)), put(codes.latents.astype(np.int32))
        return Codes(starts, latents, put(codes.values, self._dtype))
