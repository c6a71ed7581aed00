"""The tensors of a file by name, of which each is taken, or known to be of no use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ModelFileError

__all__ = ["Tensors"]


class Tensors(ABC):
    """Tensors by name, which are read when they are taken; what is not taken is known as well.

    Parameters
    ----------
    source : str
        Name of the file, for messages.
    names : iterable of str
    """

    def __init__(self, source: str, names: Iterable[str]) -> None:
        self.source, self._names = source, list(names)
        self._left = set(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    @property
    def names(self) -> list[str]:
        """Names of the tensors."""
        return list(self._names)

    def take(self, name: str) -> FloatArray:
        """Return a tensor as float32, or as float64 if it has this precision or holds whole numbers.

        Raises
        ------
        ModelFileError
            If there is no such tensor, or if it does not hold numbers.
        """
        if name not in self._names:
            has = ", ".join(repr(known[:60]) for known in sorted(self._names)[:12])
            raise ModelFileError(f"{self.source} lacks the tensor {name!r}; it has {has or 'none'}.")
        self._left.discard(name)
        return self._read(name)

    def ignore(self, *names: str) -> None:
        """Mark tensors as known that are not needed."""
        self._left.difference_update(names)

    def finish(self) -> None:
        """Raise ModelFileError if there are tensors that nothing has used."""
        if self._left:
            unknown = ", ".join(repr(name[:60]) for name in sorted(self._left)[:5])
            raise ModelFileError(
                f"{self.source} has tensors that rhohat does not know, and that may change what the dictionary"
                f" computes: {unknown}."
            )

    @abstractmethod
    def _read(self, name: str) -> FloatArray:
        """Return a tensor that there is."""
