"""Row sources give the rows that were written, whatever they are read from, and say what is wrong with a file."""

import gzip
import json
import os
import struct
import threading
import warnings
import zipfile

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from safetensors.numpy import save_file
from scipy.io import savemat
from sklearn.preprocessing import MinMaxScaler

from rhohat import ZCAWhitening, open_rows
from rhohat.data.rows import FlatRows, OneHotRows, RowSource, flat
from rhohat.data.tables import text

N_ROWS, N_FEATURES = 1300, 6


@pytest.fixture(name="X")
def rows_of_numbers(rng):
    return rng.normal(size=(N_ROWS, N_FEATURES)).round(4)


def write_npy(path, X):
    np.save(path / "rows.npy", X)
    return path / "rows.npy"


def write_npz(path, X):
    np.savez(path / "rows.npz", rows=X)
    return path / "rows.npz"


def write_compressed_npz(path, X):
    np.savez_compressed(path / "rows.npz", other=X[:3], rows=X)
    return f"{path / 'rows.npz'}:rows"


def write_hdf5(path, X):
    with h5py.File(path / "rows.h5", "w") as file:
        file.create_dataset("group/rows", data=X, chunks=(100, N_FEATURES), compression="gzip")
        file["other"] = X[:2]
    return f"{path / 'rows.h5'}:/group/rows"


def write_zarr(path, X):
    zarr.save(str(path / "rows.zarr"), X)
    return path / "rows.zarr"


def write_zarr_group(path, X):
    zarr.save_group(str(path / "rows.zarr"), rows=X, other=X[:2])
    return f"{path / 'rows.zarr'}:rows"


def write_parquet(path, X):
    table = pa.table({f"x{j}": X[:, j] for j in range(X.shape[1])})
    pq.write_table(table, path / "rows.parquet", row_group_size=300)
    return path / "rows.parquet"


def write_safetensors(path, X):
    save_file({"rows": np.ascontiguousarray(X), "other": X[:2].copy()}, path / "rows.safetensors")
    return f"{path / 'rows.safetensors'}:rows"


def write_idx(path, X, packed=False):
    kind = {"f": 13, "d": 14}[X.dtype.char]
    content = struct.pack(">BBBBII", 0, 0, kind, 2, *X.shape) + X.astype(X.dtype.newbyteorder(">")).tobytes()
    name = path / ("rows-idx2.gz" if packed else "rows-idx2")
    name.write_bytes(gzip.compress(content) if packed else content)
    return name


def write_idx_gz(path, X):
    return write_idx(path, X, packed=True)


def write_csv(path, X):
    pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]).to_csv(path / "rows.csv", index=False)
    return path / "rows.csv"


def write_mat(path, X):
    savemat(path / "rows.mat", {"rows": X})
    return path / "rows.mat"


def write_shards(path, X):
    folder = path / "shards"
    folder.mkdir()
    edges = np.linspace(0, len(X), 13).astype(int)
    for number in range(12):  # shard-10 comes after shard-9
        np.save(folder / f"shard-{number}.npy", X[edges[number] : edges[number + 1]])
    for name in (".hidden", "._shard-0.npy", ".DS_Store", "Thumbs.db", "desktop.ini", "Icon\r", "_SUCCESS"):
        (folder / name).write_text("not a shard")
    (folder / "__MACOSX").mkdir()
    return folder


def as_dataframe(path, X):
    return pd.DataFrame(X, columns=list("abcdef"))


def as_memmap(path, X):
    np.save(path / "rows.npy", X)
    return np.load(path / "rows.npy", mmap_mode="r")


def as_dask(path, X):
    return pytest.importorskip("dask.array", reason="needs dask").from_array(X, chunks=(170, 4))


def as_array(path, X):
    return X


WRITERS = [
    as_array, as_memmap, as_dataframe, as_dask, write_npy, write_npz, write_compressed_npz, write_hdf5, write_zarr,
    write_zarr_group, write_parquet, write_safetensors, write_idx, write_idx_gz, write_csv, write_mat, write_shards,
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("write", WRITERS)
def test_rows_come_back_bit_by_bit(write, dtype, X, tmp_path):
    X = X.astype(dtype)
    with open_rows(write(tmp_path, X), dtype=dtype if write is write_csv else None) as rows:
        assert rows.shape == X.shape
        assert rows.dtype == dtype
        for start, stop in [(0, 1), (0, N_ROWS), (299, 301), (511, 1025), (N_ROWS - 1, N_ROWS), (7, 7)]:
            np.testing.assert_array_equal(rows.read(start, stop), X[start:stop])
        out = np.empty((40, N_FEATURES), dtype)
        assert rows.read(500, 540, out) is out
        np.testing.assert_array_equal(out, X[500:540])
        np.testing.assert_array_equal(np.concatenate(list(rows.blocks(333))), X)


@pytest.mark.parametrize("write", [write_npy, write_hdf5, write_zarr, write_parquet, write_csv, write_shards])
def test_several_threads_read_at_a_time(write, X, tmp_path):
    failures = []

    def read(seed):
        generator = np.random.default_rng(seed)
        for _ in range(30):
            start, stop = np.sort(generator.integers(0, N_ROWS, 2)).tolist()
            if not np.array_equal(rows.read(start, stop), X[start:stop]):
                failures.append((start, stop))

    with open_rows(write(tmp_path, X)) as rows:
        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "?", "f2", ">f4", ">f8"])
