"""Convolution of images and sequences, with the same weights at every place, and its transpose."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Activation, ElementwiseActivation
from rhohat.layers.linear import MapLayer
from rhohat.layers.windows import Windows

__all__ = ["ConvolutionLayer", "TransposedConvolutionLayer"]


class _Convolving(MapLayer):
    """Base class of convolutions and transposed convolutions, which use the same weights in every window of an image.

    Attributes
    ----------
    windows : Windows
        Windows in the larger image, which is the input of a convolution and the output of a transposed convolution.
        The smaller image has a pixel for each place of the window.
    n_inside, n_filters : int
        Number of channels of the larger and of the smaller image.
    """

    windows: Windows
    n_inside: int
    n_filters: int
    activation: Activation
    can_be_tied: ClassVar[bool] = True

    @property
    @abstractmethod
    def output_channels(self) -> int:
        """Number of channels of the output."""

    @property
    def n_biases(self) -> int:
        """Number of biases: one for each channel of the output."""
        return self.output_channels

    @property
    def multiply_adds(self) -> int:
        """Number of multiplications per row: one for each weight at each place of the window."""
        return self.windows.n_places * prod(self.weight_shape)

    @property
    def scratch_numbers(self) -> int:
        """Number of numbers of scratch memory that one thread needs for a chunk of rows: windows and padded images."""
        rows = next(self.windows.chunks(2**62, self.n_inside))
        copied = prod(self.windows.padded) if self.windows.padded != self.windows.size else 0
        per_row = self.windows.n_places * prod(self.windows.window) + copied
        return (rows.stop - rows.start) * per_row * self.n_inside

    def bias_row(self, b: FloatArray) -> FloatArray:
        """Return the biases, repeated for each place of the output."""
        row: FloatArray = self.ops.xp.tile(b, (self.n_outputs // self.output_channels,))
        return row

    def add_bias_gradient(self, b: FloatArray, delta: FloatArray, ones: FloatArray, *, accumulate: bool) -> None:
        """Write the sum of delta over rows and places into `b`, or add it to `b`."""
        over_rows = self.ops.empty((1, self.n_outputs), self.ops.dtype_of(delta))
        self.ops.sum_rows(delta, ones, over_rows)
        total = over_rows.reshape(-1, self.output_channels).sum(0)
        b[:] = b + total if accumulate else total

    def __post_init__(self) -> None:
        if min(self.n_inside, self.n_filters) < 1:
            raise ValueError(
                f"a convolution needs at least one channel and one filter; got {self.n_inside} channels and"
                f" {self.n_filters} filters."
            )
        if self.windows.padding == "valid" and any(
            size < kernel for size, kernel in zip(self.windows.size, self.windows.window, strict=True)
        ):
            raise ValueError(
                f"the kernel {self.windows.window} is larger than the image {self.windows.size}; use a smaller kernel,"
                " or padding='same'."
            )
        if not isinstance(self.activation, ElementwiseActivation):
            raise ValueError(
                f"a convolution cannot use the activation {self.activation.name!r}, which does not act on each unit by"
                " itself or has parameters of its own; use another activation, such as 'relu'."
            )

    # Windows of the larger image, against channels of the places.

    def _from_windows(self, images: FloatArray, matrix: FloatArray, out: FloatArray | None) -> FloatArray:
        """Return the products of all windows with a matrix of shape (window, n_filters), in `out` if it is given."""
        if out is None:
            out = self.ops.empty((len(images), self.windows.n_places * self.n_filters), self.ops.dtype_of(images))
        pictures, places = self._pictures(images), out.reshape(len(out), self.windows.n_places, self.n_filters)
        for rows in self.windows.chunks(len(out), self.n_inside):
            gathered = self.windows.gather(self.ops, pictures[rows]).reshape(-1, matrix.shape[0])
            self.ops.multiply(gathered, matrix, places[rows].reshape(-1, self.n_filters))
        return out

    def _to_windows(self, places: FloatArray, matrix: FloatArray, out: FloatArray | None) -> FloatArray:
        """Return images; each place has added the product of its numbers with the transposed matrix to its window."""
        if out is None:
            out = self.ops.empty((len(places), prod(self.windows.size) * self.n_inside), self.ops.dtype_of(places))
        pictures, places = self._pictures(out), places.reshape(len(out), self.windows.n_places, self.n_filters)
        shape = (*self.windows.places, *self.windows.window, self.n_inside)
        for rows in self.windows.chunks(len(out), self.n_inside):
            of_places = places[rows].reshape(-1, self.n_filters)
            gathered = self.ops.empty((len(of_places), matrix.shape[0]), self.ops.dtype_of(places))
            self.ops.multiply(of_places, matrix.T, gathered)
            self.windows.scatter(self.ops, gathered.reshape(-1, *shape), pictures[rows])
        return out

    def _matrix_gradient(self, images: FloatArray, places: FloatArray, lines: slice = slice(None)) -> FloatArray:
        """Return the sum, over rows and places, of the numbers in a window times the numbers at its place.

        The shape is (window's lines, columns, channels, filters); `lines` chooses lines of the window.
        """
        pictures, places = self._pictures(images), places.reshape(len(places), self.windows.n_places, self.n_filters)
        total = None
        for rows in self.windows.chunks(len(places), self.n_inside):
            gathered = self.windows.gather(self.ops, pictures[rows], lines)
            product = self.ops.empty((prod(gathered.shape[3:]), self.n_filters), self.ops.dtype_of(places))
            gathered = gathered.reshape(-1, len(product))
            self.ops.multiply_transposed(gathered, places[rows].reshape(-1, self.n_filters), product)
            total = product if total is None else total + product
        assert total is not None
        gradient: FloatArray = total.reshape(-1, self.windows.window[1], self.n_inside, self.n_filters)
        return gradient

    def _pictures(self, rows: FloatArray) -> FloatArray:
        pictures: FloatArray = rows.reshape(len(rows), *self.windows.size, self.n_inside)
        return pictures


@dataclass(frozen=True)
class ConvolutionLayer(_Convolving):
    """Convolution: z[y, x, o] = Σ_{u, v, c} a[y s + u, x s + v, c] W[u, v, c, o] + b[o].

    A row is an image of shape (height, width, n_channels), raveled; a sequence is an image of height 1.

    Parameters
    ----------
    windows : Windows
        Places of the kernel in the input.
    n_channels, n_filters : int
        Numbers per pixel of the input and of the output.
    activation : Activation
        An activation that acts on each unit separately and has no parameters of its own.

    Raises
    ------
    ValueError
        If the sizes do not fit, or if the activation is not possible.
    """

    windows: Windows
    n_channels: int
    n_filters: int
    activation: Activation

    @property
    def n_inside(self) -> int:  # type: ignore[override]
        """Number of channels of the input."""
        return self.n_channels

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of inputs per row: pixels times channels."""
        return prod(self.windows.size) * self.n_channels

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        """Number of outputs per row: places of the kernel times filters."""
        return self.windows.n_places * self.n_filters

    @property
    def output_channels(self) -> int:
        """Number of channels of the output, which is the number of filters."""
        return self.n_filters

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Numbers of places of the kernel down and across, and number of filters."""
        return *self.windows.places, self.n_filters

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights: (height and width of the kernel, n_channels, n_filters)."""
        return *self.windows.window, self.n_channels, self.n_filters

    @property
    def fans(self) -> tuple[int, int]:
        """Fan-in and fan-out: the kernel's size times n_channels, and times n_filters."""
        kernel = prod(self.windows.window)
        return kernel * self.n_channels, kernel * self.n_filters

    def apply(self, given: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the products of all windows with the weights, of shape (n_rows, n_outputs)."""
        return self._from_windows(given, W.reshape(-1, self.n_filters), out)

    def apply_transposed(self, delta: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the transposed convolution of delta: for each pixel, the sum over the windows that contain it."""
        return self._to_windows(delta, W.reshape(-1, self.n_filters), out)

    def weight_gradient(self, given: FloatArray, delta: FloatArray, out: FloatArray, *, accumulate: bool) -> None:
        """Write the products of all windows with delta, summed over rows and places, into `out`, or add them."""
        gradient = self._matrix_gradient(given, delta)
        out[:] = out + gradient if accumulate else gradient

    def gradient_parts(self, n_rows: int) -> list[slice]:
        """Cut the kernel into its lines, whose gradients threads can compute side by side."""
        return [slice(u, u + 1) for u in range(self.windows.window[0])]

    def write_gradient_part(self, W: FloatArray, given: FloatArray, delta: FloatArray, part: slice) -> None:
        """Write the gradient of some lines of the kernel into `W`."""
        W[:] = self._matrix_gradient(given, delta, part)

    def add_tied_gradient(self, W: FloatArray, given: FloatArray, delta: FloatArray, part: slice) -> None:
        """Add the gradient of some filters to `W`, in the order of the transposed convolution's weights."""
        W += self.ops.transpose(self._matrix_gradient(given, delta))[part]


@dataclass(frozen=True)
class TransposedConvolutionLayer(_Convolving):
    """Transposed convolution: each pixel of the input adds a multiple of the kernel to its window of the output.

    Its matrix is the transposed matrix of a convolution from the output to the input, and each channel of the output
    has a bias. A decoder uses it to undo a convolution of the encoder.

    Parameters
    ----------
    windows : Windows
        Places of the windows in the output. The input has a pixel for each place.
    n_filters, n_channels : int
        Numbers per pixel of the input and of the output.
    activation : Activation
        An activation that acts on each unit separately and has no parameters of its own.

    Raises
    ------
    ValueError
        If the sizes do not fit, or if the activation is not possible.
    """

    windows: Windows
    n_filters: int
    n_channels: int
    activation: Activation

    @property
    def n_inside(self) -> int:  # type: ignore[override]
        """Number of channels of the output."""
        return self.n_channels

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of inputs per row: places of the window times filters."""
        return self.windows.n_places * self.n_filters

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        """Number of outputs per row: pixels times channels."""
        return prod(self.windows.size) * self.n_channels

    @property
    def output_channels(self) -> int:
        """Number of channels of the output."""
        return self.n_channels

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Height, width and number of channels of the output."""
        return *self.windows.size, self.n_channels

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights, reversed in comparison with a convolution: (n_filters, n_channels, width, height)."""
        return self.n_filters, self.n_channels, *self.windows.window[::-1]

    @property
    def fans(self) -> tuple[int, int]:
        """Fan-in and fan-out: the kernel's size times n_filters, and times n_channels."""
        kernel = prod(self.windows.window)
        return kernel * self.n_filters, kernel * self.n_channels

    def apply(self, given: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the sums of the multiples of the kernel that the inputs add, of shape (n_rows, n_outputs)."""
        return self._to_windows(given, self.ops.transpose(W).reshape(-1, self.n_filters), out)

    def apply_transposed(self, delta: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the convolution of delta with the same weights."""
        return self._from_windows(delta, self.ops.transpose(W).reshape(-1, self.n_filters), out)

    def weight_gradient(self, given: FloatArray, delta: FloatArray, out: FloatArray, *, accumulate: bool) -> None:
        """Write the products of all windows of delta with the inputs, summed, into `out`, or add them."""
        gradient = self.ops.transpose(self._matrix_gradient(delta, given))
        out[:] = out + gradient if accumulate else gradient

    def add_tied_gradient(self, W: FloatArray, given: FloatArray, delta: FloatArray, part: slice) -> None:
        """Add the gradient of some lines of the kernel to `W`, in the order of the convolution's weights."""
        W += self._matrix_gradient(delta, given, part)
