"""Arrays in MATLAB files: of version 7 and earlier, and of version 7.3, which is based on HDF5."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, issparse

from rhohat.data.rows.base import RowSource
from rhohat.data.rows.datasets import DatasetArray, DatasetRows
from rhohat.data.rows.stored import StoredArray, Unreadable, WholeArray

__all__ = ["find_matlab", "find_matlab73"]

_LOOKED_AT = 100  # number of cells that are checked before the array is requested


def find_matlab(path: Path, name: str, key: str | None) -> dict[str, StoredArray]:
    """Return the arrays of a MATLAB file of version 7 or earlier, which are read into memory.

    Parameters
    ----------
    path : Path
    name : str
        Name of the file in messages.
    key : str or None
        Name of the wanted array: if the file has it, the other variables are not read.

    Returns
    -------
    dict of str to StoredArray
        The arrays by the names of their variables; fields of structs are named ``variable/field``.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    variables = {} if key is None else _load(path, name, [key.strip("/").partition("/")[0]])
    return {
        found: array
        for variable, value in (variables or _load(path, name, None)).items()
        if not variable.startswith("__")
        for found, array in _arrays_of(variable, value, path, name)
    }


def _load(path: Path, name: str, variables: list[str] | None) -> dict[str, Any]:
    from scipy.io import loadmat  # slow to import, and rarely needed

    try:
        with path.open("rb") as file:
            content: dict[str, Any] = loadmat(file, variable_names=variables)
    except Exception as error:  # a damaged file may raise anything
        raise ValueError(f"{name} cannot be read as a MATLAB file: {error}") from error
    return content if variables is None else {key: content[key] for key in variables if key in content}


def _arrays_of(key: str, value: Any, path: Path, name: str) -> Iterator[tuple[str, StoredArray]]:
    """Yield the name and array of a variable that SciPy has read, or of each of its fields if it is a struct."""
    if issparse(value):
        yield key, _SparseArray(value.shape, value.dtype, lambda: csc_array(value), path, name)
    elif type(value) is not np.ndarray:
        yield key, _an_object(key, name)
    elif value.dtype.names and value.size == 1:
        for field in value.dtype.names:
            yield from _arrays_of(f"{key}/{field}", value.flat[0][field], path, name)
    elif value.dtype.names:
        yield key, _a_struct_array(key, value.shape, name)
    elif value.dtype.hasobject and not all(_is_text(cell) for cell in value.flat):
        yield key, _a_cell_array(key, value.shape, name)
    elif value.dtype.hasobject:
        yield key, _whole(np.array(["".join(cell) for cell in value.flat], np.str_).reshape(value.shape), name)
    elif value.dtype.kind == "U":
        yield key, _whole(np.char.rstrip(value), name)  # rows of characters are padded with spaces
    else:
        yield key, _whole(value, name)


def _is_text(cell: Any) -> bool:
    return isinstance(cell, np.ndarray) and cell.dtype.kind == "U" and cell.size < 2


def _whole(array: NDArray[Any], name: str) -> WholeArray:
    return WholeArray(array.shape, array.dtype, lambda: array, name)


def find_matlab73(file: Any, items: dict[str, Any], path: Path, name: str) -> dict[str, StoredArray]:
    """Return the arrays of a MATLAB file of version 7.3.

    MATLAB stores the axes of an array in reverse order, so they are reversed again here, and the arrays are the same
    as in a file of version 7.

    Parameters
    ----------
    file : h5py.File
        The open file, which is closed with the rows of an array.
    items : dict
        Groups and datasets of the file, by name; a group comes before its members.
    path : Path
    name : str
        Name of the file in messages.

    Returns
    -------
    dict of str to StoredArray
        The arrays by the names of their variables; fields of structs are named ``variable/field``.
    """
    arrays: dict[str, StoredArray] = {}
    whole = ["#refs#", "#subsystem#"]  # groups that are single variables, or hold the targets of references
    for key, item in items.items():
        if any(key == group or key.startswith(f"{group}/") for group in whole):
            continue
        if hasattr(item, "dtype"):
            arrays[key] = _find_variable(key, item, file, path, name)
        elif "MATLAB_sparse" in item.attrs:
            arrays[key] = _find_sparse(key, item, file, path, name)
            whole.append(key)
        elif _class_of(item) not in ("struct", ""):
            arrays[key] = _an_object(key, name)
            whole.append(key)
    return arrays


def _find_variable(key: str, dataset: Any, file: Any, path: Path, name: str) -> StoredArray:
    kind, shape = _class_of(dataset), tuple(dataset.shape or ())[::-1]
    if "MATLAB_empty" in dataset.attrs:
        shape = tuple(int(size) for size in np.ravel(dataset[...]))
        return WholeArray(shape, np.float64, lambda: np.empty(shape), name)
    if "MATLAB_object_decode" in dataset.attrs or kind == "function_handle" or dataset.shape is None:
        return _an_object(key, name)
    if dataset.dtype.hasobject and kind != "cell":
        return _a_struct_array(key, shape, name)
    if kind == "cell":
        cells = dataset[...].T.ravel()
        if not all(_class_of(file[cell]) == "char" for cell in cells[:_LOOKED_AT]):
            return _a_cell_array(key, shape, name)
        read = partial(_texts_of, file, cells, shape, f"{name} has cells in {key} that are not texts.")
        return WholeArray(shape, np.str_, read, name)
    if kind == "char":
        return WholeArray(shape[:1], np.str_, lambda: np.char.rstrip(_lines_of(dataset)), name)
    if dataset.dtype.names:
        return Unreadable("complex", f"{name} holds complex numbers in {key}; save their real parts, as real({key}).")
    return DatasetArray(_Reversed(dataset, kind == "logical"), name, file.close, path)


