"""Activation functions, each with its derivatives.

A layer computes its pre-activations z and from them its activations a = f(z). For backpropagation, `pull_back` turns
∂J/∂a into ∂J/∂z. For second-order methods, `push_forward` turns a tangent of z into a tangent of a, and `curvature` is
the derivative of both. Most functions work in place and compute their derivatives from the stored output a, so that a
block of rows stays in the cache.

To add an activation that acts on each unit separately, write a subclass of `ElementwiseActivation` with `apply` and
`derivative` in `elementwise.py`, and list it in `ACTIVATIONS`. For any other activation, write a subclass of
`Activation` in a file of its own, and list it there too.
"""

from __future__ import annotations

from rhohat.layers.activations.base import Activation, ElementwiseActivation, Units
from rhohat.layers.activations.elementwise import Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from rhohat.layers.activations.maxout import Maxout
from rhohat.layers.activations.parametric_relu import ParametricReLU
from rhohat.layers.activations.per_step import PerStep
from rhohat.layers.activations.softmax import Softmax

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "ElementwiseActivation",
    "Identity",
    "LeakyReLU",
    "Maxout",
    "ParametricReLU",
    "PerStep",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Units",
    "as_activation",
]

ACTIVATIONS: dict[str, type[Activation]] = {
    cls.name: cls for cls in (Identity, Sigmoid, Tanh, ReLU, LeakyReLU, ParametricReLU, Maxout, Softmax)
}


def as_activation(activation: str | Activation) -> Activation:
    """Return the activation with the given name, or the object itself.

    Parameters
    ----------
    activation : str or Activation
        Name of an activation, or an activation.

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        If no activation has that name.

    Examples
    --------
    >>> as_activation("tanh")
    Tanh()
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]()
    raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)} or an Activation; got {activation!r}.")
