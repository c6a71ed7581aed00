"""Files of torch.save are read as PyTorch reads them; what else a pickle asks for is refused, and does not run."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from rhohat.common.exceptions import ModelFileError
from rhohat.models.formats.torch_files import StateDict, TorchFile
from rhohat.models.formats.torch_pickles import read_pickle
from rhohat.models.formats.torch_writing import write_state_dict

torch = pytest.importorskip("torch")

LAYOUTS = [pytest.param(True, id="zip"), pytest.param(False, id="legacy")]
TYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8"]


def saved(content, path, is_zip=True):
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    return TorchFile(path)


@pytest.mark.parametrize("is_zip", LAYOUTS)
@pytest.mark.parametrize("kind", TYPES)
def test_numbers_of_every_type_are_those_of_pytorch(kind, is_zip, tmp_path):
    tensor = (torch.arange(-6, 6).reshape(3, 4).abs() / (1 if "int" in kind else 4)).to(getattr(torch, kind))
    file = saved({"other": torch.ones(5), "a": tensor, "last": torch.zeros(2)}, tmp_path / "file.pt", is_zip)
    found = StateDict(file, file.content).take("a")
    assert found.dtype == (np.float64 if kind in ("float64", "int64", "int32") else np.float32)
    np.testing.assert_array_equal(found, tensor.double().numpy())


@pytest.mark.parametrize("is_zip", LAYOUTS)
def test_tensors_that_share_numbers_or_are_turned_are_those_of_pytorch(is_zip, tmp_path):
    whole = torch.arange(24.0).reshape(4, 6)
    parts = {
        "turned": whole.T,
        "part": whole[1:3, 2:5],
        "every other": whole[:, ::2],
        "none": whole[:0],
        "number": torch.tensor(3.5),
        "parameter": torch.nn.Parameter(whole[2]),
    }
    file = saved(parts, tmp_path / "file.pt", is_zip)
    for name, tensor in parts.items():
        np.testing.assert_array_equal(StateDict(file, file.content).take(name), tensor.detach().numpy())


@pytest.mark.parametrize("is_zip", LAYOUTS)
def test_containers_numbers_and_texts_are_those_of_pytorch(is_zip, tmp_path):
    content = {
        "list": [1, 2.5, None, True, "text", (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "large": [2**40, -(2**40), 2**70],
        "empty": [{}, []],
        5: {"device": torch.device("cpu"), "size": torch.Size([2, 3]), "dtype": torch.float32},
    }
    found = saved(content, tmp_path / "file.pt", is_zip).content
    assert found["list"] == content["list"]
    assert (found["large"], found["empty"]) == (content["large"], content["empty"])
    assert found[5] == {"device": "cpu", "size": (2, 3), "dtype": "torch.float32"}


class Harmful:
    """What makes a file when it is unpickled."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize("is_zip", LAYOUTS)
@pytest.mark.parametrize(
    ("function", "named"),
    [(os.system, "system"), (eval, "eval"), (exec, "exec"), (getattr, "getattr"), (pickle.loads, "loads")],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_would_run_code_is_refused_by_name(function, named, is_zip, protocol, tmp_path):
    content = {"weight": torch.ones(3), "harm": Harmful(function, f"touch {tmp_path}/harm")}
    torch.save(content, tmp_path / "file.pt", _use_new_zipfile_serialization=is_zip, pickle_protocol=protocol)
    with pytest.raises(ModelFileError, match=rf"asks for '\w+\.{named}'.*runs nothing that a file asks for"):
        TorchFile(tmp_path / "file.pt")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [{"a": 1 + 2j}, {"a": {1, 2}}, {"a": b"bytes"}, {"a": np.float64(2)}, [object()]])
def test_other_objects_are_refused(content, tmp_path):
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(ModelFileError, match=r"asks for|the instruction"):
        TorchFile(tmp_path / "file.pt")


