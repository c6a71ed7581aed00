"""Arrays in files: what a file holds, by name and shape, before any of it is read."""

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
    dtype : dtype
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
    """An array that can be read as a whole only.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype-like
    read : callable
        Returns the array.
    name : str
        What it is called in messages.
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
    """Something in a file that is no array of numbers or texts, or is damaged.

    Parameters
    ----------
    what : str
        What it is, such as "a cell array".
    message : str
        A sentence that says why it is not read, and what to do.
    """

    shape, dtype = (), np.dtype(np.void)

    def __init__(self, what: str, message: str) -> None:
        self._what, self._message = what, message

    def rows(self) -> RowSource:
        """Return a source of the rows, which closes the file when it is closed."""
        raise ValueError(self._message)

    def load(self) -> NDArray[Any]:
        """Return the whole array."""
        raise ValueError(self._message)

    def __str__(self) -> str:
        return f"({self._what})"


@dataclass
class ArrayFile:
    """A file that is open, and the arrays in it.

    Parameters
    ----------
    path : str
        The file, for messages.
    kind : str
        See `kinds.open_file`; "Zarr" in addition.
    arrays : mapping of str to StoredArray
        By name. The only array of a file that can hold no more has the name "".
    close : callable
        Closes the file.
    """

    path: str
    kind: str
    arrays: Mapping[str, StoredArray]
    close: Callable[[], None]

    @property
    def is_matlab(self) -> bool:
        """Whether MATLAB wrote it."""
        return self.kind.startswith("MATLAB")

    def choose(self, key: str | None, suits: Callable[[StoredArray], bool]) -> StoredArray:
        """Return the array that is asked for, or the only one that suits, or the only one that there is.

        Raises
        ------
        ValueError
            If there is no such one, or none was named and there are several.
        """
        if set(self.arrays) == {""}:
            if key is not None:
                raise ValueError(f"{self.path} holds one array only; give the path without a name behind it.")
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
        raise ValueError(f"{problem}holds {self._listing()}; name the array to read behind the path, as in PATH:/NAME.")

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
