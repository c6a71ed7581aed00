"""Chains of layers: their sizes, what is known of their rows, and chains that cannot be."""

import re
from itertools import pairwise

import numpy as np
import pytest

from rhohat.common.blocks import row_blocks
from rhohat.layers import (
    ConvolutionLayer,
    DenseLayer,
    DropoutLayer,
    GRULayer,
    LSTMLayer,
    MaxPoolingLayer,
    MeanPoolingLayer,
    StepwiseDenseLayer,
    TransposedConvolutionLayer,
    Windows,
)
from rhohat.layers.activations import Identity, Maxout, ParametricReLU, ReLU, Sigmoid, Tanh
from rhohat.layers.chain import Chain
from rhohat.layers.layout import Layout
from rhohat.layers.network import network_of
from rhohat.ops import NUMPY
from rhohat.ops.numpy_ops import NumpyOps

T = 12
CONVOLVING, POOLING = Windows((6, 6), (3, 3), (1, 1), "valid"), Windows((4, 4), (2, 2), (2, 2), "valid")
CONVOLUTIONAL = (
    ConvolutionLayer(CONVOLVING, 2, 5, ReLU()),
    MaxPoolingLayer(POOLING, 5),
    DenseLayer(20, 4, Tanh()),
    DenseLayer(4, 3, Identity()),
)


def dense(n_inputs, n_outputs, activation=None):
    return DenseLayer(n_inputs, n_outputs, activation or Sigmoid())


def chain_of(*sizes, **options):
    """Dense layers with these numbers of units."""
    return Chain(tuple(dense(*pair) for pair in pairwise(sizes)), **options)


def refused(layers, message, **options):
    """Assert that a chain is refused in exactly these words."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Chain(layers, **options)


# Sizes.


def test_a_chain_has_the_sizes_of_its_layers():
    chain = Chain(CONVOLUTIONAL, row_shape=(6, 6, 2))
    assert chain.n_layers == 4
    assert chain.layer_sizes == chain.sizes_in_memory == (72, 80, 20, 4, 3)
    assert chain.activations == (ReLU(), Identity(), Tanh(), Identity())
    assert chain.multiply_adds == 16 * (9 * 2 * 5) + 20 * 4 + 20 * 4 + 4 * 3
    assert chain.n_parameters == (9 * 2 * 5 + 5) + (20 * 4 + 4) + (4 * 3 + 3)
    assert chain.layout == Layout(((3, 3, 2, 5), (0,), (20, 4), (4, 3)), (5, 0, 4, 3), (0, 0, 0, 0), 4)


def test_a_chain_of_one_layer_has_two_sizes():
    chain = chain_of(1, 1)
    assert (chain.layer_sizes, chain.n_layers, chain.n_parameters, chain.multiply_adds) == ((1, 1), 1, 2, 1)


def test_activations_have_parameters_and_pre_activations_of_their_own():
    chain = Chain((dense(5, 4, Maxout(3)), dense(4, 2, ParametricReLU())))
    assert chain.layout == Layout(((5, 12), (4, 2)), (12, 2), (0, 2), 2)
    assert chain.n_parameters == 5 * 12 + 4 * 2 + 12 + 2 + 2
    assert chain.layer_sizes == (5, 4, 2)


def test_tied_layers_share_the_weights_of_the_first_half():
    chain = chain_of(5, 4, 3, 4, 5, tied=True)
    assert chain.layout == Layout(((5, 4), (4, 3), (3, 4), (4, 5)), (4, 3, 4, 5), (0, 0, 0, 0), 2)
    assert chain.n_parameters == 5 * 4 + 4 * 3 + 4 + 3 + 4 + 5
    assert chain_of(5, 4, 3, 4, 5).layout.n_free == 4
    assert not chain_of(5, 4, 5).tied


def test_rows_have_a_shape_or_a_single_axis():
    assert Chain(CONVOLUTIONAL).input_shape == (72,)
    assert Chain(CONVOLUTIONAL).row_shape is None
    assert Chain(CONVOLUTIONAL, row_shape=(6, 6, 2)).input_shape == (6, 6, 2)
    assert network_of([DenseLayer(3, 2, Tanh())], (3,)).row_shape is None
    assert network_of(CONVOLUTIONAL, (6, 6, 2)).row_shape == (6, 6, 2)
    assert Chain(CONVOLUTIONAL, False, (6, 6, 2)) == Chain(CONVOLUTIONAL, row_shape=(6, 6, 2))


def test_the_array_library_is_that_of_the_layers():
    class OtherOps(NumpyOps):
        """NumPy's primitives as those of another library."""

    other = OtherOps()
    assert chain_of(3, 2, 3).ops is NUMPY
    assert Chain(tuple(layer.with_ops(other) for layer in chain_of(3, 2, 3).layers)).ops is other


