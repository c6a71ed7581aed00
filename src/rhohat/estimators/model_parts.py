"""The interfaces through which an estimator writes to a model file, and reads from it, what it has learned.

The method `_describe_learned` of an estimator writes what only its class has learned, with a `ModelWriter`. The method
`_restore_learned` reads it again, with a `ModelReader`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray

__all__ = ["ModelReader", "ModelWriter"]


class ModelWriter(Protocol):
    """Interface with which an estimator describes itself for a model file; names of arrays begin with a given prefix.

    Attributes
    ----------
    arrays : dict of str to array
        Arrays of numbers to store in the file.
    """

    arrays: dict[str, NDArray[Any]]

    def model(self, model: Any, prefix: str) -> dict[str, Any]:
        """Return the description of an estimator that is a part of the estimator being described."""

    def network(self, estimator: Any, prefix: str) -> dict[str, Any]:
        """Store the network of an estimator and the curves of its training, and return a description of both."""

    def labels(self, labels: NDArray[Any], name: str) -> dict[str, Any]:
        """Return the description of labels; labels that are numbers are stored as an array."""

    def curve(self, name: str, values: list[float]) -> None:
        """Store a list of numbers, which need not be finite, under a name."""


class ModelReader(Protocol):
    """Interface with which an estimator is restored from a model file; invalid content raises `ModelFileError`."""

    def get(self, described: Mapping[str, Any], key: str, kind: type[Any]) -> Any:
        """Return an entry of a description, which must be of the type `kind`."""

    def model(self, described: Any, prefix: str, kind: type[Any] = object) -> Any:
        """Return an estimator that is a part of the estimator being restored, and is an instance of `kind`."""

    def network(self, estimator: Any, described: dict[str, Any], prefix: str) -> None:
        """Set the fitted attributes of an estimator's network and training, such as `coefs_` and `loss_curve_`."""

    def labels(self, described: dict[str, Any], name: str, n_labels: int) -> NDArray[Any]:
        """Return the sorted labels, whose number must be `n_labels`."""

    def has(self, name: str) -> bool:
        """Return whether an array was stored under this name."""

    def take(self, name: str, shape: tuple[int, ...] | None, dtype: Any = None) -> FloatArray:
        """Return an array of finite numbers, at most once, and check its shape and dtype if they are given."""

    def curve(self, name: str) -> list[float]:
        """Return the list of numbers, which need not be finite, that was stored under this name."""