def test_other_numbers_become_floats(dtype, rng, tmp_path):
    X = rng.integers(0, 2, (20, 4)).astype(dtype)
    with open_rows(write_npy(tmp_path, X)) as rows:
        assert rows.dtype == (np.float32 if dtype in ("f2", ">f4") else np.float64)
        np.testing.assert_array_equal(rows.read(0, 20), X)


def test_bfloat16_is_the_upper_half_of_float32(rng, tmp_path):
    halves = (rng.normal(size=(5, 3)).astype(np.float32).view(np.uint32) >> 16).astype("<u2")
    header = json.dumps({"x": {"dtype": "BF16", "shape": [5, 3], "data_offsets": [0, 30]}}).encode()
    path = tmp_path / "rows.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + halves.tobytes())
    with open_rows(path) as rows:
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows.read(0, 5).view(np.uint32) >> 16, halves)


def test_images_are_raveled(rng, tmp_path):
    images = rng.random((9, 4, 5))
    for path in (write_npy(tmp_path, images), write_safetensors(tmp_path, images)):
        with open_rows(path) as rows:
            np.testing.assert_array_equal(rows.read(0, 9), images.reshape(9, 20))


def test_mnist_is_read_as_it_was_published(data_dir):
    with open_rows(data_dir / "mnist" / "t10k-images-idx3-ubyte.gz", transform=lambda rows: rows / 255) as rows:
        assert rows.shape == (10_000, 784)
        assert rows.read(0, 100).max() == 1


@pytest.mark.parametrize("content", ["1,2\n3,4\n\n\n", "1;2\r\n3;4", "1\t2\n3\t4\n", "1  2\n3 4\n", "\ufeff1,2\n3,4\n"])
def test_text_of_many_kinds(content, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(content.encode())
    with open_rows(path) as rows:
        np.testing.assert_array_equal(rows.read(0, 2), [[1, 2], [3, 4]])
        assert rows.shape == (2, 2)
        assert rows.feature_names is None


def test_only_ends_of_lines_end_lines(tmp_path):
    (tmp_path / "rows.csv").write_bytes(b"1,2\r3,4\r5,6\r")
    with open_rows(tmp_path / "rows.csv") as rows:
        np.testing.assert_array_equal(rows.read(0, 3), [[1, 2], [3, 4], [5, 6]])
    (tmp_path / "rows.csv").write_bytes(b"a\x0cb,c\n1,2\n3,4")
    with open_rows(tmp_path / "rows.csv") as rows:
        np.testing.assert_array_equal(rows.read(1, 2), [[3, 4]])


def test_a_lone_column_is_rows_of_one_number(tmp_path):
    (tmp_path / "rows.txt").write_text("x\n1\n2\n3\n")
    with open_rows(tmp_path / "rows.txt") as rows:
        np.testing.assert_array_equal(rows.read(0, 3), [[1], [2], [3]])


def test_text_in_more_than_one_chunk(X, tmp_path, monkeypatch):
    monkeypatch.setattr(text, "_CELLS_AT_ONCE", 1000)
    with open_rows(write_csv(tmp_path, X)) as rows:
        np.testing.assert_array_equal(rows.read(0, N_ROWS), X)


@pytest.mark.parametrize("write", [as_dataframe, write_csv, write_parquet])
def test_names_of_columns_are_kept(write, X, tmp_path):
    with open_rows(write(tmp_path, X)) as rows:
        assert len(rows.feature_names) == N_FEATURES


# Transforms.


def test_a_fitted_transformer_works_on_every_block(X, tmp_path):
    whitening = ZCAWhitening().fit(X)
    with open_rows(write_npy(tmp_path, X), transform=whitening) as rows:
        np.testing.assert_allclose(rows.read(100, 200), whitening.transform(X[100:200]), rtol=1e-12)


def test_a_transform_may_change_the_number_of_columns_and_the_precision(X):
    rows = open_rows(X, transform=lambda block: np.float32(block[:, :2]))
    assert rows.shape == (N_ROWS, 2)
    assert rows.dtype == np.float32
    assert open_rows(X, dtype="float32").read(0, 3).dtype == np.float32


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        ("log", "callable or have a method transform"),
        (lambda rows: rows[0], "one row for each"),
        (lambda rows: rows.astype(str), "real numbers"),
    ],
)
def test_a_transform_that_gives_no_rows_is_refused(transform, message, X):
    with pytest.raises(ValueError, match=message):
        open_rows(X, transform=transform)


