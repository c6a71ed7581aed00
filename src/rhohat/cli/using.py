"""The commands that pass rows through a model: `encode`, `reconstruct` and `predict`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.base import is_classifier

from rhohat.cli.app import Data, Model, Quiet, Traceback, check_writable, command, note
from rhohat.cli.declared import OUTPUT
from rhohat.cli.files import DIGITS, STANDARD_OUTPUT, write_rows, write_sparse_rows
from rhohat.cli.progress import FitProgress
from rhohat.cli.reading import ReadingOptions, reads_rows
from rhohat.data import RowSource
from rhohat.models.explaining import is_detector
from rhohat.models.formats import load
from rhohat.models.pipelines import (
    encode_blocks,
    estimator_of,
    last_step_of,
    names_of_columns,
    prepare_rows,
    reconstruct_blocks,
)

__all__ = ["IdColumn", "check_output", "encode", "ids_of_rows", "predict", "reconstruct"]

_AS_IT_COMES = ReadingOptions()

#: Sizes of a dense file above which a sparse one is recommended for codes that are mostly zeros, or they are refused.
_MANY_BYTES, _MOST_BYTES = 256 * 10**6, 4 * 10**9

Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="A .npy or .csv file to write; - prints CSV.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]


OutputOfCodes = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="A .npy, .csv or .npz file to write; - prints CSV. A .npz file is sparse: scipy.sparse.load_npz reads it.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]


IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id",
        metavar="COLUMN",
        help="A column of DATA that names its rows, such as a customer number. It becomes the first column of the CSV"
        " that is written.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Digits = Annotated[
    int,
    typer.Option(min=1, max=17, help="Number of significant digits in CSV.", rich_help_panel=OUTPUT),
]


@command(
    """
    # Write the features that a model has learned, as a table.
    rhohat encode edges.safetensors patches.npy -o codes.csv
    # Keep only the entries that are not zero; scipy.sparse.load_npz reads them.
    rhohat encode dictionary.safetensors activations.npy -o codes.npz
    """
)
@reads_rows
def encode(
    ctx: typer.Context,
    model: Model,
    data: Data,
    output: OutputOfCodes,
    reading: ReadingOptions = _AS_IT_COMES,
    id_column: IdColumn = None,
    digits: Digits = DIGITS,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Write the activation of each unit, or of each latent of a dictionary, on each row: the learned features.

    If --missing drop leaves rows out, a CSV file begins with a column "row", the numbers of the remaining rows,
    counted from 0. The code of a classifier or regressor is its last hidden layer. Rows are read and written some at a
    time, so there may be more rows than fit in memory.
    """
    check_output(output, model, data, endings=(".npy", ".csv", ".npz"))
    loaded = load(model)
    estimator = estimator_of(loaded)
    names = [f"{estimator.noun_of_code}_{number}" for number in range(estimator.layer_sizes_[estimator.code_layer_])]
    with FitProgress(quiet=quiet) as progress, reading.open_for(ctx, loaded, data) as rows:
        ids = ids_of_rows(reading, rows, data, id_column, output)
        if estimator.has_sparse_codes and output.suffix != ".npz":
            _check_size(ctx, len(rows), len(names))
        progress.announce(f"encoding {len(rows)} rows")
        _write(ctx, output, encode_blocks(loaded, rows), rows, names, ids=ids, digits=digits, quiet=quiet)


