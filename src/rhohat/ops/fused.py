"""Larger parts of the mathematics that an array library may compute in one call.

Where a library has no such part, a layer or a pass makes it of other primitives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

__all__ = ["ChainPasses", "GRUSteps", "LSTMSteps", "MaxPooling", "SimpleSteps"]

Array = Any  # an array of the library


class ChainPasses(ABC):
    """The passes of a network of dense layers over a block of rows, each in one call."""

    @abstractmethod
    def takes(self, X: Array, n_known: int) -> bool:
        """Return whether these passes take the rows X, where activations of `n_known` hidden layers are known."""

    @abstractmethod
    def sum_activations(self, X: Array, W: Array, b: Array, out: Array, sums: Array) -> None:
        """Write the activations of the first hidden layer into `out`, and their sums over rows into `sums`.

        Parameters
        ----------
        X : array of shape (n_rows, n_inputs)
        W : array of shape (n_inputs, n_units)
        b : array of shape (n_units,)
        out : array of shape (n_rows, n_units)
        sums : array of shape (n_units,)
        """

    @abstractmethod
    def sum_loss_and_gradient(
        self, X: Array, y: Array, hidden: Array | None, theta: Array, added: Array | None, sums: Array
    ) -> None:
        """Write the gradient, and then the loss, summed over rows, into `sums`.

        Parameters
        ----------
        X : array of shape (n_rows, n_inputs)
        y : array of shape (n_rows, n_outputs)
        hidden : array of shape (n_rows, n_units), or None
            Activations of the first hidden layer, if they are known.
        theta : array of shape (n_parameters,)
            The weights of all layers, and then the biases.
        added : array of shape (n_units,), or None
            What penalties add to ∂J/∂a of the first hidden layer.
        sums : array of shape (n_parameters + 1,)
        """


class SimpleSteps(ABC):
    """The steps of a simple recurrent layer, but for their products; see `rhohat.layers.simple_recurrent`."""

    @abstractmethod
    def step(self, z: Array, through: Array, b: Array, kept: Array) -> Array:
        """Return h_t for z = x_t W and h_{t−1} U, and keep z_t and h_t; z may be overwritten."""

    @abstractmethod
    def step_back(self, kept: Array, of_h: Array, out: Array) -> None:
        """Write ∂J/∂z_t into `out`."""


class LSTMSteps(ABC):
    """The steps of a long short-term memory, but for their products; see `rhohat.layers.lstm`.

    Arrays have the shape (n_rows, number of gates × n_units); `p` holds the peepholes of i, f and o, or is empty.
    """

    @abstractmethod
    def step(self, z: Array, b: Array, c_before: Array, p: Array, kept: Array) -> tuple[Array, Array]:
        """Return h_t and c_t for z = x_t W + h_{t−1} U, and keep i, f, o, g and c_t; z may be overwritten."""

    @abstractmethod
    def state(self, kept: Array, n_units: int) -> tuple[Array, Array]:
        """Return h_t and c_t, from what was kept."""

    @abstractmethod
    def step_back(self, kept: Array, c_before: Array, of_h: Array, of_c: Array, out: Array) -> Array:
        """Write ∂J/∂z_t into `out`, and return ∂J/∂c_{t−1}, where there are no peepholes."""


class GRUSteps(ABC):
    """The steps of a gated recurrent unit, but for their products; see `rhohat.layers.gru`."""

    @abstractmethod
    def step(self, z: Array, through: Array, b: Array, before: Array, kept: Array) -> Array:
        """Return h_t for z = x_t W, h_{t−1} U with its biases, the biases of n, and h_{t−1}; keep n, u, r and so on."""

    @abstractmethod
    def step_back(self, kept: Array, before: Array, of_h: Array, out: Array) -> Array:
        """Write ∂J/∂z_t into `out`, and return the part of ∂J/∂h_{t−1} that goes past the gates."""


class MaxPooling(ABC):
    """Max pooling in one call each way; images have the shape (n_rows, height, width, channels)."""

    @abstractmethod
    def forward(self, images: Array, out: Array, window: tuple[int, int], stride: tuple[int, int]) -> None:
        """Write the largest number of each channel in a window at each of its places into `out`."""

    @abstractmethod
    def pull_back(
        self, images: Array, delta: Array, out: Array, window: tuple[int, int], stride: tuple[int, int]
    ) -> None:
        """Write zeros into `out`, to which each window has added its delta where it is largest for the first time."""
