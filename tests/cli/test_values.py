"""Parameters on a command line are read as Python would, without running any of it."""

import pytest

import rhohat
from rhohat import (
    GRU,
    LSTM,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    Maxout,
    MaxPooling,
    MeanPooling,
    TransposedConvolution,
    Upsampling,
)
from rhohat.cli.values import parse_layers, parse_setting, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-1e-3", -0.001),
        ("None", None),
        ("False", False),
        ("tanh", "tanh"),
        ("'tanh'", "tanh"),
        ("512 MB", "512 MB"),
        ("my-folder/x", "my-folder/x"),
        ("a.b", "a.b"),
        ("", ""),
        ("(100, 30)", (100, 30)),
        ("[tanh, relu]", ["tanh", "relu"]),
        ("{'yes': 5, 'no': 1}", {"yes": 5, "no": 1}),
        ("{yes: 0.5, -1: [2], True: None}", {"yes": 0.5, -1: [2], True: None}),
        ("Adam(learning_rate=0.01)", rhohat.Adam(learning_rate=0.01)),
        ("[L1Sparsity(0.1), WeightDecay(weight=0.2)]", [rhohat.L1Sparsity(0.1), rhohat.WeightDecay(0.2)]),
        ("GaussianLoss([[2, 0], [0, 1]])", rhohat.GaussianLoss([[2, 0], [0, 1]])),
    ],
)
def test_values_are_read(text, value):
    assert parse_value(text) == value


def test_estimators_are_parts_too():
    layers = parse_value("[SparseAutoencoder(n_components=5), DenoisingAutoencoder(corruption=MaskingNoise(0.1))]")
    assert [type(layer).__name__ for layer in layers] == ["SparseAutoencoder", "DenoisingAutoencoder"]
    assert layers[1].corruption == rhohat.MaskingNoise(0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('true')", "is not a number, string, list, dict or object of rhohat"),
        ("open('x')", "'open' in .* is not the name of one of rhohat's classes, which are Adam"),
        ("Adam(speed=3)", "the object .* cannot be created: .*speed"),
        ("Adam(**{})", "is not a number|NAME=VALUE"),
        ("MaskingNoise(7)", "q"),
        ("[1 + 1]", "is not a number"),
        ("{[1]: 2}", "the keys of .* must be numbers, strings or truth values"),
        ("{**{}}", "the keys of .* must be numbers, strings or truth values"),
    ],
)
def test_what_is_no_value_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_value(text)


@pytest.mark.parametrize("text", ["sparsity", "=3", "a b=3"])
def test_a_setting_has_a_name_and_a_value(text):
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_setting(text)


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("convolution 20 5, max-pooling 2, dense 500 tanh", [Convolution(20, 5), MaxPooling(2), Dense(500, "tanh")]),
        ("Convolution 20 5,MaxPooling 2 , 500", [Convolution(20, 5), MaxPooling(2), 500]),
        (
            "convolution 16 3x5 stride=2 padding=same activation=relu, flatten",
            [Convolution(16, (3, 5), 2, "same", "relu"), Flatten()],
        ),
        ("convolution 4 3 activation=LeakyReLU(0.1)", [Convolution(4, 3, activation=LeakyReLU(0.1))]),
        ("dense 4 Maxout( 2), dense 3 LeakyReLU(slope=0.2)", [Dense(4, Maxout(2)), Dense(3, LeakyReLU(0.2))]),
        ("mean_pooling 3 2, upsampling 2 output_size=9x8", [MeanPooling(3, 2), Upsampling(2, output_size=(9, 8))]),
        ("transposed-convolution 3 2x2 1", [TransposedConvolution(3, (2, 2), 1)]),
        ("7", [7]),
        ("lstm 20 bidirectional=True, GRU 5, dropout 0.5", [LSTM(20, bidirectional=True), GRU(5), Dropout(0.5)]),
    ],
)
def test_layers_are_read(text, layers):
    assert parse_layers(text) == layers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("convolution 20 5, max_poling 2", "layer 1, 'max_poling 2', is none of convolution, dense, flatten, max-pool"),
        ("", "layer 0, '', is none of"),
        ("5,,3", "layer 1, '', is none of"),
        ("-5", "layer 0, '-5', is none of"),
        (
            "3, convolution 5",
            "layer 1, 'convolution 5', has .*: those of convolution are n_channels, kernel_size, stride,",
        ),
        ("flatten 3", "layer 0, 'flatten 3', has settings that do not fit: those of flatten are none"),
        ("dense 3 units=4", "layer 0, .* those of dense are n_units, activation"),
        ("dense activation=tanh 4", "layer 0, .* cannot be made: a setting without a name, '4', comes after"),
        ("dense 3 open('x')", "layer 0, .* cannot be made: 'open' in .* is not the name of one of rhohat's classes"),
        ("Convolution(20, 5)", r"layer 0, 'Convolution\(20, 5\)', is none of .*, as in convolution 20 5"),
    ],
)
def test_what_is_no_layer_is_refused_by_its_number_and_text(text, message):
    with pytest.raises(ValueError, match=message):
        parse_layers(text)
