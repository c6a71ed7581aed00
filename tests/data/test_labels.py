"""Labels are read from any file of arrays, and what is no label is refused by its name."""

import gzip
import struct
import tempfile
from contextlib import nullcontext

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from safetensors.numpy import save_file
from scipy.io import savemat

from rhohat import open_labels
from tests.data.matlab73 import save73

Y = np.array([7, 2, 1, 0, 4, 250])
X = np.zeros((6, 3))


def write_npy(path, y):
    np.save(path / "y.npy", y)
    return path / "y.npy"


def write_npz(path, y):
    np.savez(path / "y.npz", X=X, y=y)
    return f"{path / 'y.npz'}:/y"


def write_packed_npz(path, y):
    np.savez_compressed(path / "y.npz", X=X, y=y)
    return f"{path / 'y.npz'}:y"


def write_hdf5(path, y):
    with h5py.File(path / "y.h5", "w") as file:
        file["images"], file["labels"] = X, y
    return f"{path / 'y.h5'}:/labels"


def write_mat(path, y):
    savemat(path / "y.mat", {"X": X, "y": y[:, np.newaxis]})
    return f"{path / 'y.mat'}:/y"


def write_mat_row(path, y):
    savemat(path / "y.mat", {"X": X, "y": y[np.newaxis]})
    return f"{path / 'y.mat'}:/y"


def write_mat73(path, y):
    return f"{save73(path / 'y.mat', {'X': X, 'y': y[:, np.newaxis]})}:/y"


def write_mat73_row_as_h5(path, y):
    return f"{save73(path / 'y.h5', {'X': X, 'y': y[np.newaxis]})}:/y"


def write_struct(path, y):
    savemat(path / "y.mat", {"data": {"X": X, "y": y[:, np.newaxis]}})
    return f"{path / 'y.mat'}:/data/y"


def write_zarr(path, y):
    zarr.save_group(str(path / "y.zarr"), X=X, y=y)
    return f"{path / 'y.zarr'}:/y"


def write_safetensors(path, y):
    save_file({"X": X, "y": y}, path / "y.safetensors")
    return f"{path / 'y.safetensors'}:/y"


KINDS_OF_IDX = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx_of(y):
    header = struct.pack(">BBBB", 0, 0, KINDS_OF_IDX[y.dtype.str[1:]], y.ndim) + struct.pack(f">{y.ndim}I", *y.shape)
    return header + y.astype(y.dtype.newbyteorder(">")).tobytes()


def write_idx(path, y):
    (path / "labels-idx1").write_bytes(idx_of(y))
    return path / "labels-idx1"


def write_idx_gz(path, y):
    (path / "labels-idx1.gz").write_bytes(gzip.compress(idx_of(y)))
    return path / "labels-idx1.gz"


def write_idx_gz_without_ending(path, y):
    return write_idx_gz(path, y).rename(path / "labels-idx1-ubyte")


IN_SEVERAL = [
    write_npz, write_packed_npz, write_hdf5, write_mat, write_mat_row, write_mat73, write_mat73_row_as_h5, write_struct,
    write_zarr, write_safetensors,
]  # fmt: skip
WRITERS = [write_npy, *IN_SEVERAL, write_idx, write_idx_gz, write_idx_gz_without_ending]


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("write", WRITERS)
def test_labels_are_read_from_every_kind_of_file(write, dtype, tmp_path):
    y = Y.astype(dtype)
    labels = open_labels(write(tmp_path, y))
    assert labels.shape == (6,)
    assert labels.dtype == (np.int64 if y.dtype.kind in "iu" else y.dtype)
    assert labels.tolist() == y.tolist()


@pytest.mark.parametrize("write", IN_SEVERAL)
def test_the_only_vector_in_a_file_is_its_labels(write, tmp_path):
    path, _, _ = write(tmp_path, Y).rpartition(":")
    assert open_labels(path).tolist() == Y.tolist()


def test_several_vectors_are_listed(tmp_path):
    np.savez(tmp_path / "y.npz", X=X, fine=Y, coarse=Y)
    for path in (tmp_path / "y.npz", f"{tmp_path / 'y.npz'}:/none"):
        with pytest.raises(ValueError, match=r"holds X \(6, 3\), coarse \(6,\), fine \(6,\); add the name of an array"):
            open_labels(path)


