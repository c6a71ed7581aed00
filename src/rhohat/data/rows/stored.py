"""Arrays in files, with their names, shapes and dtypes, before any of them is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rhohat.data.rows.arrays import ArrayRows
from rhohat.data.rows.base import RowSource

__all__ = ["ArrayFile", "StoredArray", "Unreadable", "WholeArray", "holds_numbers"]

_MOST_LISTED = 20


class StoredArray(ABC):
    """An array in a file, which has not been read yet.

    Attributes
    ----------
    shape : tuple of int
        Shape of the array.
    dtype : dtype
        The dtype of the array in the file.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def rows(self) -> RowSource:
        """Return a source of the array's rows, which closes the file when it is closed."""

    @abstractmethod
    def load(self) -> NDArray[Any]:
        """Return the whole array; the file stays open."""

    def __str__(self) -> str:
        return str(self.shape)


class WholeArray(StoredArray):
    """An array that can only be read as a whole.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype-like
    read : callable
        Function without arguments that returns the array.
    name : str
        Name of the array in messages.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, read: Callable[[], NDArray[Any]], name: str) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._read, self._name = read, name

    def rows(self) -> RowSource:
        """Return a source of the rows, which closes the file when it is closed."""
        return ArrayRows(self._read(), self._name)

    def load(self) -> NDArray[Any]:
        """Return the whole array."""
        return self._read()


class Unreadable(StoredArray):
    """A member of a file that is not an array of numbers or strings, or is damaged.

    Parameters
    ----------
    what : str
        What the member is, such as "a cell array".
    message : str
        Error message that says why the member cannot be read, and what to do.
    """

    shape, dtype = (), np.dtype(np.void)

    def __init__(self, what: str, message: str) -> None:
        self._what, self._message = what, message

    def rows(self) -> RowSource:
        """Raise ValueError, because the rows cannot be read."""
        raise ValueError(self._message)

    def load(self) -> NDArray[Any]:
        """Raise ValueError, because the array cannot be read."""
        raise ValueError(self._message)

    def __str__(self) -> str:
        return f"({self._what})"


@dataclass
class ArrayFile:
    """An open file and the arrays in it.

    Parameters
    ----------
    path : str
        Path of the file, for messages.
    kind : str
        Format of the file: one that `kinds.open_file` returns, or "Zarr".
    arrays : mapping of str to StoredArray
        Arrays by name. In formats that hold a single array, its name is "".
    close : callable
        Function that closes the file.
    """

    path: str
    kind: str
    arrays: Mapping[str, StoredArray]
    close: Callable[[], None]

    @property
    def is_matlab(self) -> bool:
        """Whether the file is a MATLAB file."""
        return self.kind.startswith("MATLAB")

    def choose(self, key: str | None, suits: Callable[[StoredArray], bool]) -> StoredArray:
        """Return the array with the given name; without a name, the only suitable array, or the only array at all.

        Raises
        ------
        ValueError
            If there is no such array, or no name is given and there are several arrays.
        """
        if set(self.arrays) == {""}:
            if key is not None:
                raise ValueError(f"{self.path} holds a single array; pass the path without a name after it.")
            return self.arrays[""]
        if key is not None:
            names = [key, key.strip("/")]
        else:
            suitable = [name for name, array in self.arrays.items() if suits(array)]
            names = suitable if len(suitable) == 1 else list(self.arrays) if len(self.arrays) == 1 else []
        for name in names:
            if name in self.arrays:
                return self.arrays[name]
        problem = f"{self.path} " if key is None else f"{self.path} has no array named {key!r}; it "
        raise ValueError(f"{problem}holds {self._listing()}; add the name of an array to the path, as in PATH:/NAME.")

    def _listing(self) -> str:
        listed = [f"{name} {array}" for name, array in sorted(self.arrays.items())]
        more = [f"{len(listed) - _MOST_LISTED} more"] if len(listed) > _MOST_LISTED else []
        return ", ".join(listed[:_MOST_LISTED] + more) or "no arrays"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def holds_numbers(array: StoredArray) -> bool:
    """Return whether an array holds real numbers."""
    return array.dtype.kind in "buif"