def test_a_transform_that_loses_rows_is_noticed(X):
    rows = open_rows(X, transform=lambda block: block[block[:, 0] > block[:, 0].min() - (len(block) == 1)])
    with pytest.raises(ValueError, match="transform must return an array of shape"):
        rows.read(0, 50)


# Fingerprints.


def test_the_fingerprint_is_that_of_the_rows_not_of_the_file(X, tmp_path):
    prints = set()
    for write in (as_array, write_npy, write_hdf5, write_shards):
        with open_rows(write(tmp_path, X)) as rows:
            prints.add(rows.fingerprint())
    assert len(prints) == 1
    assert open_rows(X[:-1]).fingerprint() not in prints
    assert open_rows(X + 1e-9).fingerprint() not in prints
    assert open_rows(X.astype(np.float32)).fingerprint() not in prints


# What is wrong is said.


def cut(path, n_bytes=200):
    content = path.read_bytes()
    path.write_bytes(content[:-n_bytes])
    return path


@pytest.mark.parametrize("write", [write_npy, write_idx, write_idx_gz, write_npz, write_parquet])
def test_a_truncated_file_is_refused_when_it_is_opened(write, X, tmp_path):
    with pytest.raises(ValueError, match=r"truncated|cannot be (read|unpacked)"):
        open_rows(cut(write(tmp_path, X)))


def test_a_truncated_hdf5_file_is_refused(X, tmp_path):
    write_hdf5(tmp_path, X)
    with pytest.raises(ValueError, match="cannot be read"):
        open_rows(f"{cut(tmp_path / 'rows.h5')}:/group/rows").read(0, N_ROWS)


def test_a_truncated_safetensors_file_is_refused(X, tmp_path):
    write_safetensors(tmp_path, X)
    cut(tmp_path / "rows.safetensors")
    with pytest.raises(ValueError, match="truncated"):
        open_rows(f"{tmp_path / 'rows.safetensors'}:rows")