def test_recurrent_layers_keep_more_numbers_than_they_return():
    """A layer keeps, at each step, the numbers of all gates and one number more for each unit."""
    chain = Chain((LSTMLayer(T, 3, 4), dense(4, 2)))
    assert chain.layer_sizes == (36, 4, 2)
    assert chain.sizes_in_memory == (36, T * 5 * 4 + 4, 2)


def test_blocks_have_few_rows_only_if_a_layer_says_so():
    recurrent, slower = GRULayer(T, 3, 4), GRULayer(T, 3, 4)
    object.__setattr__(slower, "fewest_rows", 8)
    assert chain_of(5, 4, 5).fewest_rows is None
    assert Chain((recurrent, dense(4, 2))).fewest_rows == 32
    layers = (dense(7, 36), recurrent, dense(4, 36), slower, dense(4, 36), recurrent)
    assert Chain(layers).fewest_rows == 8


def test_rows_are_cut_into_blocks_by_the_sizes_and_the_work_of_all_layers():
    assert chain_of(64, 25, 64).row_blocks(2000, 8) == [slice(0, 992), slice(992, 2000)]
    assert chain_of(64, 25, 64).row_blocks(0, 8) == []
    wide, recurrent = chain_of(1000, 10_000, 2), Chain((LSTMLayer(100, 30, 40), dense(40, 2)))
    assert [wide.row_blocks(512 * 64, itemsize)[0].stop for itemsize in (8, 4)] == [512, 1024]
    assert recurrent.row_blocks(2048, 8)[0].stop == 32
    for chain, sizes, work in (
        (Chain(CONVOLUTIONAL), (72, 80, 20, 4, 3), 1612),
        (chain_of(1000, 1000, 2), (1000, 1000, 2), 1_002_000),
    ):
        for n_rows in (100, 1000, 10**6):
            assert chain.row_blocks(n_rows, 8) == row_blocks(n_rows, sizes, work, 8)


def test_hidden_layers_without_weights_are_left_out():
    assert Chain(CONVOLUTIONAL).hidden_with_weights == (0, 2)
    assert chain_of(5, 4, 3, 2).hidden_with_weights == (0, 1)
    assert chain_of(5, 4).hidden_with_weights == ()
    assert Chain((DropoutLayer(5, 5, 0.2), dense(5, 4), DropoutLayer(4, 4, 0.2))).hidden_with_weights == (1,)


def test_layers_that_drop_have_their_columns_one_after_the_other():
    layers = (
        dense(5, 4),
        DropoutLayer(4, 4, 0.2),
        dense(4, 3),
        DropoutLayer(3, 3, 0.0),
        dense(3, 6),
        DropoutLayer(6, 6, 0.5),
        DropoutLayer(6, 6, 0.1),
    )
    assert Chain(layers).dropped == ((2, slice(0, 4), 0.2), (6, slice(4, 10), 0.5), (7, slice(10, 16), 0.1))
    assert Chain(layers[:1]).dropped == Chain(layers[2:4]).dropped == ()
    assert Chain(layers[1:3]).dropped == ((1, slice(0, 4), 0.2),)


# Rows whose last steps may be missing.


@pytest.mark.parametrize(
    "layers",
    [
        [LSTMLayer(T, 3, 4)],
        [LSTMLayer(T, 3, 4), dense(4, 5), dense(5, 2)],
        [StepwiseDenseLayer(T, 3, 5, Tanh())],
        [DropoutLayer(36, 3, 0.5, T), GRULayer(T, 3, 4, return_sequences=True), GRULayer(T, 4, 2), dense(2, 3)],
    ],
    ids=["one", "code", "per step", "all steps"],
)
def test_steps_may_be_missing_if_every_layer_that_sees_steps_allows_it(layers):
    assert Chain(tuple(layers), row_shape=(T, 3)).n_steps_of_rows == T
    assert Chain(tuple(layers)).n_steps_of_rows is None
    assert Chain(tuple(layers), row_shape=(2, 6, 3)).n_steps_of_rows is None