@pytest.mark.parametrize("write", [write_npy, write_npz, write_hdf5, write_idx, write_safetensors, write_zarr])
def test_several_targets_for_each_row_stay_together(write, rng, tmp_path):
    targets = rng.random((6, 2))
    np.testing.assert_array_equal(open_labels(write(tmp_path, targets)), targets)


def test_several_targets_of_matlab_stay_together(rng, tmp_path):
    targets = rng.random((6, 2))
    savemat(tmp_path / "a.mat", {"y": targets})
    save73(tmp_path / "b.mat", {"y": targets})
    for name in ("a.mat", "b.mat"):
        np.testing.assert_array_equal(open_labels(tmp_path / name), targets)


def test_a_column_is_a_vector(tmp_path):
    assert open_labels(write_npy(tmp_path, Y[:, np.newaxis])).tolist() == Y.tolist()
    assert open_labels(write_npz(tmp_path, Y[:, np.newaxis]).rpartition(":")[0]).tolist() == Y.tolist()


def test_truth_values_stay_what_they_are(tmp_path):
    for write in (write_npy, write_hdf5, write_mat73):
        labels = open_labels(write(tmp_path, Y > 1))
        assert labels.dtype == bool
        assert labels.tolist() == (Y > 1).tolist()


# Texts.

WORDS = ["cat", "dog ", "größe"]


def write_bytes(path, words):
    return write_npy(path, np.array([word.encode() for word in words]))


def write_hdf5_texts(path, words):
    return write_hdf5(path, np.array(words, object))


def write_hdf5_bytes(path, words):
    return write_hdf5(path, np.array([word.encode() for word in words]))


def write_cells(path, words):
    savemat(path / "y.mat", {"X": X, "y": np.array(words, object)[:, np.newaxis]})
    return f"{path / 'y.mat'}:/y"


def write_cells73(path, words):
    return f"{save73(path / 'y.mat', {'X': X, 'y': words})}:/y"


@pytest.mark.parametrize("write", [write_bytes, write_hdf5_texts, write_hdf5_bytes, write_cells, write_cells73])
def test_texts_are_labels(write, tmp_path):
    path = write(tmp_path, WORDS)
    labels = open_labels(path)
    assert labels.dtype.kind == "U"
    assert labels.tolist() == WORDS
    assert open_labels(str(path).rpartition(":/")[0] or path).tolist() == WORDS


def test_texts_of_numpy_are_labels(tmp_path):
    assert open_labels(write_npy(tmp_path, np.array(WORDS))).tolist() == WORDS
    assert open_labels(write_npz(tmp_path, np.array(WORDS))).tolist() == WORDS


def test_texts_that_are_not_in_utf_8_are_refused(tmp_path):
    for write in (write_npy, write_hdf5):
        with pytest.raises(ValueError, match=r"y\.(npy|h5).* holds texts that are not in UTF-8"):
            open_labels(write(tmp_path, np.array([b"caf\xe9", b"tea"])))


def test_rows_of_characters_lose_the_spaces_that_fill_them_up(tmp_path):
    words = np.array(["cat", "mouse"])
    savemat(tmp_path / "a.mat", {"y": words})
    save73(tmp_path / "b.mat", {"y": words})
    for name in ("a.mat", "b.mat"):
        assert open_labels(tmp_path / name).tolist() == ["cat", "mouse"]


