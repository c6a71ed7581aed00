"""Convolution along one axis, with the same weights at every step of a sequence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Activation
from rhohat.layers.linear import MapLayer

__all__ = ["Convolution1D"]


@dataclass(frozen=True)
class Convolution1D(MapLayer):
    """One-dimensional convolution without padding: z[t, o] = Σ_{u, c} a[t + u, c] W[u, c, o] + b[o].

    Parameters
    ----------
    n_steps : int
        Length of a sequence. A row is a sequence of shape (n_steps, n_channels), raveled.
    n_channels, n_filters : int
        Numbers per step of the input and of the output.
    n_taps : int
        Steps in a window, at most `n_steps`.
    activation : Activation
        An activation without parameters that has one pre-activation per unit.

    Raises
    ------
    ValueError
        If the sizes do not fit.
    """

    n_steps: int
    n_channels: int
    n_filters: int
    n_taps: int
    activation: Activation

    def __post_init__(self) -> None:
        if min(self.n_channels, self.n_filters, self.n_taps) < 1 or self.n_taps > self.n_steps:
            raise ValueError(
                f"a convolution needs at least one channel and one filter, and n_taps in [1, {self.n_steps}], where"
                f" {self.n_steps} is the number of steps of a sequence; got n_channels={self.n_channels},"
                f" n_filters={self.n_filters}, n_taps={self.n_taps}."
            )
        if self.activation.width(self.n_filters) != self.n_filters or self.activation.n_parameters(self.n_filters):
            raise ValueError(
                f"a convolution cannot use the activation {self.activation.name!r}, which has parameters of its own or"
                " several pre-activations per unit; use another activation, such as 'relu'."
            )

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of inputs per row: steps times channels."""
        return self.n_steps * self.n_channels

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        """Number of outputs per row: positions of the window times filters."""
        return self.n_places * self.n_filters

    @property
    def n_places(self) -> int:
        """Number of positions of the window: steps at which a window begins."""
        return self.n_steps - self.n_taps + 1

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights: (n_taps, n_channels, n_filters)."""
        return self.n_taps, self.n_channels, self.n_filters

    @property
    def n_biases(self) -> int:
        """Number of biases: one for each filter."""
        return self.n_filters

    @property
    def fans(self) -> tuple[int, int]:
        """Fan-in and fan-out: (n_taps n_channels, n_taps n_filters)."""
        return self.n_taps * self.n_channels, self.n_taps * self.n_filters

    @property
    def multiply_adds(self) -> int:
        """Number of multiplications per row: one for each weight at each position of the window."""
        return self.n_places * int(np.prod(self.weight_shape))

    def apply(self, given: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the products of all windows with the weights, of shape (n_rows, n_outputs)."""
        products: FloatArray = self.ops.xp.tensordot(self._windows(given), W, ([2, 3], [1, 0]))
        rows = products.reshape(len(given), self.n_outputs)
        if out is None:
            return rows
        out[:] = rows
        return out

    def apply_transposed(self, delta: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the transposed convolution of delta: for each step, the sum over the windows that contain it."""
        places = delta.reshape(len(delta), self.n_places, self.n_filters)
        back = self.ops.zeros((len(delta), self.n_steps, self.n_channels), self.ops.dtype_of(delta))
        for tap in range(self.n_taps):
            back[:, tap : tap + self.n_places] += places @ W[tap].T
        rows = back.reshape(len(delta), self.n_inputs)
        if out is None:
            return rows
        out[:] = rows
        return out

    def weight_gradient(self, given: FloatArray, delta: FloatArray, out: FloatArray, *, accumulate: bool) -> None:
        """Write the products of all windows with delta into `out`, or add them to `out`."""
        places = delta.reshape(len(delta), self.n_places, self.n_filters)
        by_channel = self.ops.xp.tensordot(self._windows(given), places, ([0, 1], [0, 1]))
        gradient = self.ops.xp.swapaxes(by_channel, 0, 1)
        out[:] = out + gradient if accumulate else gradient

    def bias_row(self, b: FloatArray) -> FloatArray:
        """Return the biases, repeated for each position of the window."""
        row: FloatArray = self.ops.xp.tile(b, (self.n_places,))
        return row

    def add_bias_gradient(self, b: FloatArray, delta: FloatArray, ones: FloatArray, *, accumulate: bool) -> None:
        """Write the sum of delta over rows and positions of the window into `b`, or add it to `b`."""
        over_rows = self.ops.empty((1, self.n_outputs), self.ops.dtype_of(delta))
        self.ops.sum_rows(delta, ones, over_rows)
        total = over_rows.reshape(self.n_places, self.n_filters).sum(0)
        b[:] = b + total if accumulate else total

    def _windows(self, given: FloatArray) -> FloatArray:
        """Return a view of all windows, of shape (n_rows, n_places, n_channels, n_taps)."""
        sequences = given.reshape(len(given), self.n_steps, self.n_channels)
        windows: FloatArray = self.ops.windows(sequences, self.n_taps)
        return windows
