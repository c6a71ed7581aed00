"""What pipelines, commands, evaluation and reports ask of an estimator, whether it is a network or a dictionary."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource

__all__ = ["Estimator"]


class Estimator:
    """Base class of estimators: codes and reconstructions of rows, all at once or block by block.

    Attributes
    ----------
    command_line_name : str or None
        Name of the estimator in ``rhohat train --estimator``; None if the command line cannot train it.
    learns_from_targets : bool
        Whether `fit` needs y.
    reconstructs : bool
        Whether rows can be reconstructed from their codes.
    has_sparse_codes : bool
        Whether codes are sparse arrays of SciPy, in compressed sparse row format.
    noun_of_code : str
        What an element of a code is called: a unit, or a latent.
    """

    command_line_name: ClassVar[str | None] = None
    learns_from_targets: ClassVar[bool] = False
    reconstructs: ClassVar[bool] = False
    has_sparse_codes: ClassVar[bool] = False
    noun_of_code: ClassVar[str] = "unit"

    n_features_in_: int
    n_samples_fit_: int
    data_name_: str | None

    @property
    @abstractmethod
    def layer_sizes_(self) -> tuple[int, ...]:
        """Numbers of units of the layers, from the input to the output."""

    @property
    @abstractmethod
    def code_layer_(self) -> int:
        """Number of the layer whose activations are the code; 0 is the input."""

    @property
    def n_steps_of_rows_(self) -> int | None:
        """Largest number of steps of the rows if they are sequences; None for other rows."""
        return None

    @property
    def n_steps_of_code_(self) -> int | None:
        """Number of steps of the code if it is a sequence; None for other codes."""
        return None

    @abstractmethod
    def fitted_parts(self) -> list[tuple[str, Any]]:
        """Return the parts of the fit in order: the name of each part, and the estimator that was fitted in it."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return facts about the architecture of the fitted estimator by name, in types that JSON can hold."""

    @abstractmethod
    def codes(self, rows: FloatArray | RowSource) -> Any:
        """Return the codes of rows, of shape (n_samples, n_units): an array, or a sparse array."""

    @abstractmethod
    def code_blocks(self, rows: RowSource) -> Iterator[Any]:
        """Yield the codes of successive rows, some at a time; the next iteration may overwrite an array."""

    @abstractmethod
    def decode(self, codes: Any, rows: FloatArray) -> FloatArray:
        """Return the reconstructions of rows from their codes.

        Parameters
        ----------
        codes : array or sparse array of shape (n_samples, n_units)
            What `codes` returned for the rows.
        rows : array of shape (n_samples, n_features)
            The rows, because some dictionaries take the scale of a reconstruction from its row.

        Returns
        -------
        array of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If the estimator does not reconstruct rows.
        """

    @abstractmethod
    def reconstruction_blocks(self, rows: RowSource) -> Iterator[FloatArray]:
        """Yield the reconstructions of successive rows, some at a time; the next iteration may overwrite an array.

        Raises
        ------
        ValueError
            If the estimator does not reconstruct rows.
        """
