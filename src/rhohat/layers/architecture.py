"""Descriptions of layers, from which users build the architecture of a network: ``[Convolution(20, 5), Dense(9)]``.

A description says what a layer is, whatever the shape of its input; those of recurrent layers have a file of their own.
`build_layers` turns descriptions into layers for inputs of a given shape: (n_features,), (n_steps, n_channels) for
sequences, or (height, width, n_channels) for images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from numbers import Integral
from typing import Any

from rhohat.common.exceptions import SettingError
from rhohat.layers import convolution, dense, pooling
from rhohat.layers.activations import Activation, as_activation
from rhohat.layers.base import Layer
from rhohat.layers.descriptions import LayerDescription, Shape, check_counts, is_count
from rhohat.layers.dropout_description import Dropout
from rhohat.layers.recurrent_descriptions import GRU, LSTM, Recurrent, with_sequences
from rhohat.layers.stepwise import StepwiseDenseLayer
from rhohat.layers.windows import Windows

__all__ = [
    "GRU",
    "LAYERS",
    "LSTM",
    "Convolution",
    "Dense",
    "Dropout",
    "Flatten",
    "LayerDescription",
    "MaxPooling",
    "MeanPooling",
    "Recurrent",
    "Shape",
    "TransposedConvolution",
    "Upsampling",
    "as_input_shape",
    "build_layers",
    "mirrored",
]

#: A number for all axes of an image, or a number for each.
PerAxis = int | Sequence[int]


@dataclass(frozen=True)
class Dense(LayerDescription):
    """A fully connected layer: each unit depends on all numbers of the row, whatever shape the row has.

    Parameters
    ----------
    n_units : int
        Number of units, at least 1.
    activation : str, Activation or None, default=None
        Activation of the units; None means the activation of the estimator.
    per_step : bool, default=False
        Whether the units act on each step of a sequence by itself, with the same weights, so that the output has steps.
    """

    n_units: int
    activation: str | Activation | None = None
    per_step: bool = False

    @property
    def takes_padding(self) -> bool:  # type: ignore[override]
        """Whether the inputs may be sequences of unequal length, as for units that act on each step."""
        return self.per_step

    def build(self, shape: Shape, activation: str | Activation) -> tuple[list[Layer], Shape]:
        """Make the layer for inputs of a shape."""
        check_counts("Dense", n_units=self.n_units)
        n_units = int(self.n_units)
        chosen = as_activation(activation if self.activation is None else self.activation)
        if not self.per_step:
            return [dense.DenseLayer(prod(shape), n_units, chosen)], (n_units,)
        if len(shape) != 2:
            raise ValueError("Dense with per_step=True needs sequences of the shape (steps, channels).")
        return [StepwiseDenseLayer(*shape, n_units, chosen)], (shape[0], n_units)

    def mirror(self, shape: Shape) -> LayerDescription:
        """Return a fully connected layer whose outputs have the shape."""
        return Dense(shape[-1], self.activation, per_step=True) if self.per_step else _DenseTo(shape, self.activation)


@dataclass(frozen=True)
class _DenseTo(LayerDescription):
    """A fully connected layer whose outputs have a shape; the mirror of `Dense`."""

    shape: Shape
    activation: str | Activation | None = None

    def build(self, shape: Shape, activation: str | Activation) -> tuple[list[Layer], Shape]:
        """Make the layer for inputs of a shape."""
        layers, _ = Dense(prod(self.shape), self.activation).build(shape, activation)
        return layers, self.shape

    def mirror(self, shape: Shape) -> LayerDescription:
        """Return a fully connected layer whose outputs have the shape."""
        return _DenseTo(shape, self.activation)


@dataclass(frozen=True)
class Convolution(LayerDescription):
    """A convolution: each unit of a channel depends on a window of the image or sequence, with the same weights.

    z[y, x, o] = Σ_{u, v, c} a[y s + u, x s + v, c] W[u, v, c, o] + b[o], with s the stride.

    Parameters
    ----------
    n_channels : int
        Number of channels of the output, which are also called filters or feature maps; at least 1.
    kernel_size : int or tuple of int
        Height and width of the window; a single number means a square. A sequence has a single axis.
    stride : int or tuple of int, default=1
        Steps by which the window moves.
    padding : {"valid", "same"}, default="valid"
        "valid" keeps the window inside of the image, so that the output is smaller. "same" surrounds the image with
        zeros, so that the output has ⌈size / stride⌉ places along each axis.
    activation : str, Activation or None, default=None
        Activation, which must act on each unit separately; None means the activation of the estimator.
    """

    n_channels: int
    kernel_size: PerAxis
    stride: PerAxis = 1
    padding: str = "valid"
    activation: str | Activation | None = None

    def build(self, shape: Shape, activation: str | Activation) -> tuple[list[Layer], Shape]:
        """Make the layer for inputs of a shape."""
        check_counts("Convolution", n_channels=self.n_channels)
        windows = _windows("Convolution", shape[:-1], ("kernel_size", self.kernel_size), self.stride, self.padding)
        chosen = as_activation(activation if self.activation is None else self.activation)
        layer = convolution.ConvolutionLayer(windows, shape[-1], int(self.n_channels), chosen)
        return [layer], (*_places(windows, shape), int(self.n_channels))

    def mirror(self, shape: Shape) -> LayerDescription:
        """Return the transposed convolution whose outputs have the shape."""
        kernel, stride = self.kernel_size, self.stride
        return TransposedConvolution(shape[-1], kernel, stride, self.padding, self.activation, shape[:-1])


@dataclass(frozen=True)
class TransposedConvolution(LayerDescription):
    """A transposed convolution: each pixel of the input adds a multiple of the kernel to its window of the output.

    Parameters
    ----------
    n_channels : int
        Number of channels of the output, at least 1.
    kernel_size, stride, padding
        Parameters of the convolution that leads from the output back to the input; see `Convolution`.
    activation : str, Activation or None, default=None
        Activation, which must act on each unit separately; None means the activation of the estimator.
    output_size : tuple of int, default=None
        Height and width of the output, or length of a sequence. None means the smallest size from which the
        convolution leads back to the input: (size − 1) stride + kernel_size for "valid" padding, and size × stride for
        "same" padding, where size is the size of the input.
    """

    n_channels: int
    kernel_size: PerAxis
    stride: PerAxis = 1
    padding: str = "valid"
    activation: str | Activation | None = None
    output_size: PerAxis | None = None

    def build(self, shape: Shape, activation: str | Activation) -> tuple[list[Layer], Shape]:
        """Make the layer for inputs of a shape."""
        name = "TransposedConvolution"
        check_counts(name, n_channels=self.n_channels)
        window = "kernel_size", self.kernel_size
        size, windows = _windows_on_output(name, shape, window, self.stride, self.padding, self.output_size)
        chosen = as_activation(activation if self.activation is None else self.activation)
        layer = convolution.TransposedConvolutionLayer(windows, shape[-1], int(self.n_channels), chosen)
        return [layer], (*size, int(self.n_channels))

    def mirror(self, shape: Shape) -> LayerDescription:
        """Return the convolution back to the shape."""
        return Convolution(shape[-1], self.kernel_size, self.stride, self.padding, self.activation)


@dataclass(frozen=True)
class _Pooling(LayerDescription):
    """Base class of max pooling and mean pooling."""

    size: PerAxis
    stride: PerAxis | None = None

    def build(self, shape: Shape, activation: str | Activation) -> tuple[list[Layer], Shape]:
        """Make the layer for inputs of a shape."""
        name = type(self).__name__
        stride = self.size if self.stride is None else self.stride
        windows = _windows(name, shape[:-1], ("size", self.size), stride, "valid")
        kind = pooling.MaxPoolingLayer if isinstance(self, MaxPooling) else pooling.MeanPoolingLayer
        return [kind(windows, shape[-1])], (*_places(windows, shape), shape[-1])

    def mirror(self, shape: Shape) -> LayerDescription:
        """Return the layer that repeats each number in its window; pixels that no window reaches get 0."""
        return Upsampling(self.size, self.stride, shape[:-1])


@dataclass(frozen=True)
class MaxPooling(_Pooling):
    """Max pooling: the largest number of each channel in each window.

    Parameters
    ----------
    size : int or tuple of int
        Height and width of the window. Pixels at the lower and right edge that no window reaches are left out.
    stride : int or tuple of int, default=None
        Steps by which the window moves; None means its size, so that windows do not overlap.
    """


@dataclass(frozen=True)
class MeanPooling(_Pooling):
    """Mean pooling: the mean of each channel in each window.

    Parameters
    ----------
    size : int or tuple of int
        Height and width of the window. Pixels at the lower and right edge that no window reaches are left out.
    stride : int or tuple of int, default=None
        Steps by which the window moves; None means its size, so that windows do not overlap.
    """


@dataclass(frozen=True)
class Upsampling(LayerDescription):
    """Upsampling: each number is repeated in its window, as a decoder does where the encoder pools.

    Parameters
    ----------
    size : int or tuple of int
        Height and width of the window.
    stride : int or tuple of int, default=None
        Steps by which the window moves; None means its size. Where windows overlap, their numbers are added.
    output_size : tuple of int, default=None
        Height and width of the output, or length of a sequence; None means (input − 1) stride + size. Pixels that no
        window reaches are 0.
    """

    size: PerAxis
    stride: PerAxis | None = None
    output_size: PerAxis | None = None

    def build(self, shape: Shape, activation: str | Activation) -> tuple[list[Layer], Shape]:
        """Make the layer for inputs of a shape."""
        stride = self.size if self.stride is None else self.stride
        window = "size", self.size
        size, windows = _windows_on_output("Upsampling", shape, window, stride, "valid", self.output_size)
        return [pooling.UpsamplingLayer(windows, shape[-1])], (*size, shape[-1])

    def mirror(self, shape: Shape) -> LayerDescription:
        """Return the layer that takes the mean of each window."""
        return MeanPooling(self.size, self.stride)


@dataclass(frozen=True)
class Flatten(LayerDescription):
    """Turns the shape of a row into a single axis; dense layers do so by themselves."""

    def build(self, shape: Shape, activation: str | Activation) -> tuple[list[Layer], Shape]:
        """Return no layer, as rows are flat in memory, and the new shape."""
        return [], (prod(shape),)

    def mirror(self, shape: Shape) -> LayerDescription:
        """Return the description that gives flat rows this shape again."""
        return _Reshape(shape)


@dataclass(frozen=True)
class _Reshape(LayerDescription):
    shape: Shape

    def build(self, shape: Shape, activation: str | Activation) -> tuple[list[Layer], Shape]:
        """Return no layer, and the new shape."""
        return [], self.shape

    def mirror(self, shape: Shape) -> LayerDescription:
        """Return the description that gives rows this shape again."""
        return _Reshape(shape)


#: The layers that users name.
LAYERS: tuple[type[LayerDescription], ...] = (
    *(Convolution, Dense, Flatten, MaxPooling, MeanPooling, TransposedConvolution, Upsampling),
    *(Dropout, GRU, LSTM, Recurrent),
)


def build_layers(
    descriptions: Sequence[Any], shape: Shape, activation: str | Activation, *, sequences: bool = False
) -> tuple[list[Layer], list[Shape]]:
    """Make the layers of a network from their descriptions.

    Parameters
    ----------
    descriptions : sequence of LayerDescription or int
        The layers in order; a number stands for a dense layer with this number of units.
    shape : tuple of int
        Shape of the rows.
    activation : str or Activation
        Activation of layers whose descriptions name none.
    sequences : bool, default=False
        Whether a last layer that is recurrent returns all steps, unless its description says what it returns.

    Returns
    -------
    layers : list of Layer
        The layers. There are fewer layers than descriptions if some descriptions only change the shape.
    shapes : list of tuples of int
        The shapes of the input and of the outputs of all descriptions.

    Raises
    ------
    ValueError
        If an item is neither a description nor a number of units, or if a layer cannot follow the layer before it.

    Examples
    --------
    >>> layers, shapes = build_layers([Convolution(20, 5), MaxPooling(2), Dense(500)], (28, 28, 1), "tanh")
    >>> shapes
    [(28, 28, 1), (24, 24, 20), (12, 12, 20), (500,)]
    """
    layers: list[Layer] = []
    shapes = [shape]
    for index, description in enumerate(with_sequences(descriptions, at_the_end=sequences)):
        if isinstance(description, Integral) and not isinstance(description, bool):
            description = Dense(int(description))
        if not isinstance(description, LayerDescription):
            raise SettingError(
                "layers must be a sequence of layers, such as Convolution(20, 5), MaxPooling(2) and Dense(500), or of"
                f" numbers of units; item {index} is {description!r}."
            )
        try:
            built, shape = description.build(shape, activation)
        except ValueError as error:
            raise SettingError(
                f"layer {index} cannot be {description!r}, as its input has the shape {shape}: {error}"
            ) from None
        layers += built
        shapes.append(shape)
    return layers, shapes


def mirrored(descriptions: Sequence[Any], shapes: Sequence[Shape]) -> list[LayerDescription]:
    """Return the descriptions of a decoder that leads back through the shapes of an encoder.

    Parameters
    ----------
    descriptions : sequence of LayerDescription or int
        The layers of the encoder.
    shapes : sequence of tuples of int
        The shapes that `build_layers` returned for them.
    """
    described = [Dense(int(one)) if isinstance(one, Integral) else one for one in descriptions]
    return [one.mirror(shape) for one, shape in zip(reversed(described), reversed(shapes[:-1]), strict=True)]


def as_input_shape(shape: Any) -> Shape:
    """Return the shape of a row as a tuple, or raise ValueError."""
    sizes = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    if not 1 <= len(sizes) <= 3 or not all(is_count(size) for size in sizes):
        raise SettingError(
            "input_shape must be (height, width, channels) for images, (steps, channels) for sequences, or"
            f" (n_features,), all at least 1; got {shape!r}."
        )
    return tuple(int(size) for size in sizes)


def _windows(name: str, size: Shape, window: tuple[str, PerAxis], stride: PerAxis, padding: str) -> Windows:
    """Return the windows on an image or a sequence.

    The size of the window comes with the name of the parameter that it is of.
    """
    return _windows_on(size, *_window_and_stride(name, size, window, stride), padding)


def _windows_on_output(
    name: str,
    shape: Shape,
    window: tuple[str, PerAxis],
    stride: PerAxis,
    padding: str,
    output_size: PerAxis | None,
) -> tuple[Shape, Windows]:
    """Return the size of the output of a layer with inputs of a shape, and the windows, which are on the output."""
    size, n_axes = shape[:-1], len(shape) - 1
    kernel, steps = _window_and_stride(name, size, window, stride)
    if output_size is not None:
        output = _per_axis(name, "output_size", output_size, n_axes)
    elif padding == "same":
        output = tuple(s * by for s, by in zip(size, steps, strict=True))
    else:
        output = tuple((s - 1) * by + k for s, by, k in zip(size, steps, kernel, strict=True))
    windows = _windows_on(output, kernel, steps, padding)
    if _places(windows, shape) != size:
        raise ValueError(
            f"{name} cannot turn an input of the size {size} into output_size={output}, because its window has"
            f" {_places(windows, shape)} places on an output of this size."
        )
    return output, windows


def _windows_on(size: Shape, kernel: Shape, steps: Shape, padding: str) -> Windows:
    """Return the windows on an image, or on a sequence, which is an image of height 1."""
    one = (1,) * (2 - len(size))
    return Windows((*one, *size), (*one, *kernel), (*one, *steps), padding)  # type: ignore[arg-type]


def _window_and_stride(name: str, size: Shape, window: tuple[str, PerAxis], stride: PerAxis) -> tuple[Shape, Shape]:
    """Return the window and the stride for each axis of an image or a sequence, or raise ValueError."""
    if len(size) not in (1, 2):
        raise ValueError(
            f"{name} needs images of the shape (height, width, channels) or sequences of the shape (steps, channels);"
            " set input_shape."
        )
    return _per_axis(name, *window, len(size)), _per_axis(name, "stride", stride, len(size))


def _places(windows: Windows, shape: Shape) -> Shape:
    """Return the number of places of the window along each axis: two for images, one for sequences."""
    return windows.places[3 - len(shape) :]


def _per_axis(name: str, what: str, value: PerAxis, n_axes: int) -> Shape:
    """Return a number for each axis, or raise ValueError."""
    numbers = tuple(value) if isinstance(value, Sequence) else (value,) * n_axes
    if len(numbers) != n_axes or not all(is_count(one) for one in numbers):
        raise ValueError(f"{what} of {name} must be an integer of at least 1, or {n_axes} of them; got {value!r}.")
    return tuple(int(one) for one in numbers)
