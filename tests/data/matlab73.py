"""Writes files as MATLAB's ``save -v7.3`` does: HDF5 behind a block of 512 bytes, its axes in the reverse order."""

from itertools import count

import h5py
import numpy as np
from scipy.sparse import csc_array, issparse

HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  6 10:00:00 2025 HDF5 schema 1.00 ."


def save73(path, variables, header=HEADER):
    """Write variables: arrays, texts, dicts (structs), lists (cells), sparse matrices."""
    with h5py.File(path, "w", userblock_size=512 if header else 0) as file:
        numbers = count()
        for name, value in variables.items():
            _write(file, file, name, value, numbers)
    if header:
        with open(path, "r+b") as file:
            file.write(header.ljust(124) + b"\0\x02IM")
    return path


def _write(file, group, name, value, numbers):
    if isinstance(value, dict):
        struct = group.create_group(name)
        struct.attrs["MATLAB_class"] = np.bytes_("struct")
        for field, content in value.items():
            _write(file, struct, field, content, numbers)
    elif isinstance(value, list):  # a column of cells, which lie in a group of their own
        references = np.empty((1, len(value)), h5py.ref_dtype)
        for index, content in enumerate(value):
            cell = f"c{next(numbers)}"
            _write(file, file.require_group("#refs#"), cell, content, numbers)
            references[0, index] = file[f"#refs#/{cell}"].ref
        group.create_dataset(name, data=references).attrs["MATLAB_class"] = np.bytes_("cell")
    elif issparse(value):
        _write_sparse(group.create_group(name), csc_array(value))
    else:
        _write_array(group, name, np.atleast_2d(np.asarray(value)))


def _write_sparse(group, matrix):
    group.attrs["MATLAB_sparse"] = np.uint64(matrix.shape[0])
    group.attrs["MATLAB_class"] = np.bytes_("logical" if matrix.dtype == bool else "double")
    group["jc"] = matrix.indptr.astype(np.uint64)
    if matrix.nnz:
        group["ir"] = matrix.indices.astype(np.uint64)
        group["data"] = matrix.data.astype(np.uint8) if matrix.dtype == bool else _complex_or(matrix.data)


def _complex_or(numbers):
    """Return complex numbers as MATLAB stores them, and others as they are."""
    if numbers.dtype.kind != "c":
        return numbers
    return numbers.view([("real", numbers.real.dtype), ("imag", numbers.real.dtype)])


def _write_array(group, name, array):
    kind, stored, decoded = array.dtype.name.replace("float64", "double").replace("float32", "single"), array, None
    if array.dtype.kind == "U":
        texts = [text.ljust(array.dtype.itemsize // 4) for text in array.ravel()]
        kind, decoded = "char", 2
        stored = np.array([[ord(character) for character in text] for text in texts], np.uint16)
    elif array.dtype == bool:
        kind, stored, decoded = "logical", array.astype(np.uint8), 1
    elif array.dtype.kind == "c":
        kind, stored = "double", _complex_or(np.ascontiguousarray(array))
    if stored.size == 0:
        dataset = group.create_dataset(name, data=np.array(stored.shape, np.uint64))
        dataset.attrs["MATLAB_empty"] = np.uint8(1)
    else:
        options = {"compression": "gzip", "chunks": True} if stored.size > 100 else {}
        dataset = group.create_dataset(name, data=stored.T, **options)
    dataset.attrs["MATLAB_class"] = np.bytes_(kind)
    if decoded is not None:
        dataset.attrs["MATLAB_int_decode"] = np.int32(decoded)
