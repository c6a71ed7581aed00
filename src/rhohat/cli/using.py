"""The commands that pass rows through a model: `encode`, `reconstruct` and `predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from rhohat.cli.app import Data, Model, Quiet, Traceback, app, check_writable
from rhohat.cli.files import STANDARD_OUTPUT, write_rows
from rhohat.cli.progress import FitProgress
from rhohat.cli.reading import ReadingOptions, reads_rows
from rhohat.estimators.autoencoder import BaseAutoencoder
from rhohat.model_file import load
from rhohat.models import (
    encode_blocks,
    estimator_of,
    feature_names_of,
    prepare_rows,
    reconstruct_blocks,
)

__all__ = ["encode", "predict", "reconstruct"]

_AS_IT_COMES = ReadingOptions()

Output = Annotated[
    Path,
    typer.Option("--output", "-o", help="A .npy or .csv file to write; - prints CSV.", show_default=False),
]


@app.command()
@reads_rows
def encode(
    model: Model,
    data: Data,
    output: Output,
    reading: ReadingOptions = _AS_IT_COMES,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Write how active each unit is on each row: the features learned.

    Of a classifier or regressor, the units are those of its last hidden layer. Rows are read and written some at a
    time, so there may be more than fit in memory.
    """
    check_output(output, model, data)
    loaded = load(model)
    n_units = estimator_of(loaded).network_.layer_sizes[estimator_of(loaded)._code_layer]
    names = [f"unit_{number}" for number in range(n_units)]
    with FitProgress(quiet=quiet) as progress, reading.open_for(loaded, data) as rows:
        progress.announce(f"encoding {len(rows)} rows")
        write_rows(output, encode_blocks(loaded, rows), len(rows), names)
    _tell(output, len(rows), n_units, quiet=quiet)


@app.command()
@reads_rows
def reconstruct(
    model: Model,
    data: Data,
    output: Output,
    reading: ReadingOptions = _AS_IT_COMES,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Write what an autoencoder makes of each row, in the units of the data.

    The preprocessing is undone, so far as it can be: patches that were normalised keep a mean of 0.
    """
    check_output(output, model, data)
    loaded = load(model)
    if not isinstance(estimator_of(loaded), BaseAutoencoder):
        raise ValueError(f"{type(estimator_of(loaded)).__name__} reconstructs nothing; see encode and predict.")
    with FitProgress(quiet=quiet) as progress, reading.open_for(loaded, data) as rows:
        progress.announce(f"reconstructing {len(rows)} rows")
        names = feature_names_of(loaded) or rows.feature_names
        names = names or [f"column_{number}" for number in range(rows.shape[1])]
        write_rows(output, reconstruct_blocks(loaded, rows), len(rows), names)
    _tell(output, len(rows), len(names), quiet=quiet)


@app.command()
@reads_rows
def predict(
    model: Model,
    data: Data,
    output: Output,
    reading: ReadingOptions = _AS_IT_COMES,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Write what a classifier or regressor predicts for each row."""
    check_output(output, model, data)
    loaded = load(model)
    estimator: Any = estimator_of(loaded)
    if isinstance(estimator, BaseAutoencoder):
        raise ValueError(f"{type(estimator).__name__} predicts nothing; see encode and reconstruct.")
    with FitProgress(quiet=quiet) as progress, reading.open_for(loaded, data) as rows:
        progress.announce(f"predicting for {len(rows)} rows")
        found = np.asarray(estimator.predict(prepare_rows(loaded, rows)))
        found = found.astype(np.str_) if found.dtype == object else found
        columns = 1 if found.ndim == 1 else found.shape[1]
        names = ["prediction"] if columns == 1 else [f"prediction_{number}" for number in range(columns)]
        write_rows(output, [found], len(rows), names)
    _tell(output, len(rows), columns, quiet=quiet)


def check_output(output: Path, *inputs: Path) -> None:
    """Raise where rows cannot be written, before they are computed."""
    if output != STANDARD_OUTPUT:
        check_writable(output, *inputs, endings=(".npy", ".csv"))


def _tell(output: Path, n_rows: int, n_columns: int, *, quiet: bool) -> None:
    if output != STANDARD_OUTPUT and not quiet:
        typer.echo(f"wrote {output}: {n_rows} rows × {n_columns} column{'s'[: n_columns - 1]}")