@pytest.mark.parametrize(
    "layers",
    [
        [dense(36, 4)],
        [ConvolutionLayer(Windows((1, T), (1, 2), (1, 1), "valid"), 3, 2, Tanh())],
        [dense(36, 36), LSTMLayer(T, 3, 4)],
        [GRULayer(T, 3, 2, return_sequences=True), dense(24, 2)],
        [GRULayer(T, 3, 2, return_sequences=True), MeanPoolingLayer(Windows((1, T), (1, 2), (1, 2), "valid"), 2)],
        [DropoutLayer(36, 3, 0.5, T), dense(36, 2)],
        [LSTMLayer(T, 3, 4), dense(4, 36), GRULayer(T, 3, 2, return_sequences=True), dense(24, 2)],
    ],
    ids=["dense", "convolution", "dense first", "flattened", "pooled", "dropped", "flattened later"],
)
def test_every_number_has_to_be_there_if_a_layer_needs_all_steps(layers):
    assert Chain(tuple(layers), row_shape=(T, 3)).n_steps_of_rows is None


# Chains that cannot be.


UNITS = "a network needs at least one layer, and every layer needs at least one unit; got layer_sizes {}."


def test_a_chain_needs_layers_with_units():
    refused((), UNITS.format("()"))
    refused((dense(5, 4), dense(4, 0)), UNITS.format("(5, 4, 0)"))
    refused((dense(0, 4),), UNITS.format("(0, 4)"))
    refused((dense(5, -1), dense(-1, 5)), UNITS.format("(5, -1, 5)"))


def test_a_layer_that_does_not_fit_the_one_before_it_is_refused_by_both():
    message = (
        "every layer must have as many inputs as the layer before it has outputs; got {!r}, which has {} inputs, after"
        " {!r}, which has {} outputs."
    )
    refused((dense(5, 4), dense(3, 2)), message.format(dense(3, 2), 3, dense(5, 4), 4))
    pooling = MaxPoolingLayer(POOLING, 4)
    layers = (dense(5, 80), dense(80, 80), pooling, dense(16, 2))
    refused(layers, message.format(pooling, 64, dense(80, 80), 80))


SYMMETRIC = (
    "tied weights need layer_sizes that are symmetric about one middle layer, such as (64, 25, 64); got layer_sizes {}."
    " Change the sizes, or don't tie the weights."
)


@pytest.mark.parametrize("sizes", [(4, 3), (4, 4), (4, 3, 5), (4, 3, 3, 4), (4, 3, 2, 2, 4), (5, 3, 2, 3, 4)])
def test_tied_weights_need_symmetric_sizes_about_a_middle_layer(sizes):
    refused(chain_of(*sizes).layers, SYMMETRIC.format(sizes), tied=True)


@pytest.mark.parametrize(
    "layers", [(dense(4, 3, Maxout()), dense(3, 4)), (dense(4, 3), dense(3, 4, Maxout()))], ids=["encoder", "decoder"]
)
def test_tied_weights_need_one_pre_activation_per_unit(layers):
    refused(
        layers,
        "tied weights need one pre-activation per unit, but maxout has several; use another activation, or don't tie"
        " the weights.",
        tied=True,
    )


def test_a_pair_of_layers_that_cannot_be_tied_is_named():
    message = "{!r} cannot use the transposed weights of {!r}; don't tie the weights."
    recurrent, back = GRULayer(1, 4, 3), GRULayer(1, 3, 4)
    refused((recurrent, dense(3, 4)), message.format(dense(3, 4), recurrent), tied=True)
    refused((dense(4, 3), back), message.format(back, dense(4, 3)), tied=True)
    convolution = ConvolutionLayer(CONVOLVING, 2, 5, Sigmoid())
    inner = (dense(7, 72), convolution, dense(80, 72), dense(72, 7))
    refused(inner, message.format(dense(80, 72), convolution), tied=True)
    outer = (convolution, dense(80, 3), dense(3, 80), dense(80, 72))
    refused(outer, message.format(dense(80, 72), convolution), tied=True)


def test_layers_that_are_transposes_of_one_another_can_be_tied():
    there, back = ConvolutionLayer(CONVOLVING, 2, 5, Tanh()), TransposedConvolutionLayer(CONVOLVING, 5, 2, Tanh())
    chain = Chain((there, dense(80, 3), dense(3, 80), back), tied=True)
    assert chain.layout.n_free == 2
    theta = np.arange(float(chain.n_parameters))
    weights = chain.layout.unpack(theta).weights
    np.testing.assert_array_equal(weights[2], weights[1].T)