@command(
    """
    # Write what an autoencoder makes of each row.
    rhohat reconstruct edges.safetensors patches.npy -o reconstructed.npy
    """
)
@reads_rows
def reconstruct(
    ctx: typer.Context,
    model: Model,
    data: Data,
    output: Output,
    reading: ReadingOptions = _AS_IT_COMES,
    id_column: IdColumn = None,
    digits: Digits = DIGITS,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Write an autoencoder's reconstruction of each row, on the scale of the data.

    The preprocessing is undone as far as possible: patches that were normalised keep a mean of 0. If --missing drop
    leaves rows out, a CSV file has a column row, as for encode.
    """
    check_output(output, model, data)
    loaded = load(model)
    if not estimator_of(loaded).reconstructs:
        name = type(estimator_of(loaded)).__name__
        raise ValueError(f"{name} does not reconstruct rows; use rhohat encode or rhohat predict instead.")
    with FitProgress(quiet=quiet) as progress, reading.open_for(ctx, loaded, data) as rows:
        ids = ids_of_rows(reading, rows, data, id_column, output)
        progress.announce(f"reconstructing {len(rows)} rows")
        names = names_of_columns(loaded, rows) or [f"column_{number}" for number in range(rows.shape[1])]
        _write(ctx, output, reconstruct_blocks(loaded, rows), rows, names, ids=ids, digits=digits, quiet=quiet)


@command(
    """
    # Write the class, or the number, that a model predicts for each row.
    rhohat predict species.safetensors flowers.csv -o predicted.csv
    # Write the probability of each class, beside the column that names the rows.
    rhohat predict species.safetensors flowers.csv --proba --id name -o -
    # Look at the first predictions.
    rhohat predict species.safetensors flowers.csv --rows 0:10 -o -
    """
)
@reads_rows
def predict(
    ctx: typer.Context,
    model: Model,
    data: Data,
    output: Output,
    proba: Annotated[
        bool,
        typer.Option("--proba", help="Write the probability of each class instead.", rich_help_panel=OUTPUT),
    ] = False,
    reading: ReadingOptions = _AS_IT_COMES,
    id_column: IdColumn = None,
    digits: Digits = DIGITS,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Write the prediction of a classifier or regressor for each row.

    The columns of a CSV file have the names of the target columns of the training, if the model knows them. With
    --proba there is one column for each class, named after it. If --missing drop leaves rows out, a CSV file has a
    column row, as for encode.
    """
    check_output(output, model, data)
    loaded = load(model)
    estimator: Any = estimator_of(loaded)
    if not estimator.learns_from_targets:
        name = type(last_step_of(loaded)).__name__
        instead = "rhohat score" if is_detector(loaded) else "rhohat encode or rhohat reconstruct"
        raise ValueError(f"{name} does not predict targets; use {instead} instead.")
    if proba and not is_classifier(estimator):
        raise typer.BadParameter("only a classifier knows probabilities of classes.", param_hint="--proba")
    with FitProgress(quiet=quiet) as progress, reading.open_for(ctx, loaded, data) as rows:
        ids = ids_of_rows(reading, rows, data, id_column, output)
        progress.announce(f"predicting for {len(rows)} rows")
        prepared = prepare_rows(loaded, rows)
        found, names = (
            _probabilities(estimator, prepared) if proba else _predictions(estimator, prepared, output.suffix)
        )
        _write(ctx, output, [found], rows, names, ids=ids, digits=digits, quiet=quiet)


def _probabilities(estimator: Any, rows: RowSource) -> tuple[NDArray[Any], list[str]]:
    """Return the probability of each class for each row, and the names of the classes."""
    if estimator.network_.layers[-1].n_padded_steps is not None:
        raise typer.BadParameter("a model that labels every step has no probabilities of rows.", param_hint="--proba")
    return np.asarray(estimator.predict_proba(rows)), [str(one) for one in estimator.classes_]


def _predictions(estimator: Any, rows: RowSource, ending: str) -> tuple[NDArray[Any], list[str]]:
    """Return the predictions for all rows, and the names of their columns."""
    found = _in_an_array(estimator.predict(rows), estimator.input_shape_[0], as_text=ending != ".npy")
    found = found.astype(np.str_) if found.dtype == object else found
    columns = 1 if found.ndim == 1 else found.shape[1]
    names = list(getattr(estimator, "target_names_", None) or _unnamed(columns))
    if estimator.network_.layers[-1].n_padded_steps is not None:
        names = _names_of_steps(found.shape[1:])
        found = found if ending == ".npy" else found.reshape(len(found), -1)
    return found, names


def _in_an_array(predicted: Any, n_steps: int, *, as_text: bool) -> NDArray[Any]:
    """Return predictions as an array; labels of steps are NaN or empty after the end of a sequence."""
    if not isinstance(predicted, list):
        return np.asarray(predicted)
    if as_text or predicted[0].dtype.kind not in "biuf":
        predicted = [labels.astype(np.str_) for labels in predicted]
        found = np.full((len(predicted), n_steps), "", np.result_type(*predicted))
    else:
        found = np.full((len(predicted), n_steps), np.nan)
    for row, labels in zip(found, predicted, strict=True):
        row[: len(labels)] = labels
    return found


def _names_of_steps(shape: tuple[int, ...]) -> list[str]:
    """Return names for the columns of predictions of steps, and of several targets for each of them."""
    if len(shape) == 1:
        return [f"step_{step}" for step in range(shape[0])]
    return [f"step_{step}_prediction_{number}" for step in range(shape[0]) for number in range(shape[1])]


def _unnamed(n_columns: int) -> list[str]:
    """Return names for the columns of predictions of targets without names."""
    return ["prediction"] if n_columns == 1 else [f"prediction_{number}" for number in range(n_columns)]


def check_output(output: Path, *inputs: Path, endings: tuple[str, ...] = (".npy", ".csv")) -> None:
    """Raise before any computation if rows cannot be written to the output file."""
    if output != STANDARD_OUTPUT:
        check_writable(output, *inputs, endings=endings)


def _check_size(ctx: Any, n_rows: int, n_latents: int) -> None:
    """Print a note before any computation if a dense file of codes will be large, and raise if very large."""
    n_bytes = 4 * n_rows * n_latents
    if n_bytes > _MOST_BYTES:
        raise ValueError(
            f"dense codes of {n_rows:,} rows with {n_latents:,} latents would take {n_bytes / 1e9:,.1f} GB, nearly all"
            " of it zeros. Write them to a sparse file, such as -o codes.npz, which scipy.sparse.load_npz reads."
        )
    if n_bytes > _MANY_BYTES:
        note(
            ctx,
            f"note: these dense codes take {n_bytes / 1e9:,.1f} GB, nearly all of it zeros; -o codes.npz writes a"
            " sparse file, which scipy.sparse.load_npz reads.",
        )


def ids_of_rows(
    reading: ReadingOptions, rows: RowSource, data: Path, column: str | None, output: Path
) -> tuple[str, NDArray[Any]] | None:
    """Return the name and the entries of the column that names the rows; None without one."""
    if column is None:
        return None
    if output.suffix in (".npy", ".npz"):
        raise typer.BadParameter(f"needs a .csv file, which can hold names; got {output}.", param_hint="--id")
    return column, reading.names_of_rows(rows, data, column)


def _write(
    ctx: Any,
    output: Path,
    blocks: Iterable[Any],
    rows: RowSource,
    names: Sequence[str],
    *,
    ids: tuple[str, NDArray[Any]] | None,
    digits: int,
    quiet: bool,
) -> None:
    """Write the outputs of a model and print a summary; if rows were left out, also print how to find their numbers."""
    is_table = output.suffix not in (".npy", ".npz")
    numbers = rows.kept if rows.lacks_rows else None
    if output.suffix == ".npz":
        write_sparse_rows(output, blocks, len(names))
    else:
        write_rows(output, blocks, len(rows), names, numbers, ids=ids, digits=digits)
    if output != STANDARD_OUTPUT and not quiet:
        n_columns = len(names) + is_table * ((numbers is not None) + (ids is not None))
        typer.echo(f"wrote {output}: {len(rows)} rows × {n_columns} column{'s'[: n_columns - 1]}")
    if numbers is not None:
        where = (
            "The column 'row' holds the numbers of these rows, counted from 0."
            if is_table
            else f"{output} holds {len(rows)} of the {rows.n_rows_found} rows. A .csv file would hold their numbers"
            " too, in its column 'row'; in Python, they are rhohat.open_rows(..., missing='drop').kept."
        )
        note(ctx, f"note: {where}")