def test_a_text_that_lacks_numbers_names_the_line(X, tmp_path):
    path = write_csv(tmp_path, X)
    lines = path.read_text().splitlines()
    lines[700] = "1,2"
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match="has 2 cells in line 701, but 6 cells in its first row"):
        open_rows(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.npy", b"1,2\n3,4\n", "named like a NumPy file, but does not begin as such a file does"),
        ("rows.csv", b"\x93NUMPY\x01\x00", "named like a text file, but is a NumPy file"),
        ("rows.bin", b"\x01\x02\x03\x00\x05", "has an unknown file format"),
        ("rows.csv", b"", "is empty"),
        ("rows.csv", b"a,b\nc,d\n", "not a table of numbers: in line 2, column 'a' holds 'c'"),
        ("rows.csv", b"\n\n", "has no rows"),
        ("rows.csv", b"1,,3\n3,4,1\n", "has missing values: in line 1 of .*, column 1 is empty. Fill in missing cells"),
        ("rows.csv", b"1,NA,3\n3,4,1\n", "has missing values: in line 1 of .*, column 1 holds 'NA'"),
        (
            "rows.safetensors",
            struct.pack("<Q", 54) + b'{"x":{"dtype":"U8","shape":[2,2],"data_offsets":[-4,0]}}'[:54],
            "damaged",
        ),
        ("rows.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8'(", "cannot be read as a NumPy array"),
        ("rows.mat", b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + bytes(200), "cannot be read as a MATLAB file"),
        ("rows.csv", b"a,b,c\n1,2\n", "names 3 columns, but has 2 columns"),
        ("rows.npy", b"\x93NUMPY\x01\x00\xff\xff", "cannot be read as a NumPy array"),
        ("rows.safetensors", struct.pack("<Q", 10**9) + b"{", "does not begin as such a file does"),
        ("rows.safetensors", struct.pack("<Q", 2000) + b"{", "truncated"),
        ("rows.safetensors", struct.pack("<Q", 2) + b"{]", "damaged safetensors header"),
        ("rows.gz", b"\x1f\x8b\x08\x00abc", "cannot be unpacked"),
        ("rows.npz.gz", gzip.compress(b"PK\x03\x04" + bytes(200), mtime=0), "unpack it first"),
        ("rows.h5", b"\x89HDF\r\n\x1a\n", "cannot be read as an HDF5 file"),
        ("rows.parquet", b"PAR1 and more", "cannot be read as a Parquet file"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        open_rows(tmp_path / name)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([["a", "b"]]), "real numbers"),
        (np.ones(4), "two dimensions"),
        (np.ones((0, 4)), "at least one row"),
        (np.ones((4, 3), complex), "real numbers"),
    ],
)
def test_a_file_without_rows_of_numbers_is_refused(array, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        open_rows(write_npy(tmp_path, array))


@pytest.mark.parametrize("shape", [(1300, 6), (1, 4, 3), (40, 2, 3, 5), (3, 1)])
@pytest.mark.parametrize("dtype", ["f8", ">f4", "u1", "f2"])
def test_rows_in_fortran_order_are_read_as_others(shape, dtype, rng, tmp_path, monkeypatch):
    """As NumPy saves what pandas gives."""
    monkeypatch.setattr(flat, "_BYTES_AT_ONCE", 1000)
    array = (100 * rng.random(shape)).astype(dtype)
    np.save(tmp_path / "rows.npy", np.asfortranarray(array))
    np.savez_compressed(tmp_path / "rows.npz", rows=np.asfortranarray(array))
    for name in ("rows.npy", "rows.npz"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of rows that are no pictures
            rows = open_rows(tmp_path / name)
        with rows:
            assert rows.row_shape == shape[1:]
            np.testing.assert_array_equal(rows.read(0, len(array)), array.reshape(len(array), -1))
    content = (tmp_path / "rows.npy").read_bytes()
    (tmp_path / "rows.npy").write_bytes(content[:-1])
    with pytest.raises(ValueError, match="truncated"):
        open_rows(tmp_path / "rows.npy")


@pytest.mark.parametrize("write", [write_compressed_npz, write_hdf5, write_zarr_group, write_safetensors])
def test_where_there_are_several_arrays_one_has_to_be_named(write, X, tmp_path):
    path, _, _ = str(write(tmp_path, X)).rpartition(":")
    for wrong in (path, f"{path}:nothing"):
        arrays = r"group/rows \(1300, 6\), other \(2, 6\)|other \([23], 6\), rows \(1300, 6\)"
        listed = rf"holds ({arrays}); add the name of an array"
        with pytest.raises(ValueError, match=listed):
            open_rows(wrong)


def test_the_only_array_of_rows_need_not_be_named(X, tmp_path):
    """Labels beside it are no rows."""
    arrays = {"rows": X, "labels": X[:, 0].copy()}
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    save_file(arrays, tmp_path / "a.safetensors")
    zarr.save_group(str(tmp_path / "a.zarr"), **arrays)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.update(arrays)
    for name in ("a.npz", "b.npz", "a.safetensors", "a.zarr", "a.h5"):
        with open_rows(tmp_path / name) as rows:
            np.testing.assert_array_equal(rows.read(0, N_ROWS), X)


def test_what_a_mac_put_into_an_archive_is_no_array(X, tmp_path):
    path = write_npz(tmp_path, X)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/._rows.npy", b"\0\x05\x16\x07")
        archive.writestr("._rows.npy", b"\0\x05\x16\x07")
    with open_rows(path) as rows:
        np.testing.assert_array_equal(rows.read(0, N_ROWS), X)


def test_a_long_list_of_arrays_is_cut_short(tmp_path):
    np.savez(tmp_path / "rows.npz", **{f"layer{number}": np.eye(2) for number in range(50)})
    with pytest.raises(ValueError, match=r"layer0 \(2, 2\), .*, 30 more; add the name of an array") as raised:
        open_rows(tmp_path / "rows.npz")
    assert "layer40" not in str(raised.value)


def test_missing_values_in_a_table_are_named(tmp_path):
    pq.write_table(pa.table({"a": [1.0, None]}), tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="1 missing value in its column 'a'"):
        open_rows(tmp_path / "rows.parquet").read(0, 2)
    pq.write_table(pa.table({"a": ["x", "y"]}), tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="column 'a' is of the type string"):
        open_rows(tmp_path / "rows.parquet")


def test_the_index_of_a_frame_is_no_feature(X, tmp_path):
    frame = pd.DataFrame(X[:5], columns=list("abcdef"), index=[2, 0, 1, 4, 3])
    frame.to_parquet(tmp_path / "rows.parquet")
    with open_rows(tmp_path / "rows.parquet") as rows:
        assert rows.feature_names == list("abcdef")
        np.testing.assert_array_equal(rows.read(0, 5), X[:5])


def test_shards_of_row_groups_hold_the_last_few_only(X, tmp_path):
    for number in range(10):
        frame = pd.DataFrame(X[10 * number : 10 * number + 10], columns=list("abcdef"))
        frame.to_parquet(tmp_path / f"{number}.parquet")
    with open_rows(tmp_path) as rows:
        np.testing.assert_array_equal(rows.read(0, 100), X[:100])
        held = [shard._kept is not None for shard in rows._shards]
        assert sum(held) == 4
        assert rows.held_bytes == 4 * 5 * 10 * N_FEATURES * 8


def test_tables_of_several_types_are_taken(X):
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1] > 0, "c": pd.array([1] * len(X), dtype="Int64")})
    rows = open_rows(frame)
    assert rows.feature_names == ["a", "b", "c"]
    np.testing.assert_array_equal(rows.read(0, 9), frame[:9].astype(float))


