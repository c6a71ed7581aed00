"""The description of dropout: the layer that it becomes, its mirror, and what it refuses."""

import re
from fractions import Fraction

import numpy as np
import pytest

from rhohat.layers import DropoutLayer
from rhohat.layers.dropout_description import Dropout


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((7,), DropoutLayer(7, 7, 0.3, None)),
        ((12, 3), DropoutLayer(36, 3, 0.3, 12)),
        ((9, 8, 2), DropoutLayer(144, 2, 0.3, None)),
    ],
    ids=["features", "sequences", "images"],
)
def test_dropout_keeps_the_shape_of_its_inputs(shape, layer):
    assert Dropout(0.3).build(shape, "softmax") == ([layer], shape)
    assert (layer.n_inputs, layer.n_outputs, layer.output_channels) == (layer.n_units, layer.n_units, shape[-1])


def test_half_of_the_activations_are_dropped_unless_a_rate_is_given():
    assert Dropout() == Dropout(0.5)
    assert Dropout().build((7,), "tanh")[0] == [DropoutLayer(7, 7, 0.5)]


@pytest.mark.parametrize("rate", [0, np.float32(0.25), Fraction(1, 4), 0.999])
def test_any_number_from_0_to_below_1_is_a_rate(rate):
    (layer,), _ = Dropout(rate).build((7,), "tanh")
    assert layer.rate == float(rate)
    assert type(layer.rate) is float


def test_a_decoder_drops_nothing():
    for shape in ((7,), (12, 3), (9, 8, 2)):
        assert Dropout(0.3).mirror(shape) == Dropout(0.0)


@pytest.mark.parametrize("rate", ["half", None, [0.5], 1j], ids=repr)
def test_a_rate_that_is_no_number_is_refused(rate):
    with pytest.raises(
        ValueError, match=f"^{re.escape(f'rate of Dropout must be a number in [0, 1); got {rate!r}.')}$"
    ):
        Dropout(rate).build((7,), "tanh")


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, np.nan, np.inf])
def test_a_rate_that_is_no_probability_below_1_is_refused(rate):
    message = f"rate, the probability that a number is set to 0, must lie in [0, 1); got {float(rate)}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Dropout(rate).build((7,), "tanh")
