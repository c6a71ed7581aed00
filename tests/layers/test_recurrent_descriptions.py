"""Descriptions of recurrent layers: which layers they become, which of them return all steps, and their mirrors."""

import re
from dataclasses import replace

import numpy as np
import pytest

from rhohat.layers import GRULayer, LSTMLayer, SimpleRecurrentLayer, StepwiseDenseLayer, UpsamplingLayer, Windows
from rhohat.layers.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from rhohat.layers.architecture import Convolution, Dense, Dropout, Flatten, build_layers, mirrored
from rhohat.layers.recurrent_descriptions import GRU, LSTM, Recurrent, with_sequences

SEQUENCE = (12, 3)
KINDS = {Recurrent: SimpleRecurrentLayer, LSTM: LSTMLayer, GRU: GRULayer}
each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def layer_of(kind, *sizes, **parameters):
    """The layer that a description becomes where the estimator's activation is a sigmoid."""
    own = {"activation": Sigmoid()} if kind is Recurrent else {}
    return KINDS[kind](*sizes, **{**parameters, **own})


def refused(call, message):
    """Assert that a call is refused in exactly these words."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


@each
def test_a_description_becomes_its_layer(kind):
    assert kind(5).build(SEQUENCE, "sigmoid") == ([layer_of(kind, 12, 3, 5)], (5,))
    cases = [
        ({"return_sequences": True}, (12, 5)),
        ({"return_sequences": False}, (5,)),
        ({"bidirectional": True}, (10,)),
        ({"truncate": 1}, (5,)),
        ({"return_sequences": True, "bidirectional": True, "truncate": 4}, (12, 10)),
    ]
    for parameters, shape in cases:
        assert kind(5, **parameters).build(SEQUENCE, "sigmoid") == ([layer_of(kind, 12, 3, 5, **parameters)], shape)
    assert kind(1).build((1, 1), "sigmoid") == ([layer_of(kind, 1, 1, 1)], (1,))


def test_lstm_cells_have_peepholes_if_they_are_asked_for():
    assert LSTM(5, peepholes=True).build(SEQUENCE, "relu")[0] == [LSTMLayer(12, 3, 5, peepholes=True)]
    assert LSTM(5).build(SEQUENCE, "relu")[0] == [LSTMLayer(12, 3, 5, peepholes=False)]


def test_parameters_have_the_defaults_that_are_documented():
    common = {"return_sequences": None, "bidirectional": False, "truncate": None}
    assert Recurrent(5) == Recurrent(5, **common, activation=None)
    assert LSTM(5) == LSTM(5, **common, peepholes=False)
    assert GRU(5) == GRU(5, **common)
    assert all(kind(5).takes_padding is True for kind in KINDS)


def test_the_activation_is_that_of_the_description_or_else_of_the_estimator():
    def built(description, activation):
        return description.build(SEQUENCE, activation)[0]

    assert built(Recurrent(5), "sigmoid") == [SimpleRecurrentLayer(12, 3, 5, activation=Sigmoid())]
    assert built(Recurrent(5), LeakyReLU(0.2)) == [SimpleRecurrentLayer(12, 3, 5, activation=LeakyReLU(0.2))]
    own = Recurrent(5, activation="relu")
    assert built(own, "sigmoid") == [SimpleRecurrentLayer(12, 3, 5, activation=ReLU())]
    assert built(replace(own, activation=Tanh()), "relu") == [SimpleRecurrentLayer(12, 3, 5, activation=Tanh())]
    assert built(LSTM(5), "softmax")[0].activation == built(GRU(5), "relu")[0].activation == Tanh()


@each
def test_numbers_of_numpy_become_those_of_python(kind):
    description = kind(np.int64(5), np.bool_(True), np.bool_(True), np.int32(4))
    (layer,), shape = description.build(SEQUENCE, "sigmoid")
    assert layer == layer_of(kind, 12, 3, 5, return_sequences=True, bidirectional=True, truncate=4)
    assert {type(number) for number in (layer.n_units, layer.truncate, *shape)} == {int}
    assert {type(one) for one in (layer.return_sequences, layer.bidirectional)} == {bool}
    assert type(LSTM(5, peepholes=np.bool_(True)).build(SEQUENCE, "sigmoid")[0][0].peepholes) is bool


# Which layers return all steps.


def test_a_layer_returns_all_steps_if_the_next_one_needs_them():
    for following in (GRU(4), Recurrent(4), Dense(4, per_step=True), Dropout(0.5), GRU(4).mirror(SEQUENCE)):
        assert with_sequences([LSTM(5), following])[0] == LSTM(5, return_sequences=True)
    for following in (7, Dense(7), Flatten(), Convolution(4, 2), "no layer"):
        assert with_sequences([LSTM(5), following])[0] == LSTM(5, return_sequences=False)


def test_the_last_layer_returns_all_steps_if_that_is_asked_for():
    assert with_sequences([GRU(5)]) == with_sequences([GRU(5)], at_the_end=False) == [GRU(5, return_sequences=False)]
    assert with_sequences([GRU(5)], at_the_end=True) == [GRU(5, return_sequences=True)]
    assert with_sequences([GRU(5), 4], at_the_end=True) == [GRU(5, return_sequences=False), 4]


def test_what_a_description_says_itself_is_kept():
    for says in (True, False):
        given = [LSTM(5, return_sequences=says), GRU(4, return_sequences=says), 3, Recurrent(2, says)]
        for at_the_end in (True, False):
            assert with_sequences(given, at_the_end=at_the_end) == given


def test_all_other_parameters_and_layers_are_kept_and_the_list_is_another():
    given = [Dropout(0.2), LSTM(5, None, True, 4, peepholes=True), Recurrent(4, activation="relu"), 3, "no layer"]
    before = list(given)
    assert with_sequences(given) == [
        Dropout(0.2),
        LSTM(5, True, True, 4, peepholes=True),
        Recurrent(4, False, activation="relu"),
        3,
        "no layer",
    ]
    assert given == before
    assert with_sequences(tuple(given)) == with_sequences(given)
    assert with_sequences([]) == with_sequences([], at_the_end=True) == []


def test_layers_in_order_return_the_steps_that_the_next_one_needs():
    described = [LSTM(5, bidirectional=True), Dense(4, "relu", per_step=True), GRU(2), 7]
    layers, shapes = build_layers(described, SEQUENCE, "tanh")
    assert shapes == [SEQUENCE, (12, 10), (12, 4), (2,), (7,)]
    assert layers[:3] == [
        LSTMLayer(12, 3, 5, return_sequences=True, bidirectional=True),
        StepwiseDenseLayer(12, 10, 4, ReLU()),
        GRULayer(12, 4, 2, return_sequences=False),
    ]


# Mirrors.


@each
def test_a_mirror_returns_all_steps_from_a_code_that_is_repeated_for_each(kind):
    for description in (kind(5), kind(5, return_sequences=False), kind(5, return_sequences=True)):
        back = description.mirror(SEQUENCE)
        assert back.takes_padding is True
        layer = layer_of(kind, 12, 4, 5, return_sequences=True)
        size = (1, 12)
        repeated = UpsamplingLayer(Windows(size, size, size, "valid"), 4)
        assert back.build((4,), "sigmoid") == ([repeated, layer], (12, 5))
        assert back.build((12, 4), "sigmoid") == ([layer], (12, 5))


def test_a_code_is_repeated_for_each_step(rng):
    (repeated, _), _ = GRU(5).mirror(SEQUENCE).build((4,), "tanh")
    code = rng.normal(size=(2, 4))
    steps = repeated.apply(code, np.empty(0)).reshape(2, 12, 4)
    np.testing.assert_array_equal(steps, np.broadcast_to(code[:, None], steps.shape))


def test_a_mirror_keeps_all_other_parameters():
    cases = (
        (Recurrent(5, None, True, 4, "relu"), SimpleRecurrentLayer(12, 4, 5, True, True, 4, activation=ReLU())),
        (LSTM(5, None, True, 4, True), LSTMLayer(12, 4, 5, True, True, 4, peepholes=True)),
        (GRU(5, False, True, 4), GRULayer(12, 4, 5, True, True, 4)),
    )
    for description, layer in cases:
        assert description.mirror(SEQUENCE).build((12, 4), "sigmoid") == ([layer], (12, 10))


@each
def test_the_mirror_of_a_mirror_returns_steps_if_its_outputs_have_them(kind):
    description = kind(5, None, True, 4)
    back = description.mirror(SEQUENCE)
    assert back.mirror((7,)) == replace(description, return_sequences=False)
    assert back.mirror((12, 7)) == replace(description, return_sequences=True)
    assert back.mirror((9, 8, 2)) == replace(description, return_sequences=False)


def test_a_decoder_leads_back_from_a_code_to_sequences():
    encoder = [LSTM(5), GRU(4), 2]
    _, shapes = build_layers(encoder, SEQUENCE, "tanh")
    assert shapes == [SEQUENCE, (12, 5), (4,), (2,)]
    decoder = mirrored(encoder, shapes)
    layers, back = build_layers(decoder, (2,), "tanh", sequences=True)
    assert back == [(2,), (4,), (12, 4), (12, 5)]
    assert [type(layer).__name__ for layer in layers] == ["DenseLayer", "UpsamplingLayer", "GRULayer", "LSTMLayer"]
    assert layers[2:] == [GRULayer(12, 4, 4, True), LSTMLayer(12, 4, 5, True)]


# What is refused.


@each
@pytest.mark.parametrize("shape", [(36,), (4, 3, 3)], ids=str)
def test_a_recurrent_layer_needs_sequences(kind, shape):
    refused(
        lambda: kind(5).build(shape, "tanh"),
        f"{kind.__name__} needs sequences of the shape (steps, channels); the layer before it must return all steps,"
        " and the rows of X must be sequences, see input_shape.",
    )


@each
@pytest.mark.parametrize("count", [0, -1, 2.0, True, "3"], ids=repr)
def test_numbers_of_units_and_of_steps_are_integers_of_at_least_one(kind, count):
    ending = f"of {kind.__name__} must be an integer of at least 1; got {count!r}."
    refused(lambda: kind(count).build(SEQUENCE, "tanh"), f"n_units {ending}")
    refused(lambda: kind(5, truncate=count).build(SEQUENCE, "tanh"), f"truncate {ending}")


def test_numbers_are_checked_before_the_shape():
    refused(lambda: GRU(None).build((36,), "tanh"), "n_units of GRU must be an integer of at least 1; got None.")


def test_an_activation_that_mixes_units_is_refused():
    with pytest.raises(ValueError, match="a recurrent layer cannot use the activation 'softmax'"):
        Recurrent(5).build(SEQUENCE, "softmax")