def test_datasets_that_are_open_already_are_read_block_by_block(X, tmp_path):
    write_hdf5(tmp_path, X)
    with h5py.File(tmp_path / "rows.h5", "r") as file:
        rows = open_rows(file["group/rows"])
        np.testing.assert_array_equal(rows.read(700, 900), X[700:900])
    rows = open_rows(zarr.open(str(write_zarr(tmp_path, X)), mode="r"))
    np.testing.assert_array_equal(rows.read(700, 900), X[700:900])


def test_nested_groups_of_zarr_are_found_by_name(X, tmp_path):
    group = zarr.create_group(str(tmp_path / "rows.zarr")).create_group("group")
    group.create_array("rows", shape=X.shape, dtype=X.dtype)[:] = X
    with open_rows(f"{tmp_path / 'rows.zarr'}:/group/rows") as rows:
        np.testing.assert_array_equal(rows.read(3, 30), X[3:30])


@pytest.mark.parametrize("write", [write_npy, write_csv, write_idx, write_parquet])
def test_a_name_behind_a_file_of_one_array_is_refused(write, X, tmp_path):
    with pytest.raises(ValueError, match=r"holds a single (array|table); pass the path without a name"):
        open_rows(f"{write(tmp_path, X)}:rows")


def test_a_name_behind_a_folder_is_that_in_every_shard(X, tmp_path):
    for number in range(2):
        np.savez(tmp_path / f"{number}.npz", rows=X[number::2], other=X[:3])
    with open_rows(f"{tmp_path}:rows") as rows:
        np.testing.assert_array_equal(rows.read(0, N_ROWS), np.concatenate([X[::2], X[1::2]]))


@pytest.mark.parametrize("write", [write_npy, write_hdf5, write_csv])
def test_rows_are_taken_by_their_numbers_in_any_order(write, X, tmp_path, rng):
    with open_rows(write(tmp_path, X)) as rows:
        for numbers in (rng.permutation(N_ROWS), np.array([N_ROWS - 1, 0]), np.array([5, 5, 6]), np.array([], int)):
            np.testing.assert_array_equal(rows.take(numbers), X[numbers])


def test_rows_that_are_read_after_the_file_is_closed_are_refused(X, tmp_path):
    with open_rows(write_npy(tmp_path, X)) as rows:
        pass
    with pytest.raises(ValueError, match=r"rows\.npy is closed"):
        rows.read(0, 1)


@pytest.mark.parametrize("write", [write_hdf5, write_parquet])
def test_a_file_that_others_read_is_watched_too(write, X, tmp_path):
    path = write(tmp_path, X)
    with open_rows(path) as rows:
        rows.read(0, 10)
        os.utime(tmp_path / ("rows.h5" if write is write_hdf5 else "rows.parquet"), ns=(1, 1))
        with pytest.raises(ValueError, match="changed while it was in use"):
            rows.read(0, 10)


def test_what_is_no_array_of_rows_is_refused(X):
    from scipy.sparse import csr_array

    with pytest.raises(ValueError, match="dense arrays"):
        open_rows(csr_array(X))
    with pytest.raises(ValueError, match="dtype must be"):
        open_rows(X, dtype="float16")
    with pytest.raises(FileNotFoundError):
        open_rows("")


def test_shards_that_differ_are_named(X, tmp_path):
    folder = write_shards(tmp_path, X)
    np.save(folder / "shard-13.npy", X[:, :2])
    with pytest.raises(ValueError, match=r"shard-13.npy has 2 columns, but .*shard-0.npy has 6 columns"):
        open_rows(folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="holds no files"):
        open_rows(tmp_path / "none")


def test_a_path_that_leads_nowhere_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npy"):
        open_rows("nowhere.npy")


def change_size(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)


def change_content(path):
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(500)
        file.write(b"different")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


@pytest.mark.parametrize("change", [change_size, change_content])
@pytest.mark.parametrize("write", [write_npy, write_idx, write_npz])
def test_a_file_that_changes_while_it_is_read_is_noticed(write, change, X, tmp_path):
    path = write(tmp_path, X)
    with open_rows(path) as rows:
        rows.read(0, 10)
        change(path)
        with pytest.raises(ValueError, match="changed while it was in use"):
            rows.read(0, 10)


