"""What pipelines, commands, evaluation and reports ask of a network: codes and reconstructions, block by block."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource
from rhohat.estimators.estimator import Estimator
from rhohat.fitting.forward import ForwardPass
from rhohat.layers.network import Network

__all__ = ["UsableNetwork"]


class UsableNetwork(Estimator):
    """The part of a network's estimator that passes rows through the fitted network block by block."""

    network_: Network
    coefs_: list[FloatArray]
    inverse_transform: Any  # of autoencoders

    @abstractmethod
    def forward_pass(self, X: FloatArray | RowSource, start: int, stop: int) -> ForwardPass:
        """Return an object that computes activations of layer `stop` from those of layer `start`, block by block."""

    @property
    def layer_sizes_(self) -> tuple[int, ...]:
        """Numbers of units of the layers, from the input to the output."""
        return self.network_.layer_sizes

    @property
    def n_steps_of_rows_(self) -> int | None:
        """Largest number of steps of the rows if they are sequences; None for other rows."""
        return self.network_.n_steps_of_rows

    @property
    def n_steps_of_code_(self) -> int | None:
        """Number of steps of the code if it is a sequence; None for other codes."""
        return self.network_.layers[self.code_layer_ - 1].n_padded_steps

    def describe(self) -> dict[str, Any]:
        """Return the architecture of the network in types that JSON can hold."""
        network = self.network_
        return {
            "layer_sizes": list(network.layer_sizes),
            "activations": [str(activation) for activation in network.activations],
            "n_parameters": network.n_parameters,
            "dtype": str(self.coefs_[0].dtype),
        }

    def code_blocks(self, rows: RowSource) -> Iterator[FloatArray]:
        """Yield the codes of successive rows, some at a time; the next iteration overwrites the array."""
        check_is_fitted(self)
        return (codes for _, codes in self.forward_pass(rows, 0, self.code_layer_).in_order())

    def decode(self, codes: FloatArray, rows: FloatArray) -> FloatArray:
        """Return the reconstructions of rows, which follow from their codes alone; see `inverse_transform`."""
        check_is_fitted(self)
        self._check_reconstructs()
        made: FloatArray = self.inverse_transform(codes)
        return made

    def reconstruction_blocks(self, rows: RowSource) -> Iterator[FloatArray]:
        """Yield the reconstructions of successive rows, some at a time; the next iteration overwrites the array.

        Nothing is reconstructed past the end of a sequence, where rows and reconstructions are NaN.
        """
        check_is_fitted(self)
        self._check_reconstructs()
        return self._reconstructions(rows)

    def _reconstructions(self, rows: RowSource) -> Iterator[FloatArray]:
        for place, made in self.forward_pass(rows, 0, self.network_.n_layers).in_order():
            if self.n_steps_of_rows_ is not None:
                made[np.isnan(rows.read(place.start, place.stop))] = np.nan
            yield made

    def _check_reconstructs(self) -> None:
        if not self.reconstructs:
            raise ValueError(
                f"{type(self).__name__} learns from targets and does not reconstruct rows; only an autoencoder does."
            )
