"""A MATLAB file is read the same whichever version wrote it and whatever it is called."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_array, random_array

from rhohat import open_labels, open_rows, read_images
from tests.data.matlab73 import save73


def save4(path, variables):
    savemat(path, variables, format="4")
    return path


def save7(path, variables):
    cells = {
        name: np.array(value, object)[:, None] if isinstance(value, list) else value
        for name, value in variables.items()
    }
    savemat(path, cells, do_compression=True)
    return path


SAVED = {
    "version 7": (save7, "a.mat"),
    "version 7.3": (save73, "a.mat"),
    "version 7.3 as .h5": (save73, "a.h5"),
    "version 7.3 without ending": (save73, "a"),
}


@pytest.fixture(params=SAVED)
def save(request, tmp_path):
    """A function that writes variables into a MATLAB file, and returns its path."""
    write, name = SAVED[request.param]
    return lambda **variables: write(tmp_path / name, variables)


@pytest.mark.parametrize("dtype", ["f8", "f4", "u1", "i2", "?", "u8"])
def test_rows_are_those_that_matlab_shows(dtype, rng, save):
    X = (10 * rng.random((130, 7))).astype(dtype)
    with open_rows(save(X=X)) as rows:
        assert rows.shape == (130, 7)
        assert rows.dtype == (np.float32 if dtype == "f4" else np.float64)
        np.testing.assert_array_equal(rows.read(0, 130), X)
        np.testing.assert_array_equal(rows.read(31, 90), X[31:90])
        np.testing.assert_array_equal(rows.take(np.array([5, 129, 0])), X[[5, 129, 0]])


def test_axes_after_the_first_are_raveled_in_c_order(rng, save):
    X = rng.random((9, 4, 5, 3))
    with open_rows(save(X=X)) as rows:
        assert rows.row_shape == (4, 5, 3)
        np.testing.assert_array_equal(rows.read(2, 8), X[2:8].reshape(6, 60))


@pytest.mark.parametrize("form", ["{path}:/{key}", "{path}:{key}"])
def test_one_of_two_arrays_is_named(form, rng, save):
    """The same way for rows, images and labels."""
    IMAGES, other, y = rng.random((12, 10, 4)), rng.random((12, 10, 6)), np.arange(1.0, 13)
    path = save(IMAGES=IMAGES, other=other, y=y[:, np.newaxis])
    name = form.format(path=path, key="IMAGES")
    with open_rows(name) as rows:
        np.testing.assert_array_equal(rows.read(0, 12), IMAGES.reshape(12, 40))
    for images in (read_images(name), read_images(path, variable="IMAGES")):
        np.testing.assert_array_equal(np.stack(images, axis=-1), IMAGES)
    assert open_labels(form.format(path=path, key="y")).tolist() == y.tolist()
    listed = r"holds IMAGES \(12, 10, 4\), other \(12, 10, 6\), y \(12, 1\); add the name of an array to the path"
    for wrong in (path, f"{path}:/nothing"):
        for read in (open_rows, read_images):
            with pytest.raises(ValueError, match=listed):
                read(wrong)
    with pytest.raises(ValueError, match=rf"has no array named '/nothing'; it {listed}"):
        open_labels(f"{path}:/nothing")


def test_fields_of_structs_are_named_by_their_path(rng, save):
    X, deep = rng.random((8, 3)), rng.random((5, 2))
    path = save(data={"X": X, "more": {"deep": deep}, "title": "words"}, y=np.arange(8.0)[:, np.newaxis])
    with open_rows(f"{path}:/data/X") as rows:
        np.testing.assert_array_equal(rows.read(0, 8), X)
    with open_rows(f"{path}:data/more/deep") as rows:
        np.testing.assert_array_equal(rows.read(0, 5), deep)
    with pytest.raises(
        ValueError, match=r"holds data/X \(8, 3\), data/more/deep \(5, 2\), data/title \(1,\), y \(8, 1\)"
    ):
        open_rows(path)


@pytest.mark.parametrize("dtype", [np.float64, bool])
def test_sparse_matrices_become_dense(dtype, rng, save):
    X = random_array((40, 30), density=0.1, rng=rng).astype(dtype)
    with open_rows(save(X=csc_array(X))) as rows:
        assert rows.shape == (40, 30)
        np.testing.assert_array_equal(rows.read(0, 40), X.toarray())
        np.testing.assert_array_equal(rows.read(7, 19), X.toarray()[7:19])


def test_a_sparse_matrix_of_zeros_is_one(save):
    with open_rows(save(X=csc_array((6, 5)))) as rows:
        np.testing.assert_array_equal(rows.read(0, 6), np.zeros((6, 5)))


def test_a_sparse_matrix_that_has_no_room_is_read_row_by_row_and_refused_as_a_whole(save):
    path = save(X=csc_array(([1.0], ([3], [4])), shape=(2**22, 2**22)))
    with open_rows(path) as rows:
        assert rows.read(3, 4)[0, 4] == 1
    with pytest.raises(ValueError, match=r"a sparse matrix of 4194304 × 4194304, and there is not enough memory for"):
        read_images(path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            [np.ones((2, 3)), np.zeros((4, 5))],
            r"holds a cell array of shape \(2, 1\) in X, .*save its cells as one array",
        ),
        (np.ones((3, 4)) * 1j, "complex|real numbers"),
        (csc_array(np.eye(3) * 1j), "complex|real numbers"),
        (np.array(["cat", "dog"]), "real numbers"),
        (np.zeros((0, 4)), "at least one row"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_by_what_it_is(value, message, save):
    with pytest.raises(ValueError, match=message):
        open_rows(f"{save(X=value, other=np.eye(3))}:/X")


def test_what_is_no_array_is_no_choice(rng, save):
    """The only array of numbers is read, whatever else the file holds."""
    X = rng.random((8, 3))
    others = {"names": ["a", "b"], "cells": [X, X], "note": "of today", "z": X[0] * 1j, "epsilon": 0.1}
    with open_rows(save(X=X, **others)) as rows:
        np.testing.assert_array_equal(rows.read(0, 8), X)


def test_a_struct_array_is_refused(tmp_path):
    structs = np.array([(1.0,), (2.0,)], [("x", object)])
    savemat(tmp_path / "a.mat", {"s": structs, "X": np.eye(3)})
    with h5py.File(tmp_path / "b.mat", "w") as file:
        file["one"] = np.eye(2)
        file.create_group("s").create_dataset("x", data=np.full((2, 1), file["one"].ref, h5py.ref_dtype))
    for name, key in (("a.mat", "s"), ("b.mat", "s/x")):
        with pytest.raises(ValueError, match="holds an array of structs"):
            open_rows(f"{tmp_path / name}:/{key}")


def test_objects_of_matlab_are_refused(tmp_path):
    with h5py.File(save73(tmp_path / "a.mat", {"X": np.eye(3)}), "r+") as file:
        for name, kind in (("when", "datetime"), ("words", "string")):
            file[name] = np.zeros((1, 6), np.uint32)
            file[name].attrs.update({"MATLAB_class": np.bytes_(kind), "MATLAB_object_decode": np.int32(3)})
        file.create_group("f").attrs["MATLAB_class"] = np.bytes_("function_handle")
        file["f/x"] = np.eye(3)
        file["#subsystem#/MCOS"] = np.zeros((4, 4))
    for name in ("when", "words", "f"):
        with pytest.raises(ValueError, match=rf"a MATLAB object in {name}, .*double\({name}\)"):
            open_rows(f"{tmp_path / 'a.mat'}:/{name}")
    with open_rows(tmp_path / "a.mat") as rows:
        assert rows.shape == (3, 3)


@pytest.mark.parametrize("header", [b"MATLAB 7.0 MAT-file, Platform: GLNX86", b" ", b""])
def test_hdf5_is_found_behind_any_header(header, rng, tmp_path):
    """The axes of a file that is called .mat are MATLAB's; elsewhere MATLAB leaves a mark on its datasets."""
    X = rng.random((8, 3))
    for name in ("a.mat", "a.h5"):
        with open_rows(save73(tmp_path / name, {"X": X}, header=header)) as rows:
            np.testing.assert_array_equal(rows.read(0, 8), X)