def test_rows_that_are_not_there_are_refused(X):
    rows = open_rows(X)
    for start, stop in [(-1, 2), (3, 2), (0, N_ROWS + 1)]:
        with pytest.raises(IndexError, match=f"has {N_ROWS} rows"):
            rows.read(start, stop)
    for out in (np.empty((2, N_FEATURES + 1)), np.empty((2, N_FEATURES), np.float32), np.empty((2, 12))[:, ::2]):
        with pytest.raises(ValueError, match="out must be"):
            rows.read(0, 2, out)


def test_who_opens_a_source_anew_does_not_close_it(X, tmp_path):
    with open_rows(write_npy(tmp_path, X)) as rows:
        for opened in (open_rows(rows), open_rows(rows, dtype="float64"), open_rows(rows, columns=[1])):
            with opened:
                np.testing.assert_array_equal(opened.read(0, 2)[:, -1], X[:2, -1] if opened.shape[1] > 1 else X[:2, 1])
            opened.close()
        assert open_rows(rows).extent() == rows.extent()
        assert open_rows(rows).fingerprint() == rows.fingerprint()
        np.testing.assert_array_equal(rows.read(0, N_ROWS), X)


def test_rows_become_an_array_where_an_array_is_asked_for(X, tmp_path):
    with open_rows(write_npy(tmp_path, X)) as rows:
        np.testing.assert_array_equal(np.asarray(rows), X)
        np.testing.assert_array_equal(np.asarray(rows, dtype=np.float32), X.astype(np.float32))
        np.testing.assert_array_equal(MinMaxScaler().fit_transform(rows), MinMaxScaler().fit_transform(X))
        with pytest.raises(ValueError, match="cannot become an array without a copy"):
            np.array(rows, copy=False)


def test_rows_say_what_they_are(X):
    rows = open_rows(X)
    assert isinstance(rows, RowSource)
    assert len(rows) == N_ROWS
    assert "1300 × 6, float64" in repr(rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_targets_of_classes_are_made_as_they_are_read(dtype, rng):
    numbers = rng.integers(-1, 3, 1300)
    expected = np.where(numbers[:, None] == np.arange(3), 1, -1).astype(dtype)
    targets = OneHotRows(numbers, 3, low=-1.0, high=1.0, dtype=dtype)
    np.testing.assert_array_equal(targets.read(0, 1300), expected, strict=True)
    np.testing.assert_array_equal(np.vstack(list(targets.blocks(99))), expected)
    some = rng.permutation(1300)[:50]
    np.testing.assert_array_equal(targets.take(some), expected[some])
    assert targets.extent() == (-1, 1)
    assert targets.held_bytes == numbers.nbytes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_written_into_a_file_without_a_name(dtype, X):
    X = X.astype(dtype)
    with FlatRows.written((X[i : i + 100] for i in range(0, len(X), 100)), "the rows", X.shape, X.dtype) as rows:
        np.testing.assert_array_equal(rows.read(0, len(X)), X, strict=True)
        np.testing.assert_array_equal(rows.read(77, 300), X[77:300])
    with pytest.raises(ValueError, match="the rows is closed"):
        rows.read(0, 1)
    with pytest.raises(ValueError, match="truncated"):
        FlatRows.written([X[:5]], "the rows", X.shape, X.dtype)


def test_files_are_closed_where_opening_fails(tmp_path, X):
    """Warnings of files left open are errors here, once they are collected."""
    path = write_npz(tmp_path, X)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.npy", b"no array")
    for key in ("other", "nothing"):
        with pytest.raises(ValueError, match=r"cannot be read|holds"):
            open_rows(f"{path}:{key}")


@pytest.mark.parametrize("write", [write_npy, write_npz, write_zarr])
def test_the_shape_of_images_is_remembered(write, rng, tmp_path):
    images = rng.random((N_ROWS, 3, 2))
    path = write(tmp_path, images)
    with open_rows(path, transform=lambda rows: rows / 2, dtype="float32") as rows:
        assert (rows.shape, rows.row_shape) == ((N_ROWS, 6), (3, 2))
    with open_rows(path, transform=lambda rows: rows[:, :4]) as rows:
        assert rows.row_shape == (4,)


def test_shards_of_one_shape_are_images_of_that_shape(tmp_path):
    for name, shape in (("a", (5, 3, 2)), ("b", (4, 3, 2))):
        np.save(tmp_path / f"{name}.npy", np.zeros(shape))
    with open_rows(tmp_path) as rows:
        assert rows.row_shape == (3, 2)
    np.save(tmp_path / "c.npy", np.zeros((2, 6)))
    with open_rows(tmp_path) as rows:
        assert rows.row_shape == (6,)


FLOWERS = "width,species,length\n1.5,setosa,2\n3,virginica,4.5\n"


@pytest.mark.parametrize("columns", [["length", "width"], [2, 0], [-1, "width"]])
def test_columns_of_a_table_are_chosen_by_name_or_number(columns, tmp_path):
    """What the other columns hold does not matter."""
    (tmp_path / "flowers.csv").write_text(FLOWERS)
    pd.read_csv(tmp_path / "flowers.csv").to_parquet(tmp_path / "flowers.parquet")
    for name in ("flowers.csv", "flowers.parquet"):
        with open_rows(tmp_path / name, columns=columns) as rows:
            assert rows.feature_names == ["length", "width"]
            assert rows.read(0, 2).tolist() == [[2, 1.5], [4.5, 3]]


def test_a_table_without_names_has_columns_by_number(tmp_path):
    (tmp_path / "flowers.data").write_text(FLOWERS.partition("\n")[2])
    with open_rows(tmp_path / "flowers.data", columns=[0, 2]) as rows:
        assert rows.feature_names is None
        assert rows.read(0, 2).tolist() == [[1.5, 2], [3, 4.5]]


def test_columns_of_arrays_frames_and_folders_are_chosen(X, tmp_path):
    np.save(tmp_path / "a.npy", X)
    for data in (X, tmp_path, pd.DataFrame(X, columns=list("abcdef"))):
        with open_rows(data, columns=[4, 1]) as rows:
            assert np.array_equal(rows.read(0, N_ROWS), X[:, [4, 1]])
    with open_rows(pd.DataFrame(X, columns=list("abcdef")), columns=["b"]) as rows:
        assert rows.feature_names == ["b"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["petal"], "no column named 'petal'; its columns are 'width', 'species', 'length'"),
        ([3], "has the columns 0 to 2; there is no column 3"),
        ([], "columns must name at least one column"),
        (["species"], "in line 2, column 'species' holds 'setosa'"),
        (None, "in line 2, column 'species' holds 'setosa'. Choose other columns"),
    ],
)
def test_columns_that_cannot_be_read_are_named(columns, message, tmp_path):
    (tmp_path / "flowers.csv").write_text(FLOWERS)
    with pytest.raises(ValueError, match=message):
        open_rows(tmp_path / "flowers.csv", columns=columns)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n3,\n", "missing values: in line 3 of .*, column 'b' is empty. Fill in missing cells"),
        (
            "a;b\n1,5;2,5\n",
            "in line 2, column 'a' holds '1,5', column 'b' holds '2,5'. If the comma .* pass decimal=','",
        ),
        ("1 2\n3 4 5\n", "has 3 cells in line 2, but 2 cells in its first row"),
    ],
)
def test_what_is_no_number_is_found_and_explained(content, message, tmp_path):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(ValueError, match=message), open_rows(tmp_path / "t.csv") as rows:
        rows.extent()


