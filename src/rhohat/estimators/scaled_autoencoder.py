"""An autoencoder together with the scaler of its columns, as pipelines, commands and model files know estimators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource, open_rows
from rhohat.estimators.estimator import Estimator
from rhohat.estimators.model_parts import ModelReader, ModelWriter

__all__ = ["ScaledAutoencoder", "fit_scaler", "scaled_rows", "squared_errors"]


class ScaledAutoencoder(Estimator):
    """The part of an estimator that passes rows through a scaler of columns and then through an autoencoder.

    Attributes
    ----------
    autoencoder_ : autoencoder or dictionary
        The fitted autoencoder, which sees scaled rows.
    scaler_ : StandardScaler or None
        The fitted scaler; None if rows are not scaled.
    """

    reconstructs: ClassVar[bool] = True
    #: Keys of the dict that `_describe_learned` returns.
    _keys_of_learned: ClassVar[tuple[str, ...]] = ("autoencoder", "scaler")

    autoencoder_: Any
    scaler_: Any
    scale: bool

    @property
    def layer_sizes_(self) -> tuple[int, ...]:
        """Numbers of units of the layers of the autoencoder, from the input to the output."""
        sizes: tuple[int, ...] = self.autoencoder_.layer_sizes_
        return sizes

    @property
    def code_layer_(self) -> int:
        """Number of the layer of the autoencoder whose activations are the code; 0 is the input."""
        number: int = self.autoencoder_.code_layer_
        return number

    @property
    def n_steps_of_rows_(self) -> int | None:
        """Largest number of steps of the rows if they are sequences; None for other rows."""
        n_steps: int | None = self.autoencoder_.n_steps_of_rows_
        return n_steps

    @property
    def n_steps_of_code_(self) -> int | None:
        """Number of steps of the code if it is a sequence; None for other codes."""
        n_steps: int | None = self.autoencoder_.n_steps_of_code_
        return n_steps

    def fitted_parts(self) -> list[tuple[str, Any]]:
        """Return the parts of the fit of the autoencoder."""
        check_is_fitted(self)
        parts: list[tuple[str, Any]] = self.autoencoder_.fitted_parts()
        return parts

    def describe(self) -> dict[str, Any]:
        """Return what `describe` of the autoencoder returns, in types that JSON can hold."""
        described: dict[str, Any] = self.autoencoder_.describe()
        return described

    def codes(self, rows: FloatArray | RowSource) -> Any:
        """Return the codes of rows, of shape (n_samples, n_units): an array, or a sparse array."""
        check_is_fitted(self)
        return self.autoencoder_.codes(scaled_rows(open_rows(rows), self.scaler_))

    def code_blocks(self, rows: RowSource) -> Iterator[Any]:
        """Yield the codes of successive rows, some at a time; the next iteration may overwrite an array."""
        check_is_fitted(self)
        blocks: Iterator[Any] = self.autoencoder_.code_blocks(scaled_rows(rows, self.scaler_))
        return blocks

    def decode(self, codes: Any, rows: FloatArray) -> FloatArray:
        """Return the reconstructions of rows from their codes, in the units of the rows."""
        check_is_fitted(self)
        scaled = rows if self.scaler_ is None else self.scaler_.transform(rows)
        return self._unscaled(self.autoencoder_.decode(codes, scaled))

    def reconstruction_blocks(self, rows: RowSource) -> Iterator[FloatArray]:
        """Yield the reconstructions of successive rows, in the units of the rows, some at a time."""
        check_is_fitted(self)
        return map(self._unscaled, self.autoencoder_.reconstruction_blocks(scaled_rows(rows, self.scaler_)))

    def _unscaled(self, made: FloatArray) -> FloatArray:
        rows: FloatArray = made if self.scaler_ is None else self.scaler_.inverse_transform(made)
        return rows

    def _describe_learned(self, file: ModelWriter, prefix: str) -> dict[str, Any]:
        """Return a description of the fitted autoencoder and of the scaler, for a model file."""
        return {
            "autoencoder": file.model(self.autoencoder_, f"{prefix}autoencoder_."),
            "scaler": None if self.scaler_ is None else file.model(self.scaler_, f"{prefix}scaler_."),
        }

    def _restore_learned(self, file: ModelReader, described: dict[str, Any], prefix: str) -> None:
        """Restore what `_describe_learned` has described; raise ValueError if its parts do not fit together."""
        self.autoencoder_ = file.model(file.get(described, "autoencoder", dict), f"{prefix}autoencoder_.", Estimator)
        if not self.autoencoder_.reconstructs or isinstance(self.autoencoder_, ScaledAutoencoder):
            raise ValueError(f"{type(self.autoencoder_).__name__} is not an autoencoder.")
        self.n_features_in_ = self.autoencoder_.n_features_in_
        self.scaler_ = None
        if self.scale:
            self.scaler_ = file.model(file.get(described, "scaler", dict), f"{prefix}scaler_.")
            if type(self.scaler_).__name__ != "StandardScaler" or self.scaler_.n_features_in_ != self.n_features_in_:
                raise ValueError("the scaler in the file is not that of the columns of the autoencoder.")
        elif described.get("scaler") is not None:
            raise ValueError("the file has a scaler, but scale=False.")


def fit_scaler(rows: RowSource) -> Any:
    """Return a scaler of columns to mean 0 and variance 1, fitted to rows some at a time."""
    from sklearn.preprocessing import StandardScaler  # slow to import, and needed by detectors alone

    scaler = StandardScaler()
    for block in rows.blocks(rows.rows_at_once):
        scaler.partial_fit(block)
    return scaler


def scaled_rows(rows: RowSource, scaler: Any, *, held: bool = False) -> RowSource:
    """Return scaled rows; if they are `held` in memory, they are scaled once, and not whenever they are read."""
    if scaler is None:
        return rows
    if held:
        return open_rows(scaler.transform(rows.read(0, len(rows))))
    return open_rows(rows, transform=scaler.transform)


def squared_errors(autoencoder: Any, scaled: RowSource) -> Iterator[FloatArray]:
    """Yield the squared errors of the reconstructions of successive rows, some at a time."""
    first = 0
    for made in autoencoder.reconstruction_blocks(scaled):
        rows = scaled.read(first, first + len(made)).astype(np.float64)
        first += len(made)
        yield (rows - made) ** 2
