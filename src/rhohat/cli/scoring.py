"""The command `score`: how unusual rows are, and because of which columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from rhohat.cli.app import Data, Model, Quiet, Traceback, command, note
from rhohat.cli.declared import OUTPUT
from rhohat.cli.files import STANDARD_OUTPUT, write_rows
from rhohat.cli.progress import FitProgress
from rhohat.cli.reading import ReadingOptions, reads_rows
from rhohat.cli.using import IdColumn, check_output, ids_of_rows
from rhohat.common.words import counted
from rhohat.data import RowSource
from rhohat.inspection.reporting.rounding import show
from rhohat.models.explaining import OwnColumns, is_detector, values_of_rows
from rhohat.models.formats import load
from rhohat.models.pipelines import estimator_of, last_step_of
from rhohat.models.scoring import reconstruction_errors, score_rows

__all__ = ["score"]

_AS_IT_COMES = ReadingOptions()
_WIDTH = 80  # largest number of characters of a printed line
_DIGITS = 6  # significant digits of scores and errors
_SMALLEST_SHARE = 0.005  # of an error that is printed, where 0 % would say nothing
_AT_ONCE = 2**14  # rows that are written at a time


@command(
    """
    # Write the score of each row, whether it is an outlier, and the columns that made it one.
    rhohat score detector.safetensors orders.csv -o scores.csv
    # Print the 20 most unusual rows.
    rhohat score detector.safetensors orders.csv --top 20
    """
)
@reads_rows
def score(
    ctx: typer.Context,
    model: Model,
    data: Data,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A .csv file to write; - prints CSV. By default, the most unusual rows are printed as a table.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, help="Number of rows to print without --output.", rich_help_panel=OUTPUT)
    ] = 10,
    reading: ReadingOptions = _AS_IT_COMES,
    id_column: IdColumn = None,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Write or print how unusual rows are: the scores of a detector, or the errors of another autoencoder.

    For a detector, which train -e detector learns, the columns are score (lower is more unusual; the rows of the
    training have a mean of -1, and most of them are nearer to 0), prediction (-1 for outliers, 1 for usual rows), and
    the names of the three columns of DATA that contribute most to the score, column_1 to column_3, with the parts that
    they contribute, share_1 to share_3, from 0 to 1. The rows that are printed without --output have the values in
    these columns as well. For another autoencoder it is one column, error: the mean squared error of the reconstruction
    over the columns, as the autoencoder sees them. Rows are numbered from 0, without the line that names the columns,
    unless --id names them. If --missing drop leaves rows out, a first column, row, holds the numbers of the remaining
    rows.
    """
    if output is not None:
        check_output(output, model, data, endings=(".csv",))
    loaded = load(model)
    if not estimator_of(loaded).reconstructs:
        name = type(last_step_of(loaded)).__name__
        raise ValueError(f"{name} does not reconstruct rows, so it cannot score them; train -e detector learns to.")
    with FitProgress(quiet=quiet) as progress, reading.open_for(ctx, loaded, data) as rows:
        progress.announce(f"scoring {len(rows)} rows")
        found = _of_detector(loaded, rows, top) if is_detector(loaded) else _of_autoencoder(loaded, rows)
        ids = ids_of_rows(reading, rows, data, id_column, output or STANDARD_OUTPUT)
        numbers = np.arange(len(rows)) if rows.kept is None else rows.kept
        if output is not None:
            kept = numbers if rows.lacks_rows else None
            write_rows(output, found.blocks(), len(rows), found.names, kept, ids=ids)
            if output != STANDARD_OUTPUT and not quiet:
                n_columns = len(found.names) + (kept is not None) + (ids is not None)
                typer.echo(f"wrote {output}: {len(rows)} rows × {n_columns} columns")
        else:
            _print_worst(found, ("row", numbers) if ids is None else ids, top)
    if found.summary and output != STANDARD_OUTPUT:
        note(ctx, found.summary)


