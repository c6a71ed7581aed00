"""Descriptions of layers that cannot be: the whole sentence that a user sees."""

import re

import numpy as np
import pytest

from rhohat.layers.architecture import (
    Convolution,
    Dense,
    MaxPooling,
    MeanPooling,
    TransposedConvolution,
    Upsampling,
    as_input_shape,
    build_layers,
)

IMAGE, SEQUENCE, FLAT = (9, 8, 2), (12, 3), (7,)


def refused(call, message):
    """Assert that a call is refused in exactly these words."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


ITEMS = (
    "layers must be a sequence of layers, such as Convolution(20, 5), MaxPooling(2) and Dense(500), or of numbers of"
    " units; item {} is {}."
)


@pytest.mark.parametrize("item", ["dense", True, None, 3.0, Dense, (4, 5)], ids=repr)
def test_an_item_that_is_no_layer_is_refused_by_its_number(item):
    refused(lambda: build_layers([item], FLAT, "tanh"), ITEMS.format(0, repr(item)))
    refused(lambda: build_layers([4, Dense(3), item, 5], FLAT, "tanh"), ITEMS.format(2, repr(item)))


def test_a_layer_that_cannot_follow_is_refused_with_its_number_and_the_shape_of_its_input():
    reason = (
        "MaxPooling needs images of the shape (height, width, channels) or sequences of the shape (steps, channels);"
        " set input_shape."
    )
    refused(
        lambda: build_layers([Convolution(5, 2), 6, MaxPooling(3)], IMAGE, "tanh"),
        f"layer 2 cannot be MaxPooling(size=3, stride=None), as its input has the shape (6,): {reason}",
    )
    refused(
        lambda: build_layers([0], IMAGE, "tanh"),
        "layer 0 cannot be Dense(n_units=0, activation=None, per_step=False), as its input has the shape (9, 8, 2):"
        " n_units of Dense must be an integer of at least 1; got 0.",
    )
    with pytest.raises(ValueError, match=r"^layer 0 cannot be") as error:
        build_layers([Convolution(3, 10)], IMAGE, "tanh")
    assert error.value.__suppress_context__


@pytest.mark.parametrize("count", [0, -2, 2.0, "3", True, None], ids=repr)
def test_numbers_of_units_and_channels_are_integers_of_at_least_one(count):
    ending = f"must be an integer of at least 1; got {count!r}."
    refused(lambda: Dense(count).build(FLAT, "tanh"), f"n_units of Dense {ending}")
    for kind in (Convolution, TransposedConvolution):
        refused(lambda kind=kind: kind(count, 2).build(IMAGE, "tanh"), f"n_channels of {kind.__name__} {ending}")


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "ab", (3,), (3, 3, 3), (3, 0), (2, 1.5), [], None], ids=repr)
def test_numbers_by_axis_are_integers_of_at_least_one_and_as_many_as_axes(value):
    ending = f"must be an integer of at least 1, or 2 of them; got {value!r}."
    refused(lambda: Convolution(3, value).build(IMAGE, "tanh"), f"kernel_size of Convolution {ending}")
    refused(lambda: Convolution(3, 2, value).build(IMAGE, "tanh"), f"stride of Convolution {ending}")
    refused(lambda: MaxPooling(value).build(IMAGE, "tanh"), f"size of MaxPooling {ending}")
    for parameter in ("kernel_size", "stride", "output_size"):
        if value is None and parameter == "output_size":
            continue
        description = TransposedConvolution(**{"n_channels": 3, "kernel_size": 2, parameter: value})
        refused(lambda one=description: one.build(IMAGE, "tanh"), f"{parameter} of TransposedConvolution {ending}")
    refused(lambda: Upsampling(value).build(IMAGE, "tanh"), f"size of Upsampling {ending}")
    if value is not None:
        refused(lambda: Upsampling(2, value).build(IMAGE, "tanh"), f"stride of Upsampling {ending}")
        refused(lambda: Upsampling(2, 2, value).build(IMAGE, "tanh"), f"output_size of Upsampling {ending}")
        refused(lambda: MeanPooling(2, value).build(IMAGE, "tanh"), f"stride of MeanPooling {ending}")


def test_a_sequence_has_a_single_axis():
    ending = "must be an integer of at least 1, or 1 of them; got (3, 3)."
    refused(lambda: Convolution(3, (3, 3)).build(SEQUENCE, "tanh"), f"kernel_size of Convolution {ending}")
    refused(lambda: MeanPooling(2, (3, 3)).build(SEQUENCE, "tanh"), f"stride of MeanPooling {ending}")


@pytest.mark.parametrize(
    "description",
    [Convolution(3, 2), TransposedConvolution(3, 2), MaxPooling(2), MeanPooling(2), Upsampling(2)],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.parametrize("shape", [FLAT, (5, 5, 5, 2)], ids=str)
def test_windows_need_images_or_sequences(description, shape):
    refused(
        lambda: description.build(shape, "tanh"),
        f"{type(description).__name__} needs images of the shape (height, width, channels) or sequences of the shape"
        " (steps, channels); set input_shape.",
    )


@pytest.mark.parametrize("shape", [FLAT, IMAGE], ids=str)
def test_a_layer_per_step_needs_steps(shape):
    refused(
        lambda: Dense(3, per_step=True).build(shape, "tanh"),
        "Dense with per_step=True needs sequences of the shape (steps, channels).",
    )


@pytest.mark.parametrize("kind", [Convolution, TransposedConvolution])
def test_an_unknown_padding_is_refused(kind):
    message = "padding must be 'valid' or 'same'; got 'full'."
    refused(lambda: kind(3, 2, padding="full").build(IMAGE, "tanh"), message)


def test_a_size_from_which_no_window_leads_back_is_refused():
    refused(
        lambda: TransposedConvolution(3, 2, output_size=(10, 20)).build(IMAGE, "tanh"),
        "TransposedConvolution cannot turn an input of the size (9, 8) into output_size=(10, 20), because its"
        " window has (9, 19) places on an output of this size.",
    )
    refused(
        lambda: Upsampling(2, output_size=20).build(SEQUENCE, "tanh"),
        "Upsampling cannot turn an input of the size (12,) into output_size=(20,), because its window has (10,)"
        " places on an output of this size.",
    )
    refused(
        lambda: Upsampling((3, 2), output_size=(20, 16)).build((5, 8, 3), "tanh"),
        "Upsampling cannot turn an input of the size (5, 8) into output_size=(20, 16), because its window has (6, 8)"
        " places on an output of this size.",
    )


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        (7, (7,)),
        (1, (1,)),
        ((7,), (7,)),
        ([12, 3], (12, 3)),
        ((1, 1, 1), (1, 1, 1)),
        (np.int64(7), (7,)),
        ((np.int32(9), 8, np.uint8(2)), (9, 8, 2)),
    ],
)
def test_the_shape_of_a_row_is_a_tuple_of_integers(given, shape):
    found = as_input_shape(given)
    assert found == shape
    assert {type(size) for size in found} == {int}


@pytest.mark.parametrize("given", [0, (), (8, 0), (-1,), (2, 2.0), (2, 2, 2, 2), "ab", None, 7.0], ids=repr)
def test_what_is_no_shape_of_a_row_is_refused(given):
    refused(
        lambda: as_input_shape(given),
        "input_shape must be (height, width, channels) for images, (steps, channels) for sequences, or (n_features,),"
        f" all at least 1; got {given!r}.",
    )