def instructions(*parts):
    return io.BytesIO(b"".join(parts))


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ((b"\x80\x02",), "is damaged: pickle exhausted before seeing STOP|without an end"),
        ((pickle.STOP,), "is damaged"),
        ((pickle.NONE, pickle.NONE, pickle.STOP), "values are left over"),
        ((pickle.MARK, pickle.STOP), "a value is missing"),
        ((pickle.BINGET, b"\x05", pickle.STOP), "is damaged"),
        ((pickle.NONE, pickle.EMPTY_TUPLE, pickle.REDUCE, pickle.STOP), "something is called that is no function"),
        ((pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.BUILD, pickle.STOP), "a dict is missing"),
        ((pickle.EMPTY_DICT, pickle.NONE, pickle.APPEND, pickle.STOP), "a list is missing"),
        (
            (pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.NONE, pickle.SETITEM, pickle.STOP),
            "neither a text nor a number",
        ),
        ((pickle.NONE, pickle.BINPERSID, pickle.STOP), "that is no storage"),
        ((pickle.GLOBAL, b"torch\nload\n", pickle.STOP), "asks for 'torch.load'"),
        ((pickle.INST, b"os\nsystem\n", pickle.STOP), "the instruction INST"),
        ((pickle.BYTEARRAY8, (2**40).to_bytes(8, "little"), pickle.STOP), "is damaged"),
        ((pickle.BINUNICODE8, (2**40).to_bytes(8, "little"), pickle.STOP), "is damaged"),
        ((pickle.NONE, pickle.LONG_BINPUT, b"\xff\xff\xff\xff", pickle.POP, pickle.STOP), "the instruction POP"),
        ((pickle.EXT1, b"\x01", pickle.STOP), "the instruction EXT1"),
        ((pickle.NEWOBJ, pickle.STOP), "the instruction NEWOBJ"),
    ],
)
def test_a_damaged_pickle_is_refused(parts, problem):
    with pytest.raises(ModelFileError, match=problem):
        read_pickle(instructions(*parts))


def changed(path, change):
    """Save a tensor, and let a function change the pickle in its archive."""
    torch.save({"a": torch.arange(6.0)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {one.filename: archive.read(one) for one in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, change(content) if name.endswith("data.pkl") else content)
    return TorchFile(path)


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (b"K\x06\x85", b"K\x07\x85", "does not lie within its numbers"),  # seven numbers of six
        (b"K\x01\x85", b"K\x02\x85", "does not lie within its numbers"),  # every other one of them
        (b"K\x06tq", b"K\x05tq", "does not lie within|other form|numbers where it should"),  # a smaller storage
        (b"FloatStorage", b"DoubleStorage", "has 3 numbers where it should have 6"),
        (b"FloatStorage", b"BoolStorage", "truth values"),
        (b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x009", "lacks the part 'data/9'"),
    ],
)
def test_a_tensor_outside_of_its_numbers_is_refused(before, after, problem, tmp_path):
    def change(content):
        assert before in content
        return content.replace(before, after, 1)

    def read():
        file = changed(tmp_path / "file.pt", change)
        return StateDict(file, file.content).take("a")

    with pytest.raises(ModelFileError, match=problem):
        read()


def test_many_numbers_that_are_one_are_refused(tmp_path):
    with pytest.raises(ModelFileError, match="does not lie within its numbers"):
        saved({"a": torch.ones(1).expand(2**40)}, tmp_path / "file.pt")


def test_the_older_layout_has_as_many_numbers_as_it_says(tmp_path):
    path = tmp_path / "file.pt"
    torch.save({"a": torch.ones(3), "b": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    place = content.rindex((3).to_bytes(8, "little") if content.endswith(bytes(8)) else (2).to_bytes(8, "little"))
    for changed in (content[:-1], content[:place] + bytes([1]) + content[place + 1 :]):
        path.write_bytes(changed)
        with pytest.raises(ModelFileError, match="is truncated, or has other numbers than it says"):
            TorchFile(path)


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04", b"\x80\x02}q\x00.", b"not a pickle" * 100])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "file.pt").write_bytes(content)
    with pytest.raises(ModelFileError):
        TorchFile(tmp_path / "file.pt")


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
def test_pytorch_reads_what_is_written(precision, tmp_path):
    weights = np.random.default_rng(0).standard_normal((3, 4))
    arrays = {"w": weights, "turned": weights.T, "k": np.array(5, np.int32), "sizes": np.array([2**40, 1])}
    write_state_dict(tmp_path / "ae.pt", arrays, precision)
    found = torch.load(tmp_path / "ae.pt", weights_only=True)
    for name, array in arrays.items():
        expected = torch.from_numpy(np.ascontiguousarray(array)).reshape(array.shape)
        expected = expected.to(getattr(torch, precision)) if array.dtype.kind == "f" else expected
        assert found[name].dtype == expected.dtype
        assert torch.equal(found[name], expected)
    mine = TorchFile(tmp_path / "ae.pt")
    np.testing.assert_array_equal(StateDict(mine, mine.content).take("turned"), found["turned"].double().numpy())