def test_axes_of_hdf5_that_matlab_did_not_write_stay(rng, tmp_path):
    X = rng.random((8, 3))
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=1024) as file:
        file["X"] = X
    with open_rows(tmp_path / "a.h5") as rows:
        np.testing.assert_array_equal(rows.read(0, 8), X)
    (tmp_path / "a.h5").rename(tmp_path / "a.mat")
    with open_rows(tmp_path / "a.mat") as rows:
        np.testing.assert_array_equal(rows.read(0, 3), X.T)


def test_version_4_is_read(rng, tmp_path):
    X = rng.random((8, 3))
    with open_rows(save4(tmp_path / "a.mat", {"X": X})) as rows:
        np.testing.assert_array_equal(rows.read(0, 8), X)
    with open_rows(save4(tmp_path / "a.mat", {"X": csc_array(X)})) as rows:
        np.testing.assert_array_equal(rows.read(0, 8), X)


def test_variables_that_are_not_asked_for_are_not_read(tmp_path, monkeypatch):
    import scipy.io

    asked = []
    load = scipy.io.loadmat
    monkeypatch.setattr(
        scipy.io, "loadmat", lambda *args, **options: asked.append(options["variable_names"]) or load(*args, **options)
    )
    path = save7(tmp_path / "a.mat", {"X": np.eye(50), "data": {"y": np.arange(3.0)}})
    assert open_labels(f"{path}:/data/y").tolist() == [0, 1, 2]
    assert asked == [["data"]]


@pytest.mark.parametrize("n_bytes", [130, 600, 2000])
def test_a_damaged_file_is_refused_by_its_name(n_bytes, rng, tmp_path):
    path = save73(tmp_path / "a.mat", {"X": rng.random((80, 30))})
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(ValueError, match=r"a\.mat cannot be read as a MATLAB file"):
        open_rows(path)


def test_a_damaged_sparse_matrix_is_refused(tmp_path):
    with h5py.File(save73(tmp_path / "a.mat", {"X": csc_array(np.eye(5))}), "r+") as file:
        file["X/ir"][...] = 77
    with pytest.raises(ValueError, match=r"a\.mat holds a damaged sparse matrix"):
        open_rows(tmp_path / "a.mat")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.mat", b"# Created by Octave 8.4.0, Mon Jan 06 10:00:00 2025 UTC <me@here>\n# name: X\n# type: matrix\n"),
        ("a.txt", b"# Created by Octave 8.4.0, Mon Jan 06 10:00:00 2025 UTC <me@here>\n# name: X\n# type: matrix\n"),
        ("a", b"# name: X\n# type: matrix\n# rows: 2\n# columns: 2\n 1 2\n 3 4\n"),
        ("a.mat", b"Octave-1-L\0\x01\0\0\0X"),
    ],
)
def test_octaves_own_formats_are_named(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    for read in (open_rows, read_images, open_labels):
        with pytest.raises(ValueError, match=rf"{name} is in Octave's own format.*: save -v7 FILE\.mat NAME"):
            read(tmp_path / name)