@dataclass(frozen=True)
class _Found:
    """What a model has found of rows: cells to write, and what is said of them in print."""

    names: list[str]  # of the columns of a file
    cells: NDArray[np.str_]
    scores: NDArray[Any]  # lower is more unusual
    printed: list[str]  # headings of a printed table
    reasons: list[list[str]]  # what follows in each printed row, the most important first; the worst row first
    summary: str = ""

    def blocks(self) -> Iterator[NDArray[np.str_]]:
        """Yield the cells, some rows at a time."""
        return (self.cells[start : start + _AT_ONCE] for start in range(0, len(self.cells), _AT_ONCE))


def _of_detector(model: Any, rows: RowSource, n_printed: int) -> _Found:
    scored = score_rows(model, rows)
    names = scored.names
    n_top = scored.columns.shape[1]
    parts = [np.array(_numbers(scored.scores)), np.where(scored.is_outlier, "-1", "1")]
    for place in range(n_top):
        parts += [
            np.array(names)[scored.columns[:, place]],
            np.array([f"{one:.3g}" for one in scored.shares[:, place]]),
        ]
    worst = scored.worst_first[:n_printed]
    values = _values(model, rows, worst)
    reasons = [
        [
            f"{names[column]}{value[column]} {share:.0%}"
            for column, share in zip(scored.columns[row], scored.shares[row], strict=True)
            if share >= _SMALLEST_SHARE
        ]
        for row, value in zip(worst, values, strict=True)
    ]
    n_outliers = int(scored.is_outlier.sum())
    return _Found(
        ["score", "prediction", *(f"{name}_{place}" for place in range(1, n_top + 1) for name in ("column", "share"))],
        np.column_stack(parts),
        scored.scores,
        ["score", "prediction", "columns that contribute most"],
        reasons,
        f"{n_outliers:,} of {counted(len(rows), 'row')} {'is an outlier' if n_outliers == 1 else 'are outliers'}: the"
        f" score is below {scored.offset:.4g}",
    )


def _values(model: Any, rows: RowSource, worst: NDArray[np.intp]) -> list[list[str]]:
    """Return what is printed of the values of rows, after the names of their columns."""
    own = OwnColumns.of(model, rows)
    if own.places is None:
        return [[""] * len(own.names)] * len(worst)
    ascending = np.sort(worst)
    found = values_of_rows(rows, ascending)[np.searchsorted(ascending, worst)]
    return [[" missing" if value is None else f"={_as_text(value)}" for value in row] for row in found]


def _as_text(value: Any) -> str:
    return _shown(value) if isinstance(value, float) else str(value)


def _shown(number: float) -> str:
    """Return a number as the report shows it, with a hyphen for a minus sign."""
    return show(number).replace("−", "-")


def _of_autoencoder(model: Any, rows: RowSource) -> _Found:
    errors = np.concatenate(list(reconstruction_errors(model, rows)))
    return _Found(["error"], np.array(_numbers(errors))[:, None], -errors, ["error"], [])


def _numbers(values: NDArray[Any]) -> list[str]:
    return [f"{value:.{_DIGITS}g}" for value in values]


def _print_worst(found: _Found, ids: tuple[str, NDArray[Any]], top: int) -> None:
    """Print the most unusual rows as a table whose lines fit a terminal: reasons that do not fit are left out."""
    worst = np.argsort(found.scores, kind="stable")[:top]
    table = [[ids[0], *found.printed]]
    for row in worst:
        start = [str(ids[1][row]), _shown(float(found.cells[row, 0]))]
        table.append([*start, *found.cells[row, 1:2][: len(found.printed) - 1]])
    widths = [max(len(line[place]) for line in table) for place in range(len(table[1]))]
    headings = table[0][len(widths) :]
    for line, reasons in zip(table, [headings, *(found.reasons or [[]] * len(worst))], strict=True):
        text = "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=False))
        for place, reason in enumerate(reasons):
            longer = f"{text}{', ' if place else '  '}{reason}"
            if len(longer) > _WIDTH and place:
                break
            text = longer if len(longer) <= _WIDTH else f"{longer[: _WIDTH - 1]}…"
        typer.echo(text)
