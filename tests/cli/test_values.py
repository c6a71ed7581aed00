"""Parameters on a command line are read as Python would, without running any of it."""

import numpy as np
import pandas as pd
import pytest

import rhohat
from rhohat.cli.files import read_column, read_labels
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
    assert read_labels(tmp_path / "words.txt").tolist() == ["a", "b"]
    assert read_labels(tmp_path / "numbers.csv").tolist() == [1, 2]
    assert read_labels(tmp_path / "floats.txt").tolist() == [1.5, 2]
    assert read_labels(tmp_path / "pairs.npy").shape == (2, 2)
    mnist = read_labels(data_dir / "mnist" / "t10k-labels-idx1-ubyte.gz")
    assert mnist[:5].tolist() == [7, 2, 1, 0, 4]
    assert len(mnist) == 10_000


def test_what_holds_no_labels_is_refused(tmp_path):
    np.save(tmp_path / "cube.npy", np.ones((2, 2, 2)))
    (tmp_path / "labels.bin").write_bytes(b"abcdefgh")
    with pytest.raises(ValueError, match="one or several for each row"):
        read_labels(tmp_path / "cube.npy")
    with pytest.raises(ValueError, match="holds no labels"):
        read_labels(tmp_path / "labels.bin")


def test_a_column_of_a_table_is_read_with_its_quotes(tmp_path):
    (tmp_path / "t.csv").write_text('a,"b; c"\n1,"x, y"\n2,z\n')
    assert read_column(tmp_path / "t.csv", "b; c").tolist() == ["x, y", "z"]
    assert read_column(tmp_path / "t.csv", "a").tolist() == [1, 2]
    pd.read_csv(tmp_path / "t.csv").to_parquet(tmp_path / "t.parquet")
    assert read_column(tmp_path / "t.parquet", "b; c").tolist() == ["x, y", "z"]