def test_the_index_that_pandas_writes_is_no_feature(X, tmp_path):
    frame = pd.DataFrame(X, columns=list("abcdef"))
    frame.to_csv(tmp_path / "t.csv")
    with pytest.warns(UserWarning, match="first column of .*t.csv has no name"):
        rows = open_rows(tmp_path / "t.csv")
    with rows:
        assert rows.feature_names == list("abcdef")
        assert np.array_equal(rows.read(0, N_ROWS), X)


def test_names_and_cells_may_have_quotes_and_spaces(tmp_path):
    (tmp_path / "t.csv").write_text('"a; b"; c ;d\n"1"; 2;3\n')
    with open_rows(tmp_path / "t.csv") as rows:
        assert rows.feature_names == ["a; b", "c", "d"]
        assert rows.read(0, 1).tolist() == [[1, 2, 3]]


def test_columns_of_a_frame_are_chosen_before_it_becomes_numbers():
    frame = pd.DataFrame({"a": [1.0, 2.0], "word": ["x", "y"], "b": [3.0, 4.0]})
    for columns in (["b", "a"], [2, 0]):
        with open_rows(frame, columns=columns) as rows:
            assert rows.feature_names == ["b", "a"]
            assert rows.read(0, 2).tolist() == [[3, 1], [4, 2]]


# Parts of sources, and sources made of others.


