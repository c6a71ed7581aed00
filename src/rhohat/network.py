"""A feedforward network: layers ↔ θ, forward, backward.

Row-vector convention: layer l turns a^(l) of shape (m, s_l) into a^(l+1) = f(a^(l) W^(l) + b^(l)), where W^(l) has
the shape (s_l, s_{l+1}). θ is flat: all weight matrices in layer order, each raveled in C order, then all biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rhohat.activations import Activation
from rhohat.arrays import FloatArray, array_namespace

__all__ = ["INITIAL_WEIGHTS", "Network", "Parameters"]

INITIAL_WEIGHTS = ("uniform", "normal")


class Parameters(NamedTuple):
    """Weights and biases of a network, layer by layer.

    Attributes
    ----------
    weights : list of arrays of shape (s_l, s_{l+1})
    biases : list of arrays of shape (s_{l+1},)
    """

    weights: list[FloatArray]
    biases: list[FloatArray]


@dataclass(frozen=True)
class Network:
    """The architecture of a feedforward network; it holds no parameters.

    Parameters
    ----------
    layer_sizes : tuple of int
        Units of the input, of each hidden layer and of the output; at least two entries.
    activations : tuple of Activation
        One for every layer but the input.

    Raises
    ------
    ValueError
        If a layer is empty or the lengths do not fit.

    Examples
    --------
    >>> from rhohat.activations import Sigmoid
    >>> network = Network((64, 25, 64), (Sigmoid(), Sigmoid()))
    >>> network.n_parameters
    3289
    """

    layer_sizes: tuple[int, ...]
    activations: tuple[Activation, ...]

    def __post_init__(self) -> None:
        if len(self.layer_sizes) < 2 or min(self.layer_sizes) < 1:
            raise ValueError(
                f"layer_sizes must name at least an input and an output of 1 unit or more; got {self.layer_sizes}."
            )
        if len(self.activations) != self.n_layers:
            raise ValueError(
                f"a network of layer_sizes {self.layer_sizes} needs {self.n_layers} activations, one for every"
                f" layer but the input; got {len(self.activations)}."
            )

    @property
    def n_layers(self) -> int:
        """Number of layers with weights."""
        return len(self.layer_sizes) - 1

    @property
    def weight_shapes(self) -> list[tuple[int, int]]:
        """Shapes (fan_in, fan_out) of the weight matrices."""
        return list(pairwise(self.layer_sizes))

    @property
    def n_parameters(self) -> int:
        """Length of θ."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in self.weight_shapes)

    def unpack(self, theta: FloatArray) -> Parameters:
        """Return the weights and biases in θ, as views.

        Parameters
        ----------
        theta : array of shape (n_parameters,)

        Returns
        -------
        parameters : Parameters
            Sharing memory with θ.

        Raises
        ------
        ValueError
            If θ has another shape.
        """
        if theta.shape != (self.n_parameters,):
            raise ValueError(
                f"theta must have the shape ({self.n_parameters},) for layer_sizes {self.layer_sizes};"
                f" got {tuple(theta.shape)}."
            )
        parameters = Parameters([], [])
        start = 0
        for fan_in, fan_out in self.weight_shapes:
            stop = start + fan_in * fan_out
            parameters.weights.append(theta[start:stop].reshape(fan_in, fan_out))
            start = stop
        for fan_out in self.layer_sizes[1:]:
            parameters.biases.append(theta[start : start + fan_out])
            start += fan_out
        return parameters

    def pack(self, weights: Sequence[FloatArray], biases: Sequence[FloatArray]) -> FloatArray:
        """Return θ for these weights and biases, as a copy; the inverse of `unpack`.

        Parameters
        ----------
        weights : sequence of arrays of shape (s_l, s_{l+1})
        biases : sequence of arrays of shape (s_{l+1},)

        Returns
        -------
        array of shape (n_parameters,)

        Raises
        ------
        ValueError
            If a shape does not fit.
        """
        shapes = [np.shape(W) for W in weights], [np.shape(b) for b in biases]
        expected = self.weight_shapes, [(fan_out,) for fan_out in self.layer_sizes[1:]]
        if shapes != expected:
            raise ValueError(f"weights and biases must have the shapes {expected}; got {shapes}.")
        return np.concatenate([np.ravel(p) for p in (*weights, *biases)])

    def initial_theta(self, generator: np.random.Generator, rule: str = "uniform") -> FloatArray:
        """Draw initial parameters: random weights, biases 0.

        Parameters
        ----------
        generator : numpy.random.Generator
        rule : {"uniform", "normal"}, default="uniform"
            "uniform": each weight uniform in ±√(6 / (fan_in + fan_out + 1)). "normal": normal(0, 0.01²).

        Returns
        -------
        array of shape (n_parameters,), float64

        Raises
        ------
        ValueError
            If the rule has another name.

        References
        ----------
        Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 2 (normal), and the exercise's starter
        code (uniform).
        """
        if rule not in INITIAL_WEIGHTS:
            raise ValueError(f"the rule for initial weights must be one of {INITIAL_WEIGHTS}; got {rule!r}.")
        theta = np.zeros(self.n_parameters)
        for W in self.unpack(theta).weights:
            if rule == "uniform":
                bound = np.sqrt(6 / (sum(W.shape) + 1))
                W[:] = generator.uniform(-bound, bound, W.shape)
            else:
                W[:] = generator.normal(0, 0.01, W.shape)
        return theta

    def forward(self, parameters: Parameters, a: Sequence[FloatArray], start: int = 0) -> None:
        """Compute a[1], a[2], … from a[0], in place: a^(l+1) = f(a^(l) W^(l) + b^(l)).

        Parameters
        ----------
        parameters : Parameters
        a : sequence of arrays of shape (n_rows, s_l)
            For consecutive layers, as many as are wanted. a[0] is given, the others are overwritten.
        start : int, default=0
            The layer that a[0] stands for; 0 is the input.
        """
        for layer, (given, out) in enumerate(pairwise(a), start):
            array_namespace(out).matmul(given, parameters.weights[layer], out=out)
            out += parameters.biases[layer]
            self.activations[layer].forward(out)

    def backward(
        self,
        parameters: Parameters,
        a: Sequence[FloatArray],
        delta: Sequence[FloatArray],
        ones: FloatArray,
        added: Sequence[FloatArray | None],
        gradient: Parameters,
    ) -> None:
        """Backpropagate from ∂J/∂a at the output to the gradient, summed over the rows of the block.

        δ^(l) = (δ^(l+1) W^(l)ᵀ + added^(l)) ∘ f′(z^(l)), ∇W^(l) = a^(l)ᵀ δ^(l+1), ∇b^(l) = Σ_rows δ^(l+1).

        Parameters
        ----------
        parameters : Parameters
        a : sequence of n_layers + 1 arrays of shape (n_rows, s_l)
            As `forward` left them. All but a[0], the input, are used up.
        delta : sequence of n_layers arrays of shape (n_rows, s_l)
            One for every layer but the input. The last holds ∂loss/∂a at the output; the others are scratch.
        ones : array of shape (1, n_rows)
            Ones: a sum over rows is a product with them, faster than a reduction.
        added : sequence of n_layers arrays of shape (s_l,), or None
            What the penalties add to ∂J/∂a, the same for every row; for every layer but the input.
        gradient : Parameters
            Receives the gradient.
        """
        for layer in reversed(range(self.n_layers)):
            out = delta[layer]
            xp = array_namespace(out)
            extra = added[layer]
            if extra is not None:
                out += extra
            self.activations[layer].pull_back(a[layer + 1], out)
            xp.matmul(a[layer].T, out, out=gradient.weights[layer])
            xp.matmul(ones, out, out=gradient.biases[layer].reshape(1, -1))
            if layer > 0:
                xp.matmul(out, parameters.weights[layer].T, out=delta[layer - 1])
