"""Safetensors files are read as the package safetensors reads them, and damaged ones are refused."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rhohat.common.exceptions import ModelFileError
from rhohat.models.formats.safetensors_files import TensorFile, write_tensors


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def write(path, header, data=b""):
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def tensor(start, stop, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8"])
def test_numbers_of_every_type_are_read(dtype, path):
    arrays = {"a": np.arange(12).reshape(3, 4).astype(dtype), "b": np.zeros((0, 2), dtype), "c": np.array(3, dtype)}
    save_file(arrays, path)
    found = TensorFile(path)
    for name, array in arrays.items():
        taken = found.take(name)
        np.testing.assert_array_equal(taken, array)
        assert taken.dtype == (np.float64 if dtype in ("float64", "int64", "int32") else np.float32)
    found.finish()


@pytest.mark.parametrize("precision", ["float64", "float32", "float16"])
def test_the_package_reads_what_is_written(precision, path):
    arrays = {"a": np.random.default_rng(0).standard_normal((3, 4)), "b": np.arange(6.0).reshape(2, 3).T}
    write_tensors(path, arrays, precision, {"about": "it"})
    found = load_file(path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array.astype(precision))
    assert TensorFile(path).metadata == {"about": "it"}


def test_bfloat16_is_rounded_to_the_nearest(path):
    torch = pytest.importorskip("torch")
    numbers = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    write_tensors(path, {"a": numbers}, "bfloat16")
    expected = torch.from_numpy(numbers).to(torch.bfloat16).float().numpy()
    np.testing.assert_array_equal(TensorFile(path).take("a"), expected)


@pytest.mark.parametrize(
    ("header", "data", "problem"),
    [
        ({"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}, bytes(12), "overlap, or leave gaps"),
        ({"a": tensor(0, 8, [2]), "b": tensor(12, 20, [2])}, bytes(20), "overlap, or leave gaps"),
        ({"a": tensor(0, 8, [2])}, bytes(12), "do not fill it"),
        ({"a": tensor(0, 8, [2])}, bytes(4), "do not fill it"),
        ({"a": tensor(0, 8, [3])}, bytes(8), "the size of the tensor 'a' does not fit its shape"),
        ({"a": tensor(8, 0, [2])}, bytes(8), "does not fit its shape"),
        ({"a": tensor(0, 2**60, [2**58])}, bytes(8), "is impossible"),
        ({"a": tensor(0, 8, [-2])}, bytes(8), "is impossible"),
        ({"a": tensor(0, 8, [True, 2])}, bytes(8), "is impossible"),
        ({"a": tensor(0, 8, [1] * 9)}, bytes(8), "is impossible"),
        ({"a": tensor(0, 8, [8], "F8_E4M3")}, bytes(8), "holds numbers of the type 'F8_E4M3'"),
        ({"a": {"dtype": "F32"}}, b"", "does not describe a tensor"),
        ({"__metadata__": {"a": 1}}, b"", "its metadata are not texts"),
        (b'{"a": {}, "a": {}}', b"", "a name occurs twice"),
        (b"[]", b"", "does not name tensors"),
        (b"{" * 9, b"", "is not a safetensors file"),
    ],
)
def test_a_damaged_file_is_refused(header, data, problem, path):
    write(path, header, data)
    with pytest.raises(ModelFileError, match=problem):
        TensorFile(path)


@pytest.mark.parametrize("length", [0, 1, 100, 2**22 + 1, 2**63])
def test_a_header_of_an_impossible_length_is_refused(length, path):
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(ModelFileError, match="the length of its header is impossible"):
        TensorFile(path)


def test_truth_values_are_no_weights(path):
    save_file({"a": np.ones(3, bool)}, path)
    with pytest.raises(ModelFileError, match="holds truth values instead of numbers"):
        TensorFile(path).take("a")


def test_tensors_that_nothing_has_used_are_refused(path):
    save_file({"a": np.ones(3), "b": np.ones(3), "c": np.ones(3)}, path)
    tensors = TensorFile(path)
    tensors.take("a")
    tensors.ignore("b")
    with pytest.raises(ModelFileError, match=r"does not know.*: 'c'"):
        tensors.finish()
