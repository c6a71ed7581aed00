"""A feedforward network: layers ↔ θ, forward, backward.

Row-vector convention: layer l turns a^(l) of shape (m, s_l) into z^(l+1) = a^(l) W^(l) + b^(l) and a^(l+1) =
f(z^(l+1)), where W^(l) has the shape (s_l, width of layer l + 1). θ is flat: all weight matrices in layer order, each
raveled in C order, then all biases, then the activations' own parameters. With tied weights, the matrices of the
second half are the transposed ones of the first and take no room in θ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rhohat.activations import Activation, Units
from rhohat.arrays import FloatArray, array_namespace
from rhohat.forks import cached
from rhohat.kernels import add_row, column_sums, multiply, multiply_transposed, sum_rows

__all__ = ["INITIAL_WEIGHTS", "Layers", "Network", "Parameters", "units_of"]

INITIAL_WEIGHTS = ("uniform", "normal")


class Parameters(NamedTuple):
    """Weights and biases of a network, layer by layer.

    Attributes
    ----------
    weights : list of arrays of shape (s_l, width of layer l + 1)
    biases : list of arrays of shape (width of layer l + 1,)
    activation_parameters : list of arrays of shape (n_parameters of the layer's activation,)
        Empty for most activations.
    """

    weights: list[FloatArray]
    biases: list[FloatArray]
    activation_parameters: list[FloatArray]


class Layers(NamedTuple):
    """What consecutive layers hold for a block of rows, the first of them being given.

    Attributes
    ----------
    z : list of arrays of shape (n_rows, width)
        Pre-activations. The first entry stands for the given layer and means nothing.
    a : list of arrays of shape (n_rows, n_units)
        Activations; the same memory as z where the activation works in place.
    """

    z: list[FloatArray]
    a: list[FloatArray]

    def rows(self, rows: slice) -> Layers:
        """Return views of some rows of each."""
        return Layers([z[rows] for z in self.z], [a[rows] for a in self.a])


@dataclass(frozen=True)
class Network:
    """The architecture of a feedforward network; it holds no parameters.

    Parameters
    ----------
    layer_sizes : tuple of int
        Units of the input, of each hidden layer and of the output; at least two entries.
    activations : tuple of Activation
        One for every layer but the input.
    tied : bool, default=False
        Whether the second half of the layers, the decoder, uses the transposed weights of the first half.

    Raises
    ------
    ValueError
        If a layer is empty, the lengths do not fit, or weights are to be tied that cannot be.

    Examples
    --------
    >>> from rhohat.activations import Sigmoid
    >>> Network((64, 25, 64), (Sigmoid(), Sigmoid())).n_parameters
    3289
    >>> Network((64, 25, 64), (Sigmoid(), Sigmoid()), tied=True).n_parameters
    1689
    """

    layer_sizes: tuple[int, ...]
    activations: tuple[Activation, ...]
    tied: bool = False

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
        if self.tied and (self.layer_sizes != self.layer_sizes[::-1] or self.n_layers % 2):
            raise ValueError(
                f"tied weights need layers that mirror one another, such as (64, 25, 64); got layer_sizes"
                f" {self.layer_sizes}. Mirror them, or don't tie the weights."
            )
        if self.tied and self.widths != list(self.layer_sizes[1:]):
            raise ValueError(
                "tied weights need one pre-activation per unit, and maxout has several; use another activation, or"
                " don't tie the weights."
            )

    @property
    def n_layers(self) -> int:
        """Number of layers with weights."""
        return len(self.layer_sizes) - 1

    @cached
    def widths(self) -> list[int]:
        """Pre-activations of every layer but the input."""
        return [activation.width(size) for activation, size in zip(self.activations, self.layer_sizes[1:], strict=True)]

    @cached
    def weight_shapes(self) -> list[tuple[int, int]]:
        """Shapes (fan_in, fan_out) of the weight matrices, of all layers also where they are tied."""
        return list(zip(self.layer_sizes[:-1], self.widths, strict=True))

    @cached
    def activation_parameter_sizes(self) -> list[int]:
        """Lengths of the activations' own parameters."""
        return [a.n_parameters(size) for a, size in zip(self.activations, self.layer_sizes[1:], strict=True)]

    @cached
    def n_parameters(self) -> int:
        """Length of θ."""
        n_weights = sum(fan_in * fan_out for fan_in, fan_out in self.weight_shapes[: self.n_free_layers])
        return n_weights + sum(self.widths) + sum(self.activation_parameter_sizes)

    @cached
    def _parts(self) -> list[slice]:
        """Where in θ the free weights, the biases and the activations' parameters stand."""
        sizes = [fan_in * fan_out for fan_in, fan_out in self.weight_shapes[: self.n_free_layers]]
        ends = np.cumsum([0, *sizes, *self.widths, *self.activation_parameter_sizes]).tolist()
        return [slice(start, stop) for start, stop in pairwise(ends)]

    @property
    def n_free_layers(self) -> int:
        """Number of layers whose weights are in θ; the others are transposed ones of these, in reverse order."""
        return self.n_layers // 2 if self.tied else self.n_layers

    def unpack(self, theta: FloatArray) -> Parameters:
        """Return the weights, biases and activations' parameters in θ, as views.

        Parameters
        ----------
        theta : array of shape (n_parameters,)

        Returns
        -------
        parameters : Parameters
            Sharing memory with θ; tied weights are transposed views.

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
        n_free, n_layers = self.n_free_layers, self.n_layers
        parts = [theta[part] for part in self._parts]
        shapes = self.weight_shapes[:n_free]
        weights = [part.reshape(shape) for part, shape in zip(parts[:n_free], shapes, strict=True)]
        if self.tied:
            weights += [W.T for W in reversed(weights)]
        return Parameters(weights, parts[n_free : n_free + n_layers], parts[n_free + n_layers :])

    def split_activation_parameters(self, own: FloatArray) -> list[FloatArray]:
        """Return the last part of θ, or of a vector like it, as views: the parameters of each layer's activation."""
        ends = [0, *np.cumsum(self.activation_parameter_sizes).tolist()]
        return [own[start:stop] for start, stop in pairwise(ends)]

    def pack(
        self,
        weights: Sequence[FloatArray],
        biases: Sequence[FloatArray],
        activation_parameters: Sequence[FloatArray] | None = None,
    ) -> FloatArray:
        """Return θ for these weights and biases, as a copy; the inverse of `unpack`.

        Parameters
        ----------
        weights : sequence of arrays of shape (s_l, width of layer l + 1)
            Of all layers; where they are tied, the first half counts.
        biases : sequence of arrays of shape (width of layer l + 1,)
        activation_parameters : sequence of arrays, default=None
            None where no activation has parameters.

        Returns
        -------
        array of shape (n_parameters,)

        Raises
        ------
        ValueError
            If a shape does not fit.
        """
        if activation_parameters is None:
            activation_parameters = [np.empty(0, np.asarray(weights[0]).dtype)] * self.n_layers
        arrays = (weights, biases, activation_parameters)
        shapes = [[np.shape(p) for p in group] for group in arrays]
        expected = [
            self.weight_shapes,
            [(width,) for width in self.widths],
            [(size,) for size in self.activation_parameter_sizes],
        ]
        if shapes != expected:
            raise ValueError(
                f"weights, biases and activation parameters must have the shapes {expected}; got {shapes}."
            )
        return np.concatenate([np.ravel(p) for p in (*weights[: self.n_free_layers], *biases, *activation_parameters)])

    def initial_theta(self, generator: np.random.Generator, rule: str = "uniform") -> FloatArray:
        """Draw initial parameters: random weights, biases 0, activations' own parameters as they say.

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
        parameters = self.unpack(theta)
        for W in parameters.weights[: self.n_free_layers]:
            if rule == "uniform":
                bound = np.sqrt(6 / (sum(W.shape) + 1))
                W[:] = generator.uniform(-bound, bound, W.shape)
            else:
                W[:] = generator.normal(0, 0.01, W.shape)
        for layer, own in enumerate(parameters.activation_parameters):
            own[:] = self.activations[layer].initial_parameters(self.layer_sizes[layer + 1])
        return theta

    def allocate(
        self,
        n_rows: int,
        allocate: Callable[[tuple[int, int]], FloatArray],
        start: int = 0,
        stop: int | None = None,
    ) -> Layers:
        """Return room for the layers after `start` up to `stop`, the output by default; the given one is left empty.

        Parameters
        ----------
        n_rows : int
        allocate : callable
            Shape → array.
        start, stop : int
            Layers, 0 being the input.

        Returns
        -------
        Layers
            Whose first entries, for layer `start`, are arrays without rows.
        """
        nothing = allocate((0, self.layer_sizes[start]))
        z, a = [nothing], [nothing]
        for layer in range(start, self.n_layers if stop is None else stop):
            z.append(allocate((n_rows, self.widths[layer])))
            in_place = self.activations[layer].in_place
            a.append(z[-1] if in_place else allocate((n_rows, self.layer_sizes[layer + 1])))
        return Layers(z, a)

    def numbers_per_row(self, stop: int | None = None) -> int:
        """Return how many numbers `allocate` makes room for, for each row.

        Parameters
        ----------
        stop : int, default=None
            The last layer; None is the output.

        Returns
        -------
        int

        Examples
        --------
        >>> from rhohat.activations import Sigmoid
        >>> network = Network((64, 25, 64), (Sigmoid(), Sigmoid()))
        >>> network.numbers_per_row(stop=1), network.numbers_per_row()
        (25, 89)
        """
        layers = range(self.n_layers if stop is None else stop)
        own = (0 if self.activations[layer].in_place else self.layer_sizes[layer + 1] for layer in layers)
        return sum(self.widths[layer] for layer in layers) + sum(own)

    def forward(
        self, parameters: Parameters, layers: Layers, start: int = 0, without_activation: int | None = None
    ) -> None:
        """Compute consecutive layers from the first: z^(l+1) = a^(l) W^(l) + b^(l), a^(l+1) = f(z^(l+1)).

        Parameters
        ----------
        parameters : Parameters
        layers : Layers
            layers.a[0] is given, the others are overwritten.
        start : int, default=0
            The layer that layers.a[0] stands for; 0 is the input.
        without_activation : int, default=None
            The layer whose z is wanted, and its activation not applied; None applies all.
        """
        for index, (given, a) in enumerate(pairwise(layers.a)):
            layer, z = start + index, layers.z[index + 1]
            multiply(given, parameters.weights[layer], z)
            if layer + 1 == without_activation:
                add_row(z, parameters.biases[layer])
            else:
                units = Units(z, a, parameters.activation_parameters[layer])
                self.activations[layer].forward_with_bias(units, parameters.biases[layer])

    def backward(
        self,
        parameters: Parameters,
        layers: Layers,
        delta: Layers,
        ones: FloatArray,
        added: Sequence[FloatArray | None],
        added_z: Sequence[FloatArray | None],
        gradient: Parameters,
        *,
        from_z: bool = False,
        accumulate: bool = False,
    ) -> None:
        """Backpropagate from the output to the gradient, summed over the rows of the block.

        δ_z^(l) = pull-back of (δ_z^(l+1) W^(l)ᵀ + added^(l)) + added_z^(l), ∇W^(l) = a^(l)ᵀ δ_z^(l+1), ∇b^(l) =
        Σ_rows δ_z^(l+1).

        Parameters
        ----------
        parameters : Parameters
        layers : Layers
            All of them, as `forward` left them. All but the input are used up.
        delta : Layers
            Like `layers`. At the output, a holds ∂loss/∂a, or z holds ∂loss/∂z with `from_z`; the rest is scratch, and
            its z receive δ_z.
        ones : array of shape (1, n_rows)
            Ones: a sum over rows is a product with them, faster than a reduction.
        added : sequence of n_layers arrays of shape (s_l,) or (n_rows, s_l), or None
            What the penalties add to ∂J/∂a, for every layer but the input.
        added_z : sequence of n_layers arrays of shape (n_rows, width), or None
            What the penalties add to ∂J/∂z, for every layer but the input.
        gradient : Parameters
            Receives the gradient. That of the activations' own parameters is added to what is there. Without arrays
            for weights, it is left at δ_z, of which `weight_gradients` and `bias_gradients` make the gradient.
        from_z : bool, default=False
            Whether the loss has been pulled back through the output activation already.
        accumulate : bool, default=False
            Whether the whole gradient is added to what is there. It always is where weights are tied.
        """
        for layer in reversed(range(self.n_layers)):
            out, below = delta.z[layer + 1], layers.a[layer]
            if not (from_z and layer == self.n_layers - 1):
                extra = added[layer]
                if extra is not None and extra.ndim == 1:
                    add_row(delta.a[layer + 1], extra)
                elif extra is not None:
                    delta.a[layer + 1] += extra
                own, units = gradient.activation_parameters[layer], units_of(parameters, layers, layer)
                self.activations[layer].pull_back(units, delta.a[layer + 1], out, own)
            extra = added_z[layer]
            if extra is not None:
                out += extra
            if gradient.weights:
                self.add_products(gradient, layer, below, out, ones, accumulate)
            if layer > 0:
                multiply(out, parameters.weights[layer].T, delta.a[layer])

    def weight_gradients(self, layers: Layers, delta: Layers, gradient: Parameters, layer: int, units: slice) -> None:
        """Write, from δ_z, the gradient of the weights that lead from some units of a layer, summed over rows.

        Parameters
        ----------
        layers, delta : Layers
            The activations a, and the δ_z that `backward` made.
        gradient : Parameters
        layer : int
            0 being the weights that lead from the input. With tied weights, one of the first half.
        units : slice
            Of the layer below.
        """
        W = gradient.weights[layer][units]
        multiply_transposed(layers.a[layer][:, units], delta.z[layer + 1], W)
        if self.tied:
            mirror = self.n_layers - 1 - layer  # the layer that uses the same weights transposed
            W += delta.z[mirror + 1][:, units].T @ layers.a[mirror]

    def bias_gradients(self, delta: Layers, ones: FloatArray, gradient: Parameters) -> None:
        """Write, from δ_z, the gradient of all biases, summed over rows; arguments as for `backward`."""
        for layer, bias in enumerate(gradient.biases):
            sum_rows(delta.z[layer + 1], ones, bias.reshape(1, -1))

    def add_products(
        self,
        gradient: Parameters,
        layer: int,
        below: FloatArray,
        delta: FloatArray,
        ones: FloatArray | None,
        accumulate: bool = True,
    ) -> None:
        """Write, or add, belowᵀ δ to the weights' gradient and Σ_rows δ to the biases', unless `ones` is None."""
        xp = array_namespace(delta)
        W, b = gradient.weights[layer], gradient.biases[layer].reshape(1, -1)
        if below.shape[0] == 1:  # one tangent for all rows
            delta = column_sums(delta)[None]
        if accumulate or self.tied:
            W += xp.matmul(below.T, delta)
        else:
            multiply_transposed(below, delta, W)
        if ones is None:
            return
        total = xp.empty_like(b) if accumulate else b
        sum_rows(delta, ones, total)
        if accumulate:
            b += total


def units_of(parameters: Parameters, layers: Layers, layer: int) -> Units:
    """Return what the units hold whose pre-activations the weights of a layer make."""
    return Units(layers.z[layer + 1], layers.a[layer + 1], parameters.activation_parameters[layer])