def _class_of(item: Any) -> str:
    """Return the MATLAB class of a group or dataset; an empty string if another program wrote it."""
    kind = item.attrs.get("MATLAB_class", b"")
    return kind.decode() if isinstance(kind, bytes) else str(kind)


def _lines_of(dataset: Any) -> list[str]:
    """Return the rows of an array of characters as strings."""
    if "MATLAB_empty" in dataset.attrs:
        return [""]
    return ["".join(map(chr, codes)) for codes in dataset[...].T.tolist()]


def _texts_of(file: Any, references: NDArray[Any], shape: tuple[int, ...], complaint: str) -> NDArray[np.str_]:
    """Return the strings in the cells of a cell array."""
    cells = [file[reference] for reference in references]
    if not all(_class_of(cell) == "char" for cell in cells):
        raise ValueError(complaint)
    return np.array(["".join(_lines_of(cell)) for cell in cells], np.str_).reshape(shape)


class _Reversed:
    """A dataset with its axes in reverse order, which can be sliced along the first of them."""

    def __init__(self, dataset: Any, is_logical: bool) -> None:
        self._dataset = dataset
        self.shape, self.dtype = dataset.shape[::-1], np.dtype(bool) if is_logical else dataset.dtype
        self.chunks = None if dataset.chunks is None else dataset.chunks[::-1]

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        found = self._dataset[...] if rows is Ellipsis else self._dataset[..., rows]
        return found.T.astype(self.dtype, copy=False)


def _find_sparse(key: str, group: Any, file: Any, path: Path, name: str) -> StoredArray:
    """Return a sparse matrix in compressed columns; if it is all zeros, MATLAB stores only the ends of the columns."""
    shape = int(group.attrs["MATLAB_sparse"]), len(group["jc"]) - 1
    dtype = np.dtype(bool if _class_of(group) == "logical" else np.float64)
    if "data" not in group:
        return _SparseArray(shape, dtype, lambda: csc_array(shape, dtype=dtype), path, name, file.close)
    if group["data"].dtype.names:
        return Unreadable("complex", f"{name} holds complex numbers in {key}; save their real parts, as real({key}).")

    def read() -> csc_array:
        content = group["data"][...].astype(dtype), group["ir"][...].astype(np.int64), group["jc"][...].astype(np.int64)
        return csc_array(content, shape=shape)

    return _SparseArray(shape, dtype, read, path, name, file.close)


class _SparseArray(StoredArray):
    """A sparse matrix in a file, whose rows become dense block by block."""

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        read: Callable[[], csc_array],
        path: Path,
        name: str,
        close: Callable[[], None] | None = None,
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self._read, self._path, self._name, self._close = read, path, name, close

    def rows(self) -> RowSource:
        return DatasetRows(self._dense(), self._name, self._close, self._path)

    def load(self) -> NDArray[Any]:
        return self._dense()[:]

    def _dense(self) -> _Dense:
        try:
            matrix = self._read()
            matrix.check_format(full_check=True)  # row numbers out of range would write outside the array
            return _Dense(matrix.tocsr(), self._name)
        except (ValueError, KeyError, OSError) as error:
            raise ValueError(f"{self._name} holds a damaged sparse matrix: {error}") from error


class _Dense:
    """A sparse matrix whose slices are dense arrays."""

    def __init__(self, matrix: csr_array, name: str) -> None:
        self.shape, self.dtype = matrix.shape, matrix.dtype
        self._matrix, self._name = matrix, name

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        part = self._matrix[rows]
        try:
            return part.toarray()
        except (MemoryError, ValueError):
            raise ValueError(
                f"{self._name} holds a sparse matrix of {' × '.join(map(str, self.shape))}, and there is not enough"
                f" memory for {prod(part.shape)} of its numbers; save fewer rows or columns, or a dense matrix."
            ) from None


def _an_object(key: str, name: str) -> Unreadable:
    return Unreadable(
        "a MATLAB object",
        f"{name} holds a MATLAB object in {key}, which only MATLAB can read; save its numbers, as double({key}), or its"
        f" texts, as cellstr({key}).",
    )


def _a_cell_array(key: str, shape: tuple[int, ...], name: str) -> Unreadable:
    return Unreadable(
        f"cell array {shape}",
        f"{name} holds a cell array of shape {shape} in {key}, which is not an array of numbers; save its cells as one"
        f" array, such as cat(3, {key}{{:}}), or each cell as a variable of its own.",
    )


def _a_struct_array(key: str, shape: tuple[int, ...], name: str) -> Unreadable:
    return Unreadable(
        f"struct array {shape}",
        f"{name} holds an array of structs of shape {shape} in {key}, which is not an array of numbers; save the"
        " numbers in its fields as an array of their own.",
    )
