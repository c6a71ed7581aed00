"""Parameters on a command line are read as Python would, without running any of it."""

import pytest

import rhohat
from rhohat.cli.values import parse_setting, parse_value


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
        ("__import__('os').system('true')", "is not a number, string, list or object of rhohat"),
        ("open('x')", "'open' in .* is not the name of one of rhohat's classes, which are Adam"),
        ("Adam(speed=3)", "the object .* cannot be created: .*speed"),
        ("Adam(**{})", "is not a number|NAME=VALUE"),
        ("MaskingNoise(7)", "q"),
        ("[1 + 1]", "is not a number"),
    ],
)
def test_what_is_no_value_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_value(text)


@pytest.mark.parametrize("text", ["sparsity", "=3", "a b=3"])
def test_a_setting_has_a_name_and_a_value(text):
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_setting(text)
