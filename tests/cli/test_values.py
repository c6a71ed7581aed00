"""Parameters on a command line are read as Python would, without running any of it."""

import numpy as np
import pytest

import rhohat
from rhohat.cli.files import read_labels
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
        ("__import__('os').system('true')", "is no number, text, list, or part"),
        ("open('x')", "'open' in .* is no part of rhohat; there are Adam"),
        ("Adam(speed=3)", "cannot be made: .*speed"),
        ("Adam(**{})", "is no number|NAME=VALUE"),
        ("MaskingNoise(7)", "q"),
        ("[1 + 1]", "is no number"),
    ],
)
def test_what_is_no_value_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_value(text)


@pytest.mark.parametrize("text", ["sparsity", "=3", "a b=3"])
def test_a_setting_has_a_name_and_a_value(text):
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_setting(text)


def test_labels_are_read_from_files_of_several_kinds(tmp_path, data_dir):
    (tmp_path / "words.txt").write_text("a\nb\n")
    (tmp_path / "numbers.csv").write_text("1\n2\n")
    (tmp_path / "floats.txt").write_text("1.5\n2\n")
    np.save(tmp_path / "pairs.npy", np.ones((2, 2)))
    assert read_labels(tmp_path / "words.txt", 2).tolist() == ["a", "b"]
    assert read_labels(tmp_path / "numbers.csv", 2).tolist() == [1, 2]
    assert read_labels(tmp_path / "floats.txt", 2).tolist() == [1.5, 2]
    assert read_labels(tmp_path / "pairs.npy", 2).shape == (2, 2)
    mnist = read_labels(data_dir / "mnist" / "t10k-labels-idx1-ubyte.gz", 10_000)
    assert mnist[:5].tolist() == [7, 2, 1, 0, 4]
    assert len(mnist) == 10_000


def test_what_holds_no_labels_is_refused(tmp_path):
    np.save(tmp_path / "cube.npy", np.ones((2, 2, 2)))
    (tmp_path / "labels.bin").write_bytes(b"abcdefgh")
    with pytest.raises(ValueError, match="one or several for each row"):
        read_labels(tmp_path / "cube.npy", 2)
    with pytest.raises(ValueError, match="holds no labels"):
        read_labels(tmp_path / "labels.bin", 2)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("label\n1\n2\n", [1, 2]),
        ("1\n2\n\n", [1, 2]),
        ("007\n1\n", ["007", "1"]),
        ("-1\n+2e3\n", ["-1", "+2e3"]),
        ("a,b\n1,2.5\n3,4\n", [[1, 2.5], [3, 4]]),
        ("to be\nor not\n", ["to be", "or not"]),
    ],
)
def test_labels_in_text_are_what_they_look_like(content, expected, tmp_path):
    (tmp_path / "labels.csv").write_text(content)
    assert read_labels(tmp_path / "labels.csv", 2).tolist() == expected
