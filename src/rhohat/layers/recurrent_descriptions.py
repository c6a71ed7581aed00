"""Descriptions of recurrent layers: ``[LSTM(100)]``, ``[GRU(64, bidirectional=True), GRU(32)]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rhohat.layers.activations import Activation, as_activation
from rhohat.layers.base import Layer
from rhohat.layers.descriptions import LayerDescription, Shape, check_counts
from rhohat.layers.gru import GRULayer
from rhohat.layers.lstm import LSTMLayer
from rhohat.layers.pooling import UpsamplingLayer
from rhohat.layers.recurrent import RecurrentLayer
from rhohat.layers.simple_recurrent import SimpleRecurrentLayer
from rhohat.layers.windows import Windows

__all__ = ["GRU", "LSTM", "Recurrent", "RecurrentDescription", "with_sequences"]


@dataclass(frozen=True)
class RecurrentDescription(LayerDescription):
    """The parameters that the descriptions of all recurrent layers have."""

    n_units: int
    return_sequences: bool | None = None
    bidirectional: bool = False
    truncate: int | None = None
    takes_padding: ClassVar[bool] = True

    def build(self, shape: Shape, activation: str | Activation) -> tuple[list[Layer], Shape]:
        """Make the layer for inputs of a shape."""
        name = type(self).__name__
        check_counts(name, n_units=self.n_units, truncate=1 if self.truncate is None else self.truncate)
        if len(shape) != 2:
            raise ValueError(
                f"{name} needs sequences of the shape (steps, channels); the layer before it must return all steps, and"
                " the rows of X must be sequences, see input_shape."
            )
        layer = self._make(
            activation,
            n_steps=shape[0],
            n_channels=shape[1],
            n_units=int(self.n_units),
            return_sequences=bool(self.return_sequences),
            bidirectional=bool(self.bidirectional),
            truncate=None if self.truncate is None else int(self.truncate),
        )
        return [layer], (layer.n_steps, layer.output_channels) if self.return_sequences else (layer.n_outputs,)

    def mirror(self, shape: Shape) -> LayerDescription:
        """Return a layer of the same kind that returns all steps; a code without steps is repeated for each step."""
        return _FromCode(replace(self, return_sequences=True), shape[0])

    def _make(self, activation: str | Activation, **parameters: Any) -> RecurrentLayer:
        """Return the layer with parameters of `RecurrentLayer`; `activation` is that of layers that name none."""
        raise NotImplementedError


@dataclass(frozen=True)
class Recurrent(RecurrentDescription):
    """A simple recurrent layer, of Elman: h_t = f(x_t W + h_{t−1} U + b).

    Parameters
    ----------
    n_units : int
        Number of units, at least 1.
    return_sequences : bool, default=None
        Whether the output has the units of all steps, in place of those of the last step of each sequence. None means
        that it does if a layer follows that needs steps.
    bidirectional : bool, default=False
        Whether as many further units go through the steps in reverse.
    truncate : int, default=None
        Number of steps after which the gradient is not propagated further back, while the state is carried on; None
        propagates through all steps. Solvers with a line search cannot use such a gradient.
    activation : str, Activation or None, default=None
        The function f, which must act on each unit by itself; None means the activation of the estimator.

    References
    ----------
    Elman, J. L. (1990). Finding structure in time. Cognitive Science 14, 179-211.
    """

    activation: str | Activation | None = None

    def _make(self, activation: str | Activation, **parameters: Any) -> RecurrentLayer:
        chosen = as_activation(activation if self.activation is None else self.activation)
        return SimpleRecurrentLayer(**parameters, activation=chosen)


@dataclass(frozen=True)
class LSTM(RecurrentDescription):
    """A long short-term memory, whose cells keep a state that gates write to, erase and read.

    Parameters
    ----------
    n_units : int
        Number of units, at least 1.
    return_sequences, bidirectional, truncate
        See `Recurrent`.
    peepholes : bool, default=False
        Whether the gates see the cells.

    References
    ----------
    Hochreiter, S. and Schmidhuber, J. (1997). Long short-term memory. Neural Computation 9, 1735-1780.
    Greff, K. et al. (2015). LSTM: a search space odyssey. arXiv:1503.04069.
    """

    peepholes: bool = False

    def _make(self, activation: str | Activation, **parameters: Any) -> RecurrentLayer:
        return LSTMLayer(**parameters, peepholes=bool(self.peepholes))


@dataclass(frozen=True)
class GRU(RecurrentDescription):
    """A gated recurrent unit, which mixes its state with a new one.

    Parameters
    ----------
    n_units : int
        Number of units, at least 1.
    return_sequences, bidirectional, truncate
        See `Recurrent`.

    References
    ----------
    Cho, K. et al. (2014). Learning phrase representations using RNN encoder-decoder for statistical machine
    translation. EMNLP.
    """

    def _make(self, activation: str | Activation, **parameters: Any) -> RecurrentLayer:
        return GRULayer(**parameters)


@dataclass(frozen=True)
class _FromCode(LayerDescription):
    """A recurrent layer of a decoder, whose inputs are steps, or a code that is repeated for each step."""

    layer: RecurrentDescription
    n_steps: int
    takes_padding: ClassVar[bool] = True

    def build(self, shape: Shape, activation: str | Activation) -> tuple[list[Layer], Shape]:
        """Make the layer, after one that repeats the code if that has no steps."""
        if len(shape) == 2:
            return self.layer.build(shape, activation)
        size = (1, self.n_steps)
        repeated = UpsamplingLayer(Windows(size, size, size, "valid"), shape[0])
        layers, shape = self.layer.build((self.n_steps, *shape), activation)
        return [repeated, *layers], shape

    def mirror(self, shape: Shape) -> LayerDescription:
        """Return the recurrent layer of the encoder."""
        return replace(self.layer, return_sequences=len(shape) == 2)


def with_sequences(descriptions: Sequence[Any], *, at_the_end: bool = False) -> list[Any]:
    """Return descriptions in which each recurrent layer says whether it returns all steps.

    Parameters
    ----------
    descriptions : sequence
        Descriptions of layers, in order.
    at_the_end : bool, default=False
        Whether the layer after the last of these needs steps.
    """
    found = list(descriptions)
    needs_steps = [*(getattr(one, "takes_padding", False) for one in found[1:]), at_the_end]
    for index, (one, needed) in enumerate(zip(found, needs_steps, strict=False)):
        if isinstance(one, RecurrentDescription) and one.return_sequences is None:
            found[index] = replace(one, return_sequences=needed)
    return found
