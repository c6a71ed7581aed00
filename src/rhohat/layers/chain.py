"""Chains of layers, with their sizes and the layout of their parameters in θ."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

from rhohat.common.blocks import row_blocks
from rhohat.common.forks import cached
from rhohat.layers import Layer
from rhohat.layers.activations import Activation
from rhohat.layers.dropout import DropoutLayer
from rhohat.layers.layout import Layout
from rhohat.ops import Ops

__all__ = ["Chain"]


@dataclass(frozen=True)
class Chain:
    """Layers that follow one another, and their sizes; see `Network` for the parameters and errors."""

    layers: tuple[Layer, ...]
    tied: bool = False
    row_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not self.layers or min(self.layer_sizes) < 1:
            raise ValueError(
                "a network needs at least one layer, and every layer needs at least one unit; got layer_sizes"
                f" {self.layer_sizes}."
            )
        for below, above in pairwise(self.layers):
            if below.n_outputs != above.n_inputs:
                raise ValueError(
                    f"every layer must have as many inputs as the layer before it has outputs; got {above!r}, which has"
                    f" {above.n_inputs} inputs, after {below!r}, which has {below.n_outputs} outputs."
                )
        if self.tied:
            _check_ties(self)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of a row; (n_features,) for rows without a shape."""
        return (self.layer_sizes[0],) if self.row_shape is None else self.row_shape

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def ops(self) -> Ops:
        """Primitives of the array library that the layers compute with."""
        return self.layers[0].ops

    @cached
    def layer_sizes(self) -> tuple[int, ...]:
        """Numbers per row in the input and in the output of each layer."""
        return (*(layer.n_inputs for layer in self.layers[:1]), *(layer.n_outputs for layer in self.layers))

    @cached
    def sizes_in_memory(self) -> tuple[int, ...]:
        """Numbers per row of the input and of each layer, by which rows are cut into blocks."""
        return (self.layer_sizes[0], *(layer.numbers_in_memory for layer in self.layers))

    @cached
    def fewest_rows(self) -> int | None:
        """Fewest rows in a block, if few rows are enough; see `LayerSizes.fewest_rows`."""
        return min((layer.fewest_rows for layer in self.layers if layer.fewest_rows is not None), default=None)

    @cached
    def n_steps_of_rows(self) -> int | None:
        """Number of steps of the rows, if their last ones may be missing; None if every number must be there."""
        shape = self.input_shape
        if len(shape) != 2 or not self.layers[0].takes_padding:
            return None
        padded = zip(self.layers, self.layers[1:], strict=False)
        refused = any(below.n_padded_steps is not None and not above.takes_padding for below, above in padded)
        return None if refused else shape[0]

    @cached
    def activations(self) -> tuple[Activation, ...]:
        """Activation of each layer."""
        return tuple(layer.activation for layer in self.layers)

    @cached
    def layout(self) -> Layout:
        """Positions of the parameters in θ."""
        return Layout(
            tuple(layer.weight_shape for layer in self.layers),
            tuple(layer.n_biases for layer in self.layers),
            tuple(layer.n_own for layer in self.layers),
            self.n_layers // 2 if self.tied else self.n_layers,
        )

    @cached
    def hidden_with_weights(self) -> tuple[int, ...]:
        """Numbers of the hidden layers that have weights, from 0; penalties act on these unless they name others."""
        return tuple(index for index, layer in enumerate(self.layers[:-1]) if layer.has_weights)

    @cached
    def dropped(self) -> tuple[tuple[int, slice, float], ...]:
        """The layers that drop activations: number from 1, their columns among all dropped ones, and probability."""
        found = [(index, one) for index, one in enumerate(self.layers, 1) if isinstance(one, DropoutLayer) and one.rate]
        ends = [0, *accumulate(layer.n_outputs for _, layer in found)]
        return tuple((index, slice(ends[n], ends[n + 1]), layer.rate) for n, (index, layer) in enumerate(found))

    @cached
    def multiply_adds(self) -> int:
        """Number of multiplications in the forward pass of one row."""
        return sum(layer.multiply_adds for layer in self.layers)

    def row_blocks(self, n_rows: int, itemsize: int) -> list[slice]:
        """Cut rows into blocks for passes through all layers; `itemsize` is the number of bytes per number."""
        return row_blocks(n_rows, self.sizes_in_memory, self.multiply_adds, itemsize, self.fewest_rows)

    @property
    def n_parameters(self) -> int:
        """Length of θ."""
        return self.layout.n_parameters


def _check_ties(network: Chain) -> None:
    """Raise ValueError if the weights of a network cannot be tied."""
    sizes = network.layer_sizes
    if sizes != sizes[::-1] or network.n_layers % 2:
        raise ValueError(
            f"tied weights need layer_sizes that are symmetric about one middle layer, such as (64, 25, 64); got"
            f" layer_sizes {sizes}. Change the sizes, or don't tie the weights."
        )
    if all(one.can_be_tied for one in network.layers) and [one.width for one in network.layers] != list(sizes[1:]):
        raise ValueError(
            "tied weights need one pre-activation per unit, but maxout has several; use another activation, or"
            " don't tie the weights."
        )
    for layer, mirror in zip(network.layers[: network.n_layers // 2], reversed(network.layers), strict=False):
        if not (layer.can_be_tied and mirror.can_be_tied and mirror.weight_shape == layer.weight_shape[::-1]):
            raise ValueError(f"{mirror!r} cannot use the transposed weights of {layer!r}; don't tie the weights.")