@pytest.mark.parametrize("write", [as_array, write_npy, write_csv, write_parquet, write_hdf5, as_dask, write_shards])
def test_successive_rows_are_a_source_of_their_own(write, X, tmp_path):
    with open_rows(write(tmp_path, X)) as rows:
        for part in (slice(100, 700), slice(None, 50), slice(-30, None), slice(1200, 5000)):
            some = rows[part]
            assert isinstance(some, RowSource)
            assert some.shape == X[part].shape
            np.testing.assert_array_equal(some.read(0, len(some)), X[part])
            np.testing.assert_array_equal(some[5:20].read(0, 15), X[part][5:20])
            start, stop, _ = part.indices(len(X))
            assert some.name == f"{rows.name}[{start}:{stop}]"
            assert some.kept.tolist() == list(range(start, stop))
            assert some.short_name == f"{rows.short_name}[{start}:{stop}]"
            some.close()
        np.testing.assert_array_equal(rows.read(0, 9), X[:9])
        assert rows[:].name == rows[: len(X)].name == rows.name
        for wrong in (3, slice(0, 9, 2), [1, 2]):
            with pytest.raises(TypeError, match=r"selected, as source\[start:stop\]"):
                rows[wrong]
        with pytest.raises(ValueError, match="at least one row"):
            rows[5:5]


@pytest.mark.parametrize("write", [as_array, write_npy, write_hdf5, write_zarr, as_dask])
def test_several_axes_may_count_rows(write, rng, tmp_path):
    X = rng.normal(size=(50, 7, 24))
    if write is write_hdf5:
        with h5py.File(tmp_path / "rows.h5", "w") as file:
            file.create_dataset("rows", data=X, chunks=(10, 7, 24))
        data = f"{tmp_path / 'rows.h5'}:/rows"
    elif write is as_dask:
        data = pytest.importorskip("dask.array", reason="needs dask").from_array(X, chunks=(10, 7, 24))
    else:
        data = write(tmp_path, X)
    with open_rows(data, row_axes=2) as rows:
        assert rows.shape == (350, 24)
        np.testing.assert_array_equal(rows.read(0, 350), X.reshape(350, 24))
        np.testing.assert_array_equal(rows.read(13, 29), X.reshape(350, 24)[13:29])
        np.testing.assert_array_equal(rows.take(np.array([349, 0, 8])), X.reshape(350, 24)[[349, 0, 8]])
    with open_rows(data, row_axes=2, columns=[3, 0]) as rows:
        np.testing.assert_array_equal(rows.read(0, 350), X.reshape(350, 24)[:, [3, 0]])


def test_rows_that_are_no_pictures_are_not_raveled_in_silence(rng, tmp_path):
    np.save(tmp_path / "rows.npy", rng.random((50, 10, 384)))
    with pytest.warns(
        UserWarning, match="taken as 3840 numbers; if its rows are shorter, pass row_axes=2 to read 500 rows"
    ):
        open_rows(tmp_path / "rows.npy").close()
    for shape in ((5, 28, 28), (5, 32, 32, 3), (5, 3, 16, 16), (5, 30, 20)):
        np.save(tmp_path / "rows.npy", rng.random(shape))
        open_rows(tmp_path / "rows.npy").close()
    for row_axes, message in ((0, "row_axes must be at least 1"), (4, "must be less than the number of axes")):
        with pytest.raises(ValueError, match=message):
            open_rows(tmp_path / "rows.npy", row_axes=row_axes)


@pytest.mark.parametrize("how", [{"columns": [1, 0]}, {"transform": np.sqrt}, {"dtype": "float32"}])
def test_who_opens_rows_closes_them(how, X, tmp_path):
    with open_rows(write_npy(tmp_path, np.abs(X))) as rows:
        open_rows(rows, **how).close()
        rows.read(0, 1)
        derived = open_rows(rows, **how)
    with pytest.raises(ValueError, match="is closed"):
        derived.read(0, 1)
    opened = open_rows(write_npy(tmp_path, np.abs(X)), **how)
    opened.close()
    with pytest.raises(ValueError, match="is closed"):
        opened.read(0, 1)


def test_numbers_have_one_dtype_wherever_they_are(rng, tmp_path):
    from rhohat.common.arrays import as_float_rows

    for dtype in ("f2", "f4", ">f4", "f8", ">f8", "u1", "?", "i8", np.longdouble):
        X = (rng.random((20, 4)) * 200).astype(dtype)
        np.save(tmp_path / "rows.npy", X)
        with open_rows(tmp_path / "rows.npy") as rows:
            assert rows.dtype == open_rows(X).dtype == as_float_rows(X).dtype
            np.testing.assert_array_equal(rows.read(0, 20), as_float_rows(X), strict=True)


@pytest.mark.parametrize("kinds", [("f2", "i1"), ("f4", "i4"), ("?", "f4"), ("f2", "f4"), ("?", "i8")])
def test_tables_have_one_dtype_wherever_they_are(kinds, rng, tmp_path):
    frame = pd.DataFrame({"a": (rng.random(9) * 99).astype(kinds[0]), "b": (rng.random(9) * 99).astype(kinds[1])})
    frame.to_parquet(tmp_path / "rows.parquet")
    with open_rows(tmp_path / "rows.parquet") as rows:
        np.testing.assert_array_equal(rows.read(0, 9), open_rows(frame).read(0, 9), strict=True)