# What is refused.


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array(["a", None], object), "holds Python objects, which are never unpickled; save an array"),
        (np.ones((2, 2, 2)), r"holds an array of shape \(2, 2, 2\); labels must have one axis, or two if each row"),
        (np.array(3), r"holds an array of shape \(\); labels must have one axis, or two"),
        (np.ones(3) * 1j, "neither numbers nor texts; its dtype is complex128"),
        (np.array([2**64 - 1], np.uint64), "integers that are too large for labels"),
        (np.array(["2020-01-01"], "M8[D]"), "neither numbers nor texts"),
    ],
)
def test_what_is_no_label_is_refused(array, message, tmp_path):
    np.save(tmp_path / "y.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=rf"y\.npy .*{message}"):
        open_labels(tmp_path / "y.npy")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("y.parquet", b"PAR1", "cannot be read as a Parquet file"),
        ("y.npy", b"", "is empty"),
        ("y.npy", b"1\n2\n", "named like a NumPy file, but does not begin as such"),
        ("y.bin", b"\x01\x00\x02", "has an unknown file format; the known formats are .npy"),
        ("y", idx_of(Y.astype("u1"))[:-1], "it is truncated"),
        ("y.gz", gzip.compress(idx_of(Y.astype("u1"))[:-1], mtime=0), "it is truncated"),
        ("y.gz", gzip.compress(idx_of(Y.astype("u1")), mtime=0)[:-9], "cannot be unpacked"),
        ("y", gzip.compress(b"PAR1" + bytes(9), mtime=0), "is a gzipped Parquet file; unpack it first"),
    ],
)
def test_a_file_that_is_no_array_is_refused_by_its_name(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        open_labels(tmp_path / name)
    assert str(tmp_path / name) in str(raised.value)
    assert str(raised.value).count(tempfile.gettempdir()) == str(raised.value).count(str(tmp_path))


def test_a_damaged_array_in_an_archive_is_refused_by_the_name_of_the_archive(tmp_path):
    np.savez_compressed(tmp_path / "y.npz", y=np.arange(10_000))
    content = bytearray((tmp_path / "y.npz").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "y.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"y\.npz:/y cannot be read as a \.npz file"):
        open_labels(f"{tmp_path / 'y.npz'}:/y")


def test_folders_and_files_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is a folder, but not a Zarr store"):
        open_labels(tmp_path)
    for missing in (tmp_path / "none.npy", f"{tmp_path / 'none.npz'}:/y", ""):
        with pytest.raises(FileNotFoundError, match="there is no file or folder"):
            open_labels(missing)


def test_the_labels_of_mnist_are_read_as_they_were_published(data_dir, tmp_path):
    path = data_dir / "mnist" / "t10k-labels-idx1-ubyte.gz"
    assert open_labels(path)[:5].tolist() == [7, 2, 1, 0, 4]
    (tmp_path / "labels").write_bytes(path.read_bytes())
    assert len(open_labels(tmp_path / "labels")) == 10_000


# Tables.


def test_labels_of_a_table_are_its_column(tmp_path):
    frame = pd.DataFrame({"id": [5, 3], "kind": ["x", "y"], "mass": [0.5, 2.0]}, index=[7, 9])
    frame.to_csv(tmp_path / "y.csv")
    frame.to_parquet(tmp_path / "y.parquet")
    with gzip.open(tmp_path / "y.csv.gz", "wt") as file:
        file.write((tmp_path / "y.csv").read_text())
    for name in ("y.csv", "y.csv.gz", "y.parquet"):
        said = pytest.warns(UserWarning, match="has no name") if "csv" in name else nullcontext()
        with said:
            assert open_labels(f"{tmp_path / name}:/kind").tolist() == ["x", "y"]
        with pytest.warns(UserWarning, match="has no name") if "csv" in name else nullcontext():
            assert open_labels(f"{tmp_path / name}:mass").tolist() == [0.5, 2.0]
    frame[["kind"]].to_parquet(tmp_path / "y.parquet")
    assert open_labels(tmp_path / "y.parquet").tolist() == ["x", "y"]
    with pytest.raises(ValueError, match="has no column named 'colour'"):
        open_labels(f"{tmp_path / 'y.parquet'}:/colour")


def test_the_number_of_rows_tells_whether_the_first_line_is_a_label(tmp_path):
    (tmp_path / "y.csv").write_text("0\n5\n3\n")
    assert open_labels(tmp_path / "y.csv").tolist() == [0, 5, 3]
    assert open_labels(tmp_path / "y.csv", n_samples=3).tolist() == [0, 5, 3]
    assert open_labels(tmp_path / "y.csv", n_samples=2).tolist() == [5, 3]


@pytest.mark.parametrize("labels", [np.array([1.0, np.nan]), np.array(["a", ""]), np.array([b"a", b"?"])])
def test_missing_labels_of_arrays_are_refused(labels, tmp_path):
    np.save(tmp_path / "y.npy", labels)
    with pytest.raises(ValueError, match=r"y has missing values: .*y\.npy has no label for row 1"):
        open_labels(tmp_path / "y.npy")
