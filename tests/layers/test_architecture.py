"""Descriptions of layers: which layers they become for rows of a shape, and their mirrors."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np
import pytest

from rhohat.layers import (
    ConvolutionLayer,
    DenseLayer,
    DropoutLayer,
    LSTMLayer,
    MaxPoolingLayer,
    MeanPoolingLayer,
    StepwiseDenseLayer,
    TransposedConvolutionLayer,
    UpsamplingLayer,
    Windows,
)
from rhohat.layers.activations import Identity, LeakyReLU, Maxout, ReLU, Sigmoid, Softmax, Tanh
from rhohat.layers.architecture import (
    LAYERS,
    LSTM,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    MaxPooling,
    MeanPooling,
    TransposedConvolution,
    Upsampling,
    build_layers,
    mirrored,
)
from rhohat.layers.descriptions import LayerDescription

IMAGE, SEQUENCE, FLAT = (9, 8, 2), (12, 3), (7,)


def built(description, shape, activation="tanh"):
    """The only layer that a description becomes, and the shape of its outputs."""
    (layer,), after = description.build(shape, activation)
    return layer, after


def valid(size, window, stride):
    return Windows(size, window, stride, "valid")


def same(size, window, stride):
    return Windows(size, window, stride, "same")


#: Descriptions, shapes of rows, the layers they become where the estimator's activation is tanh, and shapes of outputs.
BUILT = {
    "dense": (Dense(5), FLAT, DenseLayer(7, 5, Tanh()), (5,)),
    "dense, on an image": (Dense(5, "relu"), IMAGE, DenseLayer(144, 5, ReLU()), (5,)),
    "dense, on a sequence": (Dense(5, Sigmoid()), SEQUENCE, DenseLayer(36, 5, Sigmoid()), (5,)),
    "dense, one unit": (Dense(1), FLAT, DenseLayer(7, 1, Tanh()), (1,)),
    "dense, per step": (Dense(4, per_step=True), SEQUENCE, StepwiseDenseLayer(12, 3, 4, Tanh()), (12, 4)),
    "dense, per step, relu": (Dense(4, "relu", True), SEQUENCE, StepwiseDenseLayer(12, 3, 4, ReLU()), (12, 4)),
    "convolution": (
        Convolution(5, 3),
        IMAGE,
        ConvolutionLayer(valid((9, 8), (3, 3), (1, 1)), 2, 5, Tanh()),
        (7, 6, 5),
    ),
    "convolution, by axis": (
        Convolution(5, (4, 3), (2, 3), "valid", "relu"),
        IMAGE,
        ConvolutionLayer(valid((9, 8), (4, 3), (2, 3)), 2, 5, ReLU()),
        (3, 2, 5),
    ),
    "convolution, same": (
        Convolution(1, [5, 2], stride=[1, 3], padding="same", activation=Sigmoid()),
        IMAGE,
        ConvolutionLayer(same((9, 8), (5, 2), (1, 3)), 2, 1, Sigmoid()),
        (9, 3, 1),
    ),
    "convolution, of a sequence": (
        Convolution(5, 4, 2),
        SEQUENCE,
        ConvolutionLayer(valid((1, 12), (1, 4), (1, 2)), 3, 5, Tanh()),
        (5, 5),
    ),
    "convolution, of a sequence, by axis": (
        Convolution(5, (4,), (5,), "same"),
        SEQUENCE,
        ConvolutionLayer(same((1, 12), (1, 4), (1, 5)), 3, 5, Tanh()),
        (3, 5),
    ),
    "transposed": (
        TransposedConvolution(5, 3),
        IMAGE,
        TransposedConvolutionLayer(valid((11, 10), (3, 3), (1, 1)), 2, 5, Tanh()),
        (11, 10, 5),
    ),
    "transposed, by axis": (
        TransposedConvolution(5, (4, 3), (2, 3), "valid", "relu"),
        IMAGE,
        TransposedConvolutionLayer(valid((20, 24), (4, 3), (2, 3)), 2, 5, ReLU()),
        (20, 24, 5),
    ),
    "transposed, same": (
        TransposedConvolution(1, [4, 3], [2, 3], "same", Sigmoid()),
        IMAGE,
        TransposedConvolutionLayer(same((18, 24), (4, 3), (2, 3)), 2, 1, Sigmoid()),
        (18, 24, 1),
    ),
    "transposed, to a size": (
        TransposedConvolution(5, 3, stride=2, output_size=(20, 17)),
        IMAGE,
        TransposedConvolutionLayer(valid((20, 17), (3, 3), (2, 2)), 2, 5, Tanh()),
        (20, 17, 5),
    ),
    "transposed, same, to a size": (
        TransposedConvolution(5, 3, stride=2, padding="same", output_size=[17, 16]),
        IMAGE,
        TransposedConvolutionLayer(same((17, 16), (3, 3), (2, 2)), 2, 5, Tanh()),
        (17, 16, 5),
    ),
    "transposed, to a sequence": (
        TransposedConvolution(5, 4, 2),
        SEQUENCE,
        TransposedConvolutionLayer(valid((1, 26), (1, 4), (1, 2)), 3, 5, Tanh()),
        (26, 5),
    ),
    "transposed, to a sequence of a length": (
        TransposedConvolution(5, (4,), (2,), output_size=27),
        SEQUENCE,
        TransposedConvolutionLayer(valid((1, 27), (1, 4), (1, 2)), 3, 5, Tanh()),
        (27, 5),
    ),
    "max": (MaxPooling(2), IMAGE, MaxPoolingLayer(valid((9, 8), (2, 2), (2, 2)), 2), (4, 4, 2)),
    "max, by axis": (MaxPooling((3, 2)), IMAGE, MaxPoolingLayer(valid((9, 8), (3, 2), (3, 2)), 2), (3, 4, 2)),
    "max, overlapping": (MaxPooling(4, (1, 2)), IMAGE, MaxPoolingLayer(valid((9, 8), (4, 4), (1, 2)), 2), (6, 3, 2)),
    "max, of a sequence": (MaxPooling(5), SEQUENCE, MaxPoolingLayer(valid((1, 12), (1, 5), (1, 5)), 3), (2, 3)),
    "mean": (MeanPooling((3, 2), 1), IMAGE, MeanPoolingLayer(valid((9, 8), (3, 2), (1, 1)), 2), (7, 7, 2)),
    "mean, of a sequence": (MeanPooling(4), SEQUENCE, MeanPoolingLayer(valid((1, 12), (1, 4), (1, 4)), 3), (3, 3)),
    "upsampling": (Upsampling(2), IMAGE, UpsamplingLayer(valid((18, 16), (2, 2), (2, 2)), 2), (18, 16, 2)),
    "upsampling, by axis": (
        Upsampling((3, 2)),
        IMAGE,
        UpsamplingLayer(valid((27, 16), (3, 2), (3, 2)), 2),
        (27, 16, 2),
    ),
    "upsampling, overlapping": (
        Upsampling((3, 4), (2, 1)),
        IMAGE,
        UpsamplingLayer(valid((19, 11), (3, 4), (2, 1)), 2),
        (19, 11, 2),
    ),
    "upsampling, to a size": (
        Upsampling(2, output_size=(19, 17)),
        IMAGE,
        UpsamplingLayer(valid((19, 17), (2, 2), (2, 2)), 2),
        (19, 17, 2),
    ),
    "upsampling, of a sequence": (
        Upsampling(3, 2),
        SEQUENCE,
        UpsamplingLayer(valid((1, 25), (1, 3), (1, 2)), 3),
        (25, 3),
    ),
}


@pytest.mark.parametrize(("description", "shape", "layer", "after"), BUILT.values(), ids=BUILT)
def test_a_description_becomes_its_layer(description, shape, layer, after):
    assert built(description, shape) == (layer, after)
    assert (layer.n_inputs, layer.n_outputs) == (prod(shape), prod(after))


def test_all_layers_that_users_name_are_in_the_package():
    import rhohat

    names = {kind.__name__ for kind in LAYERS}
    expected = {"Convolution", "Dense", "Flatten", "MaxPooling", "MeanPooling", "TransposedConvolution", "Upsampling"}
    assert names == expected | {"Dropout", "GRU", "LSTM", "Recurrent"}
    assert all(getattr(rhohat, kind.__name__) is kind for kind in LAYERS)


def test_parameters_have_the_defaults_that_are_documented():
    assert Dense(5) == Dense(5, activation=None, per_step=False)
    assert Convolution(5, 3) == Convolution(5, 3, stride=1, padding="valid", activation=None)
    transposed = TransposedConvolution(5, 3)
    assert transposed == TransposedConvolution(5, 3, 1, padding="valid", activation=None, output_size=None)
    assert MaxPooling(2) == MaxPooling(2, stride=None)
    assert MeanPooling(2) == MeanPooling(2, stride=None)
    assert Upsampling(2) == Upsampling(2, stride=None, output_size=None)


@pytest.mark.parametrize(
    ("description", "shape"),
    [
        (Dense(3), FLAT),
        (Dense(3, per_step=True), SEQUENCE),
        (Convolution(3, 2), IMAGE),
        (TransposedConvolution(3, 2), IMAGE),
        (Dense(3).mirror(IMAGE), FLAT),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, LayerDescription) else str(one),
)
def test_the_activation_is_that_of_the_description_or_else_of_the_estimator(description, shape):
    own = replace(description, activation=LeakyReLU(0.3))
    assert built(description, shape, "sigmoid")[0].activation == Sigmoid()
    assert built(description, shape, LeakyReLU(0.2))[0].activation == LeakyReLU(0.2)
    assert built(own, shape, "sigmoid")[0].activation == LeakyReLU(0.3)
    assert built(replace(description, activation="relu"), shape, "sigmoid")[0].activation == ReLU()


def test_a_dense_layer_may_have_an_activation_that_mixes_units():
    assert built(Dense(3), FLAT, "softmax")[0] == DenseLayer(7, 3, Softmax())
    assert built(Dense(3, Maxout(4)), FLAT)[0] == DenseLayer(7, 3, Maxout(4))


def test_numbers_of_numpy_become_integers():
    """Windows ask for integers of Python."""
    two, three = np.int64(2), np.int32(3)
    for description in (Convolution(three, two, two), TransposedConvolution(three, (two, three), (two, two))):
        layer, after = built(description, IMAGE)
        assert {type(number) for number in (layer.n_filters, layer.n_channels, *after)} == {int}
    for description, shape in (
        (Dense(three), FLAT),
        (Dense(three, per_step=True), SEQUENCE),
        (MaxPooling(two), IMAGE),
        (Upsampling(two, output_size=(np.int64(18), np.int64(16))), IMAGE),
    ):
        layer, after = built(description, shape)
        assert {type(number) for number in (layer.n_inputs, layer.n_outputs, *after)} == {int}


def test_only_layers_that_act_on_each_step_take_sequences_of_unequal_length():
    taking = (Dense(3, per_step=True), Dropout(0.5), LSTM(3))
    assert all(description.takes_padding is True for description in taking)
    others = (Dense(3), Convolution(3, 2), TransposedConvolution(3, 2), MaxPooling(2), MeanPooling(2), Upsampling(2))
    assert all(description.takes_padding is False for description in (*others, Flatten(), Dense(3).mirror(IMAGE)))


def test_flatten_gives_the_shape_a_single_axis_and_makes_no_layer():
    assert Flatten().build(IMAGE, "tanh") == ([], (144,))
    assert Flatten().build(SEQUENCE, "tanh") == ([], (36,))
    assert Flatten().build(FLAT, "tanh") == ([], FLAT)


# Mirrors.


MIRRORS = {
    "dense, per step": (Dense(4, "relu", per_step=True), SEQUENCE, Dense(3, "relu", per_step=True)),
    "dense, per step, without activation": (Dense(4, per_step=True), SEQUENCE, Dense(3, per_step=True)),
    "convolution": (
        Convolution(5, (4, 3), (2, 3), "same", "relu"),
        IMAGE,
        TransposedConvolution(2, (4, 3), (2, 3), "same", "relu", (9, 8)),
    ),
    "convolution, with defaults": (Convolution(5, 4), SEQUENCE, TransposedConvolution(3, 4, output_size=(12,))),
    "transposed": (
        TransposedConvolution(5, (4, 3), (2, 3), "same", "relu", (18, 24)),
        IMAGE,
        Convolution(2, (4, 3), (2, 3), "same", "relu"),
    ),
    "transposed, with defaults": (TransposedConvolution(5, 4), SEQUENCE, Convolution(3, 4)),
    "max": (MaxPooling((3, 2), 1), IMAGE, Upsampling((3, 2), 1, (9, 8))),
    "mean": (MeanPooling(5), SEQUENCE, Upsampling(5, None, (12,))),
    "upsampling": (Upsampling((3, 2), 1, (11, 9)), IMAGE, MeanPooling((3, 2), 1)),
    "upsampling, with defaults": (Upsampling(3), SEQUENCE, MeanPooling(3)),
}


@pytest.mark.parametrize(("description", "shape", "mirror"), MIRRORS.values(), ids=MIRRORS)
def test_a_mirror_is_the_description_of_the_way_back(description, shape, mirror):
    assert description.mirror(shape) == mirror
    _, after = description.build(shape, "tanh")
    assert built(mirror, after)[1] == shape


def test_the_mirror_of_a_dense_layer_gives_its_outputs_the_shape():
    for shape in (IMAGE, SEQUENCE, FLAT):
        back = Dense(5, "relu").mirror(shape)
        assert built(back, (5,)) == (DenseLayer(5, prod(shape), ReLU()), shape)
        assert built(Dense(5).mirror(shape), (5,)) == (DenseLayer(5, prod(shape), Tanh()), shape)
        assert back.mirror((4, 2)) == Dense(5, "relu").mirror((4, 2))
        assert built(back.mirror((4, 2)), shape) == (DenseLayer(prod(shape), 8, ReLU()), (4, 2))


def test_the_mirror_of_flatten_gives_rows_their_shape_again():
    back = Flatten().mirror(IMAGE)
    assert back.build((144,), "tanh") == ([], IMAGE)
    assert back.mirror(SEQUENCE).build(IMAGE, "tanh") == ([], SEQUENCE)


def test_a_decoder_mirrors_the_layers_from_the_last_to_the_first():
    encoder = [Convolution(5, 2, activation="relu"), MaxPooling(2), Flatten(), 6, Dense(4, "sigmoid")]
    _, shapes = build_layers(encoder, IMAGE, "tanh")
    assert shapes == [IMAGE, (8, 7, 5), (4, 3, 5), (60,), (6,), (4,)]
    decoder = mirrored(encoder, shapes)
    assert decoder == [
        Dense(4, "sigmoid").mirror((6,)),
        Dense(6).mirror((60,)),
        Flatten().mirror((4, 3, 5)),
        Upsampling(2, None, (8, 7)),
        TransposedConvolution(2, 2, activation="relu", output_size=(9, 8)),
    ]
    layers, back = build_layers(decoder, (4,), "tanh")
    assert back == shapes[::-1]
    assert layers == [
        DenseLayer(4, 6, Sigmoid()),
        DenseLayer(6, 60, Tanh()),
        UpsamplingLayer(valid((8, 7), (2, 2), (2, 2)), 5),
        TransposedConvolutionLayer(valid((9, 8), (2, 2), (1, 1)), 5, 2, ReLU()),
    ]


def test_numbers_are_mirrored_as_dense_layers():
    assert mirrored([6, np.int64(4)], [SEQUENCE, (6,), (4,)]) == [Dense(4).mirror((6,)), Dense(6).mirror(SEQUENCE)]
    assert type(mirrored([np.int64(4)], [FLAT, (4,)])[0].build((4,), "tanh")[0][0].n_outputs) is int


def test_every_layer_needs_its_shape_to_be_mirrored():
    with pytest.raises(ValueError, match="zip"):
        mirrored([6, 4], [FLAT, (6,)])
    assert mirrored([], [FLAT]) == []


# Layers in order.


def test_layers_follow_one_another_in_order():
    described = [Convolution(5, 2), MaxPooling((2, 1)), Flatten(), 6, np.int64(4), Dense(3, "softmax")]
    layers, shapes = build_layers(described, IMAGE, "tanh")
    assert layers == [
        ConvolutionLayer(valid((9, 8), (2, 2), (1, 1)), 2, 5, Tanh()),
        MaxPoolingLayer(valid((8, 7), (2, 1), (2, 1)), 5),
        DenseLayer(140, 6, Tanh()),
        DenseLayer(6, 4, Tanh()),
        DenseLayer(4, 3, Softmax()),
    ]
    assert type(layers[3].n_outputs) is int
    assert shapes == [IMAGE, (8, 7, 5), (4, 7, 5), (140,), (6,), (4,), (3,)]
    assert build_layers([], IMAGE, "tanh") == ([], [IMAGE])


def test_layers_may_be_given_in_any_sequence():
    assert build_layers((6, Dense(4)), FLAT, Identity()) == build_layers([Dense(6), 4], FLAT, "identity")


def test_a_description_may_become_several_layers():
    @dataclass(frozen=True)
    class Twice(LayerDescription):
        n_units: int

        def build(self, shape, activation):
            first, between = Dense(self.n_units).build(shape, activation)
            second, after = Dense(self.n_units).build(between, activation)
            return [*first, *second], after

        def mirror(self, shape):
            return Dense(self.n_units)

    layers, shapes = build_layers([4, Twice(3)], FLAT, "tanh")
    assert layers == [DenseLayer(7, 4, Tanh()), DenseLayer(4, 3, Tanh()), DenseLayer(3, 3, Tanh())]
    assert shapes == [FLAT, (4,), (3,)]
    assert mirrored([4, Twice(3)], shapes)[0] == Dense(3)


def test_a_last_recurrent_layer_returns_its_last_step_unless_sequences_are_wanted():
    for options, per_step, after in (({}, False, (4,)), ({"sequences": True}, True, (12, 4))):
        layers, shapes = build_layers([Dropout(0.5), LSTM(4)], SEQUENCE, "tanh", **options)
        assert layers == [DropoutLayer(36, 3, 0.5, 12), LSTMLayer(12, 3, 4, per_step)]
        assert shapes == [SEQUENCE, SEQUENCE, after]
