"""The base class of descriptions of layers, and checks that they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any, ClassVar

from rhohat.layers.activations import Activation
from rhohat.layers.base import Layer

__all__ = ["LayerDescription", "Shape", "check_counts", "is_count"]

#: Shape of a row, with the channels last.
Shape = tuple[int, ...]


class LayerDescription(ABC):
    """Description of a layer, from which layers for inputs of any suitable shape can be made.

    Attributes
    ----------
    takes_padding : bool
        Whether the inputs may be sequences of unequal length.
    """

    takes_padding: ClassVar[bool] = False

    @abstractmethod
    def build(self, shape: Shape, activation: str | Activation) -> tuple[list[Layer], Shape]:
        """Make the layer for inputs of a shape.

        Parameters
        ----------
        shape : tuple of int
            Shape of the inputs.
        activation : str or Activation
            Activation of the layer if its description contains no activation.

        Returns
        -------
        layers : list of Layer
            The layer; an empty list if it changes the shape only.
        shape : tuple of int
            Shape of the outputs.

        Raises
        ------
        ValueError
            If the layer cannot have inputs of this shape.
        """

    @abstractmethod
    def mirror(self, shape: Shape) -> LayerDescription:
        """Return the description of a layer from the outputs back to inputs of the given shape, for a decoder."""


def is_count(value: Any) -> bool:
    """Return whether a value is an integer of at least 1."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def check_counts(name: str, **counts: Any) -> None:
    """Raise ValueError unless each number is an integer of at least 1."""
    for which, count in counts.items():
        if not is_count(count):
            raise ValueError(f"{which} of {name} must be an integer of at least 1; got {count!r}.")
