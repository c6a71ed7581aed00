"""The description of dropout, which sets random activations to 0 during training."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from numbers import Real
from typing import ClassVar

from rhohat.layers.activations import Activation
from rhohat.layers.base import Layer
from rhohat.layers.descriptions import LayerDescription, Shape
from rhohat.layers.dropout import DropoutLayer

__all__ = ["Dropout"]


@dataclass(frozen=True)
class Dropout(LayerDescription):
    """Dropout: in training, each activation is set to 0 with a probability, and the others are made larger to match.

    The draws are made afresh in every mini-batch, so that only solvers that work in mini-batches can be used. After
    training, nothing is dropped.

    Parameters
    ----------
    rate : float, default=0.5
        Probability that an activation is set to 0, in [0, 1).

    References
    ----------
    Srivastava, N. et al. (2014). Dropout: a simple way to prevent neural networks from overfitting. Journal of Machine
    Learning Research 15, 1929-1958.
    """

    rate: float = 0.5
    takes_padding: ClassVar[bool] = True

    def build(self, shape: Shape, activation: str | Activation) -> tuple[list[Layer], Shape]:
        """Make the layer for inputs of a shape."""
        if not isinstance(self.rate, Real):
            raise ValueError(f"rate of Dropout must be a number in [0, 1); got {self.rate!r}.")
        n_steps = shape[0] if len(shape) == 2 else None
        return [DropoutLayer(prod(shape), shape[-1], float(self.rate), n_steps)], shape

    def mirror(self, shape: Shape) -> LayerDescription:
        """Return a layer that drops nothing, as a decoder does not."""
        return Dropout(0.0)
