"""What an estimator is asked by a model file: what it has learned, beyond its parameters.

An estimator writes what only its kind has by `_describe_learned`, and reads it by `_restore_learned`. What it is given
for that is described here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray

__all__ = ["ModelReader", "ModelWriter"]


class ModelWriter(Protocol):
    """What an estimator is described with. Names of arrays begin with the prefix that it is given.

    Attributes
    ----------
    arrays : dict of str to array
        To be stored; numbers only.
    """

    arrays: dict[str, NDArray[Any]]

    def model(self, model: Any, prefix: str) -> dict[str, Any]:
        """Return the description of an estimator that this one consists of."""

    def network(self, estimator: Any, prefix: str) -> dict[str, Any]:
        """Store architecture, weights and training record."""

    def labels(self, labels: NDArray[Any], name: str) -> dict[str, Any]:
        """Return the description of labels, which are stored as an array where they are numbers."""

    def curve(self, name: str, values: list[float]) -> None:
        """Store a list of numbers, which need not be finite."""


class ModelReader(Protocol):
    """What an estimator is restored with; whatever is not as it has to be raises `ModelFileError`."""

    def get(self, described: Mapping[str, Any], key: str, kind: type[Any]) -> Any:
        """Return an entry of a description, which has to be of this type."""

    def model(self, described: Any, prefix: str, kind: type[Any] = object) -> Any:
        """Return an estimator that the one at hand consists of, which has to be of this kind."""

    def network(self, estimator: Any, described: dict[str, Any], prefix: str) -> None:
        """Set architecture, weights and training record."""

    def labels(self, described: dict[str, Any], name: str, n_labels: int) -> NDArray[Any]:
        """Return labels, sorted, of which there have to be so many."""

    def has(self, name: str) -> bool:
        """Return whether an array was stored."""

    def take(self, name: str, shape: tuple[int, ...] | None, dtype: Any = None) -> FloatArray:
        """Return an array, once: of this shape and type, where they are given, and of finite numbers."""

    def curve(self, name: str) -> list[float]:
        """Return a list of numbers, which need not be finite."""
